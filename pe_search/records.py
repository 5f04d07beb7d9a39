"""The frozen records that the floors of the package hand each other. Times are seconds from the start of the clip."""

from __future__ import annotations

from dataclasses import dataclass

# Not for type checking alone: `serving` makes records of JSON by their annotations.
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Stamp = tuple[int, int, int | None, int | None]
"""What tells whether a file has changed: size in bytes, times of the last change of its bytes and of anything about it
in nanoseconds, inode. The last two are None where they aren't known, or the system doesn't keep them."""


@dataclass(frozen=True, slots=True)
class Clip:
    """An audio file as it was found on disk.

    Attributes:
        modified_ns: When its bytes were last changed, in nanoseconds since the epoch.
        changed_ns: When anything about it was last changed, its name and its times too; None if that isn't known.
        inode: What the file system knows the file by; None if that isn't known.
    """

    path: Path
    size_bytes: int
    modified_ns: int
    changed_ns: int | None = None
    inode: int | None = None

    @property
    def stamp(self) -> Stamp:
        """What tells whether the file has changed since."""
        return self.size_bytes, self.modified_ns, self.changed_ns, self.inode


@dataclass(frozen=True, slots=True)
class Hearing:
    """How the sound of a clip is brought to the model.

    Attributes:
        level: `none`, or `auto`: windows that are far below a usual level are brought up to it.
        speed: How fast the clip is played to the model: 0.1 for a tenth of its speed and pitch, as for bats. Times are
            always those of the file.
        track: Which audio track of a file with several; 1 for the first.
    """

    level: str = "none"
    speed: float = 1.0
    track: int = 1


PLAIN_HEARING = Hearing()
"""As the file has it: no change of level or speed, the first track."""

USUAL_HEARING = Hearing(level="auto")
"""What a new store has, unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of a clip that is embedded once.

    Attributes:
        samples: float32 of shape (samples,), mono at 48 kHz.
    """

    start_s: float
    end_s: float
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Content:
    """What the bytes of a file hold, embedded. Clips of the same bytes have one content between them.

    A long one comes in several parts, each with the windows that follow on those before.

    Attributes:
        digest: Tells it from all others; made from the file's bytes alone.
        times: Start and end of each window, at least one.
        embeddings: float32 of shape (windows, dimension).
        is_whole: Whether it ends with these windows, or more are to come.
        missing: What could not be read of it, in words; None if it was read whole. Only the last part tells.
    """

    digest: bytes
    times: Sequence[tuple[float, float]]
    embeddings: NDArray[np.float32]
    is_whole: bool
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A clip that can't be indexed until its file changes, and why."""

    clip: Clip
    reason: str


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
class Incomplete:
    """A clip that is indexed but for what could not be read of it, and what that is."""

    clip: Clip
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A clip that was left out, or of which something is missing, and why; or another file that is amiss.

    Attributes:
        is_note: Whether nothing is missing for it: the clip is only odd.
    """

    path: Path
    reason: str
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run through clips has come.

    Attributes:
        bytes_done: Bytes of the clips that are done.
        bytes_total: Bytes of all that are to be read.
        audio_s: Seconds of audio that went through the model.
    """

    bytes_done: float
    bytes_total: int
    audio_s: float


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
    incomplete: int = 0
    passed_over: PassedOver = PassedOver()
    found_nothing: bool = False


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
class Holdings:
    """How much a store holds.

    Attributes:
        clips: Files.
        contents: Different ones among them.
        windows: Windows of all clips; those of a content count for each clip that has it.
        audio_s: Seconds of audio of all clips.
        left_out: Clips that are known, and couldn't be indexed.
        incomplete: Clips that couldn't be read whole.
    """

    clips: int
    contents: int
    windows: int
    audio_s: float
    left_out: int
    incomplete: int = 0


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
