"""`pe-search mcp`: the SDK's own client lists and calls every tool, and what it must not ask is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from pe_search.library import Library
from pe_search.serving import answering, mcp
from pe_search.serving.answering import Answering
from pe_search.serving.mcp import make_server
from pe_search.serving.tool_arguments import WANTED, Arguments
from pe_search.store.answers import read_answers
from tests.language.stand_in import StandIn, hears, said
from tests.made_up import noise, write_audio

CLIENT = {"clientInfo": {"name": "test", "version": "1"}}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a store of two sounds, and a sound that is not in it."""
    folder = tmp_path_factory.mktemp("mcp")
    for seed, name in enumerate(("sounds/a.wav", "sounds/b.wav", "elsewhere.wav")):
        write_audio(folder / name, noise(1.0, seed))
    with Library(folder / "store") as library:
        library.index(folder / "sounds")
    return folder


@contextmanager
def serving(store: Path, language_model: str | None = None) -> Iterator[Any]:
    with Answering(store, lambda: None) as work:
        yield make_server(work, language_model)


def text_of(result: Any) -> str:
    (part,) = result.content
    return f"error: {part.text}" if result.is_error else part.text


def called(server: Any, name: str, **arguments: object) -> Any:
    """What a tool gives, or the text of its error after `error: `."""

    async def call() -> Any:
        async with Client(server) as client:
            try:
                return await client.call_tool(name, arguments)
            except MCPError as error:  # as it is, not in a group of the client's tasks
                return error

    result = anyio.run(call)
    if isinstance(result, MCPError):
        raise result
    text = text_of(result)
    return text if text.startswith("error: ") else json.loads(text)


@pytest.fixture(scope="module")
def tool(place) -> Iterator[Callable[..., Any]]:
    with serving(place / "store") as server:
        yield lambda name, **arguments: called(server, name, **arguments)


def test_the_tools_read_and_are_listed(place):
    async def listed(server: Any) -> Any:
        async with Client(server) as client:
            return (await client.list_tools()).tools

    with serving(place / "store", "http://localhost:1/v1#x") as server:
        tools = {one.name: one for one in anyio.run(listed, server)}
    assert sorted(tools) == ["describe", "label", "list", "locate", "search"]
    assert all(one.annotations.read_only_hint and one.description for one in tools.values())
    assert [name for name, one in tools.items() if one.annotations.open_world_hint] == ["describe"]
    assert all(not one.input_schema["additionalProperties"] for one in tools.values())
    with serving(place / "store") as server:
        assert sorted(one.name for one in anyio.run(listed, server)) == ["label", "list", "locate", "search"]


def test_every_argument_has_words_for_what_it_must_be():
    kinds = Arguments.__subclasses__()
    assert len(kinds) == 5
    assert {name for kind in kinds for name in kind.model_fields} == set(WANTED)


def test_search_gives_the_hits_of_the_library(tool, place):
    with Library(place / "store") as library:
        expected = [hit.to_dict() for hit in library.query("rain", k=2)]
        by_name = [hit.to_dict() for hit in library.query(words="b", k=2)]
    assert tool("search", text="rain", k=2) == {"hits": expected}
    (hit,) = tool("search", text="rain", under=str(place / "sounds" / "a.wav"))["hits"]
    assert hit["path"] == str(place / "sounds" / "a.wav")
    assert tool("search", text="rain", min_probability=1) == {"hits": []}
    assert tool("search", words="b") == {"hits": by_name}
    assert [hit["path"] for hit in by_name] == [str(place / "sounds" / "b.wav")]


def test_list_gives_the_clips_of_the_store(tool, place):
    clips = [{"path": str(place / "sounds" / name), "duration_s": 1.0, "windows": 1} for name in ("a.wav", "b.wav")]
    assert tool("list") == {"clips": clips, "are_all": True}
    assert tool("list", limit=1) == {"clips": clips[:1], "are_all": False}


