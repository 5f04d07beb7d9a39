"""Who may ask over HTTP; `http` says by which rules."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pe_search.serving.web import Web

PAGE = "/page"
"""Below it is the page. Its files are no secret, and all else there asks for a key of its own: see `page.keys`."""

OLD_KEY = "The key of the page is missing or old. Open the address that pe-search printed."


def is_secret(shown: str, secret: str) -> bool:
    """Whether somebody knows a secret; how long this takes tells nothing of it."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), secret.encode())


def is_foreign(headers: Headers, origins: tuple[str, ...] = ()) -> bool:
    """Whether a request comes from a web page of somebody else.

    Args:
        headers: Of the request.
        origins: Of the web pages that may ask.
    """
    origin = headers.get("origin")
    if origin is None:
        # Some requests of pages carry no origin, as those for images; older browsers tell nothing of these.
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    return origin not in (*origins, f"http://{headers.get('host')}")


class Guard:
    """Refuses whoever has no token, or whose web page is of an origin that was not allowed."""

    def __init__(self, app: ASGIApp, web: Web) -> None:
        self._app = app
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        refusal = self._refusal(Headers(scope=scope), scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers, scope: Scope) -> Response | None:
        key, path = self._web.page_key, scope["path"]
        if key is not None and (path == PAGE or path.startswith(f"{PAGE}/")):
            # What somebody without the key sends should not even be read. All else the page's own routes refuse.
            is_read = scope["method"] in ("GET", "HEAD") or is_secret(headers.get("authorization", ""), f"Bearer {key}")
            return None if is_read else JSONResponse({"detail": OLD_KEY}, 401)
        if self._web.token is not None:
            if not is_secret(headers.get("authorization", ""), f"Bearer {self._web.token}"):
                wanted = {"WWW-Authenticate": "Bearer"}
                return JSONResponse({"detail": "The token is missing or wrong."}, 401, headers=wanted)
            return None
        if is_foreign(headers, self._web.origins):
            return JSONResponse({"detail": "Requests from web pages of this origin are not allowed."}, 403)
        return None
