"""Lines for people: nothing in them that a terminal would obey."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_search.cli.output.messages import printable, say, shown_path


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
