"""What runs in the process of PaCMAP, for `layout`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import numpy as np

_SEED = 20_240_229


def lay_out(vectors: str, points: str) -> None:
    """Lay out the vectors in one file of NumPy, and write their places into another."""
    if sys.platform != "win32":
        with suppress(OSError):
            # Whoever searches meanwhile comes first.
            os.nice(10)
    import pacmap

    # A seed has it calculate everything in one thread, so that the same vectors give the same places.
    layout = pacmap.PaCMAP(n_components=2, random_state=_SEED, apply_pca=False)
    np.save(points, np.asarray(layout.fit_transform(np.load(vectors), init="pca"), np.float32))
