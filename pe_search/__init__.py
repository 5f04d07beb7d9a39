"""pe-search finds sounds by what they sound like, with PE Audio embeddings in a FAISS store."""

from pe_search.errors import AudioError, CheckpointError, PeSearchError, StoreError
from pe_search.records import Clip, Hit, IndexSummary, Match, Problem, Span, SpanRules, Trace, Window

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "CheckpointError",
    "Clip",
    "Hit",
    "IndexSummary",
    "Match",
    "PeSearchError",
    "Problem",
    "Span",
    "SpanRules",
    "StoreError",
    "Trace",
    "Window",
    "__version__",
]
