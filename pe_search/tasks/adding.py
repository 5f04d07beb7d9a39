"""Samples in memory become clips of a store that are no files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.samples import mono_48k, samples_digest
from pe_search.audio.windows import cut_windows
from pe_search.embedding import TOO_LARGE, Gathering, WindowEmbedder, embed_blocks, gather_batches
from pe_search.errors import AudioError, quoted
from pe_search.model import Model
from pe_search.records import Clip, Content
from pe_search.store import Store

# As when folders are indexed: embeddings are committed this often, so that little is lost when a program is killed.
_COMMIT_EVERY_S = 5.0


def add_samples(
    store: Store, rows: Iterable[tuple[str, NDArray[Any], float]], load_embedder: Callable[[], WindowEmbedder]
) -> int:
    """Embed clips that are no files, and put them into the store.

    Args:
        store: Opened for writing.
        rows: A name for each clip, its samples as `mono_48k` takes them, and their rate in Hz.
        load_embedder: Called once there is a clip; gives the embedder of the store's checkpoint.

    Returns:
        The number of clips.

    Raises:
        ValueError: If a name can't be kept. What was embedded before is kept.
        AudioError: If samples can't be embedded; likewise.
    """
    manifest = store.manifest
    count = 0
    committed_s = time.monotonic()
    waiting: list[_Row] = []
    too_large: list[_Row] = []

    def deliver(row: _Row, embedding: NDArray[np.float32] | None) -> None:
        if embedding is None:
            too_large.append(row)
        else:
            row.embeddings.append(embedding)

    def refuse_too_large() -> None:
        if too_large:
            raise AudioError(too_large[0].clip.path, TOO_LARGE)

    def commit() -> None:
        done = [row for row in waiting if row.is_embedded]
        contents = [Content(row.digest, row.times, np.stack(row.embeddings), is_whole=True) for row in done]
        store.catalog.commit(contents=contents, clips=[(row.clip, row.digest) for row in done])
        store.finder.keep_up()
        waiting[:] = [row for row in waiting if not row.is_embedded]

    gathering: Gathering[_Row] = gather_batches(load_embedder, deliver)
    try:
        for name, samples, sample_rate_hz in rows:
            path = _path_of(name)
            mono = mono_48k(samples, sample_rate_hz, path, manifest.speed)
            windows = list(cut_windows([mono], manifest.window_s, manifest.hop_s, manifest.hearing))
            if not windows:
                raise AudioError(path, "holds no audio")
            row = _Row(
                Clip(path, np.asarray(samples).nbytes, time.time_ns()),
                samples_digest(samples, sample_rate_hz),
                [(window.start_s, window.end_s) for window in windows],
            )
            waiting.append(row)
            for window in windows:
                gathering.add(row, window.samples)
            refuse_too_large()
            count += 1
            if time.monotonic() - committed_s >= _COMMIT_EVERY_S:
                commit()
                committed_s = time.monotonic()
    finally:
        gathering.embed()
        if waiting:
            commit()
    refuse_too_large()
    store.catalog.drop_unused_contents()
    store.finder.refresh()
    return count


@dataclass(slots=True)
class _Row:
    """A clip on its way: the start and end of its windows, and the embeddings of those that are embedded."""

    clip: Clip
    digest: bytes
    times: list[tuple[float, float]]
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def is_embedded(self) -> bool:
        return len(self.embeddings) == len(self.times)


def _path_of(name: str) -> Path:
    path = Path(name)
    try:
        is_valid = bool(path.name) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"name={quoted(name)} must be a path, as 'esc-50/1'")
    return path


def embed_samples(samples: NDArray[Any], sample_rate_hz: float, name: Path, model: Model) -> NDArray[np.float32]:
    """Samples to embeddings of shape (windows, dimension), as `add_samples` would keep them.

    Raises:
        AudioError: If the samples are no audio.
    """
    manifest = model.manifest()
    mono = mono_48k(samples, sample_rate_hz, name, manifest.speed)
    return embed_blocks([mono], name, manifest, model.audio_embedder)
