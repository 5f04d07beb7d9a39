"""A map in which neighbours stay together, by PaCMAP (Wang and others 2021), made in a process of its own.

That process can be ended at any moment, and nothing else waits for it: PaCMAP keeps the interpreter to itself while it
calculates.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import MissingExtraError, PeSearchError
from pe_search.maps import SoundMap
from pe_search.search.mapping import principal, within_square

LONGEST_S = 600.0
"""How long PaCMAP may take."""
FEWEST = 30
"""Of fewer dots there is no such map."""
MOST_FITTED = 20_000
"""Of more dots, so many are laid out, always the same ones; the others lie between those that are most like them."""
_DIMENSIONS = 50
# PaCMAP puts some dots, or heaps of a few, far from all others.
_SHARE_SHOWN = 97.0
_NEAREST = 3
_ROWS_AT_ONCE = 1_024
_SEED = 20_240_229
# So many of the dots may be new, or gone, before all of them are laid out again.
_MOST_CHANGED = 0.1
_ID_BYTES = 8
_KEPT = np.dtype([("id", "<u8"), ("point", "<f4", 2)])
_WAIT_S = 0.1
_PROGRAM = "import sys; from pe_search.search.laying_out import lay_out; lay_out(*sys.argv[1:])"


def need_pacmap() -> None:
    """Raise a `MissingExtraError` unless PaCMAP is installed."""
    if find_spec("pacmap") is None:
        raise MissingExtraError("A map that keeps neighbours together", "pacmap", "map")


def is_enough(held: SoundMap) -> bool:
    """Whether a map has dots enough to be laid out by PaCMAP; copies are one."""
    return len(np.unique(_ids(held))) >= FEWEST


def lay_out(held: SoundMap, check: Callable[[], None] = lambda: None) -> bytes:
    """Lay out a map by PaCMAP, the same each time; returns what is kept of it, for `from_kept`.

    Args:
        held: The map by principal components, of dots that are enough.
        check: Called several times a second. What it raises ends the work.

    Raises:
        MissingExtraError: If PaCMAP is not installed.
        PeSearchError: If it fails, or takes longer than `LONGEST_S`.
    """
    need_pacmap()
    # Copies are one dot: many that are the same would be a heap of their own, far from all others.
    ids, firsts = np.unique(_ids(held), return_index=True)
    vectors = principal(held.means[firsts], _DIMENSIONS)
    every = np.arange(len(vectors))
    fitted = every
    if len(every) > MOST_FITTED:
        fitted = np.sort(np.random.default_rng(_SEED).choice(every, MOST_FITTED, replace=False))
    points = np.empty((len(every), 2), np.float32)
    points[fitted] = within_square(_fitted(vectors[fitted], check), _SHARE_SHOWN)
    _place(vectors, points, fitted, np.setdiff1d(every, fitted), check)
    kept = np.empty(len(every), _KEPT)
    kept["id"], kept["point"] = ids, points
    return kept.tobytes()


def from_kept(held: SoundMap, kept: bytes, check: Callable[[], None] = lambda: None) -> SoundMap | None:
    """A map as it was laid out before, with new dots between those that are most like them.

    Returns:
        None if too many of the dots are new or gone since, or what was kept is damaged.
    """
    if not kept or len(kept) % _KEPT.itemsize:
        return None
    rows = np.frombuffer(kept, _KEPT)
    if not (np.isfinite(rows["point"]).all() and (rows["point"] >= 0).all() and (rows["point"] <= 1).all()):
        return None
    places = {one: number for number, one in enumerate(rows["id"].tolist())}
    at = np.array([places.get(one, -1) for one in _ids(held).tolist()])
    is_known = at >= 0
    gone = len(places) - len(set(at[is_known].tolist()))
    if not len(at) or (~is_known).mean() > _MOST_CHANGED or gone > _MOST_CHANGED * len(places):
        return None
    points = np.empty((len(at), 2), np.float32)
    points[is_known] = rows["point"][at[is_known]]
    if not is_known.all():
        vectors = principal(held.means, _DIMENSIONS)
        _place(vectors, points, np.flatnonzero(is_known), np.flatnonzero(~is_known), check)
    return replace(held, points=points, layout="pacmap")


def _place(
    vectors: NDArray[np.float32],
    points: NDArray[np.float32],
    known: NDArray[np.intp],
    others: NDArray[np.intp],
    check: Callable[[], None],
) -> None:
    """Put each of the others where the mean of the known dots is that lie nearest to it."""
    squares = (vectors[known] ** 2).sum(axis=1)
    for first in range(0, len(others), _ROWS_AT_ONCE):
        check()
        rows = others[first : first + _ROWS_AT_ONCE]
        far = squares - 2 * (vectors[rows] @ vectors[known].T)
        nearest = np.argpartition(far, min(_NEAREST, len(known)) - 1, axis=1)[:, :_NEAREST]
        points[rows] = points[known[nearest]].mean(axis=1)


def _ids(held: SoundMap) -> NDArray[np.uint64]:
    """What a dot is known by in the next map: the bytes of its clip, and where it starts there."""
    starts = np.rint(held.times[:, 0] * 1_000).astype(np.int64)
    made = b"".join(
        blake2b(digest + int(start).to_bytes(8, "little"), digest_size=_ID_BYTES).digest()
        for digest, start in zip(held.digests, starts, strict=True)
    )
    return np.frombuffer(made, "<u8")


def _fitted(vectors: NDArray[np.float32], check: Callable[[], None]) -> NDArray[np.float32]:
    environment = os.environ | {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    # Its other layers bring an OpenMP of their own, beside that of faiss.
    environment["NUMBA_THREADING_LAYER"] = "workqueue"
    with tempfile.TemporaryDirectory(prefix="pe-search-map-") as folder:
        asked, answer, told = (Path(folder) / name for name in ("vectors.npy", "points.npy", "told"))
        np.save(asked, vectors)
        argv = [sys.executable, "-c", _PROGRAM, str(asked), str(answer)]
        with (
            told.open("wb") as out,
            subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment) as process,
        ):
            try:
                _wait(process, check)
            finally:
                process.kill()
        try:
            points: NDArray[np.float32] = np.load(answer)
        except (OSError, ValueError):
            points = np.empty((0, 2), np.float32)
        if process.returncode or points.shape != (len(vectors), 2) or not np.isfinite(points).all():
            lines = told.read_text(errors="replace").strip().splitlines() or [f"status {process.returncode}"]
            raise PeSearchError(f"PaCMAP failed, so there is no map by it: {lines[-1]}")
    return points


def _wait(process: subprocess.Popen[bytes], check: Callable[[], None]) -> None:
    ends_s = time.monotonic() + LONGEST_S
    while True:
        try:
            process.wait(_WAIT_S)
            return
        except subprocess.TimeoutExpired:
            check()
            if time.monotonic() > ends_s:
                raise PeSearchError(
                    f"The map by PaCMAP was given up: it took longer than {LONGEST_S / 60:g} minutes."
                ) from None
