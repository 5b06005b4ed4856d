"""Models that the diffusers prior refuses: one sentence each, that names the folder and says what to do."""

import shutil
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import huggingface_hub.constants
import huggingface_hub.hf_api
import pytest
import tiny_pipelines as tiny
import torch
from diffusers import EDMEulerScheduler
from safetensors.torch import load_file, save_file

from backend.priors.base import PriorError
from backend.priors.stable_diffusion import load_stable_diffusion


def refused(model, *parts):
    """The one sentence with which a model is refused, every part of it present."""
    with pytest.raises(PriorError) as caught:
        load_stable_diffusion(model, "cpu")
    message = str(caught.value)
    assert "\n" not in message
    assert ": " in message
    for part in parts:
        assert str(part) in message, message


def test_no_such_folder(tmp_path):
    refused(tmp_path / "none", tmp_path / "none", "does not exist", "hub id")
    refused(str(tmp_path / "none"), "does not exist")
    refused("./none", "./none", "does not exist")


def test_not_a_diffusers_folder(tmp_path):
    refused(tmp_path, tmp_path, "model_index.json")
    (tmp_path / "sd.safetensors").touch()
    refused(tmp_path / "sd.safetensors", "sd.safetensors", "damaged or only half copied")


def test_no_hub_id():
    refused("stable diffusion", '"stable diffusion"', "neither a folder nor a hub id")
    refused("a/b/c", "neither a folder nor a hub id")


def test_offline(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused("nobody/nothing", "nobody/nothing", "offline", "hf download nobody/nothing", "copy that folder here")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that answers everything with 404 and the error code in `hub.code`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.send_header("X-Error-Code", server.code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.code = "RepoNotFound"
    threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_not_on_the_hub(hub):
    refused("nobody/nothing", "not on the hub", "hf auth login")


def test_hub_out_of_order(hub):
    hub.code = "Strange"
    refused("nobody/nothing", "404", "hf download nobody/nothing")


def test_hub_unreachable(hub):
    hub.shutdown()
    hub.server_close()
    refused("nobody/nothing", "refused", "hf download nobody/nothing")


def test_from_the_cache_without_network(folders, priors, monkeypatch, tmp_path):
    repository = tmp_path / "models--tiny--sd"
    shutil.copytree(folders["epsilon"], repository / "snapshots" / "0123abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    prior = load_stable_diffusion("tiny/sd", "cpu")
    x_t, null = tiny.noisy(prior), prior.condition(["", ""])
    assert torch.equal(prior.predict(x_t, tiny.T, null), priors["epsilon"].predict(x_t, tiny.T, null))
    tiny.edit(repository / "snapshots" / "0123abc" / "model_index.json", _class_name="FluxPipeline")
    refused("tiny/sd", "FluxPipeline", "StableDiffusionXLPipeline")


@pytest.mark.parametrize("name", ["FluxPipeline", "StableDiffusionInpaintPipeline", ["my_pipeline", "Mine"]])
def test_another_kind_of_pipeline(copied, name):
    tiny.edit(copied / "model_index.json", _class_name=name)
    refused(copied, name, "StableDiffusionPipeline, StableDiffusionXLPipeline, IFPipeline")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"_class_name": "Stable'])
def test_index_in_pieces(copied, content):
    (copied / "model_index.json").write_text(content)
    refused(copied, copied, "model_index.json")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("keep", [0, 4, 5000])
def test_a_file_cut_short(copied, part, keep):
    (file,) = (copied / part).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    refused(copied, file, "damaged", "again")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_pickled_weights(copied, part):
    (file,) = (copied / part).glob("*.safetensors")
    file.rename(file.with_suffix(".bin"))
    refused(copied, copied / part, ".bin", "use_safetensors=False", "save_pretrained")
    file.with_suffix(".bin").unlink()
    refused(copied, copied / part, "no .safetensors")


def test_tensors_missing_or_of_another_shape(copied):
    (file,) = (copied / "unet").glob("*.safetensors")
    tensors = load_file(file)
    save_file({key: value for key, value in tensors.items() if key != "conv_in.bias"}, file)
    refused(copied, copied / "unet", "conv_in.bias")
    save_file(tensors | {"conv_in.bias": torch.zeros(3)}, file)
    refused(copied, copied / "unet", "UNet2DConditionModel", "conv_in.bias")


@pytest.mark.parametrize("part", ["unet/config.json", "scheduler/scheduler_config.json", "vae/config.json"])
def test_config_missing_or_unreadable(copied, part):
    (copied / part).write_text("{")
    refused(copied, (copied / part).parent)
    (copied / part).unlink()
    refused(copied, (copied / part).parent)


@pytest.mark.parametrize("part", ["tokenizer", "text_encoder"])
def test_part_missing(copied, part):
    for file in (copied / part).iterdir():
        file.unlink()
    refused(copied, copied / part)
    shutil.rmtree(copied / part)
    refused(copied, copied)


def test_schedulers_that_we_cannot_use(copied, tmp_path):
    tiny.edit(copied / "scheduler" / "scheduler_config.json", prediction_type="flow")
    refused(copied, copied, '"flow"', "epsilon, v_prediction, sample")
    EDMEulerScheduler().save_pretrained(copied / "scheduler")
    refused(copied, copied, "EDMEulerScheduler", "betas")
