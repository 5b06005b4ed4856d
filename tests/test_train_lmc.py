"""`train-lmc` from one end to the other: on a kit, on a large model with a folder of pictures, and bad input."""

import numpy as np
import pytest
import tiny_pipelines as tiny
import torch
from kits import make_small_kit
from PIL import Image

from backend.cli.main import main
from backend.guidance import corrective
from backend.job.job import make_job
from backend.run.assemble import load_prior
from backend.service.capabilities import objective
from backend.studies.toy.corrective import points
from backend.studies.toy.modes import exact_prior
from backend.studies.train_lmc import explained, fit


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return make_small_kit(tmp_path_factory.mktemp("kit"), ["Wooden chair"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.save_stable_diffusion(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def pictures(tmp_path):
    """Two pictures that are not square, one with its words."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(rng.integers(256, size=(40, 64, 3), dtype=np.uint8)).save(folder / name)
    (folder / "a.txt").write_text("a red chair\n")
    return folder


def run(*arguments):
    return main(["train-lmc", *map(str, arguments)])


def test_on_a_kit_twice_the_same_bytes(kit, tmp_path, capsys):
    for name in ("first", "again"):
        assert run("--prior", kit, "--steps", 3, "--out", tmp_path / "made" / name) == 0
    first, again = ((tmp_path / "made" / name).read_bytes() for name in ("first", "again"))
    assert first == again
    assert len(first) < 300_000
    network, prior = corrective.load(tmp_path / "made" / "first")
    assert (network.channels, prior) == (4, str(kit))
    assert network.out.weight.abs().max() > 0
    assert " of what the prior changes in these pictures" in " ".join(capsys.readouterr().err.split())


def test_on_points_it_learns_what_the_prior_does():
    """Modes of width 0.1: at low levels a point is drawn to its mode, which its place alone tells."""
    network, prior = corrective.Corrective.create(2, 0), exact_prior()
    assert explained(list(fit(network, points(prior), 300, 0))) > 0.1  # 0.16; 0.41 after the command's 1500


@pytest.mark.parametrize(
    ("found", "share"), [([(1.0, 4.0)], 0.75), ([(9.0, 9.0)] * 3 + [(1.0, 2.0)], 0.5), ([(0.0, 0.0)], 0)]
)
def test_the_share_is_that_of_the_last_quarter(found, share):
    assert explained(found) == share


def test_on_a_large_model(model, pictures, tmp_path):
    assert run("--prior", model, "--pictures", pictures, "--steps", 2, "--device", "cpu", "--out", tmp_path / "b") == 0
    network, _ = corrective.load(tmp_path / "b")
    assert network.channels == 4
    assert all(value.isfinite().all() for value in network.state_dict().values())


def notes(prior, **options):
    job = make_job({"prompt": "a chair", "objective": "lmc", "prior": str(prior), "recipe": {"options": options}})
    return [note for note in load_prior(job, torch.device("cpu"))[1] if "corrective" in note]


def test_a_job_is_told_what_its_corrective_is_worth(kit, model, tmp_path):
    file = tmp_path / "b"
    corrective.save(corrective.Corrective.create(4, 0), file, "some/model")
    assert notes(kit) == []
    (missing,) = notes(model)
    assert missing.startswith(
        "There is no corrective for this prior, so LMC-SDS works as SDS: make one with: python -m "
    )
    (other,) = notes(kit, corrective=str(file))
    assert other.startswith(f"The corrective {file} was trained for some/model; make one with: python -m ")
    corrective.save(corrective.Corrective.create(4, 0), file, str(kit))
    assert notes(kit, corrective=str(file)) == []


def refused(capsys, *arguments):
    assert run(*arguments) == 2
    return capsys.readouterr().err.strip()


def test_bad_input_is_a_sentence(kit, model, pictures, tmp_path, capsys):
    out = ["--out", tmp_path / "b"]
    few = refused(capsys, "--prior", kit, "--steps", 0, *out)
    assert few == "steps: 0 is out of range; use a number from 1 to 1000000."
    assert refused(capsys, "--prior", kit, "--out", tmp_path).endswith(f"{tmp_path} is a folder; name a file.")
    assert refused(capsys, "--prior", kit, "--pictures", pictures, *out).endswith("a kit has its own; leave this out.")
    none = refused(capsys, "--prior", model, *out)
    assert none.endswith("has none of its own; name a folder of clean ones with --pictures DIR.")
    empty = refused(capsys, "--prior", model, "--pictures", tmp_path / "nowhere", *out)
    assert empty.endswith("has no .png, .jpg, .jpeg, .webp; name a folder of pictures.")
    (pictures / "c.png").write_text("no picture")
    assert refused(capsys, "--prior", model, "--pictures", pictures, *out).endswith("as a picture; remove it.")
    assert not (tmp_path / "b").exists()


def test_the_panel_is_offered_the_file_as_a_text():
    offered = {option.name: option for option in objective("lmc").options}
    assert (offered["corrective"].kind, offered["corrective"].default) == ("text", "")
