"""A language model is tuned on captions: some recordings are held out, and what does not help with them is dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.drafts import draft_folder, sync_all
from pe_search.errors import TableError, TuningError, quoted
from pe_search.known.annotations import CAPTIONS, Annotations
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.tuning.lessons import Plan
from pe_search.records import Hearing, Problem
from pe_search.reports import Progress
from pe_search.tuning.codec import clips_of
from pe_search.tuning.heard import Heard, hear
from pe_search.tuning.sounds import Sound, Sounds, hold_out, numbered
from pe_search.tuning.working import alone, key_of, refuse_place, working
from pe_search.tunings import CaptionLoss, CaptionTuning

if TYPE_CHECKING:
    from pe_search.language.tuning.training import CaptionTraining, Lesson
    from pe_search.pe_audio.loaded import Loading

# What a row is for, as others call it too.
_SPLITS = {"train": "train", **dict.fromkeys(("test", "validation", "valid", "val", "dev"), "test")}
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
        on_loss: Called now and then with how the training stands, first before it.
        on_problem: Called for each row that is left out.
    """

    on_reading: Callable[[Progress], None]
    on_progress: Callable[[float], None]
    on_loss: Callable[[CaptionLoss], None]
    on_problem: Callable[[Problem], None]


@dataclass(frozen=True, slots=True)
class Pupil:
    """What is to be tuned, and how.

    Attributes:
        checkpoint: A language model.
        device: As `pe_search.open` has it.
        dtype: Likewise; of the weights that stay.
        loading: Makes what it is loaded in, given its checkpoint.
        hearing: How clips are brought to it.
        question: What is asked where the table has no question.
        plan: How the training goes.
        is_merged: Whether a checkpoint is written, and not an adapter.
    """

    checkpoint: Checkpoint
    device: str
    dtype: str
    loading: Loading
    hearing: Hearing
    question: str
    plan: Plan
    is_merged: bool


def tune_on_captions(
    annotations: Annotations, out: Path, pupil: Pupil, telling: Telling, *, force: bool
) -> CaptionTuning:
    """Tune a language model on a table of captions, and write the result if it is better.

    What is done is kept as `running.tune` keeps it.

    Args:
        annotations: The table.
        out: The folder to make.
        pupil: What is tuned.
        telling: Who is told how it goes.
        force: Whether to write the result even if it is no better.

    Raises:
        MissingExtraError: If peft is not installed.
        TableError: If a split makes no sense.
        TuningError: If the table has no captions or too few recordings, or `out` can't be made.
        LanguageModelError: If the language model can't be loaded or adapted.
        OSError: If the result can't be written.
    """
    from pe_search.pe_audio.tuning.adapted import need_peft

    need_peft()
    if annotations.kind != CAPTIONS:
        raise TuningError(f"{annotations.file} has no column caption, and a language model learns captions.")
    has_splits = any(row.split for row in annotations.rows)
    for row in annotations.rows if has_splits else ():
        if row.split.casefold() not in _SPLITS:
            raise TableError(annotations.file, row.line, f"split must be train or test; it is {quoted(row.split)}")
    refuse_place(out)
    with working(out) as work:
        return _Run(annotations, out, pupil, telling, work).tune(force)


