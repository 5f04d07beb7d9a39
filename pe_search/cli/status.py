"""`pe-search status`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from pe_search.cli.messages import printable
from pe_search.cli.options import StoreOption, store_directory


class StatusFormat(StrEnum):
    """The ways to print the status."""

    TEXT = "text"
    JSON = "json"


def status(
    status_format: Annotated[StatusFormat, typer.Option("--format", help="How to print it.")] = StatusFormat.TEXT,
    store: StoreOption = None,
) -> None:
    """Show what the store holds, and what it was made with."""
    from pe_search.store import Store

    with Store.open(store_directory(store)) as opened:
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
            "clips": holdings.clips,
            "windows": holdings.windows,
            "audio_s": holdings.audio_s,
            "size_bytes": size_bytes,
            "written_at": written_at.isoformat(timespec="seconds"),
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    rows = {
        "store": printable(str(opened.directory)),
        "checkpoint": f"{printable(manifest.model)}, revision {manifest.revision}",
        "window": f"{manifest.window_s:g} s, every {manifest.hop_s:g} s",
        "clips": f"{holdings.clips:,}",
        "windows": f"{holdings.windows:,}",
        "hours": f"{holdings.audio_s / 3600:,.2f}",
        "on disk": _megabytes(size_bytes),
        "written": written_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
