"""gsplat's densification runs on our `info`, and sees the gradients that its own renderer would show it."""

import torch
from gsplat import DefaultStrategy
from render_scenes import cloud, view

from backend.render import rasterization
from backend.studies.bench import gsplat_reference

LOOKS = view(2, 32)


def parameters():
    scene = cloud(200) | {"opacities": torch.full((200,), 0.97)}
    scene["scales"] = scene["scales"].clamp(min=0.01)
    params = {
        "means": scene["means"],
        "scales": scene["scales"].log(),
        "quats": scene["quats"],
        "opacities": scene["opacities"].logit(),
        "colors": scene["colors"],
    }
    return {key: torch.nn.Parameter(value) for key, value in params.items()}


def optimizers(params):
    return {key: torch.optim.Adam([value], lr=1e-3) for key, value in params.items()}


def render(function, params):
    rest = {"colors": params["colors"], "opacities": params["opacities"].sigmoid(), **LOOKS}
    return function(params["means"], quats=params["quats"], scales=params["scales"].exp(), **rest)


def test_default_strategy_counts_and_weighs_as_with_gsplat():
    found = []
    for function in (gsplat_reference.rasterization, rasterization):
        params, strategy = parameters(), DefaultStrategy(verbose=False)
        opts, state = optimizers(params), strategy.initialize_state()
        strategy.check_sanity(params, opts)
        pixels, _, info = render(function, params)
        info |= {"width": 32, "height": 32, "n_cameras": 2} if "n_cameras" not in info else {}
        strategy.step_pre_backward(params, opts, state, 1, info)
        (pixels - 0.3).square().sum().backward()
        strategy.step_post_backward(params, opts, state, 1, info)
        found.append(state)
    theirs, ours = found
    assert float(theirs["count"].sum()) > 100
    assert torch.equal(ours["count"], theirs["count"])
    torch.testing.assert_close(ours["grad2d"], theirs["grad2d"], rtol=1e-3, atol=1e-4)


def test_default_strategy_grows():
    strategy = DefaultStrategy(refine_start_iter=2, refine_every=5, grow_grad2d=1e-6, verbose=False)
    params = parameters()
    opts, state = optimizers(params), strategy.initialize_state()
    for step in range(12):
        pixels, _, info = render(rasterization, params)
        strategy.step_pre_backward(params, opts, state, step, info)
        (pixels - 0.3).square().mean().backward()
        for optimizer in opts.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        strategy.step_post_backward(params, opts, state, step, info)
    assert len(params["means"]) > 200
    assert all(bool(torch.isfinite(value).all()) for value in params.values())
