"""What tells whether a file has changed."""

from __future__ import annotations

import os

import pytest

from pe_search.audio.stamps import is_same, stamp_of


def test_a_stamp_is_of_size_times_and_inode(tmp_path):
    (tmp_path / "a").write_bytes(b"words")
    os.utime(tmp_path / "a", ns=(1, 2))
    status = (tmp_path / "a").stat()
    assert stamp_of(status) == (5, 2, status.st_ctime_ns, status.st_ino)


@pytest.mark.parametrize(
    ("held", "found", "same"),
    [
        (None, (5, 6, 7, 8), False),
        ((5, 6, 7, 8), (5, 6, 7, 8), True),
        ((5, 6, None, None), (5, 6, 7, 8), True),
        ((5, 6, 7, 8), (5, 6, None, 8), True),
        ((5, 6, None, 8), (5, 6, 7, 9), False),
        ((5, 6, 7, 8), (5, 6, 9, 8), False),
        ((5, 6, 7, 8), (5, 9, 7, 8), False),
        ((5, 6, None, None), (9, 6, 7, 8), False),
    ],
)
def test_what_is_not_known_is_not_compared(held, found, same):
    assert is_same(held, found) is same
