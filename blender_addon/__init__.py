"""Splatsmith inside Blender: the thin client of the backend, and what turns its results into Blender's data.

Nothing here imports torch or the backend; numpy and Blender's own Python are enough.
"""
