"""Finding clips under folders and by name."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from pe_search.audio.exclude import parse_patterns
from pe_search.audio.find import find_clips, find_stamps, is_under
from pe_search.records import Clip, Problem
from pe_search.reports import PassedOver


def make(folder: Path, *names: str) -> None:
    """Files that nobody opens here, so that their content is of no account; the folders are made as well."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")


def find(*roots: Path) -> tuple[list[Path], list[Problem]]:
    problems: list[Problem] = []
    return [clip.path for clip in find_clips(roots, problems.append)], problems


def names(folder: Path, *roots: Path) -> list[str]:
    """What is found under the roots, relative to a folder; there must be no problem."""
    paths, problems = find(*(roots or [folder]))
    assert problems == []
    return [str(path.relative_to(folder)) for path in paths]


def test_a_clip_is_known_by_path_size_times_and_inode(tmp_path):
    make(tmp_path, "a.wav")
    os.utime(tmp_path / "a.wav", ns=(1, 1_600_000_000_123_456_789))
    status = (tmp_path / "a.wav").stat()
    problems = []
    assert list(find_clips([tmp_path], problems.append)) == [
        Clip(tmp_path / "a.wav", 5, 1_600_000_000_123_456_789, status.st_ctime_ns, status.st_ino)
    ]
    assert problems == []


def test_folders_are_walked_in_the_order_of_names(tmp_path):
    make(tmp_path, "b/z.wav", "b/y/x.wav", "a.wav", "C.wav", "b.wav", "é.wav", "b/a.wav")
    assert names(tmp_path) == ["C.wav", "a.wav", "b/a.wav", "b/y/x.wav", "b/z.wav", "b.wav", "é.wav"]


def test_roots_keep_the_order_in_which_they_are_given(tmp_path):
    make(tmp_path, "a/1.wav", "b/1.wav")
    assert names(tmp_path, tmp_path / "b", tmp_path / "a") == ["b/1.wav", "a/1.wav"]


def test_an_extension_may_be_in_capitals(tmp_path):
    make(tmp_path, "a.WAV", "b.Flac", "c.Mp3")
    assert names(tmp_path) == ["a.WAV", "b.Flac", "c.Mp3"]


def test_other_extensions_are_passed_over(tmp_path):
    make(tmp_path, "a.txt", "wav", "a.wav.bak", "a", "b.wav~", "c.jpg", "d.raw", "e.wav")
    assert names(tmp_path) == ["e.wav"]


def test_names_that_begin_with_a_dot_are_passed_over(tmp_path):
    make(tmp_path, ".a.wav", ".wav", ".trash/a.wav", "a/.b/c.wav", "a/._c.wav", "a/d.wav")
    assert names(tmp_path) == ["a/d.wav"]


def test_what_is_named_itself_may_be_hidden(tmp_path):
    make(tmp_path, ".a.wav", ".trash/a.wav", ".trash/.b.wav")
    assert names(tmp_path, tmp_path / ".a.wav", tmp_path / ".trash") == [".a.wav", ".trash/a.wav"]


def test_a_file_that_is_named_itself_may_have_any_extension(tmp_path):
    make(tmp_path, "a.txt", "b", "c.wav.part")
    assert names(tmp_path, tmp_path / "c.wav.part", tmp_path / "b", tmp_path / "a.txt") == ["c.wav.part", "b", "a.txt"]


def seen(folder: Path, *roots: Path, exclude: list[str] | None = None) -> tuple[list[str], PassedOver]:
    """What is found and what is passed over; there must be no problem."""
    found = find_stamps(roots or [folder], pytest.fail, parse_patterns(exclude) if exclude else None)
    return [os.path.relpath(path, folder) for path in found.stamps], found.passed_over


def test_what_patterns_exclude_is_passed_over_and_counted(tmp_path):
    make(tmp_path, "a.wav", "a.tmp.wav", "notes.tmp", "b/a.tmp.wav", "b/drafts/c.wav", "drafts/a.wav", "drafts/b.wav")
    assert seen(tmp_path, exclude=["*.tmp*", "drafts/"]) == (
        ["a.wav"],
        PassedOver(excluded_files=2, excluded_folders=2),
    )


