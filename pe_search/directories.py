"""Where pe-search keeps things of its user's."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def expanded(path: Path) -> Path:
    """The path with `~` and `~user` put in full; that of an unknown user is taken literally."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises RuntimeError for an unknown user)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root on, with `~` put in full; links in it are kept."""
    return Path(os.path.abspath(expanded(Path(path))))


def default_store() -> Path:
    """The store that is used where none is named: $PE_SEARCH_STORE, else one in the user's data directory; absolute."""
    chosen = os.environ.get("PE_SEARCH_STORE")
    return store_called(chosen) if chosen else data_directory() / "store"


def store_called(name: str) -> Path:
    """The store that is meant on the command line: a folder, or else the store of that name; absolute.

    A name without a slash means the store of that name in the user's data directory, unless there is a folder of that
    name in the working directory.
    """
    is_named = is_store_name(name) and not Path(name).is_dir()
    return data_directory() / name if is_named else expanded(Path(name)).absolute()


def command_for(words: str, directory: Path) -> str:
    """A command for the store in a directory, as it is typed: `pe-search list --store birds`."""
    import shlex

    if directory == default_store() and not is_other_folder(os.environ.get("PE_SEARCH_STORE", "")):
        return f"`pe-search {words}`"
    name = directory.name
    is_named = directory.parent == data_directory() and store_called(name) == directory
    return f"`pe-search {words} --store {shlex.quote(name if is_named else str(directory))}`"


def is_store_name(text: str) -> bool:
    """Whether a text can be the name of a store in the user's data directory, and not only a path."""
    return Path(text).name == text and not text.startswith(("~", "."))


def is_other_folder(name: str) -> bool:
    """Whether a bare name means a folder of the working directory that holds files and is no store.

    Raises:
        OSError: If the folder can't be read.
    """
    folder = Path(name)
    if not name or not is_store_name(name) or not folder.is_dir():
        return False
    return not (folder / "manifest.json").exists() and any(folder.iterdir())


def named_stores() -> list[str]:
    """The names of the stores in the user's data directory."""
    # Other things of pe-search may lie there, depending on the system: a store is told by its manifest.
    return sorted(folder.parent.name for folder in data_directory().glob("*/manifest.json"))


def data_directory() -> Path:
    """Where stores that have a name are; absolute."""
    from platformdirs import user_data_path

    return user_data_path("pe-search", appauthor=False)


def config_file() -> Path:
    """The file of the user's settings, which need not be there; absolute."""
    if sys.platform == "linux":
        # As platformdirs has it, which takes longer to import than this file to read.
        chosen = os.environ.get("XDG_CONFIG_HOME", "").strip()
        return absolute(chosen or "~/.config") / "pe-search" / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("pe-search", appauthor=False) / "config.toml"


def cache_directory() -> Path:
    """Where to keep what can be made again: $PE_SEARCH_CACHE, else the user's cache directory; absolute."""
    chosen = os.environ.get("PE_SEARCH_CACHE")
    if not chosen:
        from platformdirs import user_cache_path

        return user_cache_path("pe-search", appauthor=False)
    return expanded(Path(chosen)).absolute()


def state_directory() -> Path:
    """Where to keep what pe-search remembers of its user, and nobody else need know; absolute."""
    from platformdirs import user_state_path

    return user_state_path("pe-search", appauthor=False)


def socket_directory() -> Path:
    """Where servers have their sockets: in $XDG_RUNTIME_DIR, else in the cache directory; absolute."""
    chosen = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(chosen) and Path(chosen).is_dir():
        return Path(chosen) / "pe-search"
    return cache_directory() / "sockets"
