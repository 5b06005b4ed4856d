"""A model from a hub on loopback into the cache: what is asked for, what survives a bad network, what is refused."""

import os
import shutil
import subprocess
import time

import huggingface_hub.constants
import pytest
import tiny_pipelines as tiny

from backend.hub import fetch
from backend.hub.download import cached, download
from backend.hub.layout import ModelError, Part, missing_files
from backend.priors.base import PriorError
from backend.priors.stable_diffusion import load_stable_diffusion
from tests.models.conftest import MODEL

UNET, VAE = "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors"
WANTED = [
    "README.md",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "unet/config.json",
    UNET,
    "vae/config.json",
    VAE,
]


def finish(events):
    """All progress of a download, and its folder."""
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return seen, end.value


def refused(model, *parts):
    """The one sentence with which a download is refused."""
    with pytest.raises(ModelError) as caught:
        finish(download(model))
    message = str(caught.value)
    assert "\n" not in message
    assert f'"{model}"' in message
    for part in parts:
        assert str(part) in message, message
    return message


def test_only_what_is_needed_is_asked_for_and_it_loads(hub):
    assert cached(MODEL) is None
    seen, folder = finish(download(MODEL))
    assert hub.asked() == WANTED
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == WANTED
    total = sum((hub.models[MODEL] / name).stat().st_size for name in WANTED)
    assert (seen[-1].bytes, seen[-1].total) == (total, total)
    assert cached(MODEL) == folder
    before = len(hub.log)
    prior = load_stable_diffusion(MODEL, "cpu")  # from the cache, without a single request
    assert len(hub.log) == before
    assert prior.predict(tiny.noisy(prior), tiny.T, prior.condition(["a chair", ""])).isfinite().all()


def test_a_prior_by_its_hub_id_comes_the_same_way(hub):
    load_stable_diffusion(MODEL, "cpu")
    assert hub.asked() == WANTED


@pytest.mark.parametrize("breaks", [[8192], [4096, 8192, 0, 4096]])
def test_a_connection_that_breaks_goes_on_where_it_was(hub, monkeypatch, breaks):
    monkeypatch.setattr(fetch, "PAUSES", (0.05, 0.05))
    hub.break_after[UNET] = list(breaks)
    _, folder = finish(download(MODEL))
    assert (folder / UNET).read_bytes() == (hub.models[MODEL] / UNET).read_bytes()
    ranges = hub.ranges(UNET)
    assert ranges[0] is None
    assert ranges[1] == f"bytes={breaks[0]}-"
    assert len(ranges) == len(breaks) + 1


def test_what_came_is_kept_when_it_is_stopped_and_the_next_download_goes_on(hub):
    hub.pause = 0.02
    events = download(MODEL)
    while next(events).bytes < 40_000:
        pass
    events.close()
    partial = wait_for_partial(hub.cache)
    held = partial.stat().st_size
    assert held > 0
    hub.pause, sent = 0.0, hub.sent
    seen, folder = finish(download(MODEL))
    name = next(name for name in WANTED if hub.ranges(name)[-1])
    assert hub.ranges(name)[-1] == f"bytes={held}-"
    assert (folder / name).read_bytes() == (hub.models[MODEL] / name).read_bytes()
    assert hub.sent - sent < seen[-1].total - held + 10_000


def wait_for_partial(cache):
    """The incomplete file, once its thread has ended."""
    sizes = [-1, 0]
    while sizes[-1] != sizes[-2]:
        (partial,) = cache.rglob("*.incomplete")
        sizes.append(partial.stat().st_size)
        time.sleep(0.3)
    return partial


