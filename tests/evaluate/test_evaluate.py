"""`evaluate` on real short runs: table, JSON and sheet; bad folders are told and left out; kept figures are used."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

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

from backend.cameras import orbit
from backend.cli.main import main
from backend.export.views import photograph
from backend.priors.kit import Kit
from backend.scenes.ply import read_ply, write_ply
from backend.studies.evaluate import finished_job as results
from backend.studies.evaluate.classes import classes_of
from backend.studies.evaluate.measures import fid, kid
from backend.studies.evaluate.optional_judges import OptionalJudges


@pytest.fixture(scope="module")
def runs(tmp_path_factory, kit):
    """Two seeds of one job and one of another, a few steps each."""
    root = tmp_path_factory.mktemp("runs")
    for objective, seed in (("sds", 0), ("sds", 1), ("csd", 0)):
        folder = root / f"{objective}-{seed}"
        job = {"prompt": "a red apple", "objective": objective, "seed": seed, "prior": kit, "quality": "draft"}
        job["recipe"] = {"steps": 2, "views": 1}
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
    assert sds["prior_rows"] == [2, 2]
    assert (sds["nearest"], sds["modes"]) == (["test/4", "test/4"], 1)
    assert all(5 < value < 30 for value in sds["psnr"])
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
    other = shutil.copytree(folder, tmp_path / "other")
    splats = bytearray((folder / "splats.ply").read_bytes())
    splats[-3] ^= 1
    (other / "splats.ply").write_bytes(splats)
    with pytest.raises(AssertionError, match="looked again"):
        results.look(other, None)
    job = (folder / "job.json").read_text()
    (folder / "job.json").write_text(job.replace("a red apple", "a green apple"))
    with pytest.raises(AssertionError, match="looked again"):
        results.look(folder, None)
    (folder / "job.json").write_text(job)


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("evaluation.json", lambda whole: whole[:-20]),
        ("evaluation.json", lambda whole: whole.replace(b'"version": 5', b'"version": 4')),
        ("evaluation.json", lambda whole: b"[]"),
        ("evaluation.npz", lambda whole: b""),
        ("evaluation.npz", lambda whole: whole[:-200]),
        ("evaluation.npz", lambda whole: whole[:5000] + b"damage" + whole[5006:]),
        ("evaluation.npz", lambda whole: b"nothing of the kind"),
    ],
)
def test_damaged_or_older_figures_are_made_anew(name, damaged, runs, tmp_path, monkeypatch):
    results.look(runs / "sds-0", results.Judge())
    folder = shutil.copytree(runs / "sds-0", tmp_path / "copy")
    monkeypatch.setattr(results, "_look", lambda *_: "made anew")
    assert results.look(folder, None) != "made anew"
    (folder / name).write_bytes(damaged((folder / name).read_bytes()))
    assert results.look(folder, None) == "made anew"


@pytest.mark.parametrize("metrics", ["{", "[]", "{}", '{"seconds": null, "prior_calls": 1, "prior_rows": 1}', None])
def test_a_damaged_job_is_a_sentence(metrics, runs, tmp_path):
    folder = shutil.copytree(runs / "csd-0", tmp_path / "csd")
    (folder / "metrics.json").unlink()
    if metrics is None:
        (folder / "metrics.json").mkdir()
    else:
        (folder / "metrics.json").write_text(metrics)
    with pytest.raises(results.EvaluationError, match=r"csd: a file of it is damaged"):
        results.look(folder, None)


def test_figures_that_cannot_be_kept_are_used_all_the_same(runs, tmp_path, caplog):
    folder = shutil.copytree(runs / "csd-0", tmp_path / "csd")
    (folder / "evaluation.npz").unlink(missing_ok=True)
    (folder / "evaluation.npz").mkdir()
    assert results.look(folder, results.Judge()).known.prior_rows > 0
    assert "cannot be kept there" in caplog.text


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
    others = OptionalJudges.load(*paths)
    members = [results.look(runs / f"sds-{seed}", results.Judge()) for seed in (0, 1)]
    found = others.figures(members)
    views = torch.from_numpy(
        photograph(read_ply(runs / "sds-0/splats.ply"), orbit(8, elevation=15.0), 224, background=0.5).rgb
    )
    image, text = others.clip
    told = [torch.cosine_similarity(image(views), text(prompt)).mean() for prompt in ("a red apple", "cup lab")]
    assert found["clip"][0] == pytest.approx(100 * float(told[0]), abs=1e-3)
    assert abs(told[0] - told[1]) > 1e-3, "another prompt, another score"
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


def test_weights_that_are_not_there_are_told_and_the_rest_is_evaluated(runs, tiny_clip, capsys):
    """Nowhere, of another kind, no TorchScript: each is a sentence."""
    (tiny_clip / "no.pt").write_bytes(b"nothing")
    command = ["evaluate", str(runs / "sds-0"), "--out", str(tiny_clip / "out"), "--no-samples"]
    command += ["--dino", str(tiny_clip / "nowhere"), "--clip", str(tiny_clip / "dino")]
    command += ["--inception", str(tiny_clip / "no.pt"), "--image-reward", str(tiny_clip)]
    assert main(command) == 0
    said = " ".join(capsys.readouterr().err.split())
    for name in ("DINO", "CLIP", "Inception", "ImageReward"):
        assert f"Skipped: {name}" in said
    (group,) = json.loads((tiny_clip / "out/evaluation.json").read_text())["groups"]
    assert group["prior_rows"] == [2]
    assert "clip" not in group


def painted(folder, where, more):
    """A copy of a job whose splats have `more` of every colour: after two steps all jobs still look alike."""
    copy = shutil.copytree(folder, where / folder.name)
    splats = read_ply(copy / "splats.ply")
    write_ply(replace(splats, sh=splats.sh + more), copy / "splats.ply")
    return copy


def test_against_the_priors_own_pictures(runs, tmp_path, kit):
    """Those of the kit's apple; each seed has its own distances, and the others' to the first."""
    folders = [runs / "sds-0", painted(runs / "sds-1", tmp_path, 2.0), painted(runs / "csd-0", tmp_path, -2.0)]
    assert main(["evaluate", *map(str, folders), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    judge, apple = results.Judge(), torch.from_numpy(Kit(Path(kit)).views(4)[12:28:2].copy()).float() / 255
    reference = judge.features(apple[..., :3] * apple[..., 3:] + 0.5 * (1 - apple[..., 3:]))
    seen = [results.look(folder, judge).features for folder in folders]
    sds, csd = found["groups"]
    assert sds["kid"] == pytest.approx([kid(features, reference) for features in seen[:2]], rel=1e-3)
    assert sds["fid"] == pytest.approx([fid(features, reference) for features in seen[:2]], rel=1e-3)
    assert abs(sds["kid"][0] - sds["kid"][1]) > 1e-2
    assert abs(sds["fid"][0] - sds["fid"][1]) > 1
    assert len(sds["janus"]) == 2
    own = judge.probabilities(reference)[:, classes_of("an apple")].sum(-1).mean()
    assert sds["own_agreement"] == pytest.approx(float(own), rel=1e-3)
    assert sds["relative_agreement"] == pytest.approx([one / float(own) for one in sds["agreement"]], rel=1e-3)
    assert found["baseline"] == "sds"
    mean, half, _ = found["objectives"]["csd"]["kid_difference"]
    assert (mean, half) == (pytest.approx(csd["kid"][0] - sds["kid"][0]), None)
    assert abs(mean) > 1e-2


def test_a_kit_that_is_damaged_since_is_told_and_the_rest_is_evaluated(runs, tmp_path, kit, caplog, capsys):
    copy = shutil.copytree(kit, tmp_path / "kit")
    folder = shutil.copytree(runs / "sds-0", tmp_path / "sds")
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, "prior": str(copy)}))
    (copy / "0004.webp").write_bytes(b"none")
    assert main(["evaluate", str(folder), str(runs / "csd-0"), "--out", str(tmp_path / "out")]) == 0
    assert "0004.webp is damaged" in caplog.text
    said = " ".join(capsys.readouterr().err.split())
    assert "No FID, KID, Janus and own agreement for a red apple" in said
    sds, csd = json.loads((tmp_path / "out/evaluation.json").read_text())["groups"]
    assert "psnr" not in sds
    assert "kid" not in sds
    assert csd["nearest"] == ["test/4"]


def test_options_that_there_are_no_more_are_told_and_the_rest_is_evaluated(runs, tmp_path, capsys):
    shutil.copytree(runs / "sds-1", tmp_path / "old")
    job = json.loads((tmp_path / "old/job.json").read_text())
    job["recipe"]["options"] = {"once": 1}
    (tmp_path / "old/job.json").write_text(json.dumps(job))
    command = ["evaluate", str(tmp_path / "old"), str(runs / "sds-1"), "--out", str(tmp_path / "out"), "--no-samples"]
    assert main(command) == 0
    assert "old: a file of it is damaged or cannot be read (recipe.options" in " ".join(capsys.readouterr().err.split())
