"""pe-search finds sounds by what they sound like, with PE Audio embeddings in a FAISS store."""

from pe_search.errors import AudioError, CheckpointError, PeSearchError, StoreError
from pe_search.records import (
    Account,
    Clip,
    Content,
    Duplicate,
    Hit,
    IndexSummary,
    LeftOut,
    Match,
    Problem,
    Query,
    Reference,
    Request,
    SearchEffort,
    Span,
    SpanRules,
    Term,
    Trace,
    Verification,
    Window,
)

__version__ = "0.1.0"

__all__ = [
    "Account",
    "AudioError",
    "CheckpointError",
    "Clip",
    "Content",
    "Duplicate",
    "Hit",
    "IndexSummary",
    "LeftOut",
    "Match",
    "PeSearchError",
    "Problem",
    "Query",
    "Reference",
    "Request",
    "SearchEffort",
    "Span",
    "SpanRules",
    "StoreError",
    "Term",
    "Trace",
    "Verification",
    "Window",
    "__version__",
]
