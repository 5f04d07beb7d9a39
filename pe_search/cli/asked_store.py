"""The store that a query asks: through its server if one runs, else here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.messages import say_compiling, say_problem
from pe_search.cli.options import cache_directory, socket_directory
from pe_search.records import Clip, Hit, Request

if TYPE_CHECKING:
    from pe_search.store import Store


class AskedStore:
    """A store that is opened here only for what its server doesn't answer. Use it in a `with` statement.

    Args:
        directory: The store's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()

    def __enter__(self) -> AskedStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def opened(self) -> Store:
        """The store, opened here.

        Raises:
            StoreError: If there is none, or it is damaged.
        """
        from pe_search.store import Store

        return self._stack.enter_context(Store.open(self._directory, on_problem=say_problem))

    def answers(self, request: Request) -> Iterator[list[Hit]]:
        """The hits of each query in turn. The first are looked for now, or the store is opened.

        Raises:
            PeSearchError: If it can't be asked. So does the iterator.
        """
        from pe_search.serving.asking import ask
        from pe_search.serving.place import socket_path

        served = ask(socket_path(socket_directory(), self._directory), request, say_problem)
        first = next(served, None)
        if first is None:
            return self._answers_here(request)
        return self._all(request, chain([first], served))

    def clip(self, path: Path) -> tuple[Clip, bytes] | None:
        """As `Store.clip`."""
        return self.opened.clip(path)

    def _all(self, request: Request, served: Iterator[list[Hit]]) -> Iterator[list[Hit]]:
        answered = 0
        for hits in served:
            answered += 1
            yield hits
        if answered < len(request.queries):
            yield from self._answers_here(dataclasses.replace(request, queries=request.queries[answered:]))

    def _answers_here(self, request: Request) -> Iterator[list[Hit]]:
        from pe_search.pe_audio.text_embedder import load_text_embedder
        from pe_search.searching import RememberingEmbedder, search

        store = self.opened
        name, revision = store.manifest.model, store.manifest.revision
        embedder = RememberingEmbedder(
            store.remembered_texts, lambda: load_text_embedder(name, revision, cache_directory(), say_compiling)
        )
        return search(store, embedder, request)
