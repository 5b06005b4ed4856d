"""The settings of a run's scene: splats, or a radiance field; and of the mesh that is made of it in the end.

The splats' defaults are those of DreamGaussian (2309.16653), whose learning rates suit runs of some hundred steps, with
the regularisers of LucidDreamer (2311.11284) and the growth thresholds of gsplat's strategies.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Rate = Annotated[float, Meta(gt=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=1e6)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


class SplatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Initialisation, learning rates, growth and penalties of splats.  In metres; the object fills the unit ball."""

    initial_count: Annotated[int, Meta(ge=16, le=2_000_000, description="Splats at the start")] = 4000
    initial_shape: Annotated[Literal["ball", "blob"], Meta(description="Even ball, or Gaussian blob")] = "ball"
    initial_radius: Annotated[float, Meta(gt=0, le=2, description="Radius of the ball, two sigma of the blob")] = 0.5
    initial_opacity: Annotated[float, Meta(gt=0, lt=1, description="Opacity at the start")] = 0.1
    sh_degree: Annotated[int, Meta(ge=0, le=3, description="Colour that depends on the view: 0 is none")] = 0

    lr_means: Annotated[Rate, Meta(description="Learning rate of positions at the start")] = 1e-3
    lr_means_end: Annotated[Rate, Meta(description="Learning rate of positions after the decay")] = 2e-5
    lr_means_until: Annotated[Rate, Meta(description="Part of the run over which positions' rate decays")] = 0.6
    lr_colour: Annotated[Rate, Meta(description="Learning rate of colours")] = 0.01
    lr_opacity: Annotated[Rate, Meta(description="Learning rate of opacities")] = 0.05
    lr_scale: Annotated[Rate, Meta(description="Learning rate of sizes")] = 0.005
    lr_rotation: Annotated[Rate, Meta(description="Learning rate of orientations")] = 0.005
    lr_end_factor: Annotated[Rate, Meta(description="What is left of the four other rates at the end")] = 1.0

    growth: Annotated[
        Literal["none", "default", "mcmc"], Meta(description="Fixed number, 3DGS's growth, or Monte Carlo moves")
    ] = "default"
    refine_every: Annotated[int, Meta(ge=1, le=100_000, description="Steps between refinements")] = 50
    refine_start: Annotated[Fraction, Meta(description="Part of the run before the first refinement")] = 0.2
    refine_stop: Annotated[Fraction, Meta(description="Part of the run after which the number stays")] = 0.9
    grow_grad2d: Annotated[float, Meta(ge=0, description="Mean screen gradient above which a splat grows")] = 2e-4
    grow_fraction: Annotated[Fraction, Meta(description="Splats that may grow at once, strongest gradient first")] = 0.2
    split_scale: Annotated[float, Meta(gt=0, description="Sigma above which a growing splat splits in two")] = 0.04
    prune_opacity: Annotated[float, Meta(gt=0, lt=0.5, description="Opacity below which a splat goes")] = 0.01
    prune_scale: Annotated[float, Meta(gt=0, description="Sigma above which a splat goes")] = 0.4
    reset_every: Annotated[int, Meta(ge=0, description="Steps between opacity resets, 0 for none")] = 0
    cap_max: Annotated[int, Meta(ge=16, le=10_000_000, description="Splats at most")] = 20_000
    mcmc_noise: Annotated[Weight, Meta(description="Noise on faint splats, in units of the positions' rate")] = 8e4

    scale_weight: Annotated[Weight, Meta(description="Penalty on the mean size")] = 1.0
    sparse_weight: Annotated[Weight, Meta(description="Penalty on covered pixels")] = 0.0
    opaque_weight: Annotated[Weight, Meta(description="Penalty on half-transparent pixels")] = 0.0
    tv_colour_weight: Annotated[Weight, Meta(description="Penalty on the total variation of the picture")] = 1.0
    tv_disparity_weight: Annotated[Weight, Meta(description="Penalty on the total variation of disparity")] = 1.0

    def __post_init__(self) -> None:
        if self.refine_start > self.refine_stop:
            raise ValueError(f"refine_start ({self.refine_start}) must not exceed refine_stop ({self.refine_stop}).")


