"""`pe-search query --explain`: how the answers came about, and what was not searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import counted, say
from pe_search.records import Account, Request, SearchEffort

if TYPE_CHECKING:
    from pe_search.cli.asked_store import AskedStore
    from pe_search.pe_audio.compiled import CompiledTextEmbedder
    from pe_search.pe_audio.embedder import Embedder


def explain(asked: AskedStore, request: Request, accounts: Sequence[Account]) -> None:
    """Say on stderr how a request was answered.

    Args:
        asked: What answered it here.
        request: What was asked.
        accounts: How each query was answered.
    """
    store, embedder = asked.opened, asked.embedder
    say(f"checkpoint: {store.manifest.model}, revision {store.manifest.revision}")
    from_where = [f"{embedder.texts_remembered:,} remembered"] if embedder.texts_remembered else []
    if embedder.texts_embedded:
        from_where.append(f"{embedder.texts_embedded:,} embedded by {_runtime(asked.text_embedder)}")
    if from_where:
        say(f"texts: {', '.join(from_where)}")
    if embedder.windows_embedded:
        runtime = f"torch on {asked.window_embedder.device.type} in {asked.window_embedder.dtype}"
        say(f"audio: {counted(embedder.windows_embedded, 'window')} embedded by {runtime}")
    elif any(query.like for query in request.queries):
        say("audio: its embeddings are in the store")
    for account in accounts:
        say(f"{account.query}: {_searched(account.effort)}; {_shown(account, request)}")
    if request.under is not None and accounts:
        outside = store.window_count() - accounts[-1].effort.windows
        say(f"not searched: {counted(outside, 'window')} of clips elsewhere than --under {request.under}")
    left_out = len(store.left_out())
    if left_out:
        say(f"not searched: {counted(left_out, 'clip')} that index left out; see `pe-search status --problems`")


def _runtime(text_embedder: CompiledTextEmbedder | Embedder) -> str:
    from pe_search.pe_audio.compiled import CompiledTextEmbedder

    is_compiled = isinstance(text_embedder, CompiledTextEmbedder)
    return "the compiled text tower on cpu" if is_compiled else "torch on cpu in float32"


def _searched(effort: SearchEffort) -> str:
    searched = f"{effort.windows_searched:,} of {counted(effort.windows, 'window')} searched"
    return f"{searched}, exactly" if effort.is_exact else f"{searched}, the likeliest (--exact goes through all)"


def _shown(account: Account, request: Request) -> str:
    steps = [f"the best {counted(account.matches, 'window' if request.all_windows else 'clip')}"]
    if request.fdr is not None:
        steps.append(f"{account.outstanding:,} of them stand out (--fdr {request.fdr:g})")
    if request.min_probability:
        steps.append(f"{account.hits:,} probable enough (--min-probability {request.min_probability:g})")
    return ", ".join([*steps, f"{account.hits:,} shown"])