class _Run:
    """The parts of one run."""

    def __init__(self, annotations: Annotations, out: Path, pupil: Pupil, telling: Telling, work: Path) -> None:
        self._annotations = annotations
        self._out = out
        self._pupil = pupil
        self._telling = telling
        self._work = work
        self._problems = 0

    def tune(self, force: bool) -> CaptionTuning:
        """All of it."""
        heard = self._read()
        recordings = numbered(_names(heard))
        held = self._held_out(heard, recordings)
        learned = [one for one, recording in zip(heard, recordings, strict=True) if recording not in held]
        measured = [one for one, recording in zip(heard, recordings, strict=True) if recording in held]
        if not learned or not measured:
            raise TuningError(
                f"{self._annotations.file} has too few recordings: some are learned from and others measured on, so "
                "there must be captions of at least two."
            )
        lessons, held_out = self._lessons(learned), self._lessons(measured)
        training = self._begin(lessons)
        before = self._measure(training, held_out)
        after = self._train(training, learned, held_out)
        found = CaptionTuning(
            model=self._pupil.checkpoint.name,
            learned_from=len(learned),
            held_out=len(measured),
            recordings=len(set(recordings)),
            before=before,
            after=after,
            steps=training.steps_done,
            directory=None,
            problems=self._problems,
        )
        if not force and not found.improves:
            return found
        self._write(training)
        return replace(found, directory=self._out)

    def _read(self) -> list[Heard]:
        rows = self._annotations.rows
        folder = alone(self._work, "sounds", key_of(self._pupil.hearing))
        clips = clips_of([row.path for row in rows], self._report)
        return hear(rows, clips, folder, self._pupil.hearing, self._telling.on_reading, self._report)

    def _report(self, problem: Problem) -> None:
        self._problems += not problem.is_note
        self._telling.on_problem(problem)

    def _held_out(self, heard: Sequence[Heard], recordings: Sequence[int]) -> frozenset[int]:
        """The recordings that are measured on: those that the table says, or else a quarter of all."""
        if not any(one.row.split for one in heard):
            sounds = tuple(Sound((), frozenset(), frozenset(), recording) for recording in recordings)
            return hold_out(Sounds((), sounds, ()), CAPTIONS, self._pupil.plan.seed)
        by_split: dict[str, set[int]] = {"train": set(), "test": set()}
        for one, recording in zip(heard, recordings, strict=True):
            by_split[_SPLITS[one.row.split.casefold()]].add(recording)
        both = by_split["train"] & by_split["test"]
        if both:
            row = next(one.row for one, recording in zip(heard, recordings, strict=True) if recording in both)
            raise TuningError(
                f"{self._annotations.file}, line {row.line:,}: a recording is in train or in test as a whole, with all "
                "clips of the same bytes."
            )
        return frozenset(by_split["test"])

    def _lessons(self, heard: Sequence[Heard]) -> list[Lesson]:
        from pe_search.language.tuning.training import Lesson

        return [Lesson(one.read, one.row.question or self._pupil.question, one.row.label) for one in heard]

    def _begin(self, lessons: Sequence[Lesson]) -> CaptionTraining:
        from pe_search.language.tuning.training import CaptionTraining

        pupil = self._pupil
        with pupil.loading(pupil.checkpoint):
            return CaptionTraining(pupil.checkpoint, pupil.device, pupil.dtype, lessons, pupil.plan)

    def _measure(self, training: CaptionTraining, held_out: Sequence[Lesson]) -> float:
        """The loss as it is now."""
        loss = training.loss_of(held_out)
        self._telling.on_loss(CaptionLoss(training.steps_done, loss))
        return loss

    def _train(self, training: CaptionTraining, learned: Sequence[Heard], held_out: Sequence[Lesson]) -> float:
        """Take all steps, from where a run before this one has saved them; returns the last loss."""
        pupil = self._pupil
        lessons = [(one.file.name, one.row.question or pupil.question, one.row.label) for one in learned]
        model = (pupil.checkpoint.name, pupil.checkpoint.revision, pupil.hearing, pupil.device, pupil.dtype)
        state = alone(self._work, "state", f"{key_of(_STATE_VERSION, *model, lessons, pupil.plan)}.safetensors")
        training.load_state(state)
        steps = pupil.plan.steps
        measured_at = {math.ceil(steps * part / _MEASURED_TIMES) for part in range(1, _MEASURED_TIMES)} - {steps}
        self._telling.on_progress(training.steps_done / steps)
        while training.steps_done < steps:
            training.step()
            self._telling.on_progress(training.steps_done / steps)
            if training.steps_done % _SAVED_EVERY_STEPS == 0 or training.steps_done == steps:
                training.save_state(state)
            if training.steps_done in measured_at:
                self._measure(training, held_out)
        return self._measure(training, held_out)

    def _write(self, training: CaptionTraining) -> None:
        from pe_search.language.adapters import find_adapter
        from pe_search.pe_audio.checkpoint import find_language_model

        with draft_folder(self._out.parent) as folder:
            draft, merged = folder / "adapter", folder / "merged"
            draft.mkdir()
            training.save_adapter(draft)
            # As whoever takes it will look at it.
            adapter = find_adapter(str(draft))
            if self._pupil.is_merged:
                merged.mkdir()
                training.save_merged(merged, adapter)
                find_language_model(str(merged))
                draft = merged
            sync_all(draft)
            draft.rename(self._out)


def _names(heard: Sequence[Heard]) -> list[list[str]]:
    """What tells the recording of each row: its name, and the bytes of its clip."""
    return [[one.row.recording, f"\0{one.digest.hex()}"] for one in heard]
