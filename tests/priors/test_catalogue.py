"""The catalogue prior on a small kit: whose pictures, from which camera, in what share."""

import numpy as np
import pytest
import torch
from kits import NAMES, small_catalogue, views

from backend.cameras import Cameras, orbit
from backend.guidance.learned import Learned
from backend.priors.base import PriorError
from backend.priors.catalogue import CataloguePrior, draw_objects
from backend.priors.grid import grid_cameras, nearest
from backend.priors.kit import KitError
from backend.priors.local_score import rgba_to_x, summed_over_views
from backend.priors.settings import CatalogueSettings
from backend.run.prompts import Prompts

WHOLE = CatalogueSettings(mix=0.0, objects=0)
SIDE = 32


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return small_catalogue(tmp_path_factory.mktemp("kit"))


@pytest.fixture
def prior(catalogue):
    return CataloguePrior(catalogue, "a chair", settings=WHOLE, side=SIDE)


def shown(name, cameras):
    """A thing's own pictures (B,4,SIDE,SIDE)."""
    return rgba_to_x(torch.from_numpy(views(name)[cameras]), SIDE)


def guess(prior, x, level, condition, seed=0):
    """The clean picture that the prior sees in x with noise."""
    t = torch.full((len(x),), level)
    alpha_bar = prior.alphas_cumprod[t].view(-1, 1, 1, 1)
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    x_t = alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * eps
    variance = alpha_bar * 0.01 + 1 - alpha_bar
    eps_hat = prior.predict(x_t, t, condition)
    return (x_t - eps_hat * variance / (1 - alpha_bar).sqrt()) / alpha_bar.sqrt()


def test_it_draws_from_the_named_objects(prior):
    assert [NAMES[n] for n in prior.numbers] == ["Wooden chair", "Red chair", "Office chair", "Garden chair"]
    assert any("4 chairs" in note for note in prior.notes)
    assert prior.channels == 4
    assert len(prior.cameras) == 48


@pytest.mark.parametrize("name", ["Red chair", "Garden chair"])
def test_a_noisy_picture_of_a_thing_is_that_thing(prior, name):
    cameras = [3, 17, 40]
    x = shown(name, cameras)
    condition = prior.condition(["a chair"] * 3, grid_cameras()[torch.tensor(cameras)])
    assert (guess(prior, x, 300, condition) - x).abs().mean() < 0.02
    apart = CataloguePrior(prior.catalogue, "a chair", settings=CatalogueSettings(mix=0.5, objects=0), side=SIDE)
    assert (guess(apart, x, 300, condition) - x).abs().mean() < 0.05


def test_in_pure_noise_the_estimate_is_the_mean_of_its_objects(prior):
    cameras = [5]
    condition = prior.condition(["a chair"], grid_cameras()[torch.tensor(cameras)])
    x_t = torch.zeros(1, 4, SIDE, SIDE)
    level = torch.tensor([998])
    alpha_bar = float(prior.alphas_cumprod[998])
    eps = prior.predict(x_t, level, condition)
    found = -eps * (alpha_bar * 0.01 + 1 - alpha_bar) / (1 - alpha_bar) ** 0.5 / alpha_bar**0.5
    mean = torch.stack([shown(NAMES[n], cameras)[0] for n in prior.numbers]).mean(0)
    assert (found[0] - mean).abs().mean() < 0.1


