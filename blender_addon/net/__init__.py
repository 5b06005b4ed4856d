"""The connection to the backend, its process, and what the add-on knows of it; nothing here imports bpy."""
