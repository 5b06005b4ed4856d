"""The tuned recipes: one for each objective, on the embedded prior and on Stable Diffusion-like ones ("large").

The large ones start from the papers' settings (DreamMapping's table, the released JSD code) and were not
tuned here, for want of such a model on the machines this was written on; README says so.
"""

from __future__ import annotations

import msgspec

from backend.cameras import CameraRange
from backend.guidance.jsd import RELEASED
from backend.recipe import EMBEDDED, Backgrounds, Recipe, Stage
from backend.scenes.settings import SplatSettings
from backend.timesteps import Timesteps

# As the embedded prior was trained: 40° of view, the object filling the picture, these backgrounds.
SMALL_CAMERAS = CameraRange(overhead_share=0.1)
SMALL_BACKGROUNDS = Backgrounds(white=0.5, grey=0.3, colour=0.2)
SMALL_SPLATS = SplatSettings()
ANNEALED = Timesteps(low_start=0.5, high_start=0.98, low_end=0.02, high_end=0.5)

# DreamMapping's cameras (distance 5.2-5.5 with a ball of 1) and backgrounds (2/3 augmented).
LARGE_CAMERAS = CameraRange(elevation=(-15.0, 45.0), fov=(18.0, 34.0), framing=(1.0, 1.4))
LARGE_BACKGROUNDS = Backgrounds(white=1.0, black=1.0, colour=1.0)
LARGE_SPLATS = SplatSettings(
    initial_count=10_000,
    cap_max=50_000,
    refine_every=100,
    refine_start=0.02,
    refine_stop=0.6,
    reset_every=300,
    prune_opacity=0.005,
)
LARGE_STAGES = (Stage(start=0.0, side=256), Stage(start=0.2, side=512))

RECIPES: dict[tuple[str, str], Recipe] = {
    ("sds", EMBEDDED): Recipe(
        steps=1000, views=4, cameras=SMALL_CAMERAS, backgrounds=SMALL_BACKGROUNDS, splats=SMALL_SPLATS, timesteps=ANNEALED,
        options={"guidance_scale": 10.0},
    ),
    ("vdm", EMBEDDED): Recipe(
        steps=1000, views=4, cameras=SMALL_CAMERAS, backgrounds=SMALL_BACKGROUNDS, splats=SMALL_SPLATS, timesteps=ANNEALED,
        options={"guidance_scale": 7.5, "fold": 2, "train_every": 4},
    ),
    ("jsd", EMBEDDED): Recipe(
        steps=600, views=4, cameras=SMALL_CAMERAS, backgrounds=SMALL_BACKGROUNDS, splats=SMALL_SPLATS,
        timesteps=Timesteps(low_start=0.98, high_start=0.98, low_end=0.25, high_end=0.25),
        options={"guidance_scale": 7.5},
    ),
    ("sds", "large"): Recipe(
        steps=5000, views=4, cameras=LARGE_CAMERAS, backgrounds=LARGE_BACKGROUNDS, splats=LARGE_SPLATS, stages=LARGE_STAGES,
    ),
    ("vdm", "large"): Recipe(
        steps=5000, views=4, cameras=LARGE_CAMERAS, backgrounds=LARGE_BACKGROUNDS, splats=LARGE_SPLATS, stages=LARGE_STAGES,
    ),
    ("jsd", "large"): Recipe(
        steps=10_000, views=1, cameras=LARGE_CAMERAS, backgrounds=LARGE_BACKGROUNDS, splats=LARGE_SPLATS, stages=LARGE_STAGES,
        timesteps=Timesteps(low_start=0.98, high_start=0.98, low_end=0.25, high_end=0.25),
        options=msgspec.to_builtins(RELEASED),
    ),
}  # fmt: skip
