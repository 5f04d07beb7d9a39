"""A checkpoint is tuned: clips are read, some recordings held out, the rest learned, and the result judged and kept."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.drafts import draft_folder, sync_all
from pe_search.errors import TuningError, quoted
from pe_search.known.annotations import CAPTIONS, Annotations
from pe_search.model import WINDOW_S, Model
from pe_search.pe_audio.checkpoint import builtin_concepts, find_checkpoint
from pe_search.pe_audio.tuning.lessons import Lesson, Plan
from pe_search.records import Problem
from pe_search.reports import Progress
from pe_search.search.aims import unit
from pe_search.store import Manifest
from pe_search.tuning.codec import CodecCache, clips_of, encode_clips
from pe_search.tuning.measuring import Embeddings, Measured, kept_share, learned_word
from pe_search.tuning.sounds import Sounds, gather_sounds, hold_out
from pe_search.tuning.working import alone, key_of, refuse_place, working
from pe_search.tunings import Scores, TunedText, Tuning, mean

if TYPE_CHECKING:
    from pe_search.pe_audio.tuning.training import Training

# A label that the checkpoint finds worse than this, among the sounds that are learned from, is a new word.
_KNOWN_FROM = 0.5
_SAVED_EVERY_STEPS = 10
_MEASURED_TIMES = 4
# What is saved by another version of this is not gone on from.
_STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told how it goes.

    Attributes:
        on_reading: Called after each clip that is read.
        on_progress: Called from time to time with the share of the training that is done, 0 to 1.
        on_scores: Called now and then with how the training stands, first before it.
        on_problem: Called with each clip that is left out, incomplete or odd.
    """

    on_reading: Callable[[Progress], None]
    on_progress: Callable[[float], None]
    on_scores: Callable[[Scores], None]
    on_problem: Callable[[Problem], None]


def tune(
    annotations: Annotations,
    out: Path,
    model: Model,
    telling: Telling,
    *,
    new: Sequence[str],
    plan: Plan,
    force: bool,
) -> Tuning:
    """Tune a checkpoint on a table, and write the result if it is better.

    What is done is kept in a hidden folder beside `out` until the end, so that a run that was stopped goes on from
    there.

    Args:
        annotations: The table.
        out: The folder to make.
        model: Gives the checkpoint, the windows and the hearing.
        telling: Who is told how it goes.
        new: The labels that are new; if there are none, those that the checkpoint finds badly.
        plan: How the training goes.
        force: Whether to write the result even if it is no better.

    Raises:
        MissingExtraError: If peft is not installed.
        TuningError: If the table has too little to learn from or to measure on, or `out` can't be made.
        CheckpointError: If the checkpoint can't be loaded.
        OSError: If the result can't be written.
    """
    from pe_search.pe_audio.tuning.adapted import need_peft

    need_peft()
    refuse_place(out)
    unknown = [label for label in new if label not in annotations.labels]
    if unknown:
        raise TuningError(f"{annotations.file} has no label {quoted(unknown[0])}.")
    with working(out) as work:
        return _Run(annotations, out, model, telling, work, new, plan).tune(force)


