"""Where pe-search keeps things of its user's."""

from __future__ import annotations

import os
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
    if chosen:
        return expanded(Path(chosen)).absolute()
    from platformdirs import user_data_path

    return user_data_path("pe-search", appauthor=False) / "store"


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
