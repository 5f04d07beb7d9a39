"""What a web server has, over HTTP. The only importer of aiohttp, and what fsspec's file system for HTTP goes through.

A server may be slow, send without end, or lead elsewhere: everything here has a bound. It may not lead to an address
that only this machine or its network can reach, as its user has not named that.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies

from pe_search.audio.room import Download

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Info = dict[str, Any]

_BLOCK_BYTES = 1 << 20
_AT_ONCE = 16
_MOST_FOLDERS = 20_000
_MOST_FILES = 2_000_000
_DEEPEST = 32
_LONGEST_PAGE_BYTES = 16 << 20
# For all but the bytes of a file, whose speed has a bound of its own.
_PATIENCE_S = 120
_CONNECT_S, _SILENCE_S = 30, 60


class RefusedAddressError(OSError):
    """An address that a server leads to, and that nobody named."""


def web_system(protocol: str, host: str, *, is_named: bool) -> AbstractFileSystem:
    """The file system of one web server.

    Args:
        protocol: `http` or `https`.
        host: Its name or address, with the port.
        is_named: Whether the user named it, so that it may be on this machine or its network.
    """
    import fsspec

    # Of what is asked through a proxy, only the proxy has an address here.
    named = {_machine(proxy) for proxy in getproxies().values()}
    if is_named:
        machine = _machine(f"{protocol}://{host}")
        # Many servers lead from one protocol to the other.
        named |= {machine, (machine[0], 80), (machine[0], 443)}

    async def get_client(loop: asyncio.AbstractEventLoop) -> Any:
        return _session(loop, frozenset(named))

    return fsspec.filesystem(protocol, get_client=get_client, skip_instance_cache=True)


def _machine(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _session(loop: asyncio.AbstractEventLoop, named: frozenset[tuple[str, int | None]]) -> Any:
    import aiohttp

    class Resolver(aiohttp.ThreadedResolver):
        async def resolve(self, host: str, port: int = 0, *args: Any, **kwargs: Any) -> list[Any]:
            found: list[Any] = await super().resolve(host, port, *args, **kwargs)
            if (host, port) not in named:
                for one in found:
                    _refuse_private(one["host"], host)
            return found

    async def guard(request: aiohttp.ClientRequest, handler: Any) -> Any:
        # Each request of a chain of redirects comes through here. Of a name, the addresses do.
        host = request.url.host or ""
        if (host, request.url.port) not in named and _is_address(host):
            _refuse_private(host, host)
        return await handler(request)

    return aiohttp.ClientSession(
        loop=loop,
        connector=aiohttp.TCPConnector(resolver=Resolver(), limit=_AT_ONCE),
        middlewares=(guard,),
        headers={"Accept-Encoding": "identity", "User-Agent": "pe-search"},
        timeout=aiohttp.ClientTimeout(total=_PATIENCE_S, sock_connect=_CONNECT_S, sock_read=_SILENCE_S),
        trust_env=True,
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _refuse_private(address: str, host: str) -> None:
    if not is_public(address):
        raise RefusedAddressError(f"{host} is on this machine or its network, and was not named")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, and not of this machine or its network."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # Addresses of IPv6 that stand for one of IPv4: mapped, 6to4, NAT64.
        within = ip.ipv4_mapped or ip.sixtofour
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if within is not None:
            ip = within
    return ip.is_global and not ip.is_multicast


def download(system: AbstractFileSystem, url: str, file: IO[bytes]) -> None:
    """Write the bytes at a URL into a file."""
    from fsspec.asyn import sync

    sync(system.loop, _download, system, url, file)


async def _download(system: Any, url: str, file: IO[bytes]) -> None:
    import aiohttp

    session = await system.set_session()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    async with asyncio.timeout(_PATIENCE_S) as patience, session.get(system.encode_url(url), timeout=timeout) as reply:
        _check(reply, url)
        patience.reschedule(None)
        # Of what is compressed, the length that is stated is that of less.
        is_plain = reply.headers.get("Content-Encoding", "identity") in ("identity", "")
        download = Download(file, reply.content_length if is_plain else None)
        async for block in reply.content.iter_chunked(_BLOCK_BYTES):
            download.write(block)


def files_below(system: AbstractFileSystem, top: str) -> list[tuple[str, Info | Exception]]:
    """The files that pages list, at and below one: URLs, each with what the server says of it, or why it doesn't."""
    from fsspec.asyn import sync

    found: list[tuple[str, Info | Exception]] = sync(system.loop, _files_below, system, top)
    return found


async def _files_below(system: Any, top: str) -> list[tuple[str, Info | Exception]]:
    session = await system.set_session()
    base = top.rstrip("/") + "/"
    seen, files = {base}, set()
    pages = deque([(base, 0)])
    while pages:
        page, depth = pages.popleft()
        async for url in _links(session, system, page, base):
            if url in seen:
                continue
            seen.add(url)
            if not url.endswith("/"):
                files.add(url)
            elif depth < _DEEPEST:
                pages.append((url, depth + 1))
            if len(pages) > _MOST_FOLDERS or len(seen) > _MOST_FILES:
                raise OSError(f"it lists more than {_MOST_FOLDERS:,} folders or {_MOST_FILES:,} files; name one folder")
    from pe_search.audio.formats import audio_extensions

    extensions = audio_extensions()
    wanted = sorted(url for url in files if f".{url.rpartition('.')[2].lower()}" in extensions)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def info(url: str) -> tuple[str, Info | Exception]:
        async with turn:
            try:
                return url, await system._info(url)
            except Exception as error:
                return url, error

    return list(await asyncio.gather(*map(info, wanted)))


async def _links(session: Any, system: Any, page: str, base: str) -> AsyncIterator[str]:
    """The links of a page that lead to what is below a folder, without queries."""
    async with session.get(system.encode_url(page)) as reply:
        _check(reply, page)
        if reply.content_type != "text/html":
            return
        text = bytearray()
        async for block in reply.content.iter_chunked(_BLOCK_BYTES):
            text += block
            if len(text) > _LONGEST_PAGE_BYTES:
                raise OSError(f"the list at {page} is longer than {_LONGEST_PAGE_BYTES >> 20} MiB")
        parser = _Anchors()
        parser.feed(text.decode(reply.charset or "utf-8", "replace"))
        for link in parser.links:
            try:
                url = urljoin(page, link.strip())
            except ValueError:
                continue
            below = url.removeprefix(base)
            # Servers list a folder in other orders too, by a query.
            if below != url and below and not set("?#") & set(below) and ".." not in unquote(below).split("/"):
                yield url


class _Anchors(HTMLParser):
    """Gathers what the anchors of a page lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def _check(reply: Any, url: str) -> None:
    if reply.status == 404:
        raise FileNotFoundError(url)
    reply.raise_for_status()
