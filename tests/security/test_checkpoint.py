"""A checkpoint from someone else: nothing in it is run, followed elsewhere or made room for without end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pe_search.errors import CheckpointError, PeSearchError
from pe_search.pe_audio.checkpoint import find_checkpoint, find_same_checkpoint
from pe_search.pe_audio.embedder import Embedder
from pe_search.pe_audio.towers import AudioTower, TextTower, load_tower
from pe_search.store import Store
from tests.made_up import manifest, noise, write_audio
from tests.security.conftest import no_longer_than

# Nothing that is given to it may take longer. Loading a made-up checkpoint takes a tenth of that.
LONGEST_S = 2
JSON_FILES = ("config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json")


@pytest.fixture
def directory(plain_checkpoint, tmp_path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(plain_checkpoint[0], tmp_path / "checkpoint"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_within(directory: Path, part: str, **changes: object) -> None:
    """Change fields of a part of a configuration: `audio_config.dac_config`."""
    config = json.loads((directory / "config.json").read_text())
    inner = config
    for name in part.split("."):
        inner = inner[name]
    inner.update(changes)
    (directory / "config.json").write_text(json.dumps(config))


def refusal(directory: Path) -> str:
    """What is said of a checkpoint, in one line."""
    with no_longer_than(LONGEST_S), pytest.raises(CheckpointError) as caught:
        Embedder(find_checkpoint(str(directory)), device="cpu").embed_windows([noise(0.1)])
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Code


CODE = "import pathlib; pathlib.Path({made!r}).touch()\nclass Tokenizer: pass\nclass Config: pass\nclass Model: pass\n"


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("where", ["own.Tokenizer", "someone/code--own.Tokenizer"])
def test_code_of_a_checkpoint_is_refused_and_not_run(directory, tmp_path, file, where):
    (directory / "own.py").write_text(CODE.format(made=str(tmp_path / "made")))
    edit(directory / file, auto_map={"AutoTokenizer": [where, None], "AutoConfig": where, "AutoModel": where})
    assert refusal(directory) == (
        f"{directory}: its {file} has 'auto_map', which may run code from the checkpoint; that is not allowed."
    )
    assert not (tmp_path / "made").exists()


def test_nor_is_it_run_from_a_part_of_the_configuration(directory, tmp_path):
    (directory / "own.py").write_text(CODE.format(made=str(tmp_path / "made")))
    edit_within(directory, "text_config", auto_map={"AutoModel": "own.Model"})
    assert "has 'auto_map'" in refusal(directory)


def test_even_unvetted_nothing_asks_whether_it_may_run_code(directory, tmp_path, monkeypatch):
    """Were it not for the look at the files before, transformers would refuse it by itself, without reading stdin."""
    monkeypatch.setattr(
        "pe_search.pe_audio.checkpoint.vet", lambda _name, path: json.loads((path / "config.json").read_text())
    )
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    (directory / "own.py").write_text(CODE.format(made=str(tmp_path / "made")))
    auto_map = {"AutoTokenizer": ["own.Tokenizer", None], "AutoConfig": "own.Config", "AutoModel": "own.Model"}
    for file in ("tokenizer_config.json", "config.json"):
        edit(directory / file, auto_map=auto_map)
        edit_within(directory, "text_config", auto_map=auto_map)
        embedder = Embedder(find_checkpoint(str(directory)), device="cpu")
        try:
            embedder.embed_texts(["a dog barking"])
        except CheckpointError as error:
            assert "\n" not in str(error)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("text_config", {"attn_implementation": "someone/kernel"}),
        ("audio_config", {"_attn_implementation": "someone/kernel:attention"}),
        ("audio_config", {"quantization_config": {"quant_method": "bitsandbytes"}}),
        ("text_config", {"use_pretrained_backbone": True}),
        ("text_config", {"transformers_weights": "../other.safetensors"}),
        ("text_config", {"model_type": "timm_wrapper"}),
    ],
)
def test_code_and_weights_from_elsewhere_are_refused(directory, part, changes):
    edit_within(directory, part, **changes)
    assert refusal(directory).startswith(f"{directory}")


def test_an_adapter_is_refused(directory):
    (directory / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    assert refusal(directory) == f"{directory} has a file adapter_config.json, which leads to other weights; remove it."


def test_shards_elsewhere_are_refused(directory):
    (directory / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}')
    assert refusal(directory).endswith("model.safetensors.index.json can't be read: it names files elsewhere")


# What has no end


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("text_config", {"num_hidden_layers": 10**9}),
        ("audio_config", {"num_hidden_layers": 513}),
        ("text_config", {"vocab_size": 10**9}),
        ("text_config", {"hidden_size": 1 << 20}),
        ("audio_config", {"num_attention_heads": 10**6}),
        ("text_config", {"max_position_embeddings": 10**10}),
        ("audio_config.dac_config", {"downsampling_ratios": [4_000] * 6}),
        ("audio_config.dac_config", {"downsampling_ratios": [2] * 5_000}),
        ("audio_config.dac_config", {"downsampling_ratios": [0, 2]}),
        ("audio_config.dac_config", {"hop_length": 10**9}),
        ("text_config", {"norm_eps": 1e300}),
    ],
    ids=str,
)
def test_a_configuration_that_asks_for_too_much(directory, part, changes):
    edit_within(directory, part, **changes)
    assert refusal(directory).startswith(f"{directory}: its config.json has ")


@pytest.mark.parametrize("kind", [TextTower, AudioTower])
def test_a_configuration_that_asks_for_more_than_the_weights_there_are(directory, kind):
    """Within the bounds of each number, and yet 17 GB for one matrix."""
    size = (1 << 16) - 64
    edit_within(directory, "text_config", hidden_size=size, intermediate_size=size, vocab_size=2_000_000)
    edit_within(directory, "audio_config", hidden_size=size - size % 48, intermediate_size=size)
    with (
        no_longer_than(LONGEST_S),
        pytest.raises(CheckpointError, match=r"asks for [\d,]+ weights, and its files hold"),
    ):
        load_tower(kind, find_checkpoint(str(directory)), torch.float32)


def test_as_many_layers_as_may_be_are_no_hang(directory):
    edit_within(directory, "audio_config", num_hidden_layers=512)
    assert "asks for " in refusal(directory) or "lacks weights" in refusal(directory)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[" * 500_000 + b"]" * 500_000, "it is nested too deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "it is nested too deep"),
        (b'{"a": 1' + b"0" * 5_000 + b"}", "Exceeds the limit"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b"\xff\xfe\xff", "can't decode"),
        (b"", "Expecting value"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_json_that_is_none_or_too_deep(directory, file, content, says):
    (directory / file).write_bytes(content)
    said = refusal(directory)
    assert said.startswith(f"{directory}: its {file} can't be read: ")
    assert says in said


def test_a_configuration_of_a_gigabyte_is_not_read(directory):
    os.truncate(directory / "config.json", 1 << 30)
    assert refusal(directory) == f"{directory}: its config.json can't be read: it is larger than 1,048,576 bytes."


@pytest.mark.parametrize("name", [*JSON_FILES, "model.safetensors", "model.safetensors.index.json", "vocab.txt", "x"])
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(directory, tmp_path, name, through_a_link):
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "pipe")
    if through_a_link:
        (directory / name).symlink_to(tmp_path / "pipe")
    else:
        os.rename(tmp_path / "pipe", directory / name)  # noqa: PTH104
    assert refusal(directory).endswith("not a regular file.")


def test_a_device_in_place_of_a_file(directory):
    (directory / "config.json").unlink()
    (directory / "config.json").symlink_to("/dev/zero")
    assert refusal(directory).endswith("its config.json can't be read: it is not a regular file.")


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},
        {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}]},
    ],
)
def test_a_tokenizer_on_which_a_text_takes_for_ever(directory, normalizer):
    edit(directory / "tokenizer.json", normalizer=normalizer)
    assert "has a pattern of its own" in refusal(directory)


def test_published_layouts_are_taken(checkpoint_of_each_layout):
    find_checkpoint(str(checkpoint_of_each_layout[0]))


# The hub

# Runs the command, and writes down whom it would reach over a network.
WATCHED = """
import os, sys
reached = os.open(os.environ["REACHED"], os.O_WRONLY | os.O_CREAT)
def watch(event, args):
    is_address = event == "socket.connect" and isinstance(args[1], tuple)
    if is_address or event in ("socket.getaddrinfo", "socket.gethostbyname"):
        os.write(reached, repr(args).encode())
        raise OSError(101, "Network is unreachable")