def test_label_and_locate_give_what_the_library_gives(tool, place, monkeypatch):
    path = str(place / "sounds" / "a.wav")
    with Library(place / "store") as library:
        (labels,) = library.label([path], ["rain", "wind"])
        spans = [span for trace in library.locate("noise", [path]) for span in trace.spans]
    found = tool("label", paths=[path], labels=["rain", "wind"])["labels"]
    assert [(one["label"], one["probability"]) for one in found] == [(hit.query, hit.probability) for hit in labels]
    found = tool("locate", text="noise", paths=[path, path])
    assert [(one["start_s"], one["end_s"]) for one in found["spans"]] == [(span.start_s, span.end_s) for span in spans]
    assert found["are_all"]
    monkeypatch.setattr(mcp, "_MOST_SPANS", len(spans) - 1)
    assert tool("locate", text="noise", paths=[path]) == {"spans": found["spans"][:-1], "are_all": False}


def test_describe_asks_the_language_model_and_keeps_nothing(place):
    path = str(place / "sounds" / "a.wav")
    before = files_of(place / "store")
    with StandIn(hears("rain")) as model, serving(place / "store", model.url) as server:
        for asked in (1, 2):
            (answer,) = called(server, "describe", path=path, start_s=0, end_s=0.5, question="What is this?")["answers"]
            assert (answer["answer"], answer["start_s"], answer["end_s"]) == ("rain", 0.0, 0.5)
            assert 0 <= answer["probability"] <= 1
            assert len(model.chats) == asked
        (beyond,) = called(server, "describe", path=path, start_s=0, end_s=9)["problems"]
        assert "ends before" in beyond["problem"]
        wrong = called(server, "describe", path=path, start_s=2, end_s=1)
        assert wrong == "error: end_s must be after start_s."
    assert files_of(place / "store") == before


def test_describe_uses_what_the_store_has_kept(place):
    path = place / "sounds" / "b.wav"
    with StandIn(hears("rain")) as model:
        with Library(place / "store") as library:
            (one,) = library.ask("What is this?", path, language_model=model.url)
            assert len(read_answers(library.open().catalog)) == 1
        with serving(place / "store", model.url) as server:
            arguments = {"path": str(path), "start_s": 0, "end_s": 1, "question": "What is this?"}
            assert called(server, "describe", **arguments) == {"answers": [one.to_dict()]}
        assert len(model.chats) == 1


def files_of(store: Path) -> dict[str, bytes]:
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


def test_a_language_model_that_can_not_be_reached_is_one_line(place):
    path = str(place / "sounds" / "a.wav")
    with StandIn() as model:
        url = model.url
    with serving(place / "store", url) as server:
        wrong = called(server, "describe", path=path, start_s=0, end_s=1)
    assert wrong == f"error: {url} can't be reached: Connection refused. Start the server first."


