"""Make a store's index again, and before it what else is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pe_search.directories import milvus_address
from pe_search.records import Problem
from pe_search.reports import Rebuilding
from pe_search.store.salvage import restore_manifest, salvage_if_damaged
from pe_search.store.store import Store


def rebuild(directory: Path, on_problem: Callable[[Problem], None]) -> Rebuilding:
    """Write a damaged manifest again, save what can be read of a damaged catalog, and make the index from the catalog.

    Raises:
        StoreError: If nothing can be saved, or another process is writing to the store.
        OSError: If the disk is full or can't be written to.
    """
    if milvus_address(directory):
        # What is here is a mirror, which opening a store makes again.
        from pe_search.store.milvus.mirror import discard

        discard(directory)
        is_restored, salvage = False, None
    else:
        is_restored, salvage = restore_manifest(directory), salvage_if_damaged(directory)
    with Store.open(directory, read_only=False, on_problem=on_problem) as store:
        store.finder.rebuild()
        store.catalog.compact()
        windows = store.catalog.holdings().windows
    if salvage is None:
        return Rebuilding(windows, is_restored)
    return Rebuilding(windows, is_restored, salvage.clips, salvage.damaged, salvage.unsure)
