"""A store in Milvus answers as one in a folder does."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from pe_search.directories import store_at
from pe_search.errors import StoreError
from pe_search.queries import Filters
from pe_search.records import Clip, Content, IndexedClip, LeftOut
from pe_search.store import Store
from pe_search.store.facts import write_tags
from pe_search.store.merge import merge
from pe_search.store.milvus import finder as finder_module
from pe_search.store.milvus.finder import expression_of
from tests.made_up import manifest
from tests.recordings import MANIFEST, Recording, put

FOLDERS = ("/s/a", "/s/b", "/t")


def fill(store: Store, clips: int = 60) -> None:
    """Clips of several windows; some with the bytes of another, and many with equal scores."""
    random = np.random.default_rng(5)
    for first in range(0, clips, 20):
        put(
            store,
            *(
                Recording(
                    f"{FOLDERS[number % 3]}/{number}.wav",
                    random.integers(-3, 4, 1 + number % 4).tolist(),
                    random.integers(-3, 4, 1 + number % 4).tolist(),
                    content=f"content {number // 2}" if number % 10 == 1 else None,
                )
                for number in range(first, first + 20)
            ),
        )
    store.catalog.commit(left_out=[LeftOut(Clip(Path("/s/bad.wav"), 1, 1), "is no audio")])
    tagged = [clip.digest for clip in store.clips() if clip.path.name.endswith("5.wav")]
    write_tags(store.catalog, added=[(digest, "five") for digest in tagged], removed=())
    store.finder.refresh()


def answers(store: Store) -> list[object]:
    """What a store answers, in all the ways there are."""
    queries = np.random.default_rng(6).normal(size=(4, 3)).astype(np.float32)
    queries = np.concatenate([queries, np.eye(3, dtype=np.float32)[:2]])
    return [
        store.finder.best_matches(query, k, **options)
        for query in queries
        for k in (1, 7, None)
        for options in (
            {},
            {"all_windows": True},
            {"under": Path("/s/b")},
            {"filters": Filters(tags=("five",))},
            {"like": queries[0] / 3, "under": Path("/s")},
            {"exact": True},
        )
    ]


def clips(store: Store) -> list[IndexedClip]:
    """What is known of the clips, but for when they were indexed."""
    return [dataclasses.replace(clip, indexed_at_s=None) for clip in store.clips()]


@pytest.mark.parametrize(("few", "listed"), [(0, 0), (0, 16_384), (512, 0)])
def test_answers_are_those_of_a_store_in_a_folder(both, monkeypatch, few, listed):
    monkeypatch.setattr(finder_module, "_FEW", few)
    monkeypatch.setattr(finder_module, "_LISTED", listed)
    monkeypatch.setattr(finder_module, "_AT_LEAST", 1)
    monkeypatch.setattr(finder_module, "_AT_LEAST_LIKE", 1)
    ours, local = both
    for store in both:
        fill(store)
    assert answers(ours) == answers(local)
    assert clips(ours) == clips(local)
    assert ours.catalog.holdings() == local.catalog.holdings()
    assert ours.catalog.left_out() == local.catalog.left_out()
    [(ids, vectors)], [(local_ids, local_vectors)] = list(ours.catalog.embeddings()), list(local.catalog.embeddings())
    assert (ids.tolist(), vectors.tobytes()) == (local_ids.tolist(), local_vectors.tobytes())


def test_a_mirror_that_was_deleted_is_made_again(both, address, cache):
    ours, local = both
    for store in both:
        fill(store, 20)
        store.catalog.commit(removed=[Path("/s/a/3.wav"), Path("/t/2.wav")])
        store.catalog.drop_unused_contents()
        store.finder.refresh()
    ours.__exit__()
    shutil.rmtree(cache)
    with Store.open(store_at(address)) as again:
        assert answers(again) == answers(local)
        assert again.catalog.find_damage() == []
        assert clips(again) == clips(local)


def test_a_reader_sees_what_is_committed_after_it_was_opened(address):
    with Store.create(store_at(address), MANIFEST) as ours:
        put(ours, Recording("/a.wav", [1.0]))
        with Store.open(store_at(address)) as reader:
            put(ours, Recording("/b.wav", [2.0]))
            found = reader.finder.best_matches(np.eye(3, dtype=np.float32)[0], 5).best
            assert [str(match.path) for match in found] == ["/b.wav", "/a.wav"]
            assert not reader.is_as_opened()


def test_what_was_written_and_not_committed_is_not_there_and_is_deleted_in_time(address):
    with Store.create(store_at(address), MANIFEST) as ours:
        put(ours, Recording("/a.wav", [1.0, -1.0]))
        server = ours._mirror._server
        # With ids that others have, or will have.
        server.put_vectors([("00" * 16, 1, np.full(3, 9, np.float16)), ("ff" * 16, 3, np.full(3, 9, np.float16))])
        put(ours, Recording("/b.wav", [2.0]))
        found = ours.finder.best_matches(np.eye(3, dtype=np.float32)[0], 5).best
        assert [(str(match.path), match.score) for match in found] == [("/b.wav", 2.0), ("/a.wav", 1.0)]
        assert server.window_count() == 5
        ours.finder.refresh()
        assert server.window_count() == 3


def test_removed_clips_leave_no_embeddings_and_may_come_back(address):
    with Store.create(store_at(address), MANIFEST) as ours:
        put(ours, Recording("/a.wav", [1.0, -1.0]), Recording("/b.wav", [2.0]))
        ours.catalog.commit(removed=[Path("/a.wav")])
        ours.catalog.drop_unused_contents()
        put(ours, Recording("/a.wav", [1.0, -1.0]))
        ours.finder.refresh()
        assert ours._mirror._server.window_count() == 3
        ours.catalog.commit(removed=[Path("/a.wav")])
        ours.catalog.drop_unused_contents()
        ours.finder.refresh()
        assert ours._mirror._server.window_count() == 1


def test_stores_are_merged_both_ways(both, tmp_path):
    ours, local = both
    fill(local, 20)
    assert merge(ours, local) == 20
    assert answers(ours) == answers(local)
    with Store.create(tmp_path / "back", MANIFEST) as back:
        assert merge(back, ours) == 20
        assert answers(back) == answers(local)


def test_an_embedding_that_changed_in_milvus_is_damage(address):
    with Store.create(store_at(address), MANIFEST) as ours:
        put(ours, Recording("/a.wav", [1.0]))
        keys = [key for keys in ours._mirror._server.each_keys() for key in keys]
        ours._mirror._server.put_vectors([(keys[0], 1, np.full(3, 9, np.float16))])
        with pytest.raises(StoreError, match=r"the window of /a\.wav at 0-10 s is not as it was written"):
            ours.catalog.content(Path("/a.wav"))


def test_another_manifest_is_refused(address):
    with Store.create(store_at(address), MANIFEST):
        pass
    with pytest.raises(StoreError, match="already a store at milvus:"):
        Store.create(store_at(address), MANIFEST)
    with pytest.raises(StoreError, match="has embeddings of 3 numbers, not 5"):
        Store.create(store_at(address), manifest(dimension=5))


def test_a_writer_keeps_others_out(address):
    with (
        Store.create(store_at(address), MANIFEST),
        pytest.raises(StoreError, match=r"Another process \(id \d+\) is writing to the store at milvus:"),
    ):
        Store.open(store_at(address), read_only=False)


def test_conditions_cover_all_ids_and_are_not_too_many(monkeypatch):
    assert expression_of(np.array([3, 4, 5, 9])) == "window in [3, 4, 5, 9]"
    monkeypatch.setattr(finder_module, "_LISTED", 0)
    assert expression_of(np.array([3, 4, 5, 9])) == "((window >= 3 and window <= 5) or window in [9])"
    assert expression_of(np.array([7])) == "window in [7]"
    monkeypatch.setattr(finder_module, "_STRETCHES", 2)
    ids = np.array([1, 3, 10, 12])
    assert expression_of(ids) == "((window >= 1 and window <= 3) or (window >= 10 and window <= 12))"


def test_conditions_are_not_deep():
    """Milvus 2.3.5 takes no chain of ninety `or`."""
    ids = np.concatenate([np.arange(100 * one, 100 * one + 50) for one in range(2_000)])
    expression = expression_of(ids)
    depths = np.cumsum([(one == "(") - (one == ")") for one in expression])
    assert expression.count(" or ") == finder_module._STRETCHES - 1
    assert depths.max() == 10
    assert depths[-1] == 0


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("milvus:birds", "must name a file that ends with .db"),
        ("milvus://host/", "has no valid collection"),
        ("milvus://host:1/a-b", "has no valid collection"),
        ("milvus:///birds", "has no valid server"),
        ("milvus://me:secret@host/birds", "must not have a user or password"),
    ],
)
def test_an_address_that_is_not_valid_is_refused(address, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        store_at(address)
    assert "secret" not in str(caught.value)


def test_contents_begun_are_kept_and_finished(address):
    with Store.create(store_at(address), MANIFEST) as ours:
        part = Content(b"d", [(0.0, 10.0)], np.ones((1, 3), np.float32), is_whole=False)
        ours.catalog.commit(contents=[part])
    with Store.open(store_at(address), read_only=False) as ours:
        assert ours.catalog.begun_times() == {b"d": [(0.0, 10.0)]}
        rest = Content(b"d", [(10.0, 20.0)], np.full((1, 3), 2, np.float32), is_whole=True)
        ours.catalog.commit(contents=[rest], clips=[(Clip(Path("/d.wav"), 1, 1), b"d")])
        held = ours.catalog.content(Path("/d.wav"))
        assert held is not None
        assert held.embeddings.tolist() == [[1, 1, 1], [2, 2, 2]]
