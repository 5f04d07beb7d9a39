"""Sounds that were dropped on the page or recorded there, kept as files until the server ends."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections import OrderedDict
from pathlib import Path

from fastapi import HTTPException
from fastapi import Request as HttpRequest

MOST_BYTES = 100_000_000
_MOST_SOUNDS = 16
_PATIENCE_S = 60.0
PREFIX = "sound-"


class Sounds:
    """The sounds, by names that the server gives them. What a browser calls a file is never a path here."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pe-search-page-")
        self._paths: OrderedDict[str, Path] = OrderedDict()

    def path_of(self, name: str) -> Path | None:
        """Where a sound is; None if there is none of that name any more."""
        return self._paths.get(name)

    def drop(self, name: str) -> None:
        """Forget a sound."""
        path = self._paths.pop(name, None)
        if path is not None:
            path.unlink(missing_ok=True)

    async def keep(self, connection: HttpRequest) -> tuple[str, Path]:
        """Keep what a request brings; of many sounds, the oldest goes.

        Raises:
            HTTPException: If it is too large, or takes too long to arrive.
        """
        name = PREFIX + secrets.token_hex(8)
        path = Path(self._folder.name) / name
        size_bytes = 0
        try:
            with path.open("xb") as file:
                async with asyncio.timeout(_PATIENCE_S):
                    async for chunk in connection.stream():
                        size_bytes += len(chunk)
                        if size_bytes > MOST_BYTES:
                            raise HTTPException(413, f"A sound can have at most {MOST_BYTES // 1_000_000} MB.")
                        file.write(chunk)
        except TimeoutError:
            path.unlink(missing_ok=True)
            raise HTTPException(408, "The sound did not arrive in time.") from None
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._paths[name] = path
        while len(self._paths) > _MOST_SOUNDS:
            self.drop(next(iter(self._paths)))
        return name, path
