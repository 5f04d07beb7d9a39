"""A wrong word is answered with the right one."""

from __future__ import annotations

import pytest

from pe_search.cli.app import COMMANDS
from pe_search.cli.input import wrong_words
from tests.cli.conftest import help_of

NAMES = [name for names in COMMANDS.values() for name in names]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("search", "query"),
        ("Find", "query"),
        ("serch", "query"),
        ("qeury", "query"),
        ("version", "--version"),
        ("rm", "remove"),
        ("dupes", "duplicates"),
    ],
)
def test_a_wrong_command(run_cli, word, meant):
    outcome = run_cli(word, "rain")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: No such command {word!r}. Did you mean {meant!r}?\n"


def test_a_word_that_is_near_nothing(run_cli):
    assert run_cli("xyzzy").err == "pe-search: No such command 'xyzzy'.\n"


@pytest.mark.parametrize(
    ("args", "wrong", "meant"),
    [
        (("query", "rain", "--limit", "3"), "--limit", "-k"),
        (("query", "rain", "-n", "3"), "-n", "-k"),
        (("query", "rain", "--json"), "--json", "--format jsonl"),
        (("query", "rain", "--mnus", "wind"), "--mnus", "--minus"),
        (("query", "rain", "--min-prob", "0.5"), "--min-prob", "--min-probability"),
        (("query", "rain", "--folder=a"), "--folder", "--under"),
        (("label", ".", "--threshold", "0.5"), "--threshold", "--min-probability"),
        (("list", "--duration", "2"), "--duration", "--length"),
        (("export", "x.npz", "--date=2024"), "--date", "--recorded"),
    ],
)
def test_a_wrong_option(run_cli, args, wrong, meant):
    outcome = run_cli(*args)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: No such option {wrong!r}. Did you mean {meant!r}?\n"


@pytest.mark.parametrize("wrong", ["--nope", "--xyz", "--verbose", "-x"])
def test_an_option_that_is_near_nothing(run_cli, wrong):
    assert run_cli("query", "rain", wrong).err == f"pe-search: No such option {wrong!r}.\n"


def test_an_option_of_another_command_is_not_offered(run_cli):
    assert run_cli("merge", "other", "-n", "3").err == "pe-search: No such option '-n'.\n"


def test_what_is_offered_exists():
    entries = [entry for name in NAMES for _, some in help_of(name).groups for entry in some]
    options = {word.rstrip(",") for entry in entries for word in entry.name.split() if word.startswith("-")}
    assert {meant.split()[0] for meant in wrong_words._OPTIONS.values()} <= options
    assert {*wrong_words._COMMANDS.values()} <= {*NAMES, "--version", "list"}
