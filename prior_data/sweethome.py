"""Photographs the models of Debian's `sweethome3d-furniture` with our own renderer: a kit of some 730 objects.

    python -m prior_data.sweethome --out work/sweethome

The package is downloaded the first time.  A second call continues where the first one stopped.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.kits.make import Camera, Skipped, make_kit
from backend.kits.subjects import Credits, Parts, Subject
from backend.scenes.meshes import TO_Z_UP, Surface, load_surface
from prior_data.catalogue import Model, fetch, models


def subject(model: Model, catalogues: Path) -> Subject:
    """A model of the catalogues, turned upright, with its name there."""
    file = catalogues / model.catalogue / model.path

    def parts() -> Parts:
        return {"": lambda: upright(load_surface(file), model.rotation)}

    credits = Credits(model.name, model.creator, model.licence)
    return Subject(model.source, model.name, file, parts, model.rotation, credits)


def upright(surface: Surface, rotation: str) -> Surface:
    """The surface turned by a catalogue's rotation, nine numbers for Y-up, or ""."""
    if not rotation:
        return surface
    turn = np.eye(4)
    turn[:3, :3] = np.array([float(number) for number in rotation.split()]).reshape(3, 3)
    turn = TO_Z_UP @ turn @ TO_Z_UP.T
    return replace(surface, meshes=[mesh.copy().apply_transform(turn) for mesh in surface.meshes])


def main() -> None:
    """Read the command line, download, photograph; prints what was skipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the kit's folder")
    parser.add_argument("--download", type=Path, help="where the package is kept; beside the kit's folder")
    parser.add_argument("--quality", type=int, default=Camera.quality, help="of the WebP, 1 to 100")
    args = parser.parse_args()
    logging.getLogger("trimesh").setLevel(logging.ERROR)
    catalogues = fetch(args.download or args.out.parent / "download")
    files = [subject(model, catalogues) for model in models(catalogues)]
    for event in make_kit(files, args.out, "sweethome", camera=Camera(quality=args.quality)):
        print(f"{event.done}/{event.of}\t{event.name}", event.text if isinstance(event, Skipped) else "", flush=True)


if __name__ == "__main__":
    main()
