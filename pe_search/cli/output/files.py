"""`-o FILE`: results into a file, whole or not at all, instead of to stdout."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from pe_search.drafts import named_file


@contextmanager
def output_to(file: Path | None) -> Iterator[None]:
    """Let what is written to stdout in the `with` block go into a file, if there is one.

    Raises:
        OSError: If the file can't be written; names the file or its folder. What was there before is left alone then,
            as with any other exception.
    """
    if file is None:
        yield
        return
    try:
        with named_file(file) as draft:
            out = io.TextIOWrapper(draft, encoding="utf-8", errors="surrogateescape", newline="\n", write_through=True)
            try:
                with redirect_stdout(out):
                    yield
            finally:
                # It goes without closing the draft.
                out.detach()
    except OSError as error:
        # To write into a file that is open names no file, as when the disk is full.
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(file)) from error
        raise
