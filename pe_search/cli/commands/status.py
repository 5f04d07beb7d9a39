"""`pe-search status`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import printable
from pe_search.library import Library
from pe_search.records import Incomplete, LeftOut

if TYPE_CHECKING:
    from pe_search.reports import Status


class StatusFormat(StrEnum):
    """The ways to print the status."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


def status(
    status_format: Annotated[
        StatusFormat, typer.Option("--format", metavar="FORMAT", rich_help_panel="Show", help="text, json.")
    ] = StatusFormat.TEXT,
    problems: Annotated[
        bool,
        typer.Option(
            "--problems", rich_help_panel="Show", help="List the clips that were left out or are incomplete, and why."
        ),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Show what the store holds and how it was made.

    \b
        pe-search status
        pe-search status --problems
        pe-search status --format json

    Exit status: 0; with --problems 1 if there are none.
    """
    if status_format is StatusFormat.JSONL:
        status_format = StatusFormat.JSON
    with Library(store_directory(store)) as library:
        if problems:
            _write_problems(library.problems(), status_format)
            return
        found = library.status()
    written_at = datetime.fromtimestamp(found.written_at_s, UTC)
    if status_format is StatusFormat.JSON:
        facts = {
            "store": str(found.store),
            "model": found.model,
            "revision": found.revision,
            "dimension": found.dimension,
            "window_s": found.window_s,
            "hop_s": found.hop_s,
            "level": found.hearing.level,
            "speed": found.hearing.speed,
            "track": found.hearing.track,
            "clips": found.clips,
            "contents": found.contents,
            "windows": found.windows,
            "audio_s": found.audio_s,
            "left_out": found.left_out,
            "incomplete": found.incomplete,
            "size_bytes": found.size_bytes,
            "written_at": written_at.isoformat(timespec="seconds"),
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    hearing = found.hearing
    rows = {
        "store": printable(str(found.store)),
        "checkpoint": f"{printable(found.model)}, revision {printable(found.revision)}",
        "window": f"{found.window_s:g} s, every {found.hop_s:g} s",
        "level": hearing.level,
        **({"speed": f"{hearing.speed:g}"} if hearing.speed != 1 else {}),
        **({"track": str(hearing.track)} if hearing.track != 1 else {}),
        "clips": f"{found.clips:,}{_different(found)}",
        "windows": f"{found.windows:,}",
        "hours": f"{found.audio_s / 3600:,.2f}",
        **({"left out": f"{found.left_out:,}, see --problems"} if found.left_out else {}),
        **({"incomplete": f"{found.incomplete:,}, see --problems"} if found.incomplete else {}),
        "on disk": _megabytes(found.size_bytes),
        "written": written_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")


def _different(status: Status) -> str:
    return f", {status.contents:,} different" if status.contents < status.clips else ""


def _write_problems(problems: Sequence[LeftOut | Incomplete], status_format: StatusFormat) -> None:
    if status_format is StatusFormat.JSON:
        facts = [
            {
                "path": str(one.clip.path),
                "kind": "left out" if isinstance(one, LeftOut) else "incomplete",
                "size_bytes": one.clip.size_bytes,
                "modified_ns": one.clip.modified_ns,
                "reason": one.reason,
            }
            for one in problems
        ]
        typer.echo(json.dumps(facts, indent=2))
    else:
        for one in problems:
            is_left_out = isinstance(one, LeftOut)
            typer.echo(printable(f"{one.clip.path}: {'' if is_left_out else 'incomplete: '}{one.reason}"))
    if not problems:
        raise typer.Exit(1)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
