"""`serve`: starts the server, with its address, keys, folder and signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import zmq
from filelock import FileLock, Timeout

from backend.errors import UserError
from backend.files import data_folder
from backend.service.available_priors import AvailablePriors
from backend.service.capabilities import welcome
from backend.service.executors import Executor
from backend.service.executors.cluster import ClusterExecutor
from backend.service.executors.local import LocalExecutor
from backend.service.executors.several import SeveralWorkers
from backend.service.jobs import Jobs
from backend.service.keys import curve
from backend.service.places import Place, device_names
from backend.service.server import Server, router
from shared import VERSION
from shared.address import Address, AddressError, parse_address


class ServeError(UserError):
    """A server that cannot start: one sentence that says what to do."""


def serve(
    listen: str,
    folder: Path | None,
    priors: tuple[str, ...] = (),
    kits: Path | None = None,
    places: Sequence[Place] = (Place(),),
    cluster: Address | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; the exit code.  `folder` is that of the jobs, None for the user's default.

    `priors` and every kit in the folder `kits` (None for the default) are offered besides the embedded prior.
    In each of the `places` one job runs at a time, or on the nodes of a `cluster`.

    Raises ServeError where the address cannot be used or another server uses the folder.
    """
    try:
        address = parse_address(listen)
    except AddressError as error:
        raise ServeError(f"listen: {error}") from error
    root = (folder or data_folder() / "jobs").absolute()
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_locked(root))
        socket = router(stack.enter_context(zmq.Context()))
        key = "" if address.loopback else stack.enter_context(curve(socket, root / "keys"))
        stack.callback(socket.close)
        _bind(socket, address)
        available = AvailablePriors((kits or data_folder() / "kits").absolute(), priors)
        offers = welcome(str(available.folder), ("auto",) if cluster else device_names(places))
        executor = _executor(root, places, cluster)
        server = Server(socket, Jobs(root, executor.detached), executor, offers, available)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        _announce(socket.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("tcp://"), root, key)
        server.run()
    return 0


def _executor(root: Path, places: Sequence[Place], cluster: Address | None) -> Executor:
    if cluster:
        return ClusterExecutor(str(cluster), root / "gateway.log")
    log = root / "worker.log"
    return LocalExecutor(log) if list(places) == [Place()] else SeveralWorkers(log, places)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Lock the folder; the system releases it when this process ends, in whatever way."""
    try:
        with FileLock(root / "serve.lock", timeout=0):
            yield
    except Timeout as error:
        raise ServeError(f"jobs: another server uses {root}; stop it, or name another folder with --jobs.") from error


def _bind(socket: zmq.Socket[bytes], address: Address) -> None:
    socket.ipv6 = ":" in address.host
    try:
        socket.bind(address.endpoint)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise ServeError(
                f"listen: {address} is in use, perhaps by another server; choose another port with --port."
            ) from error
        raise ServeError(f"listen: {address} cannot be used ({error.strerror}).") from error


def _announce(address: str, root: Path, key: str) -> None:
    print(f"Splatsmith {VERSION} listens on {address}; its jobs are in {root}.", flush=True)
    if key:
        print(f"Key to paste into the add-on's preferences: {key}", flush=True)
