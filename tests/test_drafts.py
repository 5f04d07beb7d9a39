"""A file is written whole or not at all, and what a killed process leaves behind goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pe_search import drafts
from pe_search.drafts import draft_folder, drop_left_over, named_file, put_if_free, whole_file

LEFT_OVER = ".pe-search-0123456789abcdef.part"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


def put(folder: Path, content: bytes, place: Path) -> bool:
    with draft_folder(folder) as drafts_folder:
        (drafts_folder / "a").write_bytes(content)
        return put_if_free(drafts_folder / "a", place)


def test_a_file_takes_the_place_of_what_was_there(tmp_path):
    for content in (b"one", b"two"):
        write(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert names_in(tmp_path) == ["a"]


def test_the_target_of_a_link_that_somebody_names_is_written(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with named_file(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "real").read_bytes() == b"new"
    assert (tmp_path / "link").readlink() == Path("real")
    assert names_in(tmp_path) == ["link", "real"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_that_somebody_names_is_written_into_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with named_file(tmp_path / "pipe") as file:
        file.write(b"rows")
    assert os.read(reader, 10) == b"rows"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert names_in(tmp_path) == ["pipe"]


def test_its_permissions_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_until_the_end_there_is_what_was_there_before(tmp_path):
    write(tmp_path / "a", b"before")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a") as file:
        file.write(b"half")
        file.flush()
        assert (tmp_path / "a").read_bytes() == b"before"
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_bytes() == b"before"
    assert names_in(tmp_path) == ["a"]


def test_a_file_that_the_user_has_beside_it_is_left_alone(tmp_path):
    for name in ("a.new", "a.1.new", "draft", ".pe-search-mine.part", f"{LEFT_OVER}.wav"):
        (tmp_path / name).write_text("the user's")
    before = names_in(tmp_path)
    write(tmp_path / "a", b"")
    assert names_in(tmp_path) == sorted(["a", *before])
    assert all((tmp_path / name).read_text() == "the user's" for name in before)


def test_two_at_once_into_one_file_leave_what_one_of_them_wrote(tmp_path):
    contents = [bytes([number]) * 1_000_000 for number in range(4)]
    both = threading.Barrier(len(contents))

    def write_slowly(content: bytes) -> None:
        with whole_file(tmp_path / "a") as file:
            both.wait(60)
            for start in range(0, len(content), 10_000):
                file.write(content[start : start + 10_000])
                file.flush()

    threads = [threading.Thread(target=write_slowly, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert names_in(tmp_path) == ["a"]


def test_an_error_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "none" / "a"):
        pass
    assert caught.value.filename == str(tmp_path / "none")


# Files that may not be overwritten


def test_what_is_there_already_stays(tmp_path):
    assert put(tmp_path, b"one", tmp_path / "a")
    assert not put(tmp_path, b"two", tmp_path / "a")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert not put(tmp_path, b"two", tmp_path / "dangling")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert names_in(tmp_path) == ["a", "dangling"]


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*_args: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert put(tmp_path, b"one", tmp_path / "a")
    assert not put(tmp_path, b"two", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert names_in(tmp_path) == ["a"]


# Left over


@pytest.mark.parametrize("at", ["os.fsync", "os.replace", "os.link", "os.mkdir", "os.open", "os.unlink"])
def test_a_kill_leaves_no_file_and_no_draft_that_stays(tmp_path, at):
    script = f"""
import os, signal, sys
from pathlib import Path
from pe_search.drafts import draft_folder, put_if_free, whole_file
call = {at}
def killed(*args, **options):
    {"" if at == "os.unlink" else "call(*args, **options) if " + repr(at in ("os.mkdir", "os.open")) + " else None"}
    os.kill(os.getpid(), signal.SIGKILL)
{at} = killed
folder = Path(sys.argv[1])
with whole_file(folder / "a") as file:
    file.write(b"whole")
with draft_folder(folder) as drafts:
    (drafts / "b").write_bytes(b"whole")
    put_if_free(drafts / "b", folder / "b")
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    files = [name for name in names_in(tmp_path) if not name.startswith(".")]
    assert files == (["a"] if at in ("os.link", "os.unlink") else [])
    assert all((tmp_path / name).read_bytes() == b"whole" for name in files)
    assert len(names_in(tmp_path)) == len(files) + 1, "the kill came where nothing was left over"
    write(tmp_path / "c", b"")
    assert names_in(tmp_path) == [*files, "c"]


def test_the_draft_of_a_process_that_lives_stays(tmp_path):
    with draft_folder(tmp_path) as held:
        drop_left_over(tmp_path)
        write(tmp_path / "a", b"")
        assert held.is_dir()
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("what", ["link", "pipe", "link to a folder"])
def test_what_only_has_the_name_of_a_draft_is_left_alone(tmp_path, what):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("the user's")
    if what == "link":
        (tmp_path / LEFT_OVER).symlink_to(tmp_path / "folder" / "file")
    elif what == "pipe":
        os.mkfifo(tmp_path / LEFT_OVER)
    else:
        (tmp_path / LEFT_OVER).symlink_to(tmp_path / "folder")
    drop_left_over(tmp_path)
    assert os.path.lexists(tmp_path / LEFT_OVER)
    assert names_in(tmp_path / "folder") == ["file"]


@pytest.mark.parametrize("lock", ["link", "pipe"])
def test_a_lock_that_is_no_file_leads_nowhere_and_keeps_nobody_waiting(tmp_path, lock):
    (tmp_path / LEFT_OVER).mkdir()
    if lock == "link":
        (tmp_path / LEFT_OVER / "lock").symlink_to(tmp_path / "made")
    else:
        os.mkfifo(tmp_path / LEFT_OVER / "lock")
    drop_left_over(tmp_path)
    assert not (tmp_path / "made").exists()


def test_one_who_drops_what_is_left_over_in_the_middle_of_making_a_draft_makes_no_difference(tmp_path, monkeypatch):
    """Between the folder and its lock, a draft looks as if its process were dead."""
    opened = drafts._open_lock
    dropped = []

    def drop_first(folder: Path) -> int:
        if not dropped:
            dropped.append(folder)
            drop_left_over(tmp_path)
            assert not folder.exists()
        return opened(folder)

    monkeypatch.setattr(drafts, "_open_lock", drop_first)
    with draft_folder(tmp_path, drops_left_over=False) as folder:
        assert folder != dropped[0]
        assert names_in(folder) == ["lock"]
