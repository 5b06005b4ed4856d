"""Results of a job -> Blender objects, one kind each."""
