"""Kits of real files: made, stopped, gone on with, spoiled."""

import numpy as np
import pytest
import trimesh

from backend.kits.make import Photographed, Skipped, make_kit
from backend.kits.names import clean_name
from backend.kits.subjects import subjects
from backend.priors.kit import INDEX, Kit, KitError
from tests.kits.conftest import painted, write_box

pytestmark = pytest.mark.usefixtures("coarse")


@pytest.fixture
def files(tmp_path):
    colours = {"Oak_Chair.001.ply": (200, 30, 30), "redLamp.glb": (30, 30, 200), "vase.stl": (0, 0, 0)}
    return [write_box(tmp_path / name, colour, (1, 1, 1 + n)) for n, (name, colour) in enumerate(colours.items())]


def made(files, out, **how):
    return list(make_kit(subjects(files), out, **how))


def stamps(out):
    return {file.name: file.stat().st_mtime_ns for file in out.glob("*.webp")}


def test_a_kit_says_what_is_in_it(files, tmp_path):
    events = made(files, tmp_path / "mine")
    assert events == [
        Photographed(1, 3, "Oak chair", False),
        Photographed(2, 3, "Red lamp", False),
        Photographed(3, 3, "Vase", False),
    ]
    kit = Kit(tmp_path / "mine")
    assert kit.name == "mine"
    assert [thing.source for thing in kit.objects] == [file.as_posix() for file in files]
    assert kit.views(0).shape == (48, 128, 128, 4)
    assert np.argmax(kit.objects[0].colour) == 0
    assert kit.objects[0].share > 0.95
    assert kit.objects[2].colour == pytest.approx((0.5, 0.5, 0.5), abs=0.12)  # an STL has no colours


def test_a_second_call_reuses_what_is_done(files, tmp_path):
    out = tmp_path / "kit"
    stopped = make_kit(subjects(files), out)
    next(stopped)
    stopped.close()
    assert len(Kit(out)) == 1
    before = stamps(out)
    assert [event.kept for event in made(files, out)] == [True, False, False]
    assert before.items() <= stamps(out).items()


def test_changed_and_damaged_objects_are_made_again(files, tmp_path):
    out = tmp_path / "kit"
    made(files, out)
    write_box(files[0], (30, 200, 30))
    (out / Kit(out).objects[1].file).write_bytes(b"RIFF")
    assert [event.kept for event in made(files, out)] == [False, False, True]
    kit = Kit(out)
    assert len(kit) == len(list(out.glob("*.webp"))) == 3
    green = next(thing for thing in kit.objects if thing.source == files[0].as_posix())
    assert np.argmax(green.colour) == 1


def test_a_kit_is_added_to_unless_it_is_to_be_replaced(files, tmp_path):
    out = tmp_path / "kit"
    made(files[:1], out)
    made(files[1:2], out)
    assert [thing.name for thing in Kit(out).objects] == ["Oak chair", "Red lamp"]
    replacing = make_kit(subjects(files[2:]), out, "new", overwrite=True)
    next(replacing)
    assert Kit(out).name == "kit"  # the old one, until all is done
    assert list(replacing) == []
    assert [thing.name for thing in Kit(out).objects] == ["Vase"]
    assert len(list(out.glob("*.webp"))) == 1


def test_unreadable_files_are_reported_and_skipped(files, tmp_path):
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"no mesh")
    events = made([broken, tmp_path / "gone.obj", files[0]], tmp_path / "kit")
    assert [type(event) for event in events] == [Skipped, Skipped, Photographed]
    assert [event.name for event in events] == ["Broken", "Gone", "Oak chair"]
    assert str(broken) in events[0].text
    assert not events[0].text.startswith("init_mesh")
    assert len(Kit(tmp_path / "kit")) == 1
    with pytest.raises(KitError, match="none of the files"):
        made([broken], tmp_path / "nothing")


def test_with_split_nodes_are_objects(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(painted(trimesh.creation.box(), (200, 30, 30)), node_name="Table.001")
    scene.add_geometry(painted(trimesh.creation.box(), (200, 30, 30)), node_name="leg", parent_node_name="Table.001")
    scene.add_geometry(painted(trimesh.creation.icosphere(2), (30, 30, 200)), node_name="Glass_Ball")
    scene.export(tmp_path / "shop.glb")
    (tmp_path / "two.obj").write_text(
        "o one\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\no Two_2\nv 0 0 1\nv 1 0 1\nv 0 1 1\nf 4 5 6\n"
    )
    paths = [tmp_path / "shop.glb", tmp_path / "two.obj"]
    names = {event.name for event in make_kit(subjects(paths, split=True), tmp_path / "split")}
    assert names == {"Table", "Glass ball", "One", "Two"}
    kit = Kit(tmp_path / "split")
    ball = next(thing for thing in kit.objects if thing.source.endswith("shop.glb#Glass_Ball"))
    assert np.argmax(ball.colour) == 2
    assert [event.name for event in made(paths, tmp_path / "whole")] == ["Shop", "Two"]


@pytest.mark.parametrize(
    ("name", "what", "says"),
    [
        ("", "note.txt", "is not a kit"),
        ("embedded", "", "the shipped kit"),
        ("a\nb", "", "cannot be the name"),
    ],
)
def test_unusable_folders_and_names_are_refused(files, tmp_path, name, what, says):
    out = tmp_path / "there"
    out.mkdir()
    if what:
        (out / what).write_text("mine")
    with pytest.raises(KitError, match=says):
        made(files, out, name=name)
    assert [file.name for file in out.iterdir()] == ([what] if what else [])


def test_folders_are_searched(files, tmp_path):
    (tmp_path / "notes.txt").write_text("no mesh")
    assert [subject.path for subject in subjects([tmp_path, files[0]])] == sorted(files)
    (tmp_path / "empty").mkdir()
    with pytest.raises(KitError, match="no mesh"):
        subjects([tmp_path / "empty"])


def test_a_damaged_index_is_an_error(files, tmp_path):
    out = tmp_path / "kit"
    made(files[:1], out)
    (out / INDEX).write_text("{")
    with pytest.raises(KitError, match="damaged"):
        made(files[:1], out)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Oak_Chair.001", "Oak chair"),
        ("SM_OldTVStand_LOD0", "Old TV stand"),
        ("chair-2", "Chair"),
        ("Stehlampe grün", "Stehlampe grün"),
        ("Mesh.014", "Object"),
        ("42", "Object"),
    ],
)
def test_names_are_made_words(raw, clean):
    assert clean_name(raw) == clean
