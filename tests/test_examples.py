"""Every example runs in a process of its own, with two steps, in an empty folder; and what it makes is looked at.

The processes are forked from one that has imported torch and the backend, which else takes most of the time, and all
start at once.
"""

import ast
import importlib
import json
import multiprocessing
import os
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import gsply
import numpy as np
import pytest
import torch
from PIL import Image

from backend.cameras import orbit
from backend.priors.base import alpha_sigma
from backend.priors.kit import Kit
from backend.scenes.ply import read_ply

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
QUICK = {"STEPS": "2", "POINTS": "10", "OMP_NUM_THREADS": "1"}
SECONDS = 300  # the machine may be busy
START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class Running:
    """A process, and the folder that it works in."""

    def __init__(self, folder, target, *arguments):
        context = multiprocessing.get_context(START)
        context.set_forkserver_preload(["backend.run.session", "backend.kits.make", "blender_addon.net.client"])
        self.folder, self.process = folder, context.Process(target=target, args=(folder, *arguments))
        self.process.start()

    def printed(self):
        """What it printed, once it has ended well."""
        self.process.join(SECONDS)
        printed = (self.folder / "printed").read_text()
        assert self.process.exitcode == 0, printed
        return printed


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Every example that needs no other, by its name."""
    alone = [script.stem for script in SCRIPTS if script.stem != "05_read_splats"]
    running = {name: Running(tmp_path_factory.mktemp(name), as_script, name) for name in reversed(alone)}
    running["globe"] = Running(tmp_path_factory.mktemp("globe"), as_globe)
    running["own_rule"] = Running(tmp_path_factory.mktemp("notebook"), as_notebook)
    yield running
    for one in running.values():
        one.process.kill()
        one.process.join()


def as_script(folder, name, *arguments):
    """What `python -m examples.NAME ARGUMENTS` does."""
    os.chdir(folder)
    os.environ |= QUICK | {"PYTHONPATH": str(EXAMPLES.parent)}  # for the processes that it starts
    sys.argv[1:] = arguments
    with Path("printed").open("w") as file, redirect_stdout(file), redirect_stderr(file):
        runpy.run_module(f"examples.{name}", run_name="__main__", alter_sys=True)


def as_notebook(folder):
    """The code of a notebook's cells, in order, in one namespace."""
    os.chdir(folder)
    os.environ |= QUICK
    cells = json.loads((EXAMPLES / "own_rule.ipynb").read_text(encoding="utf-8"))["cells"]
    names = {"__name__": "notebook"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    size = names["ends"](names["rules"], steps=1).size
    found = {"shares": names["shares"], "size": size, "steps": names["events"][-1].step}
    Path("printed").write_text(json.dumps(found))


def as_globe(folder):
    """What the globe of the second example looks like from the front, and how far its noise is off."""
    own_prior = importlib.import_module("examples.02_own_prior")
    picture = own_prior.seen_by(orbit(1, elevation=0.0), 64)[0]
    places = {
        "above left": (20, 20),
        "above right": (20, 43),
        "below left": (43, 20),
        "below right": (43, 43),
        "beside": (0, 0),
    }
    seen = {name: [round(v, 1) for v in picture[at].tolist()] for name, at in places.items()}

    globe, t = own_prior.Globe(), torch.tensor([300])
    alpha, sigma = alpha_sigma(globe, t)
    x_t = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mean = globe.encode(own_prior.seen_by(orbit(1), 64))
    spread = (alpha * own_prior.WIDTH) ** 2 + sigma**2
    (score,) = torch.autograd.grad((-((x_t - alpha * mean) ** 2) / (2 * spread)).sum(), x_t)
    eps = globe.predict(x_t.detach(), t, globe.condition(["a globe"], orbit(1)))
    off = float((eps + sigma * score).abs().max())
    (folder / "printed").write_text(json.dumps({"seen": seen, "off": off}))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.stem)
def test_a_docstring_is_a_page(script):
    said = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    assert said.startswith("# ")
    assert f"python -m examples.{script.stem}" in said


