"""A file of arrays: what is written is read, by safetensors too, and nothing that is damaged is."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from pe_search.store import blocks
from pe_search.store.tensors import Tensor, map_checked, write_tensors

HALVES = np.arange(12).reshape(4, 3).astype(np.float16)
WHOLES = np.array([5, -1, 2**40])


def write(path: Path, metadata: dict[str, str] | None = None) -> Path:
    tensors = {
        "halves": Tensor("F16", (4, 3), [HALVES[:1], HALVES[1:]]),
        "wholes": Tensor("I64", (3,), iter([WHOLES])),
        "none": Tensor("F16", (0, 3), []),
    }
    write_tensors(path, tensors, metadata or {"a": "b"})
    return path


def test_what_is_written_is_read(tmp_path):
    arrays, metadata, _ = map_checked(write(tmp_path / "a"))
    assert metadata == {"a": "b"}
    assert list(arrays) == ["halves", "wholes", "none"]
    for name, expected in {"halves": HALVES, "wholes": WHOLES, "none": np.empty((0, 3), np.float16)}.items():
        assert arrays[name].dtype == expected.dtype
        np.testing.assert_array_equal(arrays[name], expected)
        assert not arrays[name].flags.writeable
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_safetensors_reads_it(tmp_path):
    with safe_open(write(tmp_path / "a"), framework="np") as file:
        assert file.metadata() == {"a": "b"}
        np.testing.assert_array_equal(file.get_tensor("halves"), HALVES)
        np.testing.assert_array_equal(file.get_tensor("wholes"), WHOLES)


def test_the_arrays_are_those_of_the_disk(tmp_path):
    path = write(tmp_path / "a")
    arrays, *_ = map_checked(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(np.array([7], np.float16).tobytes())
    assert arrays["halves"][0, 0] == 7


def test_a_file_that_is_replaced_stays_as_it_was_for_those_who_have_it_open(tmp_path):
    arrays, *_ = map_checked(write(tmp_path / "a"))
    write_tensors(tmp_path / "a", {"other": Tensor("I64", (1,), [np.array([1])])}, {})
    np.testing.assert_array_equal(arrays["halves"], HALVES)


def test_the_name_need_not_be_utf8(tmp_path):
    directory = tmp_path / os.fsdecode(b"\xff s")
    directory.mkdir()
    assert map_checked(write(directory / "a"))[1] == {"a": "b"}


def test_there_is_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        map_checked(tmp_path / "a")
    with pytest.raises(IsADirectoryError):
        map_checked(tmp_path)


def test_parts_that_are_too_few_or_too_many_are_an_error_and_leave_what_was_there(tmp_path):
    path = write(tmp_path / "a")
    for parts in ([], [WHOLES[:2]], [WHOLES, WHOLES]):
        with pytest.raises(ValueError, match="don't make up its shape"):
            write_tensors(path, {"wholes": Tensor("I64", (3,), parts)}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert map_checked(path)[1] == {"a": "b"}


def test_a_write_that_is_interrupted_leaves_what_was_there_and_no_draft(tmp_path):
    def interrupted():
        yield WHOLES[:1]
        raise KeyboardInterrupt

    path = write(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        write_tensors(path, {"wholes": Tensor("I64", (3,), interrupted())}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert map_checked(path)[1] == {"a": "b"}


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


# Checksums


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_sums_of_pieces_are_those_of_the_whole(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 16)
        content = data.draw(st.binary(max_size=100))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
        sums = blocks.Sums()
        for first, last in zip([0, *cuts], [*cuts, len(content)], strict=True):
            sums.add(memoryview(content[first:last]))
        padded = content + bytes(-len(content) % 16)
        words = np.frombuffer(padded, "<u8").reshape(-1, 2)
        assert sums.finished().view(np.uint64).tolist() == words.sum(axis=1, dtype=np.uint64).tolist()
        blocks.Checks(np.frombuffer(content, np.uint8), sums.finished()).check_rest()


# Damaged ones


def test_a_file_that_breaks_off_anywhere_or_goes_on_is_none(tmp_path):
    path = write(tmp_path / "a")
    content = path.read_bytes()
    for damaged in (*(content[:kept] for kept in (*range(0, 4_096, 97), *range(4_080, len(content)))), content + b"\0"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="it"):
            map_checked(path)


@pytest.mark.parametrize("content", [b"words" * 2000, bytes(9000), b"\xff" * 9000], ids=["words", "zeros", "ones"])
def test_a_file_of_something_else_is_none(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="begin"):
        map_checked(tmp_path / "a")


def with_header(path: Path, header: bytes, size_bytes: int = 72) -> Path:
    path.write_bytes((4088).to_bytes(8, "little") + header.ljust(4088) + bytes(size_bytes))
    return path


def entry(dtype: object = "I64", shape: object = (9,), offsets: object = (0, 72)) -> bytes:
    header = {"__metadata__": {}, "x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
    return json.dumps(header).encode()


def test_the_damaged_headers_below_are_near_a_good_one(tmp_path):
    assert map_checked(with_header(tmp_path / "a", entry()))[0]["x"].tolist() == [0] * 9


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 4000,
        b'{"__metadata__": []}',
        b'{"__metadata__": {}, "x": 1}',
        entry(dtype="F64"),
        entry(dtype=[]),
        entry(dtype=None),
        entry(shape=(10,)),
        entry(shape=(10**30,)),
        entry(shape=(0, 10**30), offsets=(0, 0)),
        entry(shape=(-3, -3)),
        entry(shape=(-9,)),
        entry(shape=(float("inf"),)),
        entry(shape=(float("nan"),)),
        entry(shape=()),
        entry(shape=None),
        entry(offsets=(8, 80)),
        entry(offsets=(-72, 0)),
        entry(offsets=(0, 64)),
        entry(offsets=0),
        entry(shape=(2**61 + 9,)),
    ],
)
def test_a_header_that_asks_for_anything_else_than_is_there_is_an_error(tmp_path, header):
    with pytest.raises(ValueError, match=r"."):
        map_checked(with_header(tmp_path / "a", header))


def test_a_byte_of_the_header_that_is_another_is_noticed_unless_the_sums_have_no_name_any_more(tmp_path):
    path = write(tmp_path / "a")
    content = path.read_bytes()
    name = range(content.index(b"sums"), content.index(b"sums") + len(b"sums"))
    for position in {*range(content.index(b"}}") + 8)} - {*name}:
        for bit in (0x01, 0x20, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"."):
                map_checked(path)
    path.write_bytes(content.replace(b"sums", b"seal"))
    arrays, *_ = map_checked(path)
    assert list(arrays) == ["halves", "wholes", "none", "seal"]
    assert [array.tolist() for array in arrays.values()][:3] == [HALVES.tolist(), WHOLES.tolist(), []]
