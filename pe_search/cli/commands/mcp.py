"""`pe-search mcp`."""

from __future__ import annotations

from importlib.util import find_spec

from pe_search.cli.input.language import LanguageModelOption
from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.errors import MissingExtraError


def mcp(language_model: LanguageModelOption = None, store: StoreOption = None) -> None:
    """Let an assistant search a store: a server of the Model Context Protocol on stdin and stdout.

    \b
        pe-search mcp
        pe-search mcp --store ./birds --language-model http://localhost:8080/v1

    An assistant starts this command by itself; docs/ask.md shows its settings. It has the tools search, locate, label
    and list, and describe if there is a language model. They read the clips of the store alone, and change none. The
    extra pe-search[mcp] must be installed.
    """
    if find_spec("mcp") is None:
        raise MissingExtraError("pe-search mcp", "mcp", "mcp")
    from pe_search.serving.mcp import serve

    serve(store_directory(store), language_model)
