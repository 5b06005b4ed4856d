"""Messages through a pipe: the number of frames, the length of each, then their bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

from shared.codec import MOST_BYTES, MOST_FRAMES, Frame, ProtocolError


def write_frames(pipe: IO[bytes], frames: Sequence[Frame]) -> None:
    """Write one message and flush.  OSError where the other end is closed."""
    pipe.write(struct.pack(f"<I{len(frames)}Q", len(frames), *map(len, frames)))
    for frame in frames:
        pipe.write(frame)
    pipe.flush()


def read_frames(pipe: IO[bytes]) -> list[bytearray] | None:
    """Read one message; None at the end of the pipe, also in the middle of a message.

    Raises ProtocolError where sizes exceed the codec's limits, as when something else writes into the pipe.
    """
    head = _read(pipe, 4)
    if head is None:
        return None
    (count,) = struct.unpack("<I", head)
    if not 1 <= count <= MOST_FRAMES:
        raise ProtocolError(f"{count} is not a number of frames")
    lengths = _read(pipe, 8 * count)
    frames = []
    for size in struct.unpack(f"<{count}Q", lengths) if lengths else ():
        if size > MOST_BYTES:
            raise ProtocolError(f"A frame of {size} bytes is too long")
        frame = _read(pipe, size)
        if frame is None:
            return None
        frames.append(frame)
    return frames or None


def _read(pipe: IO[bytes], size: int) -> bytearray | None:
    """Exactly `size` bytes; None where the pipe ends before."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        read: int = pipe.readinto(view[got:])  # type: ignore[attr-defined]
        if not read:
            return None
        got += read
    return data
