"""`pe-search forget`."""

from __future__ import annotations

from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_word
from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import say, say_problem
from pe_search.cli.output.taught import counted_judgements
from pe_search.errors import quoted
from pe_search.library import Library


def forget(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD...",
            autocompletion=complete_word,
            rich_help_panel="Ask",
            show_default=False,
            help="Words of the store.",
        ),
    ],
    store: StoreOption = None,
) -> None:
    """Forget words with all that was judged for them.

    \b
        pe-search forget @mybird
        pe-search words --judgements -o backup.csv; pe-search forget @mybird @dog

    The clips and their embeddings stay.

    Exit status: 0 forgotten, 2 an error, also if the store knows no such word.
    """
    with Library(store_directory(store), on_problem=say_problem) as library:
        known = [one.word for one in library.words()]
        for word in words:
            if word not in known:
                there = f"it knows {', '.join(known)}" if known else "it knows none"
                raise typer.BadParameter(f"the store has no word {quoted(word)}; {there}.", param_hint="WORD")
        for word in dict.fromkeys(words):
            was = library.forget(word)
            say(f"{word} forgotten, with {counted_judgements(was.yes + was.no + was.unsure)}.")
