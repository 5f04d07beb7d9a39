"""Which language model a name means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pe_search.errors import LanguageModelError
from pe_search.language.server import ServerModel, is_url

if TYPE_CHECKING:
    from pe_search.language.conversations import LanguageModel

KEY_VARIABLE = "PE_SEARCH_LANGUAGE_MODEL_KEY"


def open_language_model(name: str, device: str, dtype: str) -> LanguageModel:
    """A language model by its name, ready to answer.

    Args:
        name: The URL of an OpenAI-compatible server, a Hugging Face id, or a directory.
        device: As `pe_search.open` has it; a server has its own.
        dtype: Likewise.

    Raises:
        LanguageModelError: If there is none, or it can't be loaded or reached.
    """
    if is_url(name):
        return ServerModel(name, os.environ.get(KEY_VARIABLE))
    raise LanguageModelError(f"{name!r} is not a URL, and {device} in {dtype} is not ready")
