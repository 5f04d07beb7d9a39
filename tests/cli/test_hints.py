"""What is said on a terminal beside what is found, and that a pipe is told none of it."""

from __future__ import annotations

import json
import os
import re

import pytest

from pe_search.cli.output import hints
from tests.cli.conftest import Outcome
from tests.made_up import noise, write_audio


def plain(shown: str) -> list[str]:
    """The lines of a terminal without colours and spaces around."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in shown.splitlines()]


@pytest.fixture
def query(run_cli_on_terminal, library):
    """Ask the store on a terminal; returns the lines."""

    def run(*args: object, status: int = 0) -> list[str]:
        return plain(run_cli_on_terminal("query", *args, "--store", library.store, status=status))

    return run


# How much more there is


def test_it_is_said_how_many_more_clips_there_are(query):
    assert query("rain", "-k", 3)[-1] == "3 of 14 shown; -k 14 or -k all for more"


def test_only_likely_hits_count_where_only_these_are_asked_for(query, library):
    probabilities = [1 / (1 + 2.718281828**-logit) for _, logit in library.ranking("rain")]
    least = (probabilities[4] + probabilities[5]) / 2
    assert query("rain", "-k", 3, "--min-probability", least)[-1] == "3 of 5 shown; -k 5 or -k all for more"


def test_windows_count_where_all_are_shown(query, library):
    windows = len(library.places)
    assert query("rain", "-k", 3, "--all-windows")[-1] == f"3 of {windows} shown; -k {windows} or -k all for more"


def test_clips_of_a_folder_count_where_only_that_is_searched(query, library):
    weather = library.sounds / "weather"
    assert query("rain", "-k", 1, "--under", weather)[-1] == "1 of 3 shown; -k 3 or -k all for more"


@pytest.mark.parametrize("k", [14, 15, "all"])
def test_nothing_is_said_where_all_is_shown(query, k):
    assert not any("shown" in line for line in query("rain", "-k", k))


def test_hits_of_a_large_store_are_not_counted(query, monkeypatch):
    monkeypatch.setattr(hints, "_MOST_WINDOWS_COUNTED", 1)
    assert query("rain", "-k", 3)[-1] == "3 shown; -k N or -k all for more"


def test_all_hits(run_cli, library):
    outcome = run_cli("query", "rain", "-k", "all", "--format", "jsonl", "--store", library.store)
    hits = [json.loads(line) for line in outcome.out.splitlines()]
    assert [os.fsencode(hit["path"]) for hit in hits] == [
        os.fsencode(place.path) for place, _ in library.ranking("rain")
    ]
    windows = run_cli("query", "rain", "-k", "all", "--all-windows", "--format", "jsonl", "--store", library.store)
    assert len(windows.out.splitlines()) == len(library.places)


def test_all_hits_of_a_store_in_lists(run_cli, library, one_list):
    outcome = run_cli("query", "rain", "-k", "all", "--store", library.store)
    assert outcome.out.count(b"\n") == 14 + 1  # a name with a newline in it


# Why there is nothing


def test_nothing_is_probable_enough(query, library):
    _, logit = library.ranking("rain")[0]
    shown = query("rain", "--min-probability", 1, status=1)
    probability = 1 / (1 + 2.718281828**-logit)
    assert shown[0].startswith(
        f"pe-search: rain: nothing found in 14 clips with --min-probability 1; the best has probability "
        f"{probability:.2f}: "
    )
    assert len(shown) == 1


def test_each_query_has_its_line(query):
    shown = query("rain", "church bell", "--min-probability", 1, status=1)
    assert [line.split(":")[1] for line in shown] == [" rain", " church bell"]


def test_nothing_stands_out(query):
    assert "14 clips with --fdr 0; the best has probability" in query("rain", "--fdr", 0, status=1)[0]


def test_the_store_has_no_clip_there(query, library, tmp_path):
    assert query("rain", "--under", tmp_path, status=1) == [
        f"pe-search: the store has no clips in {tmp_path}; `pe-search list --store {library.store}` shows all."
    ]


def test_a_pipe_is_told_nothing(run_cli, library, tmp_path):
    store = ("--store", library.store)
    assert run_cli("query", "rain", "dog", "-k", 1, *store).err == ""
    assert run_cli("query", "rain", "--min-probability", 1, *store) == Outcome(1, b"", "")
    assert run_cli("query", "rain", "--under", tmp_path, *store) == Outcome(1, b"", "")


def test_nothing_is_heard(run_cli_on_terminal, plain_checkpoint, tmp_path):
    clip = write_audio(tmp_path / "a.wav", noise(2))
    args = ("locate", "rain", clip, "--model", plain_checkpoint[0])
    (line,) = plain(run_cli_on_terminal(*args, "--threshold", 1, status=1))[-1:]
    assert re.fullmatch(
        rf".*pe-search: rain: not heard in 1 file; the best probability is 0\.\d\d at 0:0[012](\.\d)? in {clip}", line
    )
    (line,) = plain(run_cli_on_terminal(*args, "--threshold", 0, "--without", "rain", status=1))[-1:]
    assert "rain: all spans are dropped by --then, --without or --min-length; the best probability is 0." in line
    (line,) = plain(run_cli_on_terminal(*args, "--threshold", 0, "--min-length", "1:00", status=1))[-1:]
    assert "rain: all spans are dropped by --min-length; the best probability is 0." in line


def test_no_span_of_a_hit(query):
    assert query("rain", "--spans", "--format", "raven", "--threshold", 1, status=1)[-1] == (
        "pe-search: no span reaches the --threshold in any of the hits."
    )


def test_no_two_clips_sound_the_same(run_cli_on_terminal, run_cli, plain_checkpoint, tmp_path):
    samples = noise(1.0, 1)
    write_audio(tmp_path / "sounds" / "a.wav", samples)
    write_audio(tmp_path / "sounds" / "b.wav", samples * 0.9)
    store = ("--store", tmp_path / "store")
    assert run_cli("index", tmp_path / "sounds", "--model", plain_checkpoint[0], *store).status == 0
    args = ("duplicates", *store, "--threshold", 1)
    said = "pe-search: no two of 2 clips sound the same (--threshold 1); --threshold 0.9 finds 1 group"
    assert said in plain(run_cli_on_terminal(*args, status=1))
    assert run_cli(*args) == Outcome(1, b"", "")


def test_no_label_is_likely(run_cli_on_terminal, plain_checkpoint, tmp_path):
    clip = write_audio(tmp_path / "a.wav", noise(1.0))
    args = ("label", clip, "--labels", "rain,dog", "--model", plain_checkpoint[0], "--min-probability", 1)
    (line,) = plain(run_cli_on_terminal(*args, status=1))[-1:]
    assert re.search(
        rf"pe-search: no label has a probability of 1 or more; the best is (rain|dog) with 0\.\d\d in {clip}$", line
    )


# Several words


def test_words_without_quotes_are_several_queries(query):
    assert query("dog", "barking", "-k", 1)[0] == (
        '2 queries: dog; barking. Quote a phrase: pe-search query "dog barking"'
    )


@pytest.mark.parametrize("args", [("rain", "church bell"), ("dog", "barking", "--any"), ("rain",)], ids=str)
def test_whoever_quotes_is_not_told_to(query, args):
    assert not any("Quote a phrase" in line for line in query(*args, "-k", 1))


# Which probability is whose


def test_an_unlikely_hit_is_dimmed(run_cli_on_terminal, library):
    shown = run_cli_on_terminal("query", "rain", "-k", "all", "--store", library.store)
    is_dim = [dim == "2;" for dim in re.findall(r"\x1b\[(2;)?32m *[01]\.\d\d", shown)]
    assert is_dim == [logit < 0 for _, logit in library.ranking("rain")]
    assert len(set(is_dim)) == 2


def test_a_span_is_called_one(query):
    rows = [line.split() for line in query("rain", "--spans", "-k", 1, "--threshold", 0)]
    assert ["#", "prob.", "score", "time", "clip"] in rows
    assert any(row[-1:] == ["span"] for row in rows)


# Texts that the model can't make sense of


def test_a_word_that_the_builtin_was_not_taught(run_cli, tmp_path):
    clip = write_audio(tmp_path / "a.wav", noise(0.2))
    outcome = run_cli("locate", "-t", "xyzzy", "-t", "dog", clip, "--model", "builtin", "--threshold", 1)
    said = 'The built-in checkpoint was not taught any word of "xyzzy"; the scores mean nothing.\n'
    assert outcome == Outcome(1, b"", said)


def test_nothing_is_known_of_what_others_were_taught(query):
    assert not any("not taught" in line for line in query("xyzzy", "-k", 1))


@pytest.mark.parametrize(
    ("text", "word", "rest"),
    [("not a dog", "not", "a dog"), ("rain without thunder", "without", "thunder"), ("No music", "no", "music")],
)
def test_a_negation(query, text, word, rest):
    assert query(text, "-k", 1)[0] == f'"{text}": models do not understand "{word}"; use --minus "{rest}".'


@pytest.mark.parametrize("text", ["knot in a rope", "oh no", "nothing"])
def test_what_is_no_negation(query, text):
    assert not any("do not understand" in line for line in query(text, "-k", 1))
