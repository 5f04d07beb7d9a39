"""What is kept of clips beside the catalog: bounded, and nothing that leads elsewhere."""

from __future__ import annotations

import os

from pe_search.store.previews import PREVIEWS_FOLDER, Previews


def test_what_was_put_is_there_for_others_too(tmp_path):
    Previews(tmp_path).put(("peaks", "ab", 1.0), b"one")
    assert Previews(tmp_path).get(("peaks", "ab", 1.0)) == b"one"
    assert Previews(tmp_path).get(("peaks", "ab", 2.0)) is None


def test_it_holds_no_more_than_it_may_and_keeps_what_was_asked_for_last(tmp_path):
    previews = Previews(tmp_path, most_bytes=1_000)
    for number in range(10):
        previews.put((number,), bytes(100))
        os.utime(previews._place((number,)), (number, number))
    assert previews.get((0,)) == bytes(100)  # now it is the newest
    previews.put((10,), bytes(100))
    held = [number for number in range(11) if previews.get((number,)) is not None]
    assert held == [0, 5, 6, 7, 8, 9, 10]
    assert sum(file.stat().st_size for file in (tmp_path / PREVIEWS_FOLDER).iterdir()) == 700


def test_what_is_too_large_is_not_kept(tmp_path):
    previews = Previews(tmp_path, most_bytes=1_000)
    previews.put((1,), bytes(751))
    assert previews.get((1,)) is None


def test_a_link_leads_nowhere(tmp_path):
    store, other = tmp_path / "store", tmp_path / "other"
    store.mkdir()
    other.mkdir()
    (store / PREVIEWS_FOLDER).symlink_to(other)
    Previews(store).put((1,), b"one")
    assert Previews(store).get((1,)) is None
    assert list(other.iterdir()) == []
    (store / PREVIEWS_FOLDER).unlink()
    previews = Previews(store)
    previews.put((1,), b"one")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    previews._place((1,)).unlink()
    previews._place((1,)).symlink_to(secret)
    assert previews.get((1,)) is None
    previews.put((1,), b"two")
    assert (previews.get((1,)), secret.read_bytes()) == (b"two", b"secret")


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / PREVIEWS_FOLDER).write_bytes(b"")
    Previews(tmp_path).put((1,), b"one")
    assert Previews(tmp_path).get((1,)) is None
