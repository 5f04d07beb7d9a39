"""`pe-search query`: what is ranked how, and how it is printed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from pe_search.pe_audio import compile as compile_module
from pe_search.pe_audio import embedder as embedder_module
from pe_search.pe_audio.towers import load_tower
from tests.cli.conftest import ODD_NAMES, TEXTS, Place
from tests.made_up import edit_config, make_checkpoint, noise, write_audio

KEYS = ["query", "rank", "path", "start_s", "end_s", "score", "probability"]


@pytest.fixture
def ask(run_cli, library):
    """Run a query against the library; a failure to do as expected shows stderr."""

    def run(*args: object, status: int = 0) -> bytes:
        outcome = run_cli("query", "--store", library.store, *args)
        assert (outcome.status, outcome.err) == (status, "")
        return outcome.out

    return run


def hits_of(jsonl: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in jsonl.splitlines()]


def places_of(hits: list[dict[str, object]]) -> list[Place]:
    return [Place(Path(hit["path"]), hit["start_s"], hit["end_s"]) for hit in hits]


def paths_of(lines: bytes, end: bytes = b"\0") -> list[Path]:
    assert lines.endswith(end)
    return [Path(os.fsdecode(name)) for name in lines.split(end)[:-1]]


def sigmoid(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("all_windows", [False, True])
def test_the_ranking_scores_and_probabilities_are_those_of_the_full_logits_matrix(ask, library, text, all_windows):
    expected = library.ranking(text, all_windows=all_windows)
    logits = [logit for _, logit in expected]
    assert np.diff(logits).max() < -1e-3, "too close for the order to be certain"

    hits = hits_of(ask(text, "-k", 1000, "--format", "jsonl", *(["--all-windows"] if all_windows else [])))

    assert places_of(hits) == [place for place, _ in expected]
    assert [hit["rank"] for hit in hits] == list(range(1, len(expected) + 1))
    scores = np.array([hit["score"] for hit in hits])
    # The store keeps embeddings as float16.
    found = scores * library.scale + library.bias
    np.testing.assert_allclose(found, logits, atol=3e-3)
    np.testing.assert_allclose([hit["probability"] for hit in hits], [sigmoid(logit) for logit in found], atol=1e-9)


def test_the_texts_are_ranked_differently(library):
    assert len({tuple(place for place, _ in library.ranking(text)) for text in TEXTS}) == len(TEXTS)


def test_the_probability_is_the_sigmoid_of_the_scaled_and_shifted_score(ask, library):
    for hit in hits_of(ask("rain", "--format", "jsonl")):
        assert hit["probability"] == pytest.approx(sigmoid(hit["score"] * library.scale + library.bias), abs=1e-7)


@pytest.fixture
def no_text_is_remembered(library) -> None:
    """Texts are remembered from one test to the next, because the library's store is the same."""
    (library.store / "texts.sqlite3").unlink(missing_ok=True)


@pytest.fixture
def loaded_towers(monkeypatch) -> list[str]:
    """The kinds of towers that torch loads, as they are loaded."""
    loaded = []

    def recording(kind, *args):
        loaded.append(kind.__name__)
        return load_tower(kind, *args)

    for module in (embedder_module, compile_module):
        monkeypatch.setattr(module, "load_tower", recording)
    return loaded


@pytest.mark.usefixtures("no_text_is_remembered", "empty_cache")
def test_only_the_first_new_text_loads_a_tower_and_that_is_the_text_tower(ask, loaded_towers):
    ask("rain")
    assert loaded_towers == ["TextTower"]
    ask("church bell")
    assert loaded_towers == ["TextTower"]


@pytest.mark.usefixtures("no_text_is_remembered")
def test_a_store_whose_index_run_was_here_needs_no_tower_of_torch(ask, loaded_towers):
    ask("rain")
    assert loaded_towers == []


@pytest.mark.usefixtures("no_text_is_remembered", "empty_cache")
def test_ctrl_c_is_exit_status_130_and_no_word(ask, monkeypatch):
    monkeypatch.setattr(compile_module, "load_tower", lambda *_: signal.raise_signal(signal.SIGINT))
    assert ask("rain", status=130) == b""


def test_json_means_jsonl(ask):
    assert ask("rain", "--format", "json") == ask("rain", "--format", "jsonl")


def scores_of(jsonl: bytes) -> list[float]:
    return [hit["score"] for hit in hits_of(jsonl)]


