"""Single files that are refused as a prior: one sentence each, that says what the file is and what to do."""

import pytest
import tiny_checkpoints as tiny_files
import torch
from original_layout import UNET, save_original
from safetensors.torch import load_file, save_file

from backend.priors.base import PriorError
from backend.priors.checkpoint_header import is_file_name
from backend.priors.stable_diffusion import load_stable_diffusion

FAMILIES = list(tiny_files.FAMILIES)
TITLES = {"sd1": "Stable Diffusion 1.x", "sd2": "Stable Diffusion 2.x", "sdxl": "Stable Diffusion XL"}
ENCODERS = {"sd1": "cond_stage_model.", "sd2": "cond_stage_model.", "sdxl": "conditioner."}


@pytest.fixture
def refused(checkpoints):
    def check(file, *parts):
        with pytest.raises(PriorError) as caught:
            load_stable_diffusion(file, "cpu", configs=checkpoints.configs)
        message = str(caught.value)
        assert "\n" not in message
        assert ": " in message
        assert len(message) < 500, message
        for part in (file, *parts):
            assert str(part) in message, message

    return check


def written(file, *names, **tensors):
    save_file({name: torch.zeros(2, 2) for name in names} | tensors, file)
    return file


INPUTS = {9: "an inpainting model", 8: "edits pictures", 5: "depth-to-image", 7: "an upscaler", 12: "12 channels"}


@pytest.mark.parametrize(("channels", "what"), INPUTS.items())
@pytest.mark.parametrize("family", FAMILIES)
def test_models_that_take_more_than_text(checkpoints, refused, family, channels, what, tmp_path):
    first = {f"{UNET}input_blocks.0.0.weight": torch.zeros(8, channels, 3, 3)}
    file = save_original(checkpoints.pipelines[family], tmp_path / "model.safetensors", **first)
    refused(file, what, "pictures from text alone")


STRANGERS = {
    "a LoRA: pass it with --lora": ("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight",),
    "a LoRA: pass it with --lora, beside": ("unet.mid_block.attentions.0.proj_in.lora_A.weight",),
    "a textual inversion": ("emb_params",),
    "a ControlNet": ("control_model.input_blocks.0.0.weight",),
    "a VAE alone": ("encoder.conv_in.weight", "decoder.conv_in.weight"),
    "pass the whole folder": ("down_blocks.0.resnets.0.conv1.weight", "mid_block.resnets.0.conv1.weight"),
    "a model of the kind flux-schnell": ("model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale",),
    "a model of the kind sd35_large": ("model.diffusion_model.joint_blocks.37.x_block.mlp.fc1.weight",),
    "of a kind that Splatsmith does not know": ("something.weight",),
}


@pytest.mark.parametrize(("what", "names"), STRANGERS.items())
def test_files_without_a_unet_of_these_families(refused, what, names, tmp_path):
    refused(written(tmp_path / "model.safetensors", *names), what)


def test_stable_diffusion_3(refused, tmp_path):
    names = {
        "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias": torch.zeros(9216),
        "model.diffusion_model.pos_embed": torch.zeros(1, 36864, 1),
    }
    refused(written(tmp_path / "model.safetensors", **names), "a model of the kind sd3: use a checkpoint of Stable")
    del names["model.diffusion_model.pos_embed"]  # which diffusers' own function would miss
    refused(written(tmp_path / "part.safetensors", **names), "use a checkpoint of Stable Diffusion 1.x")


def test_no_tensors_at_all(refused, tmp_path):
    refused(written(tmp_path / "model.safetensors"), "does not know")


def test_the_refiner_unclip_and_edm(checkpoints, refused, tmp_path):
    tensors = load_file(checkpoints.files["sdxl"])
    one = {name: value for name, value in tensors.items() if not name.startswith("conditioner.embedders.0.")}
    refiner = {
        name.replace("conditioner.embedders.1.", "conditioner.embedders.0."): value for name, value in one.items()
    }
    save_file(refiner, tmp_path / "refiner.safetensors")
    refused(tmp_path / "refiner.safetensors", "refiner", "pass the base model")
    save_file(tensors | {"edm_mean": torch.zeros(4), "edm_std": torch.zeros(4)}, tmp_path / "edm.safetensors")
    refused(tmp_path / "edm.safetensors", "noise levels")
    vector = {f"{UNET}label_emb.0.0.weight": torch.zeros(32, 16)}
    file = save_original(checkpoints.pipelines["sd2"], tmp_path / "unclip.safetensors", **vector)
    refused(file, "pictures as prompts")


