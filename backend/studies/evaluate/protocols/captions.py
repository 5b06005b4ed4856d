"""Captions of pictures by BLIP or BLIP-2, from a local folder in transformers' format."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

TOKENS = 30  # of a caption, at most
TOP_P = 0.9
Captioner = Callable[[Iterable[Tensor]], list[str]]  # pictures (B,H,W,3) in [0,1], some at a time -> one each


def captioner(folder: str) -> Captioner:
    """Load it.  What transformers raises for other folders is in `optional_judges.UNLOADABLE`.

    As in T3Bench's code a caption is one sample of the likeliest words; here the pictures seed it, so that the same
    result has the same captions.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    network = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True).eval()
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)

    @torch.no_grad()
    def captions(pictures: Iterable[Tensor]) -> list[str]:
        return [text for some in pictures for text in described(some)]

    def described(pictures: Tensor) -> list[str]:
        given = (pictures * 255).round().byte().numpy().astype(np.uint8)
        values = processor.image_processor(images=list(given), return_tensors="pt")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(zlib.crc32(given.tobytes()))
            tokens = network.generate(**values, do_sample=True, top_p=TOP_P, max_new_tokens=TOKENS)
        return [" ".join(text.split()) for text in processor.batch_decode(tokens, skip_special_tokens=True)]

    return captions
