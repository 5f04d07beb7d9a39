"""What the shell offers at Tab for a checkpoint; Typer itself knows the commands, the options and their values.

Where nothing is offered, the shell completes the names of files and folders. It must be left to that: Typer's scripts
hand on what they get without quotes, and zsh runs what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# What no shell sees more in than the characters themselves.
_IS_PLAIN = re.compile(r"[\w./-]+", re.ASCII)


def complete_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--model` that begin with what was typed, each with a word about it."""
    from pe_search.pe_audio.checkpoint import PUBLISHED_RANKING

    return _checkpoints(incomplete, PUBLISHED_RANKING)


def complete_frame_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--frame-model` that begin with what was typed, each with a word about it."""
    from pe_search.pe_audio.checkpoint import PUBLISHED_FRAME_LEVEL

    return _checkpoints(incomplete, PUBLISHED_FRAME_LEVEL)


def _checkpoints(incomplete: str, published: Iterable[str]) -> list[tuple[str, str]]:
    from pe_search.pe_audio.checkpoint import BUILTIN, SHORT_NAMES, cached_hub_ids

    offered = {BUILTIN: "in this package", **SHORT_NAMES, **dict.fromkeys(published, "on the Hugging Face hub")}
    offered |= dict.fromkeys(cached_hub_ids(), "on this machine")
    # Ids in the cache are names of folders there, and those anybody may have made.
    names = (name for name in offered if name.startswith(incomplete) and _IS_PLAIN.fullmatch(name))
    return [(name, offered[name]) for name in names]
