"""One file of a model from the hub into its cache: goes on where it stopped, and checks the hash.

huggingface_hub 2.4 itself throws a half fetched file away when its process ends, so we keep it ourselves, beside the
place where the hub's cache has the whole one, and ask for the rest over the hub's own connection.  Its other protocol,
xet, cannot go on with a half fetched file.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.file_download import are_symlinks_supported, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers, hf_raise_for_status, http_stream_backoff
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from backend.hub.layout import ModelError
from backend.hub.progress import Tally

PARTIAL = ".incomplete"  # the hub's own suffix, so that its tools count and remove these files
SHA256 = 64  # hexadecimal digits; files outside the hub's large storage have git's SHA-1
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds before a connection is opened again that gave not a single byte


class HubFile(msgspec.Struct, frozen=True):
    """A file of a model at one commit; `digest` is its SHA-256, or git's hash of it, in hexadecimal."""

    name: str
    size: int
    digest: str


class Place:
    """Where the files of a model at one commit belong in the hub's cache."""

    def __init__(self, cache: Path, model: str, commit: str) -> None:
        self.cache, self.model, self.commit = cache, model, commit
        self.folder = cache / str(repo_folder_name(repo_id=model, repo_type="model"))
        self.blobs = self.folder / "blobs"
        self.snapshot = self.folder / "snapshots" / commit

    def whole(self, file: HubFile) -> Path:
        """The finished file: among the blobs, or in the snapshot itself where links cannot be made (Windows)."""
        return self.blobs / file.digest if are_symlinks_supported(self.cache) else self.snapshot / file.name

    def partial(self, file: HubFile) -> Path:
        """The file while it is incomplete."""
        return self.blobs / (file.digest + PARTIAL)

    def is_whole(self, file: HubFile) -> bool:
        """Whether the file is here."""
        return self.whole(file).exists() or (self.snapshot / file.name).exists()

    def have(self, file: HubFile) -> int:
        """How many of its bytes are here."""
        if self.is_whole(file):
            return file.size
        partial = self.partial(file)
        return min(partial.stat().st_size, file.size) if partial.exists() else 0


def fetch(file: HubFile, place: Place, tally: Tally) -> None:
    """Fetch what is missing of a file; a second time from its start if its hash is wrong.

    Raises:
        ModelError: the hash is wrong twice.
        StoppedError: `tally` was asked to stop; what has come is kept.
        OSError, httpx2.HTTPError: the disk or the network refuses; what has come is kept.
    """
    lock = place.cache / ".locks" / place.folder.name / f"{file.digest}.lock"  # the hub's own
    lock.parent.mkdir(parents=True, exist_ok=True)
    partial, whole = place.partial(file), place.whole(file)
    for path in (partial, whole):
        path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if place.is_whole(file):  # another process has just fetched it
            return
        for _ in range(2):
            _fetch_rest(file, place, tally)
            if _digest(partial, file) == file.digest:
                os.replace(partial, whole)
                return
            tally.here(-min(partial.stat().st_size, file.size))
            partial.unlink()
    raise ModelError(
        f'"{place.model}" does not come through unchanged: {file.name} had a wrong hash twice, and was removed. '
        "Try again later, or without the proxy"
    )


def _fetch_rest(file: HubFile, place: Place, tally: Tally) -> None:
    """Bring the partial file to its whole length, over as many connections as that takes."""
    url = hf_hub_url(place.model, file.name, revision=place.commit)
    pauses = iter(PAUSES)
    with place.partial(file).open("ab", buffering=0) as target:
        while (start := target.seek(0, os.SEEK_END)) < file.size:
            problem = _receive(url, start, target, tally)
            if target.seek(0, os.SEEK_END) > start:
                pauses = iter(PAUSES)
            elif (pause := next(pauses, None)) is not None:
                tally.wait(pause)
            else:
                raise problem or httpx2.RemoteProtocolError(f"{file.name} ends too early")


def _receive(url: str, start: int, target: FileIO, tally: Tally) -> httpx2.TransportError | None:
    """Append to a file of `start` bytes what one connection gives; what broke it, or None."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    retries: dict[str, Any] = {"retry_on_exceptions": (), "retry_on_status_codes": (408, 429)}
    seconds = constants.HF_HUB_DOWNLOAD_TIMEOUT
    try:
        with http_stream_backoff("GET", url, headers=headers, timeout=seconds, **retries) as response:
            hf_raise_for_status(response)
            if start and response.status_code != HTTPStatus.PARTIAL_CONTENT:  # it begins again with the first byte
                tally.here(-start)
                target.truncate(0)
            for chunk in response.iter_bytes():
                target.write(chunk)
                tally.came(len(chunk))
    except (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError) as error:
        return error
    return None


def _digest(path: Path, file: HubFile) -> str:
    if len(file.digest) != SHA256:
        return str(git_hash(path.read_bytes()))
    with path.open("rb") as content:
        return str(sha_fileobj(content).hex())
