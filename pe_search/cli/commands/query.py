"""`pe-search query`."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint, complete_frame_checkpoint
from pe_search.cli.input.conversation import Conversation, ctrl_c_put_off
from pe_search.cli.input.lists import read_more_texts
from pe_search.cli.input.options import StoreOption, a_number, store_directory
from pe_search.cli.input.span_options import (
    DEFAULT_RULES,
    JoinOption,
    MinLengthOption,
    SmoothOption,
    ThresholdOption,
    span_rules,
)
from pe_search.cli.input.terms import read_queries, read_term
from pe_search.cli.output.answers import AnswerPrinter, OnHits
from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.messages import say_compiling, say_problem
from pe_search.cli.output.picks import CopyToOption, CutToOption, PlayOption
from pe_search.cli.output.timelines import TIMELINE_FORMATS
from pe_search.directories import absolute
from pe_search.errors import StoreError
from pe_search.library import Library
from pe_search.listener import nothing_around
from pe_search.model import canonical_name
from pe_search.queries import Query, Request


def query(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...",
            show_default=False,
            help="What to look for; each TEXT is a query of its own. - takes them from standard input, one a line.",
        ),
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option("--from-file", metavar="FILE", show_default=False, help="More TEXTs, one on each line of a file."),
    ] = None,
    plus: Annotated[
        list[str] | None,
        typer.Option(
            "--plus",
            metavar="[W:]TEXT",
            help="What it should sound like too; W is its weight, 1 if left out. Repeatable.",
        ),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option("--minus", metavar="[W:]TEXT", help="What it should not sound like, likewise. Repeatable."),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like", metavar="FILE[@S-E]", help="Audio that it should sound like, or seconds S to E of it. Repeatable."
        ),
    ] = None,
    is_any: Annotated[
        bool, typer.Option("--any", help="The TEXTs are wordings for one thing: ask for their average.")
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Show the N best hits of each query.")] = 10,
    hit_format: Annotated[
        HitFormat | None,
        typer.Option("--format", show_default=False, help="[default: table on a terminal, paths in a pipe]"),
    ] = None,
    null: Annotated[
        bool, typer.Option("-0", "--null", help="End each path with a NUL byte, for xargs -0; implies paths.")
    ] = False,
    under: Annotated[
        Path | None, typer.Option("--under", metavar="PATH", help="Only clips below this folder, or this one clip.")
    ] = None,
    all_windows: Annotated[
        bool, typer.Option("--all-windows", help="Show every window of a clip, not only its best.")
    ] = False,
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability", min=0.0, max=1.0, metavar="P", callback=a_number, help="Leave out hits below P."
        ),
    ] = 0.0,
    fdr: Annotated[
        float | None,
        typer.Option(
            "--fdr",
            min=0.0,
            max=1.0,
            metavar="F",
            callback=a_number,
            show_default=False,
            help="Only hits that stand out against what unrelated texts score here, a share F of them false at most.",
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Go through every window, also of a store so large that most can be passed over."),
    ] = False,
    spans: Annotated[
        bool, typer.Option("--spans", help="Show when within each hit the sound is heard; no paths then.")
    ] = False,
    frame_model: Annotated[
        str | None,
        typer.Option(
            "--frame-model",
            metavar="NAME",
            autocompletion=complete_frame_checkpoint,
            show_default=False,
            help="The checkpoint that finds the spans. [default: the store's; of facebook/pe-av-*, the "
            "facebook/pe-a-frame-* of the same size]",
        ),
    ] = None,
    threshold: ThresholdOption = None,
    smooth_s: SmoothOption = None,
    min_length_s: MinLengthOption = None,
    join_s: JoinOption = None,
    copy_to: CopyToOption = None,
    cut_to: CutToOption = None,
    is_to_play: PlayOption = False,
    is_to_explain: Annotated[
        bool,
        typer.Option("--explain", help="Say on stderr how the answers came about, and what was not searched."),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            help="Refuse a store that was made with another checkpoint.",
        ),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Find the clips that sound most like a text, or like audio.

    The text is embedded by the checkpoint that the store was made with, and the clips are ranked by the inner product
    of the two embeddings; audio by the cosine. --plus, --minus and --like go with every TEXT, or stand alone. Several
    TEXTs are answered one after the other; in JSON Lines and CSV each hit names its query. With nothing to look for, on
    a terminal, it asks you for one TEXT after the other, until :quit. Exit status: 0 if there is a hit, 1 if there is
    none, 2 on an error.

    \b
        pe-search query "dog barking"
        pe-search query "heavy rain on a tin roof" -k 50 --min-probability 0.5
        pe-search query siren -0 | xargs -0 cp -t picks/
        pe-search query "church bell" "door slam" --format jsonl | jq .path
        pe-search query "dog barking" --spans
        pe-search query "snare drum" -k 20 --copy-to picks/
        pe-search query "dog barking" --plus 0.5:rain --minus speech
        pe-search query --like bark.wav --like walk.wav@31.5-34
        pe-search query --from-file queries.txt --format csv > hits.csv
        pe-search query "smoke alarm" --fdr 0.05 || echo "nothing here"
    """
    if null and hit_format not in (None, HitFormat.PATHS):
        raise typer.BadParameter("goes with --format paths only.", param_hint="-0")
    converses = not (texts or plus or like or is_any or from_file) and sys.stdin.isatty() and sys.stdout.isatty()
    if converses:
        # What each query will have, beside what is typed.
        queries: tuple[Query, ...] = (Query((), (), tuple(read_term(term, "--minus") for term in minus or ()), ()),)
    else:
        queries = read_queries(
            read_more_texts(texts or [], from_file), plus or [], minus or [], like or [], is_any=is_any
        )
    rules_at = partial(span_rules, threshold, smooth_s, min_length_s, join_s)
    if spans and (null or hit_format is HitFormat.PATHS):
        raise typer.BadParameter("can't be shown as paths; take --format table, jsonl or csv.", param_hint="--spans")
    if fdr is not None and like:
        raise typer.BadParameter("holds texts against other texts, and can't judge --like.", param_hint="--fdr")
    if spans and not converses and not all(query.texts or query.plus for query in queries):
        raise typer.BadParameter("listens for texts; give one beside --like.", param_hint="--spans")
    if not (spans or converses) and (frame_model is not None or rules_at() != DEFAULT_RULES):
        raise typer.BadParameter("is missing, and with it a use for the options about spans.", param_hint="--spans")
    if not spans and hit_format in TIMELINE_FORMATS:
        raise typer.BadParameter(f"is missing, and without it {hit_format} has nothing to tell.", param_hint="--spans")
    if hit_format is None:
        in_a_pipe = HitFormat.JSONL if spans else HitFormat.PATHS
        hit_format = HitFormat.TABLE if sys.stdout.isatty() and not null else in_a_pipe

    request = Request(
        queries=queries,
        k=k,
        under=None if under is None else absolute(under),
        all_windows=all_windows,
        min_probability=min_probability,
        fdr=fdr,
        exact=exact,
    )

    # What a conversation has loaded it needs again.
    library = Library(
        store_directory(store),
        frame_model=frame_model,
        loading=ctrl_c_put_off if converses else nothing_around,
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    with library:
        if model is not None:
            _refuse_another(model, library)
        printer = AnswerPrinter(library, hit_format, null, spans, rules_at, copy_to, cut_to, is_to_play, is_to_explain)
        if converses:
            _converse(printer, request)
        elif status := printer.show(request):
            raise typer.Exit(status)


def _converse(printer: AnswerPrinter, request: Request) -> None:
    # What is missing should be told before the first line, not after each.
    printer.library.open()
    printer.picks()

    def show(query: Query, on_hits: OnHits) -> None:
        # Like --like, which --fdr can't judge either.
        printer.show(replace(request, queries=(query,), fdr=None if query.like else request.fdr), on_hits)

    Conversation(printer.library, request.queries[0], show, printer.rules_at).hold()


def _refuse_another(model: str, library: Library) -> None:
    made_with = library.manifest.model
    if canonical_name(model) != made_with:
        raise StoreError(
            f"The store at {library.directory} was made with {made_with}, and only that checkpoint can search it; "
            f"index into another store (--store) to use {model}."
        )
