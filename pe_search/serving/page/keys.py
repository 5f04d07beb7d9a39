"""Who may use the page.

Whoever opens the page has a key, which is new with each start of a server: it is in the address that `pe-search page`
opens, behind the `#`, which a browser sends to nobody. The page keeps it for its own origin, and sends it as a header.
No other page can do that, so none can read or change anything, and no cookie goes along with what others send. Sound
that a browser plays or saves can have no header: its address has a pass, made from the key, which is good for nothing
else.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from fastapi import HTTPException
from fastapi import Request as HttpRequest

from pe_search.serving.guard import OLD_KEY, is_foreign, is_secret


def pass_of(key: str) -> str:
    """The pass for sound."""
    return hmac.digest(key.encode(), b"pe-search page: sound", "sha256").hex()


def needs_key(key: str) -> Callable[[HttpRequest], None]:
    """What refuses requests without the key, or from another page."""

    def check(connection: HttpRequest) -> None:
        _refuse_foreign(connection)
        if not is_secret(connection.headers.get("authorization", ""), f"Bearer {key}"):
            raise HTTPException(401, OLD_KEY)

    return check


def needs_pass(key: str) -> Callable[[HttpRequest], None]:
    """What refuses requests for sound without the pass, or from another page."""
    expected = pass_of(key)

    def check(connection: HttpRequest) -> None:
        _refuse_foreign(connection)
        if not is_secret(connection.query_params.get("pass", ""), expected):
            raise HTTPException(401, "The pass for sound is missing or old.")

    return check


def _refuse_foreign(connection: HttpRequest) -> None:
    if is_foreign(connection.headers):
        raise HTTPException(403, "Requests from other web pages are not allowed.")
