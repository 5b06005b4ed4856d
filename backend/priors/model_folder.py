"""The folder of a model in diffusers' format: one that is named, one in the hub's cache, or one that is downloaded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.hub.bar import shown
from backend.hub.download import cached, check, download
from backend.hub.layout import INDEX, UNUSED_PARTS, Kinds, ModelError, pipeline_of
from backend.priors.base import PriorError
from backend.priors.checkpoint_header import is_file_name
from backend.priors.loading import weight_files
from shared.models import DownloadProgress


def find_model(model: str | Path, kinds: Kinds = UNUSED_PARTS) -> tuple[Path, str]:
    """The folder of a model of one of these kinds, downloaded if need be, and the name of its pipeline class.

    Raises:
        PriorError: no such model, or one of another kind.
    """
    folder, name = _named_folder(model), str(model)
    with _as_prior():
        folder = folder or cached(name, kinds) or shown(download(name, kinds), name)
        return folder, pipeline_of(model, folder / INDEX, kinds)[0]


def check_model(model: str | Path, kinds: Kinds = UNUSED_PARTS) -> None:
    """Refuse what `find_model` would refuse, and files that are cut off, without loading or downloading a model.

    Raises:
        PriorError: no such model, one of another kind, or one whose files are missing or damaged.
    """
    folder = _named_folder(model)
    with _as_prior():
        if folder is None:
            check(str(model), kinds)
            return
        unused = kinds[pipeline_of(model, folder / INDEX, kinds)[0]]
    for part in sorted(folder.iterdir()):
        if (part / "config.json").is_file() and part.name not in unused:
            weight_files(part)


def fetch_model(model: str, kinds: Kinds = UNUSED_PARTS) -> Generator[DownloadProgress, None, None]:
    """Download a model that is on the hub and not whole here; nothing to do for any other name.

    Closing the generator stops the download, and keeps what has come.

    Raises:
        PriorError: it cannot be had.
    """
    with _as_prior():
        if is_hub_id(model) and cached(model, kinds) is None:
            yield from download(model, kinds)


def is_hub_id(model: str | Path) -> bool:
    """Whether a name is that of a model on the hub, and of nothing on this machine."""
    path = Path(model).expanduser()
    named_as_path = isinstance(model, Path) or path.is_absolute() or model.startswith((".", "~"))
    return not (named_as_path or is_file_name(model) or path.exists())


def _named_folder(model: str | Path) -> Path | None:
    """The folder that is meant; None where it is a hub id.  PriorError for what is neither."""
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / INDEX).is_file():
            raise PriorError(f'prior "{model}" is not a diffusers folder: pass the folder that has {INDEX}')
        return path
    if not is_hub_id(model):
        raise PriorError(f'prior "{model}" does not exist: pass the folder of a diffusers model, or its hub id')
    return None


@contextmanager
def _as_prior() -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise PriorError(f"prior {error}") from error
