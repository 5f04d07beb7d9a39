"""Files behind URLs, by fsspec: what is there, and their bytes. The one place where they are opened.

Who may read them is a matter of the environment, as fsspec's file systems have it. A URL that holds a password or a
signature is refused, so that neither gets into a store or a message; and one that nobody named on this machine, see
`trust`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pe_search.audio.room import Download
from pe_search.errors import AudioError, first_line
from pe_search.places import glob_base
from pe_search.records import Problem, Stamp
from pe_search.trust import how_to_trust, is_trusted

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_BLOCK_BYTES = 1 << 20
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+([^/]*)(.*)", re.DOTALL)
_QUERY = re.compile(r"\?[^/]*=")
_WEB = ("http", "https")
_HERE = ("file", "local")
# File systems of fsspec that open what another one has, or what is on this machine.
_WITHIN = ("asyncwrapper", "blockcache", "cached", "dask", "data", "dir", "filecache", "generic", "git", "jlab")
_WITHIN_TOO = ("jupyter", "libarchive", "reference", "simplecache", "tar", "zip")
# Where the first part of a path is no machine: who names one can't have a machine of an inner network asked.
_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf")
_MOST = 2**63 - 1
_LONGEST_SAID = 200
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
    shown = f"{protocol}://{host.rpartition('@')[2]}{rest}"
    # What follows a question mark may be a signature; in the name of an object it may be a character like any other.
    has_query = "?" in host + rest if protocol.lower() in _WEB else _QUERY.search(rest) is not None
    if "@" in host or has_query:
        reason = "a URL with a password or a query is refused, because the store would keep it; use the environment"
        return reason, re.split("[?#]", shown)[0]
    if protocol.lower() in _HERE:
        return "write the path of a file on this machine, without the URL", shown
    if "::" in name or protocol.lower() in (*_WITHIN, *_WITHIN_TOO):
        return "URLs within URLs are not read", shown
    if not host or not (host + rest).isprintable():
        return "is not a valid URL", shown
    return None


def find_remote(name: str) -> Iterator[tuple[str, Stamp] | Problem]:
    """What is at or below a URL: names of files, which have one slash, with their stamps; in order.

    Raises:
        AudioError: If it can't be looked at.
    """
    try:
        system, path = _opened(name)
        info = system.info(path)
        if _is_web(name):
            # A web server has no folders, but pages that list them.
            is_page = str(info.get("mimetype", "")).startswith("text/html")
            found = _below_page(system, path) if is_page else [(path, info)]
        else:
            files = {path: info} if info["type"] == "file" else system.find(path, detail=True)
            found = sorted(files.items())
    except Exception as error:  # each file system has its own
        raise unreadable_url(name, error) from error
    for inner, what in found:
        one = name_of(name, inner)
        if isinstance(what, Exception):
            yield Problem(Path(one), unreadable_url(one, what).reason)
        elif what.get("type", "file") == "file":
            yield one, stamp_of_info(what)


def _below_page(system: AbstractFileSystem, path: str) -> list[tuple[str, Any]]:
    from pe_search.audio.web import files_below

    return files_below(system, path)


def is_pattern(name: str) -> bool:
    """Whether a URL is a pattern: it has such characters, and there is no file of that very name.

    Raises:
        AudioError: If it can't be looked at.
    """
    if glob_base(name) is None:
        return False
    try:
        system, path = _opened(name)
        return not system.exists(path)
    except Exception as error:
        raise unreadable_url(name, error) from error


def matcher(name: str) -> re.Pattern[str]:
    """Matches the names of what a pattern finds, and of what is below."""
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(name).removesuffix(r"\Z") + r"(?:/.*)?\Z", re.DOTALL)


def find_matching(name: str) -> list[tuple[str, Stamp, bool]]:
    """What a pattern finds: names, stamps, and whether each is a file; in order.

    Raises:
        AudioError: If it can't be looked at.
    """
    try:
        matcher(name)
        system, path = _opened(name)
        found = system.glob(path, detail=True)
    except ValueError as error:
        raise AudioError(Path(name), f"is not a valid pattern: {first_line(error)}", may_pass=True) from error
    except Exception as error:
        raise unreadable_url(name, error) from error
    return [(name_of(name, one), stamp_of_info(info), info["type"] == "file") for one, info in sorted(found.items())]


def name_of(top: str, inner: str) -> str:
    """The name of a file by what its file system calls it."""
    plain = inner.split("://", 1)[1] if "://" in inner else inner.lstrip("/")
    return f"{top.split(':', 1)[0]}:/{plain}"


def remote_stamp(name: str) -> Stamp:
    """The stamp of the file at a URL.

    Raises:
        AudioError: If it can't be looked at.
    """
    try:
        system, path = _opened(name)
        return stamp_of_info(system.info(path))
    except Exception as error:
        raise unreadable_url(name, error) from error


def fetch_into(name: str, file: IO[bytes], *, column: str | None = None) -> None:
    """Write the bytes of the file at a URL into another file.

    Args:
        name: The URL.
        file: Where they go.
        column: The column of a table that names it; None if none does.

    Raises:
        AudioError: If it can't be read.
    """
    try:
        system, path = _opened(name, column)
        if _is_web(name):
            from pe_search.audio.web import download

            download(system, path, file)
            return
        with system.open(path, "rb", cache_type="readahead", block_size=8 * _BLOCK_BYTES) as remote:
            written = Download(file, remote.size if isinstance(getattr(remote, "size", None), int) else None)
            while block := remote.read(_BLOCK_BYTES):
                written.write(block)
    except Exception as error:
        raise unreadable_url(name, error) from error


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
def _system(protocol: str, host: str, *, is_named: bool) -> AbstractFileSystem:
    import fsspec

    if protocol in _WEB:
        from pe_search.audio.web import web_system

        return web_system(protocol, host, is_named=is_named)
    # By the host, because a file system may be for one alone.
    return fsspec.url_to_fs(f"{protocol}://{host}", use_listings_cache=False)[0]


def _opened(name: str, column: str | None = None) -> tuple[AbstractFileSystem, str]:
    match = _PARTS.fullmatch(name)
    assert match is not None
    refused = refusal_of(name)
    if refused is not None:
        raise AudioError(Path(refused[1]), refused[0])
    protocol, host, rest = match.groups()
    protocol = protocol.lower()
    is_named = is_trusted(name)
    if not is_named and not (column is not None and protocol in (*_WEB, *_BUCKETS) and is_trusted(column)):
        reason = f"is not downloaded, because nobody named it on this machine; {how_to_trust()}"
        raise AudioError(Path(name), reason, may_pass=True)
    system = _system(protocol, host, is_named=is_named)
    return system, system._strip_protocol(f"{protocol}://{host}{rest}")


def _is_web(name: str) -> bool:
    return name.partition(":")[0].lower() in _WEB


def unreadable_url(name: str, error: Exception) -> AudioError:
    """The error of a file system in one line."""
    if isinstance(error, AudioError):
        return error
    path, protocol = Path(name), name.split(":", 1)[0]
    if isinstance(error, ImportError):
        return AudioError(path, f"{protocol}:// can't be read: {first_line(error)}; see docs/formats.md", may_pass=True)
    # Why a web server can't be asked is behind the error that says so.
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    status = next((one for one in chain if isinstance(getattr(one, "status", None), int)), None)
    refused = next((one for one in chain if type(one).__name__ == "RefusedAddressError"), None)
    if refused is not None:
        reason = f"is not downloaded: {refused}"
    elif status is not None and status.status not in (404, 410):  # type: ignore[attr-defined]
        said = str(getattr(status, "message", "")).partition("\n")[0][:_LONGEST_SAID]
        reason = f"can't be read: {status.status} {said}".rstrip(" :")  # type: ignore[attr-defined]
    elif isinstance(error, FileNotFoundError) and (status is not None or len(chain) == 1 or not _is_web(name)):
        reason = "No such file or directory"
        if _is_web(name) and "*" in name:
            reason += "; a web server knows no patterns: name the folder, and use --exclude"
    elif any(isinstance(one, TimeoutError) for one in chain):
        reason = "can't be read: no answer in time"
    else:
        last = chain[-1] if isinstance(error, FileNotFoundError) else error
        reason = f"can't be read: {type(last).__name__}: {first_line(last)[:_LONGEST_SAID]}"
    return AudioError(path, reason, may_pass=True)
