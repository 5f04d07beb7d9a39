"""`pe-search learn`."""

from __future__ import annotations

from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_word
from pe_search.cli.input.judged import Judgements, read_judged, verdicts_of
from pe_search.cli.input.options import StoreOption, checked_texts, store_directory
from pe_search.cli.input.terms import read_reference
from pe_search.cli.output.hints import say_odd_texts
from pe_search.cli.output.messages import counted, say, say_problem
from pe_search.cli.output.taught import counted_judgements, how_it_stands
from pe_search.errors import quoted
from pe_search.known.annotations import Annotations
from pe_search.library import Library
from pe_search.queries import Reference, is_word


def learn(
    word: Annotated[
        str | None,
        typer.Argument(
            metavar="WORD",
            autocompletion=complete_word,
            rich_help_panel="Ask",
            show_default=False,
            help="The word, such as @mybird.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", rich_help_panel="Ask", help="Start from what TEXT sounds like."),
    ] = None,
    yes: Annotated[
        list[str] | None,
        typer.Option(
            "--yes",
            metavar="FILE[@S-E]",
            rich_help_panel="Files",
            help="It is heard in FILE, or in its part from S to E.",
        ),
    ] = None,
    no: Annotated[
        list[str] | None,
        typer.Option("--no", metavar="FILE[@S-E]", rich_help_panel="Files", help="It is not heard there."),
    ] = None,
    unsure: Annotated[
        list[str] | None,
        typer.Option("--unsure", metavar="FILE[@S-E]", rich_help_panel="Files", help="You can't tell; kept only."),
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="TABLE", rich_help_panel="Files", help="Read more from CSV, or from Raven or Audacity."
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="NAME",
            rich_help_panel="Files",
            show_default="the word, or its text",
            help="The label in TABLE that means yes; others mean no.",
        ),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option("--audio", metavar="FILE", rich_help_panel="Files", help="The file that TABLE is about."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Teach the store a word from sounds that are it, and sounds that are not.

    \b
        pe-search learn @mybird --text "a bird singing" --yes walk.wav@12-15
        pe-search learn @mybird --yes a.wav --yes b.wav --no wind.wav
        pe-search learn @mybird --from annotations.csv
        pe-search query @mybird

    The word then goes wherever a TEXT goes in query, label and count. Files must be in the store; FILE without a part
    is all its windows. Kept are the judgements, by the bytes of the files: a later one replaces an earlier one.

    TABLE is CSV with path, start, end, and verdict (yes, no, unsure) or label, paths as seen from its folder; a
    selection table of Raven; labels of Audacity, with --audio; or what `words --judgements` prints, which needs no
    WORD.

    Exit status: 0 done, 2 an error.
    """
    if word is not None and not is_word(word):
        raise typer.BadParameter(
            f"{quoted(word)} is not a word: write @, then letters, digits, _, - and dots, at most 99.",
            param_hint="WORD",
        )
    if text is not None:
        checked_texts([text], "--text")
    for name, value in {"--label": label, "--audio": audio}.items():
        if value is not None and from_file is None:
            raise typer.BadParameter("requires --from.", param_hint=name)
    given = {
        verdict: [read_reference(one, f"--{verdict}") for one in places or ()]
        for verdict, places in {"yes": yes, "no": no, "unsure": unsure}.items()
    }
    table = None if from_file is None else read_judged(from_file, audio)
    if word is None:
        if not isinstance(table, Judgements):
            raise typer.BadParameter("give a word, such as @mybird.", param_hint="WORD")
        if text is not None or any(given.values()):
            raise typer.BadParameter("requires WORD beside --from.", param_hint="--text / --yes / --no / --unsure")
    elif text is None and table is None and not any(given.values()):
        raise typer.BadParameter("Give --text, --yes, --no, --unsure or --from.")
    with Library(store_directory(store), on_problem=say_problem) as library:
        library.open()
        if isinstance(table, Judgements):
            _take(library, table, word, from_file or "")
        if word is None:
            return
        if isinstance(table, Annotations):
            _add(given, table, word, _text_of(library, word, text), label)
        if text is not None or any(given.values()):
            stands = library.learn(word, text=text, yes=given["yes"], no=given["no"], unsure=given["unsure"])
            if text is not None:
                say_odd_texts(library, [text], None)
            say(how_it_stands(stands))


def _take(library: Library, table: Judgements, word: str | None, file: str) -> None:
    taken = table if word is None else table.of(word)
    if not taken.rows:
        known = ", ".join(dict.fromkeys(one.word for one in table.rows))
        raise typer.BadParameter(f"{file} has nothing about {word}, but about {known}.", param_hint="--from")
    library.take_judgements(taken.rows, taken.texts)
    named = {one.word for one in taken.rows}
    say(f"{counted_judgements(len(taken.rows))} read from {file}.")
    for stands in library.words():
        if stands.word in named:
            say(how_it_stands(stands))


def _text_of(library: Library, word: str, text: str | None) -> str | None:
    known = {one.word: one.text for one in library.words()}
    return text if text is not None else known.get(word) or None


def _add(given: dict[str, list[Reference]], table: Annotations, word: str, text: str | None, label: str | None) -> None:
    """Add what a table says to what was given."""
    verdicts = verdicts_of(table, word, text, label)
    given["yes"] += verdicts.yes
    given["no"] += verdicts.no
    given["unsure"] += verdicts.unsure
    if verdicts.skipped:
        overlap = "overlaps" if verdicts.skipped == 1 else "overlap"
        say(f"{counted(verdicts.skipped, 'other label')} that {overlap} a yes skipped.")
