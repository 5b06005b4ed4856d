"""What `evaluate` compares jobs with: pictures that their own priors draw."""

import torch

from backend.assemble import embedded_prior, large_prior
from backend.cameras import orbit
from backend.evaluate.references import EACH, SIDES, draw, references, weights_mark


def test_another_priors_own_pictures(folders, tmp_path):
    """Drawn once and kept under its name; a damaged file is drawn again."""
    name = str(folders["epsilon"])
    prior = large_prior(name, torch.device("cpu"))
    pictures, azimuth = references(prior, name, "a red apple", tmp_path)
    assert pictures.shape[:1] == azimuth.shape == (SIDES * EACH,)
    assert 0 <= pictures.min() < pictures.max() <= 1
    (file,) = tmp_path.glob("references-a-red-apple-*.npy")
    assert weights_mark() not in file.name
    kept, _ = references(None, name, "a red apple", tmp_path)
    torch.testing.assert_close(kept, pictures, rtol=0, atol=0.51 / 255)
    file.write_bytes(file.read_bytes()[:1000])
    again, _ = references(prior, name, "a red apple", tmp_path)
    torch.testing.assert_close(again, pictures)


def test_references_are_of_these_weights(tmp_path):
    marks = []
    for number, (unet, words) in enumerate([(b"one", b"two"), (b"one", b"three"), (b"two", b"one"), (b"one", b"one")]):
        folder = tmp_path / str(number)
        (folder / "unet").mkdir(parents=True)
        (folder / "unet/model.safetensors").write_bytes(unet)
        (folder / "words.safetensors").write_bytes(words)
        marks.append(weights_mark(folder))
    assert len(set(marks)) == 4


def test_the_priors_own_pictures_go_by_words_cameras_and_seed():
    prior = embedded_prior(torch.device("cpu"))
    around = orbit(2, elevation=15.0)
    one, again = (draw(prior, "a red apple", around, 0, steps=2) for _ in range(2))
    assert one.shape == (2, 64, 64, 3)
    assert one.min() >= 0
    assert one.max() <= 1
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    for other in (draw(prior, "a blue vase", around, 0, steps=2), draw(prior, "a red apple", around, 1, steps=2)):
        assert (one - other).abs().mean() > 0.01
    assert (one[0] - one[1]).abs().mean() > 0.001
