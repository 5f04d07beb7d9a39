"""The frozen records in which work tells what it did. Apart from the others, because a query needs none of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.records import Hearing, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What was seen in folders, and not taken.

    Attributes:
        unreadable: How many files there are of each kind that nothing reads, by their lower-case extension; the most
            frequent first.
        excluded_files: Audio files, readable or not, that a pattern excludes.
        excluded_folders: Folders that a pattern excludes, and that nobody has looked into.
    """

    unreadable: tuple[tuple[str, int], ...] = ()
    excluded_files: int = 0
    excluded_folders: int = 0


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file that `index` was told to go through.

    Attributes:
        path: Where it is; absolute.
        exclude: The patterns that it was last indexed with.
        indexed_at_s: When a run last came to its end, in seconds since the epoch; None if none did.
        passed_over: What that run saw there, and didn't take.
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
        bytes_total: Bytes of all that are to be read.
        audio_s: Seconds of audio that went through the model.
        bytes_skipped: Of the bytes that are done, those that this run needed no model for: their embeddings were kept,
            or they can't be read.
        clips_done: Clips that are done.
        clips: Clips that are to be read.
    """

    bytes_done: float
    bytes_total: int
    audio_s: float
    bytes_skipped: float = 0.0
    clips_done: int = 0
    clips: int = 0


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
        recognised: Clips that are new or were touched, whose content the store has from another time or place.
        unchanged: Clips that the store already held as they are on disk.
        removed: Clips that left the store: their files are gone or excluded, or are no longer on a list.
        left_out_before: Clips that an earlier run left out, and that haven't changed since.
        problems: Clips that this run left out.
        is_interrupted: Whether the run was stopped before its end.
        kept_parts: Of a run that was stopped, the clips that it was in the middle of; the next run goes on from there.
        incomplete: Clips that this run took in, though something of them couldn't be read.
        passed_over: What was seen in folders, and not taken.
        found_nothing: Whether there was nothing to do: no clip was found, and the store holds none from there.
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


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """What an index run would do.

    Attributes:
        new: Clips that it would embed.
        changed: Clips whose files are not as they were, which it would read again.
        moved: Where clips are now whose files were moved or renamed; they are not embedded again.
        gone: Clips that would leave the store: their files are gone or excluded, or are no longer on a list.
        skipped: Clips that an earlier run left out, and that haven't changed since.
        unchanged: How many clips the store holds as they are on disk.
        problems: Folders and files that can't be looked at.
        passed_over: What was seen in folders, and would not be taken.
        found_nothing: As in `IndexSummary`.
    """

    new: tuple[Path, ...]
    changed: tuple[Path, ...]
    moved: tuple[Path, ...]
    gone: tuple[Path, ...]
    skipped: tuple[Path, ...]
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
        largest_difference: Of a number of an embedding.
        largest_relative: Length of the difference of two embeddings, as a share of the held one's length.
        smallest_cosine: Of a held embedding and the one made again.
        gone: Clips whose files are no longer there.
        changed: Clips whose files hold other bytes now.
        problems: Clips that can't be embedded again, though their bytes are the same.
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
        hearing: How clips are brought to the model.
        clips: Clips.
        contents: Different ones among them.
        windows: Windows of all clips; those of a content count for each clip that has it.
        audio_s: Seconds of audio of all clips.
        left_out: Clips that are known, and couldn't be indexed.
        incomplete: Clips that couldn't be read whole.
        size_bytes: On disk.
        written_at_s: When something was last committed, in seconds since the epoch.
        formats: How many clips there are of each lower-case extension, the most frequent first; `` for none.
        roots: What was indexed, in order of path.
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
    size_bytes: int
    written_at_s: float
    formats: tuple[tuple[str, int], ...]
    roots: tuple[Root, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """What left a store.

    Attributes:
        clips: Clips that were held.
        problems: Clips that were left out before, and are forgotten.
    """

    clips: int
    problems: int


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What was made again.

    Attributes:
        windows: Windows in the new index.
        restored_manifest: Whether the manifest was damaged, and is written again as the catalog has it.
        saved_clips: Clips saved from a damaged catalog; None if it was sound.
        damaged: Where the damaged catalog is now, if there was one.
        unsure: Of how many of the saved clips' contents it is no longer known whether they could be read whole.
    """

    windows: int
    restored_manifest: bool = False
    saved_clips: int | None = None
    damaged: Path | None = None
    unsure: int = 0


@dataclass(frozen=True, slots=True)
class Embeddings:
    """All windows of a store with their embeddings, in order of path and time.

    Attributes:
        paths: Of the clip of each window.
        times: float64 of shape (windows, 2): start and end of each.
        vectors: float32 of shape (windows, dimension).
    """

    paths: tuple[Path, ...]
    times: NDArray[np.float64]
    vectors: NDArray[np.float32]
