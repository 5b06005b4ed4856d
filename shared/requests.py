"""What a client asks of the backend."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .message_base import Floats, JobId, Message, OrderId, check_shape, new_job_id


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
        check_shape("vertices", self.vertices, None, 3)
        check_shape("faces", self.faces, None, 3)
        check_shape("colours", self.colours, len(self.vertices), 4)


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


FromClient = Hello | Ping | Generate | Cancel | Continue | Watch | Fetch | Forget | ListJobs
