"""The catalogues of Sweet Home 3D: what they list, and how its models are stood up."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from backend.kits.make import Camera, make_kit
from backend.kits.subjects import Credits
from backend.priors.kit import Kit
from prior_data import catalogue
from prior_data.sweethome import subject

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


def test_properties_follow_javas_rules() -> None:
    values = catalogue.parse_properties(PROPERTIES)
    assert values["name#1"] == "Armchair"
    assert values["category#1"] == "Living room"
    assert values["creator#1"] == "Zoë, 3 €"
    assert values["tags#1"] == "Seat, Comfort"
    assert values["path#1"] == "C:\\"  # an escaped backslash at the end continues nothing
    assert values["name#2"] == "Glass door"
    assert not any("comment" in key or "another" in key for key in values)


@pytest.fixture
def catalogues(tmp_path: Path) -> Path:
    """One catalogue of one model, a spike along the file's own z, with the rotation that stands it up."""
    folder = tmp_path / "catalogues" / "Scopia"
    (folder / "lib" / "armchair").mkdir(parents=True)
    (folder / catalogue.LISTING).write_text(PROPERTIES, encoding="latin-1")
    trimesh.creation.cone(0.3, 2.0).export(folder / "lib" / "armchair" / "armchair.obj")
    return folder.parent


def test_objects_are_kept_and_parts_of_buildings_are_not(catalogues: Path) -> None:
    [model] = catalogue.models(catalogues)
    assert model.rotation == "1 0 0 0 0 1 0 -1 0"
    assert model.source == "sweethome3d-furniture/Scopia/lib/armchair/armchair.obj"
    assert subject(model, catalogues).credits == Credits("Armchair", "Zoë, 3 €", "CC-BY-3.0")


def test_a_model_is_turned_upright_and_credited(catalogues: Path, tmp_path: Path) -> None:
    model = subject(catalogue.models(catalogues)[0], catalogues)
    vertices = model.parts()[""]().meshes[0].vertices
    tip = vertices[np.linalg.norm(vertices - vertices.mean(0), axis=1).argmax()]
    assert tip[2] == pytest.approx(vertices[:, 2].max())
    assert vertices[:, 2].max() - vertices[:, 2].min() == pytest.approx(2)
    list(make_kit([model], tmp_path / "kit", camera=Camera(quality=50)))
    [thing] = Kit(tmp_path / "kit").objects
    assert (thing.title, thing.creator, thing.licence) == ("Armchair", "Zoë, 3 €", "CC-BY-3.0")
    assert thing.source == model.source
