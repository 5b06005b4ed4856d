"""The tuned recipes: one for each objective, on the embedded prior and on Stable Diffusion-like ones ("large").

The large ones start from the papers' settings (DreamMapping's table, the released JSD code).  They were not tuned here:
no such model was available on the machines this was written on; README says so.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from backend.cameras import CameraRange
from backend.guidance.rules.jsd import RELEASED
from backend.job.recipe import Backgrounds, Recipe, Stage
from backend.job.timesteps import Timesteps
from backend.priors.kit import EMBEDDED
from backend.priors.settings import CatalogueSettings
from backend.scenes.settings import FieldSettings, SplatSettings

# The range selects from the fixed cameras of the grid; this one takes all elevations.
SMALL_CAMERAS = CameraRange(elevation=(-10.0, 70.0), framing=(1.05, 1.05))
SMALL_BACKGROUNDS = Backgrounds(middle=1.0, white=0.0)  # the prior reads alpha, so one background is enough
# No regularisers: the silhouettes' own gradient removes the haze.
SMALL_SPLATS = SplatSettings(
    initial_count=3000,
    initial_radius=0.6,
    cap_max=8000,
    lr_means=4e-3,
    lr_means_end=1e-3,
    lr_colour=0.02,
    lr_scale=0.015,
    lr_rotation=0.01,
    lr_end_factor=0.1,
    prune_opacity=0.02,
    scale_weight=0.0,
    tv_colour_weight=0.0,
    tv_disparity_weight=0.0,
)
# Shapes come from high levels, detail from low ones; the score is exact at all of them.
HIGH_FIRST = Timesteps(low_start=0.75, high_start=0.98, low_end=0.1, high_end=0.5)
# At 64 px a step is four times cheaper, and the coarse shape is decided there.
SMALL_STAGES = {
    "draft": (Stage(side=64),),
    "normal": (Stage(side=64), Stage(start=0.6, side=128)),
    "high": (Stage(side=64), Stage(start=0.3, side=128)),
}
# The second part of a run in two: of the noise levels only those that decide detail.
REFINEMENTS = {
    EMBEDDED: Stage(
        start=0.5, side=128, timesteps=Timesteps(low_start=0.1, high_start=0.4, low_end=0.02, high_end=0.2)
    ),
    "large": Stage(
        start=0.5, side=512, timesteps=Timesteps(low_start=0.02, high_start=0.5, low_end=0.02, high_end=0.3)
    ),
}
MORE_SPLATS = 2.0  # as a factor, in the second part

# No penalties here either.
SMALL_FIELD = FieldSettings(lr_density=0.1, lr_colour=0.1)
FINE_LEVELS = (16, 32, 64, 96)

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
# Finer grids for larger pictures; penalties as in threestudio's recipes.
LARGE_FIELD = FieldSettings(
    levels=(16, 32, 64, 128), samples=64, lr_density=0.01, lr_colour=0.01, sparse_weight=1.0, orientation_weight=1.0,
    distortion_weight=0.1, splats_max=200_000,
)  # fmt: skip
LARGE_STAGES = (Stage(start=0.0, side=256), Stage(start=0.2, side=512))

# Without guidance: the score of the matching objects leads to them, and guidance above 1 makes colours stronger.
SMALL = Recipe(
    steps=400,
    views=4,
    stages=SMALL_STAGES["normal"],
    cameras=SMALL_CAMERAS,
    backgrounds=SMALL_BACKGROUNDS,
    splats=SMALL_SPLATS,
    timesteps=HIGH_FIRST,
    view_prompts=False,  # the prior is given the camera itself
    options={"guidance_scale": 1.0, "weight": "sigma^2"},
)
# For rules whose views disagree when windows are small, above all when a twin learns them.
WIDE, WHOLE = CatalogueSettings(mix=0.2), CatalogueSettings(mix=0.0)
# For rules without fresh noise in their gradient: they cannot settle on one of several objects and superimpose all.
# So the seed picks one.
ONE = CatalogueSettings(mix=0.0, objects=1)

LARGE = Recipe(
    steps=5000,
    views=4,
    cameras=LARGE_CAMERAS,
    backgrounds=LARGE_BACKGROUNDS,
    splats=LARGE_SPLATS,
    stages=LARGE_STAGES,
)

FIELDS = {EMBEDDED: SMALL_FIELD, "large": LARGE_FIELD}
# The recipes that differ from these two, by objective and kind of prior.
PLAIN = {EMBEDDED: SMALL, "large": LARGE}
RECIPES: dict[tuple[str, str], Recipe] = {
    # Jitter of the mapping shows as speckles, so it learns slowly, after a hundred steps in which the noise itself is
    # subtracted.  Splats that stay faint are jitter too and are pruned: half as many splats do as well.
    ("vdm", EMBEDDED): replace(
        SMALL, splats=replace(SMALL_SPLATS, prune_opacity=0.05),
        options={"guidance_scale": 1.0, "weight": "sigma^2", "fold": 4, "learning_rate": 5e-4, "warm_up": 100},
    ),
    # Eq. 12.  With more steps of inversion, more of a blend of two objects remains: 31 dB at four, 35 at two, 37 at one.
    ("jsd", EMBEDDED): replace(SMALL, catalogue=WIDE, options={"guidance_scale": 1.0, "weight": "sigma^2", "inversion_steps": 1}),
    # The twin has only a dozen steps to learn each view.
    ("vsd", EMBEDDED): replace(
        SMALL, catalogue=WHOLE, options={"guidance_scale": 1.0, "learning_rate": 0.1, "learn_low": 0.1, "learn_high": 0.99},
    ),
    # As VSD, down the schedule: the twin has to be told the camera.
    ("dreamflow", EMBEDDED): replace(
        SMALL, catalogue=WHOLE, timesteps=Timesteps(low_start=0.98, high_start=0.98, low_end=0.1, high_end=0.1),
        options={"guidance_scale": 1.0, "learning_rate": 0.1, "learn_low": 0.1, "learn_high": 0.99},
    ),
    ("asd", EMBEDDED): replace(
        SMALL, catalogue=WHOLE,
        options={
            "guidance_scale": 1.0, "weight": "sigma^2", "gamma": -0.5, "learning_rate": 0.1, "learn_low": 0.1, "learn_high": 0.99,
        },
    ),
    # An exact score recognises the picture with and without a prompt, so the direction of guidance fades too early.
    # NFSD's other term, here used at all levels, makes up for that; CSD has no such term.
    ("csd", EMBEDDED): replace(SMALL, catalogue=ONE),
    ("nfsd", EMBEDDED): replace(SMALL, catalogue=WIDE, options={"guidance_scale": 1.5, "weight": "sigma^2", "cut_off": 1000}),
    ("lods", EMBEDDED): replace(
        SMALL, catalogue=WIDE, options={"guidance_scale": 2.0, "learning_rate": 1e-2, "learn_low": 0.1, "learn_high": 0.99},
    ),
    ("asd-async", EMBEDDED): replace(SMALL, catalogue=WHOLE),
    # The paper's three stages are three sides.
    ("dreamflow", "large"): replace(
        LARGE, stages=(Stage(side=128), Stage(start=0.3, side=256), Stage(start=0.6, side=512)),
        timesteps=Timesteps(low_start=0.98, high_start=0.98, low_end=0.02, high_end=0.02),
    ),
    ("asd", "large"): replace(
        LARGE, views=2,
        timesteps=Timesteps(low_start=0.02, high_start=0.5, low_end=0.02, high_end=0.5),
    ),
    ("lods", "large"): replace(
        LARGE, steps=2500,
        timesteps=Timesteps(low_start=0.02, high_start=0.98, low_end=0.02, high_end=0.5), options={"learning_rate": 1e-3},
    ),
    ("jsd", "large"): replace(
        LARGE, steps=10_000, views=1,
        timesteps=Timesteps(low_start=0.98, high_start=0.98, low_end=0.25, high_end=0.25),
        options=msgspec.to_builtins(RELEASED),
    ),
    # Below 0.7 T the prompt's own estimate takes over from the direction of guidance.
    ("ssd", EMBEDDED): replace(SMALL, options={"guidance_scale": 1.0, "weight": "sigma^2", "switch": 700}),
    ("ism", EMBEDDED): replace(SMALL, catalogue=ONE, options={"guidance_scale": 1.0, "weight": "sigma^2", "inversion_steps": 4}),
    ("sdi", EMBEDDED): replace(
        SMALL, catalogue=ONE,
        options={
            "guidance_scale": 1.0, "weight": "sigma^2", "inversion_steps": 4, "inversion_guidance_scale": 1.0, "inversion_eta": 0.0,
        },
    ),
    # Of the two levels this rule compares, these windows set the lower one.
    ("consistent3d", EMBEDDED): replace(
        SMALL, catalogue=ONE, timesteps=Timesteps(low_start=0.6, high_start=0.8, low_end=0.05, high_end=0.4),
        options={"guidance_scale": 3.0, "guidance_scale_end": 3.0, "weight": "sigma^2"},
    ),
    # Balances the regularisers as in the other recipes.
    ("csd", "large"): replace(LARGE, options={"guidance_scale": 7.5}),
    # LucidDreamer widens its window by as much, but over the first 1,500 steps only.
    ("ism", "large"): replace(LARGE, timesteps=Timesteps(high_end=0.5)),
    ("sdi", "large"): replace(
        LARGE, steps=10_000, views=1, timesteps=Timesteps(low_start=0.98, high_start=0.98, low_end=0.02, high_end=0.02)
    ),
    ("consistent3d", "large"): replace(
        LARGE, steps=3000, timesteps=Timesteps(low_start=0.7, high_start=0.7, low_end=0.1, high_end=0.1)
    ),
}  # fmt: skip
