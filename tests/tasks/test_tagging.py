"""Tags of the user's own: given to clips, taken from them, and kept by digest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import StoreError
from pe_search.queries import Filters
from pe_search.records import Clip, Problem
from pe_search.reports import Tagging
from pe_search.store import Store
from pe_search.store.facts import clips_of_tags, read_tags
from pe_search.store.files import CATALOG_FILE, LOOKUP_FILE
from pe_search.store.merge import merge
from pe_search.store.rebuilding import rebuild
from pe_search.tasks.removing import remove
from pe_search.tasks.tagging import tag
from tests.made_up import manifest, put_clips


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store", manifest()) as store:
        put(store, {"/s/kick.wav": 1, "/s/drums/snare.wav": 2, "/s/drums/copy.wav": 2, "/s2/rain.wav": 3, "esc/1": 4})
        yield store


def put(store: Store, clips: dict[str, float], removed: list[Path] | None = None) -> None:
    """Clips of a window each; those of one number have the same bytes."""
    put_clips(
        store,
        [(Clip(Path(path), 5, 6), [(0.0, 1.0)], np.array([[number, 0, 0]])) for path, number in clips.items()],
        removed or (),
    )


def tagged(store: Store) -> dict[str, tuple[str, ...]]:
    return {str(clip.path): clip.tags for clip in store.clips() if clip.tags}


def found_by(store: Store, *tags: str) -> set[str]:
    """The clips that a search with filters finds."""
    matches = store.finder.best_matches(np.ones(3, np.float32), None, filters=Filters(tags=tags)).best
    return {str(path) for match in matches for path in (match.path, *match.copies)}


def test_clips_and_folders_get_tags_and_copies_have_them_too(store):
    assert tag(store, [Path("/s/kick.wav"), Path("/s2")], ["fav", "b"], []) == Tagging(2, 2)
    assert tag(store, [Path("/s/drums/copy.wav"), Path("/s/kick.wav")], ["fav"], []) == Tagging(2, 1)
    assert tagged(store) == {
        "/s/kick.wav": ("b", "fav"),
        "/s/drums/copy.wav": ("fav",),
        "/s/drums/snare.wav": ("fav",),
        "/s2/rain.wav": ("b", "fav"),
    }
    assert clips_of_tags(store.catalog) == {"b": 2, "fav": 4}
    assert found_by(store, "fav") == {"/s/kick.wav", "/s/drums/copy.wav", "/s/drums/snare.wav", "/s2/rain.wav"}
    assert found_by(store, "fav", "b") == {"/s/kick.wav", "/s2/rain.wav"}


def test_a_clip_that_is_named_twice_counts_once(store):
    assert tag(store, [Path("/s"), Path("/s/kick.wav"), Path("/s/drums")], ["fav"], []) == Tagging(3, 3)


def test_what_the_store_does_not_hold_is_told_and_the_rest_is_done(store):
    told = Problem(Path("/s/kic"), "the store holds no clip here")
    assert tag(store, [Path("/s/kic"), Path("/s/kick.wav")], ["fav"], []) == Tagging(1, 1, (told,))
    assert tagged(store) == {"/s/kick.wav": ("fav",)}


def test_a_name_comes_before_a_file(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(store, {str(tmp_path / "esc" / "1"): 5, str(tmp_path / "x.wav"): 6})
    assert tag(store, [Path("esc"), Path("x.wav")], ["fav"], []) == Tagging(2, 2)
    assert tagged(store) == {"esc/1": ("fav",), str(tmp_path / "x.wav"): ("fav",)}


def test_tags_are_taken_away(store):
    tag(store, None, ["fav", "b"], [])
    assert tag(store, [Path("/s")], [], ["fav", "nix"]) == Tagging(3, 3)
    assert tag(store, [Path("/s")], [], ["fav", "nix"]) == Tagging(3, 0)
    assert clips_of_tags(store.catalog) == {"b": 5, "fav": 2}
    assert found_by(store, "fav") == {"/s2/rain.wav", "esc/1"}
    assert tag(store, None, [], ["fav"]) == Tagging(5, 2)
    assert clips_of_tags(store.catalog) == {"b": 5}


def test_a_tag_outlives_its_clip_until_it_is_removed_everywhere(store):
    tag(store, [Path("/s/kick.wav")], ["fav"], [])
    remove(store, [Path("/s/kick.wav")])
    assert clips_of_tags(store.catalog) == {"fav": 0}
    put(store, {"/elsewhere.wav": 1})
    assert tagged(store) == {"/elsewhere.wav": ("fav",)}
    remove(store, [Path("/elsewhere.wav")])
    assert tag(store, None, [], ["fav"]) == Tagging(4, 0)
    assert clips_of_tags(store.catalog) == {}


def test_nothing_is_committed_where_nothing_changes(store):
    tag(store, [Path("/s")], ["fav"], [])
    with closing(sqlite3.connect(store.directory / CATALOG_FILE)) as db:
        before = db.execute("PRAGMA data_version").fetchone()
        assert tag(store, [Path("/s")], ["fav"], ["nix"]) == Tagging(3, 0)
        assert db.execute("PRAGMA data_version").fetchone() == before


def test_the_lookup_is_up_to_date_after_every_change(store, tmp_path, monkeypatch):
    """No query has to bring it up to date: it finds the lookup as the change left it."""
    with Store.create(tmp_path / "other", manifest()) as other:
        put(other, {"/o.wav": 7})
        tag(other, [Path("/o.wav")], ["fav"], [])
        merge(store, other)
    tag(store, [Path("/s")], ["fav"], [])
    remove(store, [Path("/s/kick.wav")])
    monkeypatch.setattr("pe_search.store.lookup._bring_up_to_date", pytest.fail)
    with Store.open(store.directory) as reader:
        assert found_by(reader, "fav") == {"/o.wav", "/s/drums/copy.wav", "/s/drums/snare.wav"}


def test_what_is_remembered_of_roots_leaves_the_lookup_as_it_is(store, monkeypatch):
    from pe_search.reports import Root
    from pe_search.store.roots import write_roots

    tag(store, [Path("/s")], ["fav"], [])
    monkeypatch.setattr("pe_search.store.lookup._bring_up_to_date", pytest.fail)
    write_roots(store.catalog, [Root(Path("/s"))])
    store.finder.lookup.refresh()
    assert len(found_by(store, "fav")) == 3


def test_rebuild_makes_the_lookup_again_and_keeps_the_tags(store):
    tag(store, [Path("/s")], ["fav"], [])
    store.__exit__()
    lookup = store.directory / LOOKUP_FILE
    # Sound as SQLite has it, and wrong.
    with closing(sqlite3.connect(lookup)) as db, db:
        db.execute("DELETE FROM tags")
    rebuild(store.directory, pytest.fail)
    with Store.open(store.directory) as reader:
        assert len(found_by(reader, "fav")) == 3
    # The rows of paths are damaged, so that what can be read is saved into a new catalog.
    with closing(sqlite3.connect(store.directory / CATALOG_FILE)) as db, db:
        db.execute("UPDATE clips SET checksum = 0 WHERE path = ?", (b"/s/kick.wav",))
    assert rebuild(store.directory, pytest.fail).saved_clips == 4
    with Store.open(store.directory) as reader:
        assert found_by(reader, "fav") == {"/s/drums/copy.wav", "/s/drums/snare.wav"}
        assert clips_of_tags(reader.catalog) == {"fav": 2}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tags SET tag = 'other'",
        "DELETE FROM tags",
        "UPDATE contents SET checksum = 0",
        "UPDATE clips SET checksum = 0",
    ],
)
def test_damage_is_told(store, damage):
    tag(store, [Path("/s")], ["fav"], [])
    store.__exit__()
    with closing(sqlite3.connect(store.directory / CATALOG_FILE)) as db, db:
        db.execute(damage)
    with Store.open(store.directory, read_only=False) as store, pytest.raises(StoreError, match="is damaged"):
        tag(store, [Path("/s")], ["b"], [])


def test_tags_of_digests(store):
    tag(store, [Path("/s/drums/copy.wav")], ["b", "a"], [])
    assert [*read_tags(store.catalog).values()] == [("a", "b")]
