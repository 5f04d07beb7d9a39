"""Train the built-in checkpoint: labelled clips and synthesised sounds in, a PE Audio checkpoint directory out.

    python examples/train_builtin.py --data sounds --out checkpoint --minutes 100

`--data` is a folder of labelled clips (sub-folder name = concept, see `recipe/recordings.py`). Scratch files (the
pool of prepared clips, the training state) go to `--work`, which `--resume` reads again.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from recipe import calibration, captions, scoring, validation
from recipe.attribution import write_attribution
from recipe.concepts_file import write_concepts, write_words
from recipe.lessons import Lessons, prepare
from recipe.pool import open_pool
from recipe.processor import keep_freed_memory
from recipe.prompts import move_prompts
from recipe.recordings import find_recordings
from recipe.saved import save_checkpoint
from recipe.schedule import WITH_LESSONS, Schedule
from recipe.synthesis import SYNTHESISERS
from recipe.training import train
from transformers import PeAudioModel, PreTrainedTokenizerFast

log = logging.getLogger("train_builtin")

DRUM_SOUNDS = 4
"""How many times as many sounds of a drum are made: they are short, and no two makers' are alike."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of labelled clips; repeatable"
    )
    parser.add_argument("--out", type=Path, required=True, help="checkpoint directory to write")
    parser.add_argument("--work", type=Path, default=Path("train-work"), help="scratch folder (some GB)")
    parser.add_argument("--pool", type=Path, help="folder of prepared clips, to share among runs (default: WORK/pool)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="time for the joint training (default 100)")
    length.add_argument(
        "--steps",
        type=int,
        help="instead of a time: steps, for a run that can be repeated; 0 changes the text tower alone",
    )
    parser.add_argument("--start", type=Path, help="checkpoint of this recipe to teach further")
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="MODEL.BIN",
        help="with --start: learn from this Whisper encoder, too, in the file that CTranslate2 keeps it in",
    )
    parser.add_argument("--text-steps", type=int, default=2_000, help="steps on captions alone")
    parser.add_argument(
        "--validate", type=Path, help="folder of recordings to score on as it goes; nothing is learned from them"
    )
    parser.add_argument("--hold-out-fold", type=int, help="keep this fold of the ten recorded concepts for scoring")
    parser.add_argument("--hold-out-kit", action="append", default=[], help="keep this kit (file-name prefix) as well")
    parser.add_argument(
        "--calibration",
        type=float,
        nargs=2,
        metavar=("FACTOR", "SHIFT"),
        help="change of the logits, as a run with a fold held out prints it",
    )
    parser.add_argument(
        "--sounds-each", type=int, default=64, help="synthesised sounds for each concept (drums get four times as many)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from the state in --work")
    parser.add_argument(
        "--before-cooling",
        action="store_true",
        help="with --resume: go on from the state before the learning rate fell, for a longer run",
    )
    parser.add_argument(
        "--score-minutes", type=float, default=4.0, help="time between two scores (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.teacher and not options.start:
        parser.error("--teacher needs --start: it teaches a checkpoint that hears already")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Train, save, and score if anything was held out."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    minutes = 100.0 if options.minutes is None and options.steps is None else options.minutes
    schedule = Schedule(minutes=minutes, steps=options.steps, start=options.start, text_steps=options.text_steps)
    if options.teacher:
        schedule = replace(schedule, **WITH_LESSONS)

    recordings = [r for folder in options.data for r in find_recordings(folder, captions.CONCEPTS)]
    kept = [r for r in recordings if _held_out(r.fold, r.concept, r.kit, options)]
    used = [r for r in recordings if r not in set(kept)]
    log.info("%d recordings to train on, %d kept for scoring", len(used), len(kept))
    counts = {name: options.sounds_each * (DRUM_SOUNDS if name in captions.DRUMS else 1) for name in SYNTHESISERS}
    sources = open_pool(used, SYNTHESISERS, counts, options.pool or options.work / "pool", options.seed)

    lessons = None
    concepts = [c for c in captions.CONCEPTS if any(source.concept == c for source in sources)]
    if options.teacher:
        model = PeAudioModel.from_pretrained(options.start, dtype=torch.float32)
        lessons = prepare(sources, concepts, schedule.plan, options.teacher, model, options.work, options.seed)

    cuts = validation.read_cuts(options.validate) if options.validate else []

    def score(model: PeAudioModel, tokenizer: PreTrainedTokenizerFast) -> dict[str, float]:
        figures = scoring.score(model, tokenizer, kept) if kept else {}
        return figures | (validation.figures(model, tokenizer, cuts).summary() if cuts else {})

    trained = train(
        sources,
        schedule,
        options.work,
        options.seed,
        options.device,
        options.resume,
        options.before_cooling,
        score if kept or cuts else None,
        score_every_s=60 * options.score_minutes,
        lessons=lessons,
    )
    if lessons and options.steps == 0:
        store = Lessons(lessons, np.random.default_rng(options.seed), schedule.seconds_per_step)
        move_prompts(trained.model, trained.tokenizer, concepts, store)
    if options.calibration:
        calibration.apply(trained.model, *options.calibration)
    save_checkpoint(trained.model, trained.tokenizer, options.out)
    write_concepts(options.out, sources)
    write_words(options.out)
    write_attribution(options.out, options.data, used)
    log.info("%s: %d steps in %.0f s", options.out, trained.steps, trained.elapsed_s)
    if kept or cuts:
        log.info("held out: %s", score(trained.model, trained.tokenizer))
    if kept:
        log.info("--calibration %.3f %.3f", *scoring.calibration_of(trained.model, trained.tokenizer, kept))


def _held_out(fold: int, concept: str, kit: str, options: argparse.Namespace) -> bool:
    return kit in options.hold_out_kit or (fold == options.hold_out_fold and concept in scoring.TEN)


if __name__ == "__main__":
    main()
