"""`pe-search rebuild`."""

from __future__ import annotations

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import counted, say, say_problem
from pe_search.library import Library


def rebuild(store: StoreOption = None) -> None:
    """Repair the store: make its index again, and a damaged catalog as far as it can be read.

    \b
        pe-search rebuild
        pe-search rebuild --store ./birds.store

    Use it if a disk has damaged the store. A missing or outdated index is made again without it. From a damaged
    catalog, the clips that can be read with all their windows are saved; the damaged file is kept beside the new one.
    It also frees the space of removed clips.
    """
    library = Library(store_directory(store), on_problem=say_problem)
    made = library.rebuild()
    if made.restored_manifest:
        say(f"The manifest of {library.directory} was damaged. It was restored from the catalog.")
    if made.saved_clips is not None:
        say(
            f"{counted(made.saved_clips, 'clip')} saved. The damaged catalog is now {made.damaged}. Index your folders "
            "again to embed the clips that are missing."
        )
    if made.unsure:
        say(f"It is not known whether {counted(made.unsure, 'clip')} could be read completely.")
    say(f"The new index has {counted(made.windows, 'window')}.")
