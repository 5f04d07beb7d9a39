"""One writer at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from pe_search.errors import StoreError
from pe_search.store.lock import WriterLock

# Takes the lock, says so, and waits to be told to end.
HOLDER = """
import sys
from pathlib import Path
from pe_search.store.lock import WriterLock

lock = WriterLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_told_who_holds_it(tmp_path, other_process):
    lock = WriterLock(tmp_path)
    with pytest.raises(StoreError, match=rf"Another process \(id {other_process.pid}\) is writing to the store at"):
        lock.acquire()
    lock.release()
    with pytest.raises(StoreError, match=f"id {other_process.pid}"):
        lock.acquire()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path, other_process):
    other_process.kill()
    other_process.wait()
    assert (tmp_path / "writer.pid").is_file()
    lock = WriterLock(tmp_path)
    lock.acquire()
    assert (tmp_path / "writer.pid").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_it_can_be_taken_again_after_it_was_let_go(tmp_path):
    first, second = WriterLock(tmp_path), WriterLock(tmp_path)
    first.acquire()
    with pytest.raises(StoreError, match=f"id {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    assert not (tmp_path / "writer.pid").exists()


def test_a_damaged_note_of_the_holder_does_no_harm(tmp_path, other_process):
    (tmp_path / "writer.pid").write_text("nobody")
    with pytest.raises(StoreError, match=re.escape("Another process is writing")):
        WriterLock(tmp_path).acquire()


def test_a_store_that_can_not_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't be written to"):
        WriterLock(tmp_path / "file").acquire()


def test_a_full_disk_leaves_the_lock_free(tmp_path, monkeypatch):
    def refuse(*_, **__):
        (tmp_path / "writer.pid").touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pe_search.store.lock.Path.write_text", refuse)
        with pytest.raises(StoreError, match="can't be written to: No space left on device"):
            WriterLock(tmp_path).acquire()
    assert not (tmp_path / "writer.pid").exists()
    lock = WriterLock(tmp_path)
    lock.acquire()
    lock.release()
