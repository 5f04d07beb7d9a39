"""`pe-search query --explain` and `--fdr`."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from pe_search.search.significance import unrelated_texts
from pe_search.store.manifest import read_manifest
from tests.made_up import noise, write_audio


@pytest.fixture
def store(library, tmp_path) -> Path:
    """A copy of the library's store that remembers nothing yet."""
    copy = shutil.copytree(library.store, tmp_path / "copy")
    (copy / "texts.sqlite3").unlink(missing_ok=True)
    return copy


@pytest.fixture
def explained(run_cli, store):
    """What a query says on stderr, without the line about the checkpoint, which is checked here."""

    def run(*args: object, status: int = 0) -> list[str]:
        outcome = run_cli("query", *args, "--explain", "--store", store)
        assert outcome.status == status
        manifest = read_manifest(store)
        checkpoint, *lines = outcome.err.splitlines()
        assert checkpoint == f"checkpoint: {manifest.model}, revision {manifest.revision}"
        return lines

    return run


def test_what_embedded_the_texts(explained, empty_cache):
    rain = "rain: 20 of 20 windows searched, exactly; the best 10 clips, 10 shown"
    assert explained("rain") == ["texts: 1 embedded by the compiled text tower on cpu", rain]
    assert explained("rain") == ["texts: 1 remembered", rain]
    shutil.rmtree(empty_cache)
    empty_cache.write_text("")
    assert explained("rain", "sea", "-k", 1) == [
        "texts: 1 remembered, 1 embedded by torch on cpu in float32",
        "rain: 20 of 20 windows searched, exactly; the best 1 clip, 1 shown",
        "sea: 20 of 20 windows searched, exactly; the best 1 clip, 1 shown",
    ]


def test_what_embedded_audio(explained, library, tmp_path):
    held = library.sounds / "dogs/bark.wav"
    searched = "20 of 20 windows searched, exactly; the best 1 clip, 1 shown"
    assert explained("--like", held, "-k", 1) == ["audio: its embeddings are in the store", f"like {held}: {searched}"]
    other = write_audio(tmp_path / "other.wav", noise(2.0, 77))
    assert explained("--like", other, "-k", 1) == [
        "audio: 3 windows embedded on cpu in float32",
        f"like {other}: {searched}",
    ]


def test_what_was_left_out_by_which_option(explained, library):
    explained("rain")
    weather = library.sounds / "weather"
    assert explained("rain", "--under", weather, "--min-probability", 1, "--all-windows", status=1) == [
        "texts: 1 remembered",
        "rain: 9 of 9 windows searched, exactly; the best 9 windows, 0 probable enough (--min-probability 1), 0 shown",
        f"not searched: 11 windows of clips outside --under {weather}",
    ]
    assert explained("rain", "--fdr", 0, status=1) == [
        "texts: 1 remembered, 128 embedded by the compiled text tower on cpu",
        "rain: 20 of 20 windows searched, exactly; the best 10 clips, 0 of them stand out (--fdr 0), 0 shown",
    ]


def test_that_some_windows_were_passed_over(explained, run_cli, store, library, one_list):
    assert run_cli("rebuild", "--store", store).status == 0
    (_, line) = explained("rain", "-k", 1)
    found = line.removeprefix("rain: ").removesuffix("; the best 1 clip, 1 shown")
    searched, rest = found.split(" of ")
    assert 0 < int(searched) < 20
    assert rest == "20 windows searched, the most likely (--exact searches all)"
    assert "20 of 20 windows searched, exactly" in explained("rain", "-k", 1, "--exact")[1]
    like = library.sounds / "dogs/bark.wav"
    assert "20 of 20 windows searched, exactly" in explained("--like", like, "-k", 1)[1]


def test_what_the_store_has_not(explained, run_cli, store, library, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    assert run_cli("index", tmp_path / "broken.wav", "--store", store).status == 2
    assert explained("rain")[-1] == (
        f"not searched: 1 clip that index left out; see `pe-search status --problems --store {store}`"
    )


def test_control_characters_of_a_query_are_escaped(explained):
    assert explained("a\x1b[31m")[1].startswith("a\\x1b[31m: 20 of 20")


def test_the_store_remembers_the_unrelated_texts(run_cli, store):
    assert run_cli("query", "rain", "--fdr", "0.05", "--store", store).status in (0, 1)
    with sqlite3.connect(store / "texts.sqlite3") as db:
        assert {text for (text,) in db.execute("SELECT text FROM texts")} == {"rain", *unrelated_texts()}


def test_a_larger_share_shows_more_of_the_same_hits(run_cli, store):
    args = ("query", "rain", "-k", 100, "--all-windows", "--format", "jsonl", "--store", store)
    assert run_cli(*args, "--fdr", 0).status == 1
    assert run_cli(*args, "--fdr", 0).out == b""
    strict, loose, everything = (run_cli(*args, *fdr).out.splitlines() for fdr in (["--fdr", 0.3], ["--fdr", 1], []))
    assert loose == everything[: len(loose)]
    assert strict == loose[: len(strict)]
    assert len(loose) > len(strict)
