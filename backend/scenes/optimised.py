"""Optimised splats: parameters with an Adam each, growth, and their state for resuming."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Parameter

from backend.cameras import Cameras
from backend.scenes import regularise
from backend.scenes.adam_scene import CheckpointError
from backend.scenes.density import growth
from backend.scenes.rendered import Render
from backend.scenes.settings import SplatSettings
from backend.scenes.splats import Splats, render_splats
from backend.state import below, moments, set_moments
from backend.tensors import all_finite

# gsplat's strategies know the parameters by these names; "rest" are the harmonics above the constant one.
FIELDS = {"means": "means", "quats": "quats", "scales": "log_scales", "opacities": "opacity_logits"}
REST_RATE = 1 / 20  # view-dependent colour learns more slowly by this factor, as in 3DGS


class SplatScene:
    """Optimised splats; a Scene.

    The schedules are for a run of `steps`: a run that is continued beyond keeps its final learning rates and number of
    splats.  For a longer schedule, pass the larger number from the start.
    """

    def __init__(
        self,
        splats: Splats,
        settings: SplatSettings,
        steps: int,
        device: torch.device | str = "cpu",
        splats_max: Callable[[float], int] | None = None,
    ) -> None:
        """`splats_max` gives the ceiling of their number at each share of the run, where it changes."""
        self.settings, self.steps, self.device = settings, steps, torch.device(device)
        self.splats_max = splats_max or (lambda _share: settings.cap_max)
        self._adopt(_split(splats, settings.sh_degree))
        self.growth = growth(settings, steps, self.device)

    def _adopt(self, tensors: dict[str, Tensor]) -> None:
        """Make the tensors parameters, each with a new optimiser."""
        self.params = {name: Parameter(v.detach().float().to(self.device, copy=True)) for name, v in tensors.items()}
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam([p], lr=self.rate(name, 0), eps=1e-15, fused=True) for name, p in self.params.items()
        }

    @property
    def live(self) -> Splats:
        """The current splats, with gradient."""
        p = self.params
        sh = torch.cat([p["sh0"], p["rest"]], 1) if "rest" in p else p["sh0"]
        return Splats(**{theirs: p[ours] for ours, theirs in FIELDS.items()}, sh=sh)

    def splats(self) -> Splats:
        """Copies on the CPU, without gradient."""
        return self.live.detach()

    def render(self, cameras: Cameras, width: int, height: int, backgrounds: Tensor) -> Render:
        """Pictures with gradient; backgrounds (B,3)."""
        render = render_splats(self.live, cameras, width, height, backgrounds)
        self.growth.watch(render.info)
        return render

    def regulariser(self, render: Render) -> Tensor:
        """The weighted penalties of the settings; those of weight 0 are not computed."""
        s = self.settings
        terms: tuple[tuple[float, Callable[[], Tensor]], ...] = (
            (s.scale_weight, lambda: regularise.scale_penalty(self.params["scales"])),
            (s.sparse_weight, lambda: regularise.sparsity(render.alpha)),
            (s.opaque_weight, lambda: regularise.opaqueness(render.alpha)),
            (s.tv_colour_weight, lambda: regularise.total_variation(render.rgb)),
            (s.tv_disparity_weight, lambda: regularise.disparity_variation(render.depth, render.alpha)),
        )
        return sum((weight * term() for weight, term in terms if weight), torch.zeros((), device=self.device))

    def step(self, step: int, render: Render, generator: torch.Generator) -> dict[str, float]:
        """After backward: optimise, then grow and prune."""
        for name, optimiser in self.optimisers.items():
            optimiser.param_groups[0]["lr"] = self.rate(name, step)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.growth.limit(self.splats_max(min(1.0, step / self.steps)))
        metrics = self.growth.step(step, self.params, self.optimisers, render.info, generator)
        return {"splats": float(len(self.params["means"])), **metrics}

    def rate(self, name: str, step: int) -> float:
        """Learning rate of a parameter: exponential from its start to its end, then constant."""
        s = self.settings
        done = min(1.0, step / self.steps)
        if name == "means":
            return float(s.lr_means * (s.lr_means_end / s.lr_means) ** min(1.0, done / s.lr_means_until))
        start = {
            "quats": s.lr_rotation,
            "scales": s.lr_scale,
            "opacities": s.lr_opacity,
            "sh0": s.lr_colour,
            "rest": s.lr_colour * REST_RATE,
        }[name]
        return float(start * s.lr_end_factor**done)

    def finite(self) -> bool:
        """Whether all parameters and gradients are finite."""
        return all_finite(self.params.values())

    def drop_gradients(self) -> None:
        """Drop the gradients; the splats are unchanged."""
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)

    def resumable(self) -> bool:
        """Whether parameters and moments are finite and match in number, which they may not if growth was cut short."""
        try:
            _check(dict(self.params), self.params, self.state_dict())
        except CheckpointError:
            return False
        return True

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters, Adam's moments and growth statistics: flat, contiguous, on the CPU."""
        state: dict[str, Tensor] = {f"splats.{name}": p for name, p in self.params.items()}
        for name, optimiser in self.optimisers.items():
            kept = moments(optimiser, self.params[name])
            state.update({f"adam.{name}.{key}": value for key, value in kept.items()})
        state.update({f"growth.{key}": value for key, value in self.growth.state_dict().items()})
        return {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, with its number of splats: the next step is the same to the last bit.

        Raises CheckpointError where something is missing, has another shape or is not finite; nothing is changed then.
        """
        tensors = {name: state.get(f"splats.{name}") for name in self.params}
        _check(tensors, self.params, state)
        self._adopt({name: v for name, v in tensors.items() if v is not None})
        for name, optimiser in self.optimisers.items():
            set_moments(optimiser, self.params[name], below(state, f"adam.{name}."))
        self.growth.load_state_dict({key: self._own(value) for key, value in below(state, "growth.").items()})

    def _own(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, copy=True)


def _split(splats: Splats, sh_degree: int) -> dict[str, Tensor]:
    """Parameters by their names here; harmonics are truncated or zero-padded to `sh_degree`."""
    tensors = {ours: getattr(splats, theirs) for ours, theirs in FIELDS.items()}
    tensors["sh0"] = splats.sh[:, :1]
    if sh_degree:
        count = (sh_degree + 1) ** 2 - 1
        rest = splats.sh[:, 1 : count + 1]
        missing = rest.new_zeros(len(rest), count - rest.shape[1], 3)
        tensors["rest"] = torch.cat([rest, missing], 1)
    return tensors


def _check(tensors: dict[str, Tensor | None], params: dict[str, Parameter], state: dict[str, Tensor]) -> None:
    means = tensors["means"]
    for name, tensor in tensors.items():
        if tensor is None or means is None:
            raise CheckpointError(f"The checkpoint lacks splats.{name}: it was not made by a run with these settings.")
        expected = (len(means), *params[name].shape[1:])
        for key in (f"splats.{name}", f"adam.{name}.exp_avg", f"adam.{name}.exp_avg_sq"):
            if key in state and tuple(state[key].shape) != expected:
                raise CheckpointError(f"The checkpoint's {key} is {tuple(state[key].shape)}, not {expected}.")
    for key, tensor in state.items():
        if key.startswith(("splats.", "adam.", "growth.")) and not torch.isfinite(tensor).all():
            raise CheckpointError(f"The checkpoint's {key} has NaN or infinite values; use an earlier one.")
