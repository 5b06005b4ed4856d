"""The nodes of a Ray cluster: which of them have our program, and for how many jobs there is room.  For the gateway."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from backend.service.versions import code_version

NAMESPACE = "splatsmith"
# Tries to enter without a token.
STRANGER = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).internal_kv_get(b"session_name", b"session", timeout=10)
    print("entered")
except AuthenticationError:
    print("refused")
"""


class ClusterError(Exception):
    """A cluster that cannot be used: one sentence."""


def refuse_open_cluster(address: str) -> None:
    """ClusterError where the cluster lets anybody in, who may then run anything there, or does not answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH_")}
    tried = subprocess.run(
        [sys.executable, "-c", STRANGER, address],
        capture_output=True,
        text=True,
        env=environment | {"RAY_AUTH_MODE": "disabled"},
        check=False,
    )
    if "entered" in tried.stdout:
        raise ClusterError(
            f"The cluster at {address} lets anybody in: start all its nodes with RAY_AUTH_MODE=token and one token."
        )
    if "refused" not in tried.stdout:
        raise ClusterError(f"The cluster at {address} does not answer: start its head with ray start --head.")


def connect(address: str) -> None:
    """Connect this process, on a machine that is a node itself; ClusterError where that cannot be."""
    refuse_open_cluster(address)
    try:
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"The cluster at {address} cannot be used ({why}): this machine must be a node of it, by ray start "
            f"--address={address} --num-gpus=0."
        ) from error


def _look_here() -> Callable[[], str]:
    """What a node runs to tell its version; a function made here travels whole, to nodes without our package too."""

    def look() -> str:
        try:
            from backend.service.versions import code_version
        except ImportError as error:
            return f"no Splatsmith ({error})"
        return f"Splatsmith {code_version()}"

    return look


class Nodes:
    """The nodes that are alive.  Each is asked for its version once; `call` starts something that answers later."""

    def __init__(self, call: Callable[[Any, str], None]) -> None:
        self._call = call
        self._names: dict[str, str] = {}
        self._found: dict[str, str] = {}  # what they have, in words; "" until they have told
        self._resources: dict[str, dict[str, float]] = {}

    def look(self) -> None:
        """Ask the cluster for its nodes, and new ones for their version."""
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        self._found = {node: found for node, found in self._found.items() if node in alive}
        self._names = {node: str(alive[node]["NodeManagerAddress"]) for node in alive}
        self._resources = {node: alive[node]["Resources"] for node in alive}
        for node in alive.keys() - self._found.keys():
            self._found[node] = ""
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            look: Any = ray.remote(_look_here())
            self._call(look.options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote(), node)

    def told(self, node: str, found: str) -> None:
        """A node has answered."""
        if node in self._found:
            self._found[node] = found

    def forget(self, node: str) -> None:
        """A node could not answer: it is asked again."""
        self._found.pop(node, None)

    @property
    def per_job(self) -> dict[str, float]:
        """What a job takes: a card, or where no node has one a processor."""
        cards = any(resources.get("GPU") for resources in self._resources.values())
        return {"num_gpus": 1, "num_cpus": 1} if cards else {"num_gpus": 0, "num_cpus": 1}

    def places(self) -> int:
        """How many jobs can run at a time on the nodes that have the server's program."""
        kind = "GPU" if self.per_job["num_gpus"] else "CPU"
        return sum(int(self._resources[node].get(kind, 0)) for node in self._found if self._fits(node))

    def misfits(self) -> dict[str, str]:
        """The nodes that are not used, by their ids: a sentence each."""
        ours = f"Splatsmith {code_version()}"
        return {
            node: f"The node {self._names[node]} has {found}, the server {ours}: install the same on both."
            for node, found in self._found.items()
            if found and not self._fits(node)
        }

    @property
    def count(self) -> int:
        """How many are alive."""
        return len(self._names)

    def all_among(self, nodes: set[str]) -> bool:
        """Whether there is none besides these."""
        return bool(self._names) and self._names.keys() <= nodes

    def _fits(self, node: str) -> bool:
        return self._found[node] == f"Splatsmith {code_version()}"
