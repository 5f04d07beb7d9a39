"""Records as lines, and back."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.queries import Filters, Hit, Query, Reference, Request, Term
from pe_search.records import Problem
from pe_search.serving.lines import Reply, from_line, to_line

# Any bytes but NUL and slashes, which no name has; and texts with lone surrogates among them.
PATHS = st.binary(min_size=1).map(lambda name: Path("/", os.fsdecode(name.replace(b"\0", b"").replace(b"/", b""))))
TEXTS = st.text(st.characters(codec=None))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TERMS = st.lists(st.builds(Term, TEXTS, NUMBERS), max_size=2).map(tuple)
REFERENCES = st.lists(st.builds(Reference, PATHS, st.none() | st.tuples(NUMBERS, NUMBERS)), max_size=2).map(tuple)
QUERIES = st.builds(Query, st.lists(TEXTS, max_size=2).map(tuple), TERMS, TERMS, REFERENCES)
REQUESTS = st.builds(
    Request,
    queries=st.lists(QUERIES, max_size=3).map(tuple),
    k=st.none() | st.integers(),
    under=st.none() | PATHS,
    all_windows=st.booleans(),
    min_probability=NUMBERS,
    fdr=st.none() | NUMBERS,
    exact=st.booleans(),
    filters=st.builds(
        Filters,
        length_s=st.none() | st.tuples(st.none() | NUMBERS, st.none() | NUMBERS),
        names=st.lists(TEXTS, max_size=2).map(tuple),
        tags=st.lists(TEXTS, max_size=2).map(tuple),
        recorded=st.none() | st.tuples(st.none() | TEXTS, st.none() | TEXTS),
        hours=st.none() | st.tuples(NUMBERS, NUMBERS),
    ),
    words=TEXTS,
    is_part=st.booleans(),
)
RANKS = st.none() | st.integers()
HITS = st.builds(
    Hit,
    TEXTS,
    st.integers(),
    PATHS,
    NUMBERS,
    NUMBERS,
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    copies=st.lists(PATHS, max_size=2).map(tuple),
    sound_rank=RANKS,
    words_rank=RANKS,
)
ANSWERS = st.builds(
    Reply,
    hits=st.lists(HITS).map(tuple),
    problems=st.lists(st.builds(Problem, PATHS, TEXTS)).map(tuple),
)
REQUEST = Request(
    (Query(("rain",), (), (), ()),), 10, Path("/s"), all_windows=False, min_probability=0.5, fdr=None, exact=True
)


@given(REQUESTS)
def test_a_request_comes_out_as_it_went_in(request):
    assert from_line(Request, to_line(request)) == request


@given(ANSWERS)
def test_so_does_an_answer_to_the_last_bit(answer):
    again = from_line(Reply, to_line(answer))
    assert again == answer
    assert repr(again) == repr(answer)


@given(REQUESTS)
def test_a_line_is_one_line_of_ascii(request):
    line = to_line(request)
    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1


@dataclass(frozen=True, slots=True)
class Inner:
    path: Path
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Outer:
    inner: tuple[Inner, ...]
    other: Inner | None
    pair: tuple[float, float] | None


@pytest.mark.parametrize(
    "record",
    [
        Outer((), None, None),
        Outer((Inner(Path("a\udcff"), (0.1, 2.0)), Inner(Path("b"), ())), Inner(Path(), (1e-300,)), (0.5, 1.5)),
    ],
)
def test_records_may_hold_records_of_any_depth(record):
    assert from_line(Outer, to_line(record)) == record


def changed(**changes: object) -> bytes:
    return json.dumps(json.loads(to_line(REQUEST)) | changes).encode() + b"\n"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"rain\n",
        b'"\xff"\n',
        b"\xff\xfe\x00\n",
        b"[" * 100_000 + b"\n",
        b"1" * 100_000 + b"\n",
        to_line(REQUEST)[:-1],
        to_line(REQUEST)[:-2] + b"\n",
        to_line(REQUEST)[:-1] + b"}\n",
        to_line(REQUEST)[:-1] + to_line(REQUEST),
        changed(more=1),
        changed(queries=[{"text": "rain", "weight": 2}]),
        changed(queries=[{}]),
        changed(queries="rain"),
        changed(queries=None),
        changed(k="10"),
        changed(k=10.5),
        changed(k="all"),
        changed(under=["/s"]),
        changed(exact=1),
        changed(exact="yes"),
        changed(min_probability="0.5"),
    ],
    ids=lambda line: line[:60].decode("latin-1"),
)
def test_anything_else_is_refused(line):
    with pytest.raises(ValueError):
        from_line(Request, line)


@pytest.mark.parametrize("name", json.loads(to_line(REQUEST)))
def test_so_is_a_line_that_lacks_a_field(name):
    values = json.loads(to_line(REQUEST))
    del values[name]
    with pytest.raises(ValueError, match=r"missing|its fields are not those of a Request"):
        from_line(Request, json.dumps(values).encode() + b"\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_sent(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_line(Outer((), None, (number, 0.0)))


def test_nor_is_what_has_no_place_in_json():
    with pytest.raises(TypeError, match="object has no place in JSON"):
        to_line(Query((object(),), (), (), ()))