sys.addaudithook(watch)
from pe_search.cli.app import main
main()
"""


@pytest.fixture
def run_watched(tmp_path) -> Callable[..., tuple[int, str, bool]]:
    """Run the command as somebody who has a token; returns its status, stderr, and whether it reached for a network."""
    reached = tmp_path / "reached"

    def run(*args: object) -> tuple[int, str, bool]:
        environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
        environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_TOKEN": "hf_secret", "REACHED": str(reached)}
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, *map(str, args)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "hf_secret" not in done.stderr
        return done.returncode, done.stderr, reached.stat().st_size > 0

    return run


COMMIT = "c0ffee" + "0" * 34


@pytest.fixture
def foreign_store(tmp_path, monkeypatch) -> Path:
    """A store that names a checkpoint of the hub which is not here, with a clip that is."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home-of-hub"))
    write_audio(tmp_path / "sounds" / "a.wav", noise(0.2))
    with Store.create(tmp_path / "foreign.store", manifest(model="mallory/tracker", revision=COMMIT)):
        pass
    return tmp_path / "foreign.store"


@pytest.mark.parametrize(
    "command",
    [
        ["query", "rain", "--store", "{store}"],
        ["query", "rain", "--spans", "--store", "{store}"],
        ["query", "--like", "{sounds}/a.wav", "--store", "{store}"],
        ["label", "{sounds}", "--labels", "rain", "--store", "{store}"],
        ["index", "{sounds}", "--store", "{store}"],
        ["index", "{sounds}", "--revision", "main", "--store", "{store}"],
        ["serve", "--store", "{store}"],
        ["locate", "rain", "{sounds}/a.wav", "--model", "mallory/tracker"],
        ["label", "{sounds}", "--labels", "rain", "--model", "mallory/tracker"],
    ],
    ids=" ".join,
)
def test_no_command_asks_the_hub_for_what_a_store_names(run_watched, foreign_store, command):
    places = {"store": foreign_store, "sounds": foreign_store.parent / "sounds"}
    status, said, has_reached_out = run_watched(*(part.format(**places) for part in command))
    assert (status, has_reached_out) == (2, False)
    at_commit = "" if "--model" in command else " --revision main" if "main" in command else f" --revision {COMMIT}"
    assert said == (
        "pe-search: mallory/tracker is not on this machine. Download it with `pe-search models --fetch mallory/tracker"
        f"{at_commit}`, if you trust its author.\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["models", "--fetch", "mallory/tracker"],
        ["index", "{sounds}", "--model", "mallory/tracker", "--store", "{new}"],
        ["index", "{sounds}", "--model", "mallory/tracker", "--store", "{store}"],
    ],
    ids=" ".join,
)
def test_only_what_the_user_names_is_asked_for(run_watched, foreign_store, command):
    places = {"store": foreign_store, "sounds": foreign_store.parent / "sounds", "new": foreign_store.parent / "new"}
    status, said, has_reached_out = run_watched(*(part.format(**places) for part in command))
    assert (status, has_reached_out) == (2, True)
    assert "the Hugging Face hub can't be reached" in said


