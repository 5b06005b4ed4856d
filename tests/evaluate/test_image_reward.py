"""ImageReward's weights, read into transformers' BLIP, give what the authors' own code gives."""

import re

import pytest
import torch

from backend.studies.evaluate.image_reward import image_reward
from backend.studies.evaluate.optional_judges import OptionalJudges

# By ImageReward 1.5's own vit.py and med.py under transformers 4.27.4, for these weights and pictures.
AUTHORS = [-0.14631788432598114, -0.1450645923614502]


@pytest.fixture
def pictures():
    wave = torch.sin(torch.arange(2 * 32 * 32 * 3, dtype=torch.float64) * 0.37)
    return wave.float().view(2, 32, 32, 3) / 2 + 0.5


def test_scores_are_those_of_the_authors_code(image_reward_folder, pictures):
    assert image_reward(str(image_reward_folder))(pictures, "a red apple").tolist() == pytest.approx(AUTHORS, abs=1e-5)


def test_the_prompt_and_the_picture_count(image_reward_folder, pictures):
    reward = image_reward(str(image_reward_folder))
    assert reward(pictures, "a desk lamp").tolist() != pytest.approx(AUTHORS, abs=1e-5)
    assert reward(1 - pictures, "a red apple").tolist() != pytest.approx(AUTHORS, abs=1e-5)


def test_pictures_of_another_size_are_made_to_fit(image_reward_folder):
    flat = torch.full((1, 96, 96, 3), 0.3)
    reward = image_reward(str(image_reward_folder))
    torch.testing.assert_close(reward(flat, "a lamp"), reward(flat[:, :32, :32], "a lamp"))


def drop(name):
    def spoil(folder):
        (folder / name).unlink()

    return spoil


def other_weights(folder):
    torch.save({"weight": torch.zeros(2)}, folder / "ImageReward.pt")


def no_weights(folder):
    (folder / "ImageReward.pt").write_bytes(b"nothing")


def cut_off(folder):
    (folder / "ImageReward.pt").write_bytes(b"")


def a_bare_tensor(folder):
    torch.save(torch.zeros(2), folder / "ImageReward.pt")


def one_missing(folder):
    state = torch.load(folder / "ImageReward.pt")
    del state["blip.text_encoder.encoder.layer.1.crossattention.self.key.weight"]
    torch.save(state, folder / "ImageReward.pt")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (drop("vocab.txt"), "there is no vocab.txt"),
        (drop("ImageReward.pt"), "No such file"),
        (other_weights, "damaged, or does not have ImageReward's weights"),
        (no_weights, "damaged, or does not have ImageReward's weights"),
        (cut_off, "damaged, or does not have ImageReward's weights"),
        (a_bare_tensor, "damaged, or does not have ImageReward's weights"),
        (one_missing, "damaged, or does not have ImageReward's weights"),
    ],
)
def test_other_weights_are_reported_in_a_sentence(spoil, reason, image_reward_folder, capsys):
    spoil(image_reward_folder)
    assert OptionalJudges.load(None, None, None, str(image_reward_folder)).reward is None
    printed = " ".join(capsys.readouterr().err.split())
    assert re.match(f"Skipped: ImageReward, as .* cannot be loaded as its weights .*{reason}", printed)