Side = Annotated[int, Meta(ge=4, le=256)]


class FieldSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Grids, samples, learning rates and penalties of a radiance field.  In metres; the object fills the unit ball."""

    levels: Annotated[
        tuple[Side, ...], Meta(min_length=1, max_length=8, description="Voxels along a side of each level, rising")
    ] = (16, 32, 64)
    finest_from: Annotated[Fraction, Meta(description="Part of the run after which the finest level learns too")] = 0.25
    samples: Annotated[int, Meta(ge=4, le=512, description="Samples of a ray where there is something")] = 32
    explore: Annotated[float, Meta(gt=0, le=1, description="Share of the samples that are spread evenly")] = 0.3
    empty_below: Annotated[float, Meta(ge=0, le=1, description="Density per metre below which space is skipped")] = 0.02
    initial_radius: Annotated[float, Meta(gt=0, le=1, description="Radius of the grey blob at the start")] = 0.6
    initial_density: Annotated[float, Meta(gt=0, le=100, description="Density per metre at its centre")] = 2.0

    lr_density: Annotated[Rate, Meta(description="Learning rate of the density's logarithm at the start")] = 0.05
    lr_colour: Annotated[Rate, Meta(description="Learning rate of colours at the start")] = 0.05
    lr_end_factor: Annotated[Rate, Meta(description="What is left of the rates at the end")] = 0.1

    sparse_weight: Annotated[Weight, Meta(description="Penalty on covered pixels")] = 0.0
    opaque_weight: Annotated[Weight, Meta(description="Penalty on half-transparent pixels")] = 0.0
    distortion_weight: Annotated[Weight, Meta(description="Penalty on density that is spread along a ray")] = 0.0
    orientation_weight: Annotated[Weight, Meta(description="Penalty on visible surfaces that face away")] = 0.0
    tv_weight: Annotated[Weight, Meta(description="Penalty on differences between neighbouring voxels")] = 0.0

    splats_max: Annotated[int, Meta(ge=16, le=2_000_000, description="Splats at most when it is converted")] = 80_000

    def __post_init__(self) -> None:
        if any(low >= high for low, high in itertools.pairwise(self.levels)):
            raise ValueError(f"levels must rise, not {', '.join(map(str, self.levels))}.")


class MeshSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How fine the finished mesh is, and how the same rule refines it, with the recipe's views a step.  In metres."""

    resolution: Annotated[int, Meta(ge=16, le=512, description="Grid points along the object's longest side")] = 128
    faces: Annotated[int, Meta(ge=100, le=1_000_000, description="The most triangles, or a few more")] = 10_000
    texture_side: Annotated[int, Meta(ge=64, le=8192, description="Texels along each side of the texture")] = 1024
    refine_steps: Annotated[int, Meta(ge=0, le=100_000, description="Steps that refine the mesh, 0 for none")] = 0
    lr_vertices: Annotated[Rate, Meta(description="Learning rate of vertices at the start")] = 5e-4
    lr_colour: Annotated[Rate, Meta(description="Learning rate of colours around each vertex at the start")] = 0.005
    lr_texture: Annotated[Rate, Meta(description="Learning rate of each texel's colour at the start")] = 5e-4
    lr_end_factor: Annotated[Rate, Meta(description="What is left of the rates at the end")] = 0.1
    smoothing: Annotated[
        int, Meta(ge=0, le=100, description="How often a vertex's move is averaged with those of its neighbours")
    ] = 8
    laplacian_weight: Annotated[Weight, Meta(description="Penalty on moves that differ from the neighbours'")] = 1.0
    normal_weight: Annotated[Weight, Meta(description="Penalty on angles between neighbouring faces")] = 0.01
