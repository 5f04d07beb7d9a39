"""The store if it fits what is wanted, else a checkpoint without one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from pe_search.asker import Asker
from pe_search.cli.input.config import usual_model
from pe_search.directories import shown_store
from pe_search.errors import StoreError
from pe_search.library import Library
from pe_search.listener import Listener
from pe_search.model import Wanted, canonical_name


def library_if_fit(directory: Path, wanted: Wanted, *, is_named: bool, **options: Any) -> Asker:
    """The store, if there is one that was made with what is wanted, else what needs none.

    A store that is named on the command line must be there and fit; the one in its usual place is only a help.

    Args:
        directory: The store's.
        wanted: What is wanted.
        is_named: Whether the store is named on the command line.
        **options: As in `Listener`.

    Raises:
        StoreError: If a store that is named is missing, or does not fit.
    """
    library = Library(directory, **options)
    if not library.is_made():
        if is_named:
            library.open()  # raises what says so
        model = usual_model() if wanted.model is None else wanted.model
        return Asker(replace(wanted, model=model), **options)
    made = library.manifest
    if wanted.model is not None:
        checkpoint = Listener(wanted).model.checkpoint
        if (checkpoint.name, checkpoint.revision) != (made.model, made.revision):
            library.close()
            if is_named:
                raise StoreError(
                    f"The store at {shown_store(directory)} was made with {made.model}, revision {made.revision}. "
                    f"Omit --store to use {wanted.model}."
                )
            return Asker(wanted, **options)
    if wanted.hearing(made.hearing) != made.hearing:
        library.close()
        if is_named:
            raise StoreError(
                f"The store at {shown_store(directory)} was made with another --level, --speed or --track. "
                "Omit --store to use yours."
            )
        is_on_hub = not os.path.isabs(made.model) and "/" in made.model
        return Asker(replace(wanted, model=made.model, revision=made.revision if is_on_hub else None), **options)
    return library


def refuse_another(model: str, library: Library) -> None:
    """Refuse a store that was made with another checkpoint than the one that is named.

    Raises:
        StoreError: If it was.
    """
    made_with = library.manifest.model
    if canonical_name(model) != made_with:
        raise StoreError(
            f"The store at {shown_store(library.directory)} was made with {made_with}, and only that checkpoint can "
            f"search it. To use {model}, index into another store (--store)."
        )
