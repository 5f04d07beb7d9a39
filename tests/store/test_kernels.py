"""FAISS's kernels against inner products worked out by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pe_search.store import kernels
from pe_search.store.kernels import best_among, best_rows, cluster, nearest


@pytest.fixture(autouse=True, scope="module")
def _two_threads() -> Iterator[None]:
    """In all other tests faiss has one."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    yield
    faiss.omp_set_num_threads(before)


VECTORS = np.array([[1, 0], [0, 1], [2, 2], [-1, 0], [0.5, 0.5]], np.float16)


def pairs(query: list[float], k: int, stretches: list[tuple[int, int]] | None = None) -> list[tuple[float, int]]:
    scores, rows = best_rows(VECTORS, np.array(query, np.float32), k, stretches)
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)
    return list(zip(scores.tolist(), rows.tolist(), strict=True))


def test_the_scores_are_plain_inner_products_best_first():
    assert pairs([2, 1], 5) == [(6.0, 2), (2.0, 0), (1.5, 4), (1.0, 1), (-2.0, 3)]
    assert pairs([2, 1], 2) == [(6.0, 2), (2.0, 0)]
    assert len(pairs([2, 1], 99)) == 5
    assert pairs([2, 1], 0) == []


def test_equal_scores_are_in_order_of_rows():
    assert pairs([0, 1], 5) == [(2.0, 2), (1.0, 1), (0.5, 4), (0.0, 0), (0.0, 3)]


def test_only_some_stretches():
    assert pairs([2, 1], 9, [(3, 5), (0, 1)]) == [(2.0, 0), (1.5, 4), (-2.0, 3)]
    assert pairs([2, 1], 1, [(3, 5), (0, 1)]) == [(2.0, 0)]
    assert pairs([2, 1], 9, [(2, 2)]) == pairs([2, 1], 9, []) == []


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("with_like", [True, False])
def test_only_some_rows_whether_they_lie_together_or_apart(threads, with_like, monkeypatch):
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: threads)
    monkeypatch.setattr(kernels, "_ROWS_AT_ONCE", 40)
    monkeypatch.setattr(kernels, "_ROWS_COPIED", 7)
    random = np.random.default_rng(0)
    vectors = random.standard_normal((300, 8)).astype(np.float16)
    query = random.standard_normal(8).astype(np.float32)
    like = query if with_like else None
    scores, order = best_rows(vectors, query, 300, like=like)
    for share in (0.0, 0.01, 0.5, 0.95, 1.0):
        rows = np.flatnonzero(random.random(300) < share)
        for k in (1, 10, 1_000):
            found = best_among(vectors, query, k, rows, like=like)
            among = np.isin(order, rows)
            # To the last bit: a score depends on its row alone.
            np.testing.assert_array_equal(found[0], scores[among][:k])
            np.testing.assert_array_equal(found[1], order[among][:k])


def test_no_rows():
    scores, rows = best_rows(np.empty((0, 2), np.float16), np.ones(2, np.float32), 3)
    assert (scores.tolist(), rows.tolist()) == ([], [])


def test_what_has_no_score_is_not_among_the_best():
    vectors = np.array([[1, 0], [np.nan, 0], [2, 0], [-np.inf, 0]], np.float16)
    scores, rows = best_rows(vectors, np.array([1, 0], np.float32), 4)
    assert (scores.tolist(), rows.tolist()) == ([2.0, 1.0], [2, 0])


@pytest.mark.parametrize("threads", [1, 3])
def test_many_rows_shared_out_among_threads(threads, monkeypatch):
    random = np.random.default_rng(0)
    # Small whole numbers, so that the products are exact in any order of adding.
    vectors = random.integers(-8, 8, (30_001, 16)).astype(np.float16)
    query = random.integers(-8, 8, 16).astype(np.float32)
    expected = vectors.astype(np.float32) @ query
    order = np.lexsort((np.arange(len(vectors)), -expected))
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: threads)
    scores, rows = best_rows(vectors, query, len(vectors))
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_array_equal(scores, expected[order])
    within = [(20_000, 30_001), (5, 9_000)]
    inside = np.isin(order, np.r_[20_000:30_001, 5:9_000])
    np.testing.assert_array_equal(best_rows(vectors, query, len(vectors), within)[1], order[inside])


@pytest.mark.parametrize("has_direction", [False, True])
def test_the_same_vector_has_the_same_score_wherever_it_is(has_direction):
    # Equal scores are ordered by path; that needs them to be equal to the last bit. So does comparing an index with the
    # catalog, whose rows are alone in memory.
    random = np.random.default_rng(0)
    for dimension in (2, 7, 64, 513, 1024):
        vectors = random.standard_normal((203, dimension)).astype(np.float16)
        twins = np.sort(random.choice(203, 50, replace=False))
        vectors[twins] = vectors[twins[0]]
        query = random.standard_normal(dimension).astype(np.float32)
        like = random.standard_normal(dimension).astype(np.float32) if has_direction else None
        scores, rows = best_rows(vectors, query, 203, like=like)
        alone, _ = best_rows(vectors[twins[:1]], query, 1, like=like)
        assert {*scores[np.isin(rows, twins)]} == {alone[0]}


def test_scores_are_right_to_the_precision_of_a_float32():
    random = np.random.default_rng(1)
    vectors = random.standard_normal((500, 256)).astype(np.float16)
    query = random.standard_normal(256).astype(np.float32)
    scores, rows = best_rows(vectors, query, 500)
    exact = vectors.astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(scores, exact[rows], rtol=1e-5, atol=1e-5)


