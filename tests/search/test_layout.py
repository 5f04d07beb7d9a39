"""The map by PaCMAP: that neighbours stay together, what is kept of it, and what can go wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pe_search
from pe_search.errors import MissingExtraError, PeSearchError
from pe_search.maps import SoundMap
from pe_search.search import layout
from pe_search.search.layout import from_kept, is_enough, lay_out


def map_of(vectors: np.ndarray, first: int = 0) -> SoundMap:
    """A map of windows of 1 s, each of a clip of its own."""
    count = len(vectors)
    numbers = range(first, first + count)
    paths = tuple(Path(f"/s/{number}.wav") for number in numbers)
    digests = tuple(number.to_bytes(32, "big") for number in numbers)
    times = np.tile([0.0, 1.0], (count, 1))
    return SoundMap(paths, np.zeros((count, 2), np.float32), vectors.astype(np.float32), digests, times, "windows")


def groups(count: int) -> np.ndarray:
    """Vectors of shape (4 × count, 16) in four groups that are far from each other."""
    rng = np.random.default_rng(0)
    return np.repeat(10 * np.eye(16)[:4], count, axis=0) + rng.normal(size=(4 * count, 16))


@pytest.fixture(autouse=True)
def _installed(request):
    """Only one test calls PaCMAP."""
    if "slow" in request.keywords:
        pytest.importorskip("pacmap")
    request.getfixturevalue("monkeypatch").setattr(layout, "find_spec", lambda _name: True)


def as_if_fitted(vectors: np.ndarray, _check: object) -> np.ndarray:
    """In place of PaCMAP: the first two numbers."""
    return vectors[:, :2]


@pytest.mark.slow
def test_neighbours_stay_together_and_the_map_is_the_same_each_time():
    held = map_of(groups(25))
    kept = lay_out(held)
    found = from_kept(held, kept)
    assert (found.layout, found.of, found.paths) == ("pacmap", "windows", held.paths)
    assert found.points.min() >= 0
    assert found.points.max() <= 1
    far = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    np.fill_diagonal(far, np.inf)
    np.testing.assert_array_equal(far.argmin(axis=1) // 25, np.arange(100) // 25)
    assert lay_out(held) == kept


def test_what_is_kept_stays_until_a_tenth_is_new_or_gone(monkeypatch):
    monkeypatch.setattr(layout, "_fitted", as_if_fitted)
    vectors = groups(25)
    held = map_of(vectors)
    kept = lay_out(held)
    points = from_kept(held, kept).points
    # Ten of 110 are new: each lies where the mean of the three is that are most like it.
    more = map_of(np.concatenate([vectors, vectors[:10] + 0.001]))
    found = from_kept(more, kept)
    np.testing.assert_array_equal(found.points[:100], points)
    reduced = layout.principal(more.means, layout._DIMENSIONS)
    for row in range(100, 110):
        nearest = np.linalg.norm(reduced[:100] - reduced[row], axis=1).argsort()[:3]
        np.testing.assert_allclose(found.points[row], points[nearest].mean(axis=0), rtol=1e-5)
    assert from_kept(map_of(np.concatenate([vectors, vectors[:12]])), kept) is None
    assert from_kept(map_of(vectors[10:], first=10), kept) is not None
    assert from_kept(map_of(vectors[11:], first=11), kept) is None


def test_copies_are_one_dot(monkeypatch):
    monkeypatch.setattr(layout, "_fitted", as_if_fitted)
    one = map_of(groups(8))
    held = SoundMap(
        one.paths * 2,
        np.tile(one.points, (2, 1)),
        np.tile(one.means, (2, 1)),
        one.digests * 2,
        np.tile(one.times, (2, 1)),
    )
    kept = lay_out(held)
    assert len(kept) == 32 * layout._KEPT.itemsize
    points = from_kept(held, kept).points
    np.testing.assert_array_equal(points[:32], points[32:])
    few = SoundMap(*(getattr(held, name)[:29] for name in ("paths", "points", "means", "digests", "times")))
    assert (is_enough(held), is_enough(few)) == (True, False)


def test_of_many_dots_some_are_laid_out_and_the_others_lie_among_them(monkeypatch):
    monkeypatch.setattr(layout, "MOST_FITTED", 40)
    fitted = []

    def fit(vectors: np.ndarray, _check: object) -> np.ndarray:
        fitted.append(len(vectors))
        return vectors[:, :2]

    monkeypatch.setattr(layout, "_fitted", fit)
    held = map_of(groups(25))
    points = from_kept(held, lay_out(held)).points
    assert fitted == [40]
    assert np.isfinite(points).all()
    middles = np.array([points[25 * group : 25 * group + 25].mean(axis=0) for group in range(4)])
    nearest = np.linalg.norm(points[:, None] - middles[None], axis=2).argmin(axis=1)
    assert (nearest == np.arange(100) // 25).mean() > 0.9


@pytest.mark.parametrize("kept", [b"", b"x" * 15, b"\xff" * 16, b"\0" * 8 + np.array([2, 0], "<f4").tobytes()])
def test_what_is_damaged_is_not_taken(kept):
    assert from_kept(map_of(groups(8)), kept) is None


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit('it has no heart')", "PaCMAP failed, so there is no map by it: it has no heart"),
        ("", "PaCMAP failed, so there is no map by it: status 0"),
    ],
)
def test_what_fails_says_why(monkeypatch, program, said):
    monkeypatch.setattr(layout, "_PROGRAM", program)
    with pytest.raises(PeSearchError, match=said):
        lay_out(map_of(groups(8)))


def test_what_takes_too_long_and_what_nobody_wants_any_more_ends(monkeypatch):
    monkeypatch.setattr(layout, "_PROGRAM", "import time; time.sleep(600)")

    def stop() -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        lay_out(map_of(groups(8)), stop)
    monkeypatch.setattr(layout, "LONGEST_S", 0.0)
    with pytest.raises(PeSearchError, match="was given up: it took longer than 0 minutes"):
        lay_out(map_of(groups(8)))


def test_without_pacmap_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(layout, "find_spec", lambda _name: None)
    with pytest.raises(
        MissingExtraError, match=r"needs pacmap, which is not installed: `pip install 'pe-search\[map\]'`"
    ):
        lay_out(map_of(groups(8)))


def test_the_library_keeps_the_map_beside_previews(tmp_path, monkeypatch):
    from tests.search.test_mapping import make_store

    monkeypatch.setattr(layout, "_fitted", as_if_fitted)
    directory = make_store(tmp_path / "store", [vector[None] for vector in groups(10)])
    with pe_search.open(directory) as library:
        plain = library.sound_map(of="windows")
        assert library.laid_out(plain, only_kept=True) is None
        found = library.sound_map(of="windows", layout="pacmap")
        assert (plain.layout, found.layout) == ("pca", "pacmap")
        assert len(list((directory / "previews").iterdir())) == 1
        monkeypatch.setattr(layout, "_fitted", lambda *_: pytest.fail("it is kept"))
        np.testing.assert_array_equal(library.sound_map(of="windows", layout="pacmap").points, found.points)
        assert library.laid_out(library.sound_map(of="clips"), only_kept=True) is None
        for wrong in ({"of": "files"}, {"layout": "umap"}):
            with pytest.raises(ValueError, match="must be one of"):
                library.sound_map(**wrong)
