"""A reference becomes windows, windows become embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.read import ClipReader
from pe_search.embedding import WindowEmbedder, embed_blocks
from pe_search.errors import AudioError
from pe_search.queries import Reference
from pe_search.store import Manifest


def embed_reference(reference: Reference, manifest: Manifest, embedder: WindowEmbedder) -> NDArray[np.float32]:
    """Embed what a reference means, cut into windows as a clip of the store would be if that were all of it.

    Args:
        reference: Of any length; no more of it is held than is embedded at once.
        manifest: The store's.
        embedder: Of the store's checkpoint.

    Returns:
        float32 of shape (windows, dimension).

    Raises:
        AudioError: If the file can't be read as audio, ends before the place does, or is too loud to embed.
    """
    hearing = manifest.hearing
    with ClipReader(reference.path, hearing) as reader:
        blocks = reader.blocks()
        if reference.place is not None:
            blocks = _within(blocks, reference, reference.place, hearing.speed)
        return embed_blocks(blocks, reference.path, manifest, lambda: embedder)


def _within(
    blocks: Iterable[NDArray[np.float32]], reference: Reference, place: tuple[float, float], speed: float
) -> Iterator[NDArray[np.float32]]:
    """The part of the blocks that lies in a place of the file."""
    start, stop = (round(time_s / speed * SAMPLE_RATE_HZ) for time_s in place)
    heard = 0
    for block in blocks:
        part = block[max(start - heard, 0) : stop - heard]
        if len(part):
            yield part
        heard += len(block)
        if heard >= stop:
            return
    raise AudioError(
        reference.path,
        f"ends at {heard / SAMPLE_RATE_HZ * speed:g} s, before the end of {place[0]:g}–{place[1]:g} s",
    )
