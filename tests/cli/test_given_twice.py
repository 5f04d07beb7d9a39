"""An option that given twice where one counts is an error, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.conftest import commands

FILTERING = ("query", "list", "label", "count", "judge", "duplicates", "export")
REPEATABLE = {
    ("query", "--plus"),
    ("query", "--minus"),
    ("query", "--like"),
    ("query", "--unlike"),
    ("query", "--store"),
    ("evaluate", "--store"),
    ("evaluate", "--model"),
    ("locate", "--text"),
    ("locate", "--then"),
    ("locate", "--without"),
    ("serve", "--origin"),
    ("serve", "--store"),
    ("page", "--store"),
    ("learn", "--yes"),
    ("learn", "--no"),
    ("learn", "--unsure"),
    ("tune", "--new"),
    *((command, option) for command in FILTERING for option in ("--name", "--tag")),
    *((command, "--exclude") for command in ("index", "label", "locate", "describe", "transcribe")),
}


def options_with_a_value() -> Iterator[tuple[str, str]]:
    """Each by its first name, with its command."""
    for name, command in commands().items():
        for option in command.params:
            if option.param_type_name == "option" and not option.is_flag:
                yield name, option.opts[0]


OPTIONS = sorted(options_with_a_value())


def test_those_that_are_repeatable_are_among_them():
    assert set(OPTIONS) >= REPEATABLE


@pytest.mark.parametrize(("command", "option"), [one for one in OPTIONS if one not in REPEATABLE])
def test_an_option_given_twice(run_cli, command, option):
    outcome = run_cli(*command.split(), option, "1", option, "1")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {option}: given twice; give it once.\n"


def test_it_is_the_same_option_by_whatever_name_it_is_called(run_cli):
    outcome = run_cli("locate", "--model", "builtin", "--frame-model=builtin")
    assert outcome.status == 2
    assert outcome.err.endswith("given twice; give it once.\n")


@pytest.mark.parametrize(("command", "option"), sorted(REPEATABLE))
def test_one_of_which_several_count_may_be_given_twice(run_cli, command, option):
    assert "given twice" not in run_cli(command, option, "1", option, "1", "--no-such-option").err
    arguments = {"query": ["rain"], "serve": [], "tune": []}.get(command, ["no such file.wav"])
    assert "given twice" not in run_cli(command, option, "1", option, "1", *arguments).err


def test_a_flag_says_the_same_twice(run_cli, tmp_path):
    outcome = run_cli("query", "rain", "--exact", "--exact", "-0", "--null", "--store", tmp_path)
    assert outcome.err.startswith("pe-search: There is no store at ")
