"""Tables for people, in terminals of any width: no word is broken, and paths stay whole, so that they can be copied."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_GAP = "  "
# In a pipe there is room for anything.
_NO_LIMIT = 1_000_000
# Below this many columns, what is not needed makes room.
_WIDE = 60
_LEAST_ROOM = 16
_USUAL = 80


def room() -> int:
    """How many columns there are: those of the terminal, or of $COLUMNS; in a pipe, as many as anybody wants."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return _NO_LIMIT
    return shutil.get_terminal_size().columns


def strip_room() -> int:
    """How many columns there are for what would fill any number of them."""
    return _USUAL if room() == _NO_LIMIT else room()


def is_wide() -> bool:
    """Whether there is room for what is good to know and not needed."""
    return room() >= _WIDE


def can_encode(text: str) -> bool:
    """Whether stdout can show some characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def with_path(before: str, path: str) -> str:
    """A line that ends with a path; the path is below if there is no room for it, whole also where it is longer."""
    if len(before) + len(_GAP) + len(path) <= room():
        return f"{before}{_GAP}{path}"
    return f"{before.rstrip()}\n{path}" if len(_GAP) + len(path) > room() else f"{before.rstrip()}\n{_GAP}{path}"


def fact_lines(facts: Iterable[tuple[str, str]], *, whole: Iterable[str] = ()) -> Iterator[str]:
    """Lines of a name and a value each; a long value goes on below its beginning.

    Args:
        facts: Names and values.
        whole: Names of values that are not to be broken, because they are paths.
    """
    import textwrap

    named = list(facts)
    width = max((len(name) for name, _ in named), default=0)
    for name, value in named:
        before = f"{name:<{width}}{_GAP}"
        if name in whole or len(before) + len(value) <= room():
            yield f"{before}{value}".rstrip()
        else:
            yield from textwrap.wrap(
                value,
                max(room(), len(before) + 1),
                initial_indent=before,
                subsequent_indent=" " * len(before),
                break_long_words=False,
                break_on_hyphens=False,
            )


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    is_right: bool
    style: str
    wraps: bool
    if_wide: bool


class PathTable:
    """A table whose last column holds paths. Where a path has no room on its line, it is on the next.

    Args:
        title: What is above it, if anything is.
    """

    def __init__(self, title: str | None = None) -> None:
        self._title = title
        self._columns: list[_Column] = []
        self._rows: list[tuple[list[Text], str] | RenderableType] = []

    def add_column(
        self, name: str, *, right: bool = False, style: str = "", wraps: bool = False, if_wide: bool = False
    ) -> None:
        """Add a column; the last one is for paths.

        Args:
            name: Its heading.
            right: Whether it is flush right.
            style: As rich has it.
            wraps: Whether it holds words, which may go on in further lines.
            if_wide: Whether it is shown only where there is room.
        """
        self._columns.append(_Column(name, right, style, wraps, if_wide))

    def add_row(self, *cells: str | Text, style: str | None = None) -> None:
        """Add a row, with a cell for each column."""
        from rich.text import Text

        # Text, not str: a name with square brackets in it is no markup.
        self._rows.append(([cell if isinstance(cell, Text) else Text(cell) for cell in cells], style or ""))

    def add_strip(self, strip: RenderableType) -> None:
        """Add what fills a line where there is room for it: that of the paths, if that is enough."""
        self._rows.append(strip)

    def write(self) -> None:
        """Write it to stdout."""
        from rich.padding import Padding
        from rich.text import Text

        shown = [place for place, column in enumerate(self._columns) if is_wide() or not column.if_wide]
        columns = [self._columns[place] for place in shown]
        rows = [([row[0][place] for place in shown], row[1]) if isinstance(row, tuple) else row for row in self._rows]
        widths = _widths(columns, [row[0] for row in rows if isinstance(row, tuple)])
        start = sum(width + len(_GAP) for width in widths)
        width = strip_room()
        indent = start if width - start >= _LEAST_ROOM else len(_GAP)
        if self._title is not None:
            write_renderable(Text(self._title, style="bold"))
        # Where paths are below, so would be the heading of their column, and of no use there.
        write_renderable(next(_lines(columns, [Text(column.name, style="bold") for column in columns], widths, "")))
        for row in rows:
            if isinstance(row, tuple):
                for line in _lines(columns, row[0], widths, row[1]):
                    write_renderable(line)
            else:
                write_renderable(Padding(row, (0, 0, 0, indent), expand=False), width)


def _widths(columns: list[_Column], rows: list[list[Text]]) -> list[int]:
    """Of all columns but the last."""
    from rich.cells import cell_len

    widths = [
        max(cell_len(column.name), *(cells[place].cell_len for cells in rows), 0)
        for place, column in enumerate(columns[:-1])
    ]
    for place, column in enumerate(columns[:-1]):
        if column.wraps:
            others = sum(widths) - widths[place] + len(_GAP) * (len(widths) - 1)
            longest = max((len(word) for cells in rows for word in cells[place].plain.split()), default=0)
            # A word that is longer than there is room for stays whole.
            widths[place] = min(widths[place], max(room() - others, _LEAST_ROOM, longest))
    return widths


def _lines(columns: list[_Column], cells: list[Text], widths: list[int], style: str) -> Iterator[Text]:
    from rich.console import Console
    from rich.text import Text

    *before, path = cells
    wrapped: list[list[Text]] = []
    for cell, width, column in zip(before, widths, columns, strict=False):
        wrapped.append(list(cell.wrap(Console(width=width), width)) if column.wraps else [cell])
    for number in range(max(map(len, wrapped), default=1)):
        line = Text(style=style)
        for lines, width, column in zip(wrapped, widths, columns, strict=False):
            part = lines[number].copy() if number < len(lines) else Text()
            part.rstrip()
            padding = " " * (width - part.cell_len)
            part.stylize_before(column.style)
            for piece in (padding, part) if column.is_right else (part, padding):
                line.append(piece)
            line.append(_GAP)
        if number == 0 and line.cell_len + path.cell_len <= room():
            line.append(path)
            path = Text()
        line.rstrip()
        yield line
    if path.plain:
        yield Text(_GAP if len(_GAP) + path.cell_len <= room() else "", style=style).append(path)


def write_renderable(renderable: RenderableType, width: int | None = None) -> None:
    """Write to stdout what rich makes of something; text in lines as long as it is, without a width."""
    from rich.console import Console

    console = Console(width=width)
    with console.capture() as captured:
        console.print(renderable, soft_wrap=width is None)
    # Not printed by rich, which would end the program by itself when the pipe is closed.
    sys.stdout.write(captured.get())
