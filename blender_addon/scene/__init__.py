"""Puts results into the scene, and reads the meshes and colours of the artist's objects."""
