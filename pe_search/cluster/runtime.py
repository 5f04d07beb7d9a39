"""A Ray runtime: one of our own on this machine, or a cluster that is there."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from pe_search.cluster.choosing import OWN
from pe_search.errors import ClusterError, MissingExtraError, first_line

# What a process needs beside its weights: its libraries, the windows it reads ahead and their activations.
_WORKER_BYTES = 1 << 30
_PATIENCE_S = 10.0
# Embeddings come in files, so that hardly anything goes through it.
_OBJECT_STORE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker has of a runtime, and how many there can be.

    Attributes:
        workers: How many can be at work now.
        cpus: CPUs of each.
        gpus: GPUs of each.
        memory_bytes: Memory of each, as Ray counts it.
        is_own: Whether the runtime is our own, and nobody else's.
    """

    workers: int
    cpus: int
    gpus: int
    memory_bytes: int
    is_own: bool


def need_ray() -> None:
    """Raise a `MissingExtraError` unless Ray Data is installed."""
    # Ray itself is on many machines without what Ray Data needs.
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise MissingExtraError("--workers ray", "'ray[data]'", "ray")


@contextmanager
def connected(workers: str, *, worker_cpus: int | None, weights_bytes: int) -> Iterator[Share]:
    """Start or join a runtime, and leave it as it was at the end of the `with` block.

    Args:
        workers: `ray` for a new runtime on this machine, or the address of one.
        worker_cpus: CPUs of each worker; None for one, or with GPUs for its share of the CPUs.
        weights_bytes: Size of the checkpoint.

    Raises:
        MissingExtraError: If Ray isn't installed.
        ClusterError: If there is no runtime at the address, or none of its machines has room for a worker.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its C++ half writes to stderr; what ends the work comes as an exception.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    need_ray()
    import ray
    import ray.data

    # It sets up its logging when it is imported; what goes wrong comes as an exception.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if is_main else None
    was_there = ray.is_initialized()
    if not was_there:
        # One line says what is wrong; Ray would say a page.
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if workers == OWN:
            options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        try:
            if workers != OWN:
                _knock(workers)
            ray.init(address="local" if workers == OWN else workers, **options)
        except Exception as error:
            raise ClusterError(f"{workers}: no Ray runtime can be started or joined: {first_line(error)}") from error
        finally:
            if is_main:
                # Ray ends the process at SIGTERM; whoever called decides that.
                signal.signal(signal.SIGTERM, before)
    try:
        is_own = workers == OWN and not was_there
        share = _share(ray.nodes(), worker_cpus, 2 * weights_bytes + _WORKER_BYTES, is_own=is_own)
        if not share.workers:
            raise ClusterError(
                f"{workers}: no machine of the Ray runtime has {share.cpus} CPUs and "
                f"{share.memory_bytes / 1e9:.1f} GB of memory for a worker."
            )
        yield share
    finally:
        if not was_there:
            ray.shutdown()
            if is_main:
                signal.signal(signal.SIGTERM, before)


def _knock(address: str) -> None:
    """Raise an `OSError` if nobody answers at an address, where Ray itself would wait for minutes."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S):
        pass


def _share(nodes: list[dict[str, Any]], worker_cpus: int | None, memory_bytes: int, *, is_own: bool) -> Share:
    """What a worker gets of the machines that there are."""
    machines: list[dict[str, float]] = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = 1 if any(machine.get("GPU", 0) >= 1 for machine in machines) else 0
    if worker_cpus is None:
        worker_cpus = 1
        if gpus:
            shares = [int(one.get("CPU", 0) // one["GPU"]) for one in machines if one.get("GPU", 0) >= 1]
            # Reading ahead takes as many as eight threads; more would idle.
            worker_cpus = max(1, min(8, *shares, 8))
    workers = 0
    for machine in machines:
        most = [machine.get("CPU", 0) // worker_cpus, machine.get("memory", 0) // memory_bytes]
        workers += int(min(*most, *([machine.get("GPU", 0)] if gpus else [])))
    return Share(workers, worker_cpus, gpus, memory_bytes, is_own)
