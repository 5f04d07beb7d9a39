"""The towers of a checkpoint, each loaded when it is first needed and kept from then on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pe_search.pe_audio.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pe_search.pe_audio.compiled import CompiledTextEmbedder
    from pe_search.pe_audio.compiled_audio import CompiledAudioEmbedder
    from pe_search.pe_audio.embedder import Embedder

T = TypeVar("T")
Loading = Callable[[Checkpoint | None], AbstractContextManager[None]]


class _Kept(Generic[T]):
    """Keeps what was loaded for the checkpoint that was asked for last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], T] = {}

    def of(self, name: str, revision: str, load: Callable[[], T]) -> T:
        """What is loaded for a checkpoint. One thread at a time loads."""
        with self._lock:
            if (name, revision) not in self._kept:
                # The other goes first, since each may take gigabytes.
                self._kept.clear()
                self._kept[name, revision] = load()
            return self._kept[name, revision]

    @property
    def last(self) -> T | None:
        """What was loaded last."""
        return next(iter(self._kept.values()), None)


class OneAtATime:
    """Lets one thread at a time embed windows: each takes all cores by itself."""

    def __init__(self, embedder: CompiledAudioEmbedder | Embedder) -> None:
        self.embedder = embedder
        self._lock = threading.Lock()

    @property
    def batch_s(self) -> float:
        """As `Embedder.batch_s`."""
        return self.embedder.batch_s

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """As `Embedder.embed_windows`."""
        with self._lock:
            return self.embedder.embed_windows(windows)


class Loaded:
    """The text embedder, the audio embedder and the frame embedder that were asked for last. Threads may share it.

    Args:
        cache: Gives the user's cache directory for pe-search.
        device: As `Embedder` has it.
        dtype: As `Embedder` has it.
        loading: Makes what an embedder is loaded in, given the checkpoint of an audio embedder.
        on_compile: Called when a large text tower is about to be compiled.

    Attributes:
        device: As given.
        dtype: As given.
        loading: As given.
    """

    def __init__(
        self,
        cache: Callable[[], Path],
        device: str = "auto",
        dtype: str = "auto",
        *,
        loading: Loading = lambda _checkpoint: nullcontext(),
        on_compile: Callable[[], None] = lambda: None,
    ) -> None:
        self.device = device
        self._cache = cache
        self.dtype = dtype
        self.loading = loading
        self._on_compile = on_compile
        self._texts: _Kept[CompiledTextEmbedder | Embedder] = _Kept()
        self._audio: _Kept[OneAtATime] = _Kept()
        self._frames: _Kept[CompiledAudioEmbedder | Embedder] = _Kept()
        self._found: dict[tuple[str, str | None], Checkpoint] = {}

    def checkpoint(self, name: str, revision: str | None, find: Callable[[], Checkpoint]) -> Checkpoint:
        """A checkpoint, found on this machine once: what is loaded needs its files no more."""
        if (name, revision) not in self._found:
            self._found[name, revision] = find()
        return self._found[name, revision]

    def text_embedder(self, name: str, revision: str) -> CompiledTextEmbedder | Embedder:
        """What embeds texts, the quickest way that there is.

        Raises:
            CheckpointError: If the checkpoint is gone, has changed or can't be loaded.
        """

        def load() -> CompiledTextEmbedder | Embedder:
            from pe_search.pe_audio.text_embedder import load_text_embedder

            with self.loading(None):
                return load_text_embedder(name, revision, self._cache(), self._on_compile)

        return self._texts.of(name, revision, load)

    def audio_embedder(self, checkpoint: Checkpoint) -> OneAtATime:
        """What embeds windows."""
        return self._audio.of(checkpoint.name, checkpoint.revision, lambda: OneAtATime(self._embedder(checkpoint)))

    def frame_embedder(self, checkpoint: Checkpoint) -> CompiledAudioEmbedder | Embedder:
        """What embeds frames."""
        return self._frames.of(checkpoint.name, checkpoint.revision, lambda: self._embedder(checkpoint))

    @contextmanager
    def encoding(self, checkpoint: Checkpoint) -> Iterator[Callable[[], Embedder]]:
        """What loads, when it is called, an embedder whose codec can be asked alone; not kept afterwards."""
        from functools import cache

        @cache
        def load() -> Embedder:
            from pe_search.pe_audio.embedder import Embedder

            with self.loading(checkpoint):
                return Embedder(checkpoint, self.device, self.dtype)

        try:
            yield load
        finally:
            load.cache_clear()

    def compile_texts(self, checkpoint: Checkpoint) -> None:
        """Compile the text tower of a checkpoint, so that queries are quick from now on."""
        from pe_search.pe_audio.compiled import is_shipped

        if not is_shipped(checkpoint.name, checkpoint.revision):
            from pe_search.pe_audio.compile import compile_text_tower

            compile_text_tower(checkpoint, self._cache(), self._on_compile)

    @property
    def text_runtime(self) -> str | None:
        """What texts are embedded by, in words; None if nothing is loaded for it."""
        from pe_search.pe_audio.compiled import CompiledTextEmbedder

        if self._texts.last is None:
            return None
        is_compiled = isinstance(self._texts.last, CompiledTextEmbedder)
        return "the compiled text tower on cpu" if is_compiled else "torch on cpu in float32"

    @property
    def audio_runtime(self) -> str | None:
        """Where and in what windows are embedded, in words; None if nothing is loaded for it."""
        audio = self._audio.last
        return None if audio is None else audio.embedder.runtime

    def _embedder(self, checkpoint: Checkpoint) -> CompiledAudioEmbedder | Embedder:
        """What embeds audio, the quickest way that there is; that of the package goes without torch, on the CPU."""
        with self.loading(checkpoint):
            if self.device in ("auto", "cpu"):
                from pe_search.pe_audio.compiled_audio import open_shipped_audio

                compiled = open_shipped_audio(checkpoint)
                if compiled is not None:
                    return compiled
            from pe_search.pe_audio.embedder import Embedder

            return Embedder(checkpoint, self.device, self.dtype)
