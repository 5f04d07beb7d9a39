"""`pe-search status`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.options import FactsFormat, FactsFormatOption, StoreOption, store_directory
from pe_search.cli.output.hints import is_on_terminal
from pe_search.cli.output.messages import counted, printable, say
from pe_search.cli.output.tables import fact_lines
from pe_search.directories import shown_store
from pe_search.library import Library
from pe_search.records import Incomplete, LeftOut

if TYPE_CHECKING:
    from pathlib import Path

    from pe_search.reports import Root, Status

# More are hardly folders, but files that a shell or xargs has named.
_MOST_ROOTS = 20


def status(
    status_format: FactsFormatOption = FactsFormat.TEXT,
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

    Formats are the extensions of its clips. Folders are what `index` was given: when a run last finished there, the
    patterns of --exclude, and what that run skipped. Zones are those that `index --zone` gave.

    Exit status: 0 done; with --problems 1 if there are none; 2 an error.
    """
    if status_format is FactsFormat.JSONL:
        status_format = FactsFormat.JSON
    with Library(store_directory(store)) as library:
        if problems:
            _write_problems(library.problems(), status_format)
            return
        found = library.status()
    written_at = datetime.fromtimestamp(found.written_at_s, UTC)
    if status_format is FactsFormat.JSON:
        facts = {
            "store": shown_store(found.store),
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
            "with_facts": found.with_facts,
            "with_time": found.with_time,
            "with_tags": found.with_tags,
            "transcribed": found.transcribed,
            "size_bytes": found.size_bytes,
            "written_at": written_at.isoformat(timespec="seconds"),
            "formats": dict(found.formats),
            "folders": [_facts(root) for root in found.roots],
            "zones": {str(path): zone for path, zone in found.zones},
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    hearing = found.hearing
    rows = {
        "store": printable(shown_store(found.store)),
        "checkpoint": f"{printable(found.model)}, revision {printable(found.revision)}",
        "window": f"{found.window_s:g} s, every {found.hop_s:g} s",
        "level": hearing.level,
        **({"speed": f"{hearing.speed:g}"} if hearing.speed != 1 else {}),
        **({"track": str(hearing.track)} if hearing.track != 1 else {}),
        "clips": f"{found.clips:,}{_different(found)}",
        "windows": f"{found.windows:,}",
        "hours": f"{found.audio_s / 3600:,.2f}",
        **({"formats": _formats(found)} if found.formats else {}),
        **({"left out": f"{found.left_out:,}, see --problems"} if found.left_out else {}),
        **({"incomplete": f"{found.incomplete:,}, see --problems"} if found.incomplete else {}),
        **({"known": _known(found)} if _known(found) else {}),
        "on disk": _megabytes(found.size_bytes),
        "written": written_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    }
    folders = zip(chain(["folders"], repeat("")), _lines_of(found.roots), strict=False)
    zones = zip(chain(["zones"], repeat("")), _lines_of_zones(found.zones), strict=False)
    for line in fact_lines([*rows.items(), *folders, *zones], whole=("store", "folders", "zones", "")):
        typer.echo(line)


def _facts(root: Root) -> dict[str, object]:
    seen = root.passed_over
    return {
        "path": str(root.path),
        "exclude": list(root.exclude),
        "indexed_at": None if root.indexed_at_s is None else _at(root.indexed_at_s).isoformat(),
        "unreadable": dict(seen.unreadable),
        "excluded_files": seen.excluded_files,
        "excluded_folders": seen.excluded_folders,
    }


def _lines_of(roots: Sequence[Root]) -> Iterator[str]:
    for root in roots[:_MOST_ROOTS]:
        at = "not finished" if root.indexed_at_s is None else f"{_at(root.indexed_at_s).astimezone():%Y-%m-%d %H:%M}"
        yield f"{at:<16}  {printable(str(root.path))}"
        for part in _parts_of(root):
            yield f"{'':<16}    {part}"
    if len(roots) > _MOST_ROOTS:
        yield f"and {len(roots) - _MOST_ROOTS:,} more; --format json lists all"


def _lines_of_zones(zones: Sequence[tuple[Path, str]]) -> Iterator[str]:
    for path, zone in zones[:_MOST_ROOTS]:
        yield f"{zone:<16}  {printable(str(path))}"
    if len(zones) > _MOST_ROOTS:
        yield f"and {len(zones) - _MOST_ROOTS:,} more; --format json lists all"


def _parts_of(root: Root) -> Iterator[str]:
    seen = root.passed_over
    if root.exclude:
        yield printable(" ".join(f"--exclude {shlex.quote(glob)}" for glob in root.exclude))
    if seen.unreadable:
        yield f"can't be read: {printable(_kinds(seen.unreadable))}"
    numbers = {"file": seen.excluded_files, "folder": seen.excluded_folders}
    if any(numbers.values()):
        yield f"excluded: {', '.join(counted(number, noun) for noun, number in numbers.items() if number)}"


def _formats(status: Status) -> str:
    return printable(_kinds((kind or "(none)", number) for kind, number in status.formats))


def _known(status: Status) -> str:
    """Of how many clips something is known beside their sound."""
    numbers = {
        "headers": status.with_facts,
        "recording times": status.with_time,
        "tags": status.with_tags,
        "transcripts": status.transcribed,
    }
    return ", ".join(f"{what} of {number:,}" for what, number in numbers.items() if number)


def _kinds(kinds: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{kind} {number:,}" for kind, number in kinds)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _different(status: Status) -> str:
    return f", {status.contents:,} different" if status.contents < status.clips else ""


def _write_problems(problems: Sequence[LeftOut | Incomplete], status_format: FactsFormat) -> None:
    if status_format is FactsFormat.JSON:
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
        if status_format is FactsFormat.TEXT and is_on_terminal():
            say("No problems.")
        raise typer.Exit(1)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
