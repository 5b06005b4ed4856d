"""The folder of a model in diffusers' format: one that is named, one in the hub's cache, or one that is downloaded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.hub.bar import shown
from backend.hub.download import cached, download
from backend.hub.layout import INDEX, ModelError, pipeline_of
from backend.priors.base import PriorError
from backend.priors.checkpoint_header import is_file_name
from shared.models import DownloadProgress


def find_model(model: str | Path) -> tuple[Path, str]:
    """The folder of a model, downloaded if need be, and the name of its pipeline class.

    Raises:
        PriorError: no such model, or one of another kind.
    """
    path = Path(model).expanduser()
    if path.is_dir() and not (path / INDEX).is_file():
        raise PriorError(f'prior "{model}" is not a diffusers folder: pass the folder that has {INDEX}')
    if not path.is_dir() and not is_hub_id(model):
        raise PriorError(f'prior "{model}" does not exist: pass the folder of a diffusers model, or its hub id')
    with _as_prior():
        folder = path if path.is_dir() else cached(str(model)) or shown(download(str(model)), str(model))
        return folder, pipeline_of(model, folder / INDEX)[0]


def fetch_model(model: str) -> Generator[DownloadProgress, None, None]:
    """Download a model that is on the hub and not whole here; nothing to do for any other name.

    Closing the generator stops the download, and keeps what has come.

    Raises:
        PriorError: it cannot be had.
    """
    with _as_prior():
        if is_hub_id(model) and cached(model) is None:
            yield from download(model)


def is_hub_id(model: str | Path) -> bool:
    """Whether a prior's name is that of a model on the hub, and of nothing on this machine."""
    path = Path(model).expanduser()
    named_as_path = isinstance(model, Path) or path.is_absolute() or model.startswith((".", "~"))
    return not (named_as_path or is_file_name(model) or path.exists())


@contextmanager
def _as_prior() -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise PriorError(f"prior {error}") from error
