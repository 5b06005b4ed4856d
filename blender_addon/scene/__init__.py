"""Results into the scene, and objects of the scene out of it."""
