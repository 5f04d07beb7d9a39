"""The sounds that captions are about, as a language model hears them, kept on disk while it is tuned.

A long recording with many captions is decoded once, and memory holds what a step is about.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.hashing import content_digest
from pe_search.audio.level import levelled
from pe_search.audio.read import ClipReader
from pe_search.clock import clock
from pe_search.drafts import whole_file
from pe_search.errors import AudioError, TuningError
from pe_search.known.annotations import Annotation
from pe_search.language.conversations import LONGEST_S, as_heard
from pe_search.records import Clip, Hearing, Problem
from pe_search.reports import Progress

LARGEST_BYTES = 1 << 34


@dataclass(frozen=True, slots=True)
class Heard:
    """A row of a table whose sound is there.

    Attributes:
        row: The row.
        digest: Of the clip's bytes.
        file: The sound.
    """

    row: Annotation
    digest: bytes
    file: Path

    def read(self) -> NDArray[np.float32]:
        """The sound: float32 of shape (samples,), as a `Conversation` has it."""
        samples: NDArray[np.float32] = np.load(self.file, allow_pickle=False)
        return samples


def hear(
    rows: Sequence[Annotation],
    clips: Sequence[Clip],
    folder: Path,
    hearing: Hearing,
    on_progress: Callable[[Progress], None],
    on_problem: Callable[[Problem], None],
) -> list[Heard]:
    """Bring the sounds of rows into a folder; those that are there already are not read again.

    Args:
        rows: Of a table.
        clips: Those that they are about, as far as they are there.
        folder: Where the sounds go.
        hearing: How clips are brought to the model.
        on_progress: Called after each clip.
        on_problem: Called for each row that is left out.

    Returns:
        The others, in order of the clips.

    Raises:
        TuningError: If there is more sound than `LARGEST_BYTES`.
        OSError: If a sound can't be written.
    """
    of_clip: dict[Path, list[Annotation]] = {}
    for row in rows:
        of_clip.setdefault(row.path, []).append(row)
    folder.mkdir(exist_ok=True)
    held_bytes = sum(file.stat().st_size for file in folder.iterdir())
    found: list[Heard] = []
    done = Progress(0, sum(clip.size_bytes for clip in clips), 0.0, clips=len(clips))
    for clip in clips:
        reading = _Reading(clip.path, of_clip[clip.path], folder, hearing, on_problem)
        try:
            reading.read()
        except AudioError as error:
            reading.drop_rest(error.reason)
        found += reading.heard
        held_bytes += reading.written_bytes
        if held_bytes > LARGEST_BYTES:
            raise TuningError(f"The captions are about more sound than {LARGEST_BYTES >> 30} GiB have room for.")
        done = replace(
            done,
            bytes_done=done.bytes_done + clip.size_bytes,
            audio_s=done.audio_s + reading.read_s,
            clips_done=done.clips_done + 1,
        )
        on_progress(done)
    return found


class _Reading:
    """The rows about one clip."""

    def __init__(
        self,
        path: Path,
        rows: Sequence[Annotation],
        folder: Path,
        hearing: Hearing,
        on_problem: Callable[[Problem], None],
    ) -> None:
        self._path = path
        self._left = list(rows)
        self._folder = folder
        self._hearing = hearing
        self._on_problem = on_problem
        self._longest_s = LONGEST_S * hearing.speed
        self.heard: list[Heard] = []
        self.written_bytes = 0
        self.read_s = 0.0

    def read(self) -> None:
        """Read what isn't there yet.

        Raises:
            AudioError: If the clip can't be read, or ends too early; what came before stays.
        """
        try:
            self._digest = content_digest(self._path)
        except OSError as error:
            raise AudioError(self._path, f"can't be read: {error.strerror or error}") from error
        for row in list(self._left):
            if row.start_s is not None and row.end_s is not None and row.end_s - row.start_s > self._longest_s + 1e-6:
                self._drop(row, f"is about more than {self._longest_s:g} s")
            elif self._file_of(row).is_file():
                self._keep(row)
        if not self._left:
            return
        with ClipReader(self._path, self._hearing) as reader:
            whole = [row for row in self._left if row.start_s is None]
            if whole:
                samples = self._whole(reader, whole)
                for row in whole if samples is not None else ():
                    self._write(row, samples)
        places = {(row.start_s, row.end_s) for row in self._left if row.start_s is not None and row.end_s is not None}
        if places:
            with ClipReader(self._path, self._hearing) as reader:
                for place, samples in reader.stretches(places):
                    for row in [row for row in self._left if (row.start_s, row.end_s) == place]:
                        self._write(row, samples)

    def drop_rest(self, reason: str) -> None:
        """Leave out the rows that have no sound."""
        for row in list(self._left):
            self._drop(row, reason)

    def _whole(self, reader: ClipReader, rows: Sequence[Annotation]) -> NDArray[np.float32] | None:
        blocks: list[NDArray[np.float32]] = []
        for block in reader.blocks():
            blocks.append(block)
            if sum(map(len, blocks)) > (LONGEST_S + 0.01) * SAMPLE_RATE_HZ:
                for row in rows:
                    self._drop(row, f"is longer than {self._longest_s:g} s; give start and end in the table")
                return None
        return np.concatenate(blocks)[: round(LONGEST_S * SAMPLE_RATE_HZ)]

    def _write(self, row: Annotation, samples: NDArray[np.float32] | None) -> None:
        if samples is None or not samples.any():
            self._drop(row, "is silent")
            return
        heard = as_heard(levelled(samples, self._hearing.level))
        with whole_file(self._file_of(row)) as out:
            np.save(out, heard, allow_pickle=False)
        self.written_bytes += heard.nbytes
        self.read_s += len(samples) / SAMPLE_RATE_HZ * self._hearing.speed
        self._keep(row)

    def _keep(self, row: Annotation) -> None:
        self._left.remove(row)
        self.heard.append(Heard(row, self._digest, self._file_of(row)))

    def _drop(self, row: Annotation, reason: str) -> None:
        self._left.remove(row)
        where = "" if row.start_s is None or row.end_s is None else f"{clock(row.start_s)}–{clock(row.end_s)} "
        self._on_problem(Problem(self._path, f"{where}{reason} (line {row.line:,} of the table)"))

    def _file_of(self, row: Annotation) -> Path:
        times = "whole" if row.start_s is None else f"{row.start_s!r}-{row.end_s!r}"
        return self._folder / f"{os.fspath(self._digest.hex()[:32])}-{times}.npy"
