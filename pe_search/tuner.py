"""A checkpoint that can be adapted to words and sounds of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.descriptions import DESCRIBE
from pe_search.directories import absolute, expanded
from pe_search.errors import QueryError
from pe_search.listener import Listener, OnProblem, OnProgress, PathLike, Texts, ignore, several

if TYPE_CHECKING:
    from pe_search.pe_audio.tuning.lessons import Plan
    from pe_search.tunings import CaptionLoss, CaptionTuning, Scores, Tuning

STEPS = 200


def work_folder(out: Path) -> Path:
    """Where a run that makes a folder keeps what is done, until its end."""
    from pe_search.tuning import working

    return working.work_folder(out)


class Tuner(Listener):
    """A listener whose checkpoint can be tuned. A `Library` is one."""

    def tune(
        self,
        data: PathLike,
        out: PathLike,
        *,
        audio: PathLike | None = None,
        new: Texts = (),
        steps: int = STEPS,
        seed: int = 0,
        force: bool = False,
        on_reading: OnProgress = ignore,
        on_progress: Callable[[float], None] = ignore,
        on_scores: Callable[[Scores], None] = ignore,
        on_problem: OnProblem | None = None,
    ) -> Tuning:
        """Adapt the checkpoint to what a table says is heard, and write the result as a checkpoint of its own.

        Some recordings are held out, and what was learned is measured on them. Nothing is written if the new words are
        not found better there, or the old ones worse; see `Tuning`. A run that is stopped goes on when it is called
        again with the same arguments. Needs the extra `pe-search[tune]`.

        Args:
            data: A table as in `Library.evaluate`. A row without a label is a sound to keep the old words by. A column
                `recording` says what clips are parts of; a recording is learned from or held out as a whole.
            out: The folder to make. It is a PE Audio checkpoint, as `model` of `pe_search.create` takes it.
            audio: The clip that a table without paths is about.
            new: The labels that the checkpoint is to learn; the others it is to keep. Without any, those are new whose
                average precision on the recordings that are learned from is below 0.5. Captions are all new.
            steps: How often the weights are changed, at least once.
            seed: Of what is held out, of the order of learning, and of the first weights. The same one gives the same
                result on the same machine.
            force: Write the result even if it is no better.
            on_reading: Called after each clip that is read.
            on_progress: Called with the share of the training that is done, 0 to 1.
            on_scores: Called with the figures as they stand: before the training, four times in it, and at its end.
            on_problem: Called with each clip that is left out, incomplete or odd.

        Raises:
            TableError: If the table can't be used.
            TuningError: If there is too little in it, `out` is there already, or another run makes it.
            MissingExtraError: If the extra is not installed.
            OSError: If the table can't be read, or the result not written.
            ValueError: If `steps` is less than 1, or `seed` is negative.
        """
        from pe_search.known.annotations import read_annotations
        from pe_search.tuning.running import Telling, tune

        plan = _plan(steps, seed)
        annotations = read_annotations(expanded(Path(data)), None if audio is None else expanded(Path(audio)))
        return tune(
            annotations,
            absolute(out),
            self.model,
            Telling(on_reading, on_progress, on_scores, on_problem or self._on_problem),
            new=several(new),
            plan=plan,
            force=force,
        )

    def tune_language_model(
        self,
        data: PathLike,
        out: PathLike,
        *,
        language_model: str,
        audio: PathLike | None = None,
        question: str = DESCRIBE,
        merge: bool = False,
        steps: int = STEPS,
        seed: int = 0,
        force: bool = False,
        on_reading: OnProgress = ignore,
        on_progress: Callable[[float], None] = ignore,
        on_loss: Callable[[CaptionLoss], None] = ignore,
        on_problem: OnProblem | None = None,
    ) -> CaptionTuning:
        """Adapt a language model to captions of a table, and write what it learned as an adapter.

        Some recordings are held out. Nothing is written if their captions are not foretold better than before; see
        `CaptionTuning`. A run that is stopped goes on when it is called again with the same arguments. Needs the extra
        `pe-search[tune]`. The checkpoint of sounds is not used, but for how clips are brought to it.

        Args:
            data: A table with the columns `path` and `caption`, as `evaluate` takes it. It may have `question`; `start`
                and `end` in seconds, without which a caption is about its clip as a whole; `recording`; and `split`,
                `train` or `test`, which says what is held out. A sound is of 30 s at most.
            out: The folder to make, which `language_model` of `ask` takes.
            language_model: The language model to begin with: a Hugging Face id that is on this machine, or a directory.
            audio: The clip that a table without paths is about.
            question: What is asked where the table has no question.
            merge: Write a checkpoint with all weights, and not an adapter.
            steps: How often the adapter is changed, at least once; each time by eight captions.
            seed: As in `tune`.
            force: As in `tune`.
            on_reading: As in `tune`.
            on_progress: As in `tune`.
            on_loss: Called with the loss as it stands: before the training, three times in it, and at its end.
            on_problem: Called for each row of the table that is left out.

        Raises:
            TableError: If the table can't be used.
            TuningError: If there is too little in it, `out` is there already, or another run makes it.
            LanguageModelError: If the language model can't be found, loaded or adapted.
            MissingExtraError: If the extra is not installed.
            OSError: If the table can't be read, or the result not written.
            QueryError: If the question is empty.
            ValueError: As in `tune`.
        """
        from pe_search.known.annotations import read_annotations
        from pe_search.language.opening import find_local_model
        from pe_search.tuning.captioning import Pupil, Telling, tune_on_captions

        plan = _plan(steps, seed)
        if not question.strip():
            raise QueryError("The question is empty.")
        loaded = self.model.loaded
        pupil = Pupil(
            checkpoint=find_local_model(language_model),
            device=loaded.device,
            dtype=loaded.dtype,
            loading=loaded.loading,
            hearing=self.hearing,
            question=question,
            plan=plan,
            is_merged=merge,
        )
        return tune_on_captions(
            read_annotations(expanded(Path(data)), None if audio is None else expanded(Path(audio))),
            absolute(out),
            pupil,
            Telling(on_reading, on_progress, on_loss, on_problem or self._on_problem),
            force=force,
        )


def _plan(steps: int, seed: int) -> Plan:
    from pe_search.pe_audio.tuning.lessons import Plan

    if steps < 1:
        raise ValueError(f"steps={steps} must be 1 or more")
    if seed < 0:
        raise ValueError(f"seed={seed} must be 0 or more")
    return Plan(steps, seed)
