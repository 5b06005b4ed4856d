"""Loading of diffusers priors: frozen networks from a folder, and a U-Net that predicts noise.

A U-Net predicts the noise ε, the velocity v = α ε - σ x_0 (Salimans and Ho, 2202.00512) or the clean sample x_0.
With x_t = α x_0 + σ ε all three say the same:

    ε = α v + σ x_t        ε = (x_t - α x_0) / σ

The rest of the backend uses only ε; `Denoiser` converts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from backend.errors import reason
from backend.priors.base import PriorError

# (network output, x_t, alpha_t, sigma_t) -> eps.
TO_EPS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "epsilon": lambda eps, _x_t, _alpha, _sigma: eps,
    "v_prediction": lambda v, x_t, alpha, sigma: alpha * v + sigma * x_t,
    "sample": lambda x_0, x_t, alpha, sigma: (x_t - alpha * x_0) / sigma,
}


def weights_dtype(device: torch.device) -> torch.dtype:
    """Half precision on the graphics card; single on the CPU, where a large prior is slow either way."""
    return torch.float32 if device.type == "cpu" else torch.float16


def free_bytes(device: torch.device) -> float:
    """What can still be allocated on an NVIDIA card, torch's own reserve included; infinite elsewhere."""
    if device.type != "cuda":
        return math.inf
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return float(torch.cuda.mem_get_info(device)[0] + reserve)


def pixels(images: Tensor, side: int) -> Tensor:
    """Pictures (B,H,W,3) in [0,1] -> (B,3,side,side) in [-1,1], with gradient; shrunk without aliasing."""
    x = images.movedim(-1, 1)
    if x.shape[-2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    return 2 * x - 1


def pictures(x: Tensor) -> Tensor:
    """(B,3,H,W) in [-1,1] -> pictures (B,H,W,3) in [0,1]."""
    return (x.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of one network, each opened to check that it is complete.

    Raises:
        PriorError: none there, or one that is cut off or otherwise no safetensors file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files and any(folder.glob("*.bin")):
        raise PriorError(
            f"{folder} has pickled weights (.bin), which can run any code: convert them once with diffusers, "
            f"DiffusionPipeline.from_pretrained({str(folder.parent)!r}, use_safetensors=False)"
            ".save_pretrained(NEW_FOLDER), and pass the new folder"
        )
    if not files:
        raise PriorError(f"{folder} has no .safetensors weights: download or copy that folder again")
    for file in files:
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise PriorError(f"{file} is damaged ({reason(error)}): download or copy that file again") from error
    return files


def variant(folder: Path) -> str | None:
    """ "fp16" for a folder that has only the half-precision files of a hub model."""
    return "fp16" if all(".fp16" in file.name for file in weight_files(folder)) else None


def read_config(part: Any, folder: Path) -> dict[str, Any]:
    """The configuration of a diffusers class in its folder, as it was written: no defaults added.

    Raises:
        PriorError: no such file, or one that is not JSON.
    """
    try:
        config: dict[str, Any] = part.load_config(folder)
    except OSError as error:
        raise PriorError(f"{folder} cannot be read ({reason(error)}): download it again") from error
    return config


def load_frozen(network: Any, folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    """A diffusers model class and its folder -> the model, frozen, in inference mode.

    Raises:
        PriorError: files missing, damaged, or of another model.
    """
    options = {"variant": variant(folder), "use_safetensors": True, "local_files_only": True}
    try:
        model, info = network.from_pretrained(folder, torch_dtype=dtype, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise PriorError(f"{folder} is not a whole {network.__name__} ({reason(error)}): download it again") from error
    if info["missing_keys"]:  # diffusers would use random numbers for them
        name = min(info["missing_keys"])
        raise PriorError(f"{folder} lacks {len(info['missing_keys'])} tensors, {name} among them: download it again")
    return model.to(device=device, memory_format=torch.channels_last).eval().requires_grad_(False)


class Denoiser:
    """A frozen U-Net and its noise levels `alphas_cumprod` (T,); `dtype` is the precision it computes in."""

    def __init__(self, unet: Any, alphas_cumprod: Tensor, prediction_type: str) -> None:
        self.unet, self.dtype, self.device = unet, unet.dtype, unet.device
        unet.enable_gradient_checkpointing()  # a twin's way back takes a quarter of the memory; `predict` has none
        self.alphas_cumprod, self.prediction_type = alphas_cumprod.to(unet.device), prediction_type
        self._to_eps = TO_EPS[prediction_type]

    def eps(self, x_t: Tensor, t: Tensor, tokens: Tensor, beside: Tensor | None = None, **inputs: Any) -> Tensor:
        """ε (B,C,h,w) in float32 from one forward, with gradient; `inputs` are the U-Net's other arguments.

        `beside` (B,P,h,w) are further input channels of the U-Net.  Output channels beyond those of x_t are a learned
        variance (DeepFloyd IF) and are dropped.
        """
        whole = x_t if beside is None else torch.cat([x_t, beside], 1)
        given = whole.to(self.dtype, memory_format=torch.channels_last)
        output = self.unet(given, t, encoder_hidden_states=tokens, **inputs).sample
        alpha_bar = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return self._to_eps(output[:, : x_t.shape[1]].float(), x_t, alpha_bar.sqrt(), (1 - alpha_bar).sqrt())


def load_denoiser(folder: Path, dtype: torch.dtype, device: torch.device) -> Denoiser:
    """The `unet/` and `scheduler/` of a prior's folder.

    Of the scheduler only the betas and the prediction type are used, which every scheduler of the Stable Diffusion
    family has in its configuration; DDPM's class turns them into ᾱ_t.

    Raises:
        PriorError: files missing or damaged, or a scheduler without betas.
    """
    from diffusers import DDPMScheduler, UNet2DConditionModel  # takes seconds, and a kit does without

    config = read_config(DDPMScheduler, folder / "scheduler")
    if "beta_schedule" not in config and config.get("trained_betas") is None:
        name = config.get("_class_name", "the scheduler")
        raise PriorError(f"{name} in {folder} has no betas: use a model with a DDPM, DDIM, PNDM or Euler scheduler")
    prediction_type = config.get("prediction_type", "epsilon")  # the oldest folders do not have it
    if prediction_type not in TO_EPS:
        raise PriorError(f'{folder} predicts "{prediction_type}": use a model that predicts one of {", ".join(TO_EPS)}')
    alphas_cumprod = DDPMScheduler.from_config(config).alphas_cumprod
    return Denoiser(load_frozen(UNet2DConditionModel, folder / "unet", dtype, device), alphas_cumprod, prediction_type)
