"""How much memory a step of a large prior takes at its peak, counted on tensors of the "meta" device: no weights."""

import weakref
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend.priors.base import Condition
from backend.priors.loading import Denoiser
from backend.priors.stable_diffusion import StableDiffusion

GIB = 2**30
DOWN, UP, CROSS_DOWN, CROSS_UP = "DownBlock2D", "UpBlock2D", "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
LATENT = {"in_channels": 4, "out_channels": 4, "layers_per_block": 2, "use_linear_projection": True}
UNETS = {
    "sd-512": LATENT
    | {"sample_size": 64, "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": [5, 10, 20, 20],
       "cross_attention_dim": 1024, "down_block_types": (CROSS_DOWN,) * 3 + (DOWN,),
       "up_block_types": (UP, *(CROSS_UP,) * 3)},
    "sd-768": LATENT
    | {"sample_size": 96, "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": [5, 10, 20, 20],
       "cross_attention_dim": 1024, "down_block_types": (CROSS_DOWN,) * 3 + (DOWN,),
       "up_block_types": (UP, *(CROSS_UP,) * 3)},
    "sdxl": LATENT
    | {"sample_size": 128, "block_out_channels": (320, 640, 1280), "attention_head_dim": [5, 10, 20],
       "cross_attention_dim": 2048, "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
       "up_block_types": (CROSS_UP, CROSS_UP, UP), "transformer_layers_per_block": [1, 2, 10],
       "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
       "projection_class_embeddings_input_dim": 2816},
    "if": {"in_channels": 3, "out_channels": 6, "layers_per_block": 3, "sample_size": 64,
       "block_out_channels": (704, 1408, 2112, 2816), "attention_head_dim": 64, "cross_attention_dim": 2816,
       "down_block_types": ("ResnetDownsampleBlock2D", *("SimpleCrossAttnDownBlock2D",) * 3),
       "mid_block_type": "UNetMidBlock2DSimpleCrossAttn", "act_fn": "gelu", "encoder_hid_dim": 4096,
       "up_block_types": (*("SimpleCrossAttnUpBlock2D",) * 3, "ResnetUpsampleBlock2D"),
       "addition_embed_type": "text", "addition_embed_type_num_heads": 64, "cross_attention_norm": "group_norm",
       "resnet_time_scale_shift": "scale_shift"},
}  # fmt: skip
VAE = {
    "in_channels": 3, "out_channels": 3, "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
    "latent_channels": 4, "norm_num_groups": 32,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip


class Memory(TorchDispatchMode):
    """Counts the bytes of all storages that are alive, and their peak, beside those of some tensors."""

    def __init__(self, beside):
        super().__init__()
        self.live = self.peak = 0
        self._seen = {tensor.untyped_storage()._cdata for tensor in beside}  # a view of a weight is no new memory

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta":
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if size and key not in self._seen:
            self._seen.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key, size):
        self._seen.discard(key)
        self.live -= size


def fused_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_):
    """As cards compute it, without the matrix of weights."""
    q, k, v = (value.contiguous() for value in (q, k, v))
    graph = torch.is_grad_enabled()
    return torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, attn_mask, graph, 0.0, False, scale=scale)[0]


def prior_of(kind, vae_dtype=torch.half):
    """The prior with networks of the model's real sizes, and without weights."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNETS[kind]).half().eval().requires_grad_(False)
        vae = AutoencoderKL(**VAE).to(vae_dtype).eval().requires_grad_(False)
    vae.enable_gradient_checkpointing()  # as `load_stable_diffusion` does
    networks = {} if kind == "if" else {"vae": vae}
    pipeline = SimpleNamespace(components=networks, vae_scale_factor=8, **networks)
    return StableDiffusion(pipeline, Denoiser(unet, DDPMScheduler().alphas_cumprod.to("meta"), "epsilon"))


def peak_of_a_step(kind, views, monkeypatch, vae_dtype=torch.half):
    """GiB of weights and of everything else at the peak of: encode, predict with two conditions, go back."""
    monkeypatch.setattr(F, "scaled_dot_product_attention", fused_attention)
    prior = prior_of(kind, vae_dtype)
    networks = [network for network in (prior.denoiser.unet, prior.vae) if network is not None]
    parameters = [parameter for network in networks for parameter in network.parameters()]
    weights = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    rows, side = 2 * views, prior.image_size
    width = 4096 if kind == "if" else UNETS[kind]["cross_attention_dim"]
    with Memory(parameters) as memory:
        half = {"device": "meta", "dtype": torch.half}
        picture = torch.zeros(views, side, side, 3, device="meta", requires_grad=True)
        extra = {"text_embeds": torch.zeros(rows, 1280, **half), "time_ids": torch.zeros(rows, 6, **half)}
        condition = Condition(torch.zeros(rows, 77, width, **half), extra if kind == "sdxl" else {})
        x = prior.encode(picture)
        prior.predict(torch.cat([x.detach()] * 2), torch.zeros(rows, dtype=torch.long, device="meta"), condition)
        (torch.zeros_like(x) * x).sum().backward()
    return weights / GIB, memory.peak / GIB
