"""Which recordings the built-in checkpoint was trained on. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from pe_search.pe_audio.checkpoint import BUILTIN

DIGEST_BYTES = 8
"""So much of a digest is kept: two recordings that share it by chance are not to be expected."""

RECORDINGS = Path(__file__).parent / "builtin" / "recordings.digests"
"""The first bytes of the digest of each recording, one after the other, in order."""


def digests_trained_on(model: str) -> frozenset[bytes] | None:
    """The first bytes of the content digests of what a checkpoint was trained on; None if that is not known.

    Args:
        model: As `Checkpoint.name` has it.
    """
    if model != BUILTIN:
        return None
    kept = RECORDINGS.read_bytes()
    return frozenset(kept[first : first + DIGEST_BYTES] for first in range(0, len(kept), DIGEST_BYTES))
