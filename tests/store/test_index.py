"""The index against inner products worked out by hand and by brute force."""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.store.blocks import Sums
from pe_search.store.index import Index, open_index
from pe_search.store.making import make_index

VECTORS = np.array([[1, 0], [0, 1], [2, 2], [-1, 0], [0.5, 0.5]], np.float16)
IDS = np.array([3, 5, 7, 10, 2**40], np.int64)


def make(
    path: Path,
    ids: NDArray[np.int64] = IDS,
    vectors: NDArray[np.float16] = VECTORS,
    *,
    before: Index | None = None,
    lists_from: int | None = None,
) -> Index:
    """Make an index from blocks of three windows, and open it."""
    blocks = ((ids[first : first + 3], vectors[first : first + 3]) for first in range(0, len(ids), 3))
    up_to = int(ids[-1]) if len(ids) else 0
    make_index(
        path, "catalog", len(ids), vectors.shape[1], up_to, blocks, before=before, lists_from=lists_from
    )  # fmt: skip
    index = open_index(path, "catalog", vectors.shape[1])
    assert index is not None
    assert index.up_to == up_to
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return index


def clustered(windows: int, dimension: int = 16, clusters: int = 40) -> NDArray[np.float16]:
    """Vectors around a few centres; small whole numbers, so that inner products are exact in any order of adding."""
    random = np.random.default_rng(0)
    centres = random.integers(-30, 30, (clusters, dimension))
    noise = random.integers(-2, 3, (windows, dimension))
    return (centres[random.integers(0, clusters, windows)] + noise).astype(np.float16)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x"


@pytest.fixture
def index(path) -> Index:
    return make(path)


def pairs(index: Index, query: list[float], k: int, among: list[int] | None = None) -> list[tuple[float, int]]:
    found = index.search(
        np.array(query, np.float32), k, among=None if among is None else np.array(among, np.int64)
    )  # fmt: skip
    assert found.is_exact
    assert (found.scores.dtype, found.ids.dtype) == (np.float32, np.int64)
    return list(zip(found.scores.tolist(), found.ids.tolist(), strict=True))


def test_the_best_windows_by_their_plain_inner_products(index):
    assert len(index) == 5
    assert pairs(index, [2, 1], 5) == [(6.0, 7), (2.0, 3), (1.5, 2**40), (1.0, 5), (-2.0, 10)]
    assert pairs(index, [2, 1], 2) == [(6.0, 7), (2.0, 3)]
    assert len(pairs(index, [1, 0], 99)) == 5


def test_only_among_the_given_windows(index):
    assert pairs(index, [2, 1], 2, among=[3, 5, 2**40]) == [(2.0, 3), (1.5, 2**40)]
    # Windows that came into the catalog after the index was made.
    assert pairs(index, [2, 1], 9, among=[4, 5, 2**41]) == [(1.0, 5)]
    assert pairs(index, [2, 1], 9, among=[4]) == pairs(index, [2, 1], 9, among=[]) == []
    found = index.search(np.array([2, 1], np.float32), 9, among=np.array([3, 5]))
    assert (found.searched, found.is_exact) == (2, True)


def test_an_index_of_nothing(path):
    index = make(path, IDS[:0], VECTORS[:0])
    assert len(index) == 0
    assert pairs(index, [1, 0], 3) == pairs(index, [1, 0], 3, among=[5]) == []


def test_an_index_of_nothing_is_not_cut_into_lists(path):
    assert len(make(path, IDS[:0], VECTORS[:0], lists_from=0)) == 0
    assert len(make(path, IDS[:1], VECTORS[:1], lists_from=0)) == 1


# Lists


@pytest.fixture(scope="module")
def lists(tmp_path_factory) -> tuple[Index, NDArray[np.int64], NDArray[np.float16]]:
    """An index of lists, and what it was made of."""
    vectors = clustered(3_000)
    ids = np.arange(3_000) * 2 + 1
    return make(tmp_path_factory.mktemp("lists") / "x", ids, vectors, lists_from=3_000), ids, vectors


def test_lists_are_made_from_some_number_on(path, lists):
    assert lists[0].centroids.shape == (432, 16)
    assert make(path, *lists[1:], lists_from=3_001).centroids.shape == (0, 16)
    assert make(path, *lists[1:], lists_from=None).centroids.shape == (0, 16)


