"""Optional judges that the user provides weights for: CLIP, DINO, Inception and ImageReward.

CLIP and DINO are folders or hub ids in transformers' format; Inception is the TorchScript file that StyleGAN's metrics
use (its `forward(x, return_features=True)` gives (B,2048) of uint8 pictures (B,3,H,W)).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from backend.cameras import orbit
from backend.export.views import photograph
from backend.run.folder import JobFolder
from backend.studies.evaluate.diversity import diversity
from backend.studies.evaluate.finished_job import EvaluatedJob
from backend.studies.evaluate.image_reward import Reward, image_reward
from backend.studies.evaluate.references import ELEVATION
from backend.terminal import skipped

VIEWS, SIDE, GREY = 8, 224, 0.5
# Raised on loading files of other kinds, and by other models on their first picture.
UNLOADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError, SafetensorError)
Features = Callable[[Tensor], Tensor]  # pictures (B,H,W,3) in [0,1] -> (B,D)
CLIP = tuple[Features, Callable[[str], Tensor]]  # of pictures, of a text


@dataclass
class OptionalJudges:
    """The judges whose weights were given; each is loaded and tried at once, so that wrong paths are reported first."""

    clip: CLIP | None = None
    dino: Features | None = None
    inception: Inception | None = None
    reward: Reward | None = None

    @staticmethod
    def load(clip: str | None, dino: str | None, inception: Path | None, reward: str | None = None) -> OptionalJudges:
        """Load the judges; those that cannot be loaded are reported and skipped."""
        return OptionalJudges(
            clip=loaded("CLIP", clip, clip_judge),
            dino=loaded("DINO", dino, dino_judge),
            inception=loaded("Inception", inception, Inception),
            reward=loaded("ImageReward", reward, image_reward),
        )

    def figures(self, members: list[EvaluatedJob]) -> dict[str, Any]:
        """Per seed "clip", 100 x cosine of prompt and view, and "image_reward"; over seeds the diversity by each."""
        if not (self.clip or self.dino or self.inception or self.reward):
            return {}
        seen = [_views(member) for member in members]
        found: dict[str, Any] = {}
        features = {"dino": self.dino, "inception": self.inception}
        if self.clip is not None:
            features["clip"], _ = self.clip
            found["clip"] = [float(clip_scores(self.clip, x, members[0].job.prompt).mean()) for x in seen]
        if self.reward is not None:
            found["image_reward"] = [float(self.reward(x, members[0].job.prompt).mean()) for x in seen]
        if len(members) > 1:
            for name, of in features.items():
                if of is not None:
                    found[f"{name}_diversity"] = diversity(torch.stack([of(x) for x in seen]))
        return found


def clip_scores(clip: CLIP, pictures: Tensor, prompt: str) -> Tensor:
    """100 x cosine of the prompt and each picture (B,H,W,3): (B,)."""
    image, text = clip
    scores: Tensor = 100 * F.normalize(image(pictures), dim=-1) @ F.normalize(text(prompt), dim=-1)[0]
    return scores


def _views(member: EvaluatedJob) -> Tensor:
    splats = JobFolder(member.folder).splats()
    return torch.from_numpy(photograph(splats, orbit(VIEWS, elevation=ELEVATION), SIDE, background=GREY).rgb).clamp(
        0, 1
    )


def loaded(name: str, path: Any, load: Callable[[Any], Any]) -> Any:
    """The judge of a path, or None where there is none; one that cannot be loaded is reported.

    It is tried with a grey picture: weights of another model may load and only fail then.
    """
    if path is None:
        return None
    grey = torch.full((1, SIDE, SIDE, 3), GREY)
    try:
        judge = load(path)
        _ = judge(grey, "a chair") if name == "ImageReward" else [part(tried) for part, tried in _parts(judge, grey)]
        return judge
    except UNLOADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        skipped(f"{name}, as {path} cannot be loaded as its weights ({textwrap.shorten(reason, 200)}).")
        return None


def _parts(judge: Any, grey: Tensor) -> list[tuple[Callable[[Any], Tensor], Any]]:
    """The functions of a judge with an input for each; CLIP has two, for pictures and for text."""
    return [*zip(judge, (grey, "a chair"), strict=True)] if isinstance(judge, tuple) else [(judge, grey)]


def clip_judge(path: str) -> CLIP:
    """Features of pictures, and of a text."""
    model, tokenizer = AutoModel.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    pixels = _pixels(path)

    @torch.no_grad()
    def image(pictures: Tensor) -> Tensor:
        return _tensor(model.get_image_features(pixels(pictures)))

    @torch.no_grad()
    def text(prompt: str) -> Tensor:
        return _tensor(model.get_text_features(**tokenizer([prompt], return_tensors="pt", truncation=True)))

    return image, text


def dino_judge(path: str) -> Features:
    """The features of the class token."""
    model, pixels = AutoModel.from_pretrained(path).eval(), _pixels(path)

    @torch.no_grad()
    def image(pictures: Tensor) -> Tensor:
        hidden: Tensor = model(pixels(pictures)).last_hidden_state
        return hidden[:, 0]

    return image


class Inception:
    """The TorchScript file: features (B,2048) when called, and the probabilities of its classes."""

    def __init__(self, path: Path) -> None:
        self.network = torch.jit.load(str(path)).eval()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.network(_bytes(pictures), return_features=True)
        return features

    @torch.no_grad()
    def probabilities(self, pictures: Tensor) -> Tensor:
        """Pictures (B,H,W,3) -> p(class) (B,K)."""
        found: Tensor = self.network(_bytes(pictures)).double()
        sums_to_one = bool((found >= 0).all()) and bool(((found.sum(-1) - 1).abs() < 1e-2).all())
        return found / found.sum(-1, keepdim=True) if sums_to_one else found.softmax(-1)  # else they are logits


def _bytes(pictures: Tensor) -> Tensor:
    return (pictures * 255).round().byte().movedim(-1, 1)


def _pixels(path: str) -> Features:
    processor = AutoImageProcessor.from_pretrained(path)

    def prepared(pictures: Tensor) -> Tensor:
        given = list((pictures * 255).round().byte().numpy().astype(np.uint8))
        values: Tensor = processor(images=given, return_tensors="pt")["pixel_values"]
        return values

    return prepared


def _tensor(output: Any) -> Tensor:
    """Newer transformers wrap the features in an output with `pooler_output`."""
    pooled: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return pooled
