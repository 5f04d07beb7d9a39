"""Which language model a name means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pe_search.errors import CheckpointError, LanguageModelError
from pe_search.language.server import KEY_VARIABLE, ServerModel, is_url

if TYPE_CHECKING:
    from pe_search.language.conversations import LanguageModel
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.pe_audio.loaded import Loading


def find_local_model(name: str) -> Checkpoint:
    """The checkpoint of a language model on this machine, which may be changed.

    Raises:
        LanguageModelError: If there is none, or it is behind a server, or an adapter.
    """
    from pe_search.language.adapters import is_adapter
    from pe_search.pe_audio.checkpoint import find_language_model

    if is_url(name):
        raise LanguageModelError(f"{name} is a server. Name a checkpoint: a Hugging Face id or a directory.")
    if is_adapter(name):
        raise LanguageModelError(f"{name} is an adapter. Name the language model that it was made of.")
    try:
        return find_language_model(name, may_be_server=False)
    except CheckpointError as error:
        raise LanguageModelError(str(error)) from error


def open_language_model(name: str, device: str, dtype: str, loading: Loading) -> LanguageModel:
    """A language model by its name, ready to answer.

    Args:
        name: The URL of an OpenAI-compatible server, a Hugging Face id, or a directory: a checkpoint, or an adapter.
        device: As `pe_search.open` has it; a server has its own.
        dtype: Likewise.
        loading: Makes what it is loaded in, given its checkpoint.

    Raises:
        LanguageModelError: If there is none, or it can't be loaded or reached.
    """
    if is_url(name):
        return ServerModel(name, os.environ.get(KEY_VARIABLE))
    from pe_search.language.adapters import find_adapter, is_adapter
    from pe_search.pe_audio.checkpoint import find_language_model

    try:
        adapter = find_adapter(name) if is_adapter(name) else None
        checkpoint = find_language_model(name) if adapter is None else adapter.base
        # Not before it is found: this takes seconds to import.
        with loading(checkpoint):
            from pe_search.language.local import LocalModel

            return LocalModel(checkpoint, device, dtype, adapter)
    except CheckpointError as error:
        raise LanguageModelError(str(error)) from error
