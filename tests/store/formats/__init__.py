"""Stores of older formats, as the pe-search of that time made them: their tables as SQL, the other files as they were.

Each folder also has `hits.json`: some queries, and all that the store answered to each at the time.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.store import Store

HERE = Path(__file__).parent
VERSIONS = sorted(int(folder.name) for folder in HERE.iterdir() if folder.name.isdigit())


@dataclass(frozen=True)
class Answered:
    """A query, and what a store answered to it: path, start, end and score of every window, best first."""

    query: NDArray[np.float32]
    hits: list[tuple[Path, float, float, float]]


def make_store(directory: Path, version: int) -> None:
    """Make a store of a format, with all of its files."""
    kept = HERE / str(version)
    directory.mkdir()
    for name in ("catalog", "texts"):
        with closing(sqlite3.connect(directory / f"{name}.sqlite3")) as db:
            db.execute("PRAGMA page_size = 16384")
            db.executescript((kept / f"{name}.sql").read_text(encoding="utf-8"))
            if name == "catalog":
                db.execute("PRAGMA journal_mode = WAL")
    for name in ("manifest.json", "index.vectors"):
        shutil.copy(kept / name, directory)


def matches_of(store: Store, query: NDArray[np.float32]) -> list[tuple[Path, float, float, float]]:
    """Path, start, end and score of every window, best first; of clips of the same bytes, each by itself."""
    found = store.finder.best_matches(query, 100, all_windows=True).best
    rows = [(path, one.start_s, one.end_s, one.score) for one in found for path in (one.path, *one.copies)]
    return sorted(rows, key=lambda row: (-row[3], bytes(row[0]), row[1]))


def answered(version: int) -> list[Answered]:
    """What the store of a format answered when it was made."""
    kept = json.loads((HERE / str(version) / "hits.json").read_text(encoding="utf-8"))
    return [
        Answered(
            np.array(query, np.float32),
            # The one byte that is no UTF-8 was written as JSON can hold it.
            [(Path(os.fsdecode(os.fsencode(path).replace(b"\\xff", b"\xff"))), *rest) for path, *rest in hits],
        )
        for query, hits in zip(kept["queries"], kept["hits"], strict=True)
    ]
