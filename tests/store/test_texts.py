"""The texts that a store was asked before."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pe_search.store import RememberedTexts
from pe_search.store import texts as texts_module


@pytest.fixture
def remembered(tmp_path) -> RememberedTexts:
    return RememberedTexts(tmp_path, "builtin", "c0ffee", 3)


def vector(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def texts_in(directory: Path) -> list[str]:
    with closing(sqlite3.connect(directory / "texts.sqlite3")) as db:
        return [text for (text,) in db.execute("SELECT text FROM texts ORDER BY id")]


def known(remembered: RememberedTexts, *texts: str) -> dict[str, list[float]]:
    return {text: embedding.tolist() for text, embedding in remembered.recall(texts).items()}


def test_what_was_remembered_comes_back_bit_for_bit(remembered):
    embedding = np.random.default_rng(0).normal(size=3).astype(np.float32)
    remembered.remember({"rain": embedding, "été 雨 🌧": vector(1, 2, 3)})
    found = remembered.recall(["rain", "dog", "été 雨 🌧"])
    assert list(found) == ["rain", "été 雨 🌧"]
    assert found["rain"].dtype == np.float32
    assert np.array_equal(found["rain"], embedding)


def test_a_store_that_was_never_asked_has_no_file(remembered, tmp_path):
    assert remembered.recall(["rain"]) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["Rain", "rain ", "rai", "rain\0", "r%"])
def test_only_the_very_text_is_recalled(remembered, text):
    remembered.remember({"rain": vector(1, 2, 3)})
    assert known(remembered, text) == {}


@pytest.mark.parametrize("other", [("small", "c0ffee", 3), ("builtin", "decaf", 3), ("builtin", "c0ffee", 4)], ids=str)
def test_another_checkpoint_revision_or_dimension_recalls_nothing(remembered, tmp_path, other):
    remembered.remember({"rain": vector(1, 2, 3)})
    assert known(RememberedTexts(tmp_path, *other), "rain") == {}
    assert known(remembered, "rain") == {"rain": [1, 2, 3]}


def test_remembering_again_replaces(remembered, tmp_path):
    remembered.remember({"rain": vector(1, 2, 3)})
    remembered.remember({"rain": vector(4, 5, 6)})
    assert known(remembered, "rain") == {"rain": [4, 5, 6]}
    assert texts_in(tmp_path) == ["rain"]


def test_those_asked_last_are_kept(remembered, tmp_path, monkeypatch):
    monkeypatch.setattr(texts_module, "_MOST_TEXTS", 3)
    now_s = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now_s[0])
    for text in "abc":
        remembered.remember({text: vector(1, 2, 3)})
        now_s[0] += 10_000
    remembered.recall(["a"])
    remembered.remember({"d": vector(1, 2, 3), "e": vector(1, 2, 3)})
    assert sorted(texts_in(tmp_path)) == ["a", "d", "e"]


def test_asking_again_soon_writes_nothing(remembered, tmp_path):
    remembered.remember({"rain": vector(1, 2, 3)})
    before = (tmp_path / "texts.sqlite3").stat().st_mtime_ns
    assert known(remembered, "rain") == {"rain": [1, 2, 3]}
    assert (tmp_path / "texts.sqlite3").stat().st_mtime_ns == before


@pytest.mark.parametrize("embedding", [vector(1, np.nan, 3), vector(np.inf, 2, 3)], ids=str)
def test_what_is_not_finite_is_not_remembered(remembered, tmp_path, embedding):
    remembered.remember({"rain": embedding})
    assert list(tmp_path.iterdir()) == []


def test_a_long_text_is_not_remembered(remembered):
    remembered.remember({"a" * 1000: vector(1, 2, 3), "a" * 1001: vector(1, 2, 3)})
    assert list(remembered.recall(["a" * 1000, "a" * 1001])) == ["a" * 1000]


def test_a_damaged_file_goes_and_the_next_text_starts_another(remembered, tmp_path):
    (tmp_path / "texts.sqlite3").write_text("no such thing" * 1000)
    assert known(remembered, "rain") == {}
    remembered.remember({"rain": vector(1, 2, 3)})
    assert known(remembered, "rain") == {"rain": [1, 2, 3]}


def test_a_file_of_another_shape_is_no_trouble(remembered, tmp_path):
    with closing(sqlite3.connect(tmp_path / "texts.sqlite3")) as db:
        db.execute("CREATE TABLE texts (text TEXT)")
    assert known(remembered, "rain") == {}
    remembered.remember({"rain": vector(1, 2, 3)})


def test_while_another_process_writes_nothing_is_remembered_and_nothing_waits(remembered, tmp_path):
    remembered.remember({"rain": vector(1, 2, 3)})
    with closing(sqlite3.connect(tmp_path / "texts.sqlite3", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        remembered.remember({"dog": vector(1, 2, 3)})
        assert known(remembered, "rain") == {}
        db.execute("ROLLBACK")
    assert known(remembered, "rain", "dog") == {"rain": [1, 2, 3]}


def rows_of(directory: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(directory / "texts.sqlite3")) as db:
        return db.execute("SELECT * FROM texts ORDER BY id").fetchall()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE texts SET embedding = X'000000000000803F00000000' WHERE text = 'rain'",
        "UPDATE texts SET text = 'rain' WHERE text = 'dog'",
        "UPDATE texts SET checksum = checksum + 1 WHERE text = 'rain'",
        "UPDATE texts SET embedding = X'00' WHERE text = 'rain'",
    ],
)
def test_a_text_that_is_not_as_it_was_written_is_forgotten(remembered, tmp_path, damage):
    remembered.remember({"rain": vector(1, 2, 3), "dog": vector(4, 5, 6), "cat": vector(7, 8, 9)})
    with closing(sqlite3.connect(tmp_path / "texts.sqlite3")) as db, db:
        if "'dog'" in damage:
            db.execute("DELETE FROM texts WHERE text = 'rain'")
        db.execute(damage)
    assert "rain" not in known(remembered, "rain", "cat")
    assert known(remembered, "cat") == {"cat": [7, 8, 9]}
    assert "rain" not in texts_in(tmp_path)
    remembered.remember({"rain": vector(1, 2, 3)})
    assert known(remembered, "rain") == {"rain": [1, 2, 3]}


def test_every_flipped_bit_of_a_row_is_noticed(remembered, tmp_path):
    remembered.remember({"rain": vector(1, 2, 3)})
    path = tmp_path / "texts.sqlite3"
    whole = path.read_bytes()
    place = whole.rfind(vector(1, 2, 3).tobytes())
    for byte in range(place, place + 12):
        for bit in range(8):
            content = bytearray(whole)
            content[byte] ^= 1 << bit
            path.write_bytes(content)
            assert known(remembered, "rain") == {}


@pytest.mark.parametrize(
    "attack",
    [
        # A view without end, a view of one enormous value, a trigger that fills the disk.
        """CREATE VIEW texts AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
           SELECT id, '' AS checkpoint, '' AS revision, '' AS text, x'00' AS embedding, 0 AS used_at_s,
           0 AS checksum FROM n WHERE id < 0""",
        """CREATE VIEW texts AS SELECT 1 AS id, 'builtin' AS checkpoint, 'c0ffee' AS revision, 'rain' AS text,
           zeroblob(900000000) AS embedding, 0 AS used_at_s, 0 AS checksum""",
        texts_module._SCHEMA
        + """CREATE TRIGGER fill AFTER INSERT ON texts BEGIN INSERT INTO texts SELECT NULL, id, id, id,
           zeroblob(1000000), 0, 0 FROM texts; END""",
    ],
    ids=["endless", "enormous", "trigger"],
)
def test_a_file_from_a_stranger_is_thrown_away_unasked(remembered, tmp_path, attack):
    with closing(sqlite3.connect(tmp_path / "texts.sqlite3")) as db:
        db.executescript(attack)
    assert known(remembered, "rain") == {}
    assert list(tmp_path.iterdir()) == []
    remembered.remember({"rain": vector(1, 2, 3)})
    assert known(remembered, "rain") == {"rain": [1, 2, 3]}
    assert len(rows_of(tmp_path)) == 1


def test_a_file_with_another_name_is_read_and_never_written_to(remembered, tmp_path):
    remembered.remember({"rain": vector(1, 2, 3)})
    other = tmp_path / "other"
    other.hardlink_to(tmp_path / "texts.sqlite3")
    before = other.read_bytes()
    remembered.remember({"dog": vector(4, 5, 6)})
    assert known(remembered, "rain", "dog") == {"rain": [1, 2, 3]}
    assert other.read_bytes() == before