class _Run:
    """The parts of one run."""

    def __init__(
        self,
        annotations: Annotations,
        out: Path,
        model: Model,
        telling: Telling,
        work: Path,
        new: Sequence[str],
        plan: Plan,
    ) -> None:
        self._annotations = annotations
        self._out = out
        self._model = model
        self._telling = telling
        self._work = work
        self._given = new
        self._plan = plan
        self._checkpoint = model.checkpoint
        self._window_s = model.manifest().window_s if model.has_store else WINDOW_S
        self._problems = 0

    def tune(self, force: bool) -> Tuning:
        """All of it."""
        sounds, cache = self._read()
        self._sounds = sounds
        held = hold_out(sounds, self._annotations.kind, self._plan.seed)
        self._learning = [sound for sound in sounds.all if sound.recording not in held]
        self._held_out = Measured([sound for sound in sounds.all if sound.recording in held], len(sounds.texts))
        self._refuse_too_little()
        # A text that the table has is a word of the table, and judged by its rows.
        own = {text.casefold() for text in sounds.texts}
        self._old_texts = [text for text in builtin_concepts() if text.casefold() not in own]
        training = self._begin(lambda window: cache.features(*sounds.places[window]))
        before = self._embed(training)
        texts, old_texts = training.embed_texts(sounds.texts), training.embed_texts(self._old_texts)
        training.remember(range(len(before)), before)
        self._new = self._new_texts(before, texts)
        self._quiet = self._held_out.without(self._new)
        self._old_scores = self._quiet.scores(before, old_texts) if self._quiet.sounds else None
        first = self._held_out.average_precisions(self._held_out.scores(before, texts))
        of_texts = tuple(
            TunedText(
                text,
                place in self._new,
                sum(place in sound.heard for sound in self._held_out.sounds),
                first[place],
                None,
                self._learned(place, before, training),
            )
            for place, text in enumerate(sounds.texts)
            if not math.isnan(first[place])
        )
        self._telling.on_scores(self._scores(of_texts, [one.before for one in of_texts], None, 0))
        after, kept = self._train(training, of_texts)
        found = Tuning(
            model=self._checkpoint.name,
            learned_from=len(self._learning),
            held_out=len(self._held_out.sounds),
            recordings=len({sound.recording for sound in sounds.all}),
            unmeasured=tuple(text for place, text in enumerate(sounds.texts) if math.isnan(first[place])),
            texts=tuple(replace(one, after=value) for one, value in zip(of_texts, after, strict=True)),
            kept=kept,
            steps=training.steps_done,
            directory=None,
            problems=self._problems,
        )
        if not force and not (found.improves and found.keeps):
            return found
        self._write(training)
        return replace(found, directory=self._out)

    def _read(self) -> tuple[Sounds, CodecCache]:
        """The sounds of the table, with what the codec makes of them."""
        model, checkpoint = self._model, self._checkpoint
        key = key_of(checkpoint.name, checkpoint.revision, self._window_s, model.hearing)
        cache = CodecCache(alone(self._work, "codec", key))
        with model.loaded.encoding(checkpoint) as load_encoder:
            digests = encode_clips(
                clips_of([row.path for row in self._annotations.rows], self._report),
                cache,
                self._window_s,
                model.hearing,
                load_encoder,
                self._telling.on_reading,
                self._report,
            )
        return gather_sounds(self._annotations, digests, cache), cache

    def _report(self, problem: Problem) -> None:
        self._problems += not problem.is_note
        self._telling.on_problem(problem)

    def _refuse_too_little(self) -> None:
        file, kind = self._annotations.file, self._annotations.kind
        heard = {text for sound in self._held_out.sounds for text in sound.heard}
        learned = {text for sound in self._learning for text in sound.heard}
        if not heard or not learned:
            each = "captions of at least two" if kind == CAPTIONS else "at least two for a label"
            raise TuningError(
                f"{file} has too few recordings: some are learned from and others measured on, so there must be {each}."
            )

    def _begin(self, features: Callable[[int], Embeddings]) -> Training:
        from pe_search.pe_audio.tuning.training import Training

        lessons = [Lesson(sound.windows, sound.heard, sound.unknown) for sound in self._learning]
        with self._model.loaded.loading(self._checkpoint):
            return Training(
                self._checkpoint,
                self._model.loaded.device,
                self._sounds.texts,
                self._old_texts,
                lessons,
                features,
                self._plan,
            )

    def _embed(self, training: Training) -> Embeddings:
        return np.concatenate(list(training.embed_windows(range(len(self._sounds.places)))))

    def _new_texts(self, before: Embeddings, texts: Embeddings) -> list[int]:
        """The places of the new words: those that were named, or else that the checkpoint finds badly."""
        names = self._sounds.texts
        if self._given or self._annotations.kind == CAPTIONS:
            return [place for place, name in enumerate(names) if name in (self._given or names)]
        learning = Measured(self._learning, len(names))
        found = learning.average_precisions(learning.scores(before, texts))
        return [place for place, value in enumerate(found) if value < _KNOWN_FROM]

    def _learned(self, text: int, before: Embeddings, training: Training) -> float | None:
        """The average precision of a word that learns what the checkpoint learns."""
        is_taught = any(text in sound.heard for sound in self._learning)
        if text not in self._new or not is_taught or self._annotations.kind == CAPTIONS:
            return None
        manifest = Manifest(
            model=self._checkpoint.name,
            revision=self._checkpoint.revision,
            dimension=before.shape[1],
            window_s=self._window_s,
            hop_s=self._window_s,
            sample_rate_hz=SAMPLE_RATE_HZ,
            logit_scale=training.scale,
            logit_bias=training.bias,
        )
        weights = learned_word(self._learning, text, before, manifest)
        directions = unit(before.astype(np.float64)).astype(np.float32)
        return self._held_out.average_precision(self._held_out.scores(directions, weights[np.newaxis])[:, 0], text)

    def _train(self, training: Training, texts: Sequence[TunedText]) -> tuple[list[float], float | None]:
        """Take all steps, from where a run before this one has saved them; returns the last figures."""
        lessons = repr([(sound.windows, sorted(sound.heard), sorted(sound.unknown)) for sound in self._learning])
        words = (self._sounds.texts, self._sounds.places, self._old_texts)
        key = key_of(_STATE_VERSION, self._checkpoint.name, self._checkpoint.revision, lessons, *words, self._plan)
        state = alone(self._work, "state", f"{key}.safetensors")
        training.load_state(state)
        steps = self._plan.steps
        measured_at = {math.ceil(steps * part / _MEASURED_TIMES) for part in range(1, _MEASURED_TIMES)} - {steps}
        self._telling.on_progress(training.steps_done / steps)
        while training.steps_done < steps:
            training.step()
            self._telling.on_progress(training.steps_done / steps)
            if training.steps_done % _SAVED_EVERY_STEPS == 0 or training.steps_done == steps:
                training.save_state(state)
            if training.steps_done in measured_at:
                self._measure(training, texts)
        return self._measure(training, texts)

    def _measure(self, training: Training, texts: Sequence[TunedText]) -> tuple[list[float], float | None]:
        """The figures of the checkpoint as it is now."""
        held = sorted({window for sound in self._held_out.sounds for window in sound.windows})
        windows = np.zeros((len(self._sounds.places), training.dimension), np.float32)
        windows[held] = np.concatenate(list(training.embed_windows(held)))
        directions = training.embed_texts([one.text for one in texts])
        scores = self._held_out.scores(windows, directions)
        place_of = {text: place for place, text in enumerate(self._sounds.texts)}
        after = [
            self._held_out.average_precision(scores[:, column], place_of[one.text]) for column, one in enumerate(texts)
        ]
        kept = None
        if self._old_scores is not None:
            old = self._quiet.scores(windows, training.embed_texts(self._old_texts))
            kept = kept_share(old, self._old_scores, training.scale, training.bias)
        self._telling.on_scores(self._scores(texts, after, kept, training.steps_done))
        return after, kept

    @staticmethod
    def _scores(texts: Sequence[TunedText], values: Sequence[float], kept: float | None, step: int) -> Scores:
        pairs = list(zip(texts, values, strict=True))
        new = mean(value for one, value in pairs if one.is_new)
        return Scores(step, new, mean(value for one, value in pairs if not one.is_new), kept)

    def _write(self, training: Training) -> None:
        with draft_folder(self._out.parent) as folder:
            draft = folder / "checkpoint"
            draft.mkdir()
            training.save_merged(draft)
            # As whoever takes it will look at it.
            find_checkpoint(os.fspath(draft))
            sync_all(draft)
            draft.rename(self._out)