def test_windows_make_a_thing_of_the_parts_of_two(catalogue):
    prior = CataloguePrior(catalogue, "a chair", settings=CatalogueSettings(mix=1.0, objects=0), side=SIDE)
    x = shown("Wooden chair", [12])
    x[..., SIDE // 2 :, :] = shown("Garden chair", [12])[..., SIDE // 2 :, :]
    condition = prior.condition(["a chair"], grid_cameras()[torch.tensor([12])])
    whole = CataloguePrior(catalogue, "a chair", settings=WHOLE, side=SIDE)
    assert (guess(prior, x, 200, condition) - x).abs().mean() < 0.05
    assert (guess(whole, x, 200, condition) - x).abs().mean() > 0.05


def test_views_are_judged_together_while_windows_are_whole(catalogue):
    """One view is plainly the red chair, the other could be any: together both are."""
    cameras = [3, 9]
    x = shown("Red chair", cameras)
    x[1] = 0
    alone = CatalogueSettings(mix=0.0, objects=0, joint=False)
    found = {}
    for settings in (WHOLE, alone):
        prior = CataloguePrior(catalogue, "a chair", settings=settings, side=SIDE)
        condition = prior.condition(["a chair"] * 2, grid_cameras()[torch.tensor(cameras)])
        found[settings.joint] = guess(prior, x, 700, condition)[1]
    red = shown("Red chair", cameras)[1]
    assert (found[True] - red).abs().mean() < 0.02
    assert (found[False] - red).abs().mean() > 0.1


def test_views_of_one_group_are_summed_once_each():
    rows = [torch.full((2, 1, 1), value) for value in (1.0, 2.0, 2.0, 5.0)] + [torch.ones(2, 4, 4)]
    groups, views_ = [(0, 7), (0, 7), (0, 7), (-1, 7), (0, 7)], [1, 2, 2, 3, 4]
    together = summed_over_views(rows, groups, views_)
    assert [float(row.flatten()[0]) for row in together] == [3, 3, 3, 5, 1]


def test_a_seed_draws_some_objects_and_another_seed_others():
    weights = np.array([1.0, 1, 1, 1, 0.5, 0.1, 0], np.float32)
    assert draw_objects(weights, 0, 3).tolist() == [0, 1, 2, 3, 4]  # all that are likely enough
    draws = [tuple(draw_objects(weights, 2, seed)) for seed in range(60)]
    assert draws == [tuple(draw_objects(weights, 2, seed)) for seed in range(60)]
    assert len(set(draws)) == 10
    half = sum(4 in draw for draw in draws) / 60
    whole = sum(0 in draw for draw in draws) / 60
    assert half < whole


def test_a_prior_of_a_seed_knows_only_its_objects(catalogue):
    settings = CatalogueSettings(objects=2)
    numbers = {tuple(CataloguePrior(catalogue, "a chair", settings=settings, seed=seed).numbers) for seed in range(12)}
    assert len(numbers) > 2
    assert all(len(chosen) == 2 for chosen in numbers)


def test_no_prompt_is_all_pictures_and_a_negative_prompt_its_own(catalogue):
    prior = CataloguePrior(catalogue, "a chair", "a red chair", settings=WHOLE, side=SIDE)
    assert "Red chair" not in [NAMES[n] for n in prior.numbers]
    cameras = grid_cameras()[torch.tensor([3])]
    x = shown("Red chair", [3])
    assert (guess(prior, x, 300, prior.condition(["a red chair"], cameras)) - x).abs().mean() < 0.02
    assert (guess(prior, x, 300, prior.condition(["a chair"], cameras)) - x).abs().mean() > 0.05
    own = shown(NAMES[prior.numbers[0]], [3])
    assert (guess(prior, own, 300, prior.condition([""], cameras)) - own).abs().mean() < 0.02
    assert prior.predict(x, torch.tensor([900]), prior.condition([""])).isfinite().all()


@pytest.mark.parametrize(
    ("prompt", "negative", "match"), [("a chair", "chair", "chair"), ("qwrtz", "", "qwrtz"), ("the", "", "the")]
)
def test_prompts_without_matching_objects_are_refused(catalogue, prompt, negative, match):
    with pytest.raises(PriorError, match=match):
        CataloguePrior(catalogue, prompt, negative)


def test_a_damaged_object_is_reported_and_skipped(tmp_path):
    catalogue = small_catalogue(tmp_path / "kit")
    (tmp_path / "kit/0001.webp").write_bytes(b"no picture")
    prior = CataloguePrior(catalogue, "a chair", settings=WHOLE, side=SIDE)
    assert [NAMES[n] for n in prior.numbers] == ["Wooden chair", "Office chair", "Garden chair"]
    assert any("Red chair" in note and "0001.webp is damaged" in note for note in prior.notes)
    (tmp_path / "kit/0004.webp").unlink()
    with pytest.raises(KitError, match=r"0004\.webp is missing"):
        CataloguePrior(catalogue, "an apple", settings=WHOLE, side=SIDE)


def test_the_nearest_camera_is_found_and_a_view_word_moves_it():
    grid = grid_cameras()
    assert nearest(grid, grid) == list(range(48))
    near = Cameras(grid.azimuth + 2, grid.elevation - 1, grid.distance * 1.1, grid.fov)
    assert nearest(grid, near) == list(range(48))
    moved = nearest(grid, orbit(2, elevation=15.0), ["back", "front"])
    assert abs((grid.azimuth[moved[0]] + 180) % 360 - 180) > 135
    assert abs((grid.azimuth[moved[1]] + 180) % 360 - 180) < 45


def test_perp_neg_moves_away_from_other_views_of_the_same_things(prior):
    prompts = Prompts(prior, "a chair", perp_neg=True)
    cameras = grid_cameras()[torch.tensor([12, 20])]
    conditions = prompts.conditions(cameras)
    assert conditions.y.extra["camera"].tolist() == [12, 20]
    for condition, _ in conditions.perp:
        assert (condition.tokens == conditions.y.tokens).all()
    assert any(condition.extra["camera"].tolist() != [12, 20] for condition, _ in conditions.perp)


def test_colour_and_alpha_go_in_and_colour_comes_out(prior):
    pictures = torch.rand(2, 64, 64, 4)
    x = prior.encode(pictures)
    assert x.shape == (2, 4, 64, 64)
    torch.testing.assert_close(prior.decode(x), pictures[..., :3])
    assert prior.encode(torch.rand(1, 256, 256, 4)).shape[-1] == 128


def test_a_twin_is_the_prior_until_it_is_trained_and_then_the_scene(prior):
    cameras = grid_cameras()[torch.tensor([3, 30])]
    condition, x = prior.condition(["a chair"] * 2, cameras), shown("Sofa", [3, 30])
    t = torch.tensor([500, 500])
    alpha_bar = prior.alphas_cumprod[t].view(-1, 1, 1, 1)
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    x_t = alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * eps
    for rank in (0, 4):
        assert torch.equal(prior.twin(rank, 0).predict(x_t, t, condition), prior.predict(x_t, t, condition))
    twin = prior.twin(4, 0)
    learned = Learned(twin.parameters, 0.1)
    losses = [learned.step(twin, (twin.predict(x_t, t, condition) - eps).square().mean()) for _ in range(40)]
    assert losses[-1] < 0.1 * losses[0]
    half = torch.nn.functional.interpolate(x_t, scale_factor=0.5, mode="area")
    assert twin.predict(half, t, condition).shape == half.shape


def test_the_tokens_can_be_trained(prior):
    """LODS: the log-weights of the empty prompt learn which picture is shown."""
    cameras = grid_cameras()[torch.tensor([3])]
    start = prior.condition([""], cameras)
    tokens = start.tokens.clone().requires_grad_()
    twin = prior.twin(0, 0)
    x = 0.5 * shown("Red chair", [3]) + 0.5 * shown("Garden chair", [3])
    learned = Learned({"tokens": tokens}, 0.3)
    t, alpha_bar = torch.tensor([940]), prior.alphas_cumprod[940]
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    x_t = alpha_bar.sqrt() * x + (1 - alpha_bar).sqrt() * eps
    losses = []
    for _ in range(20):
        condition = type(start)(tokens, start.extra)
        losses.append(learned.step(twin, (twin.predict(x_t, t, condition) - eps).square().mean()))
    assert losses[-1] < losses[0]
