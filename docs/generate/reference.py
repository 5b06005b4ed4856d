"""The pages of the recipe and of the wire protocol, from their structs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import msgspec

from backend.cameras import CameraRange
from backend.job.job import Job
from backend.job.recipe import Backgrounds, Recipe, Stage
from backend.job.timesteps import Timesteps
from backend.priors.settings import CatalogueSettings
from backend.scenes.settings import FieldSettings, MeshSettings, SplatSettings
from docs.generate.fields import Struct, table
from docs.generate.prose import prose
from shared import codec, messages

RECIPE = """# Every setting of a job

A job is JSON. What it leaves out takes the recipe that is tuned for its objective and prior, and only where that says
nothing the default below. Unknown names, wrong types and values out of range are refused, each in one sentence with the
name of the field.

```json
{"prompt": "a wooden chair", "objective": "sds", "recipe": {"steps": 800, "splats": {"cap_max": 12000}}}
```

On the command line `python -m backend generate --job FILE`; `python -m backend generate --help` has an option for the
fields that are asked for most.

"""
STRUCTS: tuple[Struct, ...] = (
    Job, Recipe, Stage, CameraRange, Backgrounds, Timesteps, SplatSettings, FieldSettings, MeshSettings,
    CatalogueSettings,
)  # fmt: skip
PARTS: tuple[Struct, ...] = (messages.SceneMesh, messages.Objective, messages.Option, messages.Prior)


def pages() -> Iterator[tuple[str, str]]:
    """Paths below the site's root, and what is there."""
    yield "reference/recipe.md", _recipe()
    yield "reference/messages.md", _messages()


def _recipe() -> str:
    links = {struct: f"#{struct.__name__.lower()}" for struct in STRUCTS}
    parts = [_section(struct, links) for struct in STRUCTS]
    return RECIPE + "\n".join(parts)


def _section(struct: Struct, links: dict[Struct, str], level: str = "##") -> str:
    said = "\n".join(_refusals(struct))
    return f"{level} {struct.__name__}\n\n{prose(struct)}\n{table(struct, links)}\n{said}\n"


def _refusals(struct: Struct) -> Iterator[str]:
    """What a struct says of pairs that are out of range, which it checks itself."""
    for name in struct.__struct_fields__:
        if struct is CameraRange and name != "overhead_share":
            try:
                msgspec.convert({name: (float("inf"), float("inf"))}, struct)
            except msgspec.ValidationError as error:
                yield f"* `{name}` {re.sub(', not .*', '', str(error)).removeprefix(name)}."


def _messages() -> str:
    links = {struct: f"#{struct.__name__.lower()}" for struct in (*_client(), *_server(), *PARTS)}
    newest = ", ".join(kind.__name__ for kind in messages.NEWEST_WINS)
    parts = [
        f"# The wire protocol\n\nVersion {messages.PROTOCOL_VERSION}, port {messages.DEFAULT_PORT}. ZeroMQ: the server"
        " has a ROUTER socket, each client a DEALER.\n",
        prose(messages),
        "## How a message travels\n",
        prose(codec),
        f"Limits: {codec.MOST_FRAMES:,} frames, a header of {codec.MOST_HEADER >> 20} MiB, {codec.MOST_BYTES >> 20} MiB"
        f" an array, {codec.MOST_IN_ALL >> 20} MiB in all; arrays of {', '.join(f'`{d}`' for d in codec.DTYPES)}.\n",
        f"Of {newest} the newest of a job is enough: a slow client never sees the ones between.\n",
        "## From the client\n",
        *(_section(kind, links, "###") for kind in _client()),
        "## From the server\n",
        *(_section(kind, links, "###") for kind in _server()),
        "## Parts of messages\n",
        *(_section(kind, links, "###") for kind in PARTS),
    ]
    return "\n".join(parts)


def _client() -> tuple[Struct, ...]:
    return get_args(messages.FromClient)


def _server() -> tuple[Struct, ...]:
    return get_args(messages.FromServer)
