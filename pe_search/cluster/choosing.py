"""Who embeds the clips of a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pe_search.errors import quoted

if TYPE_CHECKING:
    from pe_search.model import Model
    from pe_search.tasks.runs import MakeWork

HERE = "local"
OWN = "ray"
_ADDRESS = re.compile(r"[^/\s@]+:\d+")


def work_of(workers: str, worker_cpus: int | None, model: Model) -> MakeWork | None:
    """What makes the work of a run, as `index_paths` takes it.

    Args:
        workers: `local`, `ray` or the address of a Ray runtime.
        worker_cpus: CPUs of each Ray worker; None as many as are usual.
        model: The store's.

    Raises:
        ValueError: If `workers` is none of these, or there can't be so many CPUs.
        MissingExtraError: If Ray isn't installed.
    """
    check_workers(workers, worker_cpus)
    if workers == HERE:
        return None
    from pe_search.cluster.running import ray_work

    return ray_work(workers, worker_cpus, model)


def check_workers(workers: str, worker_cpus: int | None) -> None:
    """Raise a `ValueError` as `work_of` does."""
    if workers.startswith("ray://"):
        # Its executor asks for the core worker of the process, which Ray Client has none of.
        raise ValueError(
            f"workers={quoted(workers)}: Ray Data doesn't work over ray://; use 'HOST:PORT' in the cluster"
        )
    if workers not in (HERE, OWN) and not _ADDRESS.fullmatch(workers):
        raise ValueError(f"workers={quoted(workers)} must be 'local', 'ray' or 'HOST:PORT'")
    if worker_cpus is not None and (worker_cpus < 1 or workers == HERE):
        raise ValueError(f"worker_cpus={worker_cpus} must be at least 1, and is for Ray workers")