def test_own_rule(started):
    example = started["01_own_rule"]
    assert example.printed().count("StepDone") == 2
    out = example.folder / "out/own-rule"
    assert json.loads((out / "job.json").read_text())["recipe"]["options"]["guidance_scale"] == 1
    assert len(read_ply(out / "splats.ply")) == 3000
    assert Image.open(out / "turntable.png").size == (8 * 256, 256)


def test_own_prior(started):
    example = started["02_own_prior"]
    assert example.printed().count("StepDone") == 2
    assert Image.open(example.folder / "out/own-prior/turntable.png").size == (8 * 256, 256)


def test_the_globe_is_seen_from_the_front_as_it_is(started):
    assert json.loads(started["globe"].printed())["seen"] == {
        "above left": [0.2, 0.2, 0.9],
        "above right": [0.9, 0.2, 0.9],
        "below left": [0.2, 0.2, 0.2],
        "below right": [0.9, 0.2, 0.2],
        "beside": [0.5, 0.5, 0.5],
    }


def test_the_globes_noise_is_the_gradient_of_its_density(started):
    assert json.loads(started["globe"].printed())["off"] < 1e-4


def test_own_kit(started):
    example = started["03_own_kit"]
    assert example.printed().count("Photographed") == 2
    kit = Kit(example.folder / "out/toadstools")
    assert (kit.name, sorted(thing.name for thing in kit.objects)) == (
        "Toadstools",
        ["Brown toadstool", "Red toadstool"],
    )
    assert (example.folder / "out/own-kit/turntable.png").exists()


def test_headless_batch_goes_on_and_is_read_elsewhere(started):
    example = started["04_headless_batch"]
    assert example.printed().count("2 steps, 2 calls of the prior") == 2
    out = example.folder / "out/batch"
    assert Image.open(out / "sheet.png").height == 96 + 20
    (out / "a-red-apple-0/turntable.png").unlink()
    again = Running(example.folder, as_script, "04_headless_batch").printed()
    assert (again.count("a-red-apple-0: 2 steps"), again.count("a-desk-lamp")) == (1, 0)

    file = out / "a-red-apple-0/splats.ply"
    read = Running(example.folder, as_script, "05_read_splats", str(file))
    assert read.printed().startswith("3000 splats between")
    assert np.asarray(Image.open(example.folder / "out/dots.png")).min() < 200
    ours, theirs = importlib.import_module("examples.05_read_splats").read(file), gsply.plyread(file)
    np.testing.assert_array_equal(ours["means"], theirs.means[:, [0, 2, 1]] * [1, 1, -1])
    np.testing.assert_allclose(ours["sigmas"], np.exp(theirs.scales))
    splats = read_ply(file)
    np.testing.assert_allclose(ours["means"], splats.means, atol=1e-6)
    np.testing.assert_allclose(ours["colours"], splats.rgb.clamp(0, 1), atol=1e-6)
    np.testing.assert_allclose(ours["opacities"], splats.opacity_logits.sigmoid(), atol=1e-6)


def test_drive_the_server(started):
    example = started["06_drive_the_server"]
    printed = example.printed().splitlines()
    steps = [int(line.split()[1]) for line in printed if line.startswith("step ")]
    assert steps == sorted(set(steps))
    assert 2 <= steps[-1] < 202  # it was cancelled on its way
    assert printed[-1].startswith("stopped")
    arrays = np.load(example.folder / "out/driven.npz")
    assert {name: arrays[name].shape for name in arrays} == {
        "means": (3000, 3),
        "scales": (3000, 3),
        "sh": (3000, 1, 3),
    }
    (job,) = (file.parent for file in (example.folder / "out/served").glob("*/job.json"))
    assert json.loads((job / "job.json").read_text())["prompt"] == "a red apple"


def test_the_notebook(started):
    found = json.loads(started["own_rule"].printed())
    assert found["shares"]["paired"] < found["shares"]["sds"] / 2
    width, height = found["size"]
    assert width > height > 300  # two squares beside each other
    assert found["steps"] == 2
