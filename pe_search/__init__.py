"""pe-search finds sounds by what they sound like, with PE Audio embeddings in a FAISS store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pe_search.errors import (
    AudioError,
    CheckpointError,
    ClusterError,
    LanguageModelError,
    MissingExtraError,
    PatternError,
    PeSearchError,
    QueryError,
    StoreBusyError,
    StoreError,
    TableError,
    TuningError,
    UnansweredError,
)

if TYPE_CHECKING:
    from pe_search.descriptions import Caption, Description, Turn
    from pe_search.efforts import EmbeddingEffort, SearchEffort
    from pe_search.evaluations import Estimate, Evaluation
    from pe_search.libraries import Libraries
    from pe_search.library import Library
    from pe_search.maps import SoundMap
    from pe_search.queries import (
        Answer,
        Duplicate,
        Filters,
        Hit,
        Query,
        Reference,
        Request,
        Span,
        SpanRules,
        Term,
        Trace,
    )
    from pe_search.records import (
        Clip,
        Hearing,
        Incomplete,
        IndexedClip,
        Judgement,
        LeftOut,
        Problem,
        Segment,
        SpokenWord,
        Transcribed,
        Transcript,
        Word,
    )
    from pe_search.reports import (
        Counts,
        Embeddings,
        FilterEffect,
        IndexPlan,
        IndexSummary,
        PassedOver,
        Progress,
        Rebuilding,
        Relocation,
        Removal,
        Root,
        Status,
        Tagging,
        Verification,
    )
    from pe_search.trust import trust_urls
    from pe_search.tunings import CaptionLoss, CaptionTuning, Tuning

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AudioError",
    "Caption",
    "CaptionLoss",
    "CaptionTuning",
    "CheckpointError",
    "Clip",
    "ClusterError",
    "Counts",
    "Description",
    "Duplicate",
    "EmbeddingEffort",
    "Embeddings",
    "Estimate",
    "Evaluation",
    "FilterEffect",
    "Filters",
    "Hearing",
    "Hit",
    "Incomplete",
    "IndexPlan",
    "IndexSummary",
    "IndexedClip",
    "Judgement",
    "LanguageModelError",
    "LeftOut",
    "Libraries",
    "Library",
    "MissingExtraError",
    "PassedOver",
    "PatternError",
    "PeSearchError",
    "Problem",
    "Progress",
    "Query",
    "QueryError",
    "Rebuilding",
    "Reference",
    "Relocation",
    "Removal",
    "Request",
    "Root",
    "SearchEffort",
    "Segment",
    "SoundMap",
    "Span",
    "SpanRules",
    "SpokenWord",
    "Status",
    "StoreBusyError",
    "StoreError",
    "TableError",
    "Tagging",
    "Term",
    "Trace",
    "Transcribed",
    "Transcript",
    "Tuning",
    "TuningError",
    "Turn",
    "UnansweredError",
    "Verification",
    "Word",
    "__version__",
    "create",
    "open",
    "trust_urls",
    "tune",
    "tune_language_model",
]


def open(  # noqa: A001 (as gzip.open)
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    on_problem: Callable[[Problem], None] = lambda _problem: None,
) -> Library:
    """Open a store, or several of one checkpoint that are asked as one.

    Args:
        path: The folder of the store. None means $PE_SEARCH_STORE, or else the store in the user's data directory. With
            several folders, queries go to all stores and their hits are ranked together; see `Libraries`.
        device: The device that runs the model: `auto`, `cpu`, `cuda` or `mps`.
        dtype: The number type of the model: `auto`, `float32`, `bfloat16` or `float16`.
        on_problem: Called with each problem that does not stop the work, such as a damaged index.

    Raises:
        StoreError: If there is no store, or it is damaged or has a newer format; or if two have different checkpoints.
    """
    from pe_search.directories import default_store
    from pe_search.libraries import Libraries
    from pe_search.library import Library

    library: Library
    if path is None or isinstance(path, str | os.PathLike):
        library = Library(path or default_store(), device=device, dtype=dtype, on_problem=on_problem)
    else:
        library = Libraries(path, device=device, dtype=dtype, on_problem=on_problem)
    library.open()
    return library


def create(
    path: str | os.PathLike[str] | None = None,
    model: str = "builtin",
    *,
    revision: str | None = None,
    window_s: float = 10.0,
    hop_s: float | None = None,
    level: str = "auto",
    speed: float = 1.0,
    track: int = 1,
    device: str = "auto",
    dtype: str = "auto",
    on_problem: Callable[[Problem], None] = lambda _problem: None,
) -> Library:
    """Make a new, empty store.

    Args:
        path: As in `open`.
        model: `builtin`; `small`, `base` or `large` for `facebook/pe-av-*`; a Hugging Face id; or a directory. A
            checkpoint that is not on this machine is downloaded from the Hugging Face hub.
        revision: Branch, tag or commit of a Hugging Face checkpoint.
        window_s: Length of a window in seconds, 0.04 to 30.
        hop_s: Seconds from one window to the next, 0.04 to `window_s`. None means `window_s`.
        level: `auto` raises quiet windows to a usual level, `none` does not.
        speed: The speed at which the model gets clips, 0.001 to 1; 0.1 for bats.
        track: The audio track to read from a file with several, from 1.
        device: As in `open`.
        dtype: As in `open`.
        on_problem: As in `open`.

    Raises:
        ValueError: If a length, level, speed or track is out of range.
        StoreError: If there is already a store, or none can be made there.
        CheckpointError: If the checkpoint can't be found, downloaded or loaded.
    """
    from pe_search.directories import default_store
    from pe_search.library import Library
    from pe_search.model import Wanted

    wanted = Wanted(model, revision, window_s, hop_s, level, speed, track, may_fetch=True)
    wanted.check()
    library = Library(path or default_store(), wanted=wanted, device=device, dtype=dtype, on_problem=on_problem)
    library.create()
    return library


def tune(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    model: str = "builtin",
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    **options: Any,
) -> Tuning:
    """Adapt a checkpoint to what a table says is heard, and write the result as a checkpoint of its own.

    `Library.tune` does the same with the checkpoint and the windows of a store.

    Args:
        data: A table of what is heard in clips, as in `Library.evaluate`.
        out: The folder to make.
        model: As in `create`; the checkpoint to begin with.
        revision: As in `create`.
        device: As in `open`.
        dtype: As in `open`; of the codec. What learns is calculated in float32.
        **options: As in `Library.tune`, which also says what is raised.
    """
    from pe_search.model import Wanted
    from pe_search.tuner import Tuner

    return Tuner(Wanted(model, revision, may_fetch=True), device=device, dtype=dtype).tune(data, out, **options)


def tune_language_model(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    language_model: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    **options: Any,
) -> CaptionTuning:
    """Adapt a language model to captions of a table, and write what it learned as an adapter.

    Args:
        data: As in `Library.tune_language_model`.
        out: The folder to make, which `language_model` of `Library.ask` takes.
        language_model: A Hugging Face id that is on this machine, or a directory.
        device: As in `open`.
        dtype: As in `open`; of the weights that stay. Adapters are float32.
        **options: As in `Library.tune_language_model`, which also says what is raised.
    """
    from pe_search.tuner import Tuner

    tuner = Tuner(device=device, dtype=dtype)
    return tuner.tune_language_model(data, out, language_model=language_model, **options)


def __getattr__(name: str) -> Any:
    # Every command imports this package, and to make all records takes a tenth of a quick one's time.
    if name in __all__:
        from importlib import import_module

        homes = ("queries", "efforts", "records", "reports", "library", "libraries", "evaluations", "descriptions")
        for home in (*homes, "tunings", "maps", "trust"):
            found = vars(import_module(f"pe_search.{home}"))
            if name in found:
                return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
