"""Which model a single-file checkpoint is, told from the names and shapes in its header.

The families have the same U-Net classes and differ in three marks: Stable Diffusion 1.x projects tokens by 1x1
convolutions where 2.x has linear layers, and SDXL also takes a vector of sizes and pooled text (`label_emb`).

What the U-Net predicts, ε or v, is not in its shapes.  In this order we believe: a `v_pred` tensor, which fine-tunes
carry; `modelspec.prediction_type` in the metadata; a YAML file of the same name, as A1111 asks for; for 2.x the spread
of one bias, above 0.09 in Stability AI's v-prediction models, which is ComfyUI's rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import safe_open

from backend.priors.base import PriorError
from backend.priors.checkpoint_header import Header
from backend.priors.lora_kind import is_lora

FamilyName = Literal["sd1", "sd2", "sdxl"]
TITLES: dict[FamilyName, str] = {
    "sd1": "Stable Diffusion 1.x",
    "sd2": "Stable Diffusion 2.x",
    "sdxl": "Stable Diffusion XL",
}
WANTED = f"use a checkpoint of {', '.join(TITLES.values())}"
UNET = "model.diffusion_model."
VAE = ("first_stage_model.", "vae.")
ENCODERS: dict[FamilyName, tuple[str, ...]] = {
    "sd1": ("cond_stage_model.transformer.",),
    "sd2": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
}
LAST_BIAS = re.compile(re.escape(UNET) + r"output_blocks\.(\d+)\.1\.transformer_blocks\.0\.norm1\.bias")
V_SPREAD = 0.09  # between the standard deviations of that bias in the ε and the v models of Stability AI

# What other files are, by a tensor that only they have; the first one that fits.
STRANGERS: tuple[tuple[Callable[[Header], bool], str], ...] = (
    (is_lora, "a LoRA: pass it with --lora, beside a whole model as the prior"),
    (lambda header: header.any("emb_params", "clip_l", "clip_g"), f"a textual inversion, no model: {WANTED}"),
    (lambda header: header.any("control_model.", "controlnet_", "input_hint_block."), f"a ControlNet: {WANTED}"),
    (
        lambda header: header.any("down_blocks.", "mid_block."),
        "one network of a model in diffusers' format: pass the whole folder, the one that has model_index.json",
    ),
    (lambda header: header.any(*VAE, "encoder.conv_in", "decoder.conv_in"), f"a VAE alone: {WANTED}"),
)
UNKNOWN = "v1"  # diffusers' answer for anything that it does not recognise
# By the number of the U-Net's input channels; 4 are the latents alone.
OTHER_INPUTS = {
    5: "a depth-to-image model",
    7: "an upscaler",
    8: "a model that edits pictures (InstructPix2Pix)",
    9: "an inpainting model",
}


@dataclass(frozen=True)
class Kind:
    """What a checkpoint is; `notes` are sentences on what was assumed."""

    family: FamilyName
    prediction_type: str  # epsilon or v_prediction
    zero_terminal_snr: bool = False
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return TITLES[self.family]


def usual_name(name: str, family: FamilyName) -> str:
    """The name that a tensor has in the published checkpoints; some programs write the text encoders' otherwise."""
    if family == "sd2":
        return name.replace("conditioner.embedders.0.model.", "cond_stage_model.model.")
    start = ENCODERS[family][0]
    if name.startswith(start) and not name.startswith(start + "text_model."):
        return f"{start}text_model.{name.removeprefix(start)}"
    return name


def token_width(header: Header) -> int:
    """How many numbers the tokens of text have that the U-Net reads; 0 where it has no layer for them."""
    widths = (shape[-1] for name, shape in header.shapes.items() if name.endswith("attn2.to_k.weight"))
    return next(widths, 0)


def tell_kind(header: Header) -> Kind:
    """The kind of a checkpoint.

    Raises:
        PriorError: not a text-to-image checkpoint of these families, or one without VAE or text encoder.
    """
    family = _family(header)
    missing = _missing_parts(header, family)
    if missing:
        raise PriorError(
            f'prior "{header.file}" is a {TITLES[family]} checkpoint without its {missing}: choose the version of it '
            "that has VAE and text encoder in the file"
        )
    prediction_type, notes = _prediction_type(header, family)
    zero_snr = "ztsnr" in header.shapes and prediction_type == "v_prediction"  # of ε, nothing would be left to divide
    return Kind(family, prediction_type, zero_snr, notes)


