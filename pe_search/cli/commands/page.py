"""`pe-search page`."""

from __future__ import annotations

import math
import os
import sys
from contextlib import ExitStack
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from pe_search.cli.commands.serve import LOOPBACK, new_key, page_address, run, token_of_user
from pe_search.cli.input.numbers import whole_number_between
from pe_search.cli.input.options import StoresOption, store_directories
from pe_search.cli.output.messages import say

# Always the same one where it is free, so that bookmarks of the page stay good.
_USUAL_PORT = 8765


def page(
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            parser=whole_number_between(0, 65_535),
            metavar="PORT",
            rich_help_panel="Serve",
            show_default=f"{_USUAL_PORT}, or a free port",
            help="Serve the page on PORT. 0 means any free port.",
        ),
    ] = None,
    no_browser: Annotated[
        bool,
        typer.Option(
            "--no-browser",
            rich_help_panel="Serve",
            show_default=False,
            help="Only print the address of the page.",
        ),
    ] = False,
    store: StoresOption = None,
) -> None:
    """Open a page in the browser to search, look and listen.

    \b
        pe-search page
        pe-search page --store birds
        pe-search page --store birds --store bats

    The page is served from this machine alone, and needs no network. The address has a key, without which nobody else
    on this machine can use it. Ctrl-C ends it. To use it from another machine, see `pe-search serve --page`.
    """
    from pe_search.serving.web import Web, free_port

    directories = store_directories(store)
    token = token_of_user()
    key = token or new_key()
    web = Web(LOOPBACK, free_port(LOOPBACK, _USUAL_PORT) if port is None else port, key, (), key)

    with ExitStack() as stack:

        def on_ready(url: str | None) -> None:
            assert url is not None
            address = page_address(url, key)
            say(f"The page is at {address} and Ctrl-C ends it.")
            if not no_browser:
                _open(address, Path(stack.enter_context(TemporaryDirectory(prefix="pe-search-"))))

        run(directories, math.inf, web, on_ready)


def _open(address: str, folder: Path) -> None:
    """Open the page in a browser, if there is one with windows: one for terminals would take this terminal.

    What a program is called with, every user of the machine can see. So the browser is called with a file that only
    this user can read, and the address with its key is in there.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    import webbrowser
    from threading import Thread

    file = folder / "open.html"
    refresh = f'<meta http-equiv="refresh" content="0;url={escape(address)}">'
    file.write_text(f"<!doctype html>{refresh}<title>pe-search</title>")
    # Some browsers return only when they are closed.
    Thread(target=webbrowser.open, args=[file.as_uri()], daemon=True).start()
