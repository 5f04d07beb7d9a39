"""Clips become windows, windows become embeddings: the one pipeline of all that embeds audio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.errors import AudioError
from pe_search.store import Manifest
from pe_search.store.schema import LARGEST_VALUE

TOO_LARGE = "its samples are too large to embed"
_BATCHES_TO_GATHER = 3


class TextEmbedder(Protocol):
    """What embeds texts."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""


class WindowEmbedder(Protocol):
    """What embeds windows."""

    @property
    def batch_s(self) -> float:
        """Seconds of audio that are embedded at once."""

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows to embeddings of shape (windows, dimension)."""


Owner = TypeVar("Owner")


class Gathering(Generic[Owner]):
    """Windows of any number of clips, gathered until there are enough to be embedded together.

    Args:
        embed: Windows, float32 arrays of shape (samples,), to an array for each.
        most_s: Seconds of audio that are gathered; asked for once there is a window.
        deliver: Called with the owner of each window, in order, and its embedding; with None if its samples are too
            large to embed.
        is_wanted: Whether the windows of an owner need still be embedded; asked before they are.

    Attributes:
        embedded_s: Seconds of audio that were embedded.
    """

    def __init__(
        self,
        embed: Callable[[list[NDArray[np.float32]]], Iterable[NDArray[np.float32]]],
        most_s: Callable[[], float],
        deliver: Callable[[Owner, NDArray[np.float32] | None], None],
        is_wanted: Callable[[Owner], bool] = lambda _owner: True,
    ) -> None:
        self.embedded_s = 0.0
        self._embed = embed
        self._most_s = most_s
        self._deliver = deliver
        self._is_wanted = is_wanted
        self._gathered: list[tuple[Owner, NDArray[np.float32]]] = []
        self._gathered_s = 0.0

    def add(self, owner: Owner, samples: NDArray[np.float32]) -> bool:
        """Gather a window, and embed all that are gathered if they are enough.

        Args:
            owner: What the embedding is delivered to.
            samples: float32 of shape (samples,), 48 kHz mono.

        Returns:
            Whether windows were embedded.
        """
        self._gathered.append((owner, samples))
        self._gathered_s += len(samples) / SAMPLE_RATE_HZ
        is_enough = self._gathered_s >= self._most_s()
        if is_enough:
            self.embed()
        return is_enough

    def embed(self) -> None:
        """Embed all that are gathered."""
        gathered = [(owner, samples) for owner, samples in self._gathered if self._is_wanted(owner)]
        self._gathered.clear()
        self._gathered_s = 0.0
        if not gathered:
            return
        for (owner, samples), embedding in zip(
            gathered, self._embed([samples for _, samples in gathered]), strict=True
        ):
            self.embedded_s += len(samples) / SAMPLE_RATE_HZ
            self._deliver(owner, embedding if _is_held(embedding) else None)


def gather_batches(
    load_embedder: Callable[[], WindowEmbedder],
    deliver: Callable[[Owner, NDArray[np.float32] | None], None],
    is_wanted: Callable[[Owner], bool] = lambda _owner: True,
) -> Gathering[Owner]:
    """A gathering of windows of many clips: until they could fill some batches, so that those of like length meet.

    Args:
        load_embedder: Called once there is a window; gives what embeds it.
        deliver: As `Gathering` has it.
        is_wanted: As `Gathering` has it.
    """
    embedder = cache(load_embedder)
    return Gathering(
        lambda windows: embedder().embed_windows(windows),
        lambda: _BATCHES_TO_GATHER * embedder().batch_s,
        deliver,
        is_wanted,
    )


def embed_blocks(
    blocks: Iterable[NDArray[np.float32]], path: Path, manifest: Manifest, load_embedder: Callable[[], WindowEmbedder]
) -> NDArray[np.float32]:
    """Cut audio into windows as a store does, and embed them.

    Args:
        blocks: float32 blocks of shape (samples,), 48 kHz mono, of any length in all; no more of them is held than is
            embedded at once.
        path: What errors name.
        manifest: The store's.
        load_embedder: Called once there is a window; gives the embedder of the store's checkpoint.

    Returns:
        float32 of shape (windows, dimension).

    Raises:
        AudioError: If there are no samples, or they are too large to embed; also as the blocks do.
    """
    embeddings: list[NDArray[np.float32]] = []

    from pe_search.audio.windows import cut_windows  # a query for a text needs none

    def take(_owner: None, embedding: NDArray[np.float32] | None) -> None:
        if embedding is None:
            raise AudioError(path, TOO_LARGE)
        embeddings.append(embedding)

    gathering: Gathering[None] = Gathering(
        lambda windows: load_embedder().embed_windows(windows), lambda: load_embedder().batch_s, take
    )
    for window in cut_windows(blocks, manifest.window_s, manifest.hop_s, manifest.hearing):
        gathering.add(None, window.samples)
    gathering.embed()
    if not embeddings:
        raise AudioError(path, "holds no audio")
    return np.stack(embeddings)


def _is_held(embedding: NDArray[np.float32]) -> bool:
    """Whether a store has room for the numbers of an embedding; NaN is beyond every bound."""
    return bool((np.abs(embedding) <= LARGEST_VALUE).all())
