"""What the user judged is kept by content and time, and nothing of it is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from pe_search.errors import StoreError
from pe_search.records import Judgement
from pe_search.store import Store
from pe_search.store.judgements import read_judgements, read_words, write_judgements, write_words
from pe_search.store.merge import merge
from pe_search.store.salvage import salvage_if_damaged
from tests.store.test_facts import manifest, put

BARK = Judgement("@bark", b"a", 0.0, 1.5, "yes", "me", 1_700_000_000)
HOWL = Judgement("@bark", b"b", 10.0, 20.0, "no", "me", 1_700_000_001)
OTHER = Judgement("@other", b"a", 0.0, 1.5, "unsure", "you", 1_700_000_002)


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as made:
        yield made


def test_a_later_judgement_takes_the_place_of_an_earlier_one(store):
    write_judgements(store.catalog, [OTHER, HOWL, BARK])
    assert read_judgements(store.catalog) == [BARK, HOWL, OTHER]
    assert read_judgements(store.catalog, "@other") == [OTHER]
    changed = replace(BARK, verdict="no", judged_at_s=1_700_000_009)
    write_judgements(store.catalog, [changed])
    assert read_judgements(store.catalog, "@bark") == [changed, HOWL]
    write_judgements(store.catalog, [], forgotten=[HOWL])
    assert read_judgements(store.catalog, "@bark") == [changed]


def test_a_word_that_is_forgotten_takes_its_judgements_along(store):
    write_words(store.catalog, {"@bark": "dog barking", "@other": ""})
    write_judgements(store.catalog, [OTHER, HOWL, BARK])
    assert read_words(store.catalog) == {"@bark": "dog barking", "@other": ""}
    write_words(store.catalog, {"@bark": None})
    assert (read_words(store.catalog), read_judgements(store.catalog)) == ({"@other": ""}, [OTHER])


def test_of_two_stores_the_later_judgement_stays(tmp_path, store):
    write_words(store.catalog, {"@bark": "dog barking"})
    write_judgements(store.catalog, [BARK, replace(HOWL, judged_at_s=1)])
    with Store.create(tmp_path / "other", manifest()) as other:
        write_words(other.catalog, {"@bark": "woof", "@other": "x"})
        write_judgements(other.catalog, [replace(BARK, verdict="no", judged_at_s=5), HOWL, OTHER])
        merge(store, other)
    assert read_words(store.catalog) == {"@bark": "dog barking", "@other": "x"}
    assert read_judgements(store.catalog) == [BARK, HOWL, OTHER]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE judgements SET verdict = 'no'",
        "DELETE FROM judgements WHERE verdict = 'yes'",
        "UPDATE words SET text = 'x'",
        "DELETE FROM words",
    ],
)
def test_damage_is_seen_and_what_is_sound_is_saved(tmp_path, damage):
    with Store.create(tmp_path / "store", manifest()) as store:
        put(store, "/s/a.wav", b"a", None)
        write_words(store.catalog, {"@bark": "dog barking"})
        write_judgements(store.catalog, [BARK, HOWL])
    with closing(sqlite3.connect(tmp_path / "store" / "catalog.sqlite3")) as db, db:
        db.execute(damage)
    with Store.open(tmp_path / "store") as store:
        with pytest.raises(StoreError, match="is damaged"):
            store.catalog.find_damage()
        with pytest.raises(StoreError, match="is damaged"):
            read_judgements(store.catalog) if "judgements" in damage else read_words(store.catalog)
    assert salvage_if_damaged(tmp_path / "store") is not None
    with Store.open(tmp_path / "store") as store:
        assert len(list(store.clips())) == 1
        assert read_words(store.catalog) == ({} if "words" in damage else {"@bark": "dog barking"})
        # HOWL was a "no" before the damage too, so its row is as it was written.
        assert read_judgements(store.catalog) == ([HOWL] if "judgements" in damage else [BARK, HOWL])
