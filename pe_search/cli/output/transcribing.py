"""`index --transcribe`: transcripts are made after the embeddings, and counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import Problems, counted, say
from pe_search.cli.output.progress import ProgressBar
from pe_search.library import Library

if TYPE_CHECKING:
    from pe_search.speech.recogniser import Recogniser


def transcribe_and_say(
    library: Library, recogniser: Recogniser, paths: Sequence[Path] | None, patterns: Sequence[str]
) -> bool:
    """Transcribe clips of a store, and say how many; returns whether all could be read.

    Args:
        library: The store.
        recogniser: What recognises.
        paths: Folders and files; None for all clips of the store.
        patterns: What is skipped in folders.
    """
    problems = Problems()

    started_s = time.monotonic()
    made = unchanged = 0
    bar = ProgressBar("transcribing")
    # Indexing has said what can't be read.
    found = None if paths is None else library.find(paths, exclude=patterns, on_problem=lambda _problem: None)
    said = library.transcribe(found, speech_model=recogniser, on_progress=bar.show, on_problem=problems.report)
    with bar, closing(said):
        for one in said:
            made += not one.is_known
            unchanged += one.is_known
    say(f"{counted(made, 'clip')} transcribed, {unchanged:,} unchanged, in {time.monotonic() - started_s:.1f} s.")
    return not problems
