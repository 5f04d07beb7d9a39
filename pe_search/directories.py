"""Where pe-search keeps things of its user's."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from pe_search.places import place_of

_MILVUS = "milvus:"
_MILVUS_FORMS = "milvus://HOST:PORT/COLLECTION or milvus:FILE.db"


def expanded(path: Path) -> Path:
    """The path with `~` and `~user` put in full; that of an unknown user is taken literally."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises RuntimeError for an unknown user)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root on, with `~` put in full; links in it are kept."""
    return Path(place_of(expanded(Path(path))))


def default_store() -> Path:
    """The store that is used where none is named: $PE_SEARCH_STORE, else one in the user's data directory; absolute."""
    chosen = os.environ.get("PE_SEARCH_STORE")
    return store_called(chosen) if chosen else data_directory() / "store"


def store_at(place: str | os.PathLike[str]) -> Path:
    """The folder of a store, absolute; of a store in Milvus, that in which this machine keeps what it knows of it.

    Raises:
        ValueError: If an address of a store in Milvus is not valid.
    """
    if isinstance(place, str) and place.startswith(_MILVUS):
        return _milvus_folder(place)
    return expanded(Path(place)).absolute()


def milvus_address(directory: Path) -> str | None:
    """The address of a store in Milvus, by the folder that `store_at` made of it; None for any other store."""
    if "milvus" not in directory.parts:
        return None
    kinds = cache_directory() / "milvus"
    if directory.is_relative_to(kinds / "file"):
        return f"{_MILVUS}{Path(os.sep) / directory.relative_to(kinds / 'file')}"
    if directory.is_relative_to(kinds / "server"):
        server, collection = directory.relative_to(kinds / "server").parts
        return f"{_MILVUS}//{server}/{collection}"
    return None


def shown_store(directory: Path) -> str:
    """A store as users read it: its folder, or its address."""
    return milvus_address(directory) or str(directory)


def _milvus_folder(address: str) -> Path:
    """Where this machine keeps what it knows of a store in Milvus; each address has a folder of its own.

    Raises:
        ValueError: If the address is not valid.
    """
    rest = address.removeprefix(_MILVUS)
    folder = cache_directory() / "milvus"
    if not rest.startswith("//"):
        if not rest.endswith(".db") or "\0" in rest:
            raise ValueError(f"{address!r} must name a file that ends with .db, or a server: {_MILVUS_FORMS}")
        return folder / "file" / absolute(rest).relative_to(absolute(os.sep))
    host, _, collection = rest.removeprefix("//").partition("/")
    if "@" in host:
        # Not shown, because a password may be in it.
        raise ValueError("an address must not have a user or password; put USER:PASSWORD into $PE_SEARCH_MILVUS_TOKEN")
    if not re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", host) or host.startswith("."):
        raise ValueError(f"{address!r} has no valid server: {_MILVUS_FORMS}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", collection):
        raise ValueError(f"{address!r} has no valid collection, of letters, digits and underscores: {_MILVUS_FORMS}")
    is_complete = re.search(r":[0-9]+$", host)
    return folder / "server" / (host if is_complete else f"{host}:19530") / collection


def store_called(name: str) -> Path:
    """The store that is meant on the command line: a folder, or else the store of that name; absolute.

    A name without a slash means the store of that name in the user's data directory, unless there is a folder of that
    name in the working directory. What begins with `milvus:` is a store in Milvus, see `store_at`.

    Raises:
        ValueError: As `store_at`.
    """
    if name.startswith(_MILVUS):
        return store_at(name)
    is_named = is_store_name(name) and not Path(name).is_dir()
    return data_directory() / name if is_named else expanded(Path(name)).absolute()


def command_for(words: str, directory: Path) -> str:
    """A command for the store in a directory, as it is typed: `pe-search list --store birds`."""
    import shlex

    if directory == default_store() and not is_other_folder(os.environ.get("PE_SEARCH_STORE", "")):
        return f"`pe-search {words}`"
    if address := milvus_address(directory):
        return f"`pe-search {words} --store {shlex.quote(address)}`"
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
