"""What a run of `index` did, in a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import counted, say, shown_path, shown_share
from pe_search.cli.output.passed_over import say_excluded, say_unreadable
from pe_search.directories import command_for, shown_store

if TYPE_CHECKING:
    from pe_search.reports import IndexSummary


def say_summary(summary: IndexSummary, directory: Path, elapsed_s: float | None, runtime: str | None) -> None:
    """Say what a run did.

    Args:
        summary: Of the run.
        directory: The store's.
        elapsed_s: How long it took; None to leave that out.
        runtime: On what it calculated; None if it embedded nothing.
    """
    if summary.is_interrupted:
        kept = [f"{shown_share(part.share)} of {shown_path(part.path)} is kept" for part in summary.kept_parts]
        done = [f"{counted(summary.clips, 'clip')} embedded", *kept, "run the same command to go on"]
        say(f"Interrupted. {'; '.join(done)}.")
        return
    for one in summary.relocated:
        say(
            f"{one.old} is gone, and {counted(one.clips, 'clip')} of it {'is' if one.clips == 1 else 'are'} below "
            f"{one.new} now; the files were not read again, but for {one.checked:,} that were compared."
        )
    say_unreadable(summary.passed_over)
    say_excluded(summary.passed_over)
    # `auto` must say what it chose.
    chosen = f" on {runtime}" if runtime else ""
    took = "" if elapsed_s is None else f" in {elapsed_s:.1f} s"
    parts = [
        f"{counted(summary.clips, 'clip')} embedded ({counted(summary.windows, 'window')}, "
        f"{summary.audio_s / 3600:.2f} hours){took}{chosen}",
        *([f"{summary.recognised:,} recognised"] if summary.recognised else []),
        f"{summary.unchanged:,} unchanged",
        f"{summary.removed:,} removed",
        *([f"{summary.incomplete:,} incomplete"] if summary.incomplete else []),
        f"{len(summary.problems):,} left out",
        *([f"{counted(summary.sidecars, 'transcript')} taken in"] if summary.sidecars else []),
        *(
            [f"{summary.left_out_before:,} left out before (see {command_for('status --problems', directory)})"]
            if summary.left_out_before
            else []
        ),
    ]
    say(f"{', '.join(parts)}. Store: {shown_store(directory)}")