HOSTILE: dict[str, tuple[str, dict[str, Any], str]] = {
    "no text": ("search", {}, "text, words or said is missing."),
    "an empty text": ("search", {"text": ""}, "text must be 1 to 1,000 characters"),
    "a blank text": ("search", {"text": " \n"}, "text must be 1 to 1,000 characters"),
    "a text of a million characters": ("search", {"text": "x" * 1_000_000}, "text must be 1 to 1,000 characters"),
    "no hits": ("search", {"text": "x", "k": 0}, "k must be a whole number from 1 to 100."),
    "too many hits": ("search", {"text": "x", "k": 101}, "k must be a whole number from 1 to 100."),
    "half a hit": ("search", {"text": "x", "k": 1.5}, "k must be a whole number from 1 to 100."),
    "a probability that is none": (
        "search",
        {"text": "x", "min_probability": "nan"},
        "min_probability must be a number from 0 to 1",
    ),
    "a relative path": ("search", {"text": "x", "under": "../.."}, "under must be an absolute path"),
    "a word that was not taught": ("search", {"text": "@nosuch"}, "@nosuch was not taught"),
    "too many clips": ("list", {"limit": 1_001}, "limit must be a whole number from 1 to 1,000."),
    "no path": ("locate", {"text": "x", "paths": []}, "paths must be a list of 1 to 20"),
    "too many paths": ("locate", {"text": "x", "paths": ["/a"] * 21}, "paths must be a list of 1 to 20"),
    "no label": ("label", {"paths": ["/a"], "labels": []}, "labels must be a list of 1 to 100 texts"),
    "a path that is too long": (
        "label",
        {"paths": ["/" + "a" * 5_000], "labels": ["x"]},
        "paths must be a list of 1 to 20",
    ),
    "a file that is not there": (
        "label",
        {"paths": ["/no/such.wav"], "labels": ["x"]},
        "The store has no clip '/no/such.wav'.",
    ),
    "a file of the system": (
        "label",
        {"paths": ["/etc/passwd"], "labels": ["x"]},
        "The store has no clip '/etc/passwd'.",
    ),
    "a path with a NUL": ("locate", {"text": "x", "paths": ["/a\0b"]}, "The store has no clip '/a\\x00b'."),
    "a path of many lines": (
        "locate",
        {"text": "x", "paths": ["/a\n\x1b[31mb"]},
        r"The store has no clip '/a\n\x1b[31mb'.",
    ),
    "a name that is too long": ("locate", {"text": "x", "paths": ["/" + "a" * 300]}, "The store has no clip '/aaa"),
    "an argument that there is not": ("search", {"text": "x", "limit": 3}, "There is no argument 'limit'. There are: "),
    "a long argument that there is not": ("search", {"x\n" * 9_999: 1}, "There is no argument 'x"),
    "words and what is said": ("search", {"words": "a", "said": "b"}, "said can't be used with words."),
    "words that exclude alone": ("search", {"words": "-a"}, "words must have a word to look for"),
    "a probability of words": ("search", {"words": "a", "min_probability": 0.5}, "min_probability needs a text beside"),
    "a label that is a list": (
        "label",
        {"paths": ["/a"], "labels": [["x"]]},
        "labels must be a list of 1 to 100 texts",
    ),
    "a text that is a number": ("search", {"text": 5}, "text must be 1 to 1,000 characters"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_arguments_are_refused_in_one_line(tool, name):
    what, arguments, expected = HOSTILE[name]
    refused = tool(what, **arguments)
    assert refused.startswith(f"error: {expected}"), refused
    assert "\n" not in refused
    assert len(refused) < 500


def test_a_tool_that_there_is_not_is_an_error_of_the_protocol(tool):
    with pytest.raises(
        MCPError, match=r"There is no tool 'nosuch'\. There are: search, locate, label, list\."
    ) as raised:
        tool("nosuch")
    assert raised.value.code == INVALID_PARAMS


def test_a_file_that_the_store_does_not_hold_is_never_read(tool, place):
    outside = str(place / "elsewhere.wav")
    assert tool("label", paths=[outside], labels=["rain"]) == f"error: The store has no clip {outside!r}."
    up = str(place / "sounds" / ".." / "elsewhere.wav")
    assert tool("locate", text="rain", paths=[up]) == f"error: The store has no clip {up!r}."


def test_a_file_that_is_another_by_now_is_never_read(place, tmp_path):
    path, other = write_audio(tmp_path / "sounds" / "a.wav", noise(0.5)), write_audio(tmp_path / "secret.wav", noise(1))
    with Library(tmp_path / "store") as library:
        library.index(tmp_path / "sounds")
    path.unlink()
    path.symlink_to(other)
    why = [{"path": str(path), "problem": "has changed since it was indexed; index it again"}]
    with StandIn() as model, serving(tmp_path / "store", model.url) as server:
        assert called(server, "label", paths=[str(path)], labels=["x"]) == {"labels": [], "problems": why}
        assert called(server, "locate", text="x", paths=[str(path)]) == {"spans": [], "are_all": True, "problems": why}
        assert called(server, "describe", path=str(path), start_s=0, end_s=1) == {"answers": [], "problems": why}
        assert not model.received


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_is_told_and_ends_nothing(tmp_path):
    write_audio(tmp_path / "sounds" / "a.wav", noise(0.5))
    (tmp_path / "sounds" / "a.wav").rename(tmp_path / "sounds" / os.fsdecode(b"\xff.wav"))
    with Library(tmp_path / "store") as library:
        library.index(tmp_path / "sounds")
    with serving(tmp_path / "store") as server:
        (clip,) = called(server, "list")["clips"]
        assert clip["path"] == str(tmp_path / "sounds" / r"\udcff.wav")
        (label,) = called(server, "label", paths=[clip["path"]], labels=["rain"])["labels"]
        assert (label["path"], label["label"]) == (clip["path"], "rain")
        (part,) = called(server, "label", paths=[str(tmp_path / r"\udcfe.wav")], labels=["rain"]).splitlines()
        assert part.startswith("error: The store has no clip ")


def test_what_fails_inside_is_one_line(tool, monkeypatch):
    monkeypatch.setattr(Library, "clips", lambda *_: 1 / 0)
    assert tool("list") == "error: pe-search fails: ZeroDivisionError: division by zero"


def test_a_store_that_is_not_there_is_an_error_of_a_tool(tmp_path):
    with serving(tmp_path / "none") as server:
        assert called(server, "list").startswith(f"error: There is no store at {tmp_path / 'none'}; ")


def test_more_requests_at_once_than_the_server_takes_are_refused(place, monkeypatch):
    monkeypatch.setattr(answering, "MOST_REQUESTS", 1)
    monkeypatch.setattr(mcp, "MOST_REQUESTS", 2)
    arrived, go_on = threading.Event(), threading.Event()

    def answer(request: Any) -> Any:
        arrived.set()
        assert go_on.wait(60)
        return said("rain")

    async def ask(client: Client, results: list[str]) -> None:
        path = str(place / "sounds" / "a.wav")
        results.append(text_of(await client.call_tool("describe", {"path": path, "start_s": 0, "end_s": 0.25})))

    async def talk(server: Any) -> tuple[list[str], list[str]]:
        first: list[str] = []
        refused: list[str] = []
        async with Client(server) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, client, first)
                group.start_soon(ask, client, first)
                await anyio.to_thread.run_sync(arrived.wait)
                await ask(client, refused)
                refused.append(text_of(await client.call_tool("list", {})))
                go_on.set()
            return first, refused

    with StandIn(answer) as model, serving(place / "store", f"{model.url}#x") as server:
        answered, refused = anyio.run(talk, server)
    assert refused == ["error: There are too many requests at once; try again."] * 2
    assert [json.loads(one)["answers"][0]["answer"] for one in answered] == ["rain", "rain"]


def test_it_speaks_over_stdin_and_stdout(place):
    args = ["-m", "pe_search", "mcp", "--store", str(place / "store")]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    async def talk() -> Any:
        async with Client(StdioServerParameters(command=sys.executable, args=args, env=env)) as client:
            return await client.call_tool("list", {"limit": 1})

    (clip,) = json.loads(text_of(anyio.run(talk)))["clips"]
    assert clip["path"] == str(place / "sounds" / "a.wav")


def test_it_ends_with_stdin_even_if_a_language_model_stalls(place):
    arrived = threading.Event()

    def stall(_request: Any) -> None:
        arrived.set()

    arguments = {"path": str(place / "sounds" / "a.wav"), "start_s": 0, "end_s": 0.125}
    lines = [
        {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, **CLIENT}},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "describe", "arguments": arguments}},
    ]
    command = [sys.executable, "-m", "pe_search", "mcp", "--store", str(place / "store"), "--language-model"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with (
        StandIn(stall) as model,
        subprocess.Popen([*command, f"{model.url}#x"], stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env) as process,
    ):
        assert process.stdin is not None
        process.stdin.writelines(json.dumps({"jsonrpc": "2.0", **line}).encode() + b"\n" for line in lines)
        process.stdin.flush()
        assert arrived.wait(60)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out.splitlines()[0])["id"] == 1
