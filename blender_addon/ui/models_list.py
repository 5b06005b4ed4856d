"""The models in the preferences: the list, what is chosen in it, the download that runs, and the buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import bpy

from ..net.model_manager import ModelManager, ModelRow
from ..net.state import addon_state
from ..shared.models import DownloadProgress, size_text
from .drawing import draw_text, duration

Context = bpy.types.Context
Layout = bpy.types.UILayout

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import IconItems as Icon

ELSEWHERE = "The backend is on another computer: models are installed there, with `python -m backend models`."
STATES: dict[str, tuple[str, Icon]] = {
    "here": ("Here", "CHECKMARK"),
    "LoRA": ("LoRA", "MODIFIER"),
    "incomplete": ("Incomplete", "TIME"),
    "unusable": ("Cannot be used", "ERROR"),
    "offered": ("On the hub", "IMPORT"),
}
FITS: dict[bool | None, tuple[str, Icon]] = {
    True: ("Fits", "CHECKMARK"),
    False: ("Too large", "ERROR"),
    None: ("", "BLANK1"),
}
NO_CARD = "The backend finds no graphics card here; without one a step of these models takes minutes."


class ModelList(Protocol):
    """What `register` adds to the window manager."""

    splatsmith_models: Any
    splatsmith_active_model: int


class SPLATSMITH_PG_model(bpy.types.PropertyGroup):
    """An entry of the list of models; `name` is the model's, everything else is in `addon_state`."""


class SPLATSMITH_UL_models(bpy.types.UIList):
    """One line for each model: its name, family, size, and whether it fits the graphics card."""

    def draw_item(  # type: ignore[override]  # Blender passes as many arguments as there are parameters
        self,
        _context: Context,
        layout: Layout,
        _manager: bpy.types.WindowManager,
        item: SPLATSMITH_PG_model,
        _icon: int,
        _active_data: bpy.types.WindowManager,
        _active_property: str,
    ) -> None:
        """Draw one."""
        row = row_named(item.name)
        if row is None:
            return
        line = layout.split(factor=0.5, align=True)
        line.label(text=short_name(row.name), icon=STATES[row.state][1])
        rest = line.split(factor=0.6, align=True)
        rest.label(text=" · ".join(filter(None, [row.family, size_text(row.size)])))
        rest.label(text=FITS[row.fits][0], icon=FITS[row.fits][1])


def model_list(manager: bpy.types.WindowManager | None) -> ModelList:
    """The list; the stubs do not know the window manager's new properties."""
    return cast(ModelList, manager)


def sync_models(manager: bpy.types.WindowManager | None) -> None:
    """Bring the list up to date; the chosen model stays chosen."""
    names = [row.name for row in addon_state.models.rows()] if addon_state.models else []
    models = model_list(manager).splatsmith_models
    if [item.name for item in models] == names:
        return
    chosen = chosen_name(manager)
    models.clear()
    for name in names:
        models.add().name = name
    model_list(manager).splatsmith_active_model = names.index(chosen) if chosen in names else 0


def chosen_name(manager: bpy.types.WindowManager | None) -> str:
    """The name of the model that is chosen in the list, or ""."""
    models, index = model_list(manager).splatsmith_models, model_list(manager).splatsmith_active_model
    return models[index].name if 0 <= index < len(models) else ""


def row_named(name: str) -> ModelRow | None:
    """What is known of a model in the list."""
    rows = addon_state.models.rows() if addon_state.models else []
    return next((row for row in rows if row.name == name), None)


def short_name(name: str) -> str:
    """The last part of a hub id, file or folder, as lists have little room; below the list stands the whole."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def draw_models(layout: Layout, context: Context, chosen: Any, remote: bool) -> None:
    """The section of the preferences; `chosen` are the preferences."""
    box, models = layout.box(), addon_state.models
    header = box.row()
    header.prop(chosen, "show_models", icon="TRIA_DOWN" if chosen.show_models else "TRIA_RIGHT", emboss=False)
    if not chosen.show_models:
        return
    if remote:
        draw_text(box, context, ELSEWHERE, "INFO")
        return
    header.operator("splatsmith.list_models", text="", icon="FILE_REFRESH")
    box.template_list(
        "SPLATSMITH_UL_models", "", context.window_manager, "splatsmith_models",
        context.window_manager, "splatsmith_active_model", rows=5,
    )  # fmt: skip
    row = row_named(chosen_name(context.window_manager))
    if row is not None:
        draw_chosen(box, context, row)
    buttons = box.row(align=True)
    buttons.operator("splatsmith.use_model", icon="CHECKMARK")
    buttons.operator("splatsmith.download_model", icon="IMPORT").model = ""
    by_id = box.row(align=True)
    by_id.prop(chosen, "model_id")
    by_id.operator("splatsmith.download_model", icon="IMPORT").model = chosen.model_id
    if models is not None:
        if models.listing is not None and models.listing.card is None:
            draw_text(box, context, NO_CARD, "INFO")
        draw_work(box, context, models)
        draw_folders(box, models)
    box.operator("splatsmith.add_model_folder", icon="FILE_FOLDER")


def draw_chosen(box: Layout, context: Context, row: ModelRow) -> None:
    """The whole of what is known about the chosen model."""
    column = box.column(align=True)
    column.label(text=f"{row.name}: {STATES[row.state][0]}", icon=STATES[row.state][1])
    if row.licence:
        column.label(text=f"Licence: {row.licence}", icon="BLANK1")
    if row.fits is not None:
        column.label(text=f"On this graphics card: {row.fit}", icon=FITS[row.fits][1])
    if row.problem:
        draw_text(column, context, row.problem, "INFO")


def draw_work(box: Layout, context: Context, models: ModelManager) -> None:
    """What runs, with a button that stops it, or how it ended."""
    if models.state == "listing":
        box.label(text="Looking for models", icon="TIME")
    elif models.busy:
        row = box.row(align=True)
        progress = models.progress or DownloadProgress(0, 0, 0.0, None)
        row.progress(factor=progress.bytes / max(progress.total, 1), text=progress_text(models, progress))
        row.operator("splatsmith.cancel_model", text="", icon="CANCEL")
    elif models.text:
        draw_text(box, context, models.text, "ERROR" if models.failed else "INFO")


def draw_folders(box: Layout, models: ModelManager) -> None:
    """The folders that were added, each with a button that takes it out of the list."""
    for folder in models.listing.folders if models.listing else ():
        row = box.row(align=True)
        row.label(text=folder, icon="FILE_FOLDER")
        row.operator("splatsmith.remove_model_folder", text="", icon="X").folder = folder


def progress_text(models: ModelManager, progress: DownloadProgress) -> str:
    """How far the download is."""
    if models.state == "stopping":
        return "Stopping"
    if not progress.total:
        return f"{models.model}: asking the hub"
    left = "waiting" if progress.left is None else f"{duration(progress.left)} left"
    return f"{size_text(progress.bytes)} of {size_text(progress.total)}, {size_text(progress.speed)}/s, {left}"


def register() -> None:
    """Add the list to the window manager."""
    types: Any = bpy.types
    props: Any = bpy.props
    types.WindowManager.splatsmith_models = props.CollectionProperty(type=SPLATSMITH_PG_model)
    types.WindowManager.splatsmith_active_model = props.IntProperty(name="Model", description="The chosen model")


def unregister() -> None:
    """Remove it."""
    types: Any = bpy.types
    del types.WindowManager.splatsmith_active_model, types.WindowManager.splatsmith_models


CLASSES = (SPLATSMITH_PG_model, SPLATSMITH_UL_models)
