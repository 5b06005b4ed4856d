"""A radiance field against closed forms, its kernel against torch, and its state."""

import math
import re

import msgspec
import pytest
import torch

from backend.cameras import orbit
from backend.scenes.adam_scene import CheckpointError
from backend.scenes.field import FieldScene
from backend.scenes.field_cpu import march_on_cpu, sampled_on_cpu
from backend.scenes.field_grid import blob, corners, resized, split_into_levels, summed
from backend.scenes.field_march import distortion, march, ray_weights
from backend.scenes.field_penalties import facing_away, grid_variation
from backend.scenes.field_rays import Rays, Samples, pixel_rays, proposal, sampled
from backend.scenes.settings import FieldSettings

CPU = torch.device("cpu")
SMALL = FieldSettings(levels=(4, 8, 16), samples=16)
BOTH = pytest.mark.parametrize(("sample", "draw"), [(sampled, march), (sampled_on_cpu, march_on_cpu)])


def even(density, side=16, colour=0.0):
    """The same density everywhere in the cube; the colour's logit in all three channels."""
    grid = torch.full((4, side, side, side), float(colour))
    grid[0] = math.log(density)
    return grid


def along_x(offsets=(0.0,)):
    """Rays from x = -3 along the x axis, moved along y."""
    origins = torch.tensor([[-3.0, y, 0.0] for y in offsets])
    half = (1 - origins[:, 1].square()).sqrt()
    ones = torch.ones(len(origins))
    return Rays(origins, torch.tensor([[1.0, 0.0, 0.0]]).repeat(len(origins), 1), 3 - half, 3 + half, ones)


def drawn(grid, rays, sample, draw, count=64, explore=0.3):
    samples = sample(rays, proposal(grid[0], 0.02), count, explore, torch.full((len(rays),), 0.5))
    return draw(grid, rays, samples), samples


@BOTH
def test_a_uniform_ball_covers_as_much_as_its_chord(sample, draw):
    rays = along_x((0.0, 0.6, 0.8))
    pixels, samples = drawn(even(0.7, colour=1.0), rays, sample, draw)
    chord = torch.tensor([2.0, 1.6, 1.2])
    torch.testing.assert_close(samples.lengths.sum(1), chord, atol=1e-4, rtol=0)
    alpha = 1 - torch.exp(-0.7 * chord)
    torch.testing.assert_close(pixels[:, 3], alpha, atol=1e-5, rtol=0)
    torch.testing.assert_close(pixels[:, 0], alpha / (1 + math.exp(-1)), atol=1e-5, rtol=0)


@BOTH
def test_the_depth_is_that_of_an_exponential(sample, draw):
    pixels, _ = drawn(even(2.0), along_x(), sample, draw, count=256)
    # The integral of 2 exp(-2 s) (2 + s) over the chord, s from 0 to 2.
    depth = 2 * (1 - math.exp(-4)) + 0.5 * (1 - math.exp(-4)) - 2 * math.exp(-4)
    assert float(pixels[0, 4]) == pytest.approx(depth, abs=2e-3)


@BOTH
def test_what_is_spread_evenly_has_a_third_of_its_length_as_distortion(sample, draw):
    pixels, _ = drawn(even(0.021), along_x(), sample, draw, count=64, explore=1.0)
    alpha = float(pixels[0, 3])
    assert float(pixels[0, 5]) == pytest.approx(alpha**2 * 2 / 3, rel=0.01)


def test_two_thin_walls_have_twice_their_product_times_their_distance_as_distortion():
    weights, distances = torch.tensor([[0.25, 0.5]]), torch.tensor([[1.0, 3.0]])
    assert float(distortion(weights, distances, torch.zeros(1, 2))) == pytest.approx(2 * 0.25 * 0.5 * 2)


def test_weights_are_what_each_sample_covers_of_the_light_that_is_left():
    weights = ray_weights(torch.tensor([[2.0, 3.0]]).log(), torch.tensor([[0.5, 1.0]]))
    first, second = 1 - math.exp(-1), math.exp(-1) * (1 - math.exp(-3))
    torch.testing.assert_close(weights, torch.tensor([[first, second]]))


def test_the_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    grid = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    rays = along_x((0.1, -0.4))
    rays = Rays(*(getattr(rays, name).double() for name in Rays.__dataclass_fields__))
    along = torch.linspace(2.4, 3.6, 6, dtype=torch.float64).repeat(2, 1)
    samples = Samples(along, torch.full_like(along, 0.2))
    assert torch.autograd.gradcheck(lambda values: march(values, rays, samples), (grid,))


