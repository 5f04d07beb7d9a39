"""`pe-search query`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.asked_store import AskedStore
from pe_search.cli.options import (
    DEFAULT_RULES,
    JoinOption,
    MinLengthOption,
    SmoothOption,
    StoreOption,
    ThresholdOption,
    a_number,
    checked_texts,
    expanded,
    span_rules,
    store_directory,
)
from pe_search.cli.picks import CopyToOption, CutToOption, Picks, PlayOption
from pe_search.cli.render import HitFormat, write_hits
from pe_search.cli.timelines import TIMELINE_FORMATS
from pe_search.errors import StoreError
from pe_search.records import Query, Request


def query(
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT", help="What to look for; each TEXT is a query of its own.")
    ],
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
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Refuse a store that was made with another checkpoint."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Find the clips that sound most like a text.

    The text is embedded by the checkpoint that the store was made with, and the clips are ranked by the inner product
    of the two embeddings. Several TEXTs are answered one after the other; in JSON Lines and CSV each hit names its
    query. Exit status: 0 if there is a hit, 1 if there is none, 2 on an error.

    \b
        pe-search query "dog barking"
        pe-search query "heavy rain on a tin roof" -k 50 --min-probability 0.5
        pe-search query siren -0 | xargs -0 cp -t picks/
        pe-search query "church bell" "door slam" --format jsonl | jq .path
        pe-search query "dog barking" --spans
        pe-search query "snare drum" -k 20 --copy-to picks/
    """
    if null and hit_format not in (None, HitFormat.PATHS):
        raise typer.BadParameter("goes with --format paths only.", param_hint="-0")
    checked_texts(texts, "TEXT")
    rules = span_rules(threshold, smooth_s, min_length_s, join_s)
    if spans and (null or hit_format is HitFormat.PATHS):
        raise typer.BadParameter("can't be shown as paths; take --format table, jsonl or csv.", param_hint="--spans")
    if not spans and (frame_model is not None or rules != DEFAULT_RULES):
        raise typer.BadParameter("is missing, and with it a use for the options about spans.", param_hint="--spans")
    if not spans and hit_format in TIMELINE_FORMATS:
        raise typer.BadParameter(f"is missing, and without it {hit_format} has nothing to tell.", param_hint="--spans")
    if hit_format is None:
        in_a_pipe = HitFormat.JSONL if spans else HitFormat.PATHS
        hit_format = HitFormat.TABLE if sys.stdout.isatty() and not null else in_a_pipe

    request = Request(
        queries=tuple(Query(text) for text in texts),
        k=k,
        under=None if under is None else Path(os.path.abspath(expanded(under))),
        all_windows=all_windows,
        min_probability=min_probability,
        exact=exact,
    )

    with AskedStore(store_directory(store)) as asked:
        if model is not None:
            _refuse_another(model, asked)
        answers = asked.answers(request)
        picks = Picks(copy_to, cut_to, is_to_play=is_to_play)
        if spans:
            from pe_search.cli.hit_spans import write_with_spans

            status = write_with_spans(answers, texts, asked.opened, rules, frame_model, hit_format, picks)
        else:
            status = 0 if write_hits(picks.of_hits(answers, asked.clip), hit_format, null=null) else 1
        picks.finish()
        if picks.problems:
            status = 2
        if status:
            raise typer.Exit(status)


def _refuse_another(model: str, asked: AskedStore) -> None:
    from pe_search.pe_audio.checkpoint import canonical_name

    made_with = asked.opened.manifest.model
    if canonical_name(model) != made_with:
        raise StoreError(
            f"The store at {asked.opened.directory} was made with {made_with}, and only that checkpoint can search it; "
            f"index into another store (--store) to use {model}."
        )
