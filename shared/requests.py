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
    """Asks whether the server is there; it answers with Pong at once, whatever else it does."""

    token: int


class Order(Message, frozen=True, kw_only=True):
    """A request that changes something.  Sent again with the same `id`, it is not carried out twice."""

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
    """Make a new job.  `fields` are those of a job.json (prompt, objective, recipe ...), and the server checks them.

    With `like` the fields and what it starts from are copied from that job, and `fields` has only what differs.
    With `start_from` it starts from the splats of that job, as they are now.
    """

    job: JobId
    fields: dict[str, Any]
    mesh: SceneMesh | None = None
    like: JobId | None = None
    start_from: JobId | None = None


class Cancel(Order, frozen=True, kw_only=True):
    """Stop a job after the present step, or at once if sent twice; it keeps what it has and can be continued."""

    job: JobId


class Continue(Order, frozen=True, kw_only=True):
    """Continue a job that has ended for so many steps, or refine its mesh anew for so many, or both."""

    job: JobId
    steps: Annotated[int, Meta(ge=0, le=100_000)] = 0
    refine_steps: Annotated[int, Meta(ge=0, le=100_000)] | None = None

    def __post_init__(self) -> None:
        if not self.steps and self.refine_steps is None:
            raise ValueError("it neither continues nor refines")


class Watch(Message, frozen=True, kw_only=True):
    """Send pictures and splats of these jobs and no others from now on, the last ones at once."""

    jobs: tuple[JobId, ...]


class Fetch(Message, frozen=True, kw_only=True):
    """Asks for the results of a job: Splats with `final`, then Mesh if there is one."""

    job: JobId


class FetchDetail(Message, frozen=True, kw_only=True):
    """Asks for the traceback of a job, which the list leaves out; the answer is Detail."""

    job: JobId


class Forget(Order, frozen=True, kw_only=True):
    """Delete a job that has ended, with its folder; does nothing if it is deleted already."""

    job: JobId


class FreeMemory(Order, frozen=True, kw_only=True):
    """Give back what the backend's models take of the graphics card, for Cycles say; refused while a job runs."""


class ListJobs(Message, frozen=True, kw_only=True):
    """Asks for all jobs; the answer is Jobs."""


FromClient = Hello | Ping | Generate | Cancel | Continue | Watch | Fetch | FetchDetail | Forget | FreeMemory | ListJobs
