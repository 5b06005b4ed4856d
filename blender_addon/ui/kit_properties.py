"""What the next kit is made of, as the artist sets it.

No `from __future__ import annotations` here: the annotations are Blender's properties.
"""

import bpy
from bpy.props import BoolProperty, EnumProperty, PointerProperty, StringProperty

from ..scene.kit_sources import KitSource, asset_sources, sources_of

LONGEST_NAME = 60


class SPLATSMITH_PG_kit(bpy.types.PropertyGroup):
    """How to make the next kit."""

    title: StringProperty(
        name="Name", description="What the kit is called in the Prior menu", default="My Kit", maxlen=LONGEST_NAME
    )
    source: EnumProperty(
        name="Made Of",
        description="Which objects are photographed; the children of an object belong to it",
        items=(
            ("SELECTED", "Selected Objects", "The selection, each object by itself"),
            ("COLLECTION", "Collection", "The objects of a collection that are seen in renders, each by itself"),
            ("ASSETS", "Assets of This File", "The objects and collections that are marked as assets in this file"),
        ),
    )
    collection: PointerProperty(
        type=bpy.types.Collection, name="Collection", description="The collection whose objects are photographed"
    )
    own_front: BoolProperty(
        name="Own Front",
        description="Take each object's own -Y side as its front, however it is turned in the scene; otherwise the "
        "side towards -Y of the scene",
        default=True,
    )
    add: BoolProperty(
        name="Add to Kit",
        description="Keep what a kit of that name has already; otherwise it will hold these objects alone",
    )

    def sources(self, context: bpy.types.Context) -> list[KitSource]:
        """The objects that the kit will be made of."""
        if self.source == "SELECTED":
            return sources_of(context.selected_objects)
        if self.source == "ASSETS":
            return asset_sources()
        inside = self.collection.all_objects if self.collection else ()
        return sources_of(obj for obj in inside if not obj.hide_render)


CLASSES = (SPLATSMITH_PG_kit,)
