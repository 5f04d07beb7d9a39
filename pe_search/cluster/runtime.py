"""A Ray runtime in the process that uses it: one of our own on this machine, or a cluster that is there."""

from __future__ import annotations

import faulthandler
import logging
import os
import re
import socket
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_search.cluster.choosing import OWN
from pe_search.errors import ClusterError, first_line

# How long Ray may try to reach a cluster; by itself it would for minutes.
PATIENCE_S = 25.0
# What a process needs beside its weights: its libraries, the windows it reads ahead and their activations.
_WORKER_BYTES = 1 << 30
# Embeddings come in files, so that hardly anything goes through it.
_OBJECT_STORE_BYTES = 128 << 20
_OUTSIDE = (
    "no Ray of this cluster runs on this machine. Run `ray start --address={address}` here first, or run this on a "
    "machine of the cluster"
)
_TOKEN = "the cluster asks for a token, and {which}. Copy ~/.ray/auth_token from its head, or set $RAY_AUTH_TOKEN_PATH"


class TokenError(ClusterError):
    """A cluster asks for a token, and got none or another one."""


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


def is_in_use() -> bool:
    """Whether this program has a Ray runtime already.

    Raises:
        ClusterError: If it uses Ray Client.
    """
    ray: Any = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return False
    client: Any = sys.modules.get("ray.util.client")
    if client is not None and client.ray.is_connected():
        raise ClusterError(
            "This program uses Ray Client, over which Ray Data doesn't work. Call ray.init with an address without ray://."
        )
    return True


def join(workers: str) -> None:
    """Start a runtime on this machine, or join one.

    It ends the process without a word if Ray takes longer than `PATIENCE_S` to join.

    Args:
        workers: `ray` for a new one, or the address of one.

    Raises:
        ClusterError: If there is no runtime at the address, or this machine can't use it.
    """
    import ray

    # What goes wrong comes as an exception; Ray would say a page.
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if workers == OWN:
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        try:
            ray.init(address="local", **options)
        except Exception as error:
            hint = ". $RAY_TMPDIR names the folder for its files." if isinstance(error, OSError) else ""
            raise ClusterError(f"{workers}: no Ray runtime can be started: {first_line(error)}{hint}") from error
        return
    with _patience():
        try:
            host, port = workers.rsplit(":", 1)
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S / 2).close()
        except (OSError, OverflowError, UnicodeError) as error:
            reason = f"nobody answers there: {first_line(error)}. Use the HOST:PORT that `ray start --head` printed."
            raise ClusterError(f"{workers}: {reason}") from error
        if not _runs_here():
            raise ClusterError(f"{workers}: {_OUTSIDE.format(address=workers)}.")
        try:
            ray.init(address=workers, **options)
        except Exception as error:
            kind, reason = _reason(workers, [*_chain(error)])
            raise kind(f"{workers}: {reason}.") from error


def has_token() -> bool:
    """Whether this machine has a token for clusters that ask for one, where Ray looks for it."""
    names = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    # Path.home raises a RuntimeError where there is no home.
    return any(os.environ.get(name) for name in names) or os.path.isfile(os.path.expanduser("~/.ray/auth_token"))  # noqa: PTH111, PTH113


def share_of(workers: str, *, worker_cpus: int | None, weights_bytes: int, is_own: bool) -> Share:
    """What a worker gets of the runtime of this process.

    Args:
        workers: As in `join`.
        worker_cpus: CPUs of each worker; None for one, or with GPUs for its share of the CPUs.
        weights_bytes: Size of the checkpoint.
        is_own: As in `Share`.

    Raises:
        ClusterError: If none of the machines has room for a worker.
    """
    import ray

    share = _share(ray.nodes(), worker_cpus, 2 * weights_bytes + _WORKER_BYTES, is_own=is_own)
    if not share.workers:
        raise ClusterError(
            f"{workers}: no machine of the Ray runtime has {share.cpus} CPUs and "
            f"{share.memory_bytes / 1e9:.1f} GB of memory for a worker."
        )
    return share


def embedded(setup: bytes, share: Share, blocks: Sequence[bytes]) -> Generator[bytes, None, None]:
    """What came of blocks, in the order in which they end; all is pickled, and nothing unpickled here.

    Ray Data starts the workers, hands out blocks to whoever is free, starts a worker again that died, and gives its
    block to another one.

    Args:
        setup: What workers need to know, a `Setup`.
        share: What each gets.
        blocks: The clips of each.

    Raises:
        ClusterError: If the runtime fails.
    """
    import ray.data
    from ray import cloudpickle
    from ray.exceptions import RayError

    from pe_search import __version__
    from pe_search.cluster import actor

    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    rows = [{"block": number, "clips": clips} for number, clips in enumerate(blocks)]
    # A cluster may grow while the run goes on, and others may use it now.
    size: dict[str, Any] = {"size": min(share.workers, len(blocks))} if share.is_own else {"min_size": 1}
    cloudpickle.register_pickle_by_value(actor)
    try:
        with _quiet():
            with ray.data.DataContext.current(context):
                dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                    actor.Actor,
                    fn_constructor_args=(__version__, setup),
                    batch_size=None,
                    compute=ray.data.ActorPoolStrategy(**size),
                    num_cpus=share.cpus,
                    num_gpus=share.gpus,
                    memory=share.memory_bytes,
                )
            for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0):
                yield from batch["result"]
    except RayError as error:
        raise ClusterError(f"The Ray runtime failed: {first_line(error)}") from error
    finally:
        cloudpickle.unregister_pickle_by_value(actor)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Data from telling what goes on, until the end of the `with` block."""
    logger = logging.getLogger("ray.data")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _patience() -> Iterator[None]:
    """End the process when the `with` block lasts too long, also if Ray holds Python's lock."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        faulthandler.dump_traceback_later(PATIENCE_S, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _runs_here() -> bool:
    """Whether there is a raylet on this machine, as far as Ray tells: it would wait for one."""
    try:
        from ray._private.services import find_node_ids
    except ImportError:
        return True
    return bool(find_node_ids())


def _chain(error: BaseException) -> Iterator[str]:
    """What an error says, and what those say that led to it."""
    one: BaseException | None = error
    while one is not None:
        yield str(one)
        one = one.__cause__ or one.__context__


def _reason(address: str, said: Sequence[str]) -> tuple[type[ClusterError], str]:
    """What Ray said when it could not join a cluster, in a line; and what kind of error that is."""
    everything = "\n".join(said)
    if "No node info found" in everything:
        return ClusterError, _OUTSIDE.format(address=address)
    if "Unauthenticated" in everything or "InvalidAuthToken" in everything:
        which = "that of this machine is another one" if has_token() else "this machine has none"
        return TokenError, _TOKEN.format(which=which)
    versions = re.findall(r"(Ray|Python): (\S+)", said[0])
    if said[0].startswith("Version mismatch") and len(versions) == 4:
        there, here = (" and ".join(map(" ".join, two)) for two in (versions[:2], versions[2:]))
        return ClusterError, f"the cluster has {there}, this machine {here}. Install the same versions on all machines"
    return ClusterError, f"no Ray runtime can be joined: {first_line(Exception(said[-1]))}".rstrip(".")


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