def test_an_excluded_folder_is_not_looked_into(tmp_path, monkeypatch):
    make(tmp_path, "a.wav", "drafts/deep/a.wav")
    scandir = os.scandir
    scans: list[Path] = []
    monkeypatch.setattr(os, "scandir", lambda folder: (scans.append(Path(folder)), scandir(folder))[1])
    assert seen(tmp_path, exclude=["drafts/"])[0] == ["a.wav"]
    assert scans == [tmp_path]


def test_patterns_are_relative_to_each_root_and_never_about_a_root(tmp_path):
    make(tmp_path, "one/x/a.wav", "one/y/x/a.wav", "two/x/a.wav", "x/a.wav", "x/x/a.wav", "x/b.wav")
    roots = [tmp_path / "one", tmp_path / "two", tmp_path / "x", tmp_path / "x/a.wav"]
    assert seen(tmp_path, *roots, exclude=["/x", "a.wav"]) == (
        ["x/b.wav", "x/a.wav"],
        PassedOver(excluded_files=1, excluded_folders=3),
    )


def test_an_ignore_file_counts_in_its_folder_and_below(tmp_path):
    make(tmp_path, "a.wav", "a/a.wav", "a/b.wav", "a/b/a.wav", "a/b/b.wav", "c/b.wav", "c/x/y.wav", "c/y.wav")
    (tmp_path / "a" / ".pesearchignore").write_text("a.wav\n/b.wav\n")
    (tmp_path / "a" / "b" / ".pesearchignore").write_text("!a.wav\n")
    (tmp_path / "c" / ".pesearchignore").write_text("*\n!*/\n!y.wav\n")
    assert seen(tmp_path) == (
        ["a/b/a.wav", "a/b/b.wav", "a.wav", "c/x/y.wav", "c/y.wav"],
        PassedOver(excluded_files=3),
    )


def test_an_ignore_file_above_the_root_and_one_of_git_are_not_read(tmp_path):
    make(tmp_path, "a/a.wav")
    (tmp_path / ".pesearchignore").write_text("*")
    (tmp_path / "a" / ".gitignore").write_text("*")
    assert seen(tmp_path, tmp_path / "a")[0] == ["a/a.wav"]


def test_what_is_behind_a_link_goes_by_the_path_through_the_link(tmp_path):
    make(tmp_path, "far/a.wav", "far/b.wav", "far/x/a.wav", "near/1.wav")
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "near" / ".pesearchignore").write_text("/link/a.wav")
    (tmp_path / "far" / ".pesearchignore").write_text("b.wav")
    assert seen(tmp_path, tmp_path / "near")[0] == ["near/1.wav", "near/link/x/a.wav"]
    assert seen(tmp_path, tmp_path / "near", exclude=["link/"])[0] == ["near/1.wav"]


def test_a_dangling_link_that_is_excluded_is_no_problem(tmp_path):
    (tmp_path / "a.wav").symlink_to("gone.wav")
    assert seen(tmp_path, exclude=["a.wav"]) == ([], PassedOver(excluded_files=1))


@pytest.mark.parametrize("order", [1, -1])
def test_what_one_root_excludes_and_another_names_is_taken(tmp_path, order):
    make(tmp_path, "drafts/a.wav", "drafts/b.mid", "x.wav", "y.wav", "z.mid")
    roots = [tmp_path, tmp_path / "drafts", tmp_path / "x.wav", tmp_path / "z.mid"][::order]
    paths, passed_over = seen(tmp_path, *roots, exclude=["/drafts", "/x.wav", "/y.wav"])
    assert sorted(paths) == ["drafts/a.wav", "x.wav", "z.mid"]
    assert passed_over == PassedOver(((".mid", 1),), excluded_files=1)


@pytest.mark.parametrize(
    ("make_file", "reason"),
    [
        (lambda path: path.write_text("*.tmp\n\n[a\n"), "line 3: '[a' is not a valid pattern"),
        (lambda path: path.write_bytes(b"RIFF\0\0"), "is not a list of patterns"),
        (Path.mkdir, "Is a directory"),
        (lambda path: path.symlink_to("gone"), "No such file or directory"),
        (os.mkfifo, "is not a regular file"),
    ],
    ids=["bad pattern", "other content", "folder", "dangling", "pipe"],
)
def test_a_folder_whose_ignore_file_cannot_be_understood_is_a_problem_and_its_neighbours_are_walked(
    tmp_path, make_file, reason
):
    make(tmp_path, "a/1.wav", "b/2.wav", "b/c/3.wav")
    make_file(tmp_path / "b" / ".pesearchignore")
    problems: list[Problem] = []
    found = find_stamps([tmp_path], problems.append)
    assert list(found.stamps) == [str(tmp_path / "a/1.wav")]
    expected = f".pesearchignore: {reason}; this folder is skipped until that is fixed"
    assert problems == [Problem(tmp_path / "b", expected)]
    assert found.skipped == {str(tmp_path / "b")}


