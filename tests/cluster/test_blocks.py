"""Blocks of clips, and what a run and its workers tell each other."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from pe_search.cluster.blocks import Board, in_blocks
from pe_search.cluster.choosing import check_workers
from pe_search.records import Clip
from pe_search.reports import Progress


def clip(name: str, size_bytes: int) -> Clip:
    return Clip(Path("/s", name), size_bytes, 0)


def test_blocks_are_small_in_bytes_and_in_clips_and_keep_the_order():
    large, small = 65 << 20, 1 << 20
    clips = [clip("a", large), *(clip(f"b{number}", small) for number in range(200)), clip("c", large)]
    blocks = in_blocks(clips, 1)
    assert [one for block in blocks for one in block] == clips
    assert [len(block) for block in blocks] == [1, 51, 51, 51, 47, 1]


def test_many_clips_make_no_more_blocks_than_ray_can_hold():
    blocks = in_blocks([clip(str(number), 1) for number in range(1_000_000)], 8)
    assert len(blocks) == 10_000
    assert {len(block) for block in blocks} == {100}


@pytest.mark.parametrize(("count", "workers", "lengths"), [(240, 1, {61, 57}), (240, 2, {32, 16}), (96, 500, {32})])
def test_few_clips_make_smaller_blocks_so_that_workers_end_together(count, workers, lengths):
    blocks = in_blocks([clip(str(number), 1 << 18) for number in range(count)], workers)
    assert {len(block) for block in blocks} == lengths


@pytest.fixture
def board(tmp_path) -> Board:
    return Board(tmp_path, "a run")


def digests(*numbers: int) -> list[bytes]:
    # Some end with the byte that NumPy's strings end with.
    return [bytes([number]) * 30 + b"\0\0" for number in numbers]


def test_workers_learn_what_is_held_when_the_run_begins_and_what_is_committed_since(board):
    one, two, three, four = digests(1, 2, 3, 0)
    board.begin({one, two}, {two: "breaks off"}, {three: [(0.0, 1.0)]})
    held = board.held()
    assert [digest in held for digest in (one, two, three, four)] == [True, True, False, False]
    assert [held.missing(digest) for digest in (one, two)] == [None, "breaks off"]
    assert board.begun() == {three: [(0.0, 1.0)]}
    board.add_committed([(three, None), (four, "is damaged")])
    assert [digest in held for digest in (three, four)] == [True, True]
    assert held.missing(four) == "is damaged"


def test_a_store_without_contents_holds_none(board):
    board.begin(set(), {}, {})
    assert digests(1)[0] not in board.held()


def test_a_worker_knows_whether_its_run_is_there(board, tmp_path):
    assert not board.is_there()
    board.begin(set(), {}, {})
    assert board.is_there()
    assert not Board(tmp_path, "another run").is_there()


def test_starts_marks_and_progress_of_a_block_are_kept_until_it_ends(board):
    board.begin(set(), {}, {})
    assert [board.start(7), board.start(7), board.start(8)] == [0, 1, 0]
    assert board.marks(7) == {}
    board.mark(7, {2: 1})
    assert board.marks(7) == {2: 1}
    board.tell(7, Progress(10.0, 0, 5.0, 1.0, 2))
    assert [*board.told()] == [(7, Progress(10.0, 0, 5.0, 1.0, 2))]
    board.end(7)
    assert (board.start(7), board.marks(7), [*board.told()]) == (0, {}, [])


@pytest.mark.parametrize("workers", ["local", "ray", "head.example:6379", "10.0.0.1:6379"])
def test_what_workers_may_be(workers):
    check_workers(workers, None)


@pytest.mark.parametrize(
    ("workers", "cpus"),
    [("", None), ("spark", None), ("ray://host:10001", None), ("a b:1", None), ("local", 2), ("ray", 0)],
)
def test_what_workers_may_not_be(workers, cpus):
    with pytest.raises(ValueError, match=r"workers=|worker_cpus="):
        check_workers(workers, cpus)


def test_workers_that_do_not_show_that_they_live_are_not_counted(board, tmp_path):
    assert board.living() == 0
    board.begin(set(), {}, {})
    assert board.living() == 0
    for name in ("one", "two"):
        board._show(name)
    assert board.living() == 2
    long_ago_s = (tmp_path / "runs" / "a run" / "workers" / "two").stat().st_mtime - 60
    os.utime(tmp_path / "runs" / "a run" / "workers" / "two", (long_ago_s, long_ago_s))
    assert board.living() == 1


def test_a_worker_shows_that_it_lives_until_the_run_is_over(board, tmp_path, monkeypatch):
    board.begin(set(), {}, {})
    living = []

    def end(_seconds: float) -> None:
        living.append(board.living())
        shutil.rmtree(tmp_path / "runs")

    monkeypatch.setattr(time, "sleep", end)
    board.live("one")
    assert living == [1]
