"""The codec: every message comes back as it was, nothing is copied, and no bytes do harm."""

import contextlib
import string

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared import messages as m
from shared.codec import MOST_HEADER, ProtocolError, decode, decode_answer, decode_request, encode

ids = st.text("0123456789abcdef", min_size=32, max_size=32)
numbers = st.integers(-(2**40), 2**40)
reals = st.floats(allow_nan=False)
matrices = st.tuples(*[st.tuples(*[reals] * 4)] * 4)
json = st.recursive(
    st.none() | st.booleans() | numbers | reals | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def array(dtype, *shape):
    return arrays.arrays(dtype, shape)


def pictures():
    return st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(lambda s: array(np.uint8, *s, 3))


@st.composite
def splats(draw):
    n, k = draw(st.integers(0, 6)), draw(st.sampled_from([1, 4, 9, 16]))
    shapes = {"means": (n, 3), "quats": (n, 4), "scales": (n, 3), "opacities": (n,), "sh": (n, k, 3)}
    values = {name: draw(array(np.float32, *shape)) for name, shape in shapes.items()}
    return m.Splats(job=draw(ids), step=draw(numbers), final=draw(st.booleans()), to_scene=draw(matrices), **values)


@st.composite
def meshes(draw):
    v, f = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    colours = draw(st.none() | array(np.uint8, v, 4))
    return m.SceneMesh(vertices=draw(array(np.float32, v, 3)), faces=draw(array(np.int32, f, 3)), colours=colours)


states = st.builds(
    m.JobState, job=ids, prompt=st.text(max_size=9), seed=numbers, created=reals, step=numbers, of=numbers,
    to_scene=matrices, thumbnail=st.none() | pictures(), state=st.sampled_from(["queued", "done", "failed"]),
)  # fmt: skip
options = st.builds(m.Option, name=st.text(max_size=5), kind=st.sampled_from(["int", "choice"]), default=json)
objectives = st.builds(m.Objective, options=st.lists(options, max_size=2).map(tuple))
BUILDERS = {
    m.Generate: st.builds(
        m.Generate, job=ids, fields=st.dictionaries(st.text(max_size=5), json, max_size=3), mesh=st.none() | meshes()
    ),
    m.Watch: st.builds(m.Watch, jobs=st.lists(ids, max_size=3).map(tuple)),
    m.Continue: st.builds(m.Continue, job=ids, steps=st.integers(1, 9), refine_steps=st.none() | st.integers(0, 9)),
    m.Welcome: st.builds(m.Welcome, protocol=numbers, objectives=st.lists(objectives, max_size=2).map(tuple)),
    m.Priors: st.builds(m.Priors, priors=st.lists(st.builds(m.Prior), max_size=2).map(tuple)),
    m.Error: st.builds(m.Error, job=st.none() | ids),
    m.JobState: states,
    m.Jobs: st.builds(m.Jobs, jobs=st.lists(states, max_size=3).map(tuple)),
    m.Removed: st.builds(m.Removed, job=ids),
    m.Progress: st.builds(
        m.Progress,
        job=ids,
        step=numbers,
        of=numbers,
        seconds_left=reals,
        metrics=st.dictionaries(st.text(string.ascii_letters), reals),
    ),
    m.Preview: st.builds(m.Preview, job=ids, step=numbers, image=pictures()),
    m.Splats: splats(),
    m.Mesh: st.builds(m.Mesh, job=ids, to_scene=matrices, glb=st.integers(0, 9).flatmap(lambda n: array(np.uint8, n))),
    m.Hello: st.builds(m.Hello, protocol=numbers, version=st.text(max_size=9)),
    m.Ping: st.builds(m.Ping, token=numbers),
    m.Pong: st.builds(m.Pong, token=numbers),
    m.Warning: st.builds(m.Warning, job=ids),
    m.FreeMemory: st.builds(m.FreeMemory),
    m.ListJobs: st.builds(m.ListJobs),
    m.SayHello: st.builds(m.SayHello),
    m.Taken: st.builds(m.Taken, order=ids),
    m.Trouble: st.builds(m.Trouble),
} | {kind: st.builds(kind, job=ids) for kind in (m.Cancel, m.Detail, m.Fetch, m.FetchDetail, m.Forget)}


def plain(value):
    """Structs as dictionaries, arrays as their type, shape and bytes: comparable, NaN included."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, msgspec.Struct):
        return type(value), {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def kinds_of(union):
    return set(union.__args__)


def test_every_message_has_a_builder():
    assert set(BUILDERS) == kinds_of(m.FromClient) | kinds_of(m.FromServer)


@pytest.mark.parametrize("kind", BUILDERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_message_comes_back_as_it_was(kind, data):
    message = data.draw(BUILDERS[kind])
    reader = decode_request if kind in kinds_of(m.FromClient) else decode_answer
    assert plain(reader([bytes(frame) for frame in encode(message)])) == plain(message)


def some_splats(count=50):
    means = np.random.default_rng(0).random((count, 3), np.float32)
    shapes = {"quats": (count, 4), "scales": (count, 3), "opacities": (count,), "sh": (count, 1, 3)}
    others = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    eye = tuple(map(tuple, np.eye(4).tolist()))
    return m.Splats(job=m.new_job_id(), step=3, final=False, to_scene=eye, means=means, **others)


def test_arrays_are_not_copied():
    message = some_splats()
    frames = encode(message)
    assert np.shares_memory(np.frombuffer(frames[1], np.float32), message.means)
    assert np.shares_memory(decode_answer(frames).means, message.means)


def test_an_array_at_an_odd_place_is_moved_to_an_even_one():
    frames = encode(some_splats())
    shifted = memoryview(b"\0" + bytes(frames[1]))[1:]
    means = decode_answer([frames[0], shifted, *frames[2:]]).means
    assert means.flags.aligned
    assert means.tobytes() == bytes(frames[1])


def test_arrays_with_gaps_travel_and_strange_ones_do_not():
    picture = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)[:, ::2]
    back = decode_answer(encode(m.Preview(job="a" * 32, step=0, image=picture)))
    np.testing.assert_array_equal(back.image, picture)
    with pytest.raises(ProtocolError, match="float64"):
        encode(m.Preview(job="a" * 32, step=0, image=np.zeros((2, 2, 3))))
    for value in (2**70, "\ud800", object()):
        with pytest.raises(ProtocolError):
            encode(m.Generate(job="a" * 32, fields={"prompt": value}))


def header(**fields):
    return msgspec.msgpack.encode(fields)


def preview(image, *frames):
    return [header(type="Preview", job="a" * 32, step=0, image=image), *frames]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"\xc1"],
        [b"\x80"],
        [header(type="Nonsense")],
        [header(type="Ping", token=1)],  # of the other side
        [header(type="Pong", token="one")],
        [header(type="Pong", token=1, more=2)],
        [header(type="Pong")],
        [header(type="Warning", job="../../etc/passwd", text="")],
        [header(type="Pong", token=1), b"one frame too many"],
        [b"\x00" * (MOST_HEADER + 1)],
        [b"\x00"] * 5000,
        [b"\x91" * 100_000],
        preview(["|u1", [1, 1, 3]]),
        preview(["|u1", [1, 1, 3]], b"12"),
        preview(["|u1", [1, 1, 3]], b"1234"),
        preview(["|u1", [2**62, 2**62, 3]], b"123"),
        preview(["|u1", [-1, -1, 3]], b"123"),
        preview(["|u1", [3]], b"123"),
        preview(["|O", [1, 1, 3]], b"x" * 24),
        preview(["<f4", [1, 1, 3]], b"x" * 12),
        preview([["<i4", "a"], [1]], b"1234"),
        preview(None),
    ],
)
def test_what_is_no_message_is_refused(frames):
    with pytest.raises(ProtocolError):
        decode_answer(frames)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_messages_are_refused_or_read_but_never_worse(data):
    frames = [bytearray(frame) for frame in encode(some_splats(2))]
    for _ in range(data.draw(st.integers(1, 4))):
        frame = data.draw(st.sampled_from(frames))
        at = data.draw(st.integers(0, len(frame)))
        frame[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(ProtocolError):
        decode_answer(frames)


@settings(max_examples=300, deadline=None)
@given(frames=st.lists(st.binary(max_size=60), max_size=4))
def test_noise_is_refused(frames):
    with pytest.raises(ProtocolError):
        decode(frames, m.FromClient | m.FromServer)


def test_wrong_shapes_are_refused_where_they_are_made():
    with pytest.raises(ValueError, match="quats"):
        msgspec.structs.replace(some_splats(), quats=np.ones((49, 4), np.float32))
