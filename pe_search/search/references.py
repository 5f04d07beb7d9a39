"""A reference becomes windows, windows become embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.read import ClipReader
from pe_search.audio.windows import cut_windows
from pe_search.errors import AudioError
from pe_search.records import Reference
from pe_search.store import Manifest


class WindowEmbedder(Protocol):
    """What a reference asks of an embedder."""

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows to embeddings of shape (windows, dimension)."""


def embed_reference(reference: Reference, manifest: Manifest, embedder: WindowEmbedder) -> NDArray[np.float32]:
    """Embed what a reference means, cut into windows as a clip of the store would be if that were all of it.

    Args:
        reference: Of any length; no more than a window of it is held.
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
        windows = cut_windows(blocks, manifest.window_s, manifest.hop_s, hearing)
        embeddings = np.concatenate([embedder.embed_windows([window.samples]) for window in windows])
    if not np.isfinite(embeddings).all():
        raise AudioError(reference.path, "its samples are too large to embed")
    return embeddings


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
        f"ends at {heard / SAMPLE_RATE_HZ * speed:g} s, before the {place[0]:g}–{place[1]:g} s that are asked for",
    )
