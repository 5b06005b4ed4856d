"""Judges whose weights the user provides: CLIP, DINO, Inception and ImageReward, as tiny models of their formats."""

import json

import numpy as np
import pytest
import torch
from tiny_judges import save_clip, save_dino, save_inception
from transformers import CLIPImageProcessorPil, Dinov2Model

from backend.cameras import orbit
from backend.cli.main import main
from backend.export.views import photograph
from backend.scenes.ply import read_ply
from backend.studies.evaluate import finished_job
from backend.studies.evaluate.optional_judges import OptionalJudges


@pytest.fixture
def tiny_clip(tmp_path):
    save_clip(tmp_path / "clip")
    save_dino(tmp_path / "dino")
    return tmp_path


def test_judges_given_by_path(runs, tiny_clip, image_reward_folder):
    save_inception(tiny_clip / "inception.pt")
    paths = (str(tiny_clip / "clip"), str(tiny_clip / "dino"), tiny_clip / "inception.pt", str(image_reward_folder))
    others = OptionalJudges.load(*paths)
    members = [finished_job.evaluate_job(runs / f"sds-{seed}", finished_job.Judge()) for seed in (0, 1)]
    found = others.figures(members)
    views = torch.from_numpy(
        photograph(read_ply(runs / "sds-0/splats.ply"), orbit(8, elevation=15.0), 224, background=0.5).rgb
    )
    image, text = others.clip
    scores = [torch.cosine_similarity(image(views), text(prompt)).mean() for prompt in ("a red apple", "cup lab")]
    assert found["clip"][0] == pytest.approx(100 * float(scores[0]), abs=1e-3)
    assert abs(scores[0] - scores[1]) > 1e-3, "another prompt, another score"
    assert found["image_reward"][0] == pytest.approx(float(others.reward(views, "a red apple").mean()), rel=1e-4)
    assert len(found["clip"]) == len(found["image_reward"]) == 2
    model = Dinov2Model.from_pretrained(tiny_clip / "dino").eval()
    pixels = CLIPImageProcessorPil.from_pretrained(tiny_clip / "dino")(
        [(view * 255).round().byte().numpy() for view in views], return_tensors="pt"
    )["pixel_values"]
    torch.testing.assert_close(others.dino(views), model(pixels).last_hidden_state[:, 0], rtol=1e-4, atol=1e-4)
    assert {"clip_diversity", "dino_diversity", "inception_diversity"} <= set(found)
    grey = others.inception(torch.full((1, 4, 4, 3), 0.5))
    np.testing.assert_allclose(grey.numpy(), [[128.0] * 3])


def test_missing_weights_are_reported_and_the_rest_is_evaluated(runs, tiny_clip, capsys):
    """A missing folder, another model, a file that is not TorchScript: each is a sentence."""
    (tiny_clip / "no.pt").write_bytes(b"nothing")
    command = ["evaluate", str(runs / "sds-0"), "--out", str(tiny_clip / "out"), "--no-samples"]
    command += ["--dino", str(tiny_clip / "nowhere"), "--clip", str(tiny_clip / "dino")]
    command += ["--inception", str(tiny_clip / "no.pt"), "--image-reward", str(tiny_clip)]
    assert main(command) == 0
    printed = " ".join(capsys.readouterr().err.split())
    for name in ("DINO", "CLIP", "Inception", "ImageReward"):
        assert f"Skipped: {name}" in printed
    (group,) = json.loads((tiny_clip / "out/evaluation.json").read_text())["groups"]
    assert group["prior_rows"] == [2]
    assert "clip" not in group
