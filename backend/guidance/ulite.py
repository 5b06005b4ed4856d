"""U-Lite: a U-Net of axial depthwise convolutions, the network behind VDM's mapping M_psi.

Dinh, Bui, Nguyen, Tran, Pham, "1M parameters are enough? A lightweight CNN-based model for medical image
segmentation" (2306.16103).  Five stages give 878,417 parameters for 3 -> 1 channels, as the paper counts.
DreamMapping takes the network over as it is, with C -> C channels: 879,252 for the four of a Stable Diffusion latent.

BatchNorm always uses the statistics of the current batch.  Each batch has its own noise level, so running averages
would describe a mixture of levels that never occurs; the network keeps none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 16  # channels at full resolution; each stage doubles them
STAGES = 5


class Axial(nn.Module):
    """x + DW_kx1(x) + DW_1xk(x): a depthwise cross in place of a k x k square."""

    def __init__(self, channels: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        reach = dilation * (kernel // 2)
        self.column = nn.Conv2d(
            channels, channels, (kernel, 1), padding=(reach, 0), dilation=(dilation, 1), groups=channels
        )
        self.row = nn.Conv2d(
            channels, channels, (1, kernel), padding=(0, reach), dilation=(1, dilation), groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.column(x) + self.row(x)
        return out


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm with the statistics of the current batch, in training and in use."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


class Encoder(nn.Module):
    """(B,C,h,w) -> (B,2C,h/2,w/2) and the skip (B,C,h,w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix, self.norm = Axial(channels, 7), batch_norm(channels)
        self.widen, self.pool, self.act = nn.Conv2d(channels, 2 * channels, 1), nn.MaxPool2d(2), nn.GELU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.norm(self.mix(x))
        return self.act(self.pool(self.widen(skip))), skip


class Bottleneck(nn.Module):
    """A quarter of the channels, seen at dilations 0 to 3, and back: (B,C,h,w) -> (B,C,h,w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.narrow = nn.Conv2d(channels, quarter, 1)
        self.mixes = nn.ModuleList(Axial(quarter, 3, dilation) for dilation in (1, 2, 3))
        self.norm, self.widen, self.act = batch_norm(channels), nn.Conv2d(channels, channels, 1), nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        x = torch.cat([x, *(mix(x) for mix in self.mixes)], 1)
        out: Tensor = self.act(self.widen(self.norm(x)))
        return out


class Decoder(nn.Module):
    """(B,2C,h/2,w/2) and the skip (B,C,h,w) -> (B,C,h,w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2)
        self.join, self.norm = nn.Conv2d(3 * channels, channels, 1), batch_norm(channels)
        self.mix, self.out, self.act = Axial(channels, 7), nn.Conv2d(channels, channels, 1), nn.GELU()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.norm(self.join(torch.cat([self.up(x), skip], 1)))
        out: Tensor = self.act(self.out(self.mix(x)))
        return out


class ULite(nn.Module):
    """(B,channels,h,w) -> (B,out_channels,h,w); h and w must be multiples of 2**stages."""

    def __init__(self, channels: int, out_channels: int, stages: int = STAGES) -> None:
        super().__init__()
        widths = [WIDTH * 2**stage for stage in range(stages)]
        self.conv_in = nn.Conv2d(channels, WIDTH, 7, padding=3)
        self.encoders = nn.ModuleList(Encoder(width) for width in widths)
        self.bottleneck = Bottleneck(WIDTH * 2**stages)
        self.decoders = nn.ModuleList(Decoder(width) for width in reversed(widths))
        self.conv_out = nn.Conv2d(WIDTH, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, skips = self.conv_in(x), []
        for encoder in self.encoders:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.bottleneck(x)
        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        out: Tensor = self.conv_out(x)
        return out
