"""`pe-search serve`."""

from __future__ import annotations

import math
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.numbers import number_between, whole_number_between
from pe_search.cli.input.options import StoresOption, store_directories
from pe_search.cli.output.messages import counted, say, say_compiling
from pe_search.directories import shown_store

if TYPE_CHECKING:
    from pe_search.serving.web import Web

_SHORTEST_TOKEN = 16
LOOPBACK = "127.0.0.1"


def serve(
    idle_minutes: Annotated[
        float,
        typer.Option(
            "--idle",
            parser=number_between(0.0),
            metavar="MINUTES",
            rich_help_panel="Serve",
            help="End after this time without a query. 0 means never.",
        ),
    ] = 60.0,
    port: Annotated[
        int | None,
        typer.Option(
            "--http",
            parser=whole_number_between(0, 65_535),
            metavar="PORT",
            rich_help_panel="Serve",
            help="Also answer HTTP on PORT, in JSON. 0 means any free port.",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            rich_help_panel="Serve",
            show_default=LOOPBACK,
            help="Answer HTTP at ADDRESS. Others than this machine need $PE_SEARCH_TOKEN.",
        ),
    ] = None,
    origins: Annotated[
        list[str] | None,
        typer.Option(
            "--origin",
            metavar="ORIGIN",
            rich_help_panel="Serve",
            show_default=False,
            help="Let web pages of ORIGIN ask, as http://localhost:3000.",
        ),
    ] = None,
    page: Annotated[
        bool,
        typer.Option(
            "--page",
            rich_help_panel="Serve",
            show_default=False,
            help="Serve the page of `pe-search page` too, and print its address.",
        ),
    ] = False,
    store: StoresOption = None,
) -> None:
    """Keep a store open, so that queries are answered at once.

    \b
        pe-search serve &
        pe-search serve --http 8765
        curl 'localhost:8765/hits?text=dog+barking&k=3'

    While it runs, `pe-search query` asks it and prints the same as without it. Only your user can reach it. With
    --http, programs and web pages can ask too: GET /hits?text=dog+barking returns the fields of `query --format jsonl`,
    and /openapi.json describes it. If $PE_SEARCH_TOKEN is set, each request must send `Authorization: Bearer TOKEN`.
    """
    if port is None and (host is not None or origins or page):
        raise typer.BadParameter("--host, --origin and --page require --http.")
    web = None
    if port is not None:
        from pe_search.serving.web import Web

        token = token_of_user()
        key = None if not page else token or new_key()
        web = Web(host or LOOPBACK, port, token, tuple(origin.rstrip("/") for origin in origins or ()), key)
    directories = store_directories(store)
    if port is None and len(directories) > 1:
        raise typer.BadParameter("Several stores are served over HTTP only: give --http PORT too, such as --http 8765.")
    stores = f"{'stores' if directories[1:] else 'store'} at {' and '.join(map(shown_store, directories))}"

    def on_ready(url: str | None) -> None:
        # `pe-search query` asks over a Unix socket, which Python has none of on Windows.
        joined = " " if sys.platform == "win32" else ", and "
        also = f"{joined}at {url}/hits" if url else ""
        end = f" It ends after {counted_minutes(idle_minutes)} without one." if idle_minutes else ""
        if directories[1:]:
            # `pe-search query` asks each store by itself.
            also = f" at {url}/hits"
        say(f"Ready for queries to the {stores}{also}.{end} Ctrl-C ends it.")
        if url is not None and web is not None and web.page_key is not None:
            say(f"The page is at {page_address(url, web.page_key)}")

    run(directories, idle_minutes * 60 or math.inf, web, on_ready)


def run(directories: Sequence[Path], idle_s: float, web: Web | None, on_ready: Callable[[str | None], None]) -> None:
    """Serve until that ends."""
    from pe_search.serving.server import serve as serve_store

    if not serve_store(directories, idle_s, web, on_ready=on_ready, on_compile=say_compiling):
        # Python would wait for the thread, which may be loading a model or going through a large store.
        os._exit(0)


def counted_minutes(minutes: float) -> str:
    """Minutes in words."""
    return counted(round(minutes), "minute") if minutes >= 1 else f"{minutes:g} minutes"


def new_key() -> str:
    """A key for the page that nobody can guess."""
    return secrets.token_urlsafe(24)


def page_address(url: str, key: str) -> str:
    """The address of the page. The key is in it, unless it is the user's own secret, for which the page asks."""
    return f"{url}/page/" if key == token_of_user() else f"{url}/page/#key={key}"


def token_of_user() -> str | None:
    """The secret that each request must send; None if there is none."""
    token = os.environ.get("PE_SEARCH_TOKEN")
    if not token:
        return None
    if len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable() and " " not in token):
        raise typer.BadParameter(
            f"must have at least {_SHORTEST_TOKEN} ASCII characters and no spaces.", param_hint="PE_SEARCH_TOKEN"
        )
    return token
