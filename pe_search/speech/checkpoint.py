"""Find a checkpoint of a recogniser by name: one of the hub's, or a local directory. Imports no torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_search.errors import CheckpointError
from pe_search.pe_audio.checkpoint import fingerprint, snapshot, weights_in
from pe_search.pe_audio.vetting import vet_files

# Nothing that could run code: beside what PE Audio has, the vocabularies of SentencePiece, which are data.
_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model")

SPEECH_TO_TEXT_2 = "speech_to_text_2"
# Whose decoder must be told in a prompt what to do, each in its own way.
_WITH_PROMPTS = (
    "dia", "fun_asr_nano", "granite_speech", "granite_speech_plus", "kyutai_speech_to_text", "pop2piano", "qwen3_asr",
    "speecht5", "vibevoice", "vibevoice_asr", "voxtral", "voxtral_realtime",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpeechCheckpoint:
    """A checkpoint of a recogniser on this machine.

    Attributes:
        name: A hub id, or the absolute path of a directory.
        revision: The hub's commit, or for a directory a fingerprint of its files.
        directory: Where its files are.
        config: Its configuration.
    """

    name: str
    revision: str
    directory: Path
    config: dict[str, Any]

    @property
    def model_type(self) -> str:
        """What transformers calls its architecture."""
        return str(self.config["model_type"])


def find_speech_checkpoint(name: str, *, may_fetch: bool) -> SpeechCheckpoint:
    """Find a checkpoint of a recogniser, and see to it that transformers may be given its files.

    Args:
        name: A hub id or a directory.
        may_fetch: Whether the hub may be asked.

    Raises:
        CheckpointError: If it can't be had, has no weights as safetensors, is of another kind, or has something in it
            that is not taken from anybody.
    """
    directory = Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises for an unknown user)
    if directory.is_dir() or directory.is_absolute():
        directory = Path(os.path.abspath(directory))
        config = vet_files(str(directory), directory, _refuse_other_models)
        revision = fingerprint(directory, weights_in(str(directory), directory))
        return SpeechCheckpoint(str(directory), revision, directory, config)
    directory = snapshot(
        name,
        None,
        may_fetch=may_fetch,
        command=f"pe-search transcribe PATH --speech-model {name}",
        otherwise="--speech-model pocketsphinx",
        files=_HUB_FILES,
    )
    config = vet_files(name, directory, _refuse_other_models)
    weights_in(name, directory)
    return SpeechCheckpoint(name, directory.name, directory, config)


def is_speech_to_text_2(config: dict[str, Any]) -> bool:
    """Whether a configuration is of a translator whose decoder transformers 5 has no class of."""
    decoder = config.get("decoder")
    return (
        config.get("model_type") == "speech-encoder-decoder"
        and isinstance(decoder, dict)
        and decoder.get("model_type") == SPEECH_TO_TEXT_2
    )


def read_vocabulary(name: str, directory: Path) -> dict[str, int]:
    """The tokens of a checkpoint's `vocab.json`, each with its number.

    Raises:
        CheckpointError: If there is none, or it is damaged.
    """
    path = directory / "vocab.json"
    try:
        tokens = json.loads(path.read_text(encoding="utf-8"))
        if not all(type(number) is int for number in tokens.values()):
            raise ValueError("its tokens have no numbers")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{name}: its vocab.json can't be read: {error}") from error
    return {str(token): number for token, number in tokens.items()}


def _refuse_other_models(name: str, config: Any) -> None:
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(model_type, str):
        raise CheckpointError(f"{name} is not in the Hugging Face format: its config.json names no model_type.")
    if model_type in _WITH_PROMPTS:
        raise CheckpointError(f"{name} is a {model_type} checkpoint, which pe-search can't prompt; use another one.")
