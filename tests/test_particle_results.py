"""The results of several particles, each in the shape of a job's folder."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from backend.cli.main import main
from backend.run.folder import JobFolder
from backend.studies.evaluate.finished_job import EvaluationError, evaluate_job
from backend.studies.evaluate.sheet import sheet
from tests.small import MESH

RECIPE = {
    "steps": 4,
    "views": 1,
    "splats": {"initial_count": 400, "growth": "none"},
    "mesh": MESH,
    "checkpoint_every": 2,
}
JOB = {"prompt": "a red apple", "objective": "jsd", "quality": "draft", "recipe": RECIPE}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a finished job with two particles."""
    folder = tmp_path_factory.mktemp("particles")
    (folder / "job.json").write_text(json.dumps(JOB))
    out = folder / "out"
    assert main(["generate", "--job", str(folder / "job.json"), "--particles", "2", "--out", str(out)]) == 0
    return out


def test_each_particle_has_the_results_of_a_job(made):
    names = {"job.json", "splats.ply", "mesh.glb", "turntable.png", "turntable.webp", "metrics.json"}
    assert names | {"particle-2", "checkpoint.safetensors"} <= {path.name for path in made.iterdir()}
    assert {path.name for path in (made / "particle-2").iterdir()} == names | {"particle.json"}
    first, second = JobFolder(made), JobFolder(made / "particle-2")
    assert first.job() == second.job()
    assert not torch.equal(first.splats().means, second.splats().means)
    assert json.loads((made / "particle-2/particle.json").read_text()) == {"particle": 2, "of": 2}
    kept = load_file(made / "checkpoint.safetensors")
    assert torch.equal(kept["particle-2.splats.means"], second.splats().means)
    told = json.loads((made / "metrics.json").read_text())["notes"]
    assert "2 particles take turns; the pictures on the way are of the first." in told


def test_a_farms_repeated_task_sees_whether_all_is_there(made, capsys):
    resume = ["generate", "--resume", "--job", str(made.parent / "job.json"), "--particles", "2", "--out", str(made)]
    assert main(resume) == 0
    assert "Everything is there already" in capsys.readouterr().err
    mesh, aside = made / "particle-2/mesh.glb", made / "particle-2/aside.glb"
    mesh.rename(aside)
    assert not JobFolder(made).has_all_results(4)
    aside.rename(mesh)


@pytest.mark.parametrize("command", [["--continue"], ["--resume", "--prompt", "a red apple", "--out"]])
def test_no_run_goes_on_from_the_folder_of_a_particle(made, command, capsys):
    assert main(["generate", *command, str(made / "particle-2")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"is particle 2 of the run in {made}: continue that one." in said


def test_the_contact_sheet_has_every_particle(made):
    alone = Image.open(made / "turntable.png")
    page = sheet([made])
    assert page.width > 2 * alone.width * 96 // alone.height  # two columns
    assert sheet([made, made / "particle-2"]).tobytes() == page.tobytes()


def test_an_unfinished_particle_is_continued_with_its_run(made):
    metrics = made / "particle-2/metrics.json"
    kept = metrics.read_bytes()
    metrics.unlink()
    try:
        with pytest.raises(EvaluationError, match=rf"--continue {made}\b(?!/particle)"):
            evaluate_job(made / "particle-2", None)
    finally:
        metrics.write_bytes(kept)
