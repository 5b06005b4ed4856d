"""Small real files, written with numpy and the standard library alone."""

import json
import struct
import zlib

import numpy as np

JOB = {"prompt": "a red apple", "objective": "jsd", "seed": 2**40, "recipe": {"steps": 3}}


def random_splats(count, harmonics=1, seed=0):
    """Columns of a 3DGS PLY: means, sh (N,K,3), opacity logits, log scales, quaternions of any length."""
    r = np.random.default_rng(seed)
    return {
        "means": r.uniform(-0.7, 0.7, (count, 3)),
        "sh": r.uniform(-1.5, 1.5, (count, harmonics, 3)),
        "opacity_logits": r.uniform(-3, 3, count),
        "log_scales": r.uniform(-4, -2, (count, 3)),
        "quats": 2 * r.normal(size=(count, 4)),
    }


def write_ply(path, splats, comment="", normals=False):
    """The layout of 3D Gaussian Splatting's own code: f_rest_* holds all of red, then green, then blue.

    Without normals and comment it is that of our own files before they said that -Y is up.
    """
    sh = splats["sh"]
    rest = sh[:, 1:].transpose(0, 2, 1).reshape(len(sh), -1)
    names = [
        *"xyz",
        *(["nx", "ny", "nz"] if normals else []),
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(rest.shape[1])),
        "opacity",
    ]
    names += [*(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    means = np.concatenate([splats["means"], np.zeros_like(splats["means"])][: 1 + normals], 1)
    rows = [means, sh[:, 0], rest, splats["opacity_logits"][:, None], splats["log_scales"], splats["quats"]]
    header = ["ply", "format binary_little_endian 1.0", *([comment] if comment else []), f"element vertex {len(sh)}"]
    header += [*(f"property float {name}" for name in names), "end_header\n"]
    path.write_bytes("\n".join(header).encode() + np.concatenate(rows, 1).astype("<f4").tobytes())
    return path


def png(pixels):
    """A PNG of (H,W,3) uint8."""
    height, width, _ = pixels.shape
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


TRIANGLE = np.array([[0.5, 1.0, 0.25], [-0.5, 0.0, 0.25], [0.5, 0.0, 0.25]], "<f4")  # Y up, as glTF has it


def write_glb(path):
    """A textured triangle under an empty root node, as trimesh writes meshes."""
    uv = np.array([[1, 0], [0, 1], [1, 1]], "<f4").tobytes()
    picture = png(np.full((4, 4, 3), (200, 30, 20), np.uint8))
    parts = [TRIANGLE.tobytes(), uv, np.array([0, 1, 2, 0], "<u2").tobytes(), picture + b"\0" * (-len(picture) % 4)]
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    sizes = [36, 24, 6, len(picture)]
    bounds = {"min": TRIANGLE.min(0).tolist(), "max": TRIANGLE.max(0).tolist()}
    scene = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "world", "children": [1]}, {"name": "geometry_0", "mesh": 0}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]},
        ],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 3, "mimeType": "image/png"}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", **bounds},
            {"bufferView": 1, "componentType": 5126, "count": 3, "type": "VEC2"},
            {"bufferView": 2, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteOffset": starts[i], "byteLength": sizes[i]} for i in range(4)],
        "buffers": [{"byteLength": starts[4]}],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", starts[4], b"BIN\0") + b"".join(parts)
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
    return path


def write_job(folder, **changes):
    """A job's folder as a finished run leaves it."""
    folder.mkdir(exist_ok=True)
    write_ply(folder / "splats.ply", random_splats(40))
    write_glb(folder / "mesh.glb")
    (folder / "job.json").write_text(json.dumps(JOB | changes))
    return folder
