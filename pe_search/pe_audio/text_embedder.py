"""The quickest way from texts to embeddings that this machine has for a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.pe_audio.checkpoint import find_same_checkpoint
from pe_search.pe_audio.exported import ExportedTextEmbedder, open_export

if TYPE_CHECKING:
    from pe_search.pe_audio.embedder import Embedder


def load_text_embedder(name: str, revision: str, cache: Path) -> ExportedTextEmbedder | Embedder:
    """Open the export of a checkpoint's text tower; where there is none make it; where that can't be, take torch.

    Args:
        name: As `Checkpoint.name` has it.
        revision: As `Checkpoint.revision` has it.
        cache: The user's cache directory for pe-search.

    Raises:
        CheckpointError: If there is no export, and the checkpoint is gone, has changed or can't be loaded.
    """
    exported = open_export(cache, name, revision)
    if exported is not None:
        return exported
    checkpoint = find_same_checkpoint(name, revision)

    from pe_search.pe_audio.embedder import Embedder
    from pe_search.pe_audio.export import export_text_tower

    export_text_tower(checkpoint, cache)
    return open_export(cache, name, revision) or Embedder(checkpoint, device="cpu")