def _family(header: Header) -> FamilyName:
    if not header.any(UNET + "input_blocks."):
        raise PriorError(f'prior "{header.file}" is {_stranger(header)}')
    channels = header.shapes.get(UNET + "input_blocks.0.0.weight", (0, 0))[1]
    if channels != 4:
        what = OTHER_INPUTS.get(channels, f"a model whose U-Net takes {channels} channels")
        raise PriorError(f'prior "{header.file}" is {what}: {WANTED} that makes pictures from text alone')
    if "edm_mean" in header.shapes or "edm_vpred.sigma_max" in header.shapes:
        raise PriorError(f'prior "{header.file}" has noise levels of its own kind (EDM): {WANTED}')
    if UNET + "label_emb.0.0.weight" in header.shapes:
        return _with_vector(header)
    projections = [shape for name, shape in header.shapes.items() if name.endswith(".proj_in.weight")]
    return "sd1" if any(len(shape) == 4 for shape in projections) else "sd2"


def _with_vector(header: Header) -> FamilyName:
    """SDXL, or one of the others whose U-Net takes a vector besides the text."""
    if header.any("cond_stage_model.", "embedder."):
        raise PriorError(f'prior "{header.file}" is made for pictures as prompts (unCLIP): {WANTED}')
    if header.any("conditioner.embedders.0.model.") and not header.any("conditioner.embedders.1."):
        raise PriorError(f'prior "{header.file}" is the refiner of Stable Diffusion XL: pass the base model')
    return "sdxl"


def _stranger(header: Header) -> str:
    """What a file is that has no U-Net of our kind, and what to do."""
    for fits, what in STRANGERS:
        if fits(header):
            return what
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type  # takes seconds; most files do without

    try:
        name = infer_diffusers_model_type(header.on_meta())
    except (IndexError, KeyError, NameError, RuntimeError, ValueError):  # it expects whole models
        name = UNKNOWN
    other = "of a kind that Splatsmith does not know" if name == UNKNOWN else f"a model of the kind {name}"
    return f"{other}: {WANTED}"


def _missing_parts(header: Header, family: FamilyName) -> str:
    """The parts that are not in the file, joined; some checkpoints are a U-Net alone."""
    names = {usual_name(name, family) for name in header.shapes}
    missing = [] if any(name.startswith(VAE) for name in names) else ["VAE"]
    if not all(any(name.startswith(start) for name in names) for start in ENCODERS[family]):
        missing.append("text encoder" if len(ENCODERS[family]) == 1 else "text encoders")
    return " and ".join(missing)


def _prediction_type(header: Header, family: FamilyName) -> tuple[str, tuple[str, ...]]:
    """ "epsilon" or "v_prediction", and a note where the file does not say."""
    if "v_pred" in header.shapes:
        return "v_prediction", ()
    said = header.metadata.get("modelspec.prediction_type") or _yaml_parameterization(header.file)
    if said:
        return ("v_prediction" if said.startswith("v") else "epsilon"), ()
    if family == "sd2":
        found = "v_prediction" if _last_bias_spread(header) > V_SPREAD else "epsilon"
        return found, (_assumed(header.file, found, "its weights look so"),)
    if re.search(r"v[-_ ]?pred", header.file.stem, re.IGNORECASE):
        return "epsilon", (_assumed(header.file, "epsilon", "only its name speaks of v"),)
    return "epsilon", ()


def _assumed(file: Path, prediction_type: str, why: str) -> str:
    symbol, other = ("v", "eps") if prediction_type == "v_prediction" else ("eps", "v")
    return (
        f"{file.name} does not say what it predicts; {symbol} is assumed, as {why}: if pictures are grey or burnt, put "
        f"a file {file.with_suffix('.yaml').name} beside it with the line `parameterization: {other}`."
    )


def _yaml_parameterization(file: Path) -> str:
    """ "v" or "eps" from the YAML file beside a checkpoint; "" where there is none or it does not say."""
    beside = file.with_suffix(".yaml")
    if not beside.is_file():
        return ""
    found = re.search(r"^\s*parameterization:\s*[\"']?(\w+)", beside.read_text(errors="replace"), re.MULTILINE)
    return found[1] if found else "eps"  # as in LDM's code


def _last_bias_spread(header: Header) -> float:
    """The standard deviation of the first norm's bias in the last attention of the U-Net; 0 where there is none."""
    found = [(int(match[1]), name) for name in header.shapes if (match := LAST_BIAS.fullmatch(name))]
    if not found:
        return 0.0
    with safe_open(header.file, "pt") as opened:
        return float(opened.get_tensor(max(found)[1]).float().std(correction=0))
