"""What `evaluate` compares jobs of other priors with: pictures that those priors draw."""

import torch

from backend.assemble import large_prior
from backend.evaluate.references import EACH, SIDES, references, weights_mark


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
