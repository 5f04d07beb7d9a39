"""What a store remembers of lists."""

from __future__ import annotations

import os

import pytest

from pe_search.errors import StoreError
from pe_search.store.listed import LISTED_FILE, ListedPaths
from tests.cli.conftest import ODD_NAMES


def test_any_path_comes_back(tmp_path):
    paths = {os.fsdecode(b"/x/" + name) for name in (*ODD_NAMES, b"cr\r", b"\xef\xbb\xbfbom.wav", b"long/" * 300)}
    memory = ListedPaths(tmp_path)
    assert memory.read() == frozenset()
    memory.write(paths)
    assert ListedPaths(tmp_path).read() == paths
    memory.write([])
    assert memory.read() == frozenset()


def test_nothing_is_written_that_is_there_already(tmp_path):
    memory = ListedPaths(tmp_path)
    memory.write([])
    assert list(tmp_path.iterdir()) == []
    memory.write(["/b", "/a"])
    os.utime(tmp_path / LISTED_FILE, ns=(1, 1))
    memory.write(["/a", "/b"])
    assert (tmp_path / LISTED_FILE).stat().st_mtime_ns == 1


@pytest.mark.parametrize("content", [b"", b"/a/b.wav\0", b"pe-search paths 00000000\0/a/b.wav\0"])
def test_what_is_damaged_is_not_taken_for_other_paths(tmp_path, content):
    (tmp_path / LISTED_FILE).write_bytes(content)
    with pytest.raises(
        StoreError, match=r"listed\.paths is damaged\. Delete it and run the same command again\. Clips"
    ):
        ListedPaths(tmp_path).read()


def test_what_can_not_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    memory = ListedPaths(tmp_path)
    memory.write(["/a"])

    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match="can't be written: No space left on device"):
        memory.write(["/b"])
    assert memory.read() == {"/a"}
    assert [file.name for file in tmp_path.iterdir()] == [LISTED_FILE]
