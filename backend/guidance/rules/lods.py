"""LODS: learning to optimise denoising scores (Yang et al., 2312.04820), with a learned null embedding.

    g = w(t) (eps_a(x_t) + s (eps_y(x_t) - eps_a(x_t)) - eps),    w = sigma_t^2
    the embedding a minimises ||eps_a(x_t) - eps||^2 on the scene's pictures

An embedding a takes the place of "no prompt" and is trained to describe the scene as it looks now.  Guidance then moves
away from the current scene, where SDS moves away from all pictures.  The training gradient goes through the U-Net to
the embedding; the U-Net itself is frozen.

As in the released code, a is one embedding for all views, of the tokens only, and starts as the negative prompt, or as
no prompt.  The code divides g by s, to which Adam is invariant; it runs with s = 100 for pictures and 1000 for splats.
Other conditions, SDXL's pooled vector or a kit's camera, keep their initial values.
The paper's other variant, a LoRA in place of the embedding, is close to VSD and not implemented.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.guidance.base import Batch, Guidance, Score
from backend.guidance.learned import LearnedOptions, LearningRule, training_batch
from backend.priors.base import Condition


class LODSOptions(LearnedOptions, frozen=True):
    """The released code's settings."""

    guidance_scale: Guidance = 100.0


class LODS(LearningRule[LODSOptions]):
    """Three U-Net calls a step: the guided one, and forward and backward of the embedding's training."""

    Options = LODSOptions

    def gradient(self, batch: Batch) -> Score:
        """Guidance away from the learned embedding; then train the embedding."""
        o, start, eps = self.options, batch.conditions.away, batch.noise()
        learned = self.learned or self._begin({"tokens": _first_tokens(start)}, o.learning_rate)
        with torch.no_grad():
            away = _with_tokens(start, learned.parameters["tokens"])
            guided_batch = replace(batch, conditions=replace(batch.conditions, null=away, neg=None))
            eps_hat, _ = guided_batch.guided(batch.noised(eps), o.guidance_scale)
        x_t, t, noise = training_batch(batch, o)
        twin = batch.prior.twin(rank=0, seed=0)
        with torch.enable_grad():
            loss = F.mse_loss(twin.predict(x_t, t, _with_tokens(start, learned.parameters["tokens"])), noise)
        return batch.score(o.weight, eps_hat - eps, eps_hat, eps, null_loss=learned.step(twin, loss))


def _first_tokens(start: Condition) -> Tensor:
    """The first row's tokens (1,L,D), in at least float32, so that small steps do not vanish."""
    tokens = start.tokens[:1]
    return tokens.to(torch.promote_types(tokens.dtype, torch.float32), copy=True).requires_grad_()


def _with_tokens(start: Condition, tokens: Tensor) -> Condition:
    """The condition with these tokens (1,L,D) in every row."""
    return replace(start, tokens=tokens.to(start.tokens.dtype).expand_as(start.tokens))
