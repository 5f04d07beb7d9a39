"""Read what files say of themselves that were embedded before a store kept it."""

from __future__ import annotations

import time
from contextlib import suppress

from pe_search.audio.hashing import unchanged
from pe_search.audio.read import ClipReader
from pe_search.audio.stamps import is_same, stamp_of
from pe_search.errors import AudioError
from pe_search.records import Facts
from pe_search.store import Store
from pe_search.store.facts import without_facts, write_facts

_COMMIT_EVERY_S = 5.0


def learn_facts(store: Store) -> None:
    """Read the headers of those clips of which the store keeps no facts, as after its format was converted.

    Nothing is decoded, so loudness and peak stay unknown. A file that is gone, has changed or can't be opened is left
    to the rest of the run, which reports it.
    """
    facts: dict[bytes, Facts] = {}
    committed_s = time.monotonic()
    for path, digest in without_facts(store.catalog).items():
        held = store.catalog.clip(path) if path.is_absolute() else None
        with suppress(OSError, AudioError):
            if held is not None and is_same(held[0].stamp, stamp_of(path.stat())):
                with unchanged(path), ClipReader(path, store.manifest.hearing) as reader:
                    facts[digest] = reader.facts()
        if time.monotonic() - committed_s >= _COMMIT_EVERY_S:
            write_facts(store.catalog, facts)
            facts.clear()
            committed_s = time.monotonic()
    if facts:
        write_facts(store.catalog, facts)
