"""M_psi of DreamMapping: a small network, trained beside the run, that maps a prediction to the noise behind it."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from backend.guidance import adam_state
from backend.guidance.base import Options
from backend.guidance.ulite import STAGES, WIDTH, ULite
from backend.state import below


class MappingOptions(Options, frozen=True):
    """Initialisation, input and training of M_psi."""

    start: Annotated[
        Literal["residual", "plain"], Meta(description="Start as the identity, or as the paper's bare network")
    ] = "residual"
    fold: Annotated[
        Literal[1, 2, 4], Meta(description="Side of the pixel blocks folded into channels: larger is faster")
    ] = 1
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="Adam's rate for the noise mapping")] = 0.01


class NoiseMapping(nn.Module):
    """M_psi: (B,C,h,w) -> (B,C,h,w) for any h and w; U-Lite and its Adam.

    "residual" is M(e) = e + f(e) with f's last convolution zero at first, so that M starts as the identity; "plain"
    is M(e) = f(e), near zero at first.  `fold` = 2 shows U-Lite 2x2 blocks of pixels as channels.  Sides that are not a
    multiple of 2**stages are padded by repeating the edge, and cropped again.
    """

    def __init__(self, channels: int, stages: int, options: MappingOptions) -> None:
        super().__init__()
        folded = channels * options.fold**2
        self.options, self.block = options, options.fold * 2**stages
        self.network = ULite(folded, folded, stages)
        if options.start == "residual":
            nn.init.zeros_(self.network.conv_out.weight)
            nn.init.zeros_(cast(Tensor, self.network.conv_out.bias))
        self.adam: torch.optim.Adam | None = None

    @classmethod
    def create(cls, x: Tensor, options: MappingOptions, generator: torch.Generator) -> NoiseMapping:
        """A mapping for samples like x (B,C,h,w), its weights drawn from the generator.

        From 64 px up there are the paper's five stages.  Smaller samples get fewer, so that 2x2 are left in the
        bottleneck and its BatchNorm, which uses the batch's statistics, can average even over a single view.
        """
        stages = (min(x.shape[2:]) // options.fold).bit_length() - 2
        seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            mapping = cls(x.shape[1], max(0, min(STAGES, stages)), options)
        return mapping._on(x.device)

    @classmethod
    def restore(cls, state: dict[str, Tensor], options: MappingOptions, device: torch.device) -> NoiseMapping:
        """The mapping that `saved` gave."""
        channels = state["mapping.conv_in.weight"].shape[1] // options.fold**2
        stages = (state["mapping.bottleneck.norm.weight"].shape[0] // WIDTH).bit_length() - 1
        mapping = cls(channels, stages, options)
        mapping.network.load_state_dict(below(state, "mapping."))
        mapping._on(device)
        adam_state.restore(cast(torch.optim.Adam, mapping.adam), state)
        return mapping

    def _on(self, device: torch.device) -> NoiseMapping:
        self.to(device)
        self.adam = torch.optim.Adam(self.network.parameters(), lr=self.options.learning_rate, fused=True)
        return self

    def forward(self, eps_y: Tensor) -> Tensor:
        height, width = eps_y.shape[2:]
        whole = F.pad(eps_y.float(), (0, -width % self.block, 0, -height % self.block), mode="replicate")
        # On a CPU channels last halves the time of the forward pass and takes a quarter off the backward pass.
        folded = F.pixel_unshuffle(whole, self.options.fold).contiguous(memory_format=torch.channels_last)
        out = F.pixel_shuffle(self.network(folded), self.options.fold)[:, :, :height, :width].to(eps_y)
        return eps_y + out if self.options.start == "residual" else out

    def fit(self, eps_y: Tensor, eps: Tensor) -> None:
        """One step of Adam on ||M(eps_y) - eps||^2 (Eq. 17); the prior's prediction is a constant here."""
        adam = cast(torch.optim.Adam, self.adam)
        with torch.enable_grad():
            loss = F.mse_loss(self(eps_y), eps)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam_state.step(adam)

    def saved(self) -> dict[str, Tensor]:
        """Copies of the weights ("mapping.<name>") and of Adam's moments ("adam.<i>.<key>")."""
        state = {f"mapping.{name}": value.clone() for name, value in self.network.state_dict().items()}
        return state | adam_state.saved(cast(torch.optim.Adam, self.adam))
