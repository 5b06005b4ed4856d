"""What is on this machine: the hub's cache, own folders, those of ComfyUI and A1111, and whether it fits a card."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub.constants
import pytest
import tiny_pipelines as tiny
import torch

from backend.hub.download import download
from backend.hub.suggested import SUGGESTED
from backend.models.families import CARD_FAMILIES
from backend.models.fitting import GIB, fit, this_card
from backend.models.folders import FILE, FolderError, add_folder, added_folders, remove_folder
from backend.models.listing import listing
from shared.models import Card
from tests.models.conftest import MODEL
from tests.models.test_download import UNET, finish
from tests.models.weights import save


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A user without models or settings."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    this_card.cache_clear()
    return tmp_path / "home"


def listed():
    return {model.name: model for model in listing().models}


def test_nothing_is_here_yet():
    found = listing()
    assert (found.models, found.folders, found.card) == ((), (), None)
    assert [offer.here for offer in found.suggested] == [False] * len(SUGGESTED)
    assert {offer.fit.text for offer in found.suggested} == {"no graphics card"}


def test_the_cache_whole_and_half(hub):
    _, folder = finish(download(MODEL))
    model = listed()[MODEL]
    assert (model.source, model.whole, model.licence, model.problem) == ("hub", True, "openrail++", "")
    assert model.size == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    blob = (folder / UNET).resolve()
    (folder / UNET).unlink()
    blob.rename(blob.with_name(blob.name + ".incomplete"))
    half = listed()[MODEL]
    assert not half.whole
    assert half.problem == f"{MODEL} lacks unet/*.safetensors: download it again, which goes on."
    assert half.size == model.size  # the incomplete file takes its room, too


def test_a_download_that_was_stopped_is_listed(hub):
    hub.pause = 0.02
    events = download(MODEL)
    while next(events).bytes < 40_000:
        pass
    events.close()
    model = listed()[MODEL]
    assert not model.whole
    assert "download it again, which goes on" in model.problem


def test_other_things_in_the_cache(tiny_model, tmp_path):
    for name, content in (("flux", {"_class_name": "FluxPipeline"}), ("words", None)):
        repository = tmp_path / "cache" / f"models--acme--{name}"
        snapshot = repository / "snapshots" / "0123abc"
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0123abc")
        (repository / "blobs").mkdir()
        (snapshot / ("config.json" if content is None else "model_index.json")).write_text(json.dumps(content or {}))
    (tmp_path / "cache" / "no repository").mkdir()
    (model,) = listing().models
    assert (model.name, model.whole) == ("acme/flux", False)
    assert "FluxPipeline" in model.problem


FAMILIES = {
    "SD 1.5": ({"cross_attention_dim": 768}, {}, "StableDiffusionPipeline"),
    "SD 2.1-base": ({"cross_attention_dim": 1024}, {}, "StableDiffusionPipeline"),
    "SD 2.1 v": ({"cross_attention_dim": 1024}, {"prediction_type": "v_prediction"}, "StableDiffusionPipeline"),
    "SDXL": ({"addition_embed_type": "text_time"}, {}, "StableDiffusionXLPipeline"),
    "IF": ({"in_channels": 3}, {}, "IFPipeline"),
    "": ({}, {}, "StableDiffusionPipeline"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_folders(tiny_model, tmp_path, family):
    unet, scheduler, pipeline = FAMILIES[family]
    folder = shutil.copytree(tiny_model, tmp_path / "own" / "model")
    tiny.edit(folder / "unet/config.json", **unet)
    tiny.edit(folder / "scheduler/scheduler_config.json", **scheduler)
    tiny.edit(folder / "model_index.json", _class_name=pipeline)
    add_folder(tmp_path / "own")
    (model,) = listing().models
    assert (model.name, model.source, model.family, model.whole) == (str(folder), "folder", family, True)
    assert model.size == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_checkpoints_and_loras_of_comfyui_and_a1111(home, tmp_path):
    comfy, a1111, other = home / "ComfyUI", home / "stable-diffusion-webui", tmp_path / "big disk"
    files = {
        save(comfy / "models/checkpoints/real/photo.safetensors", "SD 1.5"): ("file", "SD 1.5"),
        save(comfy / "models/checkpoints/v2.safetensors", "SD 2.1-base", **{"modelspec.prediction_type": "epsilon"}): (
            "file",
            "SD 2.1-base",
        ),
        save(comfy / "models/checkpoints/v.safetensors", "SD 2.1-base", **{"modelspec.prediction_type": "v"}): (
            "file",
            "SD 2.1 v",
        ),
        save(comfy / "models/loras/style.safetensors", "LoRA"): ("LoRA", "SDXL"),
        save(a1111 / "models/Stable-diffusion/xl.safetensors", "SDXL", **{"modelspec.license": "MIT"}): (
            "file",
            "SDXL",
        ),
        save(other / "ckpt/more.safetensors", "SDXL"): ("file", "SDXL"),
    }
    save(comfy / "models/vae/vae.safetensors", "VAE")  # no place for checkpoints
    (comfy / "extra_model_paths.yaml").write_text(
        f"mine:\n  base_path: {other}\n  checkpoints: |\n    ckpt\n    none\n  vae: models\n"
    )
    models = listed()
    assert {name: (one.source, one.family) for name, one in models.items()} == {
        str(file): expected for file, expected in files.items()
    }
    assert all(one.whole and not one.problem for one in models.values())
    assert models[str(a1111 / "models/Stable-diffusion/xl.safetensors")].licence == "MIT"
    add_folder(comfy)  # found already
    assert listed().keys() == models.keys()


def test_files_that_cannot_be_used_are_said(tmp_path):
    own = tmp_path / "own"
    cut = save(own / "cut.safetensors", "SD 1.5")
    cut.write_bytes(cut.read_bytes()[:-4])
    (own / "pickled.ckpt").write_bytes(b"PK\x03\x04")
    save(own / "vae.safetensors", "VAE")
    add_folder(own)
    models = {name.rpartition("/")[2]: model for name, model in listed().items()}
    assert "damaged or only half copied" in models["cut.safetensors"].problem
    assert not models["cut.safetensors"].whole
    assert "can run any code" in models["pickled.ckpt"].problem
    assert "a VAE alone" in models["vae.safetensors"].problem


def test_no_weights_are_read(tmp_path, monkeypatch):
    save(tmp_path / "own" / "big.safetensors", "SD 1.5")
    add_folder(tmp_path / "own")
    monkeypatch.setattr(torch, "frombuffer", None)
    monkeypatch.setattr("safetensors.torch.load_file", None)
    assert next(iter(listed().values())).family == "SD 1.5"


def test_folders_are_added_and_removed(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    add_folder(own)
    add_folder(own)
    assert added_folders() == (str(own),)
    with pytest.raises(FolderError, match="does not exist: check the path"):
        add_folder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="is a file: add the folder"):
        add_folder(tmp_path / "file")
    with pytest.raises(FolderError, match=f"was not added: the added folders are {own}"):
        remove_folder(tmp_path)
    own.rmdir()
    assert listing().models == ()  # a disk that is not there now
    remove_folder(own)
    assert added_folders() == ()
    (tmp_path / "data/splatsmith" / FILE).write_text("{")
    with pytest.raises(FolderError, match="is damaged"):
        listing()


@pytest.mark.parametrize(
    ("family", "gigabytes", "fits", "text"),
    [
        ("SD 2.1-base", 3.8, False, "needs 4.0 GiB, the card has 3.8 GiB"),
        ("SD 2.1-base", 4, True, "1 view a step"),
        ("SD 2.1-base", 6, True, "8 views a step"),
        ("SDXL", 8, False, "needs 10.0 GiB, the card has 8.0 GiB"),
        ("SDXL", 11, True, "2 views a step"),
        ("SDXL", 24, True, "8 views a step"),
    ],
)
def test_what_fits_a_card(family, gigabytes, fits, text):
    found = fit(CARD_FAMILIES[family], Card("RTX", int(gigabytes * GIB)))
    assert (found.fits, found.text) == (fits, text)


def test_the_card_is_asked_for_its_name_and_memory(monkeypatch, tmp_path):
    card = SimpleNamespace(name="NVIDIA GeForce RTX 4060", total_memory=8 * GIB)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    save(tmp_path / "own" / "a.safetensors", "SDXL")
    add_folder(tmp_path / "own")
    found = listing()
    assert found.card == Card("NVIDIA GeForce RTX 4060", 8 * GIB)
    assert [(offer.family, offer.fit.fits) for offer in found.suggested] == [
        ("SD 1.5", True), ("SD 2.1-base", True), ("SD 2.1 v", True), ("SDXL", False),
    ]  # fmt: skip
    assert found.models[0].fit.text == "needs 10.0 GiB, the card has 8.0 GiB"
