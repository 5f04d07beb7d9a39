"""How many everyday nouns that nearly name a concept are nearest to it, of all that a checkpoint was taught.

    python examples/evaluate_words.py
    python examples/evaluate_words.py --checkpoint checkpoint

The nouns are in `recipe/near_words.toml`. What counts is the cosine between a noun's embedding and those of the plain
prompts. It prints the nouns that are nearest to something else.
"""

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path

import torch
from recipe.captions import plain_prompt
from recipe.concepts_file import taught_concepts
from recipe.scoring import embed_texts
from torch.nn import functional
from transformers import AutoTokenizer, PeAudioModel, PreTrainedTokenizerFast

from pe_search.pe_audio.checkpoint import find_checkpoint

_NOUNS = Path(__file__).parent / "recipe" / "near_words.toml"


def read_nouns() -> dict[str, list[str]]:
    """The concepts that each noun may find."""
    table = tomllib.loads(_NOUNS.read_text(encoding="utf-8"))
    return {" ".join(noun.split()): concepts.split() for concepts, nouns in table.items() for noun in nouns.split(",")}


def nearest(
    model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, nouns: Mapping[str, object], concepts: list[str]
) -> dict[str, str]:
    """The concept whose prompt is nearest to each noun."""
    prompts = functional.normalize(
        embed_texts(model, tokenizer, [plain_prompt(concept) for concept in concepts]), dim=1
    )
    texts = functional.normalize(embed_texts(model, tokenizer, list(nouns)), dim=1)
    return {noun: concepts[index] for noun, index in zip(nouns, (texts @ prompts.T).argmax(1).tolist(), strict=True)}


def main(arguments: list[str] | None = None) -> None:
    """Score a checkpoint of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="checkpoint directory to score (default: the built-in one)")
    checkpoint = parser.parse_args(arguments).checkpoint or find_checkpoint("builtin").directory
    model = PeAudioModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    nouns = read_nouns()
    found = nearest(model, AutoTokenizer.from_pretrained(checkpoint), nouns, taught_concepts(checkpoint))
    wrong = [noun for noun, concept in found.items() if concept not in nouns[noun]]
    for noun in wrong:
        print(f"{noun}: {found[noun]}, not {' or '.join(nouns[noun])}")
    print(f"{len(nouns) - len(wrong)} of {len(nouns)} nouns are nearest to what they name")


if __name__ == "__main__":
    main()