@pytest.mark.parametrize("family", FAMILIES)
def test_without_vae_or_text_encoder(checkpoints, refused, family, tmp_path):
    pipeline, file = checkpoints.pipelines[family], tmp_path / "model.safetensors"
    encoders = "text encoders" if family == "sdxl" else "text encoder"
    advice = "choose the version of it that has VAE and text encoder in the file"
    for without, what in (
        (["first_stage_model."], "VAE"),
        ([ENCODERS[family]], encoders),
        (["first_stage_model.", ENCODERS[family]], f"VAE and {encoders}"),
    ):
        save_original(pipeline, file, without=without)
        refused(file, f"is a {TITLES[family]} checkpoint without its {what}: {advice}")


@pytest.mark.parametrize("keep", [0, 4, 300, -1, 0.5])
def test_half_copied(checkpoints, refused, keep, tmp_path):
    whole = checkpoints.files["sd1"].read_bytes()
    file = tmp_path / "model.safetensors"
    file.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    refused(file, "damaged or only half copied", "download or copy it again")


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".CKPT"])
def test_pickles(refused, suffix, tmp_path):
    file = tmp_path / f"model{suffix}"
    refused(file, "does not exist")
    torch.save({"state_dict": {}}, file)
    refused(file, "pickle", "any code", "download its .safetensors version")


def test_pickles_under_another_name(refused, tmp_path):
    file = tmp_path / "model.safetensors"
    for new in (True, False):
        torch.save({"state_dict": {}}, file, _use_new_zipfile_serialization=new)
        refused(file, "pickle", "any code")


def test_files_of_other_formats(refused, tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    refused(tmp_path / "model.gguf", "not a .safetensors file")
    (tmp_path / "model").write_bytes(b"what")
    refused(tmp_path / "model", "not a .safetensors file")
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    refused(tmp_path / "model.safetensors", "git lfs pull")


def test_names_of_files_and_of_other_models(refused, tmp_path):
    """A missing file is not looked for on the hub, even where its path would be a hub id."""
    refused("models/sd15.safetensors", "does not exist")
    folder = tmp_path / "a.safetensors"
    folder.mkdir()
    refused(folder, "not a diffusers folder")
    names = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "owner/name.v2", tmp_path, "embedded")
    assert not any(map(is_file_name, names))


BUILDS = {
    "is missing": lambda tensors, name: {key: value for key, value in tensors.items() if key != name},
    "instead of": lambda tensors, name: tensors | {name: torch.zeros(3, 3)},
}


@pytest.mark.parametrize(("what", "change"), BUILDS.items())
@pytest.mark.parametrize("family", FAMILIES)
def test_networks_of_another_build(checkpoints, refused, family, what, change, tmp_path):
    tensors, file = load_file(checkpoints.files[family]), tmp_path / "model.safetensors"
    for name, network in (
        (f"{UNET}time_embed.2.weight", "U-Net"),
        (f"{UNET}middle_block.1.transformer_blocks.0.attn1.to_q.weight", "U-Net"),
        ("first_stage_model.decoder.conv_in.bias", "VAE"),
    ):
        assert name in tensors
        save_file(change(tensors, name), file)
        refused(file, TITLES[family], f"its {network} is of another build", what)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_unet_with_more_than_the_family_has(checkpoints, refused, family, tmp_path):
    """Such as the guidance embedding of LCM and scales of eight-bit weights, which change what it predicts."""
    for name in ("time_embed.cond_proj.weight", "middle_block.1.proj_in.scale_weight"):
        file = tmp_path / "model.safetensors"
        save_original(checkpoints.pipelines[family], file, **{UNET + name: torch.zeros(4)})
        refused(file, "its U-Net is of another build", "known")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_incomplete_text_encoder(checkpoints, refused, family, tmp_path):
    tensors, file = load_file(checkpoints.files[family]), tmp_path / "model.safetensors"
    own = [name for name in tensors if name.startswith(ENCODERS[family])]
    (norm,) = [
        name for name in own if name.endswith(("final_layer_norm.bias", "ln_final.bias")) and ".1.model" not in name
    ]
    save_file({name: value for name, value in tensors.items() if name != norm}, file)
    refused(file, "lacks 1 tensors of its text encoder", "final_layer_norm.bias")
    (words,) = [name for name in own if "token_embedding" in name and ".1.model" not in name]
    save_file(tensors | {words: tensors[words][:100]}, file)
    refused(file, TITLES[family], "use another one")
