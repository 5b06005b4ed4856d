"""LoRAs in jobs: from the command line into job.json, into the run and its continuation, and into what is cached."""

import json
import os

import pytest
import tiny_pipelines as tiny
import torch
from safetensors.torch import save_file

from backend.cli.job_fields import job_fields, lora_field
from backend.cli.main import main
from backend.cli.options import build_parser
from backend.job.job import JobError, make_job, read_job
from backend.priors.base import PriorError
from backend.priors.settings import LoRAFile
from backend.run.assemble import load_large_prior, load_prior
from backend.run.folder import JobFolder
from backend.run.session import Session
from backend.studies.evaluate.labels import labels
from backend.studies.evaluate.references import prior_checksum

CPU = torch.device("cpu")
LAYER = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
RECIPE = {
    "steps": 2,
    "views": 1,
    "stages": [{"side": 16}],
    "splats": {"initial_count": 50, "growth": "none"},
    "checkpoint_every": 1,
}


@pytest.fixture
def style(tmp_path):
    """A LoRA for the tiny pipeline of the SD 1.5 kind."""
    return saved(tmp_path / "style.safetensors", 1.0)


def saved(file, size):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*shape, generator=generator) for shape in ((2, 32), (16, 2)))
    save_file({f"{LAYER}.lora_A.weight": size * a, f"{LAYER}.lora_B.weight": b}, file)
    return file


def given(*options):
    return make_job(job_fields(build_parser().parse_args(["generate", "--prompt", "a cup", *map(str, options)]))).loras


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loras = given("--lora", "style.safetensors", "--lora", f"{tmp_path}/detail.safetensors:-0.5")
    assert [(one.file, one.weight) for one in loras] == [
        (str(tmp_path / "style.safetensors"), 1.0),
        (str(tmp_path / "detail.safetensors"), -0.5),
    ]
    assert given() == ()
    with_colon = tmp_path / "a:2"
    with_colon.touch()
    assert lora_field(str(with_colon)) == {"file": str(with_colon), "weight": 1.0}
    assert lora_field("C:\\style.safetensors")["file"].endswith("C:\\style.safetensors")
    assert lora_field("C:\\style.safetensors:0.5")["weight"] == 0.5


@pytest.mark.parametrize("weight", ["strong", "", "1,5"])
def test_no_weight(weight):
    with pytest.raises(JobError, match=r"lora: .* is not a weight; write FILE:0.8"):
        given("--lora", f"style.safetensors:{weight}")


@pytest.mark.parametrize("weight", ["11", "-11", "nan", "inf"])
def test_weights_out_of_range(weight):
    with pytest.raises(JobError, match=r"loras\[0\]\.weight: "):
        given("--lora", f"style.safetensors:{weight}")


def test_a_later_lora_replaces_those_of_the_job_file(tmp_path):
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"prompt": "a cup", "loras": [{"file": "/a.safetensors"}, {"file": "/b.safetensors"}]}))
    assert [one.file for one in given("--job", file)] == ["/a.safetensors", "/b.safetensors"]
    assert [one.file for one in given("--job", file, "--lora", "/c.safetensors")] == ["/c.safetensors"]


@pytest.mark.parametrize("objective", ["vsd", "asd"])
def test_a_run_and_its_continuation(objective, folders, style, tmp_path):
    """Of the rules that train a LoRA of their own; exactly as without a break, and refused without the file."""
    loras = [{"file": str(style), "weight": 0.5}]
    fields = {"prompt": "a red chair", "objective": objective, "prior": str(folders["epsilon"]), "device": "cpu"}
    job = make_job({**fields, "recipe": RECIPE, "loras": loras})
    folder, whole = JobFolder(tmp_path / "out"), Session.begin(job, JobFolder(tmp_path / "whole"))
    assert [taken(whole, steps) for steps in (2, 3)] == [2, 3]
    first = Session.begin(job, folder)
    taken(first, 2)
    first.save()
    assert read_job(tmp_path / "out" / "job.json")["loras"] == loras
    resumed = Session.resume(folder)
    assert taken(resumed, 3) == 3
    states = [session.run.scene.splats().means for session in (whole, resumed)]
    assert torch.equal(*states)
    style.unlink()
    with pytest.raises(PriorError, match=r"style\.safetensors\" does not exist"):
        Session.resume(folder)


def taken(session, until):
    for _ in session.steps(until):
        pass
    return session.run.step


def test_other_loras_are_another_run(tmp_path, style, capsys):
    assert main(["generate", "--continue", str(tmp_path), "--lora", str(style)]) == 2
    assert "cannot be used with --lora" in " ".join(capsys.readouterr().err.split())


def test_the_loaded_prior_is_kept_by_its_loras(folders, style):
    name, x_t = str(folders["epsilon"]), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def eps(*loras):
        prior = load_large_prior(name, CPU, loras)
        return prior, prior.predict(x_t, tiny.T, prior.condition(["red"] * 2))

    plain, half, whole = (eps(*loras) for loras in ((), (lora(style, 0.5),), (lora(style, 1.0),)))
    assert len({prior for prior, _ in (plain, half, whole)}) == 3
    assert (plain[1] - half[1]).abs().max() > 1e-5
    assert (half[1] - whole[1]).abs().max() > 1e-5
    assert eps(lora(style, 1.0))[0] is whole[0]
    saved(style, 3.0)
    os.utime(style, ns=(1, 1))  # written again, whatever the resolution of the clock
    again = eps(lora(style, 1.0))
    assert (again[1] - whole[1]).abs().max() > 1e-5
    torch.testing.assert_close(eps()[1], plain[1], rtol=0, atol=0)


def lora(file, weight):
    return LoRAFile(file=str(file), weight=weight)


def test_a_kit_tells_that_it_uses_none(style):
    job = make_job({"prompt": "a chair", "loras": [{"file": str(style)}]})
    notes = load_prior(job, CPU)[1]
    assert "Not used: loras; a kit of objects has no networks that a LoRA could change." in notes
    assert not any("loras" in note for note in load_prior(make_job({"prompt": "a chair"}), CPU)[1])


def test_what_is_kept_of_a_prior_is_kept_by_its_loras(style):
    marks = {prior_checksum("a/b"), *(prior_checksum("a/b", (lora(style, weight),)) for weight in (0.5, 1.0))}
    assert len(marks) == 3
    jobs = [make_job({"prompt": "a cup", "loras": [{"file": str(style)}] * count}) for count in (0, 1)]
    assert len(set(labels(jobs))) == 2


@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_a_file_that_cannot_be_a_prior(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    options = ["generate", "--prompt", "a cup", "--prior", str(tmp_path / name), "--out", str(tmp_path / "out")]
    assert main(options) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "is a pickle, which can run any code when it is opened" in message
    assert not (tmp_path / "out").exists()
