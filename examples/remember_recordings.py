"""Keep which recordings the built-in checkpoint was trained on, so that `evaluate` can say so.

    D=../shared/data
    python examples/remember_recordings.py --data $D/esc10 --data $D/real --data $D/sonic_pi

To be run with the folders that `train_builtin.py` was given, whenever the built-in checkpoint has changed. Kept are
the first 8 bytes of the digest of each file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recipe import captions
from recipe.recordings import find_recordings

from pe_search.audio.hashing import content_digest
from pe_search.pe_audio.trained_on import DIGEST_BYTES, RECORDINGS


def main(arguments: list[str] | None = None) -> None:
    """Write the digests into the package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder of recordings; repeatable")
    options = parser.parse_args(arguments)
    recordings = [one for folder in options.data for one in find_recordings(folder, captions.CONCEPTS)]
    digests = sorted({content_digest(one.path)[:DIGEST_BYTES] for one in recordings})
    RECORDINGS.write_bytes(b"".join(digests))
    print(f"{len(recordings):,} recordings, {RECORDINGS.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