@pytest.mark.usefixtures("no_text_is_remembered")
def test_the_same_hits_come_from_torch_from_a_compiled_tower_and_from_memory(ask, library, empty_cache):
    args = (*TEXTS, "unknown words", "-k", 100, "--all-windows", "--format", "jsonl")
    # A file where the cache's directory should be: nothing can be compiled, so that torch is left.
    empty_cache.write_text("")
    by_torch = ask(*args)
    (library.store / "texts.sqlite3").unlink()
    empty_cache.unlink()
    by_compiled = ask(*args)
    remembered = ask(*args)

    assert remembered == by_compiled
    assert places_of(hits_of(by_compiled)) == places_of(hits_of(by_torch))
    np.testing.assert_allclose(scores_of(by_compiled), scores_of(by_torch), atol=1e-4)
    assert len(hits_of(by_torch)) == 4 * len(library.places)


@pytest.mark.usefixtures("no_text_is_remembered")
def test_a_text_is_the_same_bit_for_bit_whatever_is_asked_with_it(ask, library):
    alone = ask("a dog barking", "--format", "jsonl")
    (library.store / "texts.sqlite3").unlink()
    together = ask("rain", "a dog barking", "the sound of a church bell in the sea", "--format", "jsonl")
    assert alone in together


@pytest.mark.usefixtures("no_text_is_remembered")
@pytest.mark.parametrize("file", ["texts.sqlite3", "texts.sqlite3-journal"])
def test_a_store_that_can_remember_nothing_is_searched_all_the_same(ask, library, file):
    expected = ask("rain")
    (library.store / "texts.sqlite3").unlink()
    # A directory in its place can't be written to, not even by a superuser.
    (library.store / file).mkdir()
    try:
        assert ask("rain") == expected
        assert ask("rain") == expected
    finally:
        (library.store / file).rmdir()


def test_a_compiled_tower_answers_when_the_checkpoint_has_changed_or_is_gone(run_cli, tmp_path):
    """The store's embeddings and the compiled tower are both of the revision that the store was made with."""
    make_checkpoint(tmp_path / "checkpoint")
    write_audio(tmp_path / "a.wav", noise(0.2))
    store = ("--store", tmp_path / "store")
    assert run_cli("index", tmp_path / "a.wav", "--model", tmp_path / "checkpoint", *store).status == 0
    expected = run_cli("query", "rain", "--format", "jsonl", *store)
    assert expected.status == 0

    edit_config(tmp_path / "checkpoint", comment="another")
    (tmp_path / "store" / "texts.sqlite3").unlink()
    assert run_cli("query", "rain", "--format", "jsonl", *store) == expected
    shutil.rmtree(tmp_path / "checkpoint")
    (tmp_path / "store" / "texts.sqlite3").unlink()
    assert run_cli("query", "rain", "--format", "jsonl", *store) == expected


@pytest.mark.parametrize("k", [1, 3, 14, 15, 10**12])
def test_k_is_the_most_there_will_be(ask, library, k):
    expected = [place.path for place, _ in library.ranking("rain")]
    assert len(expected) == 14
    assert paths_of(ask("rain", "-0", "-k", k)) == expected[:k]


def test_exact_goes_through_every_window_of_a_store_that_is_cut_into_lists(run_cli, library, tmp_path, one_list):
    store = shutil.copytree(library.store, tmp_path / "copy")
    assert run_cli("rebuild", "--store", store).status == 0
    windows = len(library.places)
    for text in TEXTS:
        best, _ = library.ranking(text)[0]
        asked = ("query", text, "-0", "-k", 1, "--explain", "--store", store)
        exactly = run_cli(*asked, "--exact")
        assert paths_of(exactly.out) == [best.path]
        assert f"{windows} of {windows} windows searched, exactly; " in exactly.err
        searched = re.search(rf"(\d+) of {windows} windows searched, the most likely ", run_cli(*asked).err)
        assert 0 < int(searched[1]) < windows


def test_ten_hits_unless_told(ask, library):
    assert paths_of(ask("rain", "-0")) == [place.path for place, _ in library.ranking("rain")][:10]


def test_each_text_is_a_query_of_its_own_in_the_order_given(ask, library):
    hits = hits_of(ask("church bell", "rain", "church bell", "-k", 2, "--format", "jsonl"))
    assert [(hit["query"], hit["rank"]) for hit in hits] == [
        ("church bell", 1),
        ("church bell", 2),
        ("rain", 1),
        ("rain", 2),
        ("church bell", 1),
        ("church bell", 2),
    ]
    assert places_of(hits)[2:4] == [place for place, _ in library.ranking("rain")][:2]
    assert hits[:2] == hits[4:]


def test_a_text_may_begin_with_a_dash_after_two(ask):
    hits = hits_of(ask("-k", 1, "--format", "jsonl", "--", "-k", "--help"))
    assert [hit["query"] for hit in hits] == ["-k", "--help"]


