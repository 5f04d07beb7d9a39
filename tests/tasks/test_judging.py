"""Which hit is judged next."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_search.queries import Hit
from pe_search.records import Judgement
from pe_search.tasks.judging import next_to_judge

A, B = Path("/a.wav"), Path("/b.wav")
PATHS = {b"a": [A, Path("/copy of a.wav")], b"b": [B], b"gone": []}


def hit(path: Path, start_s: float, probability: float) -> Hit:
    return Hit("@it", 1, path, start_s, start_s + 2.0, 1.0, probability)


def judged(digest: bytes, *starts_s: float) -> list[Judgement]:
    return [Judgement("@it", digest, start_s, start_s + 2.0, "no", "ann", 1) for start_s in starts_s]


HITS = [hit(A, 0, 0.9), hit(B, 0, 0.8), hit(A, 1, 0.7), hit(B, 4, 0.52), hit(A, 10, 0.47), hit(B, 8, 0.1)]


def after(*judgements: Judgement, skipped: tuple[Hit, ...] = ()) -> Hit | None:
    return next_to_judge(HITS, judgements, PATHS.__getitem__, skipped)


def test_the_surest_come_first_and_then_those_near_even_odds_in_turn():
    assert after() == HITS[0]
    # Half of a window in common is not too much.
    assert after(*judged(b"a", 0)) == HITS[1]
    assert after(*judged(b"a", 0), *judged(b"b", 0)) == HITS[2]
    three = [*judged(b"a", 0, 1), *judged(b"b", 0)]
    assert after(*three) == HITS[3]
    assert after(*three, *judged(b"b", 4)) == HITS[4]
    assert after(*three, *judged(b"b", 8)) == HITS[3]
    assert after(*three, *judged(b"b", 8), *judged(b"gone", 0)) == HITS[3]
    assert after(*judged(b"a", 0, 1, 10), *judged(b"b", 0, 4)) == HITS[5]
    assert after(*judged(b"a", 0, 1, 10), *judged(b"b", 0, 4, 8)) is None


def test_what_shares_more_than_half_with_what_was_judged_is_not_asked_for():
    assert after(*judged(b"a", 0.9)) == HITS[1]
    assert after(*judged(b"a", 0.9), *judged(b"b", 0)) == HITS[3]


def test_what_is_skipped_is_passed_over_and_counts_as_nothing_judged():
    assert after(skipped=(HITS[0],)) == HITS[1]
    assert after(skipped=tuple(HITS)) is None


@pytest.mark.parametrize("number", range(3, 9))
def test_every_second_turn_after_three_is_for_what_is_nearest_even_odds(number):
    far = judged(b"gone", *range(number))
    assert after(*far) == (HITS[3] if number % 2 else HITS[0])