def cloud(side=16):
    """A blob with structure, and the rays of two cameras."""
    generator = torch.Generator().manual_seed(1)
    grid = blob(side, 0.7, 8.0) + 0.5 * torch.randn(4, side, side, side, generator=generator)
    return grid, pixel_rays(orbit(2), 24, 24, CPU)


def test_the_kernel_draws_what_torch_draws_and_has_its_gradient():
    grid, rays = cloud()
    samples = sampled_on_cpu(rays, proposal(grid[0], 0.02), 24, 0.3, torch.rand(len(rays)))
    weights, found = torch.randn(len(rays), 6), []
    for draw in (march, march_on_cpu):
        own = grid.clone().requires_grad_()
        pixels = draw(own, rays, samples)
        (pixels * weights).sum().backward()
        found.append((pixels.detach(), own.grad))
    torch.testing.assert_close(found[0][0], found[1][0], atol=3e-4, rtol=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], atol=3e-3, rtol=1e-3)


def test_the_kernel_takes_the_samples_that_torch_takes():
    grid, rays = cloud()
    jitter = torch.rand(len(rays))
    one, other = (f(rays, proposal(grid[0], 0.02), 24, 0.3, jitter) for f in (sampled, sampled_on_cpu))
    used = (one.lengths > 0) & (other.lengths > 0)
    assert used.float().mean() > 0.3
    apart = (one.distances - other.distances).abs()[used]  # a bin's middle on the edge of two cells is rounded
    assert float((apart < 1e-4).float().mean()) > 0.98
    torch.testing.assert_close(one.lengths.sum(1), other.lengths.sum(1), atol=0.06, rtol=0)


@BOTH
def test_empty_space_has_no_samples_and_a_wall_has_most(sample, draw):
    grid = even(1e-4, side=33)
    x = corners(33)[..., 0]
    grid[0][x > 0] = math.log(50.0)  # the ray meets a wall at x = 0
    samples = drawn(grid, along_x(), sample, draw, count=20)[1]
    places = samples.distances[0] - 3
    used = samples.lengths[0] > 0
    assert float(places[used].min()) > -0.3  # the proposal's cells reach two further
    assert float(samples.lengths.sum()) == pytest.approx(1.1, abs=0.05)
    near = (places.abs() < 0.2).float().mean()
    assert float(near) > 0.6  # of 1.1 m an even spread has a quarter there


@BOTH
def test_each_part_of_a_ray_has_one_sample(sample, draw):
    grid, rays = even(0.5), along_x()
    coarse = proposal(grid[0], 0.02)
    low, high = (sample(rays, coarse, 8, 0.3, torch.tensor([j])).distances[0] for j in (0.0, 0.999))
    torch.testing.assert_close(low[1:], high[:-1], atol=2e-3, rtol=0)
    assert (high > low).all()


@BOTH
def test_an_empty_field_and_a_ray_beside_the_ball_show_nothing(sample, draw):
    assert float(drawn(even(1e-5), along_x(), sample, draw)[0].abs().max()) == 0
    beside = Rays(*(torch.zeros(1, 3), torch.eye(3)[:1], torch.ones(1), torch.ones(1), torch.ones(1)))
    assert float(drawn(even(5.0), beside, sample, draw)[0].abs().max()) == 0


def test_levels_are_the_start_in_sum_and_a_line_is_a_line_between_corners():
    start = torch.randn(4, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(summed(split_into_levels(start, (4, 8, 16))), start, atol=1e-5, rtol=0)
    line = torch.arange(3.0).expand(1, 3, 3, 3)
    torch.testing.assert_close(resized(line, 5)[0, 2, 3], torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))


def scene(settings=SMALL, steps=10):
    return FieldScene(blob(settings.levels[-1], 0.6, 2.0), settings, steps)


def taken(made, steps, first=0):
    """So many steps towards a red picture."""
    for step in range(first, first + steps):
        render = made.render(orbit(2, start=37.0 * step), 24, 24, torch.ones(2, 3))
        loss = (render.rgb - torch.tensor([1.0, 0.0, 0.0])).square().sum() + made.regulariser(render)
        loss.backward()
        made.step(step, render, None)
    return float(loss.detach())


def test_a_resumed_field_takes_the_same_steps_to_the_last_bit():
    straight, first, second = scene(), scene(), scene()
    taken(straight, 8)
    taken(first, 4)
    second.load_state_dict(first.state_dict())
    taken(second, 4, first=4)
    one, other = straight.state_dict(), second.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        made = scene()
        taken(made, 3)
        found.append(made.grid.detach())
    assert torch.equal(*found)


