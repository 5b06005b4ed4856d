"""Single-file checkpoints: the shipped configurations describe the real models, and tiny ones load as what they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_checkpoints as tiny_files
import tiny_pipelines as tiny
import torch
from full_size import FullSize
from original_layout import original_pipeline, save_original
from safetensors.torch import load_file, save_file

from backend.priors.base import PriorError
from backend.priors.checkpoint_header import Header
from backend.priors.checkpoint_kind import tell_kind
from backend.priors.clip_words import CONFIGS, clip_tokenizer
from backend.priors.single_file import ENCODER_CLASSES, _check_networks
from backend.priors.stable_diffusion import load_stable_diffusion

FAMILIES = list(tiny_files.FAMILIES)
# Parameters of the published models: U-Net, VAE, text encoders; and the tensors in their single files.
PUBLISHED = {
    "sd1": (859_520_964, 83_653_863, [123_060_480], 1131),
    "sd2": (865_910_724, 83_653_863, [340_387_840], 1228),  # 23 of the 24 layers of OpenCLIP's text encoder
    "sdxl": (2_567_463_684, 83_653_863, [123_060_480, 694_659_840], 2515),
}
U = "model.diffusion_model."
SHAPES = {
    "sd1": {
        U + "input_blocks.0.0.weight": (320, 4, 3, 3),
        U + "input_blocks.1.1.proj_in.weight": (320, 320, 1, 1),
        U + "input_blocks.3.0.op.weight": (320, 320, 3, 3),
        U + "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight": (1280, 768),
        U + "middle_block.1.transformer_blocks.0.ff.net.0.proj.weight": (10240, 1280),
        U + "output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        U + "output_blocks.5.2.conv.weight": (1280, 1280, 3, 3),
        U + "output_blocks.11.0.skip_connection.weight": (320, 640, 1, 1),
        "first_stage_model.encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
        "first_stage_model.decoder.up.0.block.0.nin_shortcut.weight": (128, 256, 1, 1),
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (77, 768),
    },
    "sd2": {
        U + "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
        U + "input_blocks.1.1.proj_in.weight": (320, 320),
        U + "output_blocks.11.1.transformer_blocks.0.norm1.bias": (320,),
        "cond_stage_model.model.transformer.resblocks.22.attn.in_proj_weight": (3072, 1024),
        "cond_stage_model.model.token_embedding.weight": (49408, 1024),
    },
    "sdxl": {
        U + "label_emb.0.0.weight": (1280, 2816),
        U + "input_blocks.4.1.transformer_blocks.1.attn2.to_k.weight": (640, 2048),
        U + "middle_block.1.transformer_blocks.9.attn1.to_q.weight": (1280, 1280),
        U + "output_blocks.8.0.skip_connection.weight": (320, 640, 1, 1),
        "conditioner.embedders.0.transformer.text_model.encoder.layers.11.mlp.fc1.weight": (3072, 768),
        "conditioner.embedders.1.model.transformer.resblocks.31.mlp.c_fc.weight": (5120, 1280),
        "conditioner.embedders.1.model.text_projection": (1280, 1280),
    },
}


def refused(model, *parts, configs=CONFIGS):
    with pytest.raises(PriorError) as caught:
        load_stable_diffusion(model, "cpu", configs=configs)
    message = str(caught.value)
    assert "\n" not in message
    assert ": " in message
    for part in (model, *parts):
        assert str(part) in message, message


def load(checkpoints, file):
    return load_stable_diffusion(str(file), "cpu", configs=checkpoints.configs)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shipped_configurations_describe_the_published_models(family):
    model = FullSize(family)
    encoders = [getattr(model, name) for name in ENCODER_CLASSES if hasattr(model, name)]
    unet, vae, *texts = (
        sum(value.numel() for value in part.parameters()) for part in (model.unet, model.vae, *encoders)
    )
    original = original_pipeline(model)
    assert (unet, vae, texts, len(original)) == PUBLISHED[family]
    assert {name: tuple(original[name].shape) for name in SHAPES[family]} == SHAPES[family]
    shapes = {name: tuple(value.shape) for name, value in original.items()}
    header = Header(Path("published.safetensors"), shapes, tiny_files.SAYS_EPS)
    kind = tell_kind(header)
    assert (kind.family, kind.prediction_type, kind.notes) == (family, "epsilon", ())
    _check_networks(header, kind, CONFIGS / family)


def test_what_no_shape_tells():
    """Values of the published configurations that only a real checkpoint's pictures would show to be wrong."""
    read = {path.relative_to(CONFIGS).as_posix(): json.loads(path.read_text()) for path in CONFIGS.rglob("*.json")}
    assert [read[f"{family}/vae/config.json"]["scaling_factor"] for family in FAMILIES] == [0.18215, 0.18215, 0.13025]
    assert read["sdxl/vae/config.json"]["force_upcast"] is True
    assert [read[f"{family}/unet/config.json"]["sample_size"] for family in FAMILIES] == [64, 64, 128]
    heads = [read[f"{family}/unet/config.json"]["attention_head_dim"] for family in FAMILIES]
    assert heads == [8, [5, 10, 20, 20], [5, 10, 20]]
    activations = {name: config["hidden_act"] for name, config in read.items() if "text_encoder" in name}
    assert activations == {
        "sd1/text_encoder/config.json": "quick_gelu",
        "sd2/text_encoder/config.json": "gelu",
        "sdxl/text_encoder/config.json": "quick_gelu",
        "sdxl/text_encoder_2/config.json": "gelu",
    }
    for family in FAMILIES:
        betas = read[f"{family}/scheduler/scheduler_config.json"]
        assert (betas["beta_start"], betas["beta_end"], betas["beta_schedule"]) == (0.00085, 0.012, "scaled_linear")


