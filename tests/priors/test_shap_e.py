"""Shap-E: a tiny random one, saved in diffusers' format, loaded and run on the CPU; and what is refused."""

import shutil
import weakref

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_shap_e import COLOUR, save_shap_e

from backend.priors import shap_e
from backend.priors.base import PriorError
from backend.priors.shap_e import check_shap_e, shap_e_mesh

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_shap_e(tmp_path_factory.mktemp("shap-e"), 0.05)


@pytest.fixture
def copied(model, tmp_path):
    """One that a test may damage."""
    return shutil.copytree(model, tmp_path / "model")


def test_a_mesh_in_visible_colours_and_the_model_is_freed(model, monkeypatch):
    loaded, load = [], shap_e._load

    def remembered(*arguments):
        pipeline = load(*arguments)
        loaded.extend([weakref.ref(pipeline), weakref.ref(pipeline.prior), weakref.ref(pipeline.shap_e_renderer)])
        return pipeline

    monkeypatch.setattr(shap_e, "_load", remembered)
    mesh = shap_e_mesh(model, "a red chair", 3, CPU)
    assert len(loaded) == 3
    assert [part() for part in loaded] == [None] * 3
    assert mesh.is_watertight
    assert 0.1 < abs(mesh.bounds).max() < 1  # the model's own cube
    colours = torch.tensor(mesh.visual.vertex_colors[:, :3] / 255)
    torch.testing.assert_close(colours, torch.tensor(COLOUR).double().expand(len(colours), 3), atol=0.005, rtol=0)


def test_a_shape_without_a_surface_is_none(tmp_path):
    assert shap_e_mesh(save_shap_e(tmp_path, -1e4), "a red chair", 3, CPU) is None


def refused(model, *parts):
    """The one sentence with which a model is refused when it is loaded; and before that, where it can be told."""
    with pytest.raises(PriorError) as caught:
        shap_e_mesh(model, "a red chair", 3, CPU)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message
    with pytest.raises(PriorError) as caught:
        check_shap_e(model)
    assert "\n" not in str(caught.value)


def test_no_such_folder_and_other_kinds(tmp_path, folders):
    refused(str(tmp_path / "none"), tmp_path / "none", "does not exist")
    refused(folders["epsilon"], "is a StableDiffusionPipeline", "ShapEPipeline")
    refused("shap e", '"shap e"', "neither a folder nor a hub id")


def test_offline(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused("openai/shap-e", "openai/shap-e", "offline", "hf download openai/shap-e")


@pytest.mark.parametrize("part", ["prior", "shap_e_renderer", "text_encoder"])
def test_half_downloaded(copied, part):
    (file,) = (copied / part).glob("*.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:1000])
    refused(copied, file, "damaged", "again")
    file.unlink()
    refused(copied, copied / part, "no .safetensors")


def test_tensors_that_are_missing_are_not_replaced_by_random_ones(copied):
    (file,) = (copied / "shap_e_renderer").glob("*.safetensors")
    tensors = load_file(file)
    save_file({key: value for key, value in tensors.items() if key != "mlp.mlp.6.bias"}, file)
    with pytest.raises(PriorError, match=r"mlp\.mlp\.6\.bias"):
        shap_e_mesh(copied, "a red chair", 3, CPU)
