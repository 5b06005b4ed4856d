"""The built zip as an artist gets it: installed, switched on, its panels drawn, and removed, in each version of bpy."""

import sys
from typing import get_args

import bpy
import pytest
from extension import MODULE, WHEELS, ours

IDENTITY = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


@pytest.fixture(autouse=True)
def _empty_file():
    """Not here: a fresh start between the tests would switch the extension off."""


class Drawing:
    """Stands in for a layout: takes what a panel draws, and refuses what this Blender does not know.

    A panel that is drawn for real needs a window: tests/window has one.
    """

    def __init__(self, drawn):
        self.__dict__["drawn"] = drawn

    def __setattr__(self, name, value):
        assert name in bpy.types.UILayout.bl_rna.properties, name

    def __getattr__(self, name):
        parameters = bpy.types.UILayout.bl_rna.functions[name].parameters  # KeyError: no such thing can be drawn
        inputs = [parameter.identifier for parameter in parameters if not parameter.is_output]

        def draw(*values, **named):
            given = dict(zip(inputs, values, strict=False)) | named
            assert set(given) <= set(inputs), (name, given)
            assert given.get("icon", "NONE") in (parameters["icon"].enum_items if "icon" in inputs else ("NONE",)), (
                given
            )
            if "property" in given:
                assert given["property"] in given["data"].bl_rna.properties, given
            self.drawn.append((name, given))
            return Settings(given["operator"]) if name == "operator" else Drawing(self.drawn)

        return draw


class Settings:
    """What the button of an operator was told: properties that the operator has."""

    def __init__(self, operator):
        space, word = operator.split(".")
        self.__dict__["known"] = (
            getattr(getattr(bpy.ops, space), word).get_rna_type().properties
        )  # KeyError: no such one

    def __setattr__(self, name, value):
        assert name in self.known, name


def draw(kind, *arguments):
    """What a panel or a list draws; the arguments are those of `draw`, or of `draw_item`."""
    drawn = []
    parts = {key: value for base in reversed(kind.__mro__) for key, value in vars(base).items() if callable(value)}
    own = {key: value for key, value in parts.items() if not key.startswith("__")}
    standing = type(
        kind.__name__, (), own | {"bl_rna": kind.bl_rna}
    )()  # Blender makes its own kind of instance itself, in a window
    standing.layout = Drawing(drawn)
    if arguments:
        standing.draw_item(bpy.context, standing.layout, *arguments)
    else:
        standing.draw(bpy.context)
    return drawn


def test_the_panels_are_there_and_draw_without_a_backend(installed):
    panels = ours(bpy.types.Panel)
    assert panels
    assert all(panel.is_registered and panel.bl_category == "Splatsmith" for panel in panels)
    drawn = [entry for panel in panels for entry in draw(panel)]
    operators = {given["operator"] for name, given in drawn if name == "operator"}
    assert {"splatsmith.generate", "splatsmith.start_backend"} <= operators
    assert "prompt" in {given["property"] for name, given in drawn if name == "prop"}
    assert not bpy.ops.splatsmith.generate.poll()


def test_the_panels_draw_every_state_of_a_job(installed):
    addon_state = sys.modules[f"{MODULE}.net.state"].addon_state
    messages = sys.modules[f"{MODULE}.shared.messages"]
    manager = bpy.context.window_manager
    for number, state in enumerate(get_args(messages.State)):
        job = f"{number:032x}"
        said = {"prompt": "an owl", "objective": "jsd", "seed": number, "created": 0.0, "text": "A sentence."}
        addon_state.update(messages.JobState(job=job, state=state, step=3, of=9, to_scene=IDENTITY, **said))
        sys.modules[f"{MODULE}.ui.job_list"].choose_job(manager, job)
        drawn = [entry for panel in ours(bpy.types.Panel) for entry in draw(panel)]
        assert "splatsmith.cancel" in {given.get("operator") for _, given in drawn}
    (kind,) = (kind for kind in ours(bpy.types.UIList) if kind.__name__ == "SPLATSMITH_UL_jobs")
    for item in manager.splatsmith_jobs:
        assert draw(kind, manager, item, 0, manager, "splatsmith_active")


def test_the_models_draw(installed, tmp_path):
    addon_state = sys.modules[f"{MODULE}.net.state"].addon_state
    models, ours_in_list = sys.modules[f"{MODULE}.shared.models"], sys.modules[f"{MODULE}.ui.models_list"]
    offer = {"family": "SDXL", "size": 7_000_000_000, "licence": "openrail++", "here": False}
    offers = [models.Offer(name=f"a/{fits}", fit=models.Fit(fits, "text"), **offer) for fits in (True, False, None)]
    shown = {"models": (), "suggested": tuple(offers), "card": None, "folders": (), "cache": "", "offline": False}
    addon_state.models = sys.modules[f"{MODULE}.net.model_manager"].ModelManager(tmp_path)
    addon_state.models.listing = models.Listing(**shown)
    manager = bpy.context.window_manager
    ours_in_list.sync_models(manager)
    for item, said in zip(manager.splatsmith_models, ("Fits", "Too large", ""), strict=True):
        drawn = draw(ours_in_list.SPLATSMITH_UL_models, manager, item, 0, manager, "splatsmith_active_model")
        texts = [given["text"] for name, given in drawn if name == "label"]
        assert texts == [item.name.partition("/")[2], "SDXL · 7.0 GB", said]
    installed.preferences.show_models = True
    section = draw(type(installed.preferences))
    installed.preferences.show_models = False
    assert {"splatsmith.use_model", "splatsmith.download_model"} <= {given.get("operator") for _, given in section}
    assert {"a/True: On the hub", "Licence: openrail++"} <= {given.get("text") for _, given in section}


def test_the_wheels_are_those_of_the_zip(installed):
    assert {path.name for path in WHEELS.iterdir()} >= {"msgspec", "zmq"}
    assert {f"{MODULE}.net.client", "zmq", "msgspec"} <= set(sys.modules)


def test_the_preferences_draw(installed):
    assert {given["property"] for name, given in draw(type(installed.preferences)) if name == "prop"}


def test_it_can_be_installed_over_itself(installed, archive):
    """As an update does."""
    again = bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo="user_default", enable_on_install=True, overwrite=True
    )
    assert again == {"FINISHED"}
    assert ours(bpy.types.Panel)
    assert hasattr(bpy.types.Scene, "splatsmith")
