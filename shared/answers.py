"""What the backend tells its clients."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .message_base import Floats, JobId, Matrix, Message, OrderId, State, check_shape


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One setting of an objective, enough to draw it in a panel."""

    name: str
    kind: Literal["int", "float", "bool", "choice", "text"]
    default: Any
    description: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


class Objective(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule of score distillation; the defaults are those of its recipe for the embedded prior.

    `options` are the rule's own (recipe.options of a job); `catalogue` are those of a prior that is a kit
    (recipe.catalogue).  `particles`: whether several scenes in one run mean something to it.
    """

    name: str
    title: str
    description: str
    options: tuple[Option, ...]
    catalogue: tuple[Option, ...] = ()
    particles: bool = False


class Prior(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One image model on offer: `name` is for the job's field, `title` for menus; no two titles are the same."""

    name: str
    title: str
    description: str = ""
    kit: bool = False  # a kit of objects; recipe.catalogue has its settings


class Priors(Message, frozen=True, kw_only=True):
    """The priors on offer: sent after every Welcome, and to every client when a kit was added, changed or removed.

    `notes` has a sentence on each kit that cannot be used.
    """

    priors: tuple[Prior, ...]
    notes: tuple[str, ...] = ()


class Welcome(Message, frozen=True, kw_only=True):
    """The answer to Hello; Priors and Jobs follow by themselves."""

    protocol: int
    version: str
    objectives: tuple[Objective, ...]
    qualities: tuple[str, ...]
    devices: tuple[str, ...]
    kits: str = ""  # the folder on the server's machine whose kits it offers


class Trouble(Message, frozen=True, kw_only=True):
    """Why the backend cannot make anything, or "": sent at each change, and after a Welcome if there is trouble."""

    text: str = ""
    detail: str = ""


class SayHello(Message, frozen=True, kw_only=True):
    """The server does not know this client (any more), and has done nothing that it asked for."""


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
    """A job as the list shows it: sent to every client when its state changes.

    A job's particles, but for the first, are listed beside it once it has ended, each as a job.
    A list leaves `detail` out, of which `has_detail` says whether there is one: FetchDetail asks for it.
    """

    job: JobId
    state: State
    prompt: str
    objective: str
    seed: int
    part_of: JobId | None = None  # the job whose particle this is
    particle: int = 1  # its number
    created: float  # seconds since 1970
    step: int
    of: int
    text: str = ""  # the reason of a failure
    detail: str = ""  # its traceback
    has_detail: bool = False
    warnings: tuple[str, ...] = ()  # all of the last run, in their order
    credits: tuple[str, ...] = ()  # the authors of the objects in the result, one a line, the largest share first
    to_scene: Matrix
    has_splats: bool = False
    has_mesh: bool = False
    thumbnail: NDArray[np.uint8] | None = None  # (H,W,3), sRGB

    def __post_init__(self) -> None:
        check_shape("thumbnail", self.thumbnail, None, None, 3)


class Detail(Message, frozen=True, kw_only=True):
    """The traceback of a job that has failed, or ""; the answer to FetchDetail."""

    job: JobId
    text: str


class Jobs(Message, frozen=True, kw_only=True):
    """All jobs, the newest first, in one or more messages: `page` counts from 0, and `last` marks the last one."""

    jobs: tuple[JobState, ...]
    page: int = 0
    last: bool = True


class Removed(Message, frozen=True, kw_only=True):
    """A job is listed no more, and with it its particles; sent to every client."""

    job: JobId


class Progress(Message, frozen=True, kw_only=True):
    """How far a job is, after each step; sent to every client.

    A job that starts from a draft is in the stage "draft" first, with steps of its own; its step stays 0 until then.
    One whose mesh is refined is in the stage "mesh" at last, while it is finishing.
    """

    job: JobId
    stage: Literal["draft", "run", "mesh"] = "run"
    step: int
    of: int
    seconds_left: float
    metrics: dict[str, float]


class Preview(Message, frozen=True, kw_only=True):
    """A picture of the object as it is now."""

    job: JobId
    step: int
    image: NDArray[np.uint8]  # (H,W,3), sRGB

    def __post_init__(self) -> None:
        check_shape("image", self.image, None, None, 3)


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
        check_shape("means", self.means, None, 3)
        check_shape("quats", self.quats, count, 4)
        check_shape("scales", self.scales, count, 3)
        check_shape("opacities", self.opacities, count)
        check_shape("sh", self.sh, count, None, 3)


class Mesh(Message, frozen=True, kw_only=True):
    """The textured mesh of a job that is done."""

    job: JobId
    to_scene: Matrix
    glb: NDArray[np.uint8]  # the file

    def __post_init__(self) -> None:
        check_shape("glb", self.glb, None)


class Warning(Message, frozen=True, kw_only=True):
    """Something the artist should know; the job goes on."""

    job: JobId
    text: str


FromServer = (
    Welcome | Priors | Trouble | SayHello | Taken | Pong | Error
    | JobState | Jobs | Removed | Detail | Progress | Preview | Splats | Mesh | Warning
)  # fmt: skip
# Of these only the newest of a job matters; a slow client never sees the ones in between.
NEWEST_WINS = (Progress, Preview, Splats)
