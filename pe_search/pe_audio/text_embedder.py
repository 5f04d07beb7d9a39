"""The quickest way from texts to embeddings that this machine has for a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.pe_audio.checkpoint import find_same_checkpoint
from pe_search.pe_audio.compiled import CompiledTextEmbedder, open_compiled, open_shipped

if TYPE_CHECKING:
    from pe_search.pe_audio.embedder import Embedder


def load_text_embedder(
    name: str, revision: str, cache: Path, on_compile: Callable[[], None] = lambda: None
) -> CompiledTextEmbedder | Embedder:
    """Open a checkpoint's compiled text tower; where there is none compile it; where that can't be, take torch.

    Args:
        name: As `Checkpoint.name` has it.
        revision: As `Checkpoint.revision` has it.
        cache: The user's cache directory for pe-search.
        on_compile: Called when a text tower that takes long is about to be compiled.

    Raises:
        CheckpointError: If there is none, and the checkpoint is gone, has changed or can't be loaded.
    """
    compiled = open_shipped(name, revision) or open_compiled(cache, name, revision)
    if compiled is not None:
        return compiled
    checkpoint = find_same_checkpoint(name, revision)

    from pe_search.pe_audio.compile import compile_text_tower
    from pe_search.pe_audio.embedder import Embedder

    compile_text_tower(checkpoint, cache, on_compile)
    return open_compiled(cache, name, revision) or Embedder(checkpoint, device="cpu")
