"""What the arrow keys find, and what is left in the file for the next conversation."""

from __future__ import annotations

import readline
import sys
from pathlib import Path

import pytest

from pe_search.cli.input.history import History


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "new" / "folder" / "history"


@pytest.fixture(autouse=True)
def _no_lines_of_others() -> None:
    readline.clear_history()


def at_the_arrow_keys() -> list[str]:
    return [readline.get_history_item(number) for number in range(1, readline.get_current_history_length() + 1)]


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_lines_come_back_in_the_next_conversation(path):
    history = History(path)
    for line in ("rain", "雨", "rain", "rain", ":play 1"):
        history.add(line)
    kept = ["rain", "雨", "rain", ":play 1"]
    assert at_the_arrow_keys() == kept
    assert path.read_text(encoding="utf-8").splitlines() == kept
    readline.clear_history()
    again = History(path)
    assert at_the_arrow_keys() == kept
    again.add(":play 1")
    again.add("sea")
    assert at_the_arrow_keys() == [*kept, "sea"]


def test_only_the_user_may_read_them(path):
    History(path).add("rain")
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)
    path.chmod(0o644)
    History(path).add("sea")
    assert mode_of(path) == 0o600


def test_the_last_thousand_are_kept(path):
    path.parent.mkdir(parents=True)
    lines = [f"sound {number}" for number in range(1_500)]
    path.write_text("".join(f"{line}\n" for line in lines))
    History(path).add("rain")
    assert path.read_text().splitlines() == [*lines[501:], "rain"]
    assert mode_of(path) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_what_no_one_typed_is_left_out(path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rain\n\n\x1b[31mred\n" + b"x" * 1_001 + b"\nnot UTF-8 \xff\nsea\n")
    history = History(path)
    assert at_the_arrow_keys() == ["rain", "sea"]
    history.add("y" * 1_001)
    history.add("\udcff")
    assert at_the_arrow_keys() == ["rain", "sea"]


def test_what_two_conversations_add_is_kept(path):
    first, second = History(path), History(path)
    first.add("rain")
    second.add("sea")
    first.add("dog")
    assert path.read_text().splitlines() == ["rain", "sea", "dog"]


def test_libedit_keeps_lines_too(path, monkeypatch):
    monkeypatch.delattr(readline, "append_history_file")
    history = History(path)
    history.add("rain")
    history.add("sea")
    assert path.read_text().splitlines() == ["rain", "sea"]
    assert mode_of(path) == 0o600


def test_where_it_cannot_be_kept_it_lasts_as_long_as_the_conversation(path):
    path.parent.parent.mkdir(exist_ok=True)
    path.parent.write_text("a file where the folder should be")
    History(path).add("rain")
    assert at_the_arrow_keys() == ["rain"]


def test_without_readline_nothing_is_kept(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "readline", None)
    History(path).add("rain")
    assert not path.exists()
