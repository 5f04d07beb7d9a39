"""Help: in groups, at 80 columns, from one function that the documentation uses too."""

from __future__ import annotations

import re

import pytest

from pe_search.cli.app import COMMANDS
from pe_search.cli.help import GROUPS, CommandHelp, Entry, docstring_parts, help_text
from tests.cli.conftest import commands, help_of

NAMES = list(commands())


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_a_summary_examples_and_known_groups(name):
    shown = help_of(name)
    assert shown.summary.endswith(".")
    assert 2 <= len(shown.examples) <= 4
    assert all("pe-search " in example or example.startswith("curl ") for example in shown.examples)
    assert [group for group, _ in shown.groups] == [group for group in GROUPS if group in dict(shown.groups)]
    assert all(entry.text.endswith(".") for _, entries in shown.groups for entry in entries)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_option_is_in_the_same_group_everywhere(name):
    group_of = {"--store": "Store", "--format": "Show", "-0, --null": "Show", "--exclude": "Files", "--device": "Model"}
    for group, entries in help_of(name).groups:
        for entry in entries:
            assert group_of.get(entry.name.split(" ")[0], group) == group


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_80_columns(run_cli, name):
    outcome = run_cli(*name.split(), "--help")
    assert max(map(len, outcome.out.decode().splitlines())) <= 80
    assert outcome == run_cli(*name.split(), "-h") == run_cli("help", *name.split())


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_option(run_cli, name):
    params = commands()[name].params
    options = {", ".join(sorted(option.opts, key=len)) for option in params if option.opts[0][0] == "-"}
    shown = re.findall(r"^  (-[\w-]+(?:, -[\w-]+)*)", run_cli(*name.split(), "--help").out.decode(), re.MULTILINE)
    assert sorted(shown) == sorted(options)


def test_help_of_query_fits_three_screens(run_cli):
    assert len(run_cli("query", "--help").out.splitlines()) <= 72


def test_help_alone_is_that_of_the_program(run_cli):
    outcome = run_cli("help")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome == run_cli("--help") == run_cli("help", "--help")
    assert re.findall(r"^(\w[\w ]*):$", outcome.out.decode(), re.MULTILINE) == ["Options", *COMMANDS]


def test_help_of_a_wrong_word(run_cli):
    outcome = run_cli("help", "search")
    assert (outcome.status, outcome.err) == (2, "pe-search: No such command 'search'. Did you mean 'query'?\n")


def test_parts_of_a_docstring():
    text = "Do it\n    well.\n\n    \b\n        pe-search x\n        pe-search y\n\n    More\n    of it.\n\n    Last.\n"
    assert docstring_parts(text) == (
        "Do it well.",
        ("pe-search x", "pe-search y"),
        ("More of it.", "Last."),
    )


def test_the_text_of_help(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    shown = CommandHelp(
        "pe-search dance [OPTIONS]",
        "Dance.",
        ("pe-search dance",),
        ("Exit status: 0 danced.",),
        (
            ("Ask", (Entry("--how HOW", "How to dance, in one word.", "well"), Entry("-q", "Dance in silence.", ""))),
            ("Store", (Entry("--an-option-that-is-very-long X", "Nothing.", ""),)),
        ),
    )
    assert help_text(shown) == (
        "Usage: pe-search dance [OPTIONS]\n"
        "\n"
        "Dance.\n"
        "\n"
        "  pe-search dance\n"
        "\n"
        "Exit status: 0 danced.\n"
        "\n"
        "Ask:\n"
        "  --how HOW  How to dance, in one word.\n"
        "             [default: well]\n"
        "  -q         Dance in silence.\n"
        "Store:\n"
        "  --an-option-that-is-very-long X\n"
        "             Nothing."
    )


def test_an_option_has_its_default_in_words():
    entries = {entry.name: entry for _, some in help_of("query").groups for entry in some}
    assert entries["--threshold P"].default == "0.3"
    assert entries["--min-probability P"].default == "0"
    assert entries["--spans"].default == ""
    assert entries["--plus [W:]TEXT..."].text.startswith("Add TEXT")


@pytest.mark.parametrize("command", sorted(NAMES))
def test_a_usage_line_has_brackets_around_what_may_be_left_out_and_nothing_else(run_cli, command):
    usage = run_cli(*command.split(), "--help").out.decode().splitlines()[0]
    assert re.fullmatch(
        rf"Usage: pe-search {command} \[OPTIONS\]( \[[A-Z_]+(\.\.\.)?( [A-Z_]+(\.\.\.)?)*\]| [A-Z_]+(\.\.\.)?)*", usage
    )
    assert ("PATH..." in usage) is (
        command.split()[0] in ("index", "label", "describe", "transcribe", "remove", "tag") and command != "tag"
    )