@pytest.mark.parametrize("ending", ["", "/", "/.", "/../dogs"])
def test_under_a_folder_are_the_clips_below_it_and_no_namesakes(ask, library, ending):
    assert set(paths_of(ask("rain", "-0", "--under", f"{library.sounds}/dogs{ending}"))) == {
        library.sounds / "dogs/bark.wav",
        library.sounds / "dogs/growl.wav",
    }


def test_under_a_clip_is_that_clip(ask, library):
    storm = library.sounds / "weather/storm.wav"
    hits = hits_of(ask("rain", "--under", storm, "--all-windows", "--format", "jsonl"))
    assert places_of(hits) == [place for place, _ in library.ranking("rain", all_windows=True) if place.path == storm]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]


def test_under_counts_from_the_working_directory(ask, library, monkeypatch):
    monkeypatch.chdir(library.sounds / "dogs")
    assert paths_of(ask("rain", "-0", "--under", "../dogs2")) == [library.sounds / "dogs2/howl.wav"]
    assert len(paths_of(ask("rain", "-0", "--under", "."))) == 2


def test_under_what_the_store_does_not_hold_is_nothing(ask, library):
    assert ask("rain", "--under", library.sounds / "cats", status=1) == b""
    assert ask("rain", "--under", "~no such user/sounds", status=1) == b""


def test_a_hit_below_the_least_probability_is_left_out(ask, library):
    ranking = library.ranking("church bell")
    threshold = sigmoid((ranking[4][1] + ranking[5][1]) / 2)
    paths = paths_of(ask("church bell", "-0", "-k", 100, "--min-probability", threshold))
    assert paths == [place.path for place, _ in ranking[:5]]


def test_nothing_probable_enough_is_exit_status_1_and_no_word(ask):
    assert ask("rain", "--min-probability", 1, status=1) == b""


def test_one_query_with_a_hit_is_enough_for_exit_status_0(ask, library):
    best = {text: library.ranking(text)[0][1] for text in TEXTS}
    found, *others = sorted(TEXTS, key=best.get, reverse=True)
    threshold = sigmoid((best[found] + best[others[0]]) / 2)
    hits = hits_of(ask(*TEXTS, "--min-probability", threshold, "--format", "jsonl"))
    assert {hit["query"] for hit in hits} == {found}


def test_no_hit_as_csv_is_the_header_alone(ask):
    out = ask("rain", "--min-probability", 1, "--format", "csv", status=1)
    assert out == b"query,rank,path,start_s,end_s,score,probability\n"


def test_paths_are_the_default_in_a_pipe(ask, library):
    name = b"dogs2/howl.wav"
    assert ask("rain", "--under", library.sounds / "dogs2") == bytes(library.sounds) + b"/" + name + b"\n"
    assert ask("rain") == ask("rain", "--format", "paths")


def test_a_jsonl_hit_has_exactly_these_keys_in_this_order(ask, library):
    lines = ask("rain", "-k", 3, "--format", "jsonl").splitlines()
    assert [list(json.loads(line)) for line in lines] == [KEYS] * 3
    for hit in map(json.loads, lines):
        types = [type(hit[key]) for key in KEYS]
        assert types == [str, int, str, float, float, float, float]
        assert os.path.isabs(hit["path"])


def test_csv_has_a_header_and_says_the_same_as_jsonl(ask):
    args = ("rain", "church bell", "-k", 100, "--all-windows")
    rows = list(csv.DictReader(io.StringIO(ask(*args, "--format", "csv").decode(errors="surrogateescape"), newline="")))
    assert list(rows[0]) == KEYS
    hits = hits_of(ask(*args, "--format", "jsonl"))
    assert rows == [{key: str(value) for key, value in hit.items()} for hit in hits]


def test_a_comma_or_a_quote_in_a_query_is_quoted_in_csv(ask):
    query = 'a "dog", barking\nloudly'
    out = ask(query, "-k", 1, "--format", "csv")
    assert out.splitlines()[1].startswith(b'"a ""dog"", barking')
    (row,) = csv.DictReader(io.StringIO(out.decode(), newline=""))
    assert row["query"] == query


def odd_paths(library) -> set[bytes]:
    return {bytes(library.sounds) + b"/odd/" + name for name in ODD_NAMES}


def test_any_name_survives_nul_bytes(ask, library):
    out = ask("rain", "-0", "--under", library.sounds / "odd")
    assert out.endswith(b"\0")
    assert sorted(out[:-1].split(b"\0")) == sorted(odd_paths(library))
    assert ask("rain", "--null", "--format", "paths", "--under", library.sounds / "odd") == out


def test_any_name_but_one_with_a_newline_survives_paths(ask, library):
    out = ask("rain", "--format", "paths", "--under", library.sounds / "odd")
    whole = {path for path in odd_paths(library) if b"\n" not in path}
    assert len(whole) == len(ODD_NAMES) - 1
    assert whole < set(out.split(b"\n"))


