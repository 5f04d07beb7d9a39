"""Frozen records of queries and of what was found.

Times are seconds from the start of the clip.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

# Not for type checking alone: `serving` makes records of JSON by their annotations.
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_search.efforts import EmbeddingEffort, SearchEffort
from pe_search.places import is_there

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# With the built-in checkpoint, MP3s of the example sounds and most resampled ones are above this, and no two different
# sounds. At 0.97 fewer copies are missed, but many recordings of one kind of sound are as near to each other.
SAME_FROM_COSINE = 0.99

# So many of the best clips by sound, and as many by words, count where the two are fused; or `Request.k` if it is more.
FUSED_FROM_EACH = 1_000

_WORD = re.compile(r"@\w[\w.-]{0,98}")


def is_word(text: str) -> bool:
    """Whether a text is the name of a word that is taught, as `@mybird`."""
    return _WORD.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Term:
    """A text that is added to a query or subtracted from it.

    Attributes:
        weight: Its weight, above zero. The texts of the query together have weight 1.
    """

    text: str
    weight: float = 1.0

    def __str__(self) -> str:
        return self.text if self.weight == 1 else f"{self.weight:g}:{self.text}"


@dataclass(frozen=True, slots=True)
class Reference:
    """Audio that hits of a query should sound like, or not sound like.

    Attributes:
        path: The file; absolute.
        place: Start and end of the part, in seconds; None means the whole file.
    """

    path: Path
    place: tuple[float, float] | None = None

    def __str__(self) -> str:
        return str(self.path) if self.place is None else f"{self.path}@{self.place[0]:.15g}-{self.place[1]:.15g}"


@dataclass(frozen=True, slots=True)
class Query:
    """One thing to find. Clips are ranked by how much they sound like it.

    Attributes:
        texts: Wordings of it, of which the average counts.
        plus: Texts that are added.
        minus: Texts that are subtracted.
        like: Audio that hits should sound like.
        unlike: Audio that hits should not sound like.
    """

    texts: tuple[str, ...] = ()
    plus: tuple[Term, ...] = ()
    minus: tuple[Term, ...] = ()
    like: tuple[Reference, ...] = ()
    unlike: tuple[Reference, ...] = ()

    @property
    def references(self) -> tuple[Reference, ...]:
        """All audio that it is compared with."""
        return (*self.like, *self.unlike)

    @property
    def wordings(self) -> tuple[str, ...]:
        """All texts in it: its texts, those of its `plus`, and those of its `minus`."""
        return (*self.texts, *(term.text for term in (*self.plus, *self.minus)))

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound that it looks for."""
        return bool(self.texts or self.plus or self.like)

    @property
    def name(self) -> str:
        """What its hits call it: a text by itself, or `rain | drizzle + 0.5:wind - speech, like /a.wav@1.5-3`."""
        sums = [" | ".join(self.texts), *(f"+ {term}" for term in self.plus), *(f"- {term}" for term in self.minus)]
        text = " ".join(sums if self.texts else sums[1:])
        likes = [f"like {one}" for one in self.like] + [f"unlike {one}" for one in self.unlike]
        return ", ".join([text if self.texts else text.removeprefix("+ "), *likes] if text else likes)


Range = tuple[float | None, float | None]
"""The least and the largest number that fit; None for no bound."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which clips may be hits at all, by what is known of them. None, or an empty tuple, is no filter.

    A clip of which something is not known does not pass a filter for it.

    Attributes:
        length_s: Length of the clip in seconds.
        sample_rate_hz: Of the file.
        channels: Of the file.
        loudness_lufs: Integrated loudness.
        bpm: Beats a minute.
        names: Patterns with `*`, `?` and `[…]`, of which the file's name matches one; a pattern with a slash is for the
            path. Case doesn't count.
        tags: Tags of the user, of which the clip has all.
        recorded: From when to before when it was recorded: local times as ISO 8601 without a zone. What counts is where
            a window begins: the start of the recording, as its recorder's clock showed it, and the window's time.
        hours: From which hour of the day to before which, 0 to 24; likewise. From 22 to 4 goes past midnight.
    """

    length_s: Range | None = None
    sample_rate_hz: Range | None = None
    channels: Range | None = None
    loudness_lufs: Range | None = None
    bpm: Range | None = None
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    recorded: tuple[str | None, str | None] | None = None
    hours: tuple[float, float] | None = None

    def __bool__(self) -> bool:
        """Whether there is any filter."""
        return self != Filters()

    @property
    def has_time(self) -> bool:
        """Whether it tells windows of one clip apart."""
        return self.recorded is not None or self.hours is not None


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that decides which hits a store returns.

    Attributes:
        queries: What to find. Each has its own answer.
        k: The largest number of hits of each query; None means all.
        under: A clip, or a folder that the clips must be below; absolute.
        all_windows: Whether all windows of a clip may be hits, not only its best; with `said` alone, all places where
            it is said.
        min_probability: Hits with a lower probability are dropped.
        fdr: Keeps only hits that score higher than unrelated texts do; at most this share of them is chance. No query
            may have audio. None keeps all hits.
        exact: Whether to search all windows of a large store.
        filters: Which clips may be hits.
        words: What clips have in their names, folders, tags and descriptions, as `words.read_words` has it. Hits are
            ranked by sound and by words, see `search.fusing`; by words alone if the one query asks for no sound. Clips
            with an excluded word are no hits. Empty for sound alone.
        said: What is said in clips, by their transcripts, as `words.read_words` has it; like `words`, but a hit is
            where it is said. Not beside `words`.
        is_part: Whether this goes to one of several stores, whose answers are merged: with words, an answer has all
            that counts in the fusion, and not the best `k` of it.
    """

    queries: tuple[Query, ...]
    k: int | None = 10
    under: Path | None = None
    all_windows: bool = False
    min_probability: float = 0.0
    fdr: float | None = None
    exact: bool = False
    filters: Filters = Filters()
    words: str = ""
    said: str = ""
    is_part: bool = False

    @property
    def has_words(self) -> bool:
        """Whether there is a ranking by words, be they written or said."""
        return bool(self.words or self.said)


@dataclass(frozen=True, slots=True)
class Match:
    """A window of the store with its score.

    Attributes:
        path: The clip; of several with the same bytes, the first.
        copies: The others.
    """

    path: Path
    start_s: float
    end_s: float
    score: float
    copies: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Matches:
    """What a store found for one query.

    Attributes:
        best: Best first.
        effort: How it was found.
    """

    best: tuple[Match, ...]
    effort: SearchEffort


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store has for one query.

    Attributes:
        query: The name of the query.
        hits: Best first.
        effort: How they were searched for.
        matches: How many windows the store gave, at most `k`.
        outstanding: How many of them stand out, as `Request.fdr` says; all if it is None. The hits are those that have
            enough probability.
        embedding: What was embedded for all queries of the request together.
        heard: How many hits by sound count in the fusion with words; None if nothing is fused.
        named: How many clips the words gave, of those with the same bytes one; at most `k`, or `FUSED_FROM_EACH` beside
            a sound. None without words.
    """

    query: str
    hits: tuple[Hit, ...]
    effort: SearchEffort
    matches: int
    outstanding: int
    embedding: EmbeddingEffort
    heard: int | None = None
    named: int | None = None


