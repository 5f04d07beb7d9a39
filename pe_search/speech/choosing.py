"""Which recogniser a name means."""

from __future__ import annotations

import os
from pathlib import Path

from pe_search.errors import CheckpointError, quoted
from pe_search.pe_audio.checkpoint import HUB_ID, refuse_file
from pe_search.speech.recogniser import Asked, Recogniser

MODEL_VARIABLE = "PE_SEARCH_SPEECH_MODEL"
USUAL = "pocketsphinx"


def find_recogniser(name: str | None, asked: Asked) -> Recogniser:
    """Find and load a recogniser.

    Args:
        name: `pocketsphinx`; a model that onnx-asr knows, such as `nemo-parakeet-tdt-0.6b-v3`; a Hugging Face id; or a
            directory with a checkpoint of transformers or of onnx-asr. None for `pocketsphinx`, which needs no network.
        asked: What it is asked for.

    Raises:
        MissingExtraError: If it needs a package that is not installed.
        CheckpointError: If there is no such model, or it can't be loaded.
        PeSearchError: If it can't do what is asked.
    """
    if name in (None, USUAL):
        from pe_search.speech.sphinx import SphinxRecogniser

        return SphinxRecogniser(asked)
    assert name is not None
    expanded = os.path.expanduser(name)  # noqa: PTH111 (Path.expanduser raises for an unknown user)
    directory = Path(expanded)
    from pe_search.speech.onnx_models import RECOMMENDED, OnnxRecogniser, is_onnx

    if name and is_onnx(expanded):
        return OnnxRecogniser(expanded, asked)
    refuse_file(name, directory)
    if not (name and (directory.is_dir() or directory.is_absolute() or HUB_ID.fullmatch(name))):
        raise CheckpointError(
            f"There is no speech model {quoted(name)}: give pocketsphinx, a name that onnx-asr knows "
            f"like {RECOMMENDED}, a Hugging Face id like openai/whisper-small, or a directory."
        )
    from pe_search.speech.checkpoint import find_speech_checkpoint

    checkpoint = find_speech_checkpoint(name, may_fetch=asked.may_fetch)
    from pe_search.speech.transformer import TransformersRecogniser

    return TransformersRecogniser(checkpoint, asked)
