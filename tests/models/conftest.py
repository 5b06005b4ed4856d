"""A tiny model on a hub on loopback, in both precisions and with the files that a real one has besides."""

import os

import huggingface_hub.constants
import huggingface_hub.hf_api
import pytest
import tiny_pipelines as tiny

from tests.models.loopback_hub import Hub

MODEL = "acme/tiny"
CARD = "---\nlicense: openrail++\n---\n# Tiny\n"
BESIDE = (
    "safety_checker/model.safetensors",
    "text_encoder/pytorch_model.bin",
    "text_encoder/model.onnx",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "vae/diffusion_flax_model.msgpack",
    "tiny.ckpt",
    "tiny.safetensors",
    "picture.png",
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of the model on the hub."""
    folder = tmp_path_factory.mktemp("hub") / "tiny"
    tiny.save_stable_diffusion(folder, variant="fp16")
    tiny.save_stable_diffusion(folder)
    (folder / "README.md").write_text(CARD)
    for name in BESIDE:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not wanted")
    return folder


@pytest.fixture
def loopback(tiny_model):
    """The hub alone, for processes that are told where it is."""
    hub = Hub({MODEL: tiny_model})
    yield hub
    hub.close()


@pytest.fixture
def hub(loopback, monkeypatch, tmp_path):
    """The hub, as ours is told of it in this process, with an empty cache in `hub.cache`."""
    files = f"{loopback.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", loopback.endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", loopback.endpoint)
    loopback.cache = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(loopback.cache))
    return loopback


@pytest.fixture
def environment(loopback, tmp_path):
    """The environment of a user with an empty home, whose hub is ours."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    folders = {"HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "hf"), "XDG_DATA_HOME": str(tmp_path / "data")}
    return {**kept, **folders, "HF_ENDPOINT": loopback.endpoint, "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
