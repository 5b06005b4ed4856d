"""`evaluate` on real short runs: table, JSON and sheet; bad folders are told and left out; kept figures are used."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
)

from backend.__main__ import main
from backend.assemble import embedded_prior
from backend.cameras import orbit
from backend.evaluate import results
from backend.evaluate.others import OtherJudges
from backend.evaluate.references import EACH, SIDES, draw, weights_mark


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of one job and one of another, a few steps each."""
    root = tmp_path_factory.mktemp("runs")
    for objective, seed in (("sds", 0), ("sds", 1), ("csd", 0)):
        folder = root / f"{objective}-{seed}"
        job = {"prompt": "a red apple", "objective": objective, "seed": seed, "recipe": {"steps": 2, "views": 1}}
        (root / "job.json").write_text(json.dumps(job))
        assert main(["generate", "--job", str(root / "job.json"), "--out", str(folder)]) == 0
    return root


def test_many_jobs_at_once(runs, tmp_path, capsys):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "job.json").write_bytes((runs / "sds-0/job.json").read_bytes())
    folders = [*map(str, sorted(runs.glob("*-*"))), str(tmp_path / "half"), str(tmp_path / "nothing")]
    assert main(["evaluate", *folders, "--out", str(tmp_path / "out"), "--no-samples"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "half: its job has not finished" in said
    assert "nothing: holds no job.json" in said
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    sds = next(group for group in found["groups"] if group["objective"] == "sds")
    assert sds["seeds"] == [0, 1]
    assert 0 < sds["diversity"] < 0.5
    assert all(0 <= value <= 1 for value in sds["agreement"])
    assert sds["unet_rows"] == [4, 4]
    assert set(found["objectives"]) == {"sds", "csd"}
    assert "| csd |" in (tmp_path / "out/evaluation.md").read_text()
    assert all((tmp_path / f"out/{name}.png").stat().st_size > 1000 for name in ("sheet", "grid"))


def test_figures_are_kept_and_made_anew_where_the_splats_changed(runs, tmp_path, monkeypatch):
    def forbidden(*_):
        raise AssertionError("looked again")

    folder = runs / "sds-0"
    before = results.look(folder, results.Judge())
    monkeypatch.setattr(results, "_look", forbidden)
    kept = results.look(folder, None)
    assert kept.known == before.known
    torch.testing.assert_close(kept.features, before.features)
    with (folder / "splats.ply").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(AssertionError, match="looked again"):
        results.look(folder, None)
    with (folder / "splats.ply").open("r+b") as file:
        file.truncate((folder / "splats.ply").stat().st_size - 1)


def test_damaged_figures_are_a_sentence(runs):
    (runs / "csd-0/metrics.json").write_text("{")
    with pytest.raises(results.EvaluationError, match=r"csd-0: a file of it is damaged"):
        results.look(runs / "csd-0", None)


def test_nothing_to_evaluate(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "nothing to evaluate" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def tiny_clip(tmp_path):
    words = {token: i for i, token in enumerate([*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdeplr")])}
    words |= {"<|startoftext|>": len(words), "<|endoftext|>": len(words) + 1}
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(tmp_path / "clip")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = small | {"vocab_size": len(words), "max_position_embeddings": 77, "eos_token_id": len(words) - 1}
    vision = small | {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(tmp_path / "clip")
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path / "clip")
    Dinov2Model(
        Dinov2Config(**{k: v for k, v in small.items() if k != "intermediate_size"}, image_size=32)
    ).save_pretrained(tmp_path / "dino")
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path / "dino")
    return tmp_path


class Pooled(torch.nn.Module):
    """As the TorchScript Inception is called."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return x.float().mean((2, 3)) if return_features else x.float()


def test_judges_given_by_path(runs, tiny_clip, image_reward_folder):
    torch.jit.script(Pooled()).save(str(tiny_clip / "inception.pt"))
    paths = (str(tiny_clip / "clip"), str(tiny_clip / "dino"), tiny_clip / "inception.pt", str(image_reward_folder))
    others = OtherJudges.load(*paths)
    members = [results.look(runs / f"sds-{seed}", results.Judge()) for seed in (0, 1)]
    found = others.figures(members)
    assert len(found["clip"]) == 2
    assert all(-100 <= value <= 100 for value in found["clip"])
    assert len(found["image_reward"]) == 2
    assert {"clip_diversity", "dino_diversity", "inception_diversity"} <= set(found)
    grey = others.inception(torch.full((1, 4, 4, 3), 0.5))
    np.testing.assert_allclose(grey.numpy(), [[128.0] * 3])


def test_weights_that_are_not_there_are_told_before_anything_is_done(runs, tmp_path, capsys):
    command = ["evaluate", str(runs / "sds-0"), "--out", str(tmp_path / "out"), "--dino", str(tmp_path / "no")]
    assert main(command) == 2
    assert "DINO" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_against_the_priors_own_pictures(runs, tmp_path):
    """Pictures that an earlier call drew are taken, and the judge's distances to them come out, the first's as well."""
    drawn = np.random.default_rng(0).integers(0, 256, (SIDES * EACH, 64, 64, 3), np.uint8)
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / f"references-a-red-apple-{weights_mark()}.npy"
    np.save(file, drawn)
    stamp = file.stat().st_mtime_ns
    shutil.copytree(runs / "sds-0", tmp_path / "same")
    job = (tmp_path / "same/job.json").read_text()
    (tmp_path / "same/job.json").write_text(job.replace('"steps": 2', '"steps": 3'))
    assert main(["evaluate", str(runs / "sds-0"), str(tmp_path / "same"), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert found["objectives"]["sds steps=3"]["kid less sds steps=2's"] == [0.0, None]
    assert "kid less sds steps=2's" not in found["objectives"]["sds steps=2"]
    group = found["groups"][0]
    assert group["kid"][0] > 0.1
    assert group["fid"][0] > 10
    assert len(group["janus"]) == 1
    assert file.stat().st_mtime_ns == stamp


def test_references_are_of_these_weights(tmp_path):
    marks = []
    for number, (unet, words) in enumerate([(b"one", b"two"), (b"one", b"three"), (b"two", b"one"), (b"one", b"one")]):
        folder = tmp_path / str(number)
        (folder / "unet").mkdir(parents=True)
        (folder / "unet/model.safetensors").write_bytes(unet)
        (folder / "words.safetensors").write_bytes(words)
        marks.append(weights_mark(folder))
    assert len(set(marks)) == 4


def test_options_that_there_are_no_more_are_told_and_the_rest_is_evaluated(runs, tmp_path, capsys):
    shutil.copytree(runs / "sds-1", tmp_path / "old")
    job = json.loads((tmp_path / "old/job.json").read_text())
    job["recipe"]["options"] = {"once": 1}
    (tmp_path / "old/job.json").write_text(json.dumps(job))
    command = ["evaluate", str(tmp_path / "old"), str(runs / "sds-1"), "--out", str(tmp_path / "out"), "--no-samples"]
    assert main(command) == 0
    assert "old: a file of it is damaged (recipe.options" in " ".join(capsys.readouterr().err.split())


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