def test_a_checkpoint_that_is_here_is_used_without_a_network(run_watched, plain_checkpoint, tmp_path):
    write_audio(tmp_path / "a.wav", noise(0.2))
    store = ("--store", tmp_path / "store")
    status, said, has_reached_out = run_watched("index", tmp_path / "a.wav", "--model", plain_checkpoint[0], *store)
    assert (status, has_reached_out) == (0, False), said
    assert run_watched("query", "rain", "--spans", "--threshold", "0", *store) == (0, "", False)


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("mallory/tracker", "../../../evil"),
        ("mallory/tracker", "main; rm -rf ~"),
        ("mallory/$(id)", COMMIT),
        ("-x/y", COMMIT),
        ("a/b\n", COMMIT),
        ("mallory/träcker", COMMIT),
        ("", COMMIT),
    ],
)
def test_a_store_that_names_what_can_not_be(name, revision):
    with pytest.raises(CheckpointError, match="names an invalid checkpoint") as caught:
        find_same_checkpoint(name, revision)
    assert "\n" not in str(caught.value)


# Any change


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [2**16, 2**31, 2**63, 10**30, -1, 0.5, 1e308, "", "a", "\0", "/dev/zero", "../x", [], {}, [[]], [-1]]
    ),
    st.text(max_size=4),
)


@st.composite
def changed(draw: st.DrawFn, values: object) -> object:
    """The same JSON with a value changed, taken out or added somewhere."""
    if isinstance(values, dict) and values and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(values)))
        how = draw(st.integers(0, 6))
        if how == 0:
            return {name: value for name, value in values.items() if name != key}
        if how == 1:
            return values | {
                draw(st.sampled_from(["auto_map", "model_type", "dtype", "x", "architectures"])): draw(VALUES)
            }
        return values | {key: draw(changed(values[key]))}
    if isinstance(values, list) and values and draw(st.integers(0, 4)):
        place = draw(st.integers(0, min(len(values), 8) - 1))
        return [*values[:place], draw(changed(values[place])), *values[place + 1 :]]
    return draw(VALUES)


@pytest.mark.slow
@pytest.mark.parametrize("file", JSON_FILES)
def test_any_change_of_the_json_is_one_line_or_a_checkpoint_that_works(directory, file):
    path = directory / file
    if not path.exists():
        path.write_text("{}")
    content = path.read_bytes()
    whole = json.loads(content)

    def damaged() -> st.SearchStrategy[bytes]:
        places = st.tuples(st.integers(0, len(content)), st.integers(0, 40), st.binary(max_size=4))
        return places.map(lambda cut: content[: cut[0]] + cut[2] + content[cut[0] + cut[1] :])

    cases = st.one_of(*[changed(whole).map(lambda values: json.dumps(values).encode())] * 3, damaged())
    outcomes = {"works": 0, "refused": 0}

    @settings(max_examples=500, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def holds(case: bytes) -> None:
        path.write_bytes(case)
        try:
            with no_longer_than(LONGEST_S):
                embedder = Embedder(find_checkpoint(str(directory)), device="cpu")
                made = [embedder.embed_windows([noise(0.1)]), embedder.embed_texts(["rain"])]
                assert all(one.shape == (1, embedder.dimension) for one in made)
                assert all(one.dtype == np.float32 for one in made)
            outcomes["works"] += 1
        except PeSearchError as error:
            assert len(str(error).splitlines()) == 1
            outcomes["refused"] += 1

    holds()
    assert min(outcomes.values()) > 10, outcomes
