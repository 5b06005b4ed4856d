"""The scripts that make training data, as far as they run without Blender; the renderer here paints with numpy."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.cameras import Cameras
from prior_data import catalogue, pack, procedural, record, workers
from prior_data.attribution import attribution, read
from prior_data.orbit import FOV, draw_cameras, position
from prior_data.record import Record, Unusable, load, save, sources_packed
from prior_data.workers import Job, left_to_do, run

PROPERTIES = r"""
# a comment, and a blank line

!another
name#1 = Armchair
model#1=/lib/armchair/armchair.obj
category#1:Living room
creator#1=Zo\u00eb, 3 \u20ac
tags#1=Seat, \
       Comfort
modelRotation#1=1 0 0 0 0 1 0 -1 0
path#1=C\:\\
name#2=Glass door
model#2=/lib/door/door.obj
doorOrWindow#2=true
name#3=Square type B plug
model#3=/lib/plug/plug.obj
name#4=Spiral staircase
category#4=Staircases
model#4=/lib/stairs/stairs.obj
"""


def a_record(source: str, **changes: object) -> Record:
    fields = {"name": "Chair", "licence": "CC0-1.0", "creator": "Ann", "front_known": True}
    return Record(**(fields | changes), source=source)


def paint(seed: int, views: int = 4, cover: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a square of `cover` pixels a side, no two alike, and cameras."""
    rng = np.random.default_rng(seed)
    rgba = np.zeros((views, 64, 64, 4), np.uint8)
    rgba[:, :cover, :cover, :3] = rng.integers(0, 256, (views, cover, cover, 3))
    rgba[:, :cover, :cover, 3] = 255
    return rgba, draw_cameras(views, rng)


# ---- catalogue ----


def test_properties_follow_javas_rules() -> None:
    values = catalogue.parse_properties(PROPERTIES)
    assert values["name#1"] == "Armchair"
    assert values["category#1"] == "Living room"
    assert values["creator#1"] == "Zoë, 3 €"
    assert values["tags#1"] == "Seat, Comfort"
    assert values["path#1"] == "C:\\"  # an escaped backslash at the end continues nothing
    assert values["name#2"] == "Glass door"
    assert not any("comment" in key or "another" in key for key in values)


def test_catalogue_keeps_things_and_leaves_parts_of_buildings_out() -> None:
    [model] = catalogue.models_of("Scopia", catalogue.parse_properties(PROPERTIES))
    assert model.rotation == "1 0 0 0 0 1 0 -1 0"
    assert model.record == Record(
        "Armchair", "sweethome3d-furniture/Scopia/lib/armchair/armchair.obj", "CC-BY-3.0", "Zoë, 3 €", True
    )


def test_jobs_of_an_unpacked_catalogue_start_with_vehicles(tmp_path: Path) -> None:
    folder = tmp_path / "KatorLegaz"
    folder.mkdir()
    text = "name#1=Bed\nmodel#1=/k/bed.obj\ncategory#1=Bedroom\nname#2=Bus\nmodel#2=/k/bus.obj\ncategory#2=Vehicles\n"
    (folder / catalogue.LISTING).write_text(text, encoding="latin-1")
    bus, bed = catalogue.jobs(tmp_path)
    assert (bus.record.name, bed.record.name) == ("Bus", "Bed")
    assert bus.what == (str(folder / "k" / "bus.obj"), "")


# ---- procedural ----


def test_procedural_sources_are_unique_and_seed_by_seed() -> None:
    jobs = procedural.jobs()
    sources = [job.record.source for job in jobs]
    assert len(set(sources)) == len(sources) == sum(kind.wanted for kind in procedural.KINDS)
    seeds = [int(source.split("/")[2]) for source in sources]
    assert seeds == sorted(seeds)
    assert all(source.startswith("infinigen/") for source in sources)


# ---- cameras ----


def test_camera_stands_where_the_backend_puts_it() -> None:
    rows = draw_cameras(24, np.random.default_rng(1))
    azimuth, elevation, k = torch.from_numpy(rows).double().T
    distance = k / np.sin(np.radians(FOV / 2))
    cameras = Cameras(azimuth, elevation, distance, torch.full((24,), FOV))
    np.testing.assert_allclose(cameras.framing.numpy(), rows[:, 2], rtol=1e-6)
    ours = np.stack([position(*(float(v) for v in row)) for row in rows])
    np.testing.assert_allclose(ours, cameras.positions.numpy(), atol=1e-6)
    np.testing.assert_allclose(position(0, 0, 1, radius=2), [0, -2 / np.sin(np.radians(20)), 0], atol=1e-12)


def test_drawn_cameras_cover_the_circle_and_keep_their_ranges() -> None:
    rows = draw_cameras(2400, np.random.default_rng(2))
    np.testing.assert_array_equal(np.floor(rows[:, 0] / 360 * 2400), np.arange(2400))
    assert rows[:, 1].min() >= -10
    assert rows[:, 1].max() <= 80
    assert (rows[:, 1] > 45).mean() == pytest.approx(0.15, abs=0.03)
    assert rows[:, 2].min() >= 1
    assert rows[:, 2].max() <= 1.2


# ---- files of objects ----


def test_a_saved_object_reads_back_without_its_empty_views(tmp_path: Path) -> None:
    rgba, camera = paint(3)
    rgba[1] = 0
    saved = a_record("lib/chair.obj")
    save(tmp_path, saved, rgba, camera)
    again, pictures, cameras = load(tmp_path / "lib" / "chair.obj.npz")
    assert again == saved
    np.testing.assert_array_equal(pictures, rgba[[0, 2, 3]])
    np.testing.assert_array_equal(cameras, camera[[0, 2, 3]])


