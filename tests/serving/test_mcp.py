"""`pe-search mcp`: the SDK's own client lists and calls every tool, and what it must not ask is refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client

from pe_search.library import Library
from pe_search.serving.mcp import make_server
from tests.language.stand_in import StandIn, hears
from tests.made_up import noise, write_audio


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a store of two sounds, and a sound that is not in it."""
    folder = tmp_path_factory.mktemp("mcp")
    for seed, name in enumerate(("sounds/a.wav", "sounds/b.wav", "elsewhere.wav")):
        write_audio(folder / name, noise(1.0, seed))
    with Library(folder / "store") as library:
        library.index(folder / "sounds")
    return folder


def called(server: Any, name: str, **arguments: object) -> Any:
    """What a tool gives, or the text of its error after `error: `."""

    async def call() -> Any:
        async with Client(server) as client:
            return await client.call_tool(name, arguments)

    result = anyio.run(call)
    texts = [part.text for part in result.content]
    if result.is_error:
        (text,) = texts
        return f"error: {text}"
    return [json.loads(text) for text in texts]


@pytest.fixture
def tool(place) -> Callable[..., Any]:
    return lambda name, **arguments: called(make_server(place / "store"), name, **arguments)


def test_the_tools_read_and_are_listed(place):
    async def listed(server: Any) -> Any:
        async with Client(server) as client:
            return (await client.list_tools()).tools

    tools = anyio.run(listed, make_server(place / "store", "http://localhost:1/v1#x"))
    assert sorted(one.name for one in tools) == ["describe", "label", "list", "locate", "search"]
    assert all(one.annotations.read_only_hint and one.description for one in tools)
    without = anyio.run(listed, make_server(place / "store"))
    assert sorted(one.name for one in without) == ["label", "list", "locate", "search"]


def test_search_gives_the_hits_of_the_library(tool, place):
    with Library(place / "store") as library:
        expected = [hit.to_dict() for hit in library.query("rain", k=2)]
    assert tool("search", text="rain", k=2) == expected
    assert tool("search", text="rain", under=str(place / "sounds" / "a.wav"))[0]["path"].endswith("a.wav")
    assert tool("search", text="rain", min_probability=1) == []


def test_list_gives_the_clips_of_the_store(tool, place):
    assert tool("list") == [
        {"path": str(place / "sounds" / name), "duration_s": 1.0, "windows": 1} for name in ("a.wav", "b.wav")
    ]
    assert len(tool("list", limit=1)) == 1


def test_label_and_locate_give_what_the_library_gives(tool, place):
    path = str(place / "sounds" / "a.wav")
    with Library(place / "store") as library:
        (labels,) = library.label([path], ["rain", "wind"])
        spans = [span for trace in library.locate("rain", [path]) for span in trace.spans]
    assert tool("label", paths=[path], labels=["rain", "wind"]) == [hit.to_dict() for hit in labels]
    found = tool("locate", text="rain", paths=[path])
    assert [(one["start_s"], one["end_s"]) for one in found] == [(span.start_s, span.end_s) for span in spans]


def test_describe_asks_the_language_model(place):
    path = str(place / "sounds" / "a.wav")
    with StandIn(hears("rain")) as model:
        server = make_server(place / "store", model.url)
        (answer,) = called(server, "describe", path=path, start_s=0, end_s=0.5, question="What is this?")
        assert (answer["answer"], answer["start_s"], answer["end_s"]) == ("rain", 0.0, 0.5)
        assert 0 <= answer["probability"] <= 1
        beyond = called(server, "describe", path=path, start_s=0, end_s=9)
        assert "before the end" in beyond[0]["problem"] or "ends before" in beyond[0]["problem"]
        wrong = called(server, "describe", path=path, start_s=2, end_s=1)
        assert wrong.endswith("end_s must be after start_s.")


HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    "no text": ("search", {}),
    "an empty text": ("search", {"text": ""}),
    "a blank text": ("search", {"text": " \n"}),
    "a text of a million characters": ("search", {"text": "x" * 1_000_000}),
    "no hits": ("search", {"text": "x", "k": 0}),
    "too many hits": ("search", {"text": "x", "k": 101}),
    "half a hit": ("search", {"text": "x", "k": 1.5}),
    "a probability that is none": ("search", {"text": "x", "min_probability": "nan"}),
    "a relative path": ("search", {"text": "x", "under": "../.."}),
    "a word that was not taught": ("search", {"text": "@nosuch"}),
    "too many clips": ("list", {"limit": 1_001}),
    "no path": ("locate", {"text": "x", "paths": []}),
    "too many paths": ("locate", {"text": "x", "paths": ["/a"] * 21}),
    "no label": ("label", {"paths": ["/a"], "labels": []}),
    "a path that is too long": ("label", {"paths": ["/" + "a" * 5_000], "labels": ["x"]}),
    "a file that is not there": ("label", {"paths": ["/no/such.wav"], "labels": ["x"]}),
    "a file of the system": ("label", {"paths": ["/etc/passwd"], "labels": ["x"]}),
    "a path with a NUL": ("locate", {"text": "x", "paths": ["/a\0b"]}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_arguments_are_refused(tool, name):
    what, arguments = HOSTILE[name]
    assert str(tool(what, **arguments)).startswith("error: ")


def test_a_file_that_the_store_does_not_hold_is_never_read(tool, place):
    outside = str(place / "elsewhere.wav")
    assert tool("label", paths=[outside], labels=["rain"]).endswith(f"The store has no clip {outside}.")
    assert tool("locate", text="rain", paths=[str(place / "sounds" / ".." / "elsewhere.wav")]).startswith("error: ")


def test_a_store_that_is_not_there_is_an_error_of_a_tool(tmp_path):
    assert "There is no store" in called(make_server(tmp_path / "none"), "list")


def test_it_speaks_over_stdin_and_stdout(place):
    args = ["-m", "pe_search", "mcp", "--store", str(place / "store")]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    async def talk() -> Any:
        async with Client(StdioServerParameters(command=sys.executable, args=args, env=env)) as client:
            return await client.call_tool("list", {"limit": 1})

    (part,) = anyio.run(talk).content
    assert json.loads(part.text)["path"] == str(place / "sounds" / "a.wav")
