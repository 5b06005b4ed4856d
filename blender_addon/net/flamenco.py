"""Flamenco's manager, as far as a job is submitted to it: its REST API, version 3.  No bpy.

The API is that of Flamenco's `flamenco-openapi.yaml`.  Only the standard library and msgspec are used: the client in
Flamenco's add-on is generated anew with each of its versions, the API stays.
"""

from __future__ import annotations

import http.client
import platform
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec

JOB_TYPE = "splatsmith"  # the name of tools/flamenco/splatsmith.js
SECONDS = 5.0  # for each answer; Blender stands still meanwhile, as with Flamenco's own button
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the manager is on the studio's own network

T = TypeVar("T")


class FlamencoError(Exception):
    """A job that cannot be submitted: one sentence that says what to do."""


class Version(msgspec.Struct):
    """What the manager is."""

    name: str
    version: str


class Setting(msgspec.Struct):
    """One setting of a job type."""

    key: str


class JobType(msgspec.Struct):
    """A job type; `etag` changes with its script."""

    name: str
    etag: str
    settings: list[Setting]


class Storage(msgspec.Struct):
    """The shared storage as this computer sees it."""

    location: str


class Refusal(msgspec.Struct):
    """Why the manager refuses a request."""

    message: str


class Submitted(msgspec.Struct):
    """A job that the manager has taken."""

    id: str


@dataclass(frozen=True)
class FarmJob:
    """What is submitted: the folder on the shared storage with the job.json, and which seeds."""

    name: str
    folder: Path
    first_seed: int
    variations: int
    priority: int = 50
    worker_tag: str = ""

    @property
    def settings(self) -> dict[str, str | int]:
        """The settings of our job type."""
        return {
            "job_file": (self.folder / "job.json").as_posix(),  # slashes, as Flamenco's own paths
            "out": self.folder.as_posix(),
            "first_seed": self.first_seed,
            "variations": self.variations,
        }


SETTINGS = FarmJob("", Path(), 0, 1).settings.keys()


class Manager:
    """The manager at an address such as http://farm:8080/; every call asks it anew."""

    def __init__(self, url: str) -> None:
        self._url = url.strip().rstrip("/")

    @property
    def loopback(self) -> bool:
        """Whether it is on this computer."""
        try:
            host = urlsplit(self._url).hostname or ""
        except ValueError:
            return True  # no address: asking it says so
        return host in ("", "localhost", "::1") or host.startswith("127.")

    def job_type(self) -> JobType:
        """Our job type, which the manager has to have; FlamencoError where it does not answer, or does not have it."""
        self._version()
        try:
            found = self._ask(f"jobs/type/{JOB_TYPE}", JobType)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise self._refused(error) from error
            raise FlamencoError(
                f"Flamenco's manager has no job type {JOB_TYPE}: copy tools/flamenco/{JOB_TYPE}.js of Splatsmith into "
                "the folder scripts beside the manager, and restart it."
            ) from error
        if {setting.key for setting in found.settings} != set(SETTINGS):
            raise FlamencoError(
                f"The job type {JOB_TYPE} on Flamenco's manager is of another version of Splatsmith: copy "
                f"tools/flamenco/{JOB_TYPE}.js again, and restart the manager."
            )
        return found

    def storage(self) -> Path:
        """The shared storage, as the manager says that computers like this one see it.  FlamencoError."""
        try:
            answer = self._ask(f"configuration/shared-storage/users/{_platform()}", Storage)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error
        return Path(answer.location)

    def submit(self, job: FarmJob, kind: JobType) -> str:
        """Submit the job; its id.  FlamencoError where the manager refuses it."""
        body = {
            "name": job.name,
            "type": kind.name,
            "type_etag": kind.etag,
            "priority": job.priority,
            "submitter_platform": _platform(),  # by which Flamenco knows its two-way variables in our paths
            "settings": job.settings,
            "metadata": {},
        }
        if job.worker_tag:
            body["worker_tag"] = job.worker_tag
        try:
            return self._ask("jobs", Submitted, msgspec.json.encode(body)).id
        except urllib.error.HTTPError as error:
            raise self._refused(error) from error

    def _version(self) -> None:
        """FlamencoError unless a manager of Flamenco 3 answers."""
        try:
            found = self._ask("version", Version)
        except urllib.error.HTTPError as error:
            raise self._is_another(f"it answers {error.code}") from error
        if found.name != "Flamenco":
            raise self._is_another(f"it calls itself {found.name}")

    def _ask(self, path: str, kind: type[T], body: bytes | None = None) -> T:
        """The answer to a GET, or with a body to a POST.  HTTPError where the manager refuses; else FlamencoError."""
        url = f"{self._url}/api/v3/{quote(path)}"
        try:
            if not url.startswith(("http://", "https://")):
                raise ValueError("no address of a web server")
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with NO_PROXY.open(request, timeout=SECONDS) as answer:
                return msgspec.json.decode(answer.read(), type=kind)
        except urllib.error.HTTPError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._is_another("its answer cannot be understood") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FlamencoError(
                f"Flamenco's manager does not answer at {self._url or 'an empty address'}: start it, or correct the "
                "address in the preferences of Flamenco's add-on."
            ) from error

    def _is_another(self, why: str) -> FlamencoError:
        return FlamencoError(
            f"At {self._url} another program answers, not Flamenco's manager ({why}): correct the address in the "
            "preferences of Flamenco's add-on."
        )

    def _refused(self, error: urllib.error.HTTPError) -> FlamencoError:
        try:
            why = msgspec.json.decode(error.read(), type=Refusal).message
        except (msgspec.DecodeError, UnicodeDecodeError, OSError, http.client.HTTPException):
            why = str(error.reason)
        return FlamencoError(f"Flamenco's manager refuses the job ({error.code}, {why.rstrip('.')}).")


def _platform() -> str:
    """This computer's system as Go calls it, which Flamenco goes by."""
    return platform.system().lower()
