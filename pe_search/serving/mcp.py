"""The store for assistants: tools of the Model Context Protocol on stdin and stdout. Only it imports the SDK.

Tools read: they change no clip and keep no answer. They have the bounds of `http.py` (`bounds.py`) and its limit of
requests at once (`Answering`), and read only files that the store holds, as it holds them. As the protocol has it, what
can't be done is the result of a tool, with `isError` and one line; an unknown tool is an error of JSON-RPC.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError

from pe_search import __version__
from pe_search.asker import is_server
from pe_search.errors import AudioError, PeSearchError, QueryError, first_line
from pe_search.library import Library
from pe_search.queries import Hit, Reference
from pe_search.records import Problem
from pe_search.serving.answering import MOST_REQUESTS, Answering, BusyError, StoppedError
from pe_search.serving.bounds import LONGEST_PATH, request_of
from pe_search.serving.lines import Reply
from pe_search.serving.tool_arguments import (
    Arguments,
    DescribeArguments,
    LabelArguments,
    ListArguments,
    LocateArguments,
    SearchArguments,
    shortened,
    what_is_wrong,
)

if TYPE_CHECKING:
    from pe_search.language.conversations import LanguageModel

_MOST_SPANS = 1_000
_ESCAPED = re.compile(r"\\u(dc[89a-f][0-9a-f])")


@dataclass(frozen=True, slots=True)
class _Tool:
    """A tool: what it takes, and what it does with that."""

    takes: type[Arguments]
    call: Callable[[Any], Awaitable[dict[str, Any]]]
    asks_elsewhere: bool = False

    def as_listed(self, name: str) -> Tool:
        """How it is told to assistants."""
        schema = self.takes.model_json_schema()
        about = " ".join(schema.pop("description").split())
        reads = ToolAnnotations(read_only_hint=True, open_world_hint=self.asks_elsewhere)
        return Tool(name=name, description=about, input_schema=schema, annotations=reads)


class _Stop(threading.Event):
    """Set once nobody waits for a result any more."""

    def check(self, *_: object) -> None:
        """Raise `StoppedError` if that is so."""
        if self.is_set():
            raise StoppedError


def make_server(
    answering: Answering,
    language_model: str | None = None,
    on_language_model: Callable[[LanguageModel], None] = lambda _model: None,
) -> Server[Any]:
    """The server of a store, with its tools.

    Args:
        answering: Has the work done.
        language_model: What the tool `describe` asks; without one there is no such tool.
        on_language_model: Called once that is opened, by another thread.
    """
    does = _Tools(answering, language_model, on_language_model)
    tools = {
        "search": _Tool(SearchArguments, does.search),
        "locate": _Tool(LocateArguments, does.locate),
        "label": _Tool(LabelArguments, does.label),
        "list": _Tool(ListArguments, does.list_clips),
    }
    if language_model is not None:
        tools["describe"] = _Tool(DescribeArguments, does.describe, asks_elsewhere=is_server(language_model))

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[tool.as_listed(name) for name, tool in tools.items()])

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {shortened(params.name)}. There are: {', '.join(tools)}.")
        try:
            found = await tool.call(tool.takes.model_validate(params.arguments or {}))
            return _result(json.dumps(_told(found), ensure_ascii=False))
        except ValidationError as error:
            why = what_is_wrong(error, tool.takes)
        except BusyError:
            why = "There are too many requests at once; try again."
        except StoppedError:
            why = "The server is stopping."
        except PeSearchError as error:
            why = str(error)
        # Whatever a call may have led to, the next one is answered; the SDK would print a traceback.
        except Exception as error:
            why = f"pe-search fails: {type(error).__name__}: {first_line(error)}"
        return _result(why, is_error=True)

    return Server(
        "pe-search",
        version=__version__,
        instructions="Finds sounds in the user's own recordings by what they sound like. Times are in seconds.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def serve(
    directory: Path,
    language_model: str | None,
    *,
    on_language_model: Callable[[LanguageModel], None],
    on_compile: Callable[[], None],
) -> bool:
    """Serve a store on stdin and stdout until stdin ends.

    Args:
        directory: The store's.
        language_model: As in `make_server`.
        on_language_model: Likewise.
        on_compile: As in `Answering`.

    Returns:
        As `server.serve`.

    Raises:
        StoreError: If there is no store, or it is damaged.
    """
    with Library(directory) as library:
        library.open()
    with Answering(directory, on_compile) as answering:
        answering.warm_up()
        # The thread that reads stdin can't be stopped, and Python would wait for it. There is nothing to tidy up.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        asyncio.run(_serve(make_server(answering, language_model, on_language_model)))
    return not answering.is_at_work


async def _serve(server: Server[Any]) -> None:
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


class _Tools:
    """What the tools do. The work is that of other threads, and stops where it can once its call is cancelled."""

    def __init__(
        self, answering: Answering, language_model: str | None, on_language_model: Callable[[LanguageModel], None]
    ) -> None:
        self._answering = answering
        self._name = language_model
        self._on_language_model = on_language_model
        self._language_model: LanguageModel | None = None
        # A language model may take minutes, and others shall not wait for it: it has one thread at most.
        self._asking = asyncio.Lock()
        self._asked = 0

    async def search(self, given: SearchArguments) -> dict[str, Any]:
        """The hits of one query."""
        if given.text is None and given.words is None and given.said is None:
            raise QueryError("text, words or said is missing.")
        texts = () if given.text is None else (given.text,)
        request = request_of(
            texts, given.words, given.said, k=given.k, under=given.under, min_probability=given.min_probability
        )
        replies: list[Reply] = []
        stop = _Stop()
        work = self._answering.submit(request, replies.append, lambda: not stop.is_set())
        await _done(asyncio.wrap_future(work), stop)
        return {"hits": [hit.to_dict() for reply in replies for hit in reply.hits]}

    async def locate(self, given: LocateArguments) -> dict[str, Any]:
        """The spans in some clips."""

        def do(library: Library, problems: list[Problem], stop: _Stop) -> dict[str, Any]:
            paths = _held(library, given.paths, problems)
            report = problems.append
            traces = library.locate(given.text, paths, on_progress=stop.check, on_problem=report) if paths else ()
            spans = (
                {"path": str(trace.path), "start_s": span.start_s, "end_s": span.end_s, "probability": span.probability}
                for trace in traces
                for span in trace.spans
            )
            found = list(islice(spans, _MOST_SPANS + 1))
            return {"spans": found[:_MOST_SPANS], "are_all": len(found) <= _MOST_SPANS}

        return await self._work(do)

    async def label(self, given: LabelArguments) -> dict[str, Any]:
        """The probability of each label for each clip."""

        def do(library: Library, problems: list[Problem], stop: _Stop) -> dict[str, Any]:
            paths = _held(library, given.paths, problems)
            report = problems.append
            labels: Any = ()
            if paths:
                labels = library.label(paths, given.labels, on_progress=stop.check, on_problem=report)
            return {"labels": [_as_label(hit) for hits in labels for hit in hits]}

        return await self._work(do)

    async def list_clips(self, given: ListArguments) -> dict[str, Any]:
        """Some clips."""

        def do(library: Library, _problems: list[Problem], _stop: _Stop) -> dict[str, Any]:
            clips = list(islice(library.clips(given.under), given.limit + 1))
            listed = [{"path": str(one.path), "duration_s": one.duration_s, "windows": one.windows} for one in clips]
            return {"clips": listed[: given.limit], "are_all": len(clips) <= given.limit}

        return await self._work(do)

    async def describe(self, given: DescribeArguments) -> dict[str, Any]:
        """What the language model says, and how well that fits."""
        if given.end_s <= given.start_s:
            raise QueryError("end_s must be after start_s.")

        def do(library: Library, problems: list[Problem], _stop: _Stop) -> dict[str, Any]:
            paths = _held(library, [given.path], problems)
            places = [Reference(path, (given.start_s, given.end_s)) for path in paths]
            said = library.ask(
                given.question, places, language_model=self._opened(library), keep=False, on_problem=problems.append
            )
            return {"answers": [one.to_dict() for one in said]}

        if self._asked >= MOST_REQUESTS:
            raise BusyError
        self._asked += 1
        try:
            await self._asking.acquire()
            # Even if nobody waits for it any more, the thread is at it until the language model has answered.
            return await self._work(do, self._asking.release)
        finally:
            self._asked -= 1

    def _opened(self, library: Library) -> LanguageModel:
        if self._language_model is None:
            assert self._name is not None
            self._language_model = library.open_language_model(self._name)
            self._on_language_model(self._language_model)
        return self._language_model

    async def _work(
        self, do: Callable[[Library, list[Problem], _Stop], dict[str, Any]], on_end: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        stop = _Stop()
        problems: list[Problem] = []
        loop = asyncio.get_running_loop()

        def end(_work: object) -> None:
            # The loop may have ended before the thread.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(on_end)

        try:
            work = self._answering.work(lambda library: do(library, problems, stop))
        except BaseException:
            on_end()
            raise
        work.add_done_callback(end)
        found: dict[str, Any] = await _done(asyncio.wrap_future(work), stop)
        told = [{"path": str(problem.path), "problem": problem.reason} for problem in problems]
        return found | ({"problems": told} if told else {})


async def _done(work: asyncio.Future[Any], stop: _Stop) -> Any:
    """What some work gives; it stops where it can if nobody waits any more."""
    try:
        return await work
    finally:
        stop.set()


def _held(library: Library, paths: Sequence[str], problems: list[Problem]) -> list[Path]:
    """The files of some clips: nobody reads others by way of it.

    Args:
        library: The store.
        paths: As they were given.
        problems: Where those go that have changed since they were indexed.

    Raises:
        QueryError: If the store lacks one.
    """
    held = []
    for path in paths:
        # A NUL, or too long a name, is in no path.
        with suppress(ValueError, OSError):
            clip = library.clip(path) or library.clip(_unescaped(path))
            if clip is not None:
                held.append(clip[0].path)
                continue
        raise QueryError(f"The store has no clip {shortened(path, LONGEST_PATH)}.")
    unchanged = []
    for file in dict.fromkeys(held):
        try:
            library.check_unchanged(file)
            unchanged.append(file)
        except AudioError as error:
            problems.append(Problem(error.path, error.reason))
    return unchanged


def _as_label(hit: Hit) -> dict[str, Any]:
    row = hit.to_dict()
    row["label"] = row.pop("query")
    return row


def _result(text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=_escaped(text))], is_error=is_error)


def _told(found: Any) -> Any:
    """What was found, for JSON."""
    if isinstance(found, dict):
        return {name: _told(value) for name, value in found.items()}
    if isinstance(found, list):
        return [_told(value) for value in found]
    return _escaped(found) if isinstance(found, str) else found


def _escaped(text: str) -> str:
    """A text in which bytes of names that are not UTF-8 are written as `\\udcff`.

    They have no place in the protocol: the SDK drops requests with them, and its writer ends with the whole server.
    """
    return text.encode(errors="backslashreplace").decode()


def _unescaped(path: str) -> str:
    """A path as a name has it, of one as it was told."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), path)
