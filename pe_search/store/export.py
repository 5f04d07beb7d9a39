"""Write what a store holds for other programs: Parquet or NumPy's npz."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from array import array
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pe_search.drafts import named_file
from pe_search.errors import StoreError
from pe_search.known.fields import Kind
from pe_search.parquet import Column, ParquetWriter, need_pyarrow
from pe_search.records import Content, Transcript
from pe_search.reports import Embeddings
from pe_search.store.answers import read_captioned, read_captions
from pe_search.store.passing import Passing
from pe_search.store.store import Store
from pe_search.store.transcripts import read_transcripts

if TYPE_CHECKING:
    from pe_search.queries import Filters

_ROWS_AT_ONCE = 8_192


def export(store: Store, file: Path, filters: Filters | None = None, *, said: bool = True) -> int:
    """Write the windows that pass filters, or all, in order of path and time, and the manifest.

    Of each window: `path`, `start_s`, `end_s`, `embedding`; and `caption`, if the store has captions: the newest of
    this very window, null in Parquet and empty in an npz for one that has none.

    An npz holds an array of each, of shapes (windows,) and (windows, dimension), and `manifest` as JSON. Parquet has a
    column of each, and `manifest` among its metadata; there bytes of a path that are not UTF-8 come out as `\\\\xff`.
    Times are float64, embeddings float32.

    Args:
        store: Is only read.
        file: Ends with .npz or .parquet. It is written whole or not at all, in place of what was there.
        filters: Which windows to write; None for all.
        said: Whether to write what is said, if anything is, and captions. What is said comes as `transcripts` beside
            `manifest`, as JSON: a list of objects with path, engine, language, until_s and segments, of which each is
            start, end and text.

    Returns:
        The number of windows.

    Raises:
        StoreError: If the file can't be written.
        MissingExtraError: If pyarrow is missing for Parquet.
    """
    is_parquet = file.suffix.lower() == ".parquet"
    if is_parquet:
        need_pyarrow()
    write = _write_parquet if is_parquet else _write_npz
    try:
        with store.catalog.snapshot(), named_file(file) as out:
            return write(_Windows(store, filters, said=said), out)
    except OSError as error:
        raise StoreError(f"{file} can't be written: {error.strerror or error}.") from error


def embeddings(store: Store, filters: Filters | None = None) -> Embeddings:
    """The windows that pass, in order of path and time, each copied once: from the catalog to its row."""
    with store.catalog.snapshot():
        held = _Windows(store, filters)
        windows = held.count()
        paths: list[Path] = []
        times = np.empty((windows, 2))
        vectors = np.empty((windows, store.manifest.dimension), np.float32)
        for path, content in held.by_clip():
            rows = slice(len(paths), len(paths) + len(content.times))
            paths += repeat(path, len(content.times))
            times[rows], vectors[rows] = content.times, content.embeddings
    return Embeddings(tuple(paths), times, vectors)


class _Windows:
    """The windows of a store that pass filters, or all."""

    def __init__(self, store: Store, filters: Filters | None, *, said: bool = False) -> None:
        self._store = store
        self._said = said
        self._passing = Passing(store.catalog, filters) if filters else None
        self._captioned = read_captioned(store.catalog) if said else frozenset()

    @property
    def dimension(self) -> int:
        return self._store.manifest.dimension

    @property
    def are_captioned(self) -> bool:
        return bool(self._captioned)

    def captions(self, content: Content) -> list[str | None]:
        """The newest caption of each window of a content."""
        held = read_captions(self._store.catalog, content.digest) if content.digest in self._captioned else ()
        newest = {(round(one.start_s, 6), round(one.end_s, 6)): one.text for one in held}
        return [newest.get((round(start_s, 6), round(end_s, 6))) for start_s, end_s in content.times]

    @property
    def manifest_json(self) -> str:
        return json.dumps(dataclasses.asdict(self._store.manifest))

    def texts(self) -> dict[str, str]:
        """What is written beside the windows, by name."""
        transcripts = self._transcripts() if self._said else []
        return {"manifest": self.manifest_json, **({"transcripts": json.dumps(transcripts)} if transcripts else {})}

    def _transcripts(self) -> list[dict[str, object]]:
        passing = self._store.clips() if self._passing is None else filter(self._passing.takes, self._store.clips())
        paths = {clip.path: clip.digest for clip in passing}
        by_digest: dict[bytes, list[Transcript]] = {}
        for one in read_transcripts(self._store.catalog, paths.values()):
            by_digest.setdefault(one.digest, []).append(one)
        return [
            {
                "path": str(path),
                "engine": one.engine,
                "language": one.language,
                "until_s": one.until_s,
                "segments": [(segment.start_s, segment.end_s, segment.text) for segment in one.segments],
            }
            for path, digest in paths.items()
            for one in by_digest.get(digest, ())
        ]

    def count(self) -> int:
        if self._passing is None:
            return self._store.catalog.holdings().windows
        return sum(map(self._passing.windows, self._store.clips()))

    def by_clip(self) -> Iterator[tuple[Path, Content]]:
        if self._passing is None:
            yield from ((clip.path, content) for clip, content in self._store.embedded_clips())
            return
        for clip in filter(self._passing.takes, self._store.clips()):
            content = self._store.catalog.content(clip.path)
            assert content is not None, "it is read in one snapshot"
            yield clip.path, self._passing.cut(clip, content)


def _write_npz(held: _Windows, out: IO[bytes]) -> int:
    windows, dimension = held.count(), held.dimension
    # Each clip's path once, with the number of its windows, so that memory doesn't grow with the length of the clips.
    paths: list[tuple[str, int]] = []
    captions: list[str] = []
    starts_s, ends_s = array("d"), array("d")
    with zipfile.ZipFile(out, "w") as archive:

        def write(name: str, rows: Iterator[NDArray[np.generic]], dtype: str, *shape: int) -> None:
            member = zipfile.ZipInfo(f"{name}.npy")
            # Every name is there as often as its clip has windows, and each character takes four bytes.
            if name in ("path", "caption", "transcripts"):
                member.compress_type = zipfile.ZIP_DEFLATED
            header = {"descr": dtype, "fortran_order": False, "shape": shape}
            with archive.open(member, "w", force_zip64=True) as entry:
                npy.write_array_header_1_0(entry, header)
                for some in rows:
                    entry.write(np.ascontiguousarray(some, dtype).tobytes())

        def embeddings() -> Iterator[NDArray[np.float32]]:
            for path, content in held.by_clip():
                paths.append((str(path), len(content.times)))
                starts_s.extend(start_s for start_s, _ in content.times)
                ends_s.extend(end_s for _, end_s in content.times)
                if held.are_captioned:
                    captions.extend(caption or "" for caption in held.captions(content))
                yield content.embeddings

        def names() -> Iterator[NDArray[np.str_]]:
            for path, count in paths:
                yield np.full(count, path)

        write("embedding", embeddings(), "<f4", windows, dimension)
        longest = max((len(path) for path, _ in paths), default=1)
        write("path", names(), f"<U{longest}", windows)
        write("start_s", iter([np.frombuffer(starts_s)]), "<f8", windows)
        write("end_s", iter([np.frombuffer(ends_s)]), "<f8", windows)
        if held.are_captioned:
            longest = max((len(caption) for caption in captions), default=1)
            blocks = (captions[first : first + _ROWS_AT_ONCE] for first in range(0, windows, _ROWS_AT_ONCE))
            write("caption", map(np.array, blocks), f"<U{max(longest, 1)}", windows)
        for name, text in held.texts().items():
            write(name, iter([np.array(text)]), f"<U{len(text)}")
    return windows


def _write_parquet(held: _Windows, out: IO[bytes]) -> int:
    columns = [
        Column("path", Kind.TEXT, is_always_known=True),
        Column("start_s", Kind.NUMBER, is_always_known=True),
        Column("end_s", Kind.NUMBER, is_always_known=True),
        Column("embedding", held.dimension, is_always_known=True),
    ]
    if held.are_captioned:
        columns.append(Column("caption", Kind.TEXT))
    windows = 0
    with ParquetWriter(out, columns, held.texts()) as writer:
        for paths, times, embeddings, captions in _row_groups(held):
            of_captions = [captions] if held.are_captioned else []
            starts_s, ends_s = [start_s for start_s, _ in times], [end_s for _, end_s in times]
            writer.write(paths, starts_s, ends_s, embeddings, *of_captions)
            windows += len(paths)
    return windows


_Rows = tuple[list[str], list[tuple[float, float]], NDArray[np.float32], list[str | None]]


def _row_groups(held: _Windows) -> Iterator[_Rows]:
    paths: list[str] = []
    times: list[tuple[float, float]] = []
    embeddings: list[NDArray[np.float32]] = []
    captions: list[str | None] = []
    for path, content in held.by_clip():
        paths.extend(repeat(str(path), len(content.times)))
        times.extend(content.times)
        embeddings.append(content.embeddings)
        captions.extend(held.captions(content))
        if len(paths) >= _ROWS_AT_ONCE:
            yield paths, times, np.concatenate(embeddings), captions
            paths, times, embeddings, captions = [], [], [], []
    if paths:
        yield paths, times, np.concatenate(embeddings), captions
