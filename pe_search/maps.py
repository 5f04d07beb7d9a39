"""What a map of sounds is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAPPED = ("clips", "windows")
LAYOUTS = ("pca", "pacmap")


@dataclass(frozen=True, slots=True)
class SoundMap:
    """The clips or windows of a store in the plane, as dots: what sounds alike lies close.

    Attributes:
        paths: Of the clip of each dot, in order.
        points: float32 of shape (dots, 2), from 0 to 1.
        means: float32 of shape (dots, dimension): the mean embedding of each clip, or the embedding of each window.
        digests: Of the bytes of the clip of each dot.
        times: float64 of shape (dots, 2): start and end of each in its clip, in seconds.
        of: `clips` or `windows`.
        layout: `pca` for principal components, or `pacmap` for PaCMAP, which keeps neighbours together.
    """

    paths: tuple[Path, ...]
    points: NDArray[np.float32]
    means: NDArray[np.float32]
    digests: tuple[bytes, ...]
    times: NDArray[np.float64]
    of: str = "clips"
    layout: str = "pca"