def test_known_tokens():
    tokenizer = clip_tokenizer(CONFIGS / "sd1/tokenizer")
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("A  photo of a CAT!").input_ids == [49406, 320, 1125, 539, 320, 2368, 256, 49407]
    assert tokenizer("").input_ids == [49406, 49407]


PADDING = {"sd1/tokenizer": 49407, "sd2/tokenizer": 0, "sdxl/tokenizer": 49407, "sdxl/tokenizer_2": 0}


@pytest.mark.parametrize(("part", "padding"), PADDING.items())
def test_padding(part, padding):
    ids = clip_tokenizer(CONFIGS / part)("a cat", padding="max_length", truncation=True).input_ids
    assert ids == [49406, 320, 2368, 49407] + 73 * [padding]
    long = clip_tokenizer(CONFIGS / part)("a cat " * 60, padding="max_length", truncation=True).input_ids
    assert (len(long), long[-1]) == (77, 49407)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_predicts_as_the_pipeline_it_came_from(checkpoints, family):
    ours, folder = (
        load(checkpoints, checkpoints.files[family]),
        load_stable_diffusion(checkpoints.folders[family], "cpu"),
    )
    x_t, images = tiny.noisy(ours), torch.rand(1, 16, 16, 3)
    for text in ("a photo of a cat", ""):
        one, other = ours.condition([text] * 2), folder.condition([text] * 2)
        torch.testing.assert_close(one.tokens, other.tokens, rtol=0, atol=1e-6)
        torch.testing.assert_close(
            ours.predict(x_t, tiny.T, one), folder.predict(x_t, tiny.T, other), rtol=0, atol=1e-6
        )
    torch.testing.assert_close(ours.encode(images), folder.encode(images), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.decode(x_t), folder.decode(x_t), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.alphas_cumprod, folder.alphas_cumprod, rtol=0, atol=0)
    assert (ours.image_size, ours.notes) == (folder.image_size, [])
    assert not any(value.requires_grad for value in ours.denoiser.unet.parameters())
    assert torch.equal(ours.twin(4, 1).predict(x_t, tiny.T, one), ours.predict(x_t, tiny.T, one))


PRECISIONS = {torch.float16: 0.01, torch.bfloat16: 0.05, torch.float8_e4m3fn: 0.5}


@pytest.mark.parametrize(("dtype", "error"), PRECISIONS.items())
@pytest.mark.parametrize("family", FAMILIES)
def test_files_of_other_precisions(checkpoints, family, dtype, error, tmp_path):
    rounded = {name: value.to(dtype) for name, value in load_file(checkpoints.files[family]).items()}
    save_file(rounded, tmp_path / "half.safetensors", tiny_files.SAYS_EPS)
    ours, whole = load(checkpoints, tmp_path / "half.safetensors"), load(checkpoints, checkpoints.files[family])
    assert ours.denoiser.dtype == torch.float32
    x_t, text = tiny.noisy(ours), ["a photo of a cat"] * 2
    eps, expected = (prior.predict(x_t, tiny.T, prior.condition(text)) for prior in (ours, whole))
    assert 0 < (eps - expected).norm() < error * expected.norm()


def test_tensors_that_no_network_has(checkpoints, tmp_path):
    """Averaged weights and tables of noise levels, which older checkpoints carry."""
    more = {f"model_ema.x{number}": torch.zeros(2) for number in range(120)} | {"alphas_cumprod": torch.zeros(1000)}
    file = save_original(checkpoints.pipelines["sd1"], tmp_path / "old.safetensors", **more)
    ours, plain = load(checkpoints, file), load(checkpoints, checkpoints.files["sd1"])
    x_t, y = tiny.noisy(ours), plain.condition(["a cat"] * 2)
    assert torch.equal(ours.predict(x_t, tiny.T, y), plain.predict(x_t, tiny.T, y))


