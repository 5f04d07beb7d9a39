"""`config.toml`, `pe-search config`, and stores that have a name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import platformdirs
import pytest

import pe_search
from pe_search import directories
from pe_search.cli.input import config as config_module
from tests.made_up import noise, write_audio


@pytest.fixture
def file() -> Path:
    """Where the settings are; not there yet."""
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "pe-search" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def data() -> Path:
    return Path(os.environ["XDG_DATA_HOME"]) / "pe-search"


@pytest.fixture
def hits(run_cli):
    """Run a query, and return its output in lines."""

    def run(*args: object) -> list[str]:
        outcome = run_cli("query", "rain", *args)
        assert outcome.status == 0, outcome.err
        return outcome.out.decode(errors="replace").splitlines()

    return run


def settings(run_cli) -> dict[str, tuple[object, str]]:
    shown = json.loads(run_cli("config", "--format", "json").out)["settings"]
    return {key: (one["value"], one["from"]) for key, one in shown.items()}


def test_the_file_is_where_platformdirs_has_it(monkeypatch):
    assert directories.config_file() == platformdirs.user_config_path("pe-search", appauthor=False) / "config.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert directories.config_file() == platformdirs.user_config_path("pe-search", appauthor=False) / "config.toml"


def test_without_a_file_all_is_as_ever(run_cli, data):
    assert settings(run_cli) == {
        "store": (str(data / "store"), "default"),
        "model": ("builtin", "default"),
        "exclude": ([], "default"),
        "format": (None, "default"),
        "device": ("auto", "default"),
        "k": (10, "default"),
    }
    assert not data.exists()


def test_each_value_is_shown_with_where_it_comes_from(run_cli, file, data, monkeypatch):
    file.write_text(
        'store = "birds"\nmodel = "small"\nexclude = ["drafts/", "*.tmp"]\nformat = "jsonl"\ndevice = "cpu"\nk = 20\n'
    )
    origin = str(file)
    assert settings(run_cli) == {
        "store": (str(data / "birds"), origin),
        "model": ("small", origin),
        "exclude": (["drafts/", "*.tmp"], origin),
        "format": ("jsonl", origin),
        "device": ("cpu", origin),
        "k": (20, origin),
    }
    monkeypatch.setenv("PE_SEARCH_STORE", "/elsewhere")
    monkeypatch.setenv("PE_SEARCH_MODEL", "base")
    lines = run_cli("config").out.decode().splitlines()
    width = len("drafts/, *.tmp")
    assert lines == [
        f"store    {'/elsewhere':<{width}}  $PE_SEARCH_STORE",
        f"model    {'base':<{width}}  $PE_SEARCH_MODEL",
        f"exclude  drafts/, *.tmp  {file}",
        f"format   {'jsonl':<{width}}  {file}",
        f"device   {'cpu':<{width}}  {file}",
        f"k        {'20':<{width}}  {file}",
        f"stores   none in {data}",
    ]


def test_an_option_comes_before_the_environment_and_that_before_the_file(library, file, hits, monkeypatch, tmp_path):
    file.write_text(f'store = "{library.store}"\nk = 2\nformat = "csv"\n')
    assert len(hits()) == 1 + 2
    assert hits()[0].startswith("query,rank,path")
    assert len(hits("-k", 3)) == 1 + 3
    assert json.loads(hits("--format", "jsonl")[0])["rank"] == 1
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "none"))
    assert len(hits("--store", library.store)) == 1 + 2


def test_the_environment_comes_before_the_file(run_cli, library, file, monkeypatch, tmp_path):
    file.write_text(f'store = "{tmp_path / "none"}"\n')
    assert run_cli("status").err.startswith(f"pe-search: There is no store at {tmp_path / 'none'}")
    monkeypatch.setenv("PE_SEARCH_STORE", str(library.store))
    assert run_cli("status").status == 0


def test_a_format_that_a_command_has_not_is_no_trouble(run_cli, library, file):
    file.write_text('format = "paths"\n')
    args = ("query", "rain", "--spans", "--frame-model", "builtin", "-k", 1, "--store", library.store)
    spans = run_cli(*args, "--under", library.sounds / "weather" / "rain.wav")
    assert (spans.status, json.loads(spans.out)["rank"]) == (0, 1)
    file.write_text('format = "json"\n')
    assert run_cli("query", "rain", "-0", "-k", 1, "--store", library.store).out.endswith(b"\0")
    assert json.loads(run_cli("list", "--store", library.store).out.splitlines()[0])["windows"] == 1
    assert run_cli("list", "-0", "--store", library.store).out.count(b"\0") == 14


def test_model_and_patterns_count_for_new_stores_and_walks(run_cli, plain_checkpoint, file, data, tmp_path):
    write_audio(tmp_path / "sounds" / "a.wav", noise(0.2))
    write_audio(tmp_path / "sounds" / "drafts" / "b.wav", noise(0.2, 1))
    file.write_text(f'model = "{plain_checkpoint[0]}"\nexclude = ["drafts/"]\nstore = "mine"\n')
    outcome = run_cli("index", tmp_path / "sounds")
    assert outcome.status == 0
    assert outcome.err.endswith(f"Store: {data / 'mine'}\n")
    with pe_search.open(data / "mine") as library:
        assert [clip.path.name for clip in library.clips()] == ["a.wav"]
        assert library.status().model == str(plain_checkpoint[0])
    # A store keeps the checkpoint that it was made with.
    file.write_text('model = "builtin"\nexclude = ["a.*"]\nstore = "mine"\n')
    assert "1 removed" in run_cli("index").err
    assert run_cli("index", tmp_path / "sounds", "--exclude", "drafts/").status == 0
    labels = run_cli("label", tmp_path / "sounds", "--labels", "rain", "--model", plain_checkpoint[0])
    assert [Path(json.loads(line)["path"]).name for line in labels.out.splitlines()] == ["b.wav"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour = 1", "'colour' is not a setting; settings are store, model, exclude, format, device, k."),
        ("k = 0", 'k must be a whole number from 1, or "all".'),
        ("k = true", 'k must be a whole number from 1, or "all".'),
        ("k = 2.5", 'k must be a whole number from 1, or "all".'),
        ('store = ""', "store must be the name of a store, an absolute path or milvus://HOST:PORT/COLLECTION."),
        (
            'store = "milvus:birds.db"',
            "store must be the name of a store, an absolute path or milvus://HOST:PORT/COLLECTION.",
        ),
        (
            'store = "sub/folder"',
            "store must be the name of a store, an absolute path or milvus://HOST:PORT/COLLECTION.",
        ),
        ("model = 3", 'model must be a text, as in "small".'),
        ('exclude = "drafts/"', 'exclude must be a list of patterns, as in ["drafts/"].'),
        ('format = "audacity"', "format must be one of table, paths, jsonl, csv."),
        ('device = "tpu"', "device must be one of auto, cpu, cuda, mps."),
        ("k", "Expected '=' after a key in a key/value pair (at end of document)."),
    ],
)
def test_what_is_wrong_is_told_in_one_line_that_names_file_and_key(run_cli, file, text, reason):
    file.write_text(text)
    for command in (["query", "rain"], ["config"]):
        outcome = run_cli(*command)
        assert (outcome.status, outcome.out, outcome.err) == (2, b"", f"pe-search: {file}: {reason}\n")
    assert run_cli("query", "--help").status == 0


def test_a_pattern_that_is_wrong_is_told_by_whoever_needs_it(run_cli, file, library, tmp_path):
    file.write_text('exclude = ["[[:alpha:]]"]')
    outcome = run_cli("index", tmp_path)
    assert outcome.status == 2
    assert outcome.err.startswith(f"pe-search: {file}: exclude: '[[:alpha:]]' has a class of characters")
    assert run_cli("query", "rain", "--store", library.store).status == 0


def test_a_file_that_can_not_be_read(run_cli, file):
    file.write_bytes(b"\xff")
    assert run_cli("config").err == f"pe-search: {file}: is not UTF-8.\n"
    file.unlink()
    file.mkdir()
    assert run_cli("config").err == f"pe-search: {file}: Is a directory\n"


def test_a_file_as_windows_writes_it(file):
    file.write_bytes(b'\xef\xbb\xbfstore = "birds"\r\nk = 3\r\n')
    assert config_module.read_config() == {"store": "birds", "k": 3}


def test_a_name_means_a_folder_or_else_the_store_of_that_name(data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert directories.store_called("birds") == data / "birds"
    assert directories.store_called("./birds") == tmp_path / "birds"
    assert directories.store_called("deep/birds") == tmp_path / "deep" / "birds"
    assert directories.store_called("~/birds") == Path("~/birds").expanduser()
    assert directories.store_called("..") == tmp_path / ".."
    Path("birds").touch()
    assert directories.store_called("birds") == data / "birds"
    Path("birds").unlink()
    Path("birds").mkdir()
    assert directories.store_called("birds") == tmp_path / "birds"
    monkeypatch.setenv("PE_SEARCH_STORE", "bats")
    assert directories.default_store() == data / "bats"


def test_the_name_in_the_file_never_means_a_folder(run_cli, file, data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("birds").mkdir()
    file.write_text('store = "birds"')
    assert settings(run_cli)["store"] == (str(data / "birds"), str(file))
    assert run_cli("status").err.startswith(f"pe-search: There is no store at {data / 'birds'};")


def test_index_makes_a_store_under_its_name_and_config_lists_it(run_cli, library, data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "a.wav", noise(0.2))
    args = ("index", tmp_path / "a.wav", "--model", library.checkpoint, "--store")
    outcome = run_cli(*args, "birds")
    assert outcome.err.startswith(f"Store birds: {data / 'birds'}\n")
    assert outcome.err.endswith(f"Store: {data / 'birds'}\n")
    assert not run_cli(*args, "birds").err.startswith("Store birds")
    assert run_cli(*args, "./bats").err.endswith(f"Store: {tmp_path / 'bats'}\n")
    shutil.copytree(library.store, data / "store")
    assert json.loads(run_cli("config", "--format", "json").out)["stores"] == {
        "birds": str(data / "birds"),
        "store": str(data / "store"),
    }
    assert f"stores   birds, store in {data}" in run_cli("config").out.decode().splitlines()
    assert run_cli("list", "--store", "birds").out == os.fsencode(tmp_path / "a.wav") + b"\n"
    # A Python program means paths.
    with pytest.raises(pe_search.StoreError, match=f"There is no store at {tmp_path / 'birds'}"):
        pe_search.open("birds")


def test_index_makes_no_store_among_other_files(run_cli, library, data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_audio(Path("sounds/a.wav"), noise(0.2))
    args = ("index", "sounds", "--model", library.checkpoint)
    refusal = (
        "pe-search: sounds is a folder with other files. Write --store ./sounds to put the store there, or give the "
        "store another name.\n"
    )
    outcome = run_cli(*args, "--store", "sounds")
    assert (outcome.status, outcome.out, outcome.err) == (2, b"", refusal)
    with monkeypatch.context() as patch:
        patch.setenv("PE_SEARCH_STORE", "sounds")
        assert run_cli(*args).err == refusal
        # What another command suggests is not refused.
        todo = f"make it with `pe-search index PATH --store {tmp_path / 'sounds'}`."
        assert run_cli("status").err == f"pe-search: There is no store at {tmp_path / 'sounds'}; {todo}\n"
    assert [path.name for path in Path("sounds").iterdir()] == ["a.wav"]
    assert not data.exists()
    Path("empty").mkdir()
    for store in ("./sounds", "sounds", "empty"):
        assert run_cli(*args, "--store", store).status == 0


def test_a_command_for_the_usual_store_names_none_wherever_it_is_run(run_cli, data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").touch()
    monkeypatch.delenv("PE_SEARCH_STORE", raising=False)
    todo = "make it with `pe-search index PATH`."
    assert run_cli("status").err == f"pe-search: There is no store at {data / 'store'}; {todo}\n"
