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
        say(f"The manifest of {library.directory} was damaged; it is written again as the catalog has it.")
    if made.saved_clips is not None:
        say(
            f"{counted(made.saved_clips, 'clip')} saved from the damaged catalog, which is now {made.damaged}; index "
            "your folders again to embed what is missing."
        )
    if made.unsure:
        say(f"Of {counted(made.unsure, 'clip')} it is no longer known whether anything of them couldn't be read.")
    say(f"Index of {counted(made.windows, 'window')} made.")
