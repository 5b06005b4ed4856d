"""Models in the preferences: a hub on loopback, the real backend's program, from the list to the Prior."""

import os
import subprocess

import bpy
import msgspec
import pytest
from peer import until
from pressing import ops, settings
from test_panels import refusal, texts

from blender_addon import timer
from blender_addon.net.launcher import backend_python
from blender_addon.net.state import addon_state
from blender_addon.shared.models import Card, Fit, Model
from blender_addon.ui import models_list, preferences
from tests.models.loopback_hub import Hub

MODEL, NO_FIT = "acme/tiny", Fit(None, "")
BUILD = (
    "import sys; sys.path.insert(0, 'tests/priors'); import tiny_pipelines as t; t.save_stable_diffusion(sys.argv[1])"
)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """A model, saved by the backend's Python, as Blender's has no diffusers."""
    folder = tmp_path_factory.mktemp("hub") / "tiny"
    python = backend_python(preferences.CHECKOUT)
    subprocess.run([python, "-c", BUILD, folder], cwd=preferences.CHECKOUT, check=True, capture_output=True)
    (folder / "README.md").write_text("---\nlicense: openrail++\n---\n")
    return folder


@pytest.fixture
def hub(tiny_model, monkeypatch, tmp_path):
    """The hub, and a user with an empty home who asks it."""
    hub = Hub({MODEL: tiny_model})
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    home = {"HOME": "home", "HF_HOME": "hf", "XDG_DATA_HOME": "data"}
    for name, value in {**{key: str(tmp_path / folder) for key, folder in home.items()}}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    yield hub
    hub.close()


@pytest.fixture
def opened(addon, hub):
    """The preferences with their models shown, online access allowed."""
    bpy.context.preferences.system.use_online_access = True
    addon.show_models = True
    assert idle()
    yield addon
    bpy.context.preferences.system.use_online_access = False


def idle():
    return until(lambda: addon_state.models is not None and not addon_state.models.busy, 300, between=timer.tick)


def drawn(chosen):
    """What the section of the preferences shows."""

    class Section:
        def draw(self, context):
            models_list.draw_models(self.layout, context, chosen, preferences.backend_is_remote(context))

    return texts(Section)


def on_a_card(listing):
    """The same list on a computer whose card has 8 GB."""
    large = Fit(False, "needs 10.0 GiB, the card has 8.0 GiB")
    offers = [
        msgspec.structs.replace(offer, fit=large if offer.family == "SDXL" else Fit(True, "8 views a step"))
        for offer in listing.suggested
    ]
    return msgspec.structs.replace(listing, suggested=tuple(offers), card=Card("RTX 4060", 8 * 2**30))


def choose(name):
    names = [item.name for item in bpy.context.window_manager.splatsmith_models]
    bpy.context.window_manager.splatsmith_active_model = names.index(name)


def test_a_lora_goes_where_loras_go(opened):
    lora = Model(name="/big/clay.safetensors", source="LoRA", family="SDXL", size=9, licence="", whole=True, fit=NO_FIT)
    addon_state.models.listing = msgspec.structs.replace(addon_state.models.listing, models=(lora,))
    models_list.sync_models(bpy.context.window_manager)
    before = settings().prior
    choose(lora.name)
    ops.use_model()
    assert (settings().lora, settings().prior) == (lora.name, before)
    assert "/big/clay.safetensors: LoRA" in drawn(opened)


