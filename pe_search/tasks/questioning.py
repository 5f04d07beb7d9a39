"""Parts of clips are put to a language model, and each answer is compared with the very part that it is about."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.hashing import content_digest
from pe_search.audio.level import levelled
from pe_search.audio.read import ClipReader, Place, oddities
from pe_search.audio.stamps import is_same, stamp_of
from pe_search.audio.windows import cut_windows
from pe_search.clock import clock
from pe_search.descriptions import Description, Turn
from pe_search.embedding import TOO_LARGE, TextEmbedder
from pe_search.errors import AudioError, StoreError, UnansweredError
from pe_search.language.conversations import (
    LONGEST_S,
    Conversation,
    CutAnswer,
    LanguageModel,
    as_heard,
    plain,
)
from pe_search.model import Model
from pe_search.probability import probabilities
from pe_search.queries import Reference
from pe_search.records import Clip, Hearing, ModelAnswer, Problem
from pe_search.reports import Progress
from pe_search.search.searching import RememberingEmbedder
from pe_search.store import Store
from pe_search.store.answers import read_answers, write_answers

# Answers take seconds each, and a commit milliseconds.
_MOST_UNWRITTEN = 16
_LONGEST_UNWRITTEN_S = 2.0
# Parts are held until those before them are read: 6 MB each at most.
_READ_AT_ONCE = 32

OnProblem = Callable[[Problem], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a clip that a language model is asked about.

    Attributes:
        path: The clip.
        start_s: From when.
        end_s: To when.
        samples: What the model of the store hears of it: float32 of shape (samples,), 48 kHz mono.
    """

    path: Path
    start_s: float
    end_s: float
    samples: NDArray[np.float32]


def parts_of(references: Iterable[Reference], hearing: Hearing, on_problem: OnProblem) -> Iterator[Part]:
    """Read files, or parts of them, each of which a language model can hear at once.

    Args:
        references: Files and parts. Those of one file that are near each other are read in one go. All come in the
            order in which they are given, also those that are given twice.
        hearing: How they are brought to the model.
        on_problem: Called with each file that can't be read, or is too long.
    """
    waiting = iter(references)
    while some := list(islice(waiting, _READ_AT_ONCE)):
        places_of: dict[tuple[Path, bool], list[Place | None]] = {}
        for one in some:
            places_of.setdefault((one.path, one.place is None), []).append(one.place)
        read: dict[tuple[Path, Place | None], Part] = {}
        for (path, _), listed in places_of.items():
            places = [place for place in listed if place is not None]
            try:
                with ClipReader(path, hearing) as reader:
                    if places:
                        found = _read_parts(reader, list(dict.fromkeys(places)), hearing, on_problem)
                        read.update(((path, place), part) for place, part in found)
                    else:
                        read[path, None] = _read_whole(reader, hearing, on_problem)
            except AudioError as error:
                on_problem(Problem(error.path, error.reason))
        for one in some:
            if (part := read.get((one.path, one.place))) is not None:
                yield part


def _read_parts(
    reader: ClipReader, places: Sequence[Place], hearing: Hearing, on_problem: OnProblem
) -> Iterator[tuple[Place, Part]]:
    longest_s = LONGEST_S * hearing.speed
    short = [(start_s, end_s) for start_s, end_s in places if end_s - start_s <= longest_s + 1e-6]
    for start_s, end_s in places:
        if (start_s, end_s) not in short:
            reason = f"{clock(start_s)}–{clock(end_s)} is too long: ask about {longest_s:g} s at most"
            on_problem(Problem(reader.path, reason))
    for place, samples in reader.stretches(short):
        if len(samples):
            yield place, Part(reader.path, *place, levelled(samples, hearing.level))
        else:
            on_problem(Problem(reader.path, f"nothing is asked about {clock(place[0])}: less than a sample is meant"))


def _read_whole(reader: ClipReader, hearing: Hearing, on_problem: OnProblem) -> Part:
    blocks, samples = [], 0
    for block in reader.blocks():
        blocks.append(block)
        samples += len(block)
        if samples > (LONGEST_S + 0.01) * SAMPLE_RATE_HZ:
            longest_s = LONGEST_S * hearing.speed
            raise AudioError(
                reader.path,
                f"is longer than {longest_s:g} s. Ask about a part, as in {reader.path.name}@0-{longest_s:g}",
            )
    for oddity in oddities(reader):
        on_problem(oddity)
    whole = np.concatenate(blocks)[: round(LONGEST_S * SAMPLE_RATE_HZ)]
    return Part(reader.path, 0.0, len(whole) / SAMPLE_RATE_HZ * hearing.speed, levelled(whole, hearing.level))


