"""One store takes over what another holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pe_search.descriptions import DESCRIBE
from pe_search.errors import StoreError
from pe_search.known.words import read_words
from pe_search.queries import Filters
from pe_search.records import Clip, LeftOut, ModelAnswer
from pe_search.store import Manifest, Store
from pe_search.store import merge as merge_module
from pe_search.store.answers import write_answers
from pe_search.store.catalog import Catalog
from pe_search.store.finder import INDEX_FILE
from pe_search.store.index import open_index
from pe_search.store.merge import merge
from tests.made_up import put_clips

MANIFEST = Manifest("builtin", "c0ffee", 2, 10.0, 10.0, 48_000, 1.0, 0.0)


@pytest.fixture
def stores(tmp_path):
    """Two empty stores, both open for writing."""
    with Store.create(tmp_path / "one", MANIFEST) as one, Store.create(tmp_path / "other", MANIFEST) as other:
        yield one, other


def put(store: Store, clips: dict[str, list[float]], modified_ns: int = 6) -> None:
    """Clips with a window for each number, whose embedding is (number, 1)."""
    put_clips(
        store,
        [
            (
                Clip(Path(path), 5, modified_ns),
                [(10.0 * row, 10.0 * row + 10.0) for row in range(len(numbers))],
                np.array([(number, 1) for number in numbers], np.float32),
            )
            for path, numbers in clips.items()
        ],
    )


def held(store: Store) -> dict[str, list[float]]:
    with store.catalog.snapshot():
        return {str(clip.path): content.embeddings[:, 0].tolist() for clip, content in store.embedded_clips()}


def test_what_the_other_holds_comes_in_and_what_is_held_stays(stores):
    one, other = stores
    put(one, {"/a.wav": [1], "/b.wav": [2, 3]})
    put(other, {"/c.wav": [4, 5], "/d.wav": [2, 3]})
    assert merge(one, other) == 2
    assert held(one) == {"/a.wav": [1], "/b.wav": [2, 3], "/c.wav": [4, 5], "/d.wav": [2, 3]}
    assert held(other) == {"/c.wav": [4, 5], "/d.wav": [2, 3]}
    assert one.catalog.holdings().contents == 3
    assert [match.path for match in one.finder.best_matches(np.array([1, 0], np.float32), 2).best] == [
        Path("/c.wav"),
        Path("/b.wav"),
    ]
    index = open_index(one.directory / INDEX_FILE, one.catalog.identity, 2)
    assert len(index) == one.catalog.window_count() == 5


def test_captions_come_along_and_clips_are_found_by_them(stores):
    one, other = stores
    put(one, {"/a.wav": [1]})
    put(other, {"/c.wav": [4]})
    (digest,) = other.catalog.digests()
    write_answers(other.catalog, [ModelAnswer(digest, 0.0, 10.0, "m", "r", DESCRIBE, "A dog.", 1)])
    merge(one, other)
    assert [named.path for named in one.finder.lookup.named(read_words("dog"), None, Filters(), None)] == [
        Path("/c.wav")
    ]


def test_a_merged_store_answers_as_one_indexed_in_one_go(stores, tmp_path):
    one, other = stores
    random = np.random.default_rng(0)
    clips = {f"/{number}.wav": random.integers(-50, 50, int(random.integers(1, 9))).tolist() for number in range(60)}
    names = list(clips)
    put(one, {name: clips[name] for name in names[:40]})
    put(other, {name: clips[name] for name in names[20:]})
    merge(one, other)
    with Store.create(tmp_path / "whole", MANIFEST) as whole:
        put(whole, clips)
        assert held(one) == held(whole)
        assert one.catalog.holdings() == whole.catalog.holdings()
        for query in np.eye(2, dtype=np.float32):
            assert (
                one.finder.best_matches(query, 99, all_windows=True).best
                == whole.finder.best_matches(query, 99, all_windows=True).best
            )


@pytest.mark.parametrize(("ours", "theirs", "winner"), [(6, 6, 1), (6, 7, 2), (7, 6, 1)])
def test_of_a_clip_that_both_hold_the_later_one_stays(stores, ours, theirs, winner):
    one, other = stores
    put(one, {"/a.wav": [1]}, ours)
    put(other, {"/a.wav": [2]}, theirs)
    assert merge(one, other) == winner - 1
    assert held(one) == {"/a.wav": [winner]}
    assert one.catalog.holdings().contents == len(one.catalog.digests()) == 1


def test_a_second_merge_changes_nothing(stores):
    one, other = stores
    put(other, {"/a.wav": [1], "/b.wav": [2]})
    assert merge(one, other) == 2
    before = {file: file.stat().st_mtime_ns for file in one.directory.iterdir()}
    assert merge(one, other) == 0
    assert {file: file.stat().st_mtime_ns for file in one.directory.iterdir()} == before


def test_a_merge_that_is_cut_short_goes_on(stores, monkeypatch):
    one, other = stores
    put(other, {f"/{number}.wav": [number] for number in range(9)})
    monkeypatch.setattr(merge_module, "_WINDOWS_PER_COMMIT", 2)
    commit = Catalog.commit
    commits = []

    def cut_short(self, **changes):
        commits.append(changes)
        if len(commits) == 3:
            raise KeyboardInterrupt
        commit(self, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "commit", cut_short)
        with pytest.raises(KeyboardInterrupt):
            merge(one, other)
    assert held(one) == {f"/{number}.wav": [number] for number in range(4)}
    assert merge(one, other) == 5
    assert held(one) == held(other)


def test_what_was_left_out_comes_along_unless_something_is_known_of_it(stores):
    one, other = stores
    put(one, {"/a.wav": [1]})
    put(other, {"/b.wav": [1]})
    rows = {name: LeftOut(Clip(Path(f"/{name}.wav"), 5, 6), f"of {name}") for name in "abcd"}
    mine = LeftOut(Clip(Path("/c.wav"), 5, 6), "mine")
    one.catalog.commit(left_out=[mine])
    other.catalog.commit(left_out=[rows["a"], rows["c"], rows["d"]])
    merge(one, other)
    assert one.catalog.left_out() == [mine, rows["d"]]
    assert set(held(one)) == {"/a.wav", "/b.wav"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "other"),
        ("revision", "f00"),
        ("dimension", 3),
        ("logit_bias", 1.0),
    ],
)
def test_another_manifest_does_not_fit(stores, tmp_path, name, value):
    other = dataclasses.replace(MANIFEST, **{name: value})
    with Store.create(tmp_path / "misfit", other) as misfit, pytest.raises(StoreError) as caught:
        merge(stores[0], misfit)
    assert str(caught.value) == (
        f"The store at {tmp_path}/misfit does not match the one at {tmp_path}/one: its {name} is {value}, not "
        f"{getattr(MANIFEST, name)}."
    )


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"window_s": 20.0}, f"20 s every {MANIFEST.hop_s:g} s"),
        ({"hop_s": 2.5}, f"{MANIFEST.window_s:g} s every 2.5 s"),
        ({"window_s": 5.0, "hop_s": 2.5}, "5 s every 2.5 s"),
    ],
)
def test_other_windows_do_not_fit(stores, tmp_path, changes, windows):
    other = dataclasses.replace(MANIFEST, **changes)
    with Store.create(tmp_path / "misfit", other) as misfit, pytest.raises(StoreError) as caught:
        merge(stores[0], misfit)
    assert str(caught.value) == (
        f"The store at {tmp_path}/misfit does not match the one at {tmp_path}/one: it has windows of {windows}, this "
        f"store {MANIFEST.window_s:g} s every {MANIFEST.hop_s:g} s."
    )


def test_a_store_is_not_merged_into_itself(stores, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "one")
    with Store.open(tmp_path / "link") as same, pytest.raises(StoreError, match="can't be merged into itself"):
        merge(stores[0], same)


def test_what_a_writer_of_the_other_commits_meanwhile_is_left_to_the_next_merge(stores, monkeypatch, tmp_path):
    one, other = stores
    put(other, {"/a.wav": [1], "/b.wav": [2]})
    monkeypatch.setattr(merge_module, "_WINDOWS_PER_COMMIT", 1)
    commit = Catalog.commit

    def and_the_other_changes(self, **changes):
        commit(self, **changes)
        if self is one.catalog:
            commit(other.catalog, removed=[Path("/b.wav")])
            other.catalog.drop_unused_contents()

    with Store.open(tmp_path / "other") as reader, monkeypatch.context() as patch:
        patch.setattr(Catalog, "commit", and_the_other_changes)
        assert merge(one, reader) == 2
    assert held(one) == {"/a.wav": [1], "/b.wav": [2]}
    assert held(other) == {"/a.wav": [1]}