def test_each_window_is_in_the_list_of_the_centroid_that_is_nearest_to_its_direction(lists):
    index, ids, vectors = lists
    np.testing.assert_array_equal(index.ids[index.by_id], ids)
    np.testing.assert_array_equal(index.vectors[index.by_id], vectors)
    directions = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    distances = ((directions[:, None] - index.centroids[None].astype(float)) ** 2).sum(axis=2)
    chosen = distances[np.arange(len(ids)), index.lists_of(ids)]
    np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-3, atol=1e-6)
    assert index.lists_of(np.array([0, 2, 6_001])).tolist() == [-1, -1, -1]
    assert np.bincount(index.lists_of(ids), minlength=432).tolist() == np.diff(index.starts).tolist()


def test_the_same_windows_make_the_same_file(path, lists):
    make(path, *lists[1:], lists_from=3_000)
    first = path.read_bytes()
    make(path, *lists[1:], lists_from=3_000)
    assert path.read_bytes() == first


def test_an_exact_search_goes_through_all_lists(lists):
    index, _, vectors = lists
    for query in np.random.default_rng(1).integers(-9, 9, (20, 16)).astype(np.float32):
        products = vectors.astype(np.float32) @ query
        found = index.search(query, 50, exact=True)
        assert (found.searched, found.is_exact) == (3_000, True)
        np.testing.assert_array_equal(found.scores, np.sort(products)[::-1][:50])
        np.testing.assert_array_equal(found.scores, products[(found.ids - 1) // 2])


def test_an_approximate_search_goes_through_few_and_finds_nearly_all_with_their_exact_scores(lists):
    index, _, vectors = lists
    assert 3 * index.probes[0] < 432
    shares = []
    for row in range(0, 3_000, 30):
        query = vectors[row].astype(np.float32)
        products = vectors.astype(np.float32) @ query
        found = index.search(query, 10)
        assert not found.is_exact
        assert len(found.ids) == 10
        assert found.searched < 2_000
        np.testing.assert_array_equal(found.scores, products[(found.ids - 1) // 2])
        shares.append(np.isin(found.scores, np.sort(products)[-10:]).mean())
    assert np.mean(shares) >= 0.99


def test_the_more_are_wanted_the_more_lists_are_gone_through_up_to_all(lists):
    index = dataclasses.replace(lists[0], probes=(4, 4, 4))
    query = lists[2][0].astype(np.float32)
    searched = [index.search(query, k).searched for k in (1, 10, 20, 3_000)]
    assert searched[0] == searched[1] < searched[2] < searched[3] == 3_000
    assert index.search(query, 3_000).is_exact


def test_among_the_given_windows_the_search_is_exact(lists):
    index, ids, vectors = lists
    query = np.arange(16, dtype=np.float32)
    some = ids[5:2_900:7]
    products = (vectors.astype(np.float32) @ query)[5:2_900:7]
    found = index.search(query, 100, among=some)
    assert (found.searched, found.is_exact) == (len(some), True)
    np.testing.assert_array_equal(found.scores, np.sort(products)[::-1][:100])


@pytest.mark.parametrize("step", [2, 5])
def test_among_many_windows_the_search_goes_through_few_lists_too(lists, monkeypatch, step):
    index, ids, vectors = lists
    monkeypatch.setattr("pe_search.store.index._FEW_ROWS", 100)
    some = ids[::step]
    rows = index.rows_among(some)
    np.testing.assert_array_equal(np.sort(index.ids[rows.rows]), some)
    shares, searched = [], []
    for row in range(0, 3_000, 30):
        query = vectors[row].astype(np.float32)
        products = vectors.astype(np.float32) @ query
        found = index.search(query, 10, among=rows)
        assert not found.is_exact
        assert len(found.ids) == 10
        assert np.isin(found.ids, some).all()
        np.testing.assert_array_equal(found.scores, products[(found.ids - 1) // 2])
        shares.append(np.isin(found.scores, np.sort(products[::step])[-10:]).mean())
        searched.append(found.searched)
        exact = index.search(query, 10, among=rows, exact=True)
        assert (exact.searched, exact.is_exact) == (len(some), True)
        np.testing.assert_array_equal(exact.scores, np.sort(products[::step])[::-1][:10])
        with_like = index.search(query, 10, among=rows, like=query)
        assert (with_like.searched, with_like.is_exact) == (len(some), True)
    assert np.mean(shares) >= 0.99
    assert np.mean(searched) < len(some) / 2


def test_the_fewer_may_be_hits_the_more_lists_are_gone_through(lists):
    index = dataclasses.replace(lists[0], probes=(4, 6, 9))
    assert [index._lists_at(depth) for depth in (10, 100, 1_000, 2_000)] == pytest.approx([4, 6, 9, 18])
    # What an older pe-search tried out goes for ten alone.
    assert [dataclasses.replace(index, probes=(4,))._lists_at(depth) for depth in (10, 100)] == pytest.approx([4, 40])


def test_lists_without_windows_that_are_meant_are_passed_over(lists, monkeypatch):
    index, _, vectors = lists
    monkeypatch.setattr("pe_search.store.index._FEW_ROWS", 0)
    # All windows of the lists that are farthest from the query.
    query = vectors[0].astype(np.float32)
    order = np.argsort(index.centroids.astype(np.float32) @ query)[:200]
    rows = np.concatenate([np.arange(index.starts[which], index.starts[which + 1]) for which in np.sort(order)])
    found = index.search(query, 10, among=np.sort(index.ids[rows]))
    assert not found.is_exact
    assert len(found.ids) == 10


def test_what_has_no_clusters_is_searched_to_the_end(path):
    # Text embeddings may lie anywhere; where lists don't help, nothing is lost by them.
    vectors = np.random.default_rng(0).standard_normal((2_000, 64)).astype(np.float16)
    index = make(path, np.arange(1, 2_001), vectors, lists_from=10)
    assert index.search(vectors[0].astype(np.float32), 10).is_exact


def test_centroids_are_kept_until_there_are_twice_as_many_windows(tmp_path, path, lists):
    before, ids, vectors = lists
    more = clustered(6_000)
    more[:3_000] = vectors
    more_ids = np.arange(6_000) * 2 + 1
    # Some are gone, many have come.
    rows = np.r_[100:5_999]
    index = make(path, more_ids[rows], more[rows], before=before, lists_from=10)
    np.testing.assert_array_equal(index.centroids, before.centroids)
    assert (index.probes, index.trained_on) == (before.probes, 3_000)
    afresh = make(path, more_ids[rows], more[rows], lists_from=10)
    assert len(afresh.centroids) == 608
    np.testing.assert_array_equal(index.lists_of(ids[100:]), before.lists_of(ids[100:]))
    np.testing.assert_array_equal(index.vectors[index.by_id], more[rows])
    again = make(path, more_ids, more, before=before, lists_from=10)
    assert (len(again.centroids), again.trained_on) == (616, 6_000)


# On disk


def test_there_is_none(tmp_path, path):
    assert open_index(path, "catalog", 2) is None
    assert open_index(tmp_path / "gone" / "x", "catalog", 2) is None


def test_the_index_of_another_catalog_is_none(path, index):
    assert open_index(path, "another", 2) is None


def test_making_one_that_fails_leaves_what_was_there_and_no_draft(tmp_path, path, lists):
    make(path)
    before = path.read_bytes()

    def blocks():
        yield IDS[:1], VECTORS[:1]
        raise OSError(28, "No space left on device")

    for lists_from in (None, 2):
        with pytest.raises(OSError, match="No space left"):
            make_index(path, "catalog", 5, 2, 9, blocks(), lists_from=lists_from)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == before


def change(path: Path, name: str, values: NDArray[np.generic]) -> None:
    """Write other values into one of the arrays of a file."""
    content = bytearray(path.read_bytes())
    start, end = json.loads(content[8:4096])[name]["data_offsets"]
    assert values.nbytes == end - start
    content[4096 + start : 4096 + end] = values.tobytes()
    path.write_bytes(content)
    seal(path)


def seal(path: Path) -> None:
    """Make the checksums of a file fit what is in it."""
    content = bytearray(path.read_bytes())
    start, end = json.loads(content[8:4096])["sums"]["data_offsets"]
    sums = Sums()
    sums.add(memoryview(content)[4096 : 4096 + start])
    fitting = np.array([zlib.crc32(content[8:4096]), *sums.finished()], np.int64)
    assert fitting.nbytes == end - start
    content[4096 + start : 4096 + end] = fitting.tobytes()
    path.write_bytes(content)


@pytest.mark.parametrize("starts", [[0, 4], [0, 6], [1, 5], [0, -1], [-1, 5], [0, 2**62], [5, 0]])
def test_a_list_that_ends_beyond_the_last_window_is_noticed(path, index, starts):
    change(path, "starts", np.array(starts))
    with pytest.raises(ValueError, match="lists"):
        open_index(path, "catalog", 2)


def test_lists_that_overlap_are_noticed(path):
    index = make(path, lists_from=5)
    assert len(index.starts) == 6
    for starts in ([0, 2, 6, 5, 5, 5], [0, -1, 5, 5, 5, 5], [0, 2, 2**62, 5, 5, 5], [0, 3, 2, 4, 5, 5]):
        change(path, "starts", np.array(starts))
        with pytest.raises(ValueError, match="lists"):
            open_index(path, "catalog", 2)


@pytest.mark.parametrize("by_id", [[0, 1, 2, 3, 99], [2**62] * 5, [-(2**62)] * 5, [-6, 1, 2, 3, 4]])
def test_a_window_that_is_said_to_be_elsewhere_than_in_the_file_is_noticed_or_not_found(path, index, by_id):
    change(path, "by_id", np.array(by_id))
    damaged = open_index(path, "catalog", 2)
    assert len(damaged.search(np.ones(2, np.float32), 9).ids) == 5
    with pytest.raises(ValueError, match=r"."):
        damaged.search(np.ones(2, np.float32), 9, among=IDS)


def test_ids_and_numbers_that_make_no_sense_do_no_harm(path):
    index = make(path, lists_from=5)
    change(path, "ids", np.full(5, -(2**63)))
    change(path, "vectors", np.full((5, 2), np.nan, np.float16))
    change(path, "centroids", np.full((5, 2), np.nan, np.float16))
    damaged = open_index(path, "catalog", 2)
    for k in (1, 5):
        assert damaged.search(np.ones(2, np.float32), k).ids.tolist() == []
    assert damaged.search(np.ones(2, np.float32), 5, among=IDS).ids.tolist() == []
    assert index.up_to == 2**40


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"layout": "pe-search index 2"', '"layout": "pe-search index 1"'),
        ('"probes": "1"', '"probes": "0"'),
        ('"probes": "1"', '"probes": "x"'),
        ('"probes"', '"prober"'),
        ('"up_to"', '"up-to"'),
        ('"centroids"', '"centroid_"'),
        ('"shape": [0, 2]', '"shape": [0, 3]'),
        ('"shape": [5, 2]', '"shape": [2, 5]'),
        ('"shape": [5, 2]', '"shape":   [10]'),
    ],
)
def test_a_header_that_does_not_fit_is_noticed(path, index, old, new):
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode(), 1))
    for _ in range(2):
        with pytest.raises(ValueError, match="it"):
            open_index(path, "catalog", 2)
        # As one that was made so.
        seal(path)


def flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << byte % 8
    path.write_bytes(content)


def test_a_flipped_bit_of_all_but_the_vectors_is_noticed_when_the_file_is_opened(path):
    make(path, lists_from=5)
    content = path.read_bytes()
    first = json.loads(content[8:4096])["vectors"]["data_offsets"][1]
    header = len(content[:4096].rstrip())
    for byte in (*range(header), *range(4096 + first, len(content))):
        flip(path, byte)
        with pytest.raises(ValueError, match="it"):
            # That of another catalog is none.
            assert open_index(path, "catalog", 2) is not None
        path.write_bytes(content)


@pytest.mark.parametrize("lists_from", [None, 5])
def test_a_flipped_bit_of_a_vector_is_noticed_by_a_search_that_goes_through_it(path, lists_from):
    index = make(path, lists_from=lists_from)
    content = path.read_bytes()
    for byte in range(4096, 4096 + index.vectors.nbytes):
        flip(path, byte)
        for options in ({"exact": True}, {"among": IDS}, {"like": np.ones(2, np.float32)}):
            with pytest.raises(ValueError, match="a part of it is not as it was written"):
                open_index(path, "catalog", 2).search(np.ones(2, np.float32), 1, **options)
        with pytest.raises(ValueError, match="a part of it is not as it was written"):
            open_index(path, "catalog", 2).check()
        path.write_bytes(content)


def test_of_many_vectors_a_search_compares_some_and_in_the_end_all(path, monkeypatch):
    monkeypatch.setattr("pe_search.store.blocks.BLOCK_BYTES", 8)
    monkeypatch.setattr("pe_search.store.index._CHECKED_BYTES", 8)
    make(path)
    flip(path, 4096)
    index = open_index(path, "catalog", 2)
    searches = 0
    with pytest.raises(ValueError, match="a part of it is not as it was written"):
        while True:
            index.search(np.ones(2, np.float32), 1, exact=True)
            searches += 1
    # One of the two blocks that hold nothing but vectors goes with each.
    assert searches <= 1


def test_an_index_from_before_there_were_checksums_is_used(path):
    content = bytearray(make(path) and path.read_bytes())
    header = json.loads(content[8:4096])
    start, _ = header.pop("sums")["data_offsets"]
    header["__metadata__"]["layout"] = "pe-search index 1"
    path.write_bytes(content[:8] + json.dumps(header).encode().ljust(4088) + content[4096 : 4096 + start])
    index = open_index(path, "catalog", 2)
    assert index.checks is None
    assert index.search(np.ones(2, np.float32), 9, exact=True).ids.tolist() == [7, 3, 5, 2**40, 10]


def test_another_dimension_is_noticed(path, index):
    with pytest.raises(ValueError, match="shape"):
        open_index(path, "catalog", 3)
