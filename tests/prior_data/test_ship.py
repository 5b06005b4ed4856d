"""Joining pictures into the shipped kit: what is used, what is skipped, and the attribution."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.priors.kit import Kit, KitObject, new_index, write_atlas, write_index
from prior_data import naming
from prior_data.attribution import attribution
from prior_data.catalogue import PACKAGE
from prior_data.doubles import DoubleFinder
from prior_data.orbit import grid
from prior_data.procedural import LICENCE
from prior_data.record import Record, save
from prior_data.ship import ship
from prior_data.shots import taken


def disc(colour: tuple[int, int, int], radius: int = 40, noise: float = 0) -> np.ndarray:
    """A ball that looks the same from all sides, (48,128,128,4)."""
    y, x = np.indices((128, 128)) - 63.5
    views = np.zeros((48, 128, 128, 4), np.uint8)
    inside = x**2 + y**2 < radius**2
    painted = np.array(colour) + np.random.default_rng(0).normal(0, noise, (48, int(inside.sum()), 3))
    views[:, inside, :3] = painted.clip(0, 255)
    views[:, inside, 3] = 255
    return views


Write = Callable[[Path, dict[str, np.ndarray]], Path]


def rendered(folder: Path, objects: dict[str, np.ndarray]) -> Path:
    for source, views in objects.items():
        save(folder, Record("apple", source, LICENCE, "", front_known=False), views, grid())
    return folder


def atlases(folder: Path, objects: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    entries = []
    for number, (source, views) in enumerate(objects.items()):
        write_atlas(views, folder / f"{number}.webp")
        common = {"name": "Thing", "licence": "CC0-1.0", "creator": "Ann"}
        entries.append({"file": f"{number}.webp", "source": source, "cover": 0.3} | common)
    (folder / "objects.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def a_kit(folder: Path, objects: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    things = []
    for number, (source, views) in enumerate(objects.items()):
        write_atlas(views, folder / f"{number}.webp")
        things.append(KitObject(file=f"{number}.webp", name="Thing", source=source, licence="CC0-1.0", creator="Ann"))
    write_index(new_index("some", things), folder)
    return folder


@pytest.mark.parametrize("write", [rendered, atlases, a_kit])
def test_pictures_are_read_wherever_they_lie(tmp_path: Path, write: Write) -> None:
    red, blue = disc((200, 20, 20)), disc((20, 20, 200))
    shots = taken([write(tmp_path / "some", {"p/b": blue, "p/a": red})])
    assert [shot.source for shot in shots] == ["p/a", "p/b"]
    np.testing.assert_allclose(shots[0].views()[:, 60:68, 60:68, :3], red[:, 60:68, 60:68, :3], atol=6)


def test_the_first_folder_counts_and_none_may_be_empty(tmp_path: Path) -> None:
    red, blue = disc((200, 20, 20)), disc((20, 20, 200))
    both = [a_kit(tmp_path / "one", {"p/a": red}), atlases(tmp_path / "two", {"p/a": blue, "p/b": blue})]
    one, other = taken(both)
    assert one.views()[0, 64, 64].argmax() in (0, 3)
    assert other.source == "p/b"
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="has no pictures"):
        taken([tmp_path / "none"])


def test_doubles_are_recognised_by_their_looks() -> None:
    doubles = DoubleFinder()
    assert doubles.double_of(disc((200, 20, 20))) is None
    assert doubles.double_of(disc((20, 20, 200))) is None  # another colour
    assert doubles.double_of(disc((200, 20, 20), radius=30)) is None  # another size
    assert doubles.double_of(disc((200, 20, 20), noise=10)) == 0  # the first, with noise
    assert doubles.double_of(disc((28, 20, 196))) == 1


def test_the_kit_has_plain_names_and_no_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"Lib/beetle.obj": "Compact car", "Lib/plug.obj": None, "infinigen/FruitFactoryApple": "Apple"}
    monkeypatch.setattr(naming, "NAMES", names)
    colours = {"beetle": (200, 200, 20), "plug": (90, 90, 90), "sofa": (20, 90, 20), "sofa2": (20, 90, 20)}
    models = atlases(tmp_path / "a", {f"{PACKAGE}/Lib/{name}.obj": disc(c) for name, c in colours.items()})
    fruit = rendered(tmp_path / "b", {"infinigen/FruitFactoryApple/0": disc((200, 20, 20), 50)})
    out = tmp_path / "kit"
    out.mkdir()
    (out / "0009.webp").write_bytes(b"of an earlier kit")
    ship(taken([models, fruit]), out)
    kit = Kit(out)
    assert [(thing.name, thing.title) for thing in kit.objects] == [
        ("Apple", ""),
        ("Compact car", "Thing"),
        ("Thing", "Thing"),
    ]
    assert [thing.file for thing in kit.objects] == sorted(file.name for file in out.glob("*.webp"))
    assert kit.objects[0].colour == pytest.approx((200 / 255, 20 / 255, 20 / 255), abs=0.03)
    assert "with thanks to Ann" in (out / "ATTRIBUTION.md").read_text(encoding="utf-8")
    before = (out / "kit.json").read_bytes()
    ship(taken([models, fruit]), out)
    assert (out / "kit.json").read_bytes() == before


def test_every_name_says_what_it_is() -> None:
    for source, name in naming.NAMES.items():
        assert name is None or (name == name.strip() and name[0].isupper() and name.isprintable()), source


def thing(source: str, licence: str, creator: str, title: str = "Chair") -> KitObject:
    return KitObject(file="0.webp", name="Plain", source=source, licence=licence, creator=creator, title=title)


def test_attribution_names_every_creator_and_work_under_its_licence() -> None:
    text = attribution(
        [
            thing("p/BlendSwap-CC-BY/a.obj", "CC-BY-3.0", "Jo.3D", "Backpack"),
            thing("p/BlendSwap-CC-BY/b.obj", "CC-BY-3.0", "Jo.3D", "Bath"),
            thing("p/Scopia/c.obj", "CC-BY-3.0", "Scopia", ""),
            thing("p/KatorLegaz/d.obj", "CC-BY-3.0-US", "Kator Legaz", "Bus"),
            thing("p/BlendSwap-CC-0/e.obj", "CC0-1.0", "Absfrm", "Armchair"),
            thing("infinigen/ChairFactory/0", LICENCE, ""),
        ]
    )
    unported, states, free, own = text.split("\n## ")[1:]
    assert "- **Jo.3D** (published on Blend Swap): Backpack, Bath\n" in unported
    assert "eTeks and Scopia Visual Interfaces Systems, s.l.): Plain\n" in unported
    assert "licenses/by/3.0/>" in unported
    assert "3 objects" in unported
    assert "- **Kator Legaz** (Copyright 2003-2008 Andrew Kator & Jennifer Legaz): Bus\n" in states
    assert "Absfrm" in free
    assert "infinigen" in own


@pytest.mark.parametrize(
    ("licence", "says"), [("CC-BY-3.0", "names no creator"), ("Proprietary", "unknown licence Proprietary")]
)
def test_attribution_refuses_what_it_cannot_credit(licence: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        attribution([thing("p/Scopia/a.obj", licence, "")])