def test_an_object_that_covers_too_little_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"lib/dot.obj covers under 2%"):
        save(tmp_path, a_record("lib/dot.obj"), *paint(0, cover=9))  # 81 of 4096 pixels: 1.98 %
    assert not list(tmp_path.rglob("*.npz"))
    save(tmp_path, a_record("lib/dot.obj"), *paint(0, cover=10))
    assert len(list(tmp_path.rglob("*.npz"))) == 1


# ---- workers ----


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
        return paint(record.seed_of(job.record.source))

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
    assert "silent for 1 s" in (tmp_path / "failures.jsonl").read_text()


def test_a_family_that_keeps_failing_is_given_up(tmp_path: Path) -> None:
    run(some_jobs("raise", "raise", "raise", "paint"), make_painter, tmp_path, set(), minutes=2, patience=1)
    assert len((tmp_path / "failures.jsonl").read_text().splitlines()) == workers.GIVE_UP
    assert (tmp_path / "lib" / "3-paint.npz").exists()


def test_a_worker_without_blender_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ChildProcessError, match=r"worker\.log"):
        run(some_jobs("paint"), make_nothing, tmp_path, set(), minutes=1, patience=1)
    assert "no Blender here" in (tmp_path / "worker.log").read_text()


def test_what_is_packed_or_rendered_is_skipped(tmp_path: Path) -> None:
    jobs = some_jobs("paint", "paint", "paint")
    save(tmp_path / "out", jobs[0].record, *paint(0))
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "objects.json").write_text(json.dumps([{"source": jobs[1].record.source}]))
    assert left_to_do(jobs, tmp_path / "out", sources_packed([packed])) == [jobs[2]]
    with pytest.raises(ValueError, match="--have"):
        sources_packed([tmp_path / "out"])


# ---- packing ----


def test_archives_hold_what_was_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "LARGEST", 25_000)  # so that some objects need a second archive
    painted = {}
    for number in range(5):
        made = a_record(f"infinigen/ChairFactory/{number}", name="chair", front_known=number == 0)
        painted[made.source] = paint(number)
        save(tmp_path / "objects", made, *painted[made.source])
    names = pack.pack(tmp_path / "objects", "procedural-1", tmp_path / "packed", set())
    assert names == {"chair": 5}
    archives = sorted((tmp_path / "packed").glob("views-procedural-1-*.npz"))
    assert len(archives) > 1
    assert all(archive.stat().st_size < 40_000 for archive in archives)
    views, cameras = (np.concatenate([np.load(archive)[part] for archive in archives]) for part in ("rgba", "camera"))
    entries = json.loads((tmp_path / "packed" / "objects-procedural-1.json").read_text())
    for entry in entries:
        rgba, camera = painted[entry["source"]]
        rows = slice(entry["first"], entry["first"] + entry["views"])
        np.testing.assert_array_equal(views[rows], rgba)
        np.testing.assert_array_equal(cameras[rows], camera)


def test_a_second_pack_holds_only_what_is_new(tmp_path: Path) -> None:
    objects, packed = tmp_path / "objects", tmp_path / "packed"
    save(objects, a_record("lib/a.obj"), *paint(0))
    pack.pack(objects, "one", packed, set())
    with pytest.raises(ValueError, match="--tag one is taken"):
        pack.pack(objects, "one", packed, set())
    with pytest.raises(ValueError, match="packed already"):
        pack.pack(objects, "two", packed, sources_packed([packed]))
    save(objects, a_record("lib/b.obj", name="Bus"), *paint(1))
    assert pack.pack(objects, "two", packed, sources_packed([packed])) == {"Bus": 1}
    assert [thing.name for thing in Views(packed).things] == ["chair", "bus"]


# ---- attribution ----


def entry(source: str, licence: str, creator: str, name: str = "Chair") -> dict[str, object]:
    return {"source": source, "licence": licence, "creator": creator, "name": name}


def test_attribution_names_every_creator_and_work_under_its_licence(tmp_path: Path) -> None:
    entries = [
        entry("p/BlendSwap-CC-BY/a.obj", "CC-BY-3.0", "Jo.3D", "Backpack"),
        entry("p/BlendSwap-CC-BY/b.obj", "CC-BY-3.0", "Jo.3D", "Bath"),
        entry("p/Scopia/c.obj", "CC-BY-3.0", "Scopia", "Bed"),
        entry("p/KatorLegaz/d.obj", "CC-BY-3.0-US", "Kator Legaz", "Bus"),
        entry("p/BlendSwap-CC-0/e.obj", "CC0-1.0", "Absfrm", "Armchair"),
        entry("infinigen/ChairFactory/0", procedural.LICENCE, ""),
    ]
    (tmp_path / "objects-a.json").write_text(json.dumps(entries[:4]))
    (tmp_path / "objects-b.json").write_text(json.dumps(entries[3:]))  # one object in both counts once
    text = attribution(read([tmp_path]))
    unported, states, free, own = text.split("\n## ")[1:]
    assert "- **Jo.3D** (published on Blend Swap): Backpack, Bath\n" in unported
    assert "licenses/by/3.0/>" in unported
    assert "3 objects" in unported
    assert "- **Kator Legaz** (Copyright 2003-2008 Andrew Kator & Jennifer Legaz): Bus\n" in states
    assert "1 objects" in states
    assert "Absfrm" in free
    assert "infinigen" in own


@pytest.mark.parametrize(
    ("licence", "says"), [("CC-BY-3.0", "names no creator"), ("Proprietary", "unknown licence Proprietary")]
)
def test_attribution_refuses_what_it_cannot_credit(licence: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        attribution([entry("p/Scopia/a.obj", licence, "")])
