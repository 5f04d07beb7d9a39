"""The FAISS index against inner products worked out by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from pe_search.store import index as index_module
from pe_search.store.index import Index

VECTORS = np.array([[1, 0], [0, 1], [2, 2], [-1, 0], [0.5, 0.5]], np.float32)
IDS = np.array([7, 3, 10, 2**40, 5], np.int64)


@pytest.fixture
def index() -> Index:
    return Index.build(IDS, VECTORS)


def pairs(index: Index, query: list[float], k: int, among: list[int] | None = None) -> list[tuple[float, int]]:
    scores, ids = index.search(np.array(query, np.float32), k, None if among is None else np.array(among, np.int64))
    assert scores.dtype == np.float32
    assert ids.dtype == np.int64
    return list(zip(scores.tolist(), ids.tolist(), strict=True))


def test_the_scores_are_plain_inner_products_best_first(index):
    assert len(index) == 5
    assert pairs(index, [2, 1], 5) == [(6.0, 10), (2.0, 7), (1.5, 5), (1.0, 3), (-2.0, 2**40)]
    assert pairs(index, [2, 1], 2) == [(6.0, 10), (2.0, 7)]


def test_no_more_than_there_are(index):
    assert len(pairs(index, [1, 0], 99)) == 5


def test_only_among_the_given_windows(index):
    assert pairs(index, [2, 1], 2, among=[3, 5, 2**40]) == [(1.5, 5), (1.0, 3)]
    assert pairs(index, [2, 1], 9, among=[3, 2**40]) == [(1.0, 3), (-2.0, 2**40)]
    # A window that came into the catalog after the index was made.
    assert pairs(index, [2, 1], 9, among=[3, 999]) == [(1.0, 3)]
    assert pairs(index, [2, 1], 9, among=[999]) == []


def test_an_index_of_nothing():
    index = Index.build(np.empty(0, np.int64), np.empty((0, 2), np.float32))
    assert len(index) == 0
    assert pairs(index, [1, 0], 3) == []


def test_the_same_embedding_has_the_same_score_wherever_it_is():
    # Equal scores are ordered by path; that needs them to be equal to the last bit.
    random = np.random.default_rng(0)
    for dimension in (2, 7, 64, 513, 1024):
        vectors = random.standard_normal((203, dimension)).astype(np.float32)
        twins = np.sort(random.choice(203, 50, replace=False))
        vectors[twins] = vectors[twins[0]]
        index = Index.build(np.arange(203), vectors)
        query = random.standard_normal(dimension).astype(np.float32)
        scores = set()
        for k, among in ((203, None), (100, None), (203, twins), (60, np.arange(0, 203, 2))):
            scores.update(score for score, place in zip(*index.search(query, k, among), strict=True) if place in twins)
        assert len(scores) == 1


def test_scores_are_right_to_the_precision_of_a_float():
    random = np.random.default_rng(1)
    vectors = random.standard_normal((500, 256)).astype(np.float32)
    query = random.standard_normal(256).astype(np.float32)
    scores, ids = Index.build(np.arange(500), vectors).search(query, 500)
    exact = vectors.astype(np.float64) @ query.astype(np.float64)
    np.testing.assert_allclose(scores, exact[ids], rtol=1e-5, atol=1e-5)
    assert (np.diff(scores) <= 0).all()
    assert sorted(ids) == list(range(500))


# On disk


def test_what_is_written_is_read(tmp_path, index):
    index.write(tmp_path / "a.faiss")
    again = Index.read(tmp_path / "a.faiss", 2)
    assert pairs(again, [2, 1], 5) == pairs(index, [2, 1], 5)
    assert [file.name for file in tmp_path.iterdir()] == ["a.faiss"]


def test_it_is_written_over_what_was_there(tmp_path, index):
    Index.build(IDS[:1], VECTORS[:1]).write(tmp_path / "a.faiss")
    index.write(tmp_path / "a.faiss")
    assert len(Index.read(tmp_path / "a.faiss", 2)) == 5


def test_the_directory_may_have_a_name_that_is_not_utf8(tmp_path, index):
    directory = tmp_path / os.fsdecode(b"\xff s")
    directory.mkdir()
    index.write(directory / "a.faiss")
    assert len(Index.read(directory / "a.faiss", 2)) == 5


def test_there_is_none(tmp_path):
    assert Index.read(tmp_path / "a.faiss", 2) is None
    assert Index.read(tmp_path / "gone" / "a.faiss", 2) is None
    assert Index.read(tmp_path, 2) is None


def test_an_index_of_another_dimension_is_none(tmp_path, index):
    index.write(tmp_path / "a.faiss")
    assert Index.read(tmp_path / "a.faiss", 3) is None


def test_an_index_of_another_kind_is_none(tmp_path):
    flat = faiss.IndexFlatIP(2)
    flat.add(VECTORS)
    faiss.write_index(flat, str(tmp_path / "a.faiss"))
    assert Index.read(tmp_path / "a.faiss", 2) is None


def test_an_index_that_breaks_off_anywhere_is_none(tmp_path, index):
    path = tmp_path / "a.faiss"
    index.write(path)
    content = path.read_bytes()
    for kept in range(len(content)):
        path.write_bytes(content[:kept])
        assert Index.read(path, 2) is None, kept


@pytest.mark.parametrize("content", [b"words" * 100, bytes(200), b"\xff" * 200], ids=["words", "zeros", "ones"])
def test_a_file_that_is_no_index_is_none(tmp_path, content):
    (tmp_path / "a.faiss").write_bytes(content)
    assert Index.read(tmp_path / "a.faiss", 2) is None


def test_an_index_that_asks_for_more_memory_than_there_is_is_none(tmp_path, index, monkeypatch):
    def ask_for_much(_):
        raise MemoryError("std::bad_alloc")  # what faiss makes of a damaged count

    index.write(tmp_path / "a.faiss")
    monkeypatch.setattr(faiss, "read_index", ask_for_much)
    assert Index.read(tmp_path / "a.faiss", 2) is None


def test_writing_that_fails_leaves_what_was_there_and_no_draft(tmp_path, index, monkeypatch):
    path = tmp_path / "a.faiss"
    index.write(path)

    class Full:
        def __init__(self, write):
            self.write = write

        def __call__(self, chunk):
            self.write(chunk[:10])
            raise OSError(28, "No space left on device")

    writer = faiss.PyCallbackIOWriter
    monkeypatch.setattr(faiss, "PyCallbackIOWriter", lambda write, *options: writer(Full(write), *options))
    with pytest.raises(OSError, match="No space left on device"):
        Index.build(IDS[:1], VECTORS[:1]).write(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.faiss"]
    assert len(Index.read(path, 2)) == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_an_error_of_the_system(tmp_path, index):
    (tmp_path / "a.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        index.write(tmp_path / "a.faiss")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_an_error_of_the_system(tmp_path, index):
    with pytest.raises(FileNotFoundError):
        index.write(tmp_path / "gone" / "a.faiss")


# Two runtimes in one process


def test_on_macos_one_thread_and_the_duplicate_runtime_is_allowed(monkeypatch):
    threads = faiss.omp_get_max_threads()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "")
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK")
    try:
        assert index_module._faiss() is faiss
        assert os.environ["KMP_DUPLICATE_LIB_OK"] == "TRUE"
        assert faiss.omp_get_max_threads() == 1
    finally:
        faiss.omp_set_num_threads(threads)


def test_elsewhere_threads_and_environment_are_left_alone(monkeypatch):
    threads = faiss.omp_get_max_threads()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK", raising=False)
    assert index_module._faiss() is faiss
    assert "KMP_DUPLICATE_LIB_OK" not in os.environ
    assert faiss.omp_get_max_threads() == threads


def test_faiss_is_imported_only_once_it_is_needed():
    code = "import sys, pe_search.store; sys.exit('faiss' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
