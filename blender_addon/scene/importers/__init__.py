"""Make Blender objects of a job's results: one file for meshes, one for splats with its nodes."""
