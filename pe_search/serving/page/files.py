"""The files of the page, and what a browser may do with them."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from importlib.resources import files

from starlette.responses import Response

HEADERS = {
    # Nothing is loaded from anywhere else, and nothing in a name or a tag can be run.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def _files() -> dict[str, tuple[bytes, str, str]]:
    """Bytes, media type and mark of each file, by its name."""
    found = {}
    for file in files("pe_search.serving.page").joinpath("static").iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            held = file.read_bytes()
            found[file.name] = held, kind, f'"{blake2b(held, digest_size=12).hexdigest()}"'
    return found


def file_response(name: str, known: str | None) -> Response | None:
    """A file of the page; None if there is none of that name.

    Args:
        name: Of the file.
        known: The mark of what the browser has already, if it has any.
    """
    if name not in _files():
        return None
    held, kind, mark = _files()[name]
    headers = HEADERS | {"Cache-Control": "no-cache", "ETag": mark}
    if known == mark:
        return Response(status_code=304, headers=headers)
    return Response(held, media_type=kind, headers=headers)