def windows_of(
    clips: Sequence[Clip],
    window_s: float,
    hop_s: float,
    hearing: Hearing,
    on_progress: Callable[[Progress], None],
    on_problem: OnProblem,
) -> Iterator[Part]:
    """Read all windows of clips, cut as a store has them, with little more than one in memory.

    Args:
        clips: The clips.
        window_s: As in `cut_windows`.
        hop_s: Likewise.
        hearing: Likewise.
        on_progress: Called once a window was asked about.
        on_problem: Called with each clip that can't be read, or that is odd.
    """
    bytes_total = sum(clip.size_bytes for clip in clips)
    bytes_done, audio_s = 0.0, 0.0
    for number, clip in enumerate(clips):
        try:
            with ClipReader(clip.path, hearing) as reader:
                for window in cut_windows(reader.blocks(), window_s, hop_s, hearing):
                    yield Part(clip.path, window.start_s, window.end_s, window.samples)
                    audio_s += window.end_s - window.start_s
                    share = window.end_s / max(reader.header_duration_s, window.end_s)
                    done = bytes_done + share * clip.size_bytes
                    on_progress(Progress(done, bytes_total, audio_s, clips_done=number, clips=len(clips)))
                for oddity in oddities(reader):
                    on_problem(oddity)
        except AudioError as error:
            on_problem(Problem(error.path, error.reason))
        bytes_done += clip.size_bytes


class Questioner:
    """Asks a language model about parts of clips, and scores what it answers.

    Args:
        model: The checkpoint that scores.
        store: Made with it, if there is one; it remembers texts.
        language_model: What is asked.
        question: What it is asked about each part.
        turns: What was asked and answered before; for one part only.
        on_problem: Called with each part that gets no answer.
        keep: Whether the store keeps the answers, and remembers their texts.
    """

    def __init__(
        self,
        model: Model,
        store: Store | None,
        language_model: LanguageModel,
        question: str,
        turns: tuple[Turn, ...],
        on_problem: OnProblem,
        *,
        keep: bool = True,
    ) -> None:
        self._model = model
        self._manifest = model.manifest()
        self._language_model = language_model
        self._question = question
        self._turns = turns
        self._on_problem = on_problem
        self._kept = None
        self._texts: Callable[[], TextEmbedder] = model.text_embedder
        if store is not None:
            self._kept = _Kept(store, language_model, _all_asked(question, turns), on_problem, keep=keep)
        if store is not None and keep:
            remembering = RememberingEmbedder(store.remembered_texts, model.text_embedder, model.audio_embedder)
            self._texts = lambda: remembering

    def describe(self, parts: Iterator[Part]) -> Iterator[Description]:
        """Yield what the language model answers about each part, in order; there is nothing for one without answer."""
        audible = filter(self._is_audible, parts)
        try:
            while some := list(islice(audible, self._language_model.batch)):
                answered = list(self._answered(some))
                if answered:
                    yield from self._scored(answered)
        finally:
            if self._kept is not None:
                self._kept.write(is_last=True)

    def _is_audible(self, part: Part) -> bool:
        """Whether there is any sound in a part: a language model names some where there is none."""
        if part.samples.any():
            return True
        where = f"{clock(part.start_s)}–{clock(part.end_s)}"
        self._on_problem(Problem(part.path, f"is silent at {where}; nothing is asked about that", is_note=True))
        return False

    def _answered(self, parts: Sequence[Part]) -> Iterator[tuple[Part, str]]:
        """Each part with its answer, in order: one that the store keeps, or a new one."""
        kept = {} if self._kept is None else self._kept.recall(parts)
        new = dict(self._asked([part for part in parts if id(part) not in kept]))
        for part in parts:
            answer = kept.get(id(part)) or new.get(id(part))
            if answer is not None:
                # One that is kept may be of another version, or in a store that somebody else has made.
                text = plain(answer)
                yield part, CutAnswer(text) if isinstance(answer, CutAnswer) else text

    def _asked(self, parts: Sequence[Part]) -> Iterator[tuple[int, str]]:
        asked = [Conversation(as_heard(part.samples), self._question, self._turns) for part in parts]
        for part, answer in zip(parts, self._language_model.answer(asked), strict=True):
            if isinstance(answer, UnansweredError):
                where = f"{clock(part.start_s)}–{clock(part.end_s)}"
                self._on_problem(Problem(part.path, f"{where}: {str(answer).removesuffix('.')}"))
                continue
            if isinstance(answer, CutAnswer):
                where = f"{clock(part.start_s)}–{clock(part.end_s)}"
                reason = f"{where}: the answer is cut at the limit of tokens; it ends with … and is not kept"
                self._on_problem(Problem(part.path, reason, is_note=True))
            elif self._kept is not None:
                self._kept.keep(part, plain(answer))
            yield id(part), answer

    def _scored(self, answered: Sequence[tuple[Part, str]]) -> Iterator[Description]:
        heard = self._model.audio_embedder().embed_windows([part.samples for part, _ in answered])
        said = self._texts().embed_texts([answer for _, answer in answered])
        with np.errstate(over="ignore", invalid="ignore"):  # the next lines tell of it
            scores = np.einsum("ij,ij->i", heard.astype(np.float64), said.astype(np.float64))
        chances = probabilities(scores, self._manifest.logit_scale, self._manifest.logit_bias)
        for (part, answer), score, chance in zip(answered, scores, chances, strict=True):
            if not np.isfinite(score):
                self._on_problem(Problem(part.path, TOO_LARGE))
                continue
            yield Description(
                path=part.path,
                start_s=part.start_s,
                end_s=part.end_s,
                question=self._question,
                answer=f"{answer} …" if isinstance(answer, CutAnswer) else answer,
                is_whole=not isinstance(answer, CutAnswer),
                score=float(score),
                probability=float(chance),
                model=self._language_model.name,
                revision=self._language_model.revision,
            )


