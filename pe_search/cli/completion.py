"""What the shell offers at Tab for a checkpoint or a store; Typer itself knows the commands, the options and the rest.

Where nothing is offered, the shell completes the names of files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

# Beside other things, a store has these; the one or the other alone may be of any program.
_STORE_FILES = ("manifest.json", "catalog.sqlite3")
# Who presses Tab waits for no more than so many looks at the disk.
_MOST_FOLDERS = 1_000
_PLAIN_TO_BASH = re.compile(r"~?[\w@%+,./-]*", re.ASCII)


def complete_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--model` that begin with what was typed, each with a word about it."""
    from pe_search.pe_audio.checkpoint import PUBLISHED_RANKING

    return _checkpoints(incomplete, PUBLISHED_RANKING)


def complete_frame_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--frame-model` that begin with what was typed, each with a word about it."""
    from pe_search.pe_audio.checkpoint import PUBLISHED_FRAME_LEVEL

    return _checkpoints(incomplete, PUBLISHED_FRAME_LEVEL)


def complete_store(incomplete: str) -> list[str]:
    """Stores that begin with what was typed: in the folder that it names, one further down, and the usual one."""
    from pe_search.cli.options import store_directory

    return _unless_bash_would_break([*_stores_near(incomplete), *_as_typed(store_directory(None), incomplete)])


def _checkpoints(incomplete: str, published: Iterable[str]) -> list[tuple[str, str]]:
    from pe_search.pe_audio.checkpoint import BUILTIN, SHORT_NAMES, cached_hub_ids

    offered = {BUILTIN: "in this package", **SHORT_NAMES, **dict.fromkeys(published, "on the Hugging Face hub")}
    offered |= dict.fromkeys(cached_hub_ids(), "on this machine")
    return [(name, about) for name, about in offered.items() if name.startswith(incomplete)]


def _stores_near(incomplete: str) -> Iterator[str]:
    from pe_search.cli.options import expanded

    # By os.path, because Path would change what was typed: it drops a leading `./`.
    folder, begin = os.path.split(incomplete)
    for name in _folders(expanded(Path(folder)), begin):
        typed = os.path.join(folder, name)  # noqa: PTH118
        if _is_store(expanded(Path(typed))):
            yield typed
        else:
            for inner in _folders(expanded(Path(typed)), ""):
                if _is_store(expanded(Path(typed, inner))):
                    yield os.path.join(typed, inner)  # noqa: PTH118


def _folders(parent: Path, begin: str) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            names = (entry.name for entry in entries if entry.name.startswith(begin) and entry.is_dir())
            # As shells have it, a hidden one is only there for who types its dot.
            shown = (name for name in names if name.isprintable() and (begin or not name.startswith(".")))
            return sorted(islice(shown, _MOST_FOLDERS))
    except OSError:
        return []


def _is_store(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _STORE_FILES)


def _as_typed(store: Path, incomplete: str) -> list[str]:
    """The store's path, with `~` if that was typed; nothing where there is no store, or another is meant."""
    home = str(Path.home())
    typed = str(store)
    if incomplete.startswith("~") and typed.startswith(f"{home}/"):
        typed = f"~{typed.removeprefix(home)}"
    return [typed] if typed.startswith(incomplete) and _is_store(store) else []


def _unless_bash_would_break(paths: list[str]) -> list[str]:
    """The paths, or none where bash would take a space or the like in one of them for the end of the word.

    Typer's script for bash hands on what it gets without quotes; the names of files bash quotes by itself.
    """
    is_bash = os.environ.get("_PE_SEARCH_COMPLETE") == "complete_bash"
    return [] if is_bash and not all(map(_PLAIN_TO_BASH.fullmatch, paths)) else paths
