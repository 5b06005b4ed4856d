"""What `evaluate` compares jobs with: the pictures that a kit has, those that another prior draws."""

import shutil

import pytest
import torch
from kits import make_small_kit

from backend.cameras import orbit
from backend.job.job import make_job
from backend.priors.catalogue import STD
from backend.run.assemble import load_large_prior, load_prior
from backend.studies.evaluate.references import (
    EACH,
    SIDES,
    draw,
    own_cameras,
    prior_checksum,
    references,
    with_all_objects,
)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return make_small_kit(tmp_path_factory.mktemp("kits") / "small")


def prior_of(kit, prompt, **catalogue):
    job = make_job({"prompt": prompt, "prior": str(kit), "recipe": {"catalogue": catalogue}})
    return job, load_prior(with_all_objects(job), torch.device("cpu"))[0]


def test_another_priors_own_pictures(folders, tmp_path):
    """Drawn once and kept under its name; a damaged file is drawn again."""
    name = str(folders["epsilon"])
    prior = load_large_prior(name, torch.device("cpu"))
    pictures, azimuth = references(prior, name, "a red apple", tmp_path)
    assert pictures.shape[:1] == azimuth.shape == (SIDES * EACH,)
    assert 0 <= pictures.min() < pictures.max() <= 1
    (file,) = tmp_path.glob("references-a-red-apple-*.npy")
    kept, _ = references(None, name, "a red apple", tmp_path)
    torch.testing.assert_close(kept, pictures, rtol=0, atol=0.51 / 255)
    file.write_bytes(file.read_bytes()[:1000])
    again, _ = references(prior, name, "a red apple", tmp_path)
    torch.testing.assert_close(again, pictures)


def test_a_kits_own_pictures_are_those_of_all_that_the_words_choose(kit, tmp_path):
    job, prior = prior_of(kit, "a chair", objects=1)
    assert len(load_prior(job, torch.device("cpu"))[0].numbers) == 1  # of the seed's draw
    pictures, azimuth = references(prior, str(kit), "a chair", tmp_path)
    assert pictures.shape == (4 * SIDES, 128, 128, 3)
    torch.testing.assert_close(azimuth, orbit(SIDES).azimuth.repeat(4))
    views = torch.from_numpy(prior.catalogue.kit.views(2)[own_cameras(prior)].copy()).float() / 255
    shown = views[..., :3] * views[..., 3:] + 0.5 * (1 - views[..., 3:])
    torch.testing.assert_close(pictures[2 * SIDES : 3 * SIDES], shown, rtol=0, atol=1e-5)
    assert not list(tmp_path.iterdir())


def test_they_are_dyed_as_the_prompt_says(kit, tmp_path):
    _, prior = prior_of(kit, "a blue sofa")
    pictures, _ = references(prior, str(kit), "a blue sofa", tmp_path)
    colour = (pictures - 0.5).abs().amax(-1) > 0.05
    assert pictures[colour].mean(0).argmax() == 2


def test_the_mark_changes_with_every_file_of_a_kit(kit, tmp_path):
    marks = [
        prior_checksum(str(kit)),
        prior_checksum("embedded"),
        prior_checksum("a hub/id"),
        prior_checksum("another hub/id"),
    ]
    for number, name in enumerate(("kit.json", "0003.webp")):
        copy = shutil.copytree(kit, tmp_path / str(number))
        marks.append(prior_checksum(str(copy)))
        changed = shutil.copytree(kit, tmp_path / f"{number} changed")
        (changed / name).write_bytes((changed / name).read_bytes() + b" ")
        marks.append(prior_checksum(str(changed)))
    assert len(set(marks)) == len(marks)


def test_pictures_are_drawn_by_words_cameras_and_seed(kit):
    """Down the levels of an exact score to the pictures of the one thing that fits, from any noise."""
    _, prior = prior_of(kit, "a red apple")
    around = orbit(2, elevation=15.0)
    one, other = (draw(prior, "a red apple", around, seed, steps=20, scale=1.0) for seed in (0, 1))
    assert one.shape == (2, 128, 128, 3)
    own = torch.cat([prior.decode(prior.sources[0].pictures(camera, 128).x) for camera in (12, 20)])
    for drawn in (one, other):
        assert (drawn - own).square().mean() < (STD / 2) ** 2  # a sample is a picture blurred by this much at most
        assert (drawn - own.flip(0)).square().mean() > (own - own.flip(0)).square().mean()
    assert (one - other).abs().mean() > 1e-3
    _, sofas = prior_of(kit, "a sofa")
    assert (draw(sofas, "a sofa", around, 0, steps=20, scale=1.0) - own).square().mean() > 0.01
