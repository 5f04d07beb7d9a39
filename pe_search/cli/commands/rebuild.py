"""`pe-search rebuild`."""

from __future__ import annotations

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import counted, say, say_problem
from pe_search.library import Library


def rebuild(store: StoreOption = None) -> None:
    """Make the store's index again from its catalog, and the catalog from what can be read of it if it is damaged.

    It also gives the room back that removed clips took in the catalog. The index is never in need of this in ordinary
    use, because one that is missing or out of date is made again by itself. It helps where a disk has damaged the index
    without making it unreadable. Of a damaged catalog, the clips that can still be read with all their windows are
    saved, and it is kept beside the new one.
    """
    library = Library(store_directory(store), on_problem=say_problem)
    made = library.rebuild()
    if made.restored_manifest:
        say(f"The manifest of {library.directory} was damaged; it is written again as the catalog has it.")
    if made.saved_clips is not None:
        say(
            f"{counted(made.saved_clips, 'clip')} saved from the damaged catalog, which is now {made.damaged}; index "
            "your folders again to embed what is missing."
        )
    if made.unsure:
        say(f"Of {counted(made.unsure, 'clip')} it is no longer known whether anything of them couldn't be read.")
    say(f"Index of {counted(made.windows, 'window')} made.")