def test_bins_and_thumbnails_are_passed_over_unless_named(tmp_path):
    names = [
        "$RECYCLE.BIN/S-1/a.wav",
        "@eaDir/a.wav/b.wav",
        "x/__MACOSX/a.wav",
        "lost+found/a.wav",
        ".Trash-1000/a.wav",
    ]
    make(tmp_path, "a.wav", "x/._a.wav", "recycle/a.wav", "lost+found.wav", *names)
    assert seen(tmp_path) == (["a.wav", "lost+found.wav", "recycle/a.wav"], PassedOver())
    assert seen(tmp_path, tmp_path / "$RECYCLE.BIN", tmp_path / "x/._a.wav", tmp_path / "lost+found")[0] == [
        "$RECYCLE.BIN/S-1/a.wav",
        "x/._a.wav",
        "lost+found/a.wav",
    ]
    assert seen(tmp_path, exclude=["!*"])[0] == ["a.wav", "lost+found.wav", "recycle/a.wav"]


def test_files_of_kinds_that_nothing_reads_are_counted_by_extension(tmp_path):
    make(tmp_path, "a.wav", "a.mid", "b.MID", "b/c.mid", "d.dct", "e.dct", "f.sfz", "notes.txt", "cover.jpg", "x.pdf")
    make(tmp_path, ".h.mid", "g.mid/a.wav", "drafts/z.mid")
    (tmp_path / "l.mid").symlink_to("gone.mid")
    (tmp_path / "m.mid").symlink_to("a.mid")
    assert seen(tmp_path, exclude=["drafts", "f.*"]) == (
        ["a.wav", "g.mid/a.wav"],
        PassedOver(((".mid", 4), (".dct", 2)), excluded_files=1, excluded_folders=1),
    )
    assert seen(tmp_path, tmp_path, tmp_path / "b")[1].unreadable == ((".mid", 5), (".dct", 2), (".sfz", 1))


def test_an_empty_folder_is_no_problem(tmp_path):
    assert find(tmp_path) == ([], [])


def test_a_folder_that_is_called_like_a_clip_is_a_folder(tmp_path):
    make(tmp_path, "drums.wav/kick.wav", "drums.wav/notes.txt")
    assert names(tmp_path) == ["drums.wav/kick.wav"]


@pytest.mark.parametrize("given", [("", ""), ("", "a"), ("a", ""), ("a/1.wav", ""), ("", "a/1.wav"), ("", "a/..", ".")])
def test_a_clip_is_found_once_though_roots_repeat_or_hold_each_other(tmp_path, given):
    make(tmp_path, "a/1.wav", "b/2.wav")
    assert sorted(names(tmp_path, *(tmp_path / name for name in given))) == ["a/1.wav", "b/2.wav"]


def test_a_relative_root_becomes_absolute(tmp_path, monkeypatch):
    make(tmp_path, "a/1.wav", "b/2.wav")
    monkeypatch.chdir(tmp_path / "a")
    assert names(tmp_path, Path(), Path("../b/2.wav")) == ["a/1.wav", "b/2.wav"]


def test_links_are_followed_and_keep_their_own_names(tmp_path):
    make(tmp_path, "far/a.wav", "far/notes.txt")
    near = tmp_path / "near"
    near.mkdir()
    (near / "file.wav").symlink_to(tmp_path / "far/a.wav")
    (near / "folder").symlink_to(tmp_path / "far")
    (near / "words.wav").symlink_to(tmp_path / "far/notes.txt")
    assert names(near) == ["file.wav", "words.wav", "folder/a.wav"]
    assert names(near, near / "folder") == ["folder/a.wav"]


