"""Files told apart by their bytes."""

from __future__ import annotations

import hashlib
import os

import pytest

from pe_search.audio.hashing import content_digest, unchanged
from pe_search.errors import AudioError

CHANGED = "changed while it was read; the next run tries again"


@pytest.mark.parametrize("content", [b"", b"abc", bytes(3_000_001)], ids=len)
def test_the_digest_is_blake2b_of_all_bytes(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(content)
    expected = hashlib.blake2b(content, digest_size=32).digest()
    assert content_digest(tmp_path / "a.wav") == content_digest(tmp_path / os.fsdecode(b"\xff")) == expected


@pytest.mark.parametrize("name", ["gone", "folder", "pipe"])
def test_what_is_no_file_may_pass(tmp_path, name):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    reasons = {"gone": "No such file or directory", "folder": "Is a directory", "pipe": "not a regular file"}
    with pytest.raises(AudioError) as caught:
        content_digest(tmp_path / name)
    assert (caught.value.path, caught.value.reason) == (tmp_path / name, reasons[name])
    assert caught.value.may_pass


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.wav").write_text("words")
    return tmp_path / "a.wav"


def touch(file):
    os.utime(file, ns=(1, 1))


def grow(file):
    status = file.stat()
    file.write_text("more words")
    os.utime(file, ns=(1, status.st_mtime_ns))


def replace(file):
    status = file.stat()
    file.with_name("new").write_text("other")
    os.utime(file.with_name("new"), ns=(1, status.st_mtime_ns))
    os.replace(file.with_name("new"), file)


@pytest.mark.parametrize("change", [touch, grow, replace])
@pytest.mark.parametrize("is_bad", [True, False])
def test_a_change_is_what_went_wrong(file, change, is_bad):
    with pytest.raises(AudioError) as caught, unchanged(file):
        change(file)
        if is_bad:
            raise AudioError(file, "breaks off")
    assert (caught.value.reason, caught.value.may_pass) == (CHANGED, True)


def test_a_file_that_is_gone_says_so(file):
    with pytest.raises(AudioError, match="No such file"), unchanged(file):
        file.unlink()
    with pytest.raises(AudioError, match="No such file"), unchanged(file):
        pytest.fail("there is nothing to read")


def test_a_file_that_keeps_still_does_what_it_does(file):
    with unchanged(file):
        pass
    with pytest.raises(AudioError, match="breaks off") as caught, unchanged(file):
        raise AudioError(file, "breaks off")
    assert not caught.value.may_pass
    with pytest.raises(KeyboardInterrupt), unchanged(file):
        touch(file)
        raise KeyboardInterrupt
