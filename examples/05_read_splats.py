"""# Reading splats elsewhere

`splats.ply` is the file of 3D Gaussian Splatting that every viewer reads, and numpy is enough to read it: a header,
then a row of little-endian floats for each splat.  What is stored is not yet what is meant:

    sigma   = exp(scale_*)                       standard deviations in metres
    opacity = 1 / (1 + exp(-opacity))
    colour  = 0.5 + 0.28209479 f_dc_*            sRGB, where nothing depends on the view
    rot_*                                        a quaternion w, x, y, z, of any length

and the file has -Y up, with the front at -Z.  Blender has Z up: (x, y, z) there is (x, z, -y) of the file.  This script
imports nothing of ours.  It draws the splats as dots, seen from the front, the farthest first.

    python -m examples.05_read_splats out/own-rule/splats.ply     # makes out/dots.png
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, SH_C0 = 128, 0.28209479177387814


def read(file: Path) -> dict[str, NDArray[np.float32]]:
    """means (N,3) with Z up, sigmas (N,3) in the file's order, opacities (N,) and colours (N,3), both in [0,1]."""
    header, _, rows = file.read_bytes().partition(b"end_header\n")
    lines = [line.split() for line in header.decode("ascii").splitlines()]
    names = [words[2] for words in lines if words[0] == "property"]
    count = next(int(words[2]) for words in lines if words[:2] == ["element", "vertex"])
    columns = dict(zip(names, np.frombuffer(rows, "<f4", count * len(names)).reshape(count, -1).T, strict=True))
    colours = 0.5 + SH_C0 * np.stack([columns[f"f_dc_{i}"] for i in range(3)], 1)
    return {
        "means": np.stack([columns["x"], columns["z"], -columns["y"]], 1),
        "sigmas": np.exp(np.stack([columns[f"scale_{i}"] for i in range(3)], 1)),
        "opacities": 1 / (1 + np.exp(-columns["opacity"])),
        "colours": colours.clip(0, 1).astype(np.float32),
    }


if __name__ == "__main__":
    splats = read(Path(sys.argv[1]))
    means, cover = splats["means"], splats["opacities"][:, None]
    print(f"{len(means)} splats between {means.min(0).round(2)} and {means.max(0).round(2)}")
    page = np.ones((SIDE, SIDE, 3))
    column, row = ((means[:, 0] + 1) / 2 * SIDE).astype(int), ((1 - means[:, 2]) / 2 * SIDE).astype(int)
    for i in np.argsort(-means[:, 1]):  # -Y is the front
        if 0 < row[i] < SIDE and 0 < column[i] < SIDE:
            dot = page[row[i] - 1 : row[i] + 2, column[i] - 1 : column[i] + 2]
            dot += cover[i] * (splats["colours"][i] - dot)
    Path("out").mkdir(exist_ok=True)
    Image.fromarray((255 * page).astype(np.uint8)).save("out/dots.png")
