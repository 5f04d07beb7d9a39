"""Clips leave a store."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pe_search.audio.find import is_under
from pe_search.places import place_of
from pe_search.reports import Removal
from pe_search.store import Store
from pe_search.store.facts import read_zones, write_zones
from pe_search.store.roots import read_roots, write_roots


def remove(store: Store, places: Iterable[Path]) -> Removal:
    """Take clips out, and forget those that were left out, and what `index` was told to go through there.

    Args:
        store: Opened for writing.
        places: Clips, folders of clips, and names of clips that are no files.
    """
    named = {name for path in places for name in (os.fspath(path), place_of(path))}
    removed, forgotten = (
        [Path(path) for path in known if is_under(path, named)]
        for known in (store.catalog.stamps(), [str(one.clip.path) for one in store.catalog.left_out()])
    )
    roots = [root.path for root in read_roots(store.catalog) if is_under(str(root.path), named)]
    # Before the clips: whenever it breaks off, no later run brings back what has gone.
    write_roots(store.catalog, forgotten=roots)
    write_zones(store.catalog, {path: None for path in read_zones(store.catalog) if is_under(str(path), named)})
    if removed or forgotten:
        store.catalog.commit(removed=[*removed, *forgotten])
    # Even if nothing is left to remove: a removal that was killed may have got no further than the commit.
    store.catalog.drop_unused_contents()
    store.finder.refresh()
    return Removal(len(removed), len(forgotten))
