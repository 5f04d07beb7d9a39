"""Frozen records of what a task did. They have their own module because a query needs none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.records import Hearing, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What was skipped in folders.

    Attributes:
        unreadable: The lower-case extensions of audio files that no reader can read, each with how many; most first.
        excluded_files: The number of audio files that a pattern excludes.
        excluded_folders: The number of folders that a pattern excludes. They were not searched.
    """

    unreadable: tuple[tuple[str, int], ...] = ()
    excluded_files: int = 0
    excluded_folders: int = 0


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file that was given to `index`.

    Attributes:
        path: Where it is; absolute.
        exclude: The patterns that it was last indexed with.
        indexed_at_s: When a run last finished, in seconds since the epoch; None if none did.
        passed_over: What that run skipped there.
    """

    path: Path
    exclude: tuple[str, ...] = ()
    indexed_at_s: int | None = None
    passed_over: PassedOver = PassedOver()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run through clips has come.

    Attributes:
        bytes_done: Bytes of the clips that are done.
        bytes_total: Bytes of all clips to read.
        audio_s: Seconds of audio that went through the model.
        bytes_skipped: Bytes among `bytes_done` that needed no model: known before, or not readable.
        clips_done: Clips that are done.
        clips: Clips to read.
        workers: Processes that embed, as far as they show that they live; None if this one does.
    """

    bytes_done: float
    bytes_total: int
    audio_s: float
    bytes_skipped: float = 0.0
    clips_done: int = 0
    clips: int = 0
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Relocation:
    """Clips whose files are at other places now.

    Attributes:
        old: The folder that they were in, or the clip.
        new: The folder that they are in now, or the clip.
        moved: The new path of each clip whose file is there, with the size and time that it had.
        changed: Likewise, with another size or time; the next `index` reads it again.
        missing: Likewise, where there is no file; the next `index` removes it.
        left_out: How many clips that could not be indexed are known under their new paths.
        roots: How many folders and files that were given to `index` are.
        checked: How many files were compared with the store by their bytes.
        problems: Those of them that are not what the store holds. If there are any, nothing was changed.
    """

    old: Path
    new: Path
    moved: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()
    missing: tuple[Path, ...] = ()
    left_out: int = 0
    roots: int = 0
    checked: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def clips(self) -> int:
        """How many clips there are in all."""
        return len(self.moved) + len(self.changed) + len(self.missing)


@dataclass(frozen=True, slots=True)
class KeptPart:
    """What the store keeps of a clip that is embedded only in part.

    Attributes:
        path: The clip.
        share: How much of it, 0 to 1.
    """

    path: Path
    share: float


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What an index run did.

    Attributes:
        clips: Clips embedded by this run.
        windows: Windows embedded by this run.
        audio_s: Seconds of audio embedded by this run.
        recognised: New or touched clips whose content was already in the store.
        unchanged: Clips that have not changed since they were indexed.
        removed: Clips removed from the store, because their files are gone, excluded or no longer on a list.
        left_out_before: Clips that an earlier run left out and that have not changed since.
        problems: Clips that this run left out.
        is_interrupted: Whether the run was interrupted.
        kept_parts: Clips that an interrupted run had begun.
        incomplete: Clips that this run indexed, but could not read completely.
        passed_over: What was skipped in folders.
        found_nothing: Whether there was nothing to do: no clip was found, and the store holds none from there.
        relocated: Folders of the store that are at other places now, whose clips are among the unchanged.
        sidecars: Transcripts taken from files beside clips.
        runtime: Where and in what windows were embedded, in words, if that was not in this process.
    """

    clips: int = 0
    windows: int = 0
    audio_s: float = 0.0
    recognised: int = 0
    unchanged: int = 0
    removed: int = 0
    left_out_before: int = 0
    problems: tuple[Problem, ...] = ()
    is_interrupted: bool = False
    kept_parts: tuple[KeptPart, ...] = ()
    incomplete: int = 0
    passed_over: PassedOver = PassedOver()
    found_nothing: bool = False
    relocated: tuple[Relocation, ...] = ()
    sidecars: int = 0
    runtime: str | None = None


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """What an index run would do.

    Attributes:
        new: Clips that it would embed.
        changed: Changed clips that it would read again.
        moved: The new paths of clips that were moved or renamed. They are not embedded again.
        gone: Clips that it would remove, because their files are gone, excluded or no longer on a list.
        left_out: Clips that an earlier run left out and that have not changed since.
        unchanged: The number of clips that have not changed.
        problems: Folders and files that can't be opened.
        passed_over: What it would skip in folders.
        found_nothing: As in `IndexSummary`.
    """

    new: tuple[Path, ...]
    changed: tuple[Path, ...]
    moved: tuple[Path, ...]
    gone: tuple[Path, ...]
    left_out: tuple[Path, ...]
    unchanged: int
    problems: tuple[Problem, ...]
    passed_over: PassedOver
    found_nothing: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """How far embeddings that were made again are from those that the store holds.

    Attributes:
        clips: Clips that were compared.
        windows: Their windows.
        largest_difference: The largest difference of one number of an embedding.
        largest_relative: The largest difference of two embeddings, as a share of the stored one's length.
        smallest_cosine: The smallest cosine of a stored embedding and the new one.
        gone: Clips whose files are gone.
        changed: Clips whose files have changed.
        problems: Unchanged clips that can't be embedded again.
    """

    clips: int
    windows: int
    largest_difference: float
    largest_relative: float
    smallest_cosine: float
    gone: tuple[Path, ...]
    changed: tuple[Path, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """What a store holds, and what it was made with.

    Attributes:
        store: Where it is.
        model: The checkpoint: `builtin`, a hub id, or the absolute path of a directory.
        revision: The hub's commit, or a fingerprint of the checkpoint's files.
        dimension: Length of an embedding.
        window_s: Length of a window.
        hop_s: Step from one window to the next.
        hearing: How the model gets the sound of clips.
        clips: The number of clips.
        contents: The number of clips with different bytes.
        windows: Windows of all clips. Clips with the same bytes count each.
        audio_s: Seconds of audio of all clips.
        left_out: Clips that could not be indexed.
        incomplete: Clips that could not be read completely.
        with_facts: Clips whose headers were read.
        with_time: Clips of which it is known when they were recorded.
        with_tags: Clips with tags of the user.
        transcribed: Clips with a transcript.
        size_bytes: On disk.
        written_at_s: When something was last committed, in seconds since the epoch.
        formats: How many clips there are of each lower-case extension, the most frequent first; `` for none.
        roots: What was indexed, in order of path.
        zones: Paths with the time zone in which the clips at and below them were recorded, in order of path.
    """

    store: Path
    model: str
    revision: str
    dimension: int
    window_s: float
    hop_s: float
    hearing: Hearing
    clips: int
    contents: int
    windows: int
    audio_s: float
    left_out: int
    incomplete: int
    with_facts: int
    with_time: int
    with_tags: int
    transcribed: int
    size_bytes: int
    written_at_s: float
    formats: tuple[tuple[str, int], ...]
    roots: tuple[Root, ...]
    zones: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """What left a store.

    Attributes:
        clips: Clips that were removed.
        problems: Clips that were left out before and are now forgotten.
    """

    clips: int
    problems: int


@dataclass(frozen=True, slots=True)
class Tagging:
    """What became of the tags of some clips.

    Attributes:
        clips: Clips that were named.
        changed: Those of them whose tags are others now.
        problems: Paths at which the store holds no clip.
    """

    clips: int
    changed: int
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What was repaired.

    Attributes:
        windows: Windows in the new index.
        restored_manifest: Whether a damaged manifest was restored from the catalog.
        saved_clips: Clips saved from a damaged catalog; None if it was not damaged.
        damaged: Where the damaged catalog is now, if there was one.
        unsure: The number of saved contents of which it is not known whether they were read completely.
    """

    windows: int
    restored_manifest: bool = False
    saved_clips: int | None = None
    damaged: Path | None = None
    unsure: int = 0