def test_a_clip_behind_a_link_has_the_size_and_time_of_the_file(tmp_path):
    make(tmp_path, "far/a.wav")
    os.utime(tmp_path / "far/a.wav", ns=(7, 7))
    status = (tmp_path / "far/a.wav").stat()
    (tmp_path / "b.wav").symlink_to(tmp_path / "far/a.wav")
    assert list(find_clips([tmp_path / "b.wav"], pytest.fail)) == [
        Clip(tmp_path / "b.wav", 5, 7, status.st_ctime_ns, status.st_ino)
    ]


def test_a_link_that_leads_back_up_is_not_followed(tmp_path):
    make(tmp_path, "a/b/1.wav")
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "a/b/here").symlink_to(".")
    assert names(tmp_path) == ["a/b/1.wav"]


def test_a_folder_is_walked_by_its_own_path_rather_than_by_a_link(tmp_path):
    make(tmp_path, "a/1.wav", "b/2.wav", "b/c/3.wav")
    (tmp_path / "a/to-b").symlink_to(tmp_path / "b")
    (tmp_path / "a/to-c").symlink_to(tmp_path / "b/c")
    (tmp_path / "b/to-a").symlink_to(tmp_path / "a")
    assert names(tmp_path) == ["a/1.wav", "b/2.wav", "b/c/3.wav"]
    assert names(tmp_path, tmp_path / "a") == ["a/1.wav", "a/to-b/2.wav", "a/to-b/c/3.wav"]


def test_a_folder_outside_is_walked_by_the_first_link_that_leads_to_it(tmp_path):
    make(tmp_path, "near/1.wav", "far/2.wav", "far/deep/3.wav")
    for name, target in {"a": "far/deep", "b": "far", "c": "far", "d": "far/deep"}.items():
        (tmp_path / "near" / name).symlink_to(tmp_path / target)
    assert names(tmp_path, tmp_path / "near") == ["near/1.wav", "near/a/3.wav", "near/b/2.wav"]


def test_each_root_is_walked_for_itself(tmp_path):
    make(tmp_path, "far/1.wav", "a/2.wav", "b/3.wav")
    for name in "ab":
        (tmp_path / name / "far").symlink_to(tmp_path / "far")
    assert names(tmp_path, tmp_path / "a", tmp_path / "b") == ["a/2.wav", "a/far/1.wav", "b/3.wav", "b/far/1.wav"]


def test_folders_that_all_link_to_one_another_are_each_walked_once(tmp_path, monkeypatch):
    folders = [f"{number:02}" for number in range(20)]
    for name in folders:
        make(tmp_path, f"{name}/a.wav")
        for other in folders:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    scandir = os.scandir
    scans: list[Path] = []
    monkeypatch.setattr(os, "scandir", lambda folder: (scans.append(Path(folder)), scandir(folder))[1])
    assert names(tmp_path) == [f"{name}/a.wav" for name in folders]
    assert scans == [tmp_path, *(tmp_path / name for name in folders)]


def test_a_dangling_link_is_a_problem_if_it_would_be_a_clip(tmp_path):
    make(tmp_path, "b.wav")
    (tmp_path / "a.wav").symlink_to(tmp_path / "gone.wav")
    (tmp_path / "a").symlink_to(tmp_path / "gone")
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone.txt")
    assert find(tmp_path) == ([tmp_path / "b.wav"], [Problem(tmp_path / "a.wav", "No such file or directory")])


def test_a_link_to_itself_is_a_problem_if_it_would_be_a_clip(tmp_path):
    make(tmp_path, "b.wav")
    for name in ("a.wav", "a"):
        (tmp_path / name).symlink_to(tmp_path / name)
    assert find(tmp_path) == ([tmp_path / "b.wav"], [Problem(tmp_path / "a.wav", os.strerror(errno.ELOOP))])


def test_a_root_that_is_not_there_is_a_problem_and_the_others_are_walked(tmp_path):
    make(tmp_path, "a/1.wav", "b/2.wav")
    assert find(tmp_path / "a", tmp_path / "gone", tmp_path / "b") == (
        [tmp_path / "a/1.wav", tmp_path / "b/2.wav"],
        [Problem(tmp_path / "gone", "No such file or directory")],
    )


def test_a_root_below_a_file_is_a_problem(tmp_path):
    make(tmp_path, "a.wav")
    assert find(tmp_path / "a.wav/b.wav") == ([], [Problem(tmp_path / "a.wav/b.wav", "Not a directory")])


