"""`pe-search status`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import printable
from pe_search.records import Incomplete, LeftOut

if TYPE_CHECKING:
    from pe_search.store import Holdings


class StatusFormat(StrEnum):
    """The ways to print the status."""

    TEXT = "text"
    JSON = "json"


def status(
    status_format: Annotated[StatusFormat, typer.Option("--format", help="How to print it.")] = StatusFormat.TEXT,
    problems: Annotated[
        bool,
        typer.Option("--problems", help="List instead the clips that were left out or are incomplete, and why."),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Show what the store holds, and what it was made with.

    Exit status: 0; with --problems 1 if there are none.
    """
    from pe_search.store import Store

    with Store.open(store_directory(store)) as opened:
        if problems:
            _write_problems(opened.left_out(), opened.incomplete(), status_format)
            return
        manifest = opened.manifest
        holdings = opened.holdings()
        written_at = datetime.fromtimestamp(opened.written_at_s(), UTC)
        size_bytes = opened.size_bytes()
    if status_format is StatusFormat.JSON:
        facts = {
            "store": str(opened.directory),
            "model": manifest.model,
            "revision": manifest.revision,
            "dimension": manifest.dimension,
            "window_s": manifest.window_s,
            "hop_s": manifest.hop_s,
            "level": manifest.level,
            "speed": manifest.speed,
            "track": manifest.track,
            "clips": holdings.clips,
            "contents": holdings.contents,
            "windows": holdings.windows,
            "audio_s": holdings.audio_s,
            "left_out": holdings.left_out,
            "incomplete": holdings.incomplete,
            "size_bytes": size_bytes,
            "written_at": written_at.isoformat(timespec="seconds"),
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    rows = {
        "store": printable(str(opened.directory)),
        "checkpoint": f"{printable(manifest.model)}, revision {printable(manifest.revision)}",
        "window": f"{manifest.window_s:g} s, every {manifest.hop_s:g} s",
        "level": manifest.level,
        **({"speed": f"{manifest.speed:g}"} if manifest.speed != 1 else {}),
        **({"track": str(manifest.track)} if manifest.track != 1 else {}),
        "clips": f"{holdings.clips:,}{_different(holdings)}",
        "windows": f"{holdings.windows:,}",
        "hours": f"{holdings.audio_s / 3600:,.2f}",
        **({"left out": f"{holdings.left_out:,}, see --problems"} if holdings.left_out else {}),
        **({"incomplete": f"{holdings.incomplete:,}, see --problems"} if holdings.incomplete else {}),
        "on disk": _megabytes(size_bytes),
        "written": written_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")


def _different(holdings: Holdings) -> str:
    return f", {holdings.contents:,} different" if holdings.contents < holdings.clips else ""


def _write_problems(left_out: Iterable[LeftOut], incomplete: Iterable[Incomplete], status_format: StatusFormat) -> None:
    kinds: list[tuple[str, LeftOut | Incomplete]] = [("left out", one) for one in left_out]
    kinds += [("incomplete", one) for one in incomplete]
    kinds.sort(key=lambda problem: os.fsencode(problem[1].clip.path))
    if status_format is StatusFormat.JSON:
        facts = [
            {
                "path": str(one.clip.path),
                "kind": kind,
                "size_bytes": one.clip.size_bytes,
                "modified_ns": one.clip.modified_ns,
                "reason": one.reason,
            }
            for kind, one in kinds
        ]
        typer.echo(json.dumps(facts, indent=2))
    else:
        for _, one in kinds:
            is_left_out = isinstance(one, LeftOut)
            typer.echo(printable(f"{one.clip.path}: {'' if is_left_out else 'incomplete: '}{one.reason}"))
    if not kinds:
        raise typer.Exit(1)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
