"""A kit from the request to the report, with real processes: a small program stands in the backend's folder."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import trimesh

from blender_addon.net.kit_maker import ExportError, KitMaker, KitRequest, file_name, kit_folder

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="processes are asked to stop by a signal")
TELLS = """
import json, pathlib, signal, sys, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
files = sorted(pathlib.Path(sys.argv[2]).iterdir())
print("this is no event")
for number, file in enumerate(files, 1):
    event = {"event": "object", "done": number, "of": len(files), "name": file.stem, "kept": False}
    if "Bad" in file.name:
        event |= {"event": "note", "name": "Bad", "text": f"{file.as_posix()} is empty."}
    print(json.dumps(event), flush=True)
    while "Slow" in file.name and not asked:
        time.sleep(0.01)
    if asked:
        print(json.dumps({"event": "stopped"}), flush=True)
        sys.exit(130)
print(json.dumps({"event": "done", "name": sys.argv[6], "objects": len(files) - 1, "folder": sys.argv[4]}))
"""
REFUSES = "import sys; print('Loading', file=sys.stderr); print('out: the disk is full.', file=sys.stderr); sys.exit(2)"
BREAKS = "raise ZeroDivisionError"


@dataclass(frozen=True)
class KitSource:
    name: str


def repository(folder, program):
    """A repository whose backend is a program."""
    (folder / "backend").mkdir(parents=True)
    (folder / "backend" / "__main__.py").write_text(program)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return folder


def export(thing, file):
    if thing.name == "Ghost":
        raise ExportError("it shows no faces.")
    file.write_bytes(b"glb")
    return ["bake it."] if thing.name == "Wood" else []


def maker(tmp_path, *names, program=TELLS, **more):
    """A kit of things with these names, in the making."""
    request = KitRequest(
        "Oak", tmp_path / "kits", repository(tmp_path / "repository", program), tmp_path / "parts", **more
    )
    return KitMaker(request, [KitSource(name) for name in names], export)


def run(kit, until=lambda kit: kit.ended, seconds=60.0):
    """Steps until the condition holds."""
    end = time.monotonic() + seconds
    while not until(kit) and time.monotonic() < end:
        kit.step()
        time.sleep(0.005)
    assert until(kit), (kit.state, kit.done, kit.report())
    return kit


@posix
def test_from_the_order_to_the_report(tmp_path):
    kit = maker(tmp_path, "Chair.001", "Ghost", "Wood", "Bad", "a/b", "Chair.001")
    kit.step()
    assert (kit.state, kit.done, kit.total) == ("exporting", 1, 6)
    assert len(list((tmp_path / "parts/objects").iterdir())) == 1
    run(kit, lambda kit: kit.state == "photographing")
    assert kit.total == 5
    run(kit)
    assert (kit.state, kit.text, kit.done) == ("done", "The kit Oak holds 4 objects.", 5)
    assert kit.folder == str(tmp_path / "kits/oak")
    assert kit.left_out == ["Ghost is left out: it shows no faces.", "Bad is left out: Bad is empty."]
    assert kit.notes == ["Wood: bake it."]
    assert kit.report().splitlines() == [kit.text, *kit.left_out, *kit.notes]
    assert not (tmp_path / "parts").exists()
    assert not kit.step()


@posix
def test_cancel_finishes_what_is_under_way_and_says_how_to_go_on(tmp_path):
    kit = run(maker(tmp_path, "A", "Slow", "Z"), lambda kit: kit.done == 2 and kit.state == "photographing")
    began = time.monotonic()
    kit.cancel()
    assert time.monotonic() - began < 5
    assert kit.state == "stopping"
    kit.cancel()  # once more does no harm
    run(kit)
    assert (kit.state, kit.text) == ("stopped", "Stopped after 2 of 3: make the same kit again to go on.")
    early = maker(tmp_path / "early", "A", "B")
    early.step()
    early.cancel()
    assert (early.state, early.step()) == ("stopped", False)
    assert not (tmp_path / "early/parts").exists()


@posix
@pytest.mark.parametrize(
    ("program", "text", "detail"),
    [(REFUSES, "out: the disk is full.", ""), (BREAKS, "The kit's process ended with code 1.", "ZeroDivisionError")],
)
def test_a_failure_is_a_sentence(tmp_path, program, text, detail):
    kit = run(maker(tmp_path, "A", program=program))
    assert (kit.state, kit.text) == ("failed", text)
    assert detail in kit.detail
    assert bool(detail) == bool(kit.detail)


def test_nothing_to_photograph_and_no_backend(tmp_path):
    kit = run(maker(tmp_path, "Ghost"))
    assert (kit.state, kit.text) == ("failed", "None of the objects could be exported, so there is no kit.")
    kit = maker(tmp_path / "two", "A")
    (kit.request.repository / ".venv/bin/python").unlink()
    assert "is not set up" in run(kit).text


def test_a_disk_that_refuses_is_a_sentence(tmp_path):
    kit = maker(tmp_path, "A")
    (tmp_path / "parts").write_bytes(b"a file is in the way")
    kit.step()
    assert kit.state == "failed"
    assert str(tmp_path / "parts") in kit.text


def test_a_kit_is_found_again_by_its_name(tmp_path):
    assert kit_folder(tmp_path, "Oak chairs!") == tmp_path / "oak-chairs"
    (tmp_path / "oak-chairs").mkdir()
    (tmp_path / "oak-chairs/kit.json").write_text(json.dumps({"name": "oak chairs"}))
    assert kit_folder(tmp_path, "oak chairs") == tmp_path / "oak-chairs"
    assert kit_folder(tmp_path, "Oak chairs!") == tmp_path / "oak-chairs-2"
    (tmp_path / "oak-chairs/kit.json").write_bytes(b"{")
    assert kit_folder(tmp_path, "oak chairs") == tmp_path / "oak-chairs-2"
    assert kit_folder(tmp_path, "???") == tmp_path / "kit"
    assert kit_folder(tmp_path, "木の椅子").name == "木の椅子"


@pytest.mark.parametrize("name", ["Chair", "a/b:c*?", "CON", "x" * 200, "..", "木の椅子", "Sofa.002"])
def test_names_are_those_of_files_everywhere_and_are_read_as_they_were(name):
    from backend.kits.names import clean_name

    file = file_name(name)
    assert not set(file) & set('<>:"/\\|?*')
    assert len(file) < 80
    assert file[-1].isdigit()
    assert file_name(name) == file != file_name(name + "!")
    assert clean_name(file) == clean_name("".join(" " if c in "/:*?" else c for c in name)[:60])


@posix
def test_the_backend_makes_the_kit_and_takes_up_what_is_there(tmp_path):
    def export_box(thing, file):
        trimesh.creation.box([0, 0, 0] if thing.name == "Point" else [len(thing.name), 1, 1]).export(file)
        return []

    def made(*names, **more):
        request = KitRequest("Oak chairs", tmp_path / "kits", ROOT, tmp_path / "parts", **more)
        return run(KitMaker(request, [KitSource(name) for name in names], export_box), seconds=300)

    kit = made("Chair", "Point")
    assert kit.state == "done", kit.report()
    (atlas,) = (tmp_path / "kits/oak-chairs").glob("*.webp")
    written = atlas.stat().st_mtime_ns
    assert len(kit.left_out) == 1
    assert kit.left_out[0].startswith("Point is left out: Point has no extent")
    kit = made("Stool", add=True)
    assert (kit.objects, kit.folder) == (2, str(tmp_path / "kits/oak-chairs"))
    assert made("Chair").objects == 1
    assert atlas.stat().st_mtime_ns == written
