"""The server for the Blender add-on, and the worker process that runs its jobs."""
