"""Frozen records of clips and their contents. Times are seconds from the start of the clip."""

from __future__ import annotations

from dataclasses import dataclass

# Not for type checking alone: `serving` makes records of JSON by their annotations.
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.descriptions import Caption
from pe_search.places import is_there

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Stamp = tuple[int, int, int | None, int | None]
"""What tells whether a file has changed: size in bytes, times of the last change of its bytes and of anything about it
in nanoseconds, inode. The last two are None where they aren't known, or the system doesn't keep them."""


@dataclass(frozen=True, slots=True)
class Clip:
    """An audio file on disk.

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
class Facts:
    """What a file says of itself beside its sound. Whatever it doesn't say is None, or empty.

    Attributes:
        sample_rate_hz: Of the file.
        channels: Of the file.
        bits: Bits of a sample; None where samples are compressed with loss.
        codec: How samples are kept, as FFmpeg or libsndfile names it: `pcm_16`, `flac`, `mp3`.
        keywords: Single words or phrases, as the file has them.
        bpm: Beats a minute.
        key: Musical key, as the file has it.
        recorded_at: When its first sample was recorded: ISO 8601, with an offset only where the zone is known.
        recorded_by: What says so: `GUANO`, `bext`, `AudioMoth` or `tags`; of a file that pe-search cut out of another,
            what says so there. A file's name may say it too: see `recorded.when`.
        loudness_lufs: Integrated loudness by EBU R128 of the mix of its channels; None for silence, and if its samples
            were not gone through.
        peak_dbfs: Its loudest sample, in dB relative to full scale; likewise.
    """

    sample_rate_hz: int | None = None
    channels: int | None = None
    bits: int | None = None
    codec: str | None = None
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    comment: str | None = None
    description: str | None = None
    genre: str | None = None
    keywords: tuple[str, ...] = ()
    bpm: float | None = None
    key: str | None = None
    recorded_at: str | None = None
    recorded_by: str | None = None
    loudness_lufs: float | None = None
    peak_dbfs: float | None = None


@dataclass(frozen=True, slots=True)
class IndexedClip:
    """A clip as a store holds it; or as its file describes it, if no store does.

    Attributes:
        path: Of the file; a name if the clip is no file.
        size_bytes: Of the file, when it was indexed.
        modified_ns: When the file was last changed then, in nanoseconds since the epoch.
        duration_s: Length of what was embedded; None while it is to be embedded again. Without a store, what the
            file's header says.
        windows: How many it has; 0 without a store.
        indexed_at_s: When it was put into the store, in seconds since the epoch; None if an older pe-search did.
        digest: The same for all clips of the same bytes, and for no others; empty without a store.
        missing: What could not be read of it, in words; None if it was read whole.
        facts: What the file says of itself; nothing as long as no `index` of this pe-search has read it.
        tags: The user's own, in order.
        recorded_at: When its first sample was recorded, by its facts, its name and the zone of its folder: ISO 8601,
            with an offset only where the zone is known; None if nothing tells.
        recorded_by: What tells: as `Facts.recorded_by`, or `name`.
        captions: What language models say of its parts, in order of time.
    """

    path: Path
    size_bytes: int
    modified_ns: int
    duration_s: float | None
    windows: int
    indexed_at_s: int | None
    digest: bytes
    missing: str | None = None
    facts: Facts = Facts()
    tags: tuple[str, ...] = ()
    recorded_at: str | None = None
    recorded_by: str | None = None
    captions: tuple[Caption, ...] = ()

    @property
    def is_held(self) -> bool:
        """Whether a store holds it."""
        return bool(self.digest)

    def is_gone(self) -> bool:
        """Whether there is nothing at its path any more, for which the disk is asked. A name is never gone."""
        return self.path.is_absolute() and not is_there(self.path)


@dataclass(frozen=True, slots=True)
class Hearing:
    """How the model gets the sound of a clip.

    Attributes:
        level: `auto` raises windows that are far below a usual level to it; `none` does not.
        speed: The speed at which the model gets the clip: 0.1 is a tenth of its speed and pitch, for bats. Times stay
            those of the file.
        track: The audio track of a file with several; 1 is the first.
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
        facts: What the file says of itself; None if it was not asked. Only the last part tells.
    """

    digest: bytes
    times: Sequence[tuple[float, float]]
    embeddings: NDArray[np.float32]
    is_whole: bool
    missing: str | None = None
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether what a word means is heard in a stretch of a content.

    Attributes:
        word: The word, with its `@`.
        digest: Of the content.
        start_s: From when.
        end_s: To when.
        verdict: `yes`, `no` or `unsure`.
        judged_by: Who judged: the name of a user of the system.
        judged_at_s: When, in seconds since the epoch.
    """

    word: str
    digest: bytes
    start_s: float
    end_s: float
    verdict: str
    judged_by: str
    judged_at_s: int


