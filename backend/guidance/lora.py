"""What VSD and ASD share: a LoRA twin of the prior that learns what the scene's pictures look like.

    g = w(t) (eps_hat(x_t) - eps_lora(x_t)),    x_t = alpha_t x + sigma_t eps

After each such gradient the LoRA takes one step of Adam on the same pictures, at levels and with noise of its own, as
in ProlificDreamer's Alg. 1.  Before its first step it predicts what the prior predicts, and g is w (eps_hat - eps_y).

The camera as a condition: the LoRA is told what the prior is told of a view, its camera and its view words where the
prior understands them.  `camera_dropout` of the time it is taught with the prompt of no particular view instead, the
whole batch at once as in the released code; so it learns the scene from anywhere, too.

Levels: ProlificDreamer teaches at all of them.  A prior that predicts the clean picture names noise badly where there
is hardly any, alpha/sigma times worse than its picture is, and these levels would drown the rest of the loss: recipes
raise `learn_low` for it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch, Score
from backend.guidance.learned import LearnedOptions, Learner, lesson
from backend.priors.base import Condition, Prior, Twin


class LoRAOptions(LearnedOptions, frozen=True):
    """The size of the LoRA and what it is told."""

    rank: Annotated[int, Meta(ge=1, le=256, description="Rank of the LoRA")] = 4
    camera_dropout: Annotated[
        float, Meta(ge=0, le=1, description="Share of the LoRA's lessons in which it is not told the view")
    ] = 0.1


class LoRARule(Learner[LoRAOptions]):
    """Four U-Net calls a step at least: the guided one, the LoRA's, and the LoRA's lesson there and back."""

    def __init__(self, options: LoRAOptions) -> None:
        super().__init__(options)
        self.twin: Twin | None = None

    def gradient(self, batch: Batch) -> Score:
        """The LoRA's prediction is subtracted; then it takes its lesson."""
        o = self.options
        twin = self.twin or self._create(batch)
        with torch.no_grad():
            x_t = batch.noised(batch.noise())
            eps_hat, _ = batch.guided(x_t, o.guidance_scale)
            eps_lora = twin.predict(x_t, batch.t, batch.conditions.y)
        loss = self._learn(twin, batch)
        return batch.score(o.weight, eps_hat - eps_lora, eps_hat, eps_lora, lora_loss=loss)

    @abstractmethod
    def loss(self, eps_lora: Tensor, eps: Tensor, prior: Prior, x_t: Tensor, t: Tensor, y: Condition) -> Tensor:
        """What the LoRA is taught by: a number, from its prediction of eps (B,C,h,w) in x_t at levels t (B,)."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what `state_dict` gave, in a twin that is made at the next step."""
        super().load_state_dict(state)
        self.twin = None

    def _create(self, batch: Batch) -> Twin:
        dice = batch.generator
        seed = 0 if self._saved else int(torch.randint(2**31, (1,), generator=dice, device=dice.device))
        self.twin = batch.prior.twin(self.options.rank, seed)
        self._begin(self.twin.parameters, self.options.learning_rate)
        return self.twin

    def _learn(self, twin: Twin, batch: Batch) -> float:
        """One lesson; its loss."""
        assert self.learned is not None
        x_t, t, eps = lesson(batch, self.options)
        dropped, plain, y = batch.draw() < self.options.camera_dropout, batch.conditions.plain, batch.conditions.y
        told = plain if dropped and plain is not None else y
        with torch.enable_grad():
            loss = self.loss(twin.predict(x_t, t, told), eps, batch.prior, x_t, t, y)
        return self.learned.step(twin, loss)
