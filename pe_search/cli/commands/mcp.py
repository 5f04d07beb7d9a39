"""`pe-search mcp`."""

from __future__ import annotations

import os
from importlib.util import find_spec

from pe_search.cli.input.language import LanguageModelOption, say_where_sound_goes
from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import say_compiling
from pe_search.errors import MissingExtraError


def mcp(language_model: LanguageModelOption = None, store: StoreOption = None) -> None:
    """Let an assistant search a store: a server of the Model Context Protocol on stdin and stdout.

    \b
        pe-search mcp
        pe-search mcp --store ./birds --language-model http://localhost:8080/v1

    An assistant starts this command by itself; docs/ask.md shows its settings. It has the tools search, locate, label
    and list, and describe if there is a language model. They read the clips of the store alone, and change nothing. The
    extra pe-search[mcp] must be installed.
    """
    if find_spec("mcp") is None:
        raise MissingExtraError("pe-search mcp", "mcp", "mcp")
    from pe_search.serving.mcp import serve

    directory = store_directory(store)
    if not serve(directory, language_model, on_language_model=say_where_sound_goes, on_compile=say_compiling):
        # Python would wait for the thread, which may be loading a model or waiting for a language model.
        os._exit(0)