@dataclass(frozen=True, slots=True)
class FilterEffect:
    """What filters leave of some clips.

    Attributes:
        clips: The number of clips.
        passing: How many of them pass all filters.
        alone: How many pass each filter by itself, by the field of `Filters`.
        unknown: How many can't pass a filter because what it asks for is not known of them, by the same fields.
    """

    clips: int
    passing: int
    alone: Mapping[str, int]
    unknown: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """All windows of a store with their embeddings, in order of path and time.

    Attributes:
        paths: The clip of each window.
        times: float64 of shape (windows, 2): start and end of each.
        vectors: float32 of shape (windows, dimension).
    """

    paths: tuple[Path, ...]
    times: NDArray[np.float64]
    vectors: NDArray[np.float32]


COUNTED_BY = ("hour", "day", "day-hour", "month", "folder")
COUNTED = ("windows", "clips")
UNKNOWN = "unknown"
"""The bin of what no time is known of."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many windows or clips of a store sound like texts, by the time when they were recorded or by folder.

    A window's time is that of its start, as its recorder's clock showed it.

    Attributes:
        by: `hour`, `day`, `day-hour`, `month` or `folder`.
        of: `windows` or `clips`.
        min_probability: The least probability of a window that counts. A clip counts if one of its windows does.
        texts: What was counted.
        bins: In order. By hour, `0` to `23`; else those that have any window: days as `2024-06-12`, their hours as
            `2024-06-12T05`, months as `2024-06`, folders relative to `base`. If there are clips without a time,
            `unknown` is the last one.
        totals: Of each bin, how many windows or clips it has, whatever they sound like.
        counts: Of each text, of each bin, how many of these count.
        best: Of each text, the highest probability of a window; None if there is no window.
        clips_without_time: Clips of which it is not known when they were recorded; 0 by folder.
        base: What the names of folders are relative to; None if they are whole, or by time.
    """

    by: str
    of: str
    min_probability: float
    texts: tuple[str, ...]
    bins: tuple[str, ...]
    totals: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    best: tuple[float | None, ...]
    clips_without_time: int = 0
    base: Path | None = None

    def rows(self) -> Iterator[tuple[str, str, int, int]]:
        """Text, bin, count and total: of each text, for each bin."""
        for text, counts in zip(self.texts, self.counts, strict=True):
            for name, count, total in zip(self.bins, counts, self.totals, strict=True):
                yield text, name, count, total
