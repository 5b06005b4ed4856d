"""A VAE computes in half precision where its numbers fit."""

import pytest
import tiny_pipelines as tiny
import torch

from backend.priors.stable_diffusion import load_stable_diffusion
from backend.priors.vae_dtype import HEADROOM, fitting_dtype, largest_activation, probes


def vae_with(factor, part):
    """A small VAE one of whose layers gives numbers that are larger by a factor."""
    torch.manual_seed(0)
    vae = tiny.vae(force_upcast=True).float().eval()
    layer = vae.get_submodule(part)
    with torch.no_grad():
        layer.weight *= factor
        layer.bias *= factor
    return vae


@pytest.mark.parametrize("part", ["encoder.conv_in", "encoder.down_blocks.0.resnets.0.conv2", "decoder.conv_in"])
def test_half_precision_where_the_numbers_fit(part):
    """Whatever the configuration says: this one says `force_upcast`."""
    plain = float(largest_activation(vae_with(1, part)))
    assert 0.1 < plain < 100
    assert fitting_dtype(vae_with(1, part), torch.float16) == torch.float16
    assert fitting_dtype(vae_with(1e6, part), torch.float16) == torch.float32


def test_the_headroom_counts():
    """Just below and above a quarter of what half precision holds."""
    vae = vae_with(1, "encoder.conv_in")
    with torch.no_grad():
        reached = float(vae.encoder.conv_in(probes(vae.device, torch.float32)).abs().max())
    limit = torch.finfo(torch.float16).max / HEADROOM / reached
    assert fitting_dtype(vae_with(0.9 * limit, "encoder.conv_in"), torch.float16) == torch.float16
    assert fitting_dtype(vae_with(1.1 * limit, "encoder.conv_in"), torch.float16) == torch.float32


def test_numbers_that_are_none_do_not_fit():
    assert fitting_dtype(vae_with(float("nan"), "encoder.conv_in"), torch.float16) == torch.float32


def test_the_measurement_leaves_nothing_behind():
    vae = vae_with(1, "encoder.conv_in")
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    fitting_dtype(vae, torch.float16)
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())
    assert not any(module._forward_hooks for module in vae.modules())


def test_on_the_cpu_all_is_in_single_precision(folders):
    assert load_stable_diffusion(folders["xl"], "cpu").vae.dtype == torch.float32
