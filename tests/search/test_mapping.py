"""The map and outliers, against oracles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pe_search
from pe_search.records import Clip
from pe_search.search import mapping
from pe_search.search.mapping import likeness_to_neighbours, map_sounds
from pe_search.store import Store
from tests.made_up import manifest, put_clips


def make_store(directory: Path, vectors: list[np.ndarray]) -> Path:
    with Store.create(directory, manifest(dimension=vectors[0].shape[1])) as store:
        clips = []
        for number, rows in enumerate(vectors):
            times = [(10.0 * row, 10.0 * (row + 1)) for row in range(len(rows))]
            clips.append((Clip(Path(f"/s/{number:03}.wav"), 1, 1), times, rows.astype(np.float32)))
        put_clips(store, clips)
    return directory


def test_the_map_has_the_two_directions_in_which_clips_differ_most(tmp_path):
    rng = np.random.default_rng(1)
    vectors = [
        (np.array([8.0, 0, 0, 0, 1]) + rng.normal(size=5) * [0.01, 2, 0.5, 0.05, 0.01])[None, :] for _ in range(60)
    ]
    with Store.open(make_store(tmp_path / "store", vectors)) as store:
        found = map_sounds(store)
        again = map_sounds(store)
    assert found.paths == tuple(Path(f"/s/{number:03}.wav") for number in range(60))
    np.testing.assert_array_equal(found.points, again.points)
    rows = np.concatenate(vectors).astype(np.float16).astype(np.float64)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    expected = (units - units.mean(axis=0)) @ axes[:2].T
    for axis in range(2):
        assert abs(np.corrcoef(found.points[:, axis], expected[:, axis])[0, 1]) > 0.99
    assert found.points.min() >= 0
    assert found.points.max() <= 1


def test_a_clip_is_where_the_mean_of_its_windows_is(tmp_path):
    vectors = [np.array([[1.0, 0, 0], [0, 1, 0]]), np.array([[0, 0, 1.0]])]
    with Store.open(make_store(tmp_path / "store", vectors)) as store:
        np.testing.assert_allclose(map_sounds(store).means, [[0.5, 0.5, 0], [0, 0, 1]])


def test_windows_are_dots_of_their_own_and_of_many_some_are_drawn(tmp_path, monkeypatch):
    vectors = [np.eye(4)[[0, 1]], np.eye(4)[[2, 3, 0]]]
    with Store.open(make_store(tmp_path / "store", vectors)) as store:
        found = map_sounds(store, "windows")
        clips = map_sounds(store)
        assert [path.name for path in found.paths] == ["000.wav"] * 2 + ["001.wav"] * 3
        assert found.times.tolist() == [[0, 10], [10, 20], [0, 10], [10, 20], [20, 30]]
        np.testing.assert_array_equal(found.means, np.concatenate(vectors))
        assert (found.of, clips.of, found.layout) == ("windows", "clips", "pca")
        assert clips.times.tolist() == [[0, 20], [0, 30]]
        assert found.digests == tuple(clips.digests[clip] for clip in (0, 0, 1, 1, 1))
        monkeypatch.setattr(mapping, "MOST_WINDOWS", 3)
        some, again = map_sounds(store, "windows"), map_sounds(store, "windows")
    assert len(some.paths) == 3
    rows = [
        found.times.tolist().index(one, 2 * (path.name == "001.wav"))
        for path, one in zip(some.paths, some.times.tolist(), strict=True)
    ]
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(some.means, found.means[rows])
    np.testing.assert_array_equal(some.points, again.points)


def test_a_store_without_clips_has_an_empty_map(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as store:
        found = map_sounds(store)
    assert (found.paths, found.points.shape, found.means.shape) == ((), (0, 2), (0, 3))


@pytest.mark.parametrize("at_once", [7, 1_024])
def test_likeness_is_the_mean_cosine_to_the_ten_nearest(monkeypatch, at_once):
    monkeypatch.setattr(mapping, "_ROWS_AT_ONCE", at_once)
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    expected = [np.sort(np.delete(cosines[row], row))[-10:].mean() for row in range(40)]
    np.testing.assert_allclose(likeness_to_neighbours(vectors), expected, rtol=1e-5)


def test_few_clips_have_as_many_neighbours_as_there_are():
    assert likeness_to_neighbours(np.array([[2.0, 0]], np.float32)).tolist() == [1]
    found = likeness_to_neighbours(np.array([[2.0, 0], [1, 0], [0, 3]], np.float32))
    np.testing.assert_allclose(found, [0.5, 0.5, 0])


def test_in_a_large_store_each_is_compared_with_a_drawing(monkeypatch):
    monkeypatch.setattr(mapping, "_MOST_OTHERS", 30)
    vectors = np.tile(np.eye(4, dtype=np.float32), (20, 1))
    vectors = np.concatenate([vectors, -np.ones((1, 4), np.float32)])
    found = likeness_to_neighbours(vectors)
    assert found.argmin() == 80
    np.testing.assert_array_equal(found, likeness_to_neighbours(vectors))


def test_the_outlier_comes_first(tmp_path):
    near = [np.array([[1.0, 0.01 * number, 0]]) for number in range(12)]
    store = make_store(tmp_path / "store", [*near, np.array([[0, 0, 1.0]])])
    with pe_search.open(store) as library:
        found = library.outliers(2)
    assert found[0][0].name == "012.wav"
    assert found[0][1] == pytest.approx(0, abs=1e-3)
    assert len(found) == 2


@pytest.mark.parametrize("clips", [1, 2, 3, 60])
def test_clips_that_do_not_differ_are_in_the_middle(tmp_path, clips):
    """And the rest that rounding leaves is no difference."""
    vector = np.random.default_rng(0).normal(size=(1, 512))
    with Store.open(make_store(tmp_path / "store", [vector] * clips)) as store:
        assert map_sounds(store).points.tolist() == [[0.5, 0.5]] * clips


def test_two_sounds_differ_in_one_direction_alone(tmp_path):
    vectors = list(np.random.default_rng(0).normal(size=(2, 1, 512)))
    with Store.open(make_store(tmp_path / "store", [vectors[0]] * 25 + [vectors[1]] * 25)) as store:
        points = map_sounds(store).points
    assert len(np.unique(points[:25], axis=0)) == len(np.unique(points[25:], axis=0)) == 1
    assert (points[:, 1] == 0.5).all()
    assert abs(points[0, 0] - points[25, 0]) == pytest.approx(1 / 1.2, abs=1e-3)
