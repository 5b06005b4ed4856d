"""Which files of a model are wanted, and what a folder lacks."""

import pytest

from backend.hub.layout import Part, missing_files, wanted_files

UNET, ENCODER = Part("unet", True), Part("text_encoder", True)
PARTS = (Part("scheduler", False), ENCODER, Part("tokenizer", False), UNET)


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["unet/diffusion_pytorch_model.safetensors"], ["unet/diffusion_pytorch_model.safetensors"]),
        (
            ["unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.safetensors",
             "text_encoder/model.safetensors"],
            ["text_encoder/model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"],
        ),
        (  # half precision in the text encoder alone: diffusers goes by the U-Net
            ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors",
             "text_encoder/model.fp16.safetensors"],
            ["text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors"],
        ),
        (
            [f"text_encoder/model{half}-0000{i}-of-00002.safetensors" for half in ("", ".fp16") for i in (1, 2)]
            + [f"text_encoder/model.safetensors.index{half}.json" for half in ("", ".fp16")]
            + ["unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/pytorch_model.bin.index.json"],
            ["text_encoder/model.fp16-00001-of-00002.safetensors", "text_encoder/model.fp16-00002-of-00002.safetensors",
             "text_encoder/model.safetensors.index.fp16.json", "unet/diffusion_pytorch_model.fp16.safetensors"],
        ),
    ],
)  # fmt: skip
def test_which_weights_are_wanted(names, weights):
    assert wanted_files(PARTS, names) == weights


def test_shards_are_counted(tmp_path):
    folder = tmp_path / "text_encoder"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors", '
                                                         '"b": "model-00002-of-00002.safetensors"}}')  # fmt: skip
    (folder / "model-00001-of-00002.safetensors").touch()
    lacks = ["text_encoder/model-00002-of-00002.safetensors"]
    assert missing_files(tmp_path, [ENCODER]) == lacks
    (folder / "model-00002-of-00002.safetensors").touch()
    assert missing_files(tmp_path, [ENCODER]) == []
