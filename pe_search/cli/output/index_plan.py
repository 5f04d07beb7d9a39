"""`pe-search index --dry-run`: what a run would do, one file a line on stdout, and in numbers on stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import counted, say
from pe_search.cli.output.passed_over import say_excluded, say_unreadable
from pe_search.directories import shown_store

if TYPE_CHECKING:
    from pathlib import Path

    from pe_search.reports import IndexPlan


def write_plan(plan: IndexPlan, directory: Path) -> None:
    """Print a plan: `new PATH`, `changed PATH`, `moved PATH`, `gone PATH` and `left-out PATH`, paths byte for byte."""
    parts = {
        "new": plan.new,
        "changed": plan.changed,
        "moved": plan.moved,
        "gone": plan.gone,
        "left-out": plan.left_out,
    }
    for word, paths in parts.items():
        sys.stdout.buffer.writelines(word.encode() + b" " + os.fsencode(path) + b"\n" for path in paths)
    sys.stdout.buffer.flush()
    say_unreadable(plan.passed_over)
    say_excluded(plan.passed_over)
    counts = [
        f"{len(paths):,} {word.replace('-', ' ')}"
        for word, paths in parts.items()
        if paths or word in ("new", "changed", "gone")
    ]
    to_embed = counted(len(plan.new) + len(plan.changed), "clip")
    say(
        f"Would read {to_embed}: {', '.join(counts)}, {plan.unchanged:,} unchanged. Nothing was written. "
        f"Store: {shown_store(directory)}"
    )
