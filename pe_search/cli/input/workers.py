"""Options of who embeds."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from pe_search.errors import quoted

# As `cluster.choosing` has it, which is below what the command line calls.
_WORKERS = re.compile(r"local|ray|[^/\s@]+:\d+")

WorkersOption = Annotated[
    str,
    typer.Option(
        "--workers",
        metavar="WHERE",
        rich_help_panel="Workers",
        help="Who embeds: local; ray, which starts Ray on this machine; or the HOST:PORT of a Ray cluster.",
    ),
]
WorkerCpusOption = Annotated[
    int | None,
    typer.Option(
        "--worker-cpus",
        metavar="N",
        min=1,
        rich_help_panel="Workers",
        show_default="1, with GPUs up to 8",
        help="CPUs of each Ray worker.",
    ),
]


def refuse_bad_workers(workers: str, worker_cpus: int | None) -> None:
    """Raise a `typer.BadParameter` unless these options can be."""
    if workers.startswith("ray://"):
        raise typer.BadParameter(
            "Ray Data doesn't work over ray://. Run this on a machine of the cluster, with the HOST:PORT that "
            "`ray start` printed.",
            param_hint="--workers",
        )
    if not _WORKERS.fullmatch(workers):
        raise typer.BadParameter(f"{quoted(workers)} is not local, ray or HOST:PORT.", param_hint="--workers")
    if worker_cpus is not None and workers == "local":
        raise typer.BadParameter("requires --workers ray.", param_hint="--worker-cpus")
