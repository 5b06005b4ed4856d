"""Results in a browser: the real program, and what it sends over a real websocket."""

import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import viewing
from viewing import ball, job, more, opened, shown_here

from backend.cli.main import main
from backend.scenes.ply import write_ply
from backend.terminal import pasteable
from backend.view.disk import JobOnDisk, find_jobs, labels
from backend.view.gaussians import of_splats
from backend.view.page import VISER
from backend.view.stage import camera_for, places

ROOT = Path(__file__).parents[2]


def test_a_job_is_shown_with_its_steps_and_goes_on_while_it_is_watched(tmp_path):
    folder = job(tmp_path / "ball", steps=(10, 20), done=None)
    with viewing.viewing(folder.path) as address, opened(address) as page:
        assert address.startswith("http://127.0.0.1:")
        page.splats(200)
        page.hears("Step 20 of 40", "gradient norm")
        assert any("a red ball" in str(message) for message in page.messages)
        more(folder, 30, 300)
        page.splats(300)
        page.hears("Step 30 of 40")
        folder.begin(folder.job())  # somebody runs it anew
        page.hears("No splats yet")


def test_another_host_comes_with_a_warning_and_sigterm_ends_it_too(tmp_path):
    job(tmp_path / "ball")
    words = ["view", tmp_path / "ball", "--host", "0.0.0.0", "--port", "0", "--no-browser"]
    command = [sys.executable, "-m", "backend", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "is shown at http://127.0.0.1:" in process.stdout.readline()
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "0.0.0.0 is not this machine alone: everybody who reaches it sees" in " ".join(said.split())


def test_results_of_several_seeds_stand_side_by_side_with_their_names(tmp_path):
    for seed in (1, 2, 10):
        job(tmp_path / f"seed-{seed}", seed, done=100 * seed)
    _broken(job(tmp_path / "seed-3", 3, steps=()))
    with shown_here(tmp_path) as address, opened(address) as page:
        for seed in (1, 2, 10):
            page.splats(100 * seed)
            page.hears(f"seed {seed}", "LabelMessage")
        page.hears("seed-3/splats.ply is not a PLY")  # beside the good ones
        job(tmp_path / "seed-11", 11, done=1100)  # it comes while the page is open
        page.splats(1100)


def test_the_slider_goes_back_and_then_nothing_is_followed(tmp_path):
    folder = job(tmp_path / "ball", of=60)
    with shown_here(folder.path) as address, opened(address) as page:
        page.splats(300)
        page.sets("Step", 20)
        page.splats(200)
        page.hears("Step 20 of 60", "880")
        page.forget()
        more(folder, 61, 400, of=70)
        page.hears("Step 20 of 70")  # it has been seen, and the step is still the one that was chosen
        assert not any(message["size"] == 32 * 400 for message in page.messages)


def test_all_of_200000_splats_are_sent_32_bytes_each(tmp_path):
    write_ply(ball(200_000), tmp_path / "splats.ply")
    with shown_here(tmp_path) as address, opened(address) as page:
        page.splats(200_000)
        assert 6_400_000 < page.bytes < 6_500_000


def test_of_a_moment_the_last_before_the_chosen_step_is_shown(tmp_path):
    seen = JobOnDisk(job(tmp_path / "ball").path)
    seen.refresh()
    assert sorted(seen.moments) == [10, 20, 40]
    assert [seen.moment(step) for step in (0, 10, 19, 20, 39, 40)] == [10, 10, 10, 20, 20, 40]
    assert [len(seen.splats(at)) for at in (10, 20, 40)] == [100, 200, 300]
    assert seen.steps[20] == {"t": 880.0, "gradient_norm": 2.5}
    assert seen.last == seen.of == 40


def test_covariances_colours_and_opacities_are_those_of_the_splats():
    splats = ball(3)
    splats.quats[0] = viewing.torch.tensor([2**-0.5, 0, 0, 2**-0.5])  # a quarter turn about z: x is y then
    splats.log_scales[0] = viewing.torch.tensor([0.1, 0.2, 0.3]).log()
    seen = of_splats(splats)
    assert seen.covariances[0].diagonal() == pytest.approx([0.04, 0.01, 0.09], abs=1e-6)
    assert seen.rgbs[0] == pytest.approx([0.5 + 0.28209479, 0.5 - 0.28209479, 0.5 - 0.28209479])
    assert seen.opacities[0] == pytest.approx(0.880797)
    assert (seen.centers == splats.means.numpy()).all()


def test_names_are_as_short_as_they_may_be(tmp_path):
    def named(**jobs):
        paths = [job(tmp_path / name, *said, steps=(), done=5).path for name, said in jobs.items()]
        found = [JobOnDisk(path) for path in paths]
        for one in found:
            one.refresh()
        return labels(found)

    assert named(a=(1,), b=(2,)) == ["seed 1", "seed 2"]
    assert named(c=(1, "a cup"), d=(1, "a pot")) == ["a cup, seed 1", "a pot, seed 1"]
    assert named(e=(1, "a cup"), f=(1, "a cup")) == ["e", "f"]
    names = [path.name for path in find_jobs(tmp_path)]
    assert names == ["a", "b", "c", "d", "e", "f"]


def test_results_stand_in_rows_and_the_camera_is_before_them():
    assert places(1) == [(0.0, 0.0, 0.0)]
    assert [x for x, _, _ in places(2)] == pytest.approx([-1.15, 1.15])
    assert len({y for _, y, _ in places(9)}) == 3
    assert len(set(places(9))) == 9
    for count in (0, 1, 4, 9):
        (_, y, z), _ = camera_for(count)
        assert y < min((place[1] for place in places(count)), default=0) - 3
        assert z > 0.9


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: None, "has no results: name the folder of a job"),
        (lambda path: job(path).path.joinpath("splats.ply").unlink() or None, None),  # its history is shown
        (lambda path: _without(job(path), "splats.ply", "history.safetensors"), "splats.ply is missing: make it again"),
        (lambda path: _broken(job(path, steps=())), "splats.ply is not a PLY of Gaussian splats"),
        (lambda path: path.joinpath("splats.ply").write_bytes(b""), "splats.ply is not a PLY of Gaussian splats"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(tmp_path, capsys, prepare, words):
    prepare(tmp_path)
    if words is None:
        seen = JobOnDisk(tmp_path)
        seen.refresh()
        assert not seen.hopeless
        return
    assert main(["view", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("view: ")
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no-such-folder", "no-such-folder is no folder; a server is written like tcp://127.0.0.1:47800."),
        (__file__, "is a file; name the folder that it is in"),
        ("tcp://127.0.0.1:99999", "65535 is the highest"),
        ("tcp://farm.example:47800", "is another machine: give the key"),
    ],
)
def test_what_is_neither_a_folder_nor_a_server_is_one_sentence(capsys, what, words):
    assert main(["view", what]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_one_sentence(tmp_path, capsys):
    job(tmp_path / "ball")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["view", str(tmp_path), "--port", str(port)]) == 2
    assert capsys.readouterr().err == f"view: port {port} of 127.0.0.1 is in use; choose another one with --port.\n"
    assert main(["view", str(tmp_path), "--host", "203.0.113.7"]) == 2
    assert "the page cannot be at 203.0.113.7" in capsys.readouterr().err


def test_without_viser_it_says_how_to_install_it(tmp_path, monkeypatch, capsys):
    job(tmp_path / "ball")
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view", str(tmp_path)]) == 2
    command = pasteable([sys.executable, "-m", "pip", "install", VISER])
    text = f"view: the package viser, which draws the page, is missing; install it with: {command}\n"
    assert capsys.readouterr().err == text
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["view"] == [VISER]


def _without(folder, *names):
    for name in names:
        (folder / name).unlink()


def _broken(folder):
    (folder / "splats.ply").write_bytes(b"ply\nformat ascii 1.0\n")
