"""Samples in memory become clips of a store that are no files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.samples import mono_48k, samples_digest
from pe_search.audio.windows import cut_windows
from pe_search.embedding import WindowEmbedder, embed_blocks
from pe_search.model import Model
from pe_search.records import Clip, Content
from pe_search.store import Store

_WINDOWS_PER_COMMIT = 1_000


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
    contents: list[Content] = []
    clips: list[tuple[Clip, bytes]] = []

    def commit() -> None:
        store.catalog.commit(contents=contents, clips=clips)
        store.finder.keep_up()
        contents.clear()
        clips.clear()

    try:
        for name, samples, sample_rate_hz in rows:
            path = _path_of(name)
            mono = mono_48k(samples, sample_rate_hz, path, manifest.speed)
            digest = samples_digest(samples, sample_rate_hz)
            times = [
                (window.start_s, window.end_s)
                for window in cut_windows([mono], manifest.window_s, manifest.hop_s, manifest.hearing)
            ]
            contents.append(Content(digest, times, embed_blocks([mono], path, manifest, load_embedder), is_whole=True))
            clips.append((Clip(path, np.asarray(samples).nbytes, time.time_ns()), digest))
            count += 1
            if sum(len(content.times) for content in contents) >= _WINDOWS_PER_COMMIT:
                commit()
    finally:
        if clips:
            commit()
    store.catalog.drop_unused_contents()
    store.finder.refresh()
    return count


def _path_of(name: str) -> Path:
    path = Path(name)
    try:
        is_valid = bool(path.name) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"name={name!r} must be a path, as 'esc-50/1'")
    return path


def embed_samples(samples: NDArray[Any], sample_rate_hz: float, name: Path, model: Model) -> NDArray[np.float32]:
    """Samples to embeddings of shape (windows, dimension), as `add_samples` would keep them.

    Raises:
        AudioError: If the samples are no audio.
    """
    manifest = model.manifest()
    mono = mono_48k(samples, sample_rate_hz, name, manifest.speed)
    return embed_blocks([mono], name, manifest, model.audio_embedder)
