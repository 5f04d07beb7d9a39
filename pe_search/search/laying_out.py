"""The process in which PaCMAP runs, for `layout`: vectors come from stdin as little-endian float32, places go out."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import numpy as np

_SEED = 20_240_229


def main() -> None:
    """Lay out the vectors of as many dimensions as the argument says."""
    # What PaCMAP prints must not come between the numbers.
    out = os.dup(1)
    os.dup2(2, 1)
    with suppress(AttributeError, OSError):
        # Whoever searches meanwhile comes first.
        os.nice(10)
    import pacmap

    vectors = np.frombuffer(sys.stdin.buffer.read(), "<f4").reshape(-1, int(sys.argv[1]))
    # A seed has it calculate everything in one thread, so that the same vectors give the same places.
    layout = pacmap.PaCMAP(n_components=2, random_state=_SEED, apply_pca=False)
    points = np.asarray(layout.fit_transform(np.array(vectors), init="pca"), "<f4")
    with os.fdopen(out, "wb") as file:
        file.write(points.tobytes())


if __name__ == "__main__":
    main()
