"""Lines for people: nothing in them that a terminal would obey."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_search.cli.output.messages import printable, say, shown_path
from pe_search.errors import excerpt, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with ünïcode 雨 and [red]brackets[/red]", "plain, with ünïcode 雨 and [red]brackets[/red]"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x1b[31mred\x07\x7f", r"\x1b[31mred\x07\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\udcff\udc80", r"\xff\x80"),
        ("\ud800", r"\ud800"),
        ("\u202e\u2028", r"\u202e\u2028"),
        ("\U000e0001", r"\U000e0001"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown


@settings(deadline=None)
@given(st.text(st.characters(), max_size=50))
def test_printable_text_is_printable_and_encodable_and_stays_as_it_is(text):
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\n\x1b[31m", r"'a\n\x1b[31m'"),
        ("a" * 200, f"'{'a' * 200}'"),
        ("a" * 10_000 + "z", f"'{'a' * 147} … {'a' * 49}z'"),
        (None, "None"),
        (list(range(1_000)), f"{str(list(range(1_000)))[:147]} … {str(list(range(1_000)))[-50:]}"),
    ],
)
def test_a_quote_is_one_line_with_a_bound(value, shown):
    assert quoted(value) == shown


def test_what_a_text_ends_with_is_in_an_excerpt():
    assert excerpt("0123456789" * 10, 20) == "012345678901 … 56789"


def test_a_line_on_stderr_has_a_bound(capsys):
    say("pe-search: " + "x" * 100_000 + " end")
    line = capsys.readouterr().err
    assert len(line) == 5_001
    assert (line[:12], line[-5:]) == ("pe-search: x", " end\n")


LONG = "\x1b[31m" + "x" * 10_000


@pytest.mark.parametrize(
    "args",
    [
        ("query", "rain", "-k", LONG),
        ("query", "rain", "--words", f'"{LONG}'),
        ("query", "rain", "--length", LONG),
        ("query", "rain", "--fields", LONG),
        ("query", "rain", "--plus", f"0:{LONG}"),
        ("query", f"{LONG}.wav@1-2"),
        ("ask", LONG, "a.wav"),
        ("ask", "What?", "a.wav", "--language-model", LONG),
        ("ask", "What?", "a.wav", "--language-model", f"http://{LONG}"),
        ("models", "--fetch", LONG),
        ("index", ".", "--workers", LONG),
        ("index", ".", "--zone", LONG),
        ("tag", "add", LONG, "."),
        ("learn", f"@{LONG}"),
        ("forget", f"@{LONG}"),
        ("evaluate", "--data", "x.csv", "--prompt", LONG),
        ("locate", "rain", LONG),
        (LONG,),
        ("query", f"--{LONG}"),
    ],
    ids=lambda args: " ".join(args)[:30],
)
def test_long_and_odd_texts_come_back_short_and_clean(run_cli, tmp_path, monkeypatch, args):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli(*args, *(() if len(args) == 1 or args[0] == "models" else ("--store", tmp_path / "store")))
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err[:-1].isprintable()
    assert len(outcome.err) < 1_000


@settings(deadline=None)
@given(st.binary(max_size=50))
def test_any_file_name_can_be_shown(name):
    assert printable(name.decode(errors="surrogateescape")).isprintable()


def test_a_path_below_the_working_directory_is_shown_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "a" / "b\n.wav") == r"a/b\n.wav"
    assert shown_path(tmp_path.parent / "b.wav") == str(tmp_path.parent / "b.wav")
    assert shown_path(Path(f"{tmp_path}-2/b.wav")) == f"{tmp_path}-2/b.wav"


def test_a_path_is_shown_whole_when_the_working_directory_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert shown_path(tmp_path / "b.wav") == str(tmp_path / "b.wav")


def test_what_is_said_is_one_line_on_stderr(capsys):
    say("one\ntwo")
    assert capsys.readouterr() == ("", "one\\ntwo\n")


def test_nobody_listening_is_no_error(monkeypatch):
    class Deaf(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    monkeypatch.setattr(sys, "stderr", Deaf())
    say("anyone?")
