"""Every message between the add-on and the backend: the vocabulary, and nothing of how it travels (see codec.py).

A job has an id that the client draws (`new_job_id`), and so has every order that changes something: it is sent again
until the server says that it has taken it, and carried out once.
Small news of every job (`JobState`) goes to every client; pictures and splats of a job go to those that watch it.
World: Blender's, Z up, metres.  The object of a job lies in the unit ball; `to_scene` takes it to where it stands.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

PROTOCOL_VERSION = 3
DEFAULT_PORT = 47800

JobId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
OrderId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
State = Literal["queued", "running", "finishing", "done", "stopped", "failed"]
ENDED: tuple[State, ...] = ("done", "stopped", "failed")
Matrix = tuple[tuple[float, float, float, float], ...]  # 4x4, row by row
Floats = NDArray[np.float32]


def new_job_id() -> str:
    """An id that no other job has."""
    return secrets.token_hex(16)


def _check(name: str, array: NDArray[Any] | None, *shape: int | None) -> None:
    """ValueError unless the array has these sides, where None is any."""
    if array is not None and (
        array.ndim != len(shape) or any(want not in (None, side) for want, side in zip(shape, array.shape, strict=True))
    ):
        raise ValueError(f"`{name}` has the shape {array.shape}, not {shape}")


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag=True, eq=False):
    """What all messages have in common: their type's name travels with them."""


# From the client.


class Hello(Message, frozen=True, kw_only=True):
    """The first message of a connection; nothing else is answered before it."""

    protocol: int
    version: str  # of the add-on, to name in an error


class Ping(Message, frozen=True, kw_only=True):
    """Are you there?  Answered by Pong at once, whatever else goes on."""

    token: int


class Order(Message, frozen=True, kw_only=True):
    """What changes something.  Sent again, after a lost connection, with the same `id`, it is not carried out again."""

    id: OrderId = msgspec.field(default_factory=new_job_id)


class SceneMesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, eq=False):
    """The selected objects as one triangle mesh, in world space."""

    vertices: Floats  # (V,3), metres
    faces: NDArray[np.int32]  # (F,3)
    colours: NDArray[np.uint8] | None = None  # (V,4), sRGB

    def __post_init__(self) -> None:
        _check("vertices", self.vertices, None, 3)
        _check("faces", self.faces, None, 3)
        _check("colours", self.colours, len(self.vertices), 4)


class Generate(Order, frozen=True, kw_only=True):
    """A new job.  `fields` are those of a job.json (prompt, objective, seed, quality, recipe ...) and checked there.

    With `like` the fields and the mesh are those of that job, and `fields` says what is different.
    """

    job: JobId
    fields: dict[str, Any]
    mesh: SceneMesh | None = None
    like: JobId | None = None


class Cancel(Order, frozen=True, kw_only=True):
    """Stop a job after the step under way, at the second order at once; what it has is kept and can be continued."""

    job: JobId


class Continue(Order, frozen=True, kw_only=True):
    """So many more steps for a job that has ended."""

    job: JobId
    steps: Annotated[int, Meta(ge=1, le=100_000)]


class Watch(Message, frozen=True, kw_only=True):
    """From now on send pictures and splats of these jobs, the last ones at once, and of no others."""

    jobs: tuple[JobId, ...]


class Fetch(Message, frozen=True, kw_only=True):
    """The results of a job: Splats with `final`, then Mesh where there is one."""

    job: JobId


class Forget(Order, frozen=True, kw_only=True):
    """Delete a job that has ended, with its folder; of one that is gone already nothing is left to do."""

    job: JobId


class ListJobs(Message, frozen=True, kw_only=True):
    """Answered by Jobs."""


# From the server.


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One setting of an objective, enough to draw it in a panel."""

    name: str
    kind: Literal["int", "float", "bool", "choice"]
    default: Any
    description: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


class Objective(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule of score distillation; the defaults are those of its recipe for the embedded prior.

    `options` are the rule's own, a job's recipe.options; `catalogue` those of a prior that is a kit, recipe.catalogue.
    """

    name: str
    title: str
    description: str
    options: tuple[Option, ...]
    catalogue: tuple[Option, ...] = ()


