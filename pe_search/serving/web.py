"""Where and for whom there is HTTP."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from pe_search.errors import PeSearchError


@dataclass(frozen=True, slots=True)
class Web:
    """Where and for whom there is HTTP.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for any that is free.
        token: What whoever asks must show; may be None on a loopback address.
        origins: Of the web pages that may ask, as `http://localhost:3000`; `null` for those opened from a file.
        page_key: What whoever uses the page must show; None if there is no page.
    """

    host: str
    port: int
    token: str | None
    origins: tuple[str, ...]
    page_key: str | None = None


def bind(web: Web) -> socket.socket:
    """A socket that listens at the address.

    Raises:
        PeSearchError: If there is no such address, its port is taken, or other machines can reach it and there is no
            token.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)[0]
        if web.token is None and not ipaddress.ip_address(address[0]).is_loopback:
            raise PeSearchError(
                f"Other machines can reach {web.host}. Set PE_SEARCH_TOKEN to a secret that each request must send, or "
                "omit --host."
            )
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen()
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise PeSearchError(f"Port {web.port} of {web.host} can't be used: {error.strerror or error}.") from error
    return bound


def free_port(host: str, wanted: int) -> int:
    """The port that is wanted if nobody has it, else 0, for any that is free."""
    try:
        bind(Web(host, wanted, None, ())).close()
    except PeSearchError:
        return 0
    return wanted


def url_of(bound: socket.socket) -> str:
    """The address at which a listener is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """A host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host