@dataclass(frozen=True, slots=True)
class Word:
    """A word that the user taught, and how it stands.

    Attributes:
        word: With its `@`.
        text: What it starts from; empty if it starts from examples alone.
        yes: How many stretches were judged to have it.
        no: How many not to.
        unsure: How many it was not told of.
        gone: How many of all these the store has no clip of any more. They don't count until the clip is back.
        judged_at_s: When something was last judged, in seconds since the epoch; None if nothing was.
    """

    word: str
    text: str
    yes: int
    no: int
    unsure: int
    gone: int
    judged_at_s: int | None


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word, and when it is said.

    Attributes:
        start_s: From when.
        end_s: To when.
        word: As it is written, with the signs that belong to it.
    """

    start_s: float
    end_s: float
    word: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or a part of one, and when it is said.

    Attributes:
        start_s: From when.
        end_s: To when.
        text: What is said.
        words: Its words in order, if it is known when each is said.
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[SpokenWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a content, as an engine has it.

    Attributes:
        digest: Of the content.
        engine: `sidecar` for a file beside the clip, or `sidecar.en` if its name has a language; or the name of a
            recogniser with its revision.
        language: As `en`; empty if it is not known.
        segments: In order of time.
        until_s: How far the engine came; None if it came to the end.
        made_at_s: When it was made, in seconds since the epoch.
    """

    digest: bytes
    engine: str
    language: str
    segments: tuple[Segment, ...]
    until_s: float | None = None
    made_at_s: int = 0


@dataclass(frozen=True, slots=True)
class Transcribed:
    """What is said in a clip, or in a part of it.

    Attributes:
        engine: As `Transcript.engine`.
        segments: In order of time.
        is_known: Whether the store had it already.
        speech_s: Seconds that were given to the recogniser now.
    """

    path: Path
    engine: str
    segments: tuple[Segment, ...]
    is_known: bool = False
    speech_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A file that a transcript was taken from, or would have been.

    Attributes:
        size_bytes: When it was read.
        modified_ns: When its bytes were last changed then, in nanoseconds since the epoch.
        digest: Of the content that it tells of.
        engine: As `Transcript.engine`; empty if it is no transcript.
    """

    path: Path
    size_bytes: int
    modified_ns: int
    digest: bytes
    engine: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answered to a question about a stretch of a content.

    Attributes:
        digest: Of the content.
        start_s: From when.
        end_s: To when.
        model: The name of the model.
        revision: Of the model.
        question: All that was asked, so that another question is another answer.
        answer: What it answered.
        made_at_s: When, in seconds since the epoch.
    """

    digest: bytes
    start_s: float
    end_s: float
    model: str
    revision: str
    question: str
    answer: str
    made_at_s: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A clip that can't be indexed until its file changes, with the reason."""

    clip: Clip
    reason: str


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A clip that is indexed, but could not be read completely, with what is missing."""

    clip: Clip
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A clip that was left out or is incomplete, or another damaged file, with the reason.

    Attributes:
        is_note: Whether the clip is complete and only odd.
    """

    path: Path
    reason: str
    is_note: bool = False


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
