"""How well a checkpoint tells real recordings by other makers: recordings that are for measuring only.

    python examples/evaluate_real.py ../shared/data/validate
    python examples/evaluate_real.py ../shared/data/validate --checkpoint checkpoint --all-kinds

A folder holds a folder for each kind of sound. The mean average precision is that of each kind's plain prompt over the
recordings of all kinds, a recording counting by its best cut; "top hit" is the share of the kinds whose prompt has a
right recording first, and "named" the share of the recordings whose highest prompt is that of their kind.
"""

import argparse
from pathlib import Path

import torch
from recipe import calibration, validation
from recipe.captions import plain_prompt
from transformers import AutoTokenizer, PeAudioModel

from pe_search.pe_audio.checkpoint import find_checkpoint


def table(figures: validation.Figures) -> str:
    """One row for each kind, then the means, as Markdown."""
    lines = ["| kind | prompt | recordings | average precision | top hit | named rightly |", "|---" * 6 + "|"]
    for name, kind in figures.kinds.items():
        top = "right" if kind.top_hit else "wrong"
        lines.append(
            f"| {name} | {plain_prompt(name)} | {kind.recordings} | {kind.precision:.2f} | {top} "
            f"| {kind.named} of {kind.recordings} |"
        )
    total = sum(kind.recordings for kind in figures.kinds.values())
    lines.append(
        f"| mean of {len(figures.kinds)} | | {total} | {figures.mean_precision:.3f} | {figures.top_hit:.3f} "
        f"| {figures.naming:.3f} |"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Score a checkpoint on a folder of recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with a folder of recordings for each kind")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint directory to score (default: the built-in one)")
    parser.add_argument(
        "--all-kinds",
        action="store_true",
        help="score all concepts with two recordings or more, not only the 51 that earlier checkpoints were scored on",
    )
    parser.add_argument(
        "--calibration", type=float, nargs=2, metavar=("FACTOR", "SHIFT"), help="change of the logits before scoring"
    )
    options = parser.parse_args(arguments)
    checkpoint = options.checkpoint or find_checkpoint("builtin").directory
    cuts = validation.read_cuts(options.folder)
    kinds = validation.taught_kinds(cuts) if options.all_kinds else validation.KINDS
    if not any(cut.kind in kinds for cut in cuts):
        parser.error(f"{options.folder} has no folder that is named after one of the kinds")
    model = PeAudioModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if options.calibration:
        calibration.apply(model, *options.calibration)
    figures = validation.figures(model, tokenizer, cuts, kinds)
    print(table(figures))
    print(f"\nexpected calibration error {figures.calibration_error:.4f}")
    print(f"texts about anything else below probability 0.5: {figures.untaught_below_half:.4f}")
    frames = validation.frame_figures(model, tokenizer, cuts, kinds)
    print(f"frames of windows of noise with two kinds in them: area under the ROC curve {frames.area:.3f}", end="")
    print(f", F1 at probability 0.5 {frames.f1:.3f}")
    print("--calibration {:.3f} {:.3f} fits best".format(*figures.best_calibration))


if __name__ == "__main__":
    main()
