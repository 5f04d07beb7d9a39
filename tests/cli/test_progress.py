"""The bar on stderr: what it shows, in any width, and what counts for the time that is left."""

from __future__ import annotations

import io
import re
import sys

import pytest

from pe_search.cli.output import progress as progress_module
from pe_search.cli.output.messages import shown_share
from pe_search.cli.output.progress import ProgressBar
from pe_search.reports import Progress


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())
        return [line.strip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.fixture
def screen(monkeypatch):
    """A terminal in the place of stderr, once a test asks for a bar: pytest has its own there before."""
    screen = Screen()
    monkeypatch.setenv("COLUMNS", "100")

    def begin(doing: str) -> ProgressBar:
        monkeypatch.setattr(sys, "stderr", screen)
        return ProgressBar(doing)

    screen.begin = begin
    return screen


@pytest.fixture
def now(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


def shown(screen, bar: ProgressBar, progress: Progress) -> str:
    bar.show(progress)
    bar.hide()
    return screen.lines()[-1]


def test_it_shows_clips_audio_speed_and_what_is_left(screen, now):
    bar = screen.begin("embedding")
    now[0] = 120.0
    line = shown(screen, bar, Progress(25, 100, 7_200.0, clips_done=3, clips=12))
    assert re.fullmatch(r"embedding [━╸╺]+ +25% 3/12 clips 2:00:00 of audio  360\.0 h/h 1:00 left", line)


def test_what_an_earlier_run_kept_is_done_and_counts_for_no_speed(screen, now):
    bar = screen.begin("embedding")
    now[0] = 110.0
    line = shown(screen, bar, Progress(60, 100, 36.0, bytes_skipped=50, clips_done=0, clips=1))
    assert re.fullmatch(r"embedding [━╸╺]+ +60% 0/1 clip 0:36 of audio  3\.6 h/h 0:40 left", line)


def test_while_the_model_is_loaded_it_says_so_and_that_time_counts_for_nothing(screen, now):
    bar = screen.begin("embedding")
    bar.show(Progress(0, 100, 0.0, clips=2))
    with bar.loading("a checkpoint"):
        now[0] = 109.0
    now[0] = 110.0
    line = shown(screen, bar, Progress(50, 100, 3.0, clips_done=1, clips=2))
    assert any(line.startswith("loading the model ") for line in screen.lines())
    assert re.fullmatch(r"embedding [━╸╺]+ +50% 1/2 clips 0:03 of audio  3\.0 h/h 0:01 left", line)


def test_a_text_tower_is_there_at_once(screen):
    with screen.begin("searching").loading(None):
        pass
    assert screen.getvalue() == ""


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_breaks_no_line(screen, now, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    bar = screen.begin("embedding")
    now[0] = 110.0
    line = shown(screen, bar, Progress(50, 100, 360_000.0, clips_done=1_234, clips=12_345))
    assert len(line) <= columns
    assert line.startswith("embedding ")
    assert line.endswith(
        " 50% 1,234/12,345 clips 100:00:00 of audio  36,000.0 h/h 0:10 left" if columns == 80 else " 50% 0:10 left"
    )


def test_no_terminal_no_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar("embedding") as bar, bar.loading("a checkpoint"):
        bar.show(Progress(50, 100, 1.0))
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("share", "said"), [(0, "0 %"), (0.001, "1 %"), (0.14, "14 %"), (0.999, "99 %"), (1, "100 %")])
def test_a_share_in_words(share, said):
    assert shown_share(share) == said
