"""Patterns of what to pass over: the rules of .gitignore, held against git itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest

from pe_search.audio import exclude
from pe_search.audio.exclude import Exclusion, is_never_audio, parse_patterns, read_patterns
from pe_search.errors import PatternError


@pytest.mark.parametrize(
    ("globs", "excluded", "kept"),
    [
        (["*.tmp.wav"], ["a.tmp.wav", "deep/er/b.tmp.wav"], ["a.wav", "a.tmp.wav.flac"]),
        (["drafts/"], ["drafts/", "2024/drafts/"], ["drafts", "drafts.wav", "my drafts/"]),
        (["/drafts"], ["drafts/", "drafts"], ["2024/drafts/"]),
        (["2024/drafts"], ["2024/drafts/"], ["old/2024/drafts/", "drafts/"]),
        (["**/old/*.wav"], ["old/a.wav", "x/y/old/a.wav"], ["old/x/a.wav", "old/", "old/a.flac"]),
        (["takes/**"], ["takes/a.wav", "takes/x/", "takes/x/a.wav"], ["takes/", "more/takes/a.wav"]),
        (["takes/**/"], ["takes/x/", "takes/x/y/"], ["takes/", "takes/a.wav"]),
        (["a/**/b.wav"], ["a/b.wav", "a/x/y/b.wav"], ["b.wav", "a/c.wav"]),
        (["*.wav", "!keep.wav"], ["a.wav", "x/b.wav"], ["keep.wav", "x/keep.wav"]),
        (["!keep.wav", "*.wav"], ["keep.wav"], ["keep.flac"]),
        (["*", "!*/", "!*.wav"], ["a.flac", "x/a.flac"], ["x/", "x/y/", "a.wav", "x/a.wav"]),
        (["take ?.[!w]*"], ["take 1.flac"], ["take 1.wav", "take 10.flac", "take /.flac"]),
        (["a[0-9].wav"], ["a7.wav"], ["a.wav", "ab.wav"]),
        (["#snapshot"], ["#snapshot/", "x/#snapshot"], ["snapshot"]),
        ([r"\!loud.wav"], ["!loud.wav"], ["loud.wav"]),
        (["*.WAV"], ["a.WAV"], ["a.wav"]),
        (["new*line.wav", "*.flac"], ["new\nline.wav", "x\ny/a.flac"], ["new\nline.wav\n", "a.flac\n"]),
        (["new\nline"], ["new\nline"], ["newline"]),
        ([os.fsdecode(b"\xff*")], [os.fsdecode(b"\xff\xfe.wav")], ["ÿ.wav"]),
        (["?.wav"], ["雨.wav", os.fsdecode(b"\xff.wav")], ["雨雨.wav"]),
    ],
    ids=str,
)
def test_what_a_pattern_is_about(globs, excluded, kept):
    exclusion = Exclusion.of_walk("/top", parse_patterns(globs))
    for name in (*excluded, *kept):
        path, is_folder = f"/top/{name.rstrip('/')}", name.endswith("/")
        assert exclusion.excludes(path, is_folder=is_folder) == (name in excluded), name


def test_below_the_root_directory():
    exclusion = Exclusion.of_walk("/", parse_patterns(["/proc"]))
    assert exclusion.excludes("/proc", is_folder=True)
    assert not exclusion.excludes("/home/proc", is_folder=True)


def test_those_of_the_command_count_most_and_then_those_of_the_nearest_folder(tmp_path):
    def patterns(*lines):
        (tmp_path / "ignore").write_text("\n".join(lines))
        return read_patterns(str(tmp_path / "ignore"))

    outer = Exclusion.of_walk("/top", parse_patterns(["!command.wav"])).within("/top", patterns("*.wav", "/a/b/x.flac"))
    inner = outer.within("/top/a", patterns("!inner.wav", "!command.wav", "/y.flac", "command.flac"))
    assert [
        [exclusion.excludes(f"/top/a/{name}", is_folder=False) for exclusion in (outer, inner)]
        for name in ("outer.wav", "inner.wav", "command.wav", "y.flac", "b/y.flac", "b/x.flac")
    ] == [[True, True], [True, False], [False, False], [False, True], [False, False], [True, True]]


@pytest.mark.parametrize("glob", ["", "  ", "/", "//", "!", "!/", "[a", "a\\", "[z-a]", "!["])
def test_a_pattern_that_is_not_valid(glob, tmp_path):
    with pytest.raises(PatternError) as caught:
        parse_patterns(["*.wav", glob])
    assert str(caught.value) == f"{glob!r} is not a valid pattern"
    (tmp_path / "ignore").write_text(f"# ours\n*.wav\n{glob}\n")
    if glob.strip():
        with pytest.raises(PatternError) as caught:
            read_patterns(str(tmp_path / "ignore"))
        assert str(caught.value) == f"line 3: {glob!r} is not a valid pattern"


def test_a_class_of_characters_is_refused_because_it_would_mean_something_else():
    with pytest.raises(PatternError, match="not supported"):
        parse_patterns(["take[[:digit:]].wav"])


@pytest.mark.filterwarnings("error")
def test_brackets_within_brackets_warn_of_nothing():
    assert parse_patterns(["[[a]"]).verdict("[") is True


def test_an_ignore_file_has_comments_and_may_come_from_windows(tmp_path):
    (tmp_path / "ignore").write_bytes(b"\xef\xbb\xbf*.tmp  \r\n\r\n  \n# comment\n\\#x\r\ncaf\xe9\n")
    patterns = read_patterns(str(tmp_path / "ignore"))
    assert [patterns.verdict(name) for name in ("a.tmp", "# comment", "#x", os.fsdecode(b"caf\xe9"), "a.tmp  ")] == [
        True,
        None,
        True,
        True,
        None,
    ]


def test_a_file_that_is_no_list_of_patterns(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PatternError, match="not a regular file"):
        read_patterns(str(tmp_path / "pipe"))
    (tmp_path / "sound").write_bytes(b"RIFF\0\0")
    with pytest.raises(PatternError, match="not a list of patterns"):
        read_patterns(str(tmp_path / "sound"))
    monkeypatch.setattr(exclude, "_LARGEST_FILE_BYTES", 3)
    (tmp_path / "long").write_bytes(b"abcd")
    with pytest.raises(PatternError, match="not a list of patterns"):
        read_patterns(str(tmp_path / "long"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("$RECYCLE.BIN", True),
        ("$Recycle.Bin", True),
        ("System Volume Information", True),
        ("lost+found", True),
        ("#recycle", True),
        ("@Recycle", True),
        ("@eaDir", True),
        ("__MACOSX", True),
        ("Thumbnails", True),
        ("recycle", False),
        ("lost and found", False),
        ("sounds", False),
    ],
)
def test_folders_that_never_hold_audio(name, expected):
    assert is_never_audio(name) is expected


# "éé" because what is one character here is two bytes to git, and `?` and brackets are about one.
_NAMES = ("a", "b", "a.wav", "b.wav", "new\nline", "#x", "c d", "éé")
_SEGMENTS = (
    "a",
    "b",
    "*",
    "**",
    "a*",
    "*.wav",
    "?",
    "[ab]",
    "[!a]*",
    "a.wav",
    "new*",
    "#x",
    "c d",
    "éé",
    "?.wav",
    "**a",
)


def _pattern(random: Random) -> str:
    glob = "/".join(random.choice(_SEGMENTS) for _ in range(random.choice((1, 1, 1, 2, 2, 3))))
    return (
        ("!" if random.random() < 0.35 else "")
        + ("/" if random.random() < 0.25 else "")
        + glob
        + ("/" if random.random() < 0.3 else "")
    )


def _grow(folder: Path, random: Random, depth: int) -> None:
    for name in random.sample(_NAMES, random.randint(1, 4)):
        if depth and random.random() < (0.4 if name.endswith(".wav") else 1):
            (folder / name).mkdir()
            _grow(folder / name, random, depth - 1)
        else:
            (folder / name).touch()


def _not_excluded(folder: str, exclusion: Exclusion) -> set[str]:
    ignore_file = Path(folder) / ".gitignore"
    if ignore_file.exists():
        exclusion = exclusion.within(folder, read_patterns(str(ignore_file)))
    found = set()
    for entry in os.scandir(folder):
        if entry.name.startswith(".git") or exclusion.excludes(entry.path, is_folder=entry.is_dir()):
            continue
        found |= _not_excluded(entry.path, exclusion) if entry.is_dir() else {entry.path}
    return found


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("seed", range(40))
def test_the_rules_are_those_of_git(tmp_path, seed):
    random = Random(seed)
    _grow(tmp_path, random, depth=3)
    folders = [Path(folder) for folder, _, _ in os.walk(tmp_path)]
    for folder in {tmp_path, *random.sample(folders, min(2, len(folders)))}:
        lines = [_pattern(random) for _ in range(random.randint(1, 4))]
        (folder / ".gitignore").write_text("\n".join(lines))
    given = [_pattern(random) for _ in range(random.choice((0, 0, 1, 2)))]
    options = ["--others", "--exclude-per-directory=.gitignore", *(f"--exclude={glob}" for glob in given)]
    git = ["git", "-C", tmp_path]
    subprocess.run([*git, "init", "--quiet"], check=True, capture_output=True)
    listed = subprocess.run([*git, "ls-files", "-z", *options], check=True, capture_output=True).stdout.split(b"\0")
    expected = {os.fsdecode(name) for name in listed if name and not name.endswith(b".gitignore")}
    found = _not_excluded(str(tmp_path), Exclusion.of_walk(str(tmp_path), parse_patterns(given) if given else None))
    assert {os.path.relpath(path, tmp_path) for path in found} == expected
