"""`ATTRIBUTION.txt`, the list beside the checkpoint of who recorded what it learned from."""

import re
from collections.abc import Sequence
from pathlib import Path

from recipe.recordings import Recording

_NAMES = ("ATTRIBUTION.txt", "SOURCES.md")
"""What a folder of recordings may call its list, the first that is there counts."""
_ENTRY = re.compile(r"([\w-]+)/\S+; ")
_HEAD = """\
Recordings that the built-in checkpoint was trained on
=======================================================

The checkpoint contains none of these recordings; it learned from them. Thanks to all who recorded and shared them.
"""


def write_attribution(directory: Path, folders: Sequence[Path], used: Sequence[Recording]) -> None:
    """Join the lists that lie in the folders. A line `FOLDER/RECORDING; …` stays only if that folder was used."""
    parts = [_HEAD]
    for folder in folders:
        listed = next((folder / name for name in _NAMES if (folder / name).exists()), None)
        if listed is None:
            continue
        heard = {recording.path.parent.name for recording in used if folder in recording.path.parents}
        lines = [
            line
            for line in listed.read_text(encoding="utf-8").splitlines()
            if (entry := _ENTRY.match(line)) is None or entry[1] in heard
        ]
        parts.append(f"{folder.name}\n{'-' * len(folder.name)}\n\n" + "\n".join(lines).strip() + "\n")
    (directory / "ATTRIBUTION.txt").write_text("\n\n".join(parts), encoding="utf-8")
