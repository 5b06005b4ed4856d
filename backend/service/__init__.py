"""The server that Blender speaks to, and the worker process that runs its jobs."""
