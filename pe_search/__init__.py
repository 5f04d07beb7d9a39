"""pe-search finds sounds by what they sound like, with PE Audio embeddings in a FAISS store."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pe_search.errors import AudioError, CheckpointError, PatternError, PeSearchError, QueryError, StoreError

if TYPE_CHECKING:
    from pe_search.libraries import Libraries
    from pe_search.library import Library
    from pe_search.queries import (
        Answer,
        Duplicate,
        EmbeddingEffort,
        Hit,
        Query,
        Reference,
        Request,
        SearchEffort,
        Span,
        SpanRules,
        Term,
        Trace,
    )
    from pe_search.records import Clip, Hearing, Incomplete, IndexedClip, LeftOut, Problem
    from pe_search.reports import (
        Embeddings,
        IndexPlan,
        IndexSummary,
        PassedOver,
        Progress,
        Rebuilding,
        Removal,
        Root,
        Status,
        Verification,
    )

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AudioError",
    "CheckpointError",
    "Clip",
    "Duplicate",
    "EmbeddingEffort",
    "Embeddings",
    "Hearing",
    "Hit",
    "Incomplete",
    "IndexPlan",
    "IndexSummary",
    "IndexedClip",
    "LeftOut",
    "Libraries",
    "Library",
    "PassedOver",
    "PatternError",
    "PeSearchError",
    "Problem",
    "Progress",
    "Query",
    "QueryError",
    "Rebuilding",
    "Reference",
    "Removal",
    "Request",
    "Root",
    "SearchEffort",
    "Span",
    "SpanRules",
    "Status",
    "StoreError",
    "Term",
    "Trace",
    "Verification",
    "__version__",
    "create",
    "open",
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
        path: Its folder; None for $PE_SEARCH_STORE, else the one in the user's data directory. Of several folders,
            queries are put to all stores, and their hits are ranked together; see `Libraries`.
        device: Where the model runs: `auto`, `cpu`, `cuda` or `mps`.
        dtype: What it calculates in: `auto`, `float32`, `bfloat16` or `float16`.
        on_problem: Called when something is amiss that need not stop the work, as when the index is damaged.

    Raises:
        StoreError: If there is none, it is damaged, or of a newer format; or two are of different checkpoints.
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
        model: `builtin`; `small`, `base` or `large` for `facebook/pe-av-*`; a Hugging Face id; or a directory. What is
            not on this machine is fetched from the Hugging Face hub.
        revision: Branch, tag or commit of a Hugging Face checkpoint.
        window_s: Length of a window, 0.04 to 30.
        hop_s: Step from one window to the next, 0.04 to the window's length, which None stands for.
        level: `auto` to bring quiet windows up to a usual level, `none` to leave them as they are.
        speed: How fast clips are played to the model, 0.001 to 1: 0.1 for bats.
        track: Which audio track is read of a file with several, from 1.
        device: As in `open`.
        dtype: As in `open`.
        on_problem: As in `open`.

    Raises:
        ValueError: If a length, level, speed or track is none of those.
        StoreError: If there is a store already, or none can be made there.
        CheckpointError: If the checkpoint can't be found, fetched or loaded.
    """
    from pe_search.directories import default_store
    from pe_search.library import Library
    from pe_search.model import Wanted

    wanted = Wanted(model, revision, window_s, hop_s, level, speed, track, may_fetch=True)
    wanted.check()
    library = Library(path or default_store(), wanted=wanted, device=device, dtype=dtype, on_problem=on_problem)
    library.create()
    return library


def __getattr__(name: str) -> Any:
    # Every command imports this package, and to make all records takes a tenth of a quick one's time.
    if name in __all__:
        from importlib import import_module

        for home in ("queries", "records", "reports", "library", "libraries"):
            found = vars(import_module(f"pe_search.{home}"))
            if name in found:
                return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
