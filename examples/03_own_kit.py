"""# Your own kit

A kit is a prior made of your own objects: each is photographed from 48 sides, and the exact score of these pictures is
what judges the splats.  Here two toadstools are modelled with trimesh; any GLB, OBJ, PLY or STL will do.

`make_kit` is a generator: an event for each object, and not asking for the next one stops.  What is done by then is a
kit.  A job names a kit by its folder; the words of the prompt choose among its objects by their names, which are those
of the files.

    STEPS=200 python -m examples.03_own_kit        # makes out/toadstools (the kit) and out/own-kit/turntable.png

The command line does the same: `python -m backend kit FILES --out KIT`, then `generate --prior KIT`.
"""

import os
from pathlib import Path

import trimesh

from backend.export.turntable import turntable_png
from backend.job.job import make_job
from backend.kits.make import make_kit
from backend.kits.subjects import subjects
from backend.run.folder import JobFolder
from backend.run.session import Session

STEPS = int(os.environ.get("STEPS", "200"))
MESHES, KIT, OUT = Path("out/toadstool-meshes"), Path("out/toadstools"), Path("out/own-kit")


def toadstool(colour: tuple[int, int, int], height: float) -> trimesh.Trimesh:
    """A stem, and a cap of this colour on it."""
    stem = trimesh.creation.cylinder(0.2, height)
    cap = trimesh.creation.icosphere(3, 0.6)
    cap.vertices[:, 2] = cap.vertices[:, 2].clip(-0.05)  # flat below
    cap.apply_translation([0, 0, height / 2])
    for part, rgb in ((stem, (235, 225, 200)), (cap, colour)):
        part.visual = trimesh.visual.ColorVisuals(part, face_colors=[*rgb, 255])
    return trimesh.util.concatenate([stem, cap])


if __name__ == "__main__":
    MESHES.mkdir(parents=True, exist_ok=True)
    toadstool((200, 20, 20), 0.8).export(MESHES / "red toadstool.ply")
    toadstool((120, 70, 30), 1.4).export(MESHES / "brown toadstool.ply")
    for made in make_kit(subjects([MESHES]), KIT, "Toadstools"):
        print(made)
    fields = {"prompt": "a red toadstool", "prior": str(KIT), "objective": "sds", "quality": "draft"}
    session = Session.begin(make_job({**fields, "recipe": {"steps": STEPS}}), JobFolder(OUT))
    for event in session.steps(STEPS):
        print(event)
    session.save()
    turntable_png(session.run.scene.splats(), OUT / "turntable.png")
