"""The texts of a run as conditions of a diffusers pipeline, encoded once; the encoders leave the card again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from backend.priors.base import Condition
from backend.priors.loading import free_bytes

TEXTS_KEPT = 256  # one run has a dozen texts: views, negative prompt, Perp-Neg
MARGIN = 1.2  # of the encoders' size, for what they compute


class TextEncoder:
    """A pipeline's tokenizers and text encoders, which stay on the CPU except while they encode on `device`.

    Encoded texts are kept.  An encoder that does not fit into the card's free memory encodes on the CPU.
    """

    def __init__(self, pipeline: Any, device: torch.device, dtype: torch.dtype, image_size: int) -> None:
        self.pipeline, self.device, self.dtype, self.image_size = pipeline, device, dtype, image_size
        named = getattr(pipeline, "components", {})
        self.networks = [part for part in named.values() if _is_encoder(part)]
        self._kept: dict[str, Condition] = {}

    def conditions(self, texts: Iterable[str]) -> list[Condition]:
        """B texts -> tokens (1,77,D) each, on `device`; "" is the pipeline's own unconditional embedding."""
        wanted = list(texts)
        missing = [text for text in dict.fromkeys(wanted) if text not in self._kept]
        if missing:
            for text in list(self._kept)[: max(0, len(self._kept) + len(missing) - TEXTS_KEPT)]:
                del self._kept[text]
            with self._on_the_card() as device:
                self._kept |= {text: self._encode(text, device) for text in missing}
        return [self._kept[text] for text in wanted]

    @contextmanager
    def _on_the_card(self) -> Iterator[torch.device]:
        """Where the encoders are for the moment: on the card if there is room, and on the CPU again afterwards."""
        weights = [tensor for network in self.networks for tensor in network.parameters()]
        size = sum(tensor.numel() * tensor.element_size() for tensor in weights)
        cpu = torch.device("cpu")
        device = self.device if MARGIN * size <= free_bytes(self.device) else cpu
        if device == cpu:
            yield cpu
            return
        try:
            self._move(device)
            yield device
        finally:
            self._move(cpu)

    def _move(self, device: torch.device) -> None:
        for network in self.networks:
            network.to(device)

    @torch.no_grad()
    def _encode(self, text: str, device: torch.device) -> Condition:
        """One text; for SDXL the unconditional embedding is all zeros."""
        options = {"num_images_per_prompt": 1, "do_classifier_free_guidance": True}
        prompt, unprompted, *pooled = self.pipeline.encode_prompt(prompt=text, device=device, **options)
        tokens: Tensor = (prompt if text else unprompted).to(self.device, self.dtype)
        if not pooled:
            return Condition(tokens)
        side = self.image_size
        time_ids = torch.tensor([[side, side, 0, 0, side, side]], dtype=self.dtype, device=self.device)
        return Condition(
            tokens, extra={"text_embeds": pooled[0 if text else 1].to(self.device, self.dtype), "time_ids": time_ids}
        )


def _is_encoder(part: Any) -> bool:
    """Networks that are neither U-Net nor VAE; these belong to diffusers, the encoders to transformers."""
    return isinstance(part, nn.Module) and type(part).__module__.startswith("transformers.")
