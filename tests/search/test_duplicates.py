"""The clips of a store become groups that sound the same, by hand and against the definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.queries import Duplicate
from pe_search.records import Clip, Content
from pe_search.search import duplicates
from pe_search.search.duplicates import find_duplicates
from pe_search.store import Store
from tests.made_up import manifest

MANIFEST = manifest()
Vectors = Sequence[Sequence[float]]
EAST, NORTH, UP = (4.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 0.5)
NEARLY_EAST = (3.0, 0.5, 0.0)  # cosine 0.986394 with EAST
COSINE = 3 / math.sqrt(9.25)


def put(store: Store, clips: dict[str, tuple[bytes, Vectors]]) -> None:
    contents = {
        digest: Content(
            digest,
            [(10.0 * row, 10.0 * row + 10.0) for row in range(len(vectors))],
            np.float32(vectors),
            is_whole=True,
        )
        for digest, vectors in clips.values()
    }
    pairs = [(Clip(Path(path), 1, 1), digest) for path, (digest, _) in clips.items()]
    store.catalog.commit(contents=contents.values(), clips=pairs)


def groups_of(store: Store, threshold: float, **options: object) -> list[list[tuple[str, float, bool]]]:
    return [
        [(str(one.path), pytest.approx(one.cosine, abs=1e-6), one.is_same_bytes) for one in group]
        for group in find_duplicates(store, threshold, **options)
    ]


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", MANIFEST) as opened:
        yield opened


@pytest.fixture
def groups(store):
    """Put clips into the store, each with bytes of its own, and find the groups among them."""

    def find(clips: dict[str, Vectors], threshold: float = 0.98) -> list[list[tuple[str, float, bool]]]:
        put(store, {path: (path.encode(), vectors) for path, vectors in clips.items()})
        return groups_of(store, threshold)

    return find


def test_length_is_nothing_and_direction_is_all(groups):
    found = groups({"/a": [EAST], "/b": [NORTH], "/c": [NEARLY_EAST], "/d": [(8, 0, 0)], "/e": [UP]})
    assert found == [[("/a", 1, True), ("/c", COSINE, False), ("/d", 1, False)]]


def test_the_threshold_itself_is_enough(groups):
    clips = {"/a": [(1, 0, 0)], "/b": [(0.5, 0, 0)]}
    assert len(groups(clips, 1.0)) == 1


def test_several_groups_are_in_order_of_their_first_clips(groups):
    found = groups({"/z": [EAST], "/b": [NORTH], "/c": [EAST], "/a": [NORTH], "/d": [UP]})
    assert [[path for path, _, _ in group] for group in found] == [["/a", "/b"], ["/c", "/z"]]


def test_a_chain_is_no_group(groups):
    """Each is like the next, and the third is unlike the first."""
    third = (9.25 / 3 - 1 / 3, 1.0, 0.0)
    found = groups({"/1": [EAST], "/2": [NEARLY_EAST], "/3": [third]})
    assert [[path for path, _, _ in group] for group in found] == [["/1", "/2"]]


def test_as_many_windows_are_compared_in_their_places(groups):
    found = groups(
        {
            "/a": [EAST, NORTH, UP],
            "/same": [EAST, NORTH, UP],
            "/late change": [EAST, NORTH, NORTH],
            "/other order": [EAST, UP, NORTH],
            "/nearly": [NEARLY_EAST, NORTH, UP],
        }
    )
    assert found == [[("/a", 1, True), ("/nearly", COSINE, False), ("/same", 1, False)]]


def test_of_other_numbers_of_windows_each_has_to_find_its_like(groups):
    found = groups(
        {
            "/a": [EAST, NORTH],
            "/again and again": [NORTH, EAST, NEARLY_EAST, NORTH, EAST],
            "/excerpt": [NORTH],
            "/more": [EAST, NORTH, UP],
            "/neither": [EAST, UP, UP],
        }
    )
    assert found == [[("/a", 1, True), ("/again and again", COSINE, False)]]


def test_the_same_bytes_are_a_group_whatever_the_threshold(store):
    silence = [(0.0, 0.0, 0.0)]
    put(
        store,
        {
            "/s/3": (b"silence", silence),
            "/s/1": (b"silence", silence),
            "/s/2": (b"other silence", silence),
            "/t/1": (b"dog", [EAST]),
            "/t/2": (b"dog", [EAST]),
            "/t/0": (b"louder dog", [(5.0, 0.0, 0.0)]),
        },
    )
    assert groups_of(store, 1.0) == [
        [("/s/1", 1, True), ("/s/3", 1, True)],
        [("/t/0", 1, True), ("/t/1", 1, False), ("/t/2", 1, False)],
    ]


def test_only_clips_below_a_folder(store):
    put(store, {path: (path.encode(), [EAST]) for path in ("/s/a", "/s/b", "/s", "/s2/a", "/t/s/a")})
    assert [[path for path, *_ in group] for group in groups_of(store, 0.9, under=Path("/s"))] == [
        ["/s", "/s/a", "/s/b"]
    ]
    assert groups_of(store, 0.9, under=Path("/s/a")) == []
    assert groups_of(store, 0.9, under=Path("/nowhere")) == []


def test_an_empty_store_has_no_groups(store):
    assert groups_of(store, 0.0) == []


def test_progress_ends_where_all_are_compared(store, monkeypatch):
    monkeypatch.setattr(duplicates, "_FIRSTS_AT_ONCE", 2)
    put(store, {f"/{number}": (b"%d" % number, [[EAST, NORTH, UP][number % 3]]) for number in range(9)})
    told: list[float] = []
    found = groups_of(store, 0.9, on_progress=told.append)
    assert [[path for path, *_ in group] for group in found] == [
        ["/0", "/3", "/6"],
        ["/1", "/4", "/7"],
        ["/2", "/5", "/8"],
    ]
    assert told == [2 / 9, 6 / 9, 1.0]


def cosine_by_definition(one: np.ndarray, other: np.ndarray) -> float:
    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        return float(a @ b / lengths) if lengths else 0.0

    if len(one) == len(other):
        return min(cosine(a, b) for a, b in zip(one, other, strict=True))
    table = np.array([[cosine(a, b) for b in other] for a in one])
    return float(min(table.max(axis=0).min(), table.max(axis=1).min()))


def groups_by_definition(clips: list[np.ndarray], threshold: float) -> list[list[int]]:
    groups: list[list[int]] = []
    for number, vectors in enumerate(clips):
        for group in groups:
            if cosine_by_definition(clips[group[0]], vectors) >= threshold:
                group.append(number)
                break
        else:
            groups.append([number])
    return [group for group in groups if len(group) > 1]


# Small whole numbers, so that many cosines are equal, and none but those is near the threshold.
VECTOR = st.tuples(*[st.integers(-2, 2)] * 3)
CLIPS = st.lists(st.lists(VECTOR, min_size=1, max_size=4), max_size=12)


@given(clips=CLIPS, threshold=st.sampled_from([-0.99, 0.33, 0.61, 0.85, 0.99]), firsts=st.integers(1, 5))
def test_against_the_definition(tmp_path_factory, clips, threshold, firsts):
    paths = [f"/{number:02}" for number in range(len(clips))]
    with pytest.MonkeyPatch.context() as patch:
        # So small that clips and windows of every example are spread over several blocks.
        patch.setattr(duplicates, "_FIRSTS_AT_ONCE", firsts)
        patch.setattr(duplicates, "_ROWS_AT_ONCE", 3)
        with Store.create(tmp_path_factory.mktemp("oracle") / "store", MANIFEST) as store:
            put(store, {path: (path.encode(), vectors) for path, vectors in zip(paths, clips, strict=True)})
            found = list(find_duplicates(store, threshold))
    arrays = [np.array(vectors, float) for vectors in clips]
    assert [[int(one.path.name) for one in group] for group in found] == groups_by_definition(arrays, threshold)
    for first, *others in found:
        assert first == Duplicate(first.path, 1.0, is_same_bytes=True)
        for other in others:
            one, two = (arrays[int(member.path.name)] for member in (first, other))
            assert other.cosine == pytest.approx(cosine_by_definition(one, two), abs=1e-5)
