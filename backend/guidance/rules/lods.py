"""LODS: learning to optimise denoising scores (Yang et al., 2312.04820), with a learned null embedding.

    g = w(t) (eps_a(x_t) + s (eps_y(x_t) - eps_a(x_t)) - eps),    w = sigma_t^2
    the embedding a minimises ||eps_a(x_t) - eps||^2 on the scene's pictures

In place of "no prompt" stands an embedding a that is taught to be the prompt of what the scene looks like now.  Then
guidance moves away from the scene as it is, where SDS moves away from everything that could be.  The lesson's gradient
goes through the U-Net to the embedding; the U-Net itself stays as it is.

As in the released code, a is one embedding for all views, of the tokens alone, and starts as the negative prompt, or as
no prompt.  The code divides g by s, which Adam does not see; it runs with s = 100 for pictures and 1000 for splats.
What else a prior is told of a text, SDXL's pooled vector or a kit's camera, stays that of the start.
The paper's other variant, a LoRA in place of the embedding, is near to VSD and left out.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.guidance.base import Batch, Guidance, Score
from backend.guidance.learned import LearnedOptions, Learner, lesson
from backend.priors.base import Condition


class LODSOptions(LearnedOptions, frozen=True):
    """The released code's settings."""

    guidance_scale: Guidance = 100.0


class LODS(Learner[LODSOptions]):
    """Three U-Net calls a step: the guided one, and the embedding's lesson there and back."""

    Options = LODSOptions

    def gradient(self, batch: Batch) -> Score:
        """Guidance away from the learned embedding; then its lesson."""
        o, start, eps = self.options, batch.conditions.away, batch.noise()
        learned = self.learned or self._begin({"tokens": _first(start)}, o.learning_rate)
        with torch.no_grad():
            away = _told(start, learned.parameters["tokens"])
            asked = replace(batch, conditions=replace(batch.conditions, null=away, neg=None))
            eps_hat, _ = asked.guided(batch.noised(eps), o.guidance_scale)
        x_t, t, noise = lesson(batch, o)
        twin = batch.prior.twin(rank=0, seed=0)
        with torch.enable_grad():
            loss = F.mse_loss(twin.predict(x_t, t, _told(start, learned.parameters["tokens"])), noise)
        return batch.score(o.weight, eps_hat - eps, eps_hat, eps, null_loss=learned.step(twin, loss))


def _first(start: Condition) -> Tensor:
    """The first row's tokens (1,L,D), in a precision that small steps do not vanish in."""
    tokens = start.tokens[:1]
    return tokens.to(torch.promote_types(tokens.dtype, torch.float32), copy=True).requires_grad_()


def _told(start: Condition, tokens: Tensor) -> Condition:
    """The condition with these tokens (1,L,D) in each row."""
    return replace(start, tokens=tokens.to(start.tokens.dtype).expand_as(start.tokens))
