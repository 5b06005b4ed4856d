"""Downloads of another kind: start shapes, a cache without links, large files on another server."""

import huggingface_hub.constants
import torch
from tiny_shap_e import save_shap_e

from backend.hub.download import cached, check, download
from backend.hub.layout import START_SHAPES
from backend.priors.shap_e import shap_e_mesh
from tests.models.conftest import MODEL
from tests.models.loopback_hub import Hub
from tests.models.test_download import UNET, finish, refused


def test_a_model_for_start_shapes_comes_the_same_way(hub, tmp_path):
    hub.models["acme/shapes"] = save_shap_e(tmp_path / "shapes", 0.05)
    refused("acme/shapes", "is a ShapEPipeline", "StableDiffusionPipeline")
    check("acme/shapes", START_SHAPES)
    assert hub.asked() == ["model_index.json"]
    _, folder = finish(download("acme/shapes", START_SHAPES))
    assert cached("acme/shapes", START_SHAPES) == folder
    assert "shap_e_renderer/diffusion_pytorch_model.safetensors" in hub.asked()
    mesh = shap_e_mesh("acme/shapes", "a red chair", 3, torch.device("cpu"))
    assert mesh.is_watertight
    (folder / "shap_e_renderer/diffusion_pytorch_model.safetensors").unlink()
    assert cached("acme/shapes", START_SHAPES) is None


def test_where_links_cannot_be_made_nothing_is_kept_twice(hub, monkeypatch):
    """As on Windows, unless it is in its developer mode."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_SYMLINKS", True)
    hub.break_after[UNET] = [8192]
    seen, folder = finish(download(MODEL))
    assert not any(file.is_symlink() for file in hub.cache.rglob("*"))
    written = [file for file in (hub.cache / "models--acme--tiny").rglob("*") if file.is_file()]
    kept = sum(file.stat().st_size for file in written if "trees" not in file.parts and "refs" not in file.parts)
    assert kept == seen[-1].total
    assert hub.ranges(UNET) == [None, "bytes=8192-"]
    assert cached(MODEL) == folder


def test_the_token_stays_with_the_hub(hub, loopback, tiny_model, monkeypatch):
    """Large files come from another server, to which the hub sends us on."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    store = Hub({MODEL: tiny_model})
    hub.large_files_at = store.endpoint
    store.break_after[UNET] = [8192]
    _, folder = finish(download(MODEL))
    store.close()
    assert (folder / UNET).read_bytes() == (tiny_model / UNET).read_bytes()
    assert store.ranges(UNET) == [None, "bytes=8192-"]
    assert store.tokens == {None}
    assert hub.tokens == {"Bearer hf_secret"}
