"""`pe-search query`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint, complete_frame_checkpoint, complete_word
from pe_search.cli.input.conversation import Conversation, ctrl_c_put_off
from pe_search.cli.input.field_options import HitFieldsOption, OutputOption, chosen_format, read_fields
from pe_search.cli.input.filters import (
    BpmOption,
    ChannelsOption,
    HourOption,
    LengthOption,
    LoudnessOption,
    NameOption,
    RateOption,
    RecordedOption,
    TagOption,
    make_filters,
)
from pe_search.cli.input.fitting import refuse_another
from pe_search.cli.input.language import LanguageModelOption, refuse_idle_language_model
from pe_search.cli.input.lists import FromFileOption, read_more_texts
from pe_search.cli.input.numbers import number_between, read_count
from pe_search.cli.input.options import NullOption, StoresOption, checked_texts, format_option, store_directories
from pe_search.cli.input.span_options import (
    DEFAULT_RULES,
    JoinOption,
    MinLengthOption,
    SmoothOption,
    ThresholdOption,
    span_rules,
)
from pe_search.cli.input.terms import (
    MinusOption,
    PlusOption,
    read_queries,
    read_reference,
    read_term,
    refuse_for_words_alone,
    refuse_learned,
    refuse_what_is_said,
)
from pe_search.cli.output.answers import AnswerPrinter
from pe_search.cli.output.files import output_to
from pe_search.cli.output.hints import is_on_terminal
from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.messages import say, say_compiling, say_problem
from pe_search.cli.output.picks import CopyToOption, CutToOption, PlayOption
from pe_search.cli.output.raven import RavenFiles, RavenSequenceOption
from pe_search.cli.output.timelines import TIMELINE_FORMATS
from pe_search.directories import absolute
from pe_search.known.fields import HIT_FIELDS
from pe_search.libraries import Libraries
from pe_search.library import Library
from pe_search.listener import ListenerOptions, nothing_around
from pe_search.queries import Query, Request


def query(
    context: typer.Context,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...",
            autocompletion=complete_word,
            rich_help_panel="Ask",
            show_default=False,
            help="What to find. Quote a phrase. - reads standard input.",
        ),
    ] = None,
    from_file: FromFileOption = None,
    plus: PlusOption = None,
    minus: MinusOption = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            metavar="FILE[@S-E]",
            rich_help_panel="Ask",
            help="Sound like FILE, or like its part from S to E.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            "--unlike",
            metavar="FILE[@S-E]",
            rich_help_panel="Ask",
            help="Not sound like FILE, or like its part from S to E.",
        ),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            "--words",
            metavar="WORDS",
            rich_help_panel="Ask",
            show_default=False,
            help="Have WORDS in names, folders, tags or captions.",
        ),
    ] = None,
    said: Annotated[
        str | None,
        typer.Option(
            "--said",
            metavar="WORDS",
            rich_help_panel="Ask",
            show_default=False,
            help="Find where WORDS are said, by transcripts.",
        ),
    ] = None,
    is_any: Annotated[
        bool,
        typer.Option("--any", rich_help_panel="Ask", help="Make one query of all TEXTs: their average."),
    ] = False,
    k: Annotated[
        int,
        typer.Option(
            "-k",
            metavar="N",
            parser=read_count,
            rich_help_panel="Show",
            help="Show the best N hits per query, or all.",
        ),
    ] = 10,
    hit_format: Annotated[
        HitFormat | None,
        format_option(
            "table, paths, jsonl, csv, parquet; spans: audacity, raven, reaper, cue, srt.",
            "table; in a pipe paths",
        ),
    ] = None,
    fields: HitFieldsOption = None,
    output: OutputOption = None,
    null: NullOption = False,
    under: Annotated[
        Path | None,
        typer.Option("--under", metavar="PATH", rich_help_panel="Filter", help="Search only this folder or clip."),
    ] = None,
    all_windows: Annotated[
        bool,
        typer.Option("--all-windows", rich_help_panel="Show", help="Show all windows of a clip, not only its best."),
    ] = False,
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability",
            parser=number_between(0.0, 1.0),
            metavar="P",
            rich_help_panel="Filter",
            help="Drop hits whose probability is below P.",
        ),
    ] = 0.0,
    fdr: Annotated[
        float | None,
        typer.Option(
            "--fdr",
            parser=number_between(0.0, 1.0),
            metavar="F",
            rich_help_panel="Filter",
            show_default=False,
            help="Only clear hits; at most a share F of them is chance.",
        ),
    ] = None,
    length: LengthOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    name: NameOption = None,
    tag: TagOption = None,
    recorded: RecordedOption = None,
    hour: HourOption = None,
    loudness: LoudnessOption = None,
    bpm: BpmOption = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", rich_help_panel="Filter", help="Search all windows of a large store."),
    ] = False,
    spans: Annotated[
        bool,
        typer.Option("--spans", rich_help_panel="Spans", help="Show when in each hit the sound is heard."),
    ] = False,
    question: Annotated[
        str | None,
        typer.Option(
            "--ask",
            metavar="QUESTION",
            rich_help_panel="Ask",
            show_default=False,
            help="Ask a language model about each hit, or with --spans about its spans.",
        ),
    ] = None,
    language_model: LanguageModelOption = None,
    frame_model: Annotated[
        str | None,
        typer.Option(
            "--frame-model",
            metavar="NAME",
            autocompletion=complete_frame_checkpoint,
            rich_help_panel="Spans",
            show_default="by the store's",
            help="The checkpoint for spans.",
        ),
    ] = None,
    threshold: ThresholdOption = None,
    smooth_s: SmoothOption = None,
    min_length_s: MinLengthOption = None,
    join_s: JoinOption = None,
    is_raven_sequence: RavenSequenceOption = False,
    copy_to: CopyToOption = None,
    cut_to: CutToOption = None,
    is_to_play: PlayOption = False,
    is_to_explain: Annotated[
        bool,
        typer.Option("--explain", rich_help_panel="Show", help="Say on stderr what was searched, and how."),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            rich_help_panel="Store",
            help="Fail if the store was made with another checkpoint.",
        ),
    ] = None,
    store: StoresOption = None,
) -> None:
    """Find the clips that sound most like a text or other audio, or have words.

    \b
        pe-search query "dog barking"
        pe-search query "rain on a tin roof" -k 50 --min-probability 0.5
        pe-search query "dog barking" --spans
        pe-search query --like bark.wav --minus speech

    Each TEXT is one query. Without TEXT, a terminal asks for one after another. The probability of a hit is that of
    its window; a span has its own.

    With --words and a TEXT, the ranks by sound and by words are fused; with --words alone, no model is loaded. All
    WORDS must match; kick* is a prefix, "two words" a phrase, and -word excludes. --said is the same for what is said.

    Exit status: 0 found, 1 nothing found, 2 an error.
    """
    shown = read_fields(fields, HIT_FIELDS)
    filters = make_filters(length, rate, channels, name, tag, recorded, hour, loudness, bpm)
    is_asked = texts or plus or like or is_any or from_file or words is not None or said is not None
    converses = not is_asked and sys.stdin.isatty() and sys.stdout.isatty()
    if converses and output is not None:
        raise typer.BadParameter("requires a TEXT.", param_hint="-o")
    if converses:
        # What each query will have, beside what is typed.
        minus_terms = tuple(read_term(term, "--minus") for term in minus or ())
        references = tuple(read_reference(reference, "--unlike") for reference in unlike or ())
        queries: tuple[Query, ...] = (Query(minus=minus_terms, unlike=references),)
    else:
        queries = read_queries(
            read_more_texts(texts or [], from_file),
            plus or [],
            minus or [],
            like or [],
            unlike or [],
            is_any=is_any,
            words=words,
            said=said,
        )
    rules_at = partial(span_rules, threshold, smooth_s, min_length_s, join_s)
    if spans and (null or hit_format is HitFormat.PATHS):
        raise typer.BadParameter("can't print paths; use --format table, jsonl or csv.", param_hint="--spans")
    if question is not None:
        checked_texts([question], "--ask")
        if null or hit_format is HitFormat.PATHS or hit_format in TIMELINE_FORMATS:
            raise typer.BadParameter("requires --format table, jsonl, csv or parquet.", param_hint="--ask")
    elif not converses:
        refuse_idle_language_model(context)
    if fdr is not None and (like or unlike):
        raise typer.BadParameter("can't be used with --like or --unlike.", param_hint="--fdr")
    directories = store_directories(store)
    if fdr is not None and len(directories) > 1:
        raise typer.BadParameter("can't be used with several stores.", param_hint="--fdr")
    if spans and not converses and not all(query.texts or query.plus for query in queries):
        raise typer.BadParameter("needs a TEXT or --plus.", param_hint="--spans")
    for option, is_given in {"--spans": spans, "--fdr": fdr is not None}.items():
        if is_given:
            refuse_learned(queries, option)
    if not (converses or queries[0].has_sound):
        refuse_for_words_alone(
            {
                "--min-probability": min_probability,
                "--fdr": fdr is not None,
                "--all-windows": all_windows and said is None,
            },
            "--words" if said is None else "--said",
        )
    if not (spans or converses) and (frame_model is not None or rules_at() != DEFAULT_RULES):
        raise typer.BadParameter("--threshold, --smooth, --min-length, --join and --frame-model require --spans.")
    if not (spans or said) and hit_format in TIMELINE_FORMATS:
        raise typer.BadParameter(f"--format {hit_format} requires --spans or --said.")
    if len(texts or ()) > 1 and not is_any and is_on_terminal() and all(text.isalnum() for text in texts or ()):
        phrase = " ".join(texts or ())
        say(f'{len(texts or ())} queries: {"; ".join(texts or ())}. Quote a phrase: pe-search query "{phrase}"')
    hit_format = chosen_format(
        hit_format,
        HitFormat,
        in_a_pipe="jsonl" if spans or question is not None else "paths",
        output=output,
        shown=shown,
        null=null,
        shows_paths=not (spans or question is not None),
    )
    if is_raven_sequence and hit_format is not HitFormat.RAVEN:
        raise typer.BadParameter("--raven-sequence requires --format raven.")

    request = Request(
        queries=queries,
        k=k or None,
        under=None if under is None else absolute(under),
        all_windows=all_windows,
        min_probability=min_probability,
        fdr=fdr,
        exact=exact,
        filters=filters,
        words=words or "",
        said=said or "",
    )
    if said is not None:
        refuse_what_is_said(said, request)

    options = ListenerOptions(
        frame_model=frame_model,
        # What a conversation has loaded it needs again.
        loading=ctrl_c_put_off if converses else nothing_around,
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    library = Library(directories[0], **options) if len(directories) == 1 else Libraries(directories, **options)
    with library:
        if model is not None:
            refuse_another(model, library)
        raven = RavenFiles(library.describe)
        if is_raven_sequence:
            raven.open_as_sequence((clip.path for clip in library.clips(request.under)), say_problem)
        is_to_hint = is_on_terminal() and not converses
        printer = AnswerPrinter(
            library=library,
            hit_format=hit_format,
            fields=shown,
            null=null,
            spans=spans,
            rules_at=rules_at,
            copy_to=copy_to,
            cut_to=cut_to,
            is_to_play=is_to_play,
            is_to_explain=is_to_explain,
            is_to_hint=is_to_hint,
            raven=raven,
            question=question,
            language_model=language_model,
        )
        if converses:
            _converse(printer, request)
            return
        with output_to(output):
            status = printer.show(request)
    if status:
        raise typer.Exit(status)


def _converse(printer: AnswerPrinter, request: Request) -> None:
    # What is missing should be told before the first line, not after each.
    printer.library.open()
    printer.picks()

    Conversation(
        printer.library, request, printer.show, printer.rules_at, printer.copy_to, printer.language_model
    ).hold()