def test_it_learns_and_the_finest_level_joins_later():
    made = scene(steps=40)
    first, before = taken(made, 1), made.params["density2"].detach().clone()
    taken(made, 9, first=1)
    assert torch.equal(made.params["density2"], before)
    assert taken(made, 10, first=10) < first - 100
    assert not torch.equal(made.params["density2"], before)


def test_a_spoilt_gradient_is_dropped_and_the_field_goes_on():
    made = scene()
    taken(made, 1)
    before = made.state_dict()
    made.render(orbit(1), 16, 16, torch.ones(1, 3)).rgb.sum().backward()
    assert made.finite()
    made.params["colour0"].grad[0, 0, 0, 0] = float("nan")
    assert not made.finite()
    made.drop_gradients()
    assert made.finite()
    assert made.resumable()
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda state: state.pop("field.colour1"), "lacks field.colour1"),
        (lambda state: state.update({"field.density0": torch.zeros(1, 5, 5, 5)}), "(1, 5, 5, 5), not (1, 4, 4, 4)"),
        (lambda state: state["adam.colour0.exp_avg"].fill_(torch.inf), "colour0.exp_avg has NaN or infinite"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil, said):
    made = scene()
    taken(made, 1)
    before, state = made.state_dict(), made.state_dict()
    spoil(state)
    with pytest.raises(CheckpointError, match=re.escape(said)):
        made.load_state_dict(state)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def test_pictures_without_gradient_have_no_noise():
    made = scene()
    with torch.no_grad():
        one, other = (made.render(orbit(1), 16, 16, torch.ones(1, 3)).rgb for _ in range(2))
        made.taken = 3
        assert torch.equal(one, other)
        assert torch.equal(one, made.render(orbit(1), 16, 16, torch.ones(1, 3)).rgb)


def test_the_variation_of_a_ramp_is_its_slope():
    ramp = 0.5 * torch.arange(8.0).expand(1, 8, 8, 8)
    assert float(grid_variation(ramp)) == pytest.approx(0.5)


def ball_facing(sign):
    """A ball of 0.6 with a wide edge, or with -1 a hole of that size in a full cube."""
    grid = torch.zeros(4, 32, 32, 32)
    grid[0] = sign * 20 * (0.6 - corners(32).norm(dim=-1))
    rays = along_x((0.0,))
    distances = torch.linspace(2.0, 3.0, 101)[None] if sign > 0 else torch.linspace(3.0, 4.0, 101)[None]
    return grid, rays, Samples(distances, torch.full_like(distances, 0.01))


def test_only_surfaces_that_face_away_are_penalised():
    assert float(facing_away(*ball_facing(1.0))) < 1e-6
    grid, rays, _ = ball_facing(1.0)
    distances = torch.linspace(3.55, 3.9, 101)[None]  # the ray leaves the ball: seen from behind
    from_within = Samples(distances, torch.full_like(distances, 0.0035))
    weights = ray_weights(20 * (0.6 - (distances - 3)), from_within.lengths)
    assert float(facing_away(grid, rays, from_within)) == pytest.approx(float(weights.sum()), rel=0.05)
    assert float(facing_away(*ball_facing(-1.0))) < 1e-6  # a wall that is met from its free side


def test_each_penalty_counts_by_its_weight():
    for name in ("sparse", "opaque", "distortion", "orientation", "tv"):
        values = []
        for weight in (0.0, 1.0, 3.0):
            made = scene(msgspec.structs.replace(SMALL, **{f"{name}_weight": weight}))
            values.append(float(made.regulariser(made.render(orbit(1), 24, 24, torch.ones(1, 3))).detach()))
        assert values[0] == 0
        assert values[2] == pytest.approx(3 * values[1])
        assert values[1] > 0


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"levels": []}, "levels"),
        ({"levels": [32, 16]}, "levels must rise, not 32, 16"),
        ({"levels": [2]}, "levels"),
        ({"levels": [1000]}, "levels"),
        ({"samples": 0}, "samples"),
        ({"explore": 0.0}, "explore"),
        ({"lr_density": 0.0}, "lr_density"),
        ({"distortion_weight": -1.0}, "distortion_weight"),
        ({"initial_count": 3}, "initial_count"),
    ],
)
def test_bad_settings_are_refused_by_name(fields, named):
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.convert(fields, FieldSettings)
