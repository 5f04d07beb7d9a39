"""The store that a query asks: through its server if one runs, else here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.input.options import cache_directory, socket_directory
from pe_search.cli.output.messages import say_compiling, say_problem
from pe_search.errors import StoreError
from pe_search.records import Account, Clip, Hearing, Hit, Request

if TYPE_CHECKING:
    from pe_search.pe_audio.compiled import CompiledTextEmbedder
    from pe_search.pe_audio.embedder import Embedder
    from pe_search.search.searching import RememberingEmbedder
    from pe_search.store import Manifest, Store


class AskedStore:
    """A store that is opened here only for what its server doesn't answer. Use it in a `with` statement.

    Args:
        directory: The store's.
        loading: Makes what an embedder is loaded in.

    Attributes:
        embedder: What embedded the last request that was answered here.
    """

    embedder: RememberingEmbedder

    def __init__(self, directory: Path, loading: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._directory = directory
        self._loading = loading
        self._stack = ExitStack()
        self._manifest: Manifest | None = None

    def __enter__(self) -> AskedStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def opened(self) -> Store:
        """The store, opened here.

        Raises:
            StoreError: If there is none, it is damaged, or it is of another kind than the one that was opened first.
        """
        from pe_search.store import Store

        store = self._stack.enter_context(Store.open(self._directory, on_problem=say_problem))
        self._manifest = self._manifest or store.manifest
        if store.manifest != self._manifest:
            # The embedders that are loaded are not those of this one.
            self._stack.close()
            raise StoreError(f"The store at {self._directory} was made anew, in another way; start again to ask it.")
        return store

    def hearing(self) -> Hearing:
        """How the store's clips are brought to the model."""
        return self.opened.manifest.hearing

    def close_if_replaced(self) -> None:
        """See to it that `opened` is the store that is there now, for one that is kept open notices no other."""
        opened = self.__dict__.get("opened")
        if opened is not None and not opened.is_as_opened():
            del self.opened
            self._stack.close()

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
            return self.answers_here(request)
        return self._all(request, chain([first], served))

    def answers_here(
        self, request: Request, on_answer: Callable[[Account], None] = lambda _account: None
    ) -> Iterator[list[Hit]]:
        """As `answers`, without the server.

        Args:
            request: What is asked.
            on_answer: As in `searching.search`.
        """
        from pe_search.search.searching import RememberingEmbedder, search

        self.embedder = RememberingEmbedder(
            self.opened.remembered_texts, lambda: self.text_embedder, lambda: self.window_embedder
        )
        return search(self.opened, self.embedder, request, on_answer)

    def clip(self, path: Path) -> tuple[Clip, bytes] | None:
        """As `Store.clip`."""
        return self.opened.clip(path)

    @cached_property
    def text_embedder(self) -> CompiledTextEmbedder | Embedder:
        """What embeds texts here, loaded."""
        from pe_search.pe_audio.text_embedder import load_text_embedder

        manifest = self.opened.manifest
        with self._loading():
            return load_text_embedder(manifest.model, manifest.revision, cache_directory(), say_compiling)

    @cached_property
    def window_embedder(self) -> Embedder:
        """What embeds audio here, loaded."""
        from pe_search.pe_audio.checkpoint import find_same_checkpoint

        manifest = self.opened.manifest
        with self._loading():
            from pe_search.pe_audio.embedder import Embedder

            return Embedder(find_same_checkpoint(manifest.model, manifest.revision))

    def _all(self, request: Request, served: Iterator[list[Hit]]) -> Iterator[list[Hit]]:
        answered = 0
        for hits in served:
            answered += 1
            yield hits
        if answered < len(request.queries):
            yield from self.answers_here(dataclasses.replace(request, queries=request.queries[answered:]))
