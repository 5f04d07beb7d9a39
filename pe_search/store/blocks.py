"""Checksums over the blocks of a mapped file, each compared once while the file is open.

The checksum of a block is the sum of its 64-bit words. Any flipped bit and nearly everything else that a disk does to a
block changes it, and to add is as quick as to read: about 20 GB a second, where CRC-32 goes through one or two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 18
_WORD = np.dtype("<u8")


class Sums:
    """The sums of the blocks of what is written, one piece after the other."""

    def __init__(self) -> None:
        self._of_blocks: list[int] = []
        self._begun = bytearray()

    def add(self, piece: memoryview) -> None:
        """Go on with some bytes."""
        first = min(len(piece), BLOCK_BYTES - len(self._begun))
        self._begun += piece[:first]
        if len(self._begun) < BLOCK_BYTES:
            return
        self._of_blocks.append(_sum(self._begun))
        whole = first + (len(piece) - first) // BLOCK_BYTES * BLOCK_BYTES
        self._of_blocks += [_sum(piece[at : at + BLOCK_BYTES]) for at in range(first, whole, BLOCK_BYTES)]
        self._begun = bytearray(piece[whole:])

    def finished(self) -> NDArray[np.int64]:
        """The sums of all blocks; the last one is filled up with zeros."""
        rest = [_sum(self._begun)] if self._begun else []
        return np.array([*self._of_blocks, *rest], np.uint64).view(np.int64)


class Checks:
    """The blocks of what is mapped.

    Args:
        data: uint8 of shape (bytes,).
        sums: Of its blocks, as `Sums` has them.
    """

    def __init__(self, data: NDArray[np.uint8], sums: NDArray[np.int64]) -> None:
        self._data = data
        self._sums = sums
        self._is_checked = np.zeros(len(sums), np.bool_)

    def check(self, stretches: Sequence[tuple[int, int]] | NDArray[np.int64], most_bytes: int | None = None) -> None:
        """Compare the blocks of some stretches with their sums, unless that was done before.

        Args:
            stretches: First byte and the one past the last of each; of shape (stretches, 2).
            most_bytes: How much to go through; of more, blocks drawn by lot are.

        Raises:
            ValueError: If one is not as it was written.
        """
        first, last = np.asarray(stretches, np.int64).reshape(-1, 2).T
        # One more begins at each first block, and one less after each last one.
        begun = np.zeros(len(self._sums) + 1, np.int64)
        np.add.at(begun, first // BLOCK_BYTES, 1)
        np.add.at(begun, -(-last // BLOCK_BYTES), -1)
        blocks = np.flatnonzero((np.cumsum(begun[:-1]) > 0) & ~self._is_checked)
        if most_bytes is not None and len(blocks) > most_bytes // BLOCK_BYTES:
            blocks = np.sort(np.random.default_rng().choice(blocks, most_bytes // BLOCK_BYTES, replace=False))
        for block in blocks.tolist():
            if _sum(self._data[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]) != int(self._sums[block]) % 2**64:
                raise ValueError("a part of it is not as it was written")
        self._is_checked[blocks] = True

    def check_rest(self) -> None:
        """Compare all blocks that were not compared yet.

        Raises:
            ValueError: As `check`.
        """
        self.check([(0, len(self._data))])


def blocks_in(length_bytes: int) -> int:
    """How many blocks some bytes make."""
    return -(-length_bytes // BLOCK_BYTES)


def _sum(block: Sequence[int] | memoryview | bytearray | NDArray[np.uint8]) -> int:
    words = len(block) // _WORD.itemsize
    whole = np.frombuffer(block, _WORD, words)  # type: ignore[arg-type]
    rest = bytes(memoryview(block)[words * _WORD.itemsize :])  # type: ignore[arg-type]
    return (int(np.add.reduce(whole, dtype=np.uint64)) + int.from_bytes(rest, "little")) % 2**64