@dataclass(frozen=True, slots=True)
class Snippet:
    """Some words of what is said.

    Attributes:
        text: What is said.
        marks: The first character of each stretch that was looked for, and the one after its last.
    """

    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked answer to a query.

    Attributes:
        query: The name of the query; of words alone, the words.
        rank: 1 for the best.
        start_s: Of the window; of a hit of words alone, of the clip; where it is said, of the words.
        end_s: Likewise.
        score: Inner product of the audio and text embeddings; of a query of several parts see `composing.Aim`. None if
            words alone were asked for.
        probability: `sigmoid(score * logit_scale + logit_bias)` with the checkpoint's own two parameters; likewise.
        spans: When in the window the query is heard; None if this was not asked, or the clip can't be read.
        copies: Other clips with the same bytes, in order of path.
        sound_rank: Its place by sound alone, from 1. None if it is not among the first, has too little probability, or
            no words were asked for.
        words_rank: Its place by words alone, likewise; None if they are not in it.
        said_rank: Its place by what is said alone, likewise.
        said: What is said, if that was asked.
    """

    query: str
    rank: int
    path: Path
    start_s: float
    end_s: float
    score: float | None
    probability: float | None
    spans: tuple[Span, ...] | None = None
    copies: tuple[Path, ...] = ()
    sound_rank: int | None = None
    words_rank: int | None = None
    said_rank: int | None = None
    said: Snippet | None = None

    @property
    def rank_by_words(self) -> int | None:
        """Its place by words, be they written or said: a request has no more than one of them."""
        return self.words_rank or self.said_rank

    def is_gone(self) -> bool:
        """Whether there is nothing at its path any more, for which the disk is asked. A name is never gone."""
        return self.path.is_absolute() and not is_there(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Its fields without spans and copies, as JSON Lines, CSV and HTTP have them. Times are rounded.

        The two ranks are there if words were asked for, and with the second what is said.
        """
        ranks: dict[str, Any] = {"sound_rank": self.sound_rank, "words_rank": self.words_rank}
        if self.said is not None:
            ranks = {"sound_rank": self.sound_rank, "said_rank": self.said_rank, "said": self.said.text or None}
        return {
            "query": self.query,
            "rank": self.rank,
            "path": str(self.path),
            "start_s": round(self.start_s, 6),
            "end_s": round(self.end_s, 6),
            "score": self.score,
            "probability": self.probability,
            **(ranks if any(ranks.values()) else {}),
        }


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
        threshold: The least probability of a frame of a span.
        smooth_s: Length of the moving median that smooths the probabilities, in seconds.
        min_length_s: Shorter spans are dropped, after joining; in seconds.
        join_s: Spans that are at most this far apart are joined; in seconds.
    """

    # The threshold is that of upstream's own examples; the rest is what `examples/evaluate_spans.py` showed to break
    # events into the fewest pieces while keeping their edges.
    threshold: float = 0.3
    smooth_s: float = 0.2
    min_length_s: float = 0.2
    join_s: float = 0.8

    def at_speed(self, speed: float) -> SpanRules:
        """The rules for a file that is slowed down by a speed below 1: their times are shorter."""
        return replace(
            self, smooth_s=self.smooth_s * speed, min_length_s=self.min_length_s * speed, join_s=self.join_s * speed
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """The probabilities of one query over a part of a clip.

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
class Duplicate:
    """One clip of a group that sounds the same.

    Attributes:
        cosine: The lowest cosine of its windows and those of the group's first clip; 1 for the first.
        is_same_bytes: Whether its file has the same bytes as that of the first; true for the first.
    """

    path: Path
    cosine: float
    is_same_bytes: bool
