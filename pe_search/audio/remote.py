"""Files behind URLs, by fsspec: what is there, and their bytes. The only importer of fsspec.

Who may read them is a matter of the environment, as fsspec's file systems have it. A URL that holds a password or a
signature is refused, so that neither gets into a store or a message.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pe_search.errors import AudioError, first_line
from pe_search.records import Stamp

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_BLOCK_BYTES = 1 << 20
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+([^/]*)(.*)", re.DOTALL)
_HERE = ("file", "local")
_MOST = 2**63 - 1
# How file systems call when a file was changed, and what changes with its bytes.
_CHANGED = ("LastModified", "last_modified", "mtime", "created")
_TELLS = ("ETag", "etag", "Content-MD5", "Digest", "md5Hash", "Last-Modified", "updated")


def refusal_of(name: str) -> tuple[str, str] | None:
    """Why a URL is refused, and the URL as it may be shown; None if it is not.

    Args:
        name: The URL, with one slash or two.
    """
    match = _PARTS.fullmatch(name)
    assert match is not None
    protocol, host, rest = match.groups()
    shown = f"{protocol}://{host.rpartition('@')[2]}{re.split('[?#]', rest)[0]}"
    if "@" in host or "?" in host + rest:
        reason = "a URL with a password or a query is refused, because the store would keep it; use the environment"
        return reason, shown
    if protocol in _HERE:
        return "write the path of a file on this machine, without the URL", shown
    if "::" in name:
        return "URLs within URLs are not read", shown
    return None


def find_remote(name: str) -> Iterator[tuple[str, Stamp]]:
    """What is at or below a URL: names of files, which have one slash, with their stamps; in order.

    Raises:
        AudioError: If it can't be looked at.
    """
    try:
        system, path = _opened(name)
        info = system.info(path)
        # A web server has no folders, but pages that list them.
        is_page = str(info.get("mimetype", "")).startswith("text/html")
        is_folder = is_page or info["type"] != "file"
        found = system.find(f"{path}/" if is_page else path, detail=True) if is_folder else {path: info}
    except Exception as error:  # each file system has its own
        raise _unreadable(name, error) from error
    head = name.split(":", 1)[0]
    for inner, info in sorted(found.items()):
        if info.get("type", "file") == "file":
            plain = inner.split("://", 1)[1] if "://" in inner else inner.lstrip("/")
            yield f"{head}:/{plain}", stamp_of_info(info)


def remote_stamp(name: str) -> Stamp:
    """The stamp of the file at a URL.

    Raises:
        AudioError: If it can't be looked at.
    """
    try:
        system, path = _opened(name)
        return stamp_of_info(system.info(path))
    except Exception as error:
        raise _unreadable(name, error) from error


def fetch_into(name: str, file: IO[bytes]) -> None:
    """Write the bytes of the file at a URL into another file.

    Raises:
        AudioError: If it can't be read.
    """
    try:
        system, path = _opened(name)
        with system.open(path, "rb", cache_type="readahead", block_size=8 * _BLOCK_BYTES) as remote:
            while block := remote.read(_BLOCK_BYTES):
                file.write(block)
    except Exception as error:
        raise _unreadable(name, error) from error


def stamp_of_info(info: dict[str, Any]) -> Stamp:
    """The stamp of a file, of what its file system says of it; what tells of its bytes is in place of an inode."""
    changed = next((info[key] for key in _CHANGED if key in info), None)
    if isinstance(changed, datetime):
        changed = changed.timestamp()
    modified_ns = round(changed * 1e9) if isinstance(changed, int | float) else 0
    tells = [info[key] for key in _TELLS if info.get(key)]
    digest = int.from_bytes(hashlib.blake2b(repr(tells).encode(), digest_size=8).digest())
    return int(info.get("size") or 0), modified_ns, None, (digest & _MOST or None) if tells else None


@cache
def _system(protocol: str, host: str) -> AbstractFileSystem:
    import fsspec

    # By the host, because a file system may be for one alone.
    return fsspec.url_to_fs(f"{protocol}://{host}", use_listings_cache=False)[0]


def _opened(name: str) -> tuple[AbstractFileSystem, str]:
    match = _PARTS.fullmatch(name)
    assert match is not None
    refused = refusal_of(name)
    if refused is not None:
        raise AudioError(Path(refused[1]), refused[0])
    protocol, host, rest = match.groups()
    system = _system(protocol.lower(), host)
    return system, system._strip_protocol(f"{protocol}://{host}{rest}")


def _unreadable(name: str, error: Exception) -> AudioError:
    if isinstance(error, AudioError):
        return error
    protocol = name.split(":", 1)[0]
    if isinstance(error, ImportError):
        reason = f"{protocol}:// can't be read: {first_line(error)}; see docs/formats.md"
    elif isinstance(error, FileNotFoundError):
        reason = "No such file or directory"
    else:
        reason = f"can't be read: {type(error).__name__}: {first_line(error)}"
    return AudioError(Path(name), reason, may_pass=True)
