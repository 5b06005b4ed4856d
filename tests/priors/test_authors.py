"""Whose parts a result is: pictures of one object, of two, of one that faces another way, and of nothing."""

import pytest
import torch
from kits import small_catalogue

from backend.priors.authors import FINEST, authors, credits
from backend.priors.catalogue import CataloguePrior
from backend.priors.grid import SIDE, grid_rows


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return CataloguePrior(small_catalogue(tmp_path_factory.mktemp("kit")), "a chair")


def pictures(prior, number, side=SIDE):
    """x (48,4,side,side) of one of the prior's objects."""
    return torch.stack([prior.sources[0].pictures(camera, side).x[number] for camera in range(len(grid_rows()))])


@pytest.mark.parametrize("side", [64, SIDE])
@pytest.mark.parametrize("number", range(4))
def test_a_result_that_is_an_object_is_all_of_it(prior, number, side):
    x = pictures(prior, number, side)
    found = authors(prior, x)
    assert found.nearest == number
    assert found.psnr[number] > 80
    assert found.psnr[[k for k in range(4) if k != number]].max() < 30
    assert found.psnr_rgba[number] > 80
    assert found.views.min(0).values[number] > 0.99  # from every side
    torch.testing.assert_close(found.cover, ((x[:, 3] + 1) / 2).sum((1, 2)))
    (credit,) = credits(prior, x)
    assert (credit.name, credit.creator) == (found.objects[number].name, f"Creator {number}")
    assert credit.share == pytest.approx(1, abs=0.01)


def test_the_psnr_is_that_of_a_known_error(prior):
    """Colour off by 0.1 everywhere is 20 dB; with an alpha that is right, a quarter less of an error."""
    x = pictures(prior, 1)
    off = torch.where(x[:, :3] > 0, -0.2, 0.2)
    found = authors(prior, torch.cat([x[:, :3] + off, x[:, 3:]], 1))
    assert found.nearest == 1
    assert found.psnr[1] == pytest.approx(20, abs=1e-3)
    assert found.psnr_rgba[1] == pytest.approx(20 + 10 * torch.tensor(4 / 3).log10().item(), abs=1e-3)


def test_a_mosaic_of_two_is_half_of_each_by_cover(prior):
    """Views of two objects in turn, and then each view left of one and right of the other."""
    one, other = pictures(prior, 0), pictures(prior, 1)
    turns = torch.where((torch.arange(48) % 2 == 0)[:, None, None, None], one, other)
    found = authors(prior, turns)
    ours, theirs = (((x[:, 3] + 1) / 2).sum((1, 2)) for x in (one, other))
    expected = ours[::2].sum() / (ours[::2].sum() + theirs[1::2].sum())
    assert found.shares[0] == pytest.approx(float(expected), abs=0.01)
    assert found.views.max(1).values.min() > 0.99  # each view is one object's
    half = torch.cat([one[..., : SIDE // 2], other[..., SIDE // 2 :]], -1)
    found = authors(prior, half)
    covers = [float((part[:, 3] + 1).sum()) for part in (one[..., : SIDE // 2], other[..., SIDE // 2 :])]
    assert found.shares[0] == pytest.approx(covers[0] / sum(covers), abs=0.06)
    assert found.views.max(1).values.mean() < 0.8
    assert [credit.share for credit in found.credits()] == sorted((c.share for c in found.credits()), reverse=True)
    assert sum(credit.share for credit in found.credits()[:2]) > 0.95


def test_small_shares_are_not_credited(prior):
    one, other = pictures(prior, 0), pictures(prior, 1)
    one[0] = other[0]  # one view in 48: about a fiftieth
    credited = credits(prior, one)
    assert [credit.name for credit in credited] == ["Wooden chair", "Red chair"]
    one[0, :, :110] = pictures(prior, 0)[0, :, :110]
    assert [credit.name for credit in credits(prior, one)] == ["Wooden chair"]


def test_an_empty_result_has_no_authors(prior):
    empty = torch.tensor([0.0, 0.0, 0.0, -1.0])[None, :, None, None].expand(48, -1, 32, 32)
    found = authors(prior, empty)
    assert found.credits() == []
    assert found.shares.sum() == 0
    assert found.cover.sum() < FINEST


def test_pictures_from_other_cameras_are_refused(prior):
    with pytest.raises(ValueError, match="one picture a camera"):
        authors(prior, torch.zeros(8, 4, 32, 32))
    with pytest.raises(ValueError, match="one picture a camera"):
        authors(prior, torch.zeros(48, 3, 32, 32))
