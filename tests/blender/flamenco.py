"""What ours relies on of Flamenco's add-on: its name, its address of the manager, and the scene's priority and tag."""

import bpy

bl_info = {"name": "Flamenco", "blender": (4, 2, 0), "category": "System"}


class FlamencoPreferences(bpy.types.AddonPreferences):
    bl_idname = "flamenco"
    manager_url: bpy.props.StringProperty(default="http://localhost:8080/")


def register():
    bpy.utils.register_class(FlamencoPreferences)
    bpy.types.Scene.flamenco_job_priority = bpy.props.IntProperty(default=50)
    bpy.types.Scene.flamenco_worker_tag = bpy.props.StringProperty(default="-")


def unregister():
    del bpy.types.Scene.flamenco_worker_tag, bpy.types.Scene.flamenco_job_priority
    bpy.utils.unregister_class(FlamencoPreferences)
