"""Compile the towers of the built-in checkpoint for the package: python examples/compile_builtin.py.

To be run whenever the built-in checkpoint has changed, so that nobody's first query has to do it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from pe_search.pe_audio.checkpoint import BUILTIN, find_checkpoint
from pe_search.pe_audio.compile import compile_text_tower
from pe_search.pe_audio.compile_audio import compile_audio_tower
from pe_search.pe_audio.compiled import SHIPPED, compiled_directory, read_record
from pe_search.pe_audio.compiled_audio import SHIPPED_AUDIO


def main() -> None:
    """Compile them, and put them in the package."""
    checkpoint = find_checkpoint(BUILTIN)
    with tempfile.TemporaryDirectory() as cache:
        compile_text_tower(checkpoint, Path(cache))
        made = compiled_directory(Path(cache), checkpoint.name, checkpoint.revision)
        record = read_record(made)
        if record is None or record.failure:
            sys.exit(f"It can't be compiled: {record.failure if record else 'no room on the disk'}")
        shutil.rmtree(SHIPPED, ignore_errors=True)
        shutil.copytree(made, SHIPPED)
    shutil.rmtree(SHIPPED_AUDIO, ignore_errors=True)
    SHIPPED_AUDIO.mkdir()
    compile_audio_tower(checkpoint, SHIPPED_AUDIO)
    for folder in (SHIPPED, SHIPPED_AUDIO):
        print(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
