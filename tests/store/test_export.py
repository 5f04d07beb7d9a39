"""What a store holds, written for other programs."""

from __future__ import annotations

import builtins
import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from pe_search.descriptions import DESCRIBE
from pe_search.errors import MissingExtraError, StoreError
from pe_search.queries import Filters
from pe_search.records import Clip, ModelAnswer
from pe_search.store import Manifest, Store
from pe_search.store import export as export_module
from pe_search.store.answers import write_answers
from pe_search.store.catalog import Catalog
from pe_search.store.export import export
from tests.made_up import put_clips

MANIFEST = Manifest("builtin", "c0ffee", 3, 10.0, 5.0, 48_000, 1.0, 0.0)
VECTORS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 0.1], [9, -1, 65_504]], np.float32)
ODD = os.fsdecode(b"/s/\xff '\xc3\xa9.wav")
# Clips are put in out of order; one content is there twice.
ROWS = [
    ("/s/a.wav", 0.0, 10.0, 0),
    ("/s/a.wav", 5.0, 15.0, 1),
    ("/s/b.wav", 0.0, 2.5, 2),
    ("/s/c.wav", 0.0, 10.0, 0),
    ("/s/c.wav", 5.0, 15.0, 1),
    (ODD, 0.0, 10.0, 3),
]


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", MANIFEST) as opened:
        for path in (ODD, "/s/c.wav", "/s/b.wav", "/s/a.wav"):
            rows = [row for row in ROWS if row[0] == path]
            vectors = VECTORS[[row[3] for row in rows]]
            put_clips(opened, [(Clip(Path(path), 1, 1), [row[1:3] for row in rows], vectors)])
        yield opened


@pytest.fixture(params=[1, 8_192])
def _rows_at_once(request, monkeypatch):
    monkeypatch.setattr(export_module, "_ROWS_AT_ONCE", request.param)


def test_an_npz_has_every_window_in_order_and_needs_no_pickle(store, tmp_path):
    assert export(store, tmp_path / "out.npz") == 6
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert set(found) == {"path", "start_s", "end_s", "embedding", "manifest"}
        assert found["path"].tolist() == [row[0] for row in ROWS]
        assert found["start_s"].tolist() == [row[1] for row in ROWS]
        assert found["end_s"].tolist() == [row[2] for row in ROWS]
        assert found["embedding"].dtype == np.float32
        expected = VECTORS[[row[3] for row in ROWS]].astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(found["embedding"], expected)
        assert json.loads(str(found["manifest"])) == dataclasses.asdict(MANIFEST)


@pytest.mark.usefixtures("_rows_at_once")
def test_parquet_has_every_window_in_order(store, tmp_path):
    assert export(store, tmp_path / "out.PARQUET") == 6
    found = parquet.read_table(tmp_path / "out.PARQUET")
    assert found.schema.field("embedding").type == pyarrow.list_(pyarrow.float32(), 3)
    assert found.column_names == ["path", "start_s", "end_s", "embedding"]
    assert found["path"].to_pylist() == [*(row[0] for row in ROWS[:-1]), r"/s/\xff 'é.wav"]
    assert found["start_s"].to_pylist() == [row[1] for row in ROWS]
    assert found["end_s"].to_pylist() == [row[2] for row in ROWS]
    expected = VECTORS[[row[3] for row in ROWS]].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(np.array(found["embedding"].to_pylist(), np.float32), expected)
    assert json.loads(found.schema.metadata[b"manifest"]) == dataclasses.asdict(MANIFEST)


@pytest.mark.usefixtures("_rows_at_once")
def test_the_newest_caption_of_each_window_is_written_unless_it_is_not_wanted(store, tmp_path):
    about = ("m", "r", DESCRIBE)
    digests = {clip.path: clip.digest for clip in store.clips()}
    answers = [
        ModelAnswer(digests[Path("/s/a.wav")], 5.0, 15.0, *about, "A dög.", 3),
        ModelAnswer(digests[Path("/s/a.wav")], 5.0, 15.0, "z", "r", DESCRIBE, "A cat.", 2),
        # Neither is the caption of a window.
        ModelAnswer(digests[Path("/s/a.wav")], 0.0, 9.0, *about, "A part.", 3),
        ModelAnswer(digests[Path("/s/b.wav")], 0.0, 2.5, "m", "r", "Is it loud?", "Yes.", 3),
    ]
    write_answers(store.catalog, answers)
    expected = [None, "A dög.", None, None, "A dög.", None]
    assert export(store, tmp_path / "out.npz") == export(store, tmp_path / "out.parquet") == 6
    assert parquet.read_table(tmp_path / "out.parquet")["caption"].to_pylist() == expected
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert found["caption"].tolist() == [caption or "" for caption in expected]
    assert export(store, tmp_path / "some.parquet", Filters(names=("b.wav",))) == 1
    assert parquet.read_table(tmp_path / "some.parquet")["caption"].to_pylist() == [None]
    for suffix in ("npz", "parquet"):
        export(store, tmp_path / f"none.{suffix}", said=False)
    assert parquet.read_table(tmp_path / "none.parquet").column_names == ["path", "start_s", "end_s", "embedding"]
    with np.load(tmp_path / "none.npz", allow_pickle=False) as found:
        assert "caption" not in found


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_an_empty_store(tmp_path, suffix):
    with Store.create(tmp_path / "empty", MANIFEST) as store:
        assert export(store, tmp_path / f"out.{suffix}") == 0
    if suffix == "npz":
        with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
            assert {name: found[name].shape for name in found} == {
                "path": (0,),
                "start_s": (0,),
                "end_s": (0,),
                "embedding": (0, 3),
                "manifest": (),
            }
    else:
        assert parquet.read_table(tmp_path / "out.parquet").num_rows == 0


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_the_file_is_written_whole_or_not_at_all(store, tmp_path, monkeypatch, suffix):
    file = tmp_path / f"out.{suffix}"
    file.write_text("what was there")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        with pytest.raises(StoreError) as caught:
            export(store, file)
    assert str(caught.value) == f"{file} can't be written: No space left on device."
    assert file.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "store"]
    assert export(store, file) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "store"]


def test_an_interruption_leaves_no_draft(store, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Catalog, "content", interrupt)
    for suffix in ("npz", "parquet"):
        with pytest.raises(KeyboardInterrupt):
            export(store, tmp_path / f"out.{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_folder_that_is_not_there(store, tmp_path):
    with pytest.raises(StoreError, match=r"out\.npz can't be written: No such file or directory\."):
        export(store, tmp_path / "none" / "out.npz")


def test_parquet_without_pyarrow(store, tmp_path, monkeypatch):
    importing = builtins.__import__

    def refuse(name, *args, **options):
        if name == "pyarrow":
            raise ImportError("No module named 'pyarrow'")
        return importing(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError) as caught:
        export(store, tmp_path / "out.parquet")
    assert str(caught.value) == (
        "Parquet needs pyarrow, which is not installed: `pip install 'pe-search[parquet]'`, "
        "`pipx inject pe-search pyarrow`, or in the clone `uv tool install . --with pyarrow`."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
