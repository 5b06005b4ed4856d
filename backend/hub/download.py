"""A model from the hub into its cache: what is needed of it, no more, in a thread of its own that can be stopped."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download, model_info, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import tqdm

from backend.hub.fetch import HubFile, Place, fetch
from backend.hub.layout import (
    INDEX,
    UNUSED_PARTS,
    Kinds,
    ModelError,
    missing_files,
    pipeline_of,
    wanted_files,
    without_weights,
)
from backend.hub.progress import StoppedError, Tally
from backend.hub.refusals import sentences
from shared.models import DownloadProgress, size_text

EVERY = 0.25  # seconds between two looks at the thread
ANSWERS_WITHIN = 10.0  # seconds for the hub's answer to what a model consists of
SPARE = 50_000_000  # bytes that stay free on the disk: links, locks, and what other programs write meanwhile


def check(model: str, kinds: Kinds = UNUSED_PARTS) -> None:
    """ModelError where a hub model cannot be had or is of another kind; nothing is downloaded but its index."""
    with sentences(model):
        try:
            index = hf_hub_download(model, INDEX, local_files_only=True)
        except (LocalEntryNotFoundError, EntryNotFoundError):
            model_info(model, timeout=ANSWERS_WITHIN)  # fails at once where the download would try for half a minute
            index = hf_hub_download(model, INDEX, tqdm_class=_NoBar)
        pipeline_of(model, Path(index), kinds)


def cached(model: str, kinds: Kinds = UNUSED_PARTS) -> Path | None:
    """The folder of a hub model that is whole in the cache; None if it is not, or only in part.

    Raises:
        ModelError: not a hub id, or a pipeline of another kind.
    """
    with sentences(model):
        try:
            folder = Path(hf_hub_download(model, INDEX, local_files_only=True)).parent
        except (LocalEntryNotFoundError, EntryNotFoundError):
            return None
        return None if missing_files(folder, pipeline_of(model, folder / INDEX, kinds)[1]) else folder


def download(model: str, kinds: Kinds = UNUSED_PARTS) -> Generator[DownloadProgress, None, Path]:
    """Fetch what is missing of a model; yields its progress four times a second, returns its folder.

    Closing the generator stops the download at its next bytes, and keeps what has come.

    Raises:
        ModelError: there is no such model, or it cannot be had: one sentence.
        OSError: the disk refuses, by the system's own error.
    """
    work = _Work(model, kinds)
    thread = threading.Thread(target=work.run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(EVERY)
            yield work.tally.progress()
    finally:
        work.tally.stop()
    if work.error is not None:
        with sentences(model):
            raise work.error
    assert work.folder is not None
    return work.folder


@dataclass
class _Work:
    """What the thread does, and how it ended."""

    model: str
    kinds: Kinds
    tally: Tally = field(default_factory=Tally)
    folder: Path | None = None
    error: Exception | None = None

    def run(self) -> None:
        try:
            self.folder = _download(self.model, self.kinds, self.tally)
        except StoppedError:
            return
        except Exception as error:  # raised again by the thread that waits
            self.error = error


def _download(model: str, kinds: Kinds, tally: Tally) -> Path:
    info = model_info(model, files_metadata=True, timeout=ANSWERS_WITHIN)
    assert info.sha is not None
    names = [sibling.rfilename for sibling in info.siblings or ()]
    # The index first: a model that cannot be used is refused before gigabytes are downloaded.
    index = Path(hf_hub_download(model, INDEX, revision=info.sha, tqdm_class=_NoBar))
    parts = pipeline_of(model, index, kinds)[1]
    wanted = wanted_files(parts, names)
    if bare := without_weights(parts, wanted):
        raise ModelError(
            f'"{model}" has no .safetensors weights for {", ".join(bare)}, only others, which can run any code: '
            "choose another model"
        )
    files, place = _hub_files(info, wanted), Place(Path(constants.HF_HUB_CACHE), model, info.sha)
    tally.total = sum(file.size for file in files)
    tally.here(sum(place.have(file) for file in files))
    _require_space(model, place, files)
    for file in files:
        fetch(file, place, tally)
    tally.check()
    # Links the fetched files, writes down which commit is the newest, and fetches those without a known hash.
    return Path(snapshot_download(model, allow_patterns=wanted, tqdm_class=_NoBar))


def _hub_files(info: ModelInfo, wanted: Sequence[str]) -> list[HubFile]:
    """The wanted files whose size and hash the hub says."""
    found = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    files = []
    for sibling in map(found.__getitem__, wanted):
        digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        if digest and sibling.size is not None:
            files.append(HubFile(sibling.rfilename, sibling.size, digest))
    return files


def _require_space(model: str, place: Place, files: Sequence[HubFile]) -> None:
    """ModelError where the disk of the cache has too little space for what is missing."""
    needed = sum(file.size - place.have(file) for file in files)
    folder = next(folder for folder in (place.cache, *place.cache.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if needed and free < needed + SPARE:
        raise ModelError(
            f'"{model}" needs {size_text(needed)} more in {place.cache}, whose disk has {size_text(free)} free: '
            f"make room for {size_text(needed + SPARE - free)}, or set HF_HOME to a folder on another disk"
        )


class _NoBar(tqdm):  # type: ignore[misc]
    """The hub's progress bar, never drawn: ours shows the bytes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})