def test_any_name_survives_jsonl_on_one_ascii_line(ask, library):
    out = ask("rain", "--format", "jsonl", "--under", library.sounds / "odd")
    assert out.isascii()
    assert len(out.splitlines()) == len(ODD_NAMES)
    assert not set(out) & set(b"\x1b\t\r\0")
    assert {os.fsencode(hit["path"]) for hit in hits_of(out)} == odd_paths(library)


def test_any_name_survives_csv(ask, library):
    out = ask("rain", "--format", "csv", "--under", library.sounds / "odd")
    rows = list(csv.DictReader(io.StringIO(out.decode(errors="surrogateescape"), newline="")))
    assert {os.fsencode(row["path"]) for row in rows} == odd_paths(library)


def test_a_table_in_a_pipe_has_no_colour_and_nothing_that_a_terminal_obeys(ask, library, monkeypatch):
    monkeypatch.chdir(library.sounds / "odd")
    lines = ask("rain", "--format", "table", "--under", ".").decode().splitlines()
    assert "\x1b" not in "".join(lines)
    assert lines[0].split() == ["rain"]
    assert lines[1].split() == ["#", "prob.", "score", "time", "clip"]
    shown = {line.split("0:00–0:01.3  ")[1].rstrip() for line in lines[2:]}
    assert shown == {
        "two words.wav",
        r"new\nline.wav",
        r"tab\t, " + '"quotes".wav',
        "-rf.wav",
        "[red]x[/red].wav",
        r"\x1b[31mred.wav",
        r"not utf-8 \xff\xe9.wav",
        "ünïcode 雨.wav",
    }


def test_a_terminal_gets_a_table_in_colour_with_names_as_they_are(run_cli_on_terminal, library, monkeypatch):
    monkeypatch.chdir(library.sounds)
    shown = run_cli_on_terminal("query", "rain", "--under", "odd", "--store", library.store)
    assert "odd/[red]x[/red].wav" in shown
    assert r"odd/\x1b[31mred.wav" in shown
    assert "\x1b[32m" in shown, "probabilities are green"
    assert "\x1b[31m" not in shown, "neither a name nor markup in a name makes anything red"


def test_no_color_is_respected(run_cli_on_terminal, library, monkeypatch):
    monkeypatch.chdir(library.sounds)
    monkeypatch.setenv("NO_COLOR", "1")
    shown = run_cli_on_terminal("query", "rain", "--store", library.store)
    assert "weather/wind.wav" in shown
    assert "\x1b[3" not in shown


def test_a_real_terminal_shows_a_table_to_the_real_command(terminal, library, monkeypatch):
    monkeypatch.chdir(library.sounds)
    started = terminal([sys.executable, "-m", "pe_search", "query", "rain", "-k", "3", "--store", str(library.store)])
    status, shown = started.finish()
    assert status == 0
    assert "prob." in shown
    assert "weather/wind.wav" in shown
    assert "weather/storm.wav" not in shown


@pytest.mark.parametrize("args", [["-0"], ["--format", "jsonl"]])
def test_a_terminal_gets_what_was_asked_for(run_cli_on_terminal, library, args):
    shown = run_cli_on_terminal("query", "rain", "-k", 1, "--store", library.store, *args)
    assert "prob." not in shown
    assert shown.startswith("{" if "jsonl" in args else "/")


def test_the_stores_own_checkpoint_may_be_named_in_any_way(ask, library, monkeypatch):
    monkeypatch.chdir(library.checkpoint.parent)
    expected = ask("rain")
    assert ask("rain", "--model", library.checkpoint) == expected
    assert ask("rain", "--model", library.checkpoint.name) == expected


def test_the_default_checkpoint_for_new_stores_is_none_of_a_querys_business(ask, monkeypatch):
    expected = ask("rain")
    monkeypatch.setenv("PE_SEARCH_MODEL", "small")
    assert ask("rain") == expected


def test_the_store_may_come_from_the_environment_or_be_the_default(run_cli, library, tmp_path, monkeypatch):
    expected = run_cli("query", "rain", "--store", library.store)
    monkeypatch.setenv("PE_SEARCH_STORE", str(library.store))
    assert run_cli("query", "rain") == expected
    monkeypatch.delenv("PE_SEARCH_STORE")
    default = tmp_path / "data-home" / "pe-search"
    default.mkdir(parents=True)
    (default / "store").symlink_to(library.store)
    assert run_cli("query", "rain") == expected
    monkeypatch.setenv("PE_SEARCH_STORE", "/nowhere")
    assert run_cli("query", "rain", "--store", library.store) == expected
