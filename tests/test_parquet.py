"""Tables of fields as Parquet, as pyarrow reads them back."""

from __future__ import annotations

import builtins
import os

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from pe_search.errors import MissingExtraError
from pe_search.known.fields import Kind
from pe_search.parquet import Column, ParquetWriter, need_pyarrow

COLUMNS = [
    Column("path", Kind.TEXT, is_always_known=True),
    Column("windows", Kind.WHOLE),
    Column("score", Kind.NUMBER),
    Column("is_gone", Kind.FLAG),
    Column("tags", Kind.TEXTS),
    Column("embedding", 2),
]


def test_each_kind_comes_back_as_it_was(tmp_path):
    odd = os.fsdecode(b"/s/\xff \xc3\xa9.wav")
    with (tmp_path / "a.parquet").open("wb") as out, ParquetWriter(out, COLUMNS, {"made by": "é"}) as writer:
        writer.write(["/a", odd], [1, None], [0.1, None], [True, None], [["x", "y"], []], np.array([[1, 2], [3, 4.5]]))
        writer.write(["/\ud800"], [2**40], [1.0], [False], [[odd]], np.array([[5, 6]], np.float32))
    found = parquet.read_table(tmp_path / "a.parquet")
    assert [(field.type, field.nullable) for field in found.schema] == [
        (pyarrow.string(), False),
        (pyarrow.int64(), True),
        (pyarrow.float64(), True),
        (pyarrow.bool_(), True),
        (pyarrow.list_(pyarrow.string()), True),
        (pyarrow.list_(pyarrow.float32(), 2), True),
    ]
    assert found.schema.metadata[b"made by"] == "é".encode()
    assert found.to_pylist() == [
        {"path": "/a", "windows": 1, "score": 0.1, "is_gone": True, "tags": ["x", "y"], "embedding": [1, 2]},
        {
            "path": r"/s/\xff é.wav",
            "windows": None,
            "score": None,
            "is_gone": None,
            "tags": [],
            "embedding": [3, 4.5],
        },
        {
            "path": r"/\ud800",
            "windows": 2**40,
            "score": 1.0,
            "is_gone": False,
            "tags": [r"/s/\xff é.wav"],
            "embedding": [5, 6],
        },
    ]


def test_a_table_without_rows_has_its_columns(tmp_path):
    with (tmp_path / "a.parquet").open("wb") as out, ParquetWriter(out, COLUMNS):
        pass
    found = parquet.read_table(tmp_path / "a.parquet")
    assert (found.num_rows, found.column_names) == (0, [column.name for column in COLUMNS])


def test_without_pyarrow_it_says_how_to_install_it(tmp_path, monkeypatch):
    importing = builtins.__import__

    def refuse(name, *args, **options):
        if name == "pyarrow":
            raise ImportError("No module named 'pyarrow'")
        return importing(name, *args, **options)

    need_pyarrow()
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError) as caught:
        need_pyarrow()
    assert str(caught.value) == (
        "Parquet needs pyarrow, which is not installed: `pip install 'pe-search[parquet]'`, "
        "`pipx inject pe-search pyarrow`, or in the clone `uv tool install . --with pyarrow`."
    )
    with (tmp_path / "a.parquet").open("wb") as out, pytest.raises(MissingExtraError):
        ParquetWriter(out, COLUMNS)
