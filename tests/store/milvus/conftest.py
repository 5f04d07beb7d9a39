"""Stores in a file of Milvus Lite, and what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pe_search.directories import store_at
from pe_search.store import Store
from tests.recordings import MANIFEST


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The cache of this machine."""
    monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def address(tmp_path, cache) -> str:
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    return f"milvus:{tmp_path}/birds.db"


@pytest.fixture
def both(tmp_path, address) -> Iterator[tuple[Store, Store]]:
    """A new store in Milvus, and one in a folder, both opened to write."""
    with Store.create(store_at(address), MANIFEST) as ours, Store.create(tmp_path / "local", MANIFEST) as local:
        yield ours, local
