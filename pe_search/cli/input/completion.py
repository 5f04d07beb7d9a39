"""What the shell offers at Tab for a checkpoint; Typer itself knows the commands, the options and their values.

Where nothing is offered, the shell completes the names of files and folders. It must be left to that: Typer's scripts
hand on what they get without quotes, and zsh runs what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pe_search.model import known_checkpoints

# What no shell sees more in than the characters themselves.
_IS_PLAIN = re.compile(r"[\w./-]+", re.ASCII)


def complete_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--model` that begin with what was typed, each with a word about it."""
    return _offered(incomplete, known_checkpoints())


def complete_frame_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--frame-model` that begin with what was typed, each with a word about it."""
    return _offered(incomplete, known_checkpoints(frame_level=True))


def _offered(incomplete: str, names: Mapping[str, str]) -> list[tuple[str, str]]:
    # Ids in the cache are names of folders there, and those anybody may have made.
    return [one for one in names.items() if one[0].startswith(incomplete) and _IS_PLAIN.fullmatch(one[0])]
