"""Splats on the CPU and the prior on a card, as on ROCm, on Apple's, and where the card's renderer cannot be built."""

import pytest
import tiny_pipelines as tiny
import torch
from kits import small_catalogue
from meta_card import META, Card, on_the_card, plain_adam

from backend.cameras import orbit
from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.priors import text_encoder
from backend.priors.catalogue import CataloguePrior
from backend.priors.stable_diffusion import load_stable_diffusion
from backend.run import assemble as assembling
from backend.run import devices
from backend.run.assemble import assemble, load_prior
from backend.run.distill import distill
from backend.run.events import StepDone
from backend.scenes.field import FieldScene
from backend.scenes.field_grid import blob
from backend.scenes.settings import FieldSettings

pytestmark = pytest.mark.filterwarnings("ignore:cov\\(\\)")
CPU = torch.device("cpu")
NO_KERNELS = "ModuleNotFoundError: No module named 'cuda'"


@pytest.fixture(autouse=True)
def fake_card(monkeypatch):
    plain_adam(monkeypatch)
    monkeypatch.setattr(text_encoder, "free_bytes", lambda _device: 0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return on_the_card(load_stable_diffusion(tiny.save_stable_diffusion(tmp_path_factory.mktemp("tiny")), "cpu"))


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return small_catalogue(tmp_path_factory.mktemp("kit"))


def steps_of(job, prior):
    """Three steps, the third of which grows."""
    run = assemble(job, prior, META)
    assert run.scene.device == CPU
    with Card():
        events = list(distill(run, 3))
    assert all(parameter.device == CPU for parameter in run.scene.params.values())
    return events


SPLATS = {"initial_count": 100, "refine_every": 1, "refine_start": 0.0}


@pytest.mark.parametrize("perp_neg", [False, True])
@pytest.mark.parametrize("objective", RULES)
def test_every_rule_with_a_large_model_on_the_card(model, objective, perp_neg):
    recipe = {"steps": 10, "stages": [{"side": 32}], "perp_neg": perp_neg, "splats": SPLATS}
    fields = {"prompt": "a red chair", "negative_prompt": "blue", "objective": objective, "prior": "/some/model"}
    events = steps_of(make_job({**fields, "recipe": recipe}), model)
    assert sum(isinstance(event, StepDone) for event in events) == 3


@pytest.mark.parametrize("objective", RULES)
def test_every_rule_with_a_kit_on_the_card(kit, objective):
    job = make_job({"prompt": "a chair", "objective": objective, "recipe": {"steps": 10, "splats": SPLATS}})
    prior = CataloguePrior(kit, "a chair", "", job.recipe.catalogue, side=32, device=META)
    events = steps_of(job, prior)
    assert sum(isinstance(event, StepDone) for event in events) == 3


@pytest.mark.parametrize("scene", ["splats", "field"])
@pytest.mark.parametrize("objective", [name for name, rule in RULES.items() if rule.particles])
def test_every_rule_that_takes_particles_with_a_kit_on_the_card(kit, objective, scene):
    recipe = FIELD if scene == "field" else {"steps": 10, "splats": SPLATS}
    job = make_job({"prompt": "a chair", "objective": objective, "scene": scene, "particles": 2, "recipe": recipe})
    prior = CataloguePrior(kit, "a chair", "", job.recipe.catalogue, side=32, device=META)
    assert sum(isinstance(event, StepDone) for event in steps_of(job, prior)) == 3


FIELD = {"steps": 10, "stages": [{"side": 32}], "field": {"levels": [4, 8], "samples": 8}}


@pytest.mark.parametrize("objective", RULES)
def test_every_rule_on_a_field_with_a_large_model_on_the_card(model, objective):
    fields = {"prompt": "a red chair", "objective": objective, "prior": "/some/model", "scene": "field"}
    events = steps_of(make_job({**fields, "recipe": FIELD}), model)
    assert sum(isinstance(event, StepDone) for event in events) == 3


@pytest.mark.parametrize("objective", RULES)
def test_every_rule_on_a_field_with_a_kit_on_the_card(kit, objective):
    job = make_job({"prompt": "a chair", "objective": objective, "scene": "field", "recipe": FIELD})
    prior = CataloguePrior(kit, "a chair", "", job.recipe.catalogue, side=32, device=META)
    assert sum(isinstance(event, StepDone) for event in steps_of(job, prior)) == 3


def test_a_field_on_the_card_is_drawn_and_optimised_there_without_waiting():
    settings = FieldSettings(levels=(4, 8), samples=8, orientation_weight=1.0, distortion_weight=1.0, tv_weight=1.0)
    scene = FieldScene(blob(8, 0.6, 2.0), settings, 4, META)
    with Card() as card:
        render = scene.render(orbit(2), 16, 16, torch.ones(2, 3))
        (render.picture(4).sum() + scene.regulariser(render)).backward()
        scene.step(0, render, None)
    assert render.rgb.device == render.depth.device == META
    assert render.rgb.shape == (2, 16, 16, 3)
    assert not +card.waits


def test_a_field_is_on_nvidias_card_and_beside_another_on_the_cpu():
    assert devices.scene_device("field", torch.device("cuda")) == (torch.device("cuda"), [])
    assert devices.scene_device("field", CPU) == (CPU, [])
    place, (note,) = devices.scene_device("field", torch.device("mps"))
    assert place == CPU
    assert note.startswith("The field is drawn on the CPU, only the prior works on the card:")


def test_a_card_whose_renderer_cannot_be_built_keeps_the_prior(monkeypatch):
    cuda = torch.device("cuda")
    monkeypatch.setattr(devices, "_renderer_fails", lambda _device: NO_KERNELS)
    place, (note,) = devices.splats_device(cuda)
    assert place == CPU
    assert NO_KERNELS in note
    assert note.endswith("Run python build.py setup, which brings what its renderer needs.")
    assert devices.renderer(cuda) == "own kernel on the CPU"
    monkeypatch.setattr(devices, "_renderer_fails", lambda _device: "")
    assert devices.splats_device(cuda) == (cuda, [])
    place, (note,) = devices.splats_device(torch.device("mps"))
    assert (place, note.endswith("on the card: there is no renderer for this kind of card.")) == (CPU, True)


def test_the_reason_is_what_happens_when_splats_are_drawn():
    """On a machine without a card torch itself refuses."""
    if torch.cuda.is_available():
        pytest.skip("there is a card")
    assert "CUDA" in (devices._renderer_fails(torch.device("cuda")))


def test_kits_are_computed_on_the_cpu_beside_apples_card(monkeypatch):
    job = make_job({"prompt": "a chair"})
    prior, _ = load_prior(job, torch.device("mps"))
    assert prior.device == CPU
    large, seen = make_job({"prompt": "a chair", "prior": "/some/model"}), []

    class Model:
        notes = ()

    monkeypatch.setattr(assembling, "load_large_prior", lambda _name, device, _loras: (seen.append(device), Model())[1])
    load_prior(large, torch.device("mps"))
    assert seen == [torch.device("mps")]
