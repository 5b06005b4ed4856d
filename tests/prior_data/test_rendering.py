"""Rendering objects one by one, as far as it runs without Blender; the renderer here paints with numpy."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backend.priors.grid import FOV as BACKENDS_FOV
from backend.priors.grid import grid_cameras, grid_rows
from prior_data import procedural, workers
from prior_data.orbit import FOV, grid, position
from prior_data.record import Record, Unusable, load, save, sources_in
from prior_data.workers import Job, left_to_do, run


def a_record(source: str) -> Record:
    return Record("Chair", source, "CC0-1.0", "Ann", front_known=True)


def paint(seed: int, views: int = 48, side: int = 64, cover: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a square of `cover` pixels a side, no two alike, and cameras."""
    rng = np.random.default_rng(seed)
    rgba = np.zeros((views, side, side, 4), np.uint8)
    rgba[:, :cover, :cover, :3] = rng.integers(0, 256, (views, cover, cover, 3))
    rgba[:, :cover, :cover, 3] = 255
    return rgba, grid()[:views]


def test_sources_are_unique_and_seed_by_seed() -> None:
    sources = [job.record.source for job in procedural.jobs()]
    assert len(set(sources)) == len(sources) == procedural.SEEDS * len(procedural.KINDS)
    seeds = [int(source.split("/")[2]) for source in sources]
    assert seeds == sorted(seeds)
    assert all(source.startswith("infinigen/") for source in sources)


def test_generators_are_listed_where_torch_is_not() -> None:
    """Infinigen's environment has neither torch nor what the backend needs."""
    blocked = "import sys; sys.modules |= dict.fromkeys(['torch', 'scipy', 'trimesh', 'msgspec', 'backend']);"
    subprocess.run([sys.executable, "-c", f"{blocked} import prior_data.procedural"], check=True)


def test_cameras_stand_where_the_backend_puts_them() -> None:
    assert FOV == BACKENDS_FOV
    np.testing.assert_allclose(grid(), grid_rows().numpy(), atol=1e-4)
    ours = np.stack([position(*row) for row in grid().tolist()])
    np.testing.assert_allclose(ours, grid_cameras().positions.numpy(), atol=1e-5)
    np.testing.assert_allclose(position(0, 0, 1, radius=2), [0, -2 / np.sin(np.radians(20)), 0], atol=1e-12)


def test_a_saved_object_reads_back_whole(tmp_path: Path) -> None:
    rgba, camera = paint(3)
    rgba[1] = 0  # an empty view stays, for views are known by their camera's number
    saved = a_record("lib/chair.obj")
    save(tmp_path, saved, rgba, camera)
    again, pictures, cameras = load(tmp_path / "lib" / "chair.obj.npz")
    assert again == saved
    np.testing.assert_array_equal(pictures, rgba)
    np.testing.assert_array_equal(cameras, camera)


def test_an_object_that_covers_too_little_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"lib/dot.obj covers under 2%"):
        save(tmp_path, a_record("lib/dot.obj"), *paint(0, cover=9))  # 81 of 4096 pixels: 1.98 %
    assert not list(tmp_path.rglob("*.npz"))
    save(tmp_path, a_record("lib/dot.obj"), *paint(0, cover=10))
    assert len(list(tmp_path.rglob("*.npz"))) == 1


def make_painter():
    """In the worker: paint, or fail in the way that the job asks for."""

    def render(job: Job) -> workers.Views:
        match job.what:
            case ("raise",):
                raise RuntimeError("no such node")
            case ("die",):
                os._exit(11)
            case ("hang",):
                time.sleep(60)
            case ("spin",):
                while True:
                    pass
        return paint(len(job.record.source))

    return render


def make_nothing():
    raise ImportError("no Blender here")


def some_jobs(*whats: str) -> list[Job]:
    return [Job(a_record(f"lib/{i}-{what}"), what, (what,)) for i, what in enumerate(whats)]


def test_a_crash_or_an_endless_loop_costs_one_object(tmp_path: Path) -> None:
    jobs = some_jobs("raise", "paint", "die", "spin", "paint")
    run(jobs, make_painter, tmp_path, set(), minutes=2, patience=1)
    assert sorted(file.stem for file in tmp_path.rglob("*.npz")) == ["1-paint", "4-paint"]
    failures = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert [failure["reason"] for failure in failures] == [
        "RuntimeError: no such node",
        "the worker died with exit code 11",
        "took over 1 s of processor time",
    ]
    assert left_to_do(jobs, tmp_path, set()) == []  # what failed is not tried again


def test_a_worker_that_waits_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "STUCK", 1)
    run(some_jobs("hang"), make_painter, tmp_path, set(), minutes=2, patience=1)
    assert "no answer for 1 s" in (tmp_path / "failures.jsonl").read_text()


def test_a_family_that_keeps_failing_is_given_up(tmp_path: Path) -> None:
    run(some_jobs("raise", "raise", "raise", "paint"), make_painter, tmp_path, set(), minutes=2, patience=1)
    assert len((tmp_path / "failures.jsonl").read_text().splitlines()) == workers.GIVE_UP
    assert (tmp_path / "lib" / "3-paint.npz").exists()


def test_a_worker_without_blender_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ChildProcessError, match=r"worker\.log"):
        run(some_jobs("paint"), make_nothing, tmp_path, set(), minutes=1, patience=1)
    assert "no Blender here" in (tmp_path / "worker.log").read_text()


def test_existing_and_rendered_objects_are_skipped(tmp_path: Path) -> None:
    jobs = some_jobs("paint", "paint", "paint")
    save(tmp_path / "out", jobs[0].record, *paint(0))
    there = tmp_path / "there"
    there.mkdir()
    (there / "objects.json").write_text(json.dumps([{"source": jobs[1].record.source}]))
    assert left_to_do(jobs, tmp_path / "out", sources_in([there])) == [jobs[2]]
    with pytest.raises(ValueError, match="--have"):
        sources_in([tmp_path / "out"])
