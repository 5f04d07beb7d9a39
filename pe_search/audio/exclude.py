"""What a walk of folders passes over: what patterns exclude, by the rules of .gitignore, and what is never audio."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pe_search.errors import PatternError, quoted

IGNORE_FILE = ".pesearchignore"

# Folders in which systems keep what was deleted, thumbnails, and notes of their own. All others of the kind begin with
# a dot, as .Trash-1000, .AppleDouble and .thumbnails do, and so do the files that macOS drops (._kick.wav).
_NEVER_AUDIO = frozenset(
    {
        "$recycle.bin",
        "recycled",
        "recycler",
        "system volume information",
        "found.000",
        "lost+found",
        "#recycle",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
        "__macosx",
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        "thumbnails",
    }
)
_FOLDERS_WITHIN = re.compile(r"/\*\*/\s*\Z")
_CHARACTER_CLASS = re.compile(r"\[:[a-z]+:\]")
# As much as a long list of patterns takes many times over; what is larger is something else under this name.
_LARGEST_FILE_BYTES = 1 << 20


def is_never_audio(folder_name: str) -> bool:
    """Whether a folder of this name holds no audio that anyone is looking for: as a recycle bin."""
    return folder_name.lower() in _NEVER_AUDIO


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of one list, relative to one folder.

    Attributes:
        rules: Each pattern as `pathspec` has it, and whether it excludes or, begun with `!`, brings back. The last of
            the list is the first here, because it counts most.
    """

    rules: tuple[tuple[re.Pattern[str], bool], ...]

    def verdict(self, name: str) -> bool | None:
        """Whether something is excluded, or None if no pattern is about it.

        Only its own name counts: what is below an excluded folder is never asked about, because nobody walks there.

        Args:
            name: Its path relative to the folder, with a slash at the end if it is a folder.
        """
        for regex, is_excluded in self.rules:
            if _matches(regex, name):
                return is_excluded
        return None


def _matches(regex: re.Pattern[str], name: str) -> bool:
    """Whether a pattern matches a name itself.

    The expressions of `pathspec` match what is below a folder with the folder, and mark the slash after it with a group
    if it was the folder's name that matched. Git would not look below, unless a later pattern brought the folder back,
    and then only patterns about what is there count.
    """
    for found in regex.finditer(name):
        if found.lastgroup is not None:
            if found.end() == len(name):
                return True
        # `folder/**` is about all that is in the folder, and not about itself.
        elif found.end() < len(name) or not name.endswith("/"):
            return True
    return False


def parse_patterns(globs: Iterable[str]) -> Patterns:
    """Patterns given one by one. As with git, `#` is no comment there.

    Raises:
        PatternError: If one is not valid or empty.
    """
    return Patterns(tuple(_rule(f"\\{glob}" if glob.startswith("#") else glob) for glob in globs)[::-1])


def read_patterns(path: str) -> Patterns:
    """The patterns of an ignore file: one a line, with empty lines and comments (`#`) between.

    Raises:
        PatternError: If one is not valid; it names the line.
        OSError: If the file can't be read.
    """
    # Without waiting: it may be a pipe.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise PatternError("is not a regular file")
        content = file.read(_LARGEST_FILE_BYTES + 1)
    if len(content) > _LARGEST_FILE_BYTES or b"\0" in content:
        raise PatternError("is not a list of patterns")
    return Patterns(tuple(_rules_of(content.removeprefix(b"\xef\xbb\xbf")))[::-1])


def _rules_of(content: bytes) -> Iterator[tuple[re.Pattern[str], bool]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        glob = os.fsdecode(line.removesuffix(b"\r"))
        if glob.strip() and not glob.startswith("#"):
            try:
                yield _rule(glob)
            except PatternError as error:
                raise PatternError(f"line {number}: {error}") from None


def _rule(glob: str) -> tuple[re.Pattern[str], bool]:
    # Takes as long to import as a small store takes to open, and most runs have no patterns.
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if _CHARACTER_CLASS.search(glob):
        raise PatternError(f"{quoted(glob)} has a class of characters, as [:alpha:], which is not supported")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about brackets within brackets
            # `pathspec` takes the one for the folder itself, git for the folders in it.
            pattern = GitIgnoreSpecPattern(_FOLDERS_WITHIN.sub("/**/*/", _folded(glob)))
    except (ValueError, re.error):
        pattern = None
    if pattern is None or pattern.regex is None or pattern.include is None or not glob.strip("!/ "):
        raise PatternError(f"{quoted(glob)} is not a valid pattern")
    return pattern.regex, pattern.include


def _folded(name: str) -> str:
    """A name or pattern without newlines, which the expressions of `pathspec` take for the end of all.

    A NUL byte stands for them: no file name can have one.
    """
    return name.replace("\n", "\0")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The patterns that hold in one folder of a walk.

    Those that were given with the command count most, then those of the folder's own ignore file, then those of the
    folders above, up to where the walk began.

    Attributes:
        levels: Patterns in the order in which they count, each with how many characters of a path are above the folder
            that they are relative to.
        given: How many of them came with the command.
    """

    levels: tuple[tuple[int, Patterns], ...] = ()
    given: int = 0

    @classmethod
    def of_walk(cls, top: str, given: Patterns | None) -> Exclusion:
        """Where a walk begins."""
        return cls() if given is None else cls(((_length_above(top), given),), given=1)

    def within(self, folder: str, patterns: Patterns) -> Exclusion:
        """What holds in a folder that has an ignore file."""
        own = (_length_above(folder), patterns)
        return Exclusion((*self.levels[: self.given], own, *self.levels[self.given :]), self.given)

    def excludes(self, path: str, *, is_folder: bool) -> bool:
        """Whether a file or folder is excluded, if the folder that it is in is not."""
        name = _folded(f"{path}/" if is_folder else path)
        for above, patterns in self.levels:
            verdict = patterns.verdict(name[above:])
            if verdict is not None:
                return verdict
        return False

    def excludes_below(self, path: str) -> bool:
        """As `excludes`, for a file whose folders nobody walked: one of them may be excluded."""
        above = min(above for above, _ in self.levels)
        ends = (place for place in range(above, len(path)) if path[place] == "/")
        return any(self.excludes(path[:end], is_folder=True) for end in ends) or self.excludes(path, is_folder=False)


def _length_above(folder: str) -> int:
    return len(folder.rstrip(os.sep)) + 1