def test_the_largest_values_of_float16_do_not_overflow():
    vectors = np.full((2, 32), 65_504, np.float16)
    vectors[1] = -vectors[1]
    scores, rows = best_rows(vectors, np.full(32, 65_504, np.float32), 2)
    assert rows.tolist() == [0, 1]
    np.testing.assert_allclose(scores, [32 * 65_504.0**2, -32 * 65_504.0**2], rtol=1e-6)


# With directions


def likes(vectors: NDArray[np.float16], query: list[float], like: list[float], k: int, **options):
    scores, rows = best_rows(vectors, np.array(query, np.float32), k, like=np.array(like, np.float32), **options)
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)
    return list(zip(scores.tolist(), rows.tolist(), strict=True))


def test_the_product_with_the_direction_is_added():
    vectors = np.array([[3, 4], [-6, 8], [0, 0], [0, 0.5]], np.float16)
    assert likes(vectors, [0, 0], [5, 10], 4) == [(11.0, 0), (10.0, 3), (5.0, 1), (0.0, 2)]
    assert likes(vectors, [1, 1], [5, 10], 3) == [(18.0, 0), (10.5, 3), (7.0, 1)]
    assert likes(vectors, [1, 1], [5, 10], 4, stretches=[(1, 3)]) == [(7.0, 1), (0.0, 2)]
    assert likes(vectors, [1, 1], [5, 10], 0) == []


def test_equal_scores_with_directions_are_in_order_of_rows():
    vectors = np.array([[1, 0], [2, 0], [0, 1], [4, 0]], np.float16)
    assert likes(vectors, [0, 0], [1, 0], 2) == [(1.0, 0), (1.0, 1)]
    assert likes(vectors, [0, 0], [1, 0], 4) == [(1.0, 0), (1.0, 1), (1.0, 3), (0.0, 2)]


def test_what_has_no_score_with_a_direction_is_not_among_the_best():
    vectors = np.array([[1, 0], [np.nan, 0], [2, 0], [-np.inf, 0], [np.inf, 1]], np.float16)
    assert likes(vectors, [1, 0], [1, 0], 5) == [(3.0, 2), (2.0, 0)]


finite = st.floats(-1_000, 1_000, width=16)


@settings(max_examples=50)
@given(
    arrays(np.float16, st.tuples(st.integers(1, 600), st.sampled_from([1, 2, 7, 33])), elements=finite),
    st.integers(0, 2**32 - 1),
    st.integers(1, 700),
)
def test_directions_against_every_row_in_float64_and_each_row_scored_alone(vectors, seed, k):
    random = np.random.default_rng(seed)
    query, like = random.standard_normal((2, vectors.shape[1])).astype(np.float32)
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    expected = exact @ query + np.divide(exact @ like, lengths, out=np.zeros(len(exact)), where=lengths > 0)
    scores, rows = best_rows(vectors, query, k, like=like)
    np.testing.assert_allclose(scores, np.sort(expected)[::-1][:k], rtol=1e-5, atol=1e-4 * (1 + lengths.max()))
    np.testing.assert_allclose(scores, expected[rows], rtol=1e-5, atol=1e-4 * (1 + lengths.max()))
    assert len(set(rows.tolist())) == min(k, len(vectors))
    for score, row in zip(scores[:20], rows[:20], strict=True):
        alone, _ = best_rows(vectors[row : row + 1], query, 1, like=like)
        assert alone[0] == score, "a score depends on the rows around it"


def test_directions_of_many_rows_shared_out_among_threads():
    random = np.random.default_rng(3)
    vectors = random.standard_normal((20_001, 8)).astype(np.float16)
    query, like = random.standard_normal((2, 8)).astype(np.float32)
    everything = best_rows(vectors, query, len(vectors), like=like)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        shared = best_rows(vectors, query, len(vectors), like=like)
    finally:
        faiss.omp_set_num_threads(before)
    assert [part.tolist() for part in shared] == [part.tolist() for part in everything]


# Clusters


def test_clusters_that_lie_apart_are_found_the_same_way_each_time():
    random = np.random.default_rng(2)
    corners = np.array([[100, 0], [0, 100], [-100, -100]], np.float32)
    vectors = np.repeat(corners, 40, axis=0) + random.standard_normal((120, 2)).astype(np.float32)
    centroids = cluster(vectors, 3)
    assert (centroids.dtype, centroids.shape) == (np.float16, (3, 2))
    found = nearest(centroids, vectors)
    assert found.tolist() == np.repeat(nearest(centroids, corners), 40).tolist()
    assert sorted(nearest(centroids, corners)) == [0, 1, 2]
    np.testing.assert_array_equal(cluster(vectors, 3), centroids)


def test_the_nearest_centroid_is_that_at_the_least_distance_not_of_the_highest_product():
    centroids = np.array([[1, 0], [10, 0]], np.float16)
    assert nearest(centroids, np.array([[1, 0], [9, 0], [5, 0], [6, 0]], np.float32)).tolist() == [0, 1, 0, 1]


# Two runtimes in one process


def test_on_macos_one_thread_and_the_duplicate_runtime_is_allowed(monkeypatch):
    threads = faiss.omp_get_max_threads()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "")
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK")
    try:
        assert kernels._faiss() is faiss
        assert os.environ["KMP_DUPLICATE_LIB_OK"] == "TRUE"
        assert faiss.omp_get_max_threads() == 1
    finally:
        faiss.omp_set_num_threads(threads)


def test_elsewhere_threads_and_environment_are_left_alone(monkeypatch):
    threads = faiss.omp_get_max_threads()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK", raising=False)
    assert kernels._faiss() is faiss
    assert "KMP_DUPLICATE_LIB_OK" not in os.environ
    assert faiss.omp_get_max_threads() == threads


def test_faiss_is_imported_only_once_it_is_needed():
    code = "import sys, pe_search.store; sys.exit('faiss' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
