"""Held-out scores of a checkpoint, or of the recipe by cross-validation.

    python examples/evaluate_builtin.py --data sounds --checkpoint checkpoint --fold 4
    python examples/evaluate_builtin.py --data sounds --cross-validate --minutes 25

The first scores a checkpoint on one fold (honest only if that fold was held out when it was trained). The second
trains on three folds and scores on the fourth, for each of the four, and prints the mean as well.
"""

import argparse
import json
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import train_builtin
from recipe import calibration, captions, scoring
from recipe.processor import keep_freed_memory
from recipe.recordings import FOLDS, find_recordings
from recipe.saved import STATE_FILE, TEXT_FILE
from transformers import AutoTokenizer, PeAudioModel


def score_checkpoint(options: argparse.Namespace, checkpoint: Path, fold: int) -> dict[str, float]:
    """All figures of one checkpoint on the fold's recordings of the ten concepts, and on the kits' drums."""
    recordings = [r for folder in options.data for r in find_recordings(folder, captions.CONCEPTS)]
    kept = [r for r in recordings if r.kit in options.kit or (r.fold == fold and r.concept in scoring.TEN)]
    model = PeAudioModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    if options.calibration:
        calibration.apply(model, *options.calibration)
    return scoring.score(model, AutoTokenizer.from_pretrained(checkpoint), kept, options.seed)


def cross_validate(options: argparse.Namespace) -> dict[int, dict[str, float]]:
    """Train once for each fold without it, and score on it. All start from one text tower, which hears no audio."""
    results = {}
    text: Path | None = None
    for fold in FOLDS:
        out, work = options.work / f"fold-{fold}", options.work / f"work-{fold}"
        if not out.exists():
            if text and not (work / TEXT_FILE).exists():
                shutil.copytree(text, work, ignore=shutil.ignore_patterns(STATE_FILE), dirs_exist_ok=True)
            arguments = ["--out", out, "--work", work, "--pool", options.work / "pool", "--hold-out-fold", fold]
            arguments += ["--seed", options.seed, "--threads", options.threads, "--resume"]
            arguments += ["--steps", options.steps] if options.steps else ["--minutes", options.minutes]
            arguments += [part for folder in options.data for part in ("--data", folder)]
            arguments += [part for kit in options.kit for part in ("--hold-out-kit", kit)]
            train_builtin.main([str(argument) for argument in arguments])
        text = work
        results[fold] = score_checkpoint(options, out, fold)
    return results


def table(results: dict[int, dict[str, float]]) -> str:
    """One row for each figure, one column for each fold, and their mean."""
    names = list(next(iter(results.values())))
    lines = ["| figure | " + " | ".join(f"fold {fold}" for fold in results) + " | mean |"]
    lines.append("|---" * (len(results) + 2) + "|")
    for name in names:
        values = [result[name] for result in results.values()]
        lines.append(f"| {name} | " + " | ".join(f"{v:.3f}" for v in [*values, float(np.mean(values))]) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Score a checkpoint or the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of labelled clips; repeatable"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=Path, help="checkpoint directory to score")
    what.add_argument("--cross-validate", action="store_true", help="train and score on each fold in turn")
    parser.add_argument("--fold", type=int, default=4, help="fold to score a checkpoint on")
    parser.add_argument("--kit", action="append", default=[], help="kit (file-name prefix) to score drums on")
    parser.add_argument(
        "--calibration", type=float, nargs=2, metavar=("FACTOR", "SHIFT"), help="change of the logits before scoring"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=25.0, help="training time for each fold")
    length.add_argument("--steps", type=int, help="instead of a time: steps for each fold")
    parser.add_argument(
        "--work", type=Path, default=Path("cross-validation"), help="scratch folder; a second run goes on"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    keep_freed_memory()
    if options.cross_validate:
        print(table(cross_validate(options)))
    else:
        print(json.dumps(score_checkpoint(options, options.checkpoint, options.fold), indent=2))


if __name__ == "__main__":
    main()
