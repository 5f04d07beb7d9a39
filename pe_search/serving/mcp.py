"""The store for assistants: tools of the Model Context Protocol on stdin and stdout. Only it imports the SDK.

No clip is changed; answers are kept as `ask` keeps them. Arguments are held to the bounds of `http.py`, and a tool that
can't do what is asked says so in a line. Files are read only if the store holds them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from pe_search.errors import PeSearchError
from pe_search.library import Library
from pe_search.records import Problem

_LONGEST_TEXT = 1_000
_LONGEST_PATH = 4_096
_MOST_TEXTS = 100
# An assistant reads all of it.
_MOST_HITS = 100
_MOST_CLIPS = 1_000
_MOST_FILES = 20
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

_Text = Annotated[str, Field(min_length=1, max_length=_LONGEST_TEXT, pattern=r"\S")]
_Path = Annotated[
    str, Field(min_length=1, max_length=_LONGEST_PATH, description="A clip of the store, as search and list show it")
]
_Paths = Annotated[list[_Path], Field(min_length=1, max_length=_MOST_FILES)]
_Under = Annotated[str | None, Field(max_length=_LONGEST_PATH, description="Only clips at or below this absolute path")]
_Chance = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="Leave out what is less probable")]


def make_server(directory: Path, language_model: str | None = None) -> MCPServer[Any]:
    """The server of a store, with its tools.

    Args:
        directory: The store's.
        language_model: What the tool `describe` asks; without one there is no such tool.
    """
    tools = _Tools(directory)
    server: MCPServer[Any] = MCPServer(
        "pe-search",
        instructions="Finds sounds in the user's own recordings by what they sound like. Times are in seconds.",
    )

    @server.tool(annotations=_READS, structured_output=False)
    def search(
        text: _Text,
        k: Annotated[int, Field(ge=1, le=_MOST_HITS)] = 10,
        under: _Under = None,
        min_probability: _Chance = 0.0,
    ) -> list[dict[str, Any]]:
        """Find the clips that sound most like a text, such as "dog barking". Best first."""
        with tools.library() as (library, _):
            hits = library.query(text, k=k, under=_absolute(under), min_probability=min_probability)
            return [hit.to_dict() for hit in hits]

    @server.tool(annotations=_READS, structured_output=False)
    def locate(text: _Text, paths: _Paths) -> list[dict[str, Any]]:
        """Find from when to when a sound is heard in clips."""
        with tools.library() as (library, problems):
            traces = library.locate(text, tools.held(library, paths), on_problem=problems.append)
            return [
                {"path": str(trace.path), "start_s": span.start_s, "end_s": span.end_s, "probability": span.probability}
                for trace in traces
                for span in trace.spans
            ] + _told(problems)

    @server.tool(annotations=_READS, structured_output=False)
    def label(
        paths: _Paths, labels: Annotated[list[_Text], Field(min_length=1, max_length=_MOST_TEXTS)]
    ) -> list[dict[str, Any]]:
        """Say how likely it is that each of some labels fits clips. Each label is judged by itself."""
        with tools.library() as (library, problems):
            labelled = library.label(tools.held(library, paths), labels, on_problem=problems.append)
            return [hit.to_dict() for hits in labelled for hit in hits] + _told(problems)

    @server.tool(name="list", annotations=_READS, structured_output=False)
    def list_clips(
        under: _Under = None, limit: Annotated[int, Field(ge=1, le=_MOST_CLIPS)] = 100
    ) -> list[dict[str, Any]]:
        """List clips of the store with their lengths, in order of path."""
        with tools.library() as (library, _):
            clips = islice(library.clips(_absolute(under)), limit)
            return [{"path": str(clip.path), "duration_s": clip.duration_s, "windows": clip.windows} for clip in clips]

    if language_model is not None:

        @server.tool(annotations=_READS, structured_output=False)
        def describe(
            path: _Path,
            start_s: Annotated[float, Field(ge=0, allow_inf_nan=False)],
            end_s: Annotated[float, Field(gt=0, allow_inf_nan=False)],
            question: _Text = "Describe the sound in one sentence. Name only what can be heard.",
        ) -> list[dict[str, Any]]:
            """Ask an audio-language model about a part of a clip, of 30 s at most.

            The probability says how well the answer fits the sound. An improbable answer may be made up.
            """
            from pe_search.queries import Reference

            if end_s <= start_s:
                raise ToolError("end_s must be after start_s.")
            with tools.library() as (library, problems):
                (held,) = tools.held(library, [path])
                place = Reference(held, (start_s, end_s))
                said = library.ask(question, place, language_model=language_model, on_problem=problems.append)
                return [one.to_dict() for one in said] + _told(problems)

    return server


def serve(directory: Path, language_model: str | None = None) -> None:
    """Serve a store on stdin and stdout until stdin ends.

    Raises:
        StoreError: If there is no store, or it is damaged.
    """
    with Library(directory) as library:
        library.open()
    make_server(directory, language_model).run("stdio")


class _Tools:
    """What the tools have in common: one library, in one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self._library = Library(directory)

    @contextmanager
    def library(self) -> Iterator[tuple[Library, list[Problem]]]:
        """The library as of the last commit, and a list for problems. Errors become those of a tool, in a line."""
        with self._lock:
            try:
                if not self._library.is_current():
                    self._library.close()
                yield self._library, []
            except PeSearchError as error:
                raise ToolError(str(error)) from None
            finally:
                # The next call may come in another thread.
                self._library.close()

    def held(self, library: Library, paths: Sequence[str]) -> list[Path]:
        """Some paths, all of clips of the store: nobody reads other files by way of it.

        Raises:
            ToolError: If the store lacks one.
        """
        found = [library.clip(path) for path in paths]
        for path, clip in zip(paths, found, strict=True):
            if clip is None:
                raise ToolError(f"The store has no clip {path}.")
        return [clip[0].path for clip in found if clip is not None]


def _absolute(under: str | None) -> str | None:
    if under is not None and not Path(under).is_absolute():
        raise ToolError("under must be an absolute path.")
    return under


def _told(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [{"path": str(problem.path), "problem": problem.reason} for problem in problems]
