"""Clips are embedded again, and what comes out is held against what the store has."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.files import leads_into
from pe_search.audio.hashing import content_digest, unchanged
from pe_search.audio.read import ClipReader
from pe_search.embedding import WindowEmbedder, embed_blocks
from pe_search.errors import AudioError
from pe_search.places import is_name, is_url
from pe_search.records import Problem
from pe_search.reports import Verification
from pe_search.store import Store

# The same clips each time, so that two machines, or two versions, can be compared by what they say.
_SEED = 0


def verify(store: Store, load_embedder: Callable[[], WindowEmbedder], clips: int) -> Verification:
    """Embed a sample of clips again and compare them with the store, which is only read.

    Args:
        store: Whose clips are taken.
        load_embedder: Called once there is a window to embed; gives the embedder of the store's checkpoint.
        clips: How many clips; all if the store has no more.
    """
    if clips < 1:
        raise ValueError(f"sample={clips} must be 1 or more")
    embedder = cache(load_embedder)
    # A clip that is no file has a name in place of a path.
    paths = sorted((path for path in store.catalog.clips() if not is_name(path)), key=bytes)
    sample = sorted(random.Random(_SEED).sample(paths, min(clips, len(paths))), key=bytes)
    gone: list[Path] = []
    changed: list[Path] = []
    problems: list[Problem] = []
    held: list[NDArray[np.float32]] = []
    again: list[NDArray[np.float32]] = []
    for path in sample:
        content = store.catalog.content(path)
        if content is None or _is_gone(path):
            gone.append(path)
            continue
        try:
            with unchanged(path):
                if content_digest(path) != content.digest:
                    changed.append(path)
                    continue
                with ClipReader(path, store.manifest.hearing) as reader:
                    embeddings = embed_blocks(reader.blocks(), path, store.manifest, embedder)
        except AudioError as error:
            problems.append(Problem(error.path, error.reason))
            continue
        if len(embeddings) != len(content.embeddings):
            reason = f"has {len(embeddings)} windows now, and {len(content.embeddings)} in the store"
            problems.append(Problem(path, reason))
            continue
        held.append(content.embeddings)
        again.append(embeddings)
    drift = _drift(np.concatenate(held), np.concatenate(again)) if held else (0.0, 0.0, 1.0)
    return Verification(
        len(held), sum(map(len, held)), *drift, gone=tuple(gone), changed=tuple(changed), problems=tuple(problems)
    )


def _is_gone(path: Path) -> bool:
    if is_url(path):
        return False
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return not leads_into(path)
    except OSError:
        return False
    return False


def _drift(held: NDArray[np.float32], again: NDArray[np.float32]) -> tuple[float, float, float]:
    """Largest difference of a number, largest difference of an embedding as a share of its length, smallest cosine."""
    one, other = held.astype(np.float64), again.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    # An embedding of zeros has no direction; it agrees with another of zeros.
    least = np.finfo(np.float64).tiny
    differences = np.linalg.norm(other - one, axis=1)
    cosines = np.where(
        (lengths[0] == 0) & (lengths[1] == 0),
        1.0,
        (one * other).sum(axis=1) / np.maximum(lengths[0] * lengths[1], least),
    )
    relative = np.where(differences == 0, 0.0, differences / np.maximum(lengths[0], least))
    return float(np.abs(other - one).max()), float(relative.max()), float(cosines.min())
