"""What VSD, DreamFlow and ASD share: a LoRA twin of the prior that is trained on the scene's pictures.

    g = w(t) (eps_hat(x_t) - eps_lora(x_t)),    x_t = alpha_t x + sigma_t eps

After each such gradient the LoRA takes one step of Adam on the same pictures, at levels and with noise of its own, as
in ProlificDreamer's Alg. 1.  Before its first step it predicts what the prior predicts, and g is w (eps_hat - eps_y).

The camera as a condition: the LoRA gets the same conditions as the prior, camera and view words where the prior uses
them.  For a share `camera_dropout` of the training steps the whole batch, as in the released code, gets the prompt
without view instead, so that the LoRA also learns the scene from anywhere.

Levels: ProlificDreamer trains at all of them.  A prior that predicts the clean picture estimates noise badly where
there is hardly any, with alpha/sigma times the error of its picture, and these levels would dominate the loss: recipes
raise `learn_low` for it.

Particles: where a run optimises several scenes, they take turns as in Alg. 1, and the LoRA trains on the pictures of
each, so that it becomes the model of all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from backend.guidance.base import Batch, Score, scored, weight
from backend.guidance.learned import LearnedOptions, LearningRule, training_batch
from backend.priors.base import Condition, Prior, Twin


class LoRAOptions(LearnedOptions, frozen=True):
    """The size and the conditions of the LoRA."""

    rank: Annotated[int, Meta(ge=1, le=256, description="Rank of the LoRA")] = 4
    camera_dropout: Annotated[
        float, Meta(ge=0, le=1, description="Share of the LoRA's training steps without the view")
    ] = 0.1


class LoRARule(LearningRule[LoRAOptions]):
    """At least four U-Net calls a step: the guided one, the LoRA's, and forward and backward of its training."""

    particles = True

    def __init__(self, options: LoRAOptions) -> None:
        super().__init__(options)
        self.twin: Twin | None = None

    def gradient(self, batch: Batch) -> Score:
        """Subtract the LoRA's prediction, then train the LoRA."""
        o = self.options
        twin = self.twin or self._create(batch)
        with torch.no_grad():
            x_t = batch.noised(batch.noise())
            eps_hat, _ = batch.guided(x_t, o.guidance_scale)
            eps_lora = twin.predict(x_t, batch.t, batch.conditions.y)
        loss = self._learn(twin, batch)
        return scored(self.weigh(batch) * (eps_hat - eps_lora), eps_hat, eps_lora, lora_loss=loss)

    def weigh(self, batch: Batch) -> Tensor:
        """w(t), (B,1,1,1)."""
        return weight(self.options.weight, *batch.scales)

    @abstractmethod
    def loss(self, eps_lora: Tensor, eps: Tensor, prior: Prior, x_t: Tensor, t: Tensor, y: Condition) -> Tensor:
        """The LoRA's training loss, from its prediction of eps (B,C,h,w) in x_t at levels t (B,)."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, in a twin that is made at the next step."""
        super().load_state_dict(state)
        self.twin = None

    def _create(self, batch: Batch) -> Twin:
        generator = batch.generator
        seed = 0 if self._saved else int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
        self.twin = batch.prior.twin(self.options.rank, seed)
        self._begin(self.twin.parameters, self.options.learning_rate)
        return self.twin

    def _learn(self, twin: Twin, batch: Batch) -> Tensor:
        """One training step; its loss."""
        assert self.learned is not None
        x_t, t, eps = training_batch(batch, self.options)
        dropped, plain, y = batch.draw() < self.options.camera_dropout, batch.conditions.plain, batch.conditions.y
        condition = plain if dropped and plain is not None else y
        with torch.enable_grad():
            loss = self.loss(twin.predict(x_t, t, condition), eps, batch.prior, x_t, t, y)
        return self.learned.step(twin, loss)