def test_a_wrong_hash_is_fetched_once_more_and_then_refused(hub):
    hub.damage[UNET] = 1
    _, folder = finish(download(MODEL))
    assert (folder / UNET).read_bytes() == (hub.models[MODEL] / UNET).read_bytes()
    assert hub.ranges(UNET) == [None, None]
    shutil.rmtree(hub.cache)
    hub.damage |= {"vae/config.json": 2}  # a small file, whose hash is git's
    refused(MODEL, "vae/config.json", "wrong hash twice", "removed")
    assert not list(hub.cache.rglob("*.incomplete"))
    assert cached(MODEL) is None


def test_a_partial_file_that_is_too_long_or_of_something_else_is_replaced(hub):
    finish(download(MODEL))
    blob = (hub.cache / "models--acme--tiny" / "snapshots").rglob("diffusion_pytorch_model.fp16.safetensors")
    for link in blob:
        target = link.resolve()
        link.unlink()
        target.rename(target.with_name(target.name + ".incomplete"))
        with target.with_name(target.name + ".incomplete").open("ab") as file:
            file.write(b"more")
    _, folder = finish(download(MODEL))
    assert (folder / UNET).read_bytes() == (hub.models[MODEL] / UNET).read_bytes()


def test_too_little_room_is_said_before_anything_comes(hub, small_disk, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(small_disk / "cache"))
    message = refused(MODEL, "needs 0.", "MB free: make room for", "HF_HOME")
    assert hub.asked() == ["model_index.json"]
    assert str(small_disk) in message


def test_a_disk_that_fills_up_is_a_sentence_and_what_came_is_kept(hub, small_disk, monkeypatch):
    """Another program takes the room after we looked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(small_disk / "cache"))
    monkeypatch.setattr("backend.hub.download._require_space", lambda *_: None)
    refused(MODEL, "disk is full", "free some space", small_disk)
    assert [file.stat().st_size for file in small_disk.rglob("*.incomplete")] > [0]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_refusals(hub, tiny_model, tmp_path):
    refused("stable-diffusion-v1-5/stable-difusion-v1-5", "did you mean stable-diffusion-v1-5/stable-diffusion-v1-5")
    refused("runwayml/stable-diffusion-v1-5", "did you mean stable-diffusion-v1-5/stable-diffusion-v1-5")
    assert "did you mean" not in refused("nobody/nothing", "not on the hub", "hf auth login")
    refused("a/b/c", "neither a folder nor a hub id")
    hub.gated.add(MODEL)
    refused(MODEL, "licence", f"{hub.endpoint}/{MODEL}", "hf auth login")
    hub.gated.clear()
    pickled = tmp_path / "pickled"
    shutil.copytree(tiny_model, pickled)
    for file in (pickled / "unet").glob("*.safetensors"):
        file.unlink()
    hub.models["acme/pickled"] = pickled
    refused("acme/pickled", "no .safetensors weights for unet", "any code")
    tiny.edit(pickled / "model_index.json", _class_name="FluxPipeline")
    shutil.rmtree(hub.cache, ignore_errors=True)
    from tests.models import loopback_hub

    loopback_hub.git_hash.cache_clear()
    refused("acme/pickled", "FluxPipeline", "StableDiffusionXLPipeline")
    (pickled / "model_index.json").unlink()
    shutil.rmtree(hub.cache, ignore_errors=True)
    refused("acme/pickled", "model_index.json", "diffusers")


def test_offline_and_no_network(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused(MODEL, "offline", "HF_HUB_OFFLINE")
    assert hub.log == []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    hub.close()
    refused(MODEL, "refused", f"hf download {MODEL}")
    with pytest.raises(PriorError, match=f'^prior "{MODEL}" is neither'):
        load_stable_diffusion(MODEL, "cpu")


def test_half_a_model_in_the_cache_is_not_taken_for_a_whole_one(hub, monkeypatch):
    _, folder = finish(download(MODEL))
    (folder / VAE).unlink()
    assert missing_files(folder, (Part("unet", True), Part("vae", True))) == ["vae/*.safetensors"]
    assert cached(MODEL) is None
    _, again = finish(download(MODEL))
    assert again == folder
    assert cached(MODEL) == folder