def test_from_the_list_to_the_prior(opened, hub):
    rows = {row.name: row for row in addon_state.models.rows()}
    assert {row.state for row in rows.values()} == {"offered"}
    assert [item.name for item in bpy.context.window_manager.splatsmith_models] == list(rows)
    choose("stabilityai/stable-diffusion-xl-base-1.0")
    said = drawn(opened)
    assert "stabilityai/stable-diffusion-xl-base-1.0: On the hub" in said
    assert "The backend finds no graphics card here" in said
    addon_state.models.listing = on_a_card(addon_state.models.listing)
    said = drawn(opened)
    assert "On this graphics card: needs 10.0 GiB, the card has 8.0 GiB" in said
    assert "no graphics card" not in said
    assert "Download it first" in refusal(ops.use_model)
    hub.pause = 0.02
    opened.model_id = MODEL
    ops.download_model(model=opened.model_id)
    assert "wait, or cancel it" in refusal(ops.list_models)
    assert until(lambda: addon_state.models.progress and addon_state.models.progress.speed, 300, between=timer.tick)
    said = drawn(opened)
    assert " MB of 0.6 MB, " in said
    assert "/s, " in said
    hub.pause = 0
    assert idle()
    assert addon_state.models.text == f"{MODEL} is here: choose it and press Use."
    choose(MODEL)
    said = drawn(opened)
    assert f"{MODEL}: Here" in said
    assert addon_state.models.text in said
    row = models_list.row_named(MODEL)
    assert (row.licence, row.state) == ("openrail++", "here")
    assert "is here already" in refusal(ops.download_model, model="")
    ops.use_model()
    assert settings().prior == MODEL


def test_cancel_and_go_on(opened, hub):
    hub.pause = 0.05
    ops.download_model(model=MODEL)
    assert until(lambda: addon_state.models.progress and addon_state.models.progress.bytes, 300, between=timer.tick)
    ops.cancel_model()
    assert addon_state.models.state == "stopping"
    assert "Nothing is being downloaded" in refusal(ops.cancel_model)
    assert idle()
    assert "Download goes on from there" in addon_state.models.text
    assert not addon_state.models.failed
    choose(MODEL)
    assert f"{MODEL}: Incomplete" in drawn(opened)
    hub.pause = 0
    ops.download_model(model="")
    assert idle()
    assert models_list.row_named(MODEL).state == "here"
    assert [name for name in hub.asked() if any(hub.ranges(name))]


def test_failures_stand_below_the_list(opened, hub):
    ops.download_model(model="acme/tyni")
    assert idle()
    assert '"acme/tyni" is not on the hub' in addon_state.models.text
    assert "is not on the hub" in drawn(opened)
    opened.backend_folder = "/nowhere"
    assert "There is no backend in" in refusal(ops.list_models)
    assert "There is no backend in" in drawn(opened)
    opened.backend_folder = ""
    assert "Choose the Backend Folder" in refusal(ops.list_models)


def test_offline_and_remote(opened, hub):
    bpy.context.preferences.system.use_online_access = False
    assert "allow online access in Preferences > System" in refusal(ops.download_model, model=MODEL)
    ops.list_models()  # needs no network
    assert idle()
    opened.address = "192.0.2.1:47800"
    assert "on another computer: models are installed there" in drawn(opened)
    assert "on another computer" in refusal(ops.list_models)
    assert hub.log == []


def test_folders(opened, tmp_path, tiny_model):
    ops.add_model_folder(directory=str(tiny_model.parent))
    assert idle()
    assert addon_state.models.listing.folders == (str(tiny_model.parent),)
    choose(str(tiny_model))
    assert str(tiny_model) in drawn(opened)
    ops.use_model()
    assert settings().prior == str(tiny_model)
    ops.remove_model_folder(folder=str(tiny_model.parent))
    assert idle()
    assert models_list.row_named(str(tiny_model)) is None
    ops.add_model_folder(directory=str(tmp_path / "none"))
    assert idle()
    assert "does not exist: check the path" in addon_state.models.text


def test_the_process_ends_with_the_add_on(addon, hub):
    bpy.context.preferences.system.use_online_access = True
    hub.pause = 0.05
    ops.download_model(model=MODEL)
    models = addon_state.models
    assert until(lambda: models.progress and models.progress.bytes, 300, between=timer.tick)
    process = models._process
    bpy.ops.preferences.addon_disable(module="blender_addon")
    assert until(lambda: process.exit_code is not None, 60)
    bpy.ops.preferences.addon_enable(module="blender_addon")
    bpy.context.preferences.system.use_online_access = False
