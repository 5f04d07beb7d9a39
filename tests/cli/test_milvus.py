"""Every command prints the same for a store in Milvus as for one in a folder."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import numpy as np
import pytest
from mcp import StdioServerParameters
from mcp.client import Client

from pe_search.speech import choosing
from tests.cli.conftest import Outcome, invoke
from tests.language.stand_in import StandIn, hears
from tests.made_up import noise, tone, write_audio
from tests.speech.spoken import TonesRecogniser, say

pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "sounds"
NAMES = ("dog-barking", "church-bell", "field-recording", "weather/rain", "weather/wind", "drums/kick-drum")
# What may differ: how long it took and when it was, and what is on the disk.
VARYING = (
    (r"in \d+(\.\d+)? s\b", "in S"),
    (r"\d[\d.,]* [kMG]?B\b", "BYTES"),
    (r'"(size_bytes|written_at_s|indexed_at_s|judged_at_s)": [\d.]+', r'"\1": N'),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?\S*", "TIME"),
)


class Scene:
    """Sounds, and two stores.

    Attributes:
        sounds: A folder.
        stores: Where they are, by their kind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.sounds = folder, folder / "sounds"
        for name in NAMES:
            (self.sounds / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(EXAMPLES / f"{name}.flac", self.sounds / f"{name}.flac")
        shutil.copy(self.sounds / "weather/rain.flac", self.sounds / "a copy.flac")
        write_audio(self.sounds / "noise.wav", noise(0.5, 1))
        (self.sounds / "bad.wav").write_bytes(b"RIFF, and no more")
        shutil.copytree(self.sounds, folder / "moved")
        say(folder / "talks" / "talk.wav", [1, 2, None, None, 7])
        with (folder / "labels.csv").open("w", newline="") as file:
            rows = [(f"sounds/{name}.flac", Path(name).name.replace("-", " ")) for name in NAMES]
            csv.writer(file).writerows([("path", "label"), *rows, *[(path, label) for path, label in rows[:2]]])
        self.stores = {"folder": str(folder / "one.store"), "Milvus": f"milvus:{folder}/one.db"}

    def plain(self, text: str) -> str:
        """A text with neither the names of the stores nor what varies."""
        for store in (*self.stores.values(), "one.store", "one.db"):
            text = text.replace(store, "STORE")
        for pattern, word in VARYING:
            text = re.sub(pattern, word, text)
        return text

    def same(self, *args: object, status: int = 0) -> str:
        """Run a command on both stores, and give what it printed."""
        shown = []
        for store in self.stores.values():
            outcome = invoke(*args, "--store", store)
            shown.append(Outcome(outcome.status, self.plain(outcome.out.decode()).encode(), self.plain(outcome.err)))
        assert shown[1] == shown[0], args
        assert shown[0].status == status, shown[0].err
        return shown[0].out.decode()


@pytest.fixture
def scene(tmp_path, monkeypatch) -> Scene:
    monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Scene(tmp_path)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn(hears("rain")) as one:
        yield one


def test_commands(scene, server, monkeypatch):
    same, sounds = scene.same, scene.sounds
    same("index", sounds, "--exclude", "noise.wav", status=2)
    same("index")
    same("index", sounds)
    same("list", "--format", "jsonl")
    same("list", "--format", "table")
    same("status", "--problems")
    same("query", "dog barking", "rain", "-k", "all", "--format", "jsonl")
    same("query", "rain", "--minus", "wind", "--all-windows", "--format", "table")
    same("query", "--like", sounds / "field-recording.flac@0:30-0:40", "--exact", "--format", "jsonl")
    same("query", "dog barking", "--spans", "--format", "csv")
    same("query", "zibble", "--under", sounds / "nowhere", status=1)
    same("label", sounds / "weather", "--labels", "rain, wind", "--format", "jsonl")
    same("count", "dog barking", "rain", "--by", "folder", "--format", "csv")
    same("duplicates", "--format", "csv")
    same("duplicates", sounds / "weather", "--threshold", "0.2", "--format", "jsonl")
    same("evaluate", "labels.csv", "--format", "table")
    same("evaluate", "labels.csv", "--drawings", "20", "--format", "jsonl")
    same("tag", "add", "wet, loud", sounds / "weather")
    same("tag", "remove", "loud", sounds / "weather" / "wind.flac")
    assert "wet" in same("tag", "list")
    same("query", "rain", "--tag", "wet", "--format", "jsonl")
    same("learn", "@bark", "--text", "dog barking", "--yes", sounds / "dog-barking.flac", "--no", sounds / "noise.wav")
    same("words", "--format", "jsonl")
    same("words", "--judgements", "--format", "csv")
    same("query", "@bark", "--format", "jsonl")
    same("count", "@bark", "--judged", "--format", "csv", status=2)
    asked = ("--language-model", server.url, "--format", "jsonl")
    same("ask", "What is this?", sounds / "weather" / "rain.flac", *asked)
    assert same("describe", sounds / "weather", *asked).count("rain") > 2
    same("query", "rain", "--words", "rain", "--fields", "captions", "--format", "jsonl")
    recogniser = TonesRecogniser()
    monkeypatch.setattr(choosing, "find_recogniser", lambda _name, _asked: recogniser)
    monkeypatch.setattr("pe_search.tasks.transcribing.SPEECH_FROM", 0.0)
    same("index", scene.folder / "talks")
    assert "n1 n2" in same("transcribe", scene.folder / "talks", "--format", "jsonl")
    assert recogniser.windows == 2, "each store keeps what is said"
    same("query", "--said", "n7", "--format", "jsonl")
    same("verify")
    same("export", scene.folder / "all.npz")
    same("relocate", sounds, scene.folder / "moved", "--dry-run")
    same("relocate", sounds, scene.folder / "moved")
    same("remove", scene.folder / "moved" / "drums")
    same("remove", scene.folder / "nowhere", status=1)
    same("rebuild")
    same("query", "rain", "-k", "all", "--format", "jsonl")
    same("forget", "@bark")
    same("status", "--format", "json")
    shutil.rmtree(scene.folder / "moved" / "weather")
    same("index", "--prune")
    same("list", "--format", "jsonl")


def test_copies_of_a_store_in_either_kind_have_the_same(scene):
    scene.same("index", scene.sounds, status=2)
    scene.same("tag", "add", "wet", scene.sounds / "weather")
    exported = []
    for kind, store in scene.stores.items():
        for number, other in enumerate((f"milvus:{scene.folder}/{kind}.db", scene.folder / f"{kind}.store")):
            write_audio(scene.folder / "more" / "tone.wav", tone(0.5, 300))
            assert invoke("index", scene.folder / "more", "--store", other).status == 0
            outcome = invoke("merge", store, "--store", other)
            assert outcome.status == 0, outcome.err
            file = scene.folder / f"{kind}-{number}.npz"
            assert invoke("export", file, "--store", other).status == 0
            tags = invoke("tag", "list", "--store", other)
            with np.load(file) as arrays:
                exported.append([tags.out, *(arrays[name].tobytes() for name in ("path", "start_s", "embedding"))])
    assert all(one == exported[0] for one in exported)


def test_judge(scene, terminal):
    scene.same("index", scene.sounds, status=2)
    shown = []
    for store in scene.stores.values():
        judging = terminal([sys.executable, "-m", "pe_search", "judge", "dog barking", "--store", store])
        for turn, key in enumerate((b"y", b"n", b"q"), 1):
            judging.read_until(lambda shown, turn=turn: re.search(rb"(?m)^%d  \d\.\d\d  " % turn, shown))
            judging.press(key)
        status, text = judging.finish()
        shown.append((status, scene.plain(text)))
    assert shown[1] == shown[0]
    assert shown[0][0] == 0
    assert scene.same("words", "--judgements", "--format", "csv").count("\n") == 3


def test_mcp(scene):
    scene.same("index", scene.sounds, status=2)

    async def told(store: str) -> list[str]:
        argv = ["-m", "pe_search", "mcp", "--store", store]
        async with Client(StdioServerParameters(command=sys.executable, args=argv)) as client:
            path = str(scene.sounds / "dog-barking.flac")
            calls = [
                ("search", {"text": "rain", "k": 3}),
                ("list", {}),
                ("label", {"paths": [path], "labels": ["rain", "dog barking"]}),
                ("locate", {"text": "dog barking", "paths": [path]}),
            ]
            return [(await client.call_tool(name, arguments)).content[0].text for name, arguments in calls]

    ours, local = (anyio.run(told, scene.stores[kind]) for kind in ("Milvus", "folder"))
    assert ours == local
    assert "a copy.flac" in ours[0]


def test_a_file_of_milvus_lite_that_another_process_has_is_one_line(scene):
    store = scene.stores["Milvus"]
    assert invoke("index", scene.sounds / "weather", "--store", store).status == 0
    holding = (
        "import sys; import pe_search; one = pe_search.open(sys.argv[1]); one.status(); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        outcome = invoke("query", "rain", "--store", store)
        holder.communicate(b"\n")
    assert (outcome.status, outcome.out) == (2, b"")
    assert re.fullmatch(r"pe-search: The file .*one\.db can't be opened\. Only one process at a time .*\n", outcome.err)