def test_text_encoders_under_the_names_of_other_programs(checkpoints, tmp_path):
    renamed = {
        "sd1": ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer."),
        "sd2": ("cond_stage_model.model.", "conditioner.embedders.0.model."),
    }
    for family, (usual, other) in renamed.items():
        tensors = {name.replace(usual, other): value for name, value in load_file(checkpoints.files[family]).items()}
        save_file(tensors, tmp_path / "other.safetensors", tiny_files.SAYS_EPS)
        files = (tmp_path / "other.safetensors", checkpoints.files[family])
        assert torch.equal(*(load(checkpoints, file).condition(["a cat"]).tokens for file in files))


def with_v(family, folder, checkpoints, how, metadata=None, **more):
    """A file whose U-Net predicts v, and the prior of the same pipeline from diffusers' folder."""
    pipeline = tiny_files.FAMILIES[family](prediction_type="v_prediction", **how)
    pipeline.save_pretrained(folder / "folder")
    return save_original(pipeline, folder / "model.safetensors", metadata, **more)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("by", ["key", "ztsnr", "metadata", "yaml"])
def test_v_prediction(checkpoints, family, by, tmp_path):
    more = {"key": ["v_pred"], "ztsnr": ["v_pred", "ztsnr"]}.get(by, [])
    metadata = {"modelspec.prediction_type": "v"} if by == "metadata" else None
    how = {"rescale_betas_zero_snr": by == "ztsnr"}
    file = with_v(family, tmp_path, checkpoints, how, metadata, **{name: torch.tensor([]) for name in more})
    if by == "yaml":
        file.with_suffix(".yaml").write_text('model:\n  params:\n    parameterization: "v"\n    linear_end: 0.0120\n')
    ours, folder = load(checkpoints, file), load_stable_diffusion(tmp_path / "folder", "cpu")
    assert ours.denoiser.prediction_type == "v_prediction"
    assert ours.notes == []
    x_t, y = tiny.noisy(ours), ours.condition(["a photo of a cat"] * 2)
    torch.testing.assert_close(ours.predict(x_t, tiny.T, y), folder.predict(x_t, tiny.T, y), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.alphas_cumprod, folder.alphas_cumprod, rtol=0, atol=0)
    assert ours.image_size == (192 if family == "sd2" else 16)  # 96 latents: the v models of 2.x are for 768 px


@pytest.mark.parametrize(("spread", "found", "symbol"), [(0.2, "v_prediction", "v"), (0.05, "epsilon", "eps")])
def test_the_spread_of_a_bias_tells_v_in_2x_and_is_told(checkpoints, spread, found, symbol, tmp_path):
    pipeline = tiny_files.sd2()
    bias = pipeline.unet.up_blocks[0].attentions[1].transformer_blocks[0].norm1.bias
    with torch.no_grad():
        bias.copy_(spread * torch.tensor([1.0, -1.0]).repeat(len(bias) // 2))
    prior = load(checkpoints, save_original(pipeline, tmp_path / "sd2.safetensors"))
    assert prior.denoiser.prediction_type == found
    (note,) = prior.notes
    assert note.startswith(f"sd2.safetensors does not say what it predicts; {symbol} is assumed")
    assert f"parameterization: {'eps' if symbol == 'v' else 'v'}" in note
    assert load(checkpoints, save_original(pipeline, tmp_path / "b.safetensors", tiny_files.SAYS_EPS)).notes == []


def test_a_name_that_speaks_of_v_is_told(checkpoints, tmp_path):
    prior = load(checkpoints, save_original(checkpoints.pipelines["sdxl"], tmp_path / "noob_vpred.safetensors"))
    assert prior.denoiser.prediction_type == "epsilon"
    assert "noob_vpred.yaml" in prior.notes[0]


def test_offline_and_away_from_any_cache(checkpoints, tmp_path):
    """In a process of its own whose network is shut: any socket to elsewhere would raise."""
    program = (
        "import socket, sys\n"
        "def shut(*_): raise AssertionError('asked the network')\n"
        "socket.socket.connect = socket.getaddrinfo = shut\n"
        "from pathlib import Path\n"
        "from backend.priors.stable_diffusion import load_stable_diffusion\n"
        "for file in sys.argv[2:]:\n"
        "    prior = load_stable_diffusion(file, 'cpu', configs=Path(sys.argv[1]))\n"
        "    print(prior.condition(['a cat']).tokens.shape[1])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, checkpoints.configs, *checkpoints.files.values()],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["77"] * 3
    assert "kept in float32" not in answer.stderr