def test_a_pipe_is_a_problem_and_nobody_waits_for_it(tmp_path):
    make(tmp_path, "b.wav")
    os.mkfifo(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "pipe")
    found = []
    # In a thread, because opening a pipe would block for good.
    thread = threading.Thread(target=lambda: found.append(find(tmp_path, tmp_path / "pipe")), daemon=True)
    thread.start()
    thread.join(10)
    problem = "not a regular file"
    assert found == [
        ([tmp_path / "b.wav"], [Problem(tmp_path / "a.wav", problem), Problem(tmp_path / "pipe", problem)])
    ]


def test_a_device_is_a_problem():
    assert find(Path("/dev/null")) == ([], [Problem(Path("/dev/null"), "not a regular file")])


def test_a_folder_that_cannot_be_listed_is_a_problem_and_its_neighbours_are_walked(tmp_path, monkeypatch):
    make(tmp_path, "a/1.wav", "b/2.wav", "c/3.wav")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "b":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    expected = [tmp_path / "a/1.wav", tmp_path / "c/3.wav"], [Problem(tmp_path / "b", "Permission denied")]
    assert find(tmp_path) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_folder_without_permission_is_a_problem(tmp_path):
    make(tmp_path, "a/1.wav", "b/2.wav")
    (tmp_path / "a").chmod(0)
    try:
        assert find(tmp_path) == ([tmp_path / "b/2.wav"], [Problem(tmp_path / "a", "Permission denied")])
    finally:
        (tmp_path / "a").chmod(0o700)


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe.wav",
        b"new\nline.wav",
        b"cr.wav\r.wav",
        b"\xef\xbb\xbfbom.wav",
        b" .wav",
        b"-n.wav",
        b"[a]*?.wav",
        b"x" * 251 + b".wav",
        "猫🐈.wav".encode(),
    ],
)
def test_any_name_that_a_file_can_have(tmp_path, name):
    folder = tmp_path / os.fsdecode(b"\xe9 folder")
    make(folder, os.fsdecode(name))
    (path,), problems = find(tmp_path)
    assert os.fsencode(path) == os.fsencode(tmp_path) + b"/\xe9 folder/" + name
    assert problems == []


def test_a_time_beyond_64_bits_of_nanoseconds_is_held_at_their_end(tmp_path):
    make(tmp_path, "a.wav")
    try:
        os.utime(tmp_path / "a.wav", (10_413_792_000, 10_413_792_000))  # the year 2300
    except (OSError, OverflowError):
        pytest.skip("this file system can't hold such a time")
    if (tmp_path / "a.wav").stat().st_mtime < 2**63 / 1e9:
        pytest.skip("this file system can't hold such a time")
    assert [clip.modified_ns for clip in find_clips([tmp_path], pytest.fail)] == [2**63 - 1]


@pytest.mark.parametrize("exclude", [None, ["x"]])
def test_a_path_may_be_longer_than_1023_bytes(tmp_path, exclude):
    folder = tmp_path
    while len(bytes(folder)) < 1_100:
        folder /= "é" * 100
    make(folder, "a.wav")
    assert [tmp_path / name for name in seen(tmp_path, exclude=exclude)[0]] == [folder / "a.wav"]
    assert find(folder / "a.wav") == ([folder / "a.wav"], [])


def test_folders_may_be_nested_deeper_than_calls(tmp_path):
    depth = 1_010
    folders = [tmp_path / "/".join("d" * level) for level in range(1, depth + 1)]
    try:
        for folder in folders:
            folder.mkdir()
        make(folders[-1], "a.wav")
        assert find(tmp_path) == ([folders[-1] / "a.wav"], [])
    finally:
        # Deeper than pytest's own cleaning goes, too.
        (folders[-1] / "a.wav").unlink(missing_ok=True)
        for folder in reversed(folders):
            if folder.exists():
                folder.rmdir()


@pytest.mark.parametrize(
    ("path", "places", "expected"),
    [
        ("/a/b/c.wav", {"/a"}, True),
        ("/a/b/c.wav", {"/x", "/a/b"}, True),
        ("/a/b/c.wav", {"/a/b/c.wav"}, True),
        ("/a/b/c.wav", {"/"}, True),
        ("/ab/c.wav", {"/a"}, False),
        ("/a", {"/a/b"}, False),
        ("/a/b", set(), False),
    ],
)
def test_what_is_under_a_place(path, places, expected):
    assert is_under(path, places) is expected