class Prior(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One image model that is on offer: `name` is a job's field, `title` what a menu shows, no two the same."""

    name: str
    title: str
    description: str = ""
    kit: bool = False  # a kit of objects, of which recipe.catalogue tells how it is used


class Priors(Message, frozen=True, kw_only=True):
    """What is on offer now: after every Welcome, and to every client when a kit has come, changed or gone.

    `notes` tell of the kits that cannot be used, a sentence each.
    """

    priors: tuple[Prior, ...]
    notes: tuple[str, ...] = ()


class Welcome(Message, frozen=True, kw_only=True):
    """The answer to Hello; Priors and Jobs follow unasked."""

    protocol: int
    version: str
    objectives: tuple[Objective, ...]
    qualities: tuple[str, ...]
    devices: tuple[str, ...]
    kits: str = ""  # the folder on the server's machine whose kits it offers


class Trouble(Message, frozen=True, kw_only=True):
    """What keeps the backend from making anything, "" where nothing does: at each change, and after a Welcome if so."""

    text: str = ""
    detail: str = ""


class SayHello(Message, frozen=True, kw_only=True):
    """The server does not know this client, or no longer; it did nothing of what was asked."""


class Taken(Message, frozen=True, kw_only=True):
    """The order with this id has been carried out, now or when it came before."""

    order: OrderId


class Pong(Message, frozen=True, kw_only=True):
    """The answer to Ping."""

    token: int


class Error(Message, frozen=True, kw_only=True):
    """A request that was refused, and changed nothing.  `text` is for the artist, `detail` for the log."""

    text: str
    detail: str = ""
    job: str | None = None
    order: str | None = None


class JobState(Message, frozen=True, kw_only=True):
    """A job as the list shows it: sent to every client when its state changes."""

    job: JobId
    state: State
    prompt: str
    objective: str
    seed: int
    created: float  # seconds since 1970
    step: int
    of: int
    text: str = ""  # the reason of a failure
    detail: str = ""  # its traceback
    warnings: tuple[str, ...] = ()  # all of the last run, in their order
    credits: tuple[str, ...] = ()  # whose objects the result is made of, a line each, the largest share first
    to_scene: Matrix
    has_splats: bool = False
    has_mesh: bool = False
    thumbnail: NDArray[np.uint8] | None = None  # (H,W,3), sRGB

    def __post_init__(self) -> None:
        _check("thumbnail", self.thumbnail, None, None, 3)


class Jobs(Message, frozen=True, kw_only=True):
    """All jobs, the newest first, in as many messages as they need: `page` counts from 0, the `last` ends the list."""

    jobs: tuple[JobState, ...]
    page: int = 0
    last: bool = True


class Progress(Message, frozen=True, kw_only=True):
    """After a step, to every client."""

    job: JobId
    step: int
    of: int
    seconds_left: float
    metrics: dict[str, float]


class Preview(Message, frozen=True, kw_only=True):
    """A picture of the object now."""

    job: JobId
    step: int
    image: NDArray[np.uint8]  # (H,W,3), sRGB

    def __post_init__(self) -> None:
        _check("image", self.image, None, None, 3)


class Splats(Message, frozen=True, kw_only=True):
    """N splats in the unit ball, now (`final` false) or as a result."""

    job: JobId
    step: int
    final: bool
    to_scene: Matrix
    means: Floats  # (N,3)
    quats: Floats  # (N,4), wxyz, unit
    scales: Floats  # (N,3), standard deviations
    opacities: Floats  # (N,) in [0,1]
    sh: Floats  # (N,K,3), of sRGB

    def __post_init__(self) -> None:
        count = len(self.means)
        _check("means", self.means, None, 3)
        _check("quats", self.quats, count, 4)
        _check("scales", self.scales, count, 3)
        _check("opacities", self.opacities, count)
        _check("sh", self.sh, count, None, 3)


class Mesh(Message, frozen=True, kw_only=True):
    """The textured mesh of a job that is done."""

    job: JobId
    to_scene: Matrix
    glb: NDArray[np.uint8]  # the file

    def __post_init__(self) -> None:
        _check("glb", self.glb, None)


class Warning(Message, frozen=True, kw_only=True):
    """Something the artist should know; the job goes on."""

    job: JobId
    text: str


FromClient = Hello | Ping | Generate | Cancel | Continue | Watch | Fetch | Forget | ListJobs
FromServer = (
    Welcome | Priors | Trouble | SayHello | Taken | Pong | Error
    | JobState | Jobs | Progress | Preview | Splats | Mesh | Warning
)  # fmt: skip
# Of these the newest of a job is enough; a slow client never sees the ones between.
NEWEST_WINS = (Progress, Preview, Splats)
