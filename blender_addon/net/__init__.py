"""The connection to the backend, the processes that we start, and what the add-on knows; nothing here imports bpy."""
