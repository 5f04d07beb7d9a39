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

__all__ = [
    "Account",
    "Clip",
    "Content",
    "Duplicate",
    "Hearing",
    "Hit",
    "Incomplete",
    "IndexSummary",
    "LeftOut",
    "Match",
    "PassedOver",
    "Problem",
    "Query",
    "Reference",
    "Request",
    "SearchEffort",
    "Span",
    "SpanRules",
    "Term",
    "Trace",
    "Verification",
    "Window",
]


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
class Duplicate:
    """One clip of a group that sounds the same.

    Attributes:
        cosine: How like the group's first clip it is: the lowest cosine of any of their windows; 1 for the first.
        is_same_bytes: Whether its file holds the same bytes as that of the first; true for the first.
    """

    path: Path
    cosine: float
    is_same_bytes: bool


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
class Term:
    """A text that is added to a query or taken from it.

    Attributes:
        weight: How much it counts beside the texts of the query, which count one between them; above zero.
    """

    text: str
    weight: float

    def __str__(self) -> str:
        return self.text if self.weight == 1 else f"{self.weight:g}:{self.text}"


@dataclass(frozen=True, slots=True)
class Reference:
    """Audio that a query asks for more of.

    Attributes:
        path: The file; absolute.
        place: Start and end of the stretch that is meant, in seconds; the whole file if None.
    """

    path: Path
    place: tuple[float, float] | None

    def __str__(self) -> str:
        return str(self.path) if self.place is None else f"{self.path}@{self.place[0]:.15g}-{self.place[1]:.15g}"


@dataclass(frozen=True, slots=True)
class Query:
    """One thing to look for; the clips are ranked by how much they sound like it.

    Attributes:
        texts: Wordings for it, whose average counts; none if other parts say what it is.
        plus: What else it should sound like.
        minus: What it should not sound like.
        like: Audio that it should sound like.
    """

    texts: tuple[str, ...]
    plus: tuple[Term, ...]
    minus: tuple[Term, ...]
    like: tuple[Reference, ...]

    @property
    def name(self) -> str:
        """What its hits call it: a text by itself, or `rain | drizzle + 0.5:wind - speech, like /a/b.wav@1.5-3`."""
        sums = [" | ".join(self.texts), *(f"+ {term}" for term in self.plus), *(f"- {term}" for term in self.minus)]
        text = " ".join(sums if self.texts else sums[1:])
        likes = [f"like {reference}" for reference in self.like]
        return ", ".join([text if self.texts else text.removeprefix("+ "), *likes] if text else likes)


@dataclass(frozen=True, slots=True)
class Request:
    """All that decides which hits a store gives.

    Attributes:
        queries: What to look for; each is answered by itself.
        k: How many hits at most for each query.
        under: A clip, or a folder that the clips must be below; absolute.
        all_windows: Whether a clip may show more than once, or only by its best window.
        min_probability: Hits below it are left out.
        fdr: Hits are left out that don't stand out against what unrelated texts score: of those that are left, this
            share may be there by chance. No query has a reference then. None for all hits.
        exact: Whether to go through all windows of the store, however many there are.
    """

    queries: tuple[Query, ...]
    k: int
    under: Path | None
    all_windows: bool
    min_probability: float
    fdr: float | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Match:
    """A window that the store holds, with its score, as `Store.best_matches` has it."""

    path: Path
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True, slots=True)
class SearchEffort:
    """How a store came to its answer.

    Attributes:
        is_exact: Whether no other window can be among the best; else some of those that are lie outside what was
            searched, though hardly ever.
        windows_searched: Windows whose scores were calculated.
        windows: Windows that there are, or that were asked for.
    """

    is_exact: bool
    windows_searched: int
    windows: int


@dataclass(frozen=True, slots=True)
class Account:
    """How a query was answered.

    Attributes:
        query: The name of the query.
        effort: Of the search.
        matches: How many the store gave, `k` at most.
        outstanding: How many of them stand out, as `Request.fdr` has it; all if that is None.
        hits: How many of those are probable enough.
    """

    query: str
    effort: SearchEffort
    matches: int
    outstanding: int
    hits: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked answer to a query.

    Attributes:
        query: The name of the query.
        rank: 1 for the best.
        score: Inner product of the audio and text embeddings; of a query of several parts see `composing.Aim`.
        probability: `sigmoid(score * logit_scale + logit_bias)` with the checkpoint's own two parameters.
    """

    query: str
    rank: int
    path: Path
    start_s: float
    end_s: float
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Span:
    """Where in a clip a query is heard.

    Attributes:
        probability: The highest of its frames.
    """

    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class SpanRules:
    """How spans are made of the probabilities of frames.

    Attributes:
        threshold: A frame is heard from this probability on.
        smooth_s: Length of the moving median that the probabilities go through first; a frame or less changes nothing.
        min_length_s: Spans that are shorter are dropped, after joining.
        join_s: Gaps up to this length are closed.
    """

    threshold: float
    smooth_s: float
    min_length_s: float
    join_s: float


@dataclass(frozen=True, slots=True)
class Trace:
    """What the frame-level head makes of one query over one stretch of a clip.

    Attributes:
        query: The text that was asked.
        probabilities: float32 of shape (frames,), one for each frame from `start_s` on, smoothed.
        spans: In order of time.
    """

    query: str
    path: Path
    start_s: float
    end_s: float
    probabilities: NDArray[np.float32]
    spans: tuple[Span, ...]


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
    """

    clips: int
    windows: int
    audio_s: float
    recognised: int
    unchanged: int
    removed: int
    left_out_before: int
    problems: tuple[Problem, ...]
    is_interrupted: bool
    incomplete: int = 0
    passed_over: PassedOver = PassedOver()


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
