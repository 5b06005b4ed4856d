"""# Your own rule

A rule is a class with `Options` and `gradient`.  `gradient` gets a `Batch` (views of the scene, and the noise level at
which they are to be judged) and returns the gradient with respect to the pictures.  This one is SDS whose gradient is
clipped pixel by pixel (PGC, 2310.12474): no pixel may pull harder than `clip`.

    g = clip(w(t) (eps_hat(x_t) - eps))

A line in the table `RULES` gives it a name.  From then on it is an objective like all others: jobs name it, its options
are checked against their limits, and a server offers it in Blender's panel, with the descriptions that stand here.
Its recipe is the plain one, which sets `guidance_scale` and `weight`, so a rule has these two.

    STEPS=200 python -m examples.01_own_rule       # makes out/own-rule/splats.ply and turntable.png
"""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from backend.export.turntable import turntable_png
from backend.guidance.base import Batch, Guidance, Options, Rule, Score, Weighing
from backend.guidance.rules import RULES
from backend.job.job import make_job
from backend.run.folder import JobFolder
from backend.run.session import Session

STEPS, OUT = int(os.environ.get("STEPS", "200")), Path("out/own-rule")


class ClippedOptions(Options, frozen=True):
    """Settings of the rule: limits, descriptions and defaults."""

    guidance_scale: Guidance = 1.0
    weight: Weighing = "sigma^2"
    clip: Annotated[float, Meta(gt=0, description="The most that a pixel may pull")] = 0.1


class Clipped(Rule[ClippedOptions]):
    """SDS that no single pixel can carry away."""

    Options = ClippedOptions

    def gradient(self, batch: Batch) -> Score:
        """The difference of SDS, clipped after its weight."""
        eps = batch.noise()
        eps_hat, _ = batch.guided(batch.noised(eps), self.options.guidance_scale)
        score = batch.score(self.options.weight, eps_hat - eps, eps_hat, eps)
        return Score(score.gradient.clamp(-self.options.clip, self.options.clip), score.metrics)


if __name__ == "__main__":
    RULES["clipped"] = Clipped
    job = make_job({"prompt": "a wooden chair", "objective": "clipped", "quality": "draft", "recipe": {"steps": STEPS}})
    session = Session.begin(job, JobFolder(OUT))
    for event in session.steps(STEPS):
        print(event)
    session.save()
    turntable_png(session.run.scene.splats(), OUT / "turntable.png")
