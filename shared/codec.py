"""Messages as frames and back: a header of MessagePack, then the bytes of each array as a frame of its own.

In the header an array is [dtype, shape], in the order of the frames.  Nothing is copied: `encode` returns views of the
arrays, and the arrays that `decode` returns are views of the frames.  A message's sizes are checked against the limits
below before it is decoded, and its arrays against the types in `messages`; what does not fit is a `ProtocolError`.
NaN is allowed: the receiver decides what it means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, cast, get_args

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .messages import FromClient, FromServer, Message

MOST_FRAMES = 4096
MOST_HEADER = 1 << 20  # bytes
MOST_BYTES = 256 << 20  # of one array: 500,000 splats with all their harmonics have 96 MB
MOST_IN_ALL = 512 << 20
DTYPES = ("<f4", "<i4", "|u1")

Frame = bytes | bytearray | memoryview


class ProtocolError(ValueError):
    """Frames that are not a message, or a message that cannot be sent."""


class _Array(msgspec.Struct, array_like=True, frozen=True):
    """An array as the header describes it."""

    dtype: str
    shape: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=4)]


def encode(message: Message) -> list[Frame]:
    """The frames of a message; those of its arrays are views, so the arrays must stay as they are until it is sent.

    Raises ProtocolError if it exceeds a limit or contains something that cannot be sent.
    """
    frames: list[Frame] = [b""]

    def take(value: Any) -> _Array:
        if not isinstance(value, np.ndarray) or value.dtype.str not in DTYPES:
            raise TypeError(f"{getattr(value, 'dtype', type(value))} does not travel")
        frames.append(_bytes(value))
        return _Array(value.dtype.str, value.shape)

    try:
        frames[0] = msgspec.msgpack.encode(message, enc_hook=take)
    except (
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:  # ValueError: half a surrogate pair in a text
        raise ProtocolError(str(error)) from error
    _check_sizes(frames)
    return frames


def decode(frames: Sequence[Frame], kinds: Any) -> Any:
    """The message in the frames, which must be one of `kinds` (a union of messages).  Raises ProtocolError."""
    views = [memoryview(frame).cast("B") for frame in frames]
    _check_sizes(views)
    rest = iter(views[1:])
    try:
        message = msgspec.msgpack.decode(views[0], type=kinds, dec_hook=lambda kind, value: _array(kind, value, rest))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(f"No message can be made of it: {error}") from error
    if next(rest, None) is not None:
        raise ProtocolError("There are more frames than arrays")
    return message


def decode_request(frames: Sequence[Frame]) -> FromClient:
    """A message from a client.  Raises ProtocolError."""
    return cast(FromClient, decode(frames, FromClient))


def decode_answer(frames: Sequence[Frame]) -> FromServer:
    """A message from the server.  Raises ProtocolError."""
    return cast(FromServer, decode(frames, FromServer))


def _check_sizes(frames: Sequence[Frame]) -> None:
    sizes = [len(frame) for frame in frames]
    if not 1 <= len(sizes) <= MOST_FRAMES:
        raise ProtocolError(f"{len(sizes)} frames are no message: 1 to {MOST_FRAMES} are")
    if sizes[0] > MOST_HEADER:
        raise ProtocolError(f"A header of {sizes[0]} bytes is too long: {MOST_HEADER} are the most")
    if max(sizes) > MOST_BYTES or sum(sizes) > MOST_IN_ALL:
        raise ProtocolError(f"{sum(sizes) >> 20} MiB are too much: {MOST_BYTES >> 20} an array are the most")


def _bytes(array: NDArray[Any]) -> bytes | memoryview:
    """The array's memory; a copy only if the array is not contiguous."""
    return np.ascontiguousarray(array).data.cast("B") if array.size else b""


def _array(kind: Any, value: Any, rest: Iterator[memoryview]) -> NDArray[Any]:
    """The next frame as the array that the field's type and the header both say it is."""
    said = msgspec.convert(value, _Array)
    dtype = np.dtype(get_args(get_args(kind)[1])[0])
    if said.dtype != dtype.str:
        raise ProtocolError(f"An array is of {said.dtype}, not {dtype.str}")
    frame = next(rest, None)
    if frame is None or len(frame) != math.prod(said.shape) * dtype.itemsize:
        raise ProtocolError(f"An array of the shape {said.shape} lacks its frame, or has one of another length")
    array = np.ndarray(said.shape, dtype, buffer=frame)
    # Small frames may lie at odd places of ZeroMQ's buffer, where some processors and Blender cannot read them.
    return np.require(array, requirements="A")
