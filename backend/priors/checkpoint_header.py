"""What a .safetensors file holds, from its header alone: names, shapes and number types of its tensors, and notes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from backend.errors import reason
from backend.priors.base import PriorError

# Suffixes by which a name is that of a file, and not a hub id such as OWNER/NAME.
SAFE = ".safetensors"
PICKLED = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
OTHERS = (".gguf", ".onnx", ".sft")
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")  # torch's zip files, and bare pickles
POINTER_START = b"version https://git-lfs"


@dataclass(frozen=True)
class Header:
    """The shapes of a file's tensors by their names, and the metadata that its maker wrote."""

    file: Path
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    def any(self, *starts: str) -> bool:
        """Whether a tensor's name begins with one of these."""
        return any(name.startswith(starts) for name in self.shapes)

    def on_meta(self) -> dict[str, Tensor]:
        """The tensors without their numbers, for functions that read only names and shapes."""
        return {name: torch.empty(shape, device="meta") for name, shape in self.shapes.items()}


def is_file_name(name: str | Path) -> bool:
    """Whether this can only be the name of a file: one that is there, or a name that ends like one."""
    path = Path(name).expanduser()
    return path.is_file() or (path.suffix.lower() in (SAFE, *PICKLED, *OTHERS) and not path.is_dir())


def read_header(name: str | Path, what: str) -> Header:
    """The header of a file, complete down to its last byte.

    `what` is what the file is to be, at the beginning of a sentence: "prior" or "LoRA".

    Raises:
        PriorError: no such file, one that can run code when it is read, cut off, or of another format.
    """
    file = Path(name).expanduser()
    if not file.is_file():
        raise PriorError(f'{what} "{name}" does not exist: pass the path of a {SAFE} file')
    _refuse_other_formats(file, what)
    try:
        with safe_open(file, "pt") as opened:
            shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
            return Header(file, shapes, dict(opened.metadata() or {}))
    except (SafetensorError, OSError) as error:
        raise PriorError(
            f'{what} "{file}" is damaged or only half copied ({reason(error)}): download or copy it again'
        ) from error


def _refuse_other_formats(file: Path, what: str) -> None:
    try:
        with file.open("rb") as opened:
            start = opened.read(len(POINTER_START))
    except OSError as error:
        raise PriorError(f'{what} "{file}" cannot be read ({error.strerror}): check its permissions') from error
    if file.suffix.lower() in PICKLED or start.startswith(PICKLE_STARTS):
        raise PriorError(
            f'{what} "{file}" is a pickle, which can run any code when it is opened: download its {SAFE} version, or '
            "convert it once in a program that you trust it to"
        )
    if start == POINTER_START:
        raise PriorError(f'{what} "{file}" is only a pointer of Git LFS: run `git lfs pull` there')
    if file.suffix.lower() != SAFE:
        raise PriorError(f'{what} "{file}" is not a {SAFE} file: download its {SAFE} version')