class _Kept:
    """The answers that a store keeps to one question, by the bytes of clips.

    Args:
        store: The store.
        language_model: What is asked.
        question: All that is asked.
        on_problem: Told once if answers can't be kept.
        keep: Whether new ones are kept too.
    """

    def __init__(
        self, store: Store, language_model: LanguageModel, question: str, on_problem: OnProblem, *, keep: bool
    ) -> None:
        self._store = store
        self._keeps = keep
        self._asked = {"model": language_model.name, "revision": language_model.revision, "question": question}
        self._on_problem = on_problem
        self._digests: dict[Path, bytes | None] = {}
        self._new: list[ModelAnswer] = []
        self._written_at_s = time.monotonic()

    def recall(self, parts: Sequence[Part]) -> dict[int, str]:
        """The answers that are kept about some parts, by the `id` of the part."""
        digests = {digest for part in parts if (digest := self._digest(part.path)) is not None}
        held: dict[tuple[bytes | None, float, float], ModelAnswer] = {
            (one.digest, *_times(one)): one for one in read_answers(self._store.catalog, digests, **self._asked)
        }
        found = ((part, held.get((self._digest(part.path), *_times(part)))) for part in parts)
        return {id(part): one.answer for part, one in found if one is not None}

    def keep(self, part: Part, answer: str) -> None:
        """Keep an answer, if the store holds the clip as it is on disk."""
        digest = self._digest(part.path) if self._keeps else None
        if digest is not None:
            asked = self._asked["model"], self._asked["revision"], self._asked["question"]
            self._new.append(ModelAnswer(digest, *_times(part), *asked, answer, int(time.time())))
            if len(self._new) % _MOST_UNWRITTEN == 0 or time.monotonic() - self._written_at_s > _LONGEST_UNWRITTEN_S:
                self.write()

    def write(self, *, is_last: bool = False) -> None:
        """Write what is new. If it can't be written, that is told at the last time, and it is tried again before."""
        new, self._written_at_s = self._new, time.monotonic()
        if not new:
            return
        try:
            with Store.open(self._store.directory, read_only=False) as writer:
                write_answers(writer.catalog, new)
            self._new = []
        except StoreError as error:
            # Another process may be writing.
            if not is_last:
                return
            reason = f"{len(new)} {'answer is' if len(new) == 1 else 'answers are'} not kept: {error}"
            self._on_problem(Problem(self._store.directory, reason.removesuffix("."), is_note=True))

    def _digest(self, path: Path) -> bytes | None:
        if path not in self._digests:
            held = self._store.catalog.clip(path)
            self._digests[path] = None if held is None else self._as_held(path, *held[:2])
        return self._digests[path]

    def _as_held(self, path: Path, clip: Clip, digest: bytes) -> bytes | None:
        """The digest that the store has of a clip; None if the file is not as it was."""
        try:
            with suppress(OSError):
                if is_same(clip.stamp, stamp_of(path.stat())):
                    return digest
            # A copy has another stamp, and a clip in an archive or behind a URL has none here.
            if content_digest(path) == digest:
                return digest
        except AudioError:
            return None
        reason = "has changed since it was indexed; the file as it is now is asked about, and no answer is kept"
        self._on_problem(Problem(path, reason, is_note=True))
        return None


def _times(one: Part | ModelAnswer) -> tuple[float, float]:
    return round(one.start_s, 6), round(one.end_s, 6)


def _all_asked(question: str, turns: Sequence[Turn]) -> str:
    """All that a language model is asked, in one text: the same question means something else after others."""
    before = [text for turn in turns for text in (turn.question, turn.answer)]
    return json.dumps([*before, question]) if before else question
