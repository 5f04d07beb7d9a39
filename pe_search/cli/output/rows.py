"""Rows of fields on stdout: JSON Lines, CSV, Parquet, or a table for people; one writer each."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import typer

from pe_search.cli.output.messages import printable, shown_path, shown_query
from pe_search.cli.output.tables import room, with_path
from pe_search.known.fields import Field, Kind, is_known
from pe_search.parquet import Column, ParquetWriter

_BETWEEN = "; "
_GAP = "  "
_UNKNOWN = "-"
# Of a text in a table: nobody reads a description of a page there.
_LONGEST_CELL = 80
_MOST_DECIMALS = 3
_ROWS_AT_ONCE = 1_024
_ROWS_PER_GROUP = 65_536

Values = Iterable[object]
"""Of one row, in the order of the columns."""


class RowWriter(Protocol):
    """Writes rows to stdout, in a `with` statement, at whose end all of them are written."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End; whole only if there is no error."""

    def write_all(self, rows: Iterable[Values]) -> None:
        """Write some rows, which may be none."""


def row_writer(columns: Sequence[Column], row_format: str) -> RowWriter:
    """What writes rows.

    Args:
        columns: Of each row.
        row_format: `jsonl`, `csv`, `parquet` or `table`.
    """
    if row_format == "parquet":
        return ParquetRows(columns)
    if row_format == "table":
        return TableRows(columns)
    return Rows([column.name for column in columns], as_csv=row_format == "csv")


def columns_of(fields: Iterable[Field]) -> list[Column]:
    """A column for each field."""
    return [Column(field.name, field.kind) for field in fields]


def write_paths(paths: Iterable[Path], *, null: bool = False) -> None:
    """Write one path on each line, byte for byte; with `null`, each ends with a NUL byte instead."""
    sys.stdout.buffer.writelines(os.fsencode(path) + (b"\0" if null else b"\n") for path in paths)


class Rows:
    """Rows on stdout: JSON Lines, or CSV below a header. Paths in them may hold bytes that are not UTF-8.

    Args:
        fields: What each row has.
        as_csv: Whether to write CSV.
    """

    def __init__(self, fields: Sequence[str], *, as_csv: bool) -> None:
        self._fields = fields
        self._as_csv = as_csv
        self._has_header = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.write_all(())
            sys.stdout.buffer.flush()

    def write_all(self, rows: Iterable[Values]) -> None:
        """Write some rows, which may be none; the header of CSV comes with the first of them."""
        out = sys.stdout.buffer
        if self._as_csv and not self._has_header:
            write_csv_row(self._fields, out)
            self._has_header = True
        for values in rows:
            if self._as_csv:
                write_csv_row([_in_csv(value) for value in values], out)
            else:
                # ASCII only, so that a name that is not UTF-8 survives: its bytes become lone surrogates (PEP 383).
                out.write(json.dumps(dict(zip(self._fields, values, strict=True))).encode("ascii") + b"\n")


class ParquetRows:
    """Rows on stdout as Parquet, in groups, so that memory doesn't grow with their number.

    Args:
        columns: Of each row.

    Raises:
        MissingExtraError: If pyarrow is not installed; at the beginning of the `with` statement.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._rows: list[tuple[object, ...]] = []

    def __enter__(self) -> Self:
        self._writer = ParquetWriter(sys.stdout.buffer, self._columns)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._writer:
            if kind is None:
                self._write_group()

    def write_all(self, rows: Iterable[Values]) -> None:
        """Write some rows."""
        for values in rows:
            self._rows.append(tuple(values))
            if len(self._rows) >= _ROWS_PER_GROUP:
                self._write_group()

    def _write_group(self) -> None:
        if self._rows:
            self._writer.write(*map(list, zip(*self._rows, strict=True)))
            self._rows.clear()


class TableRows:
    """Rows on stdout as a table, some at a time, so that a long list begins at once; columns may get wider on the way.

    Numbers of a column have as many decimals as any of them needs, at most three. Where the lines are wider than the
    terminal, the path is last, and below if it has no room.

    Args:
        columns: Of each row.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._order = list(range(len(columns)))
        self._widths = [len(column.name) for column in columns]
        self._decimals = [0] * len(columns)
        self._rows: list[list[object]] = []
        self._has_header = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write_some()

    def write_all(self, rows: Iterable[Values]) -> None:
        """Write some rows. There is no header without any."""
        for values in rows:
            self._rows.append(list(values))
            if len(self._rows) >= _ROWS_AT_ONCE:
                self._write_some()

    def _write_some(self) -> None:
        from rich.cells import cell_len

        for values in self._rows:
            self._decimals = list(map(max, self._decimals, map(_decimals, values)))
        rows = [list(map(_cell, values, self._columns, self._decimals)) for values in self._rows]
        for cells in rows:
            self._widths = list(map(max, self._widths, map(cell_len, cells)))
        if rows and not self._has_header:
            self._has_header = True
            names = [column.name for column in self._columns]
            if sum(self._widths) + len(_GAP) * (len(names) - 1) > room() and "path" in names:
                place = names.index("path")
                self._order = [*(other for other in self._order if other != place), place]
            self._write_line(names)
        for cells in rows:
            self._write_line(cells)
        self._rows.clear()

    def _write_line(self, cells: Sequence[str]) -> None:
        *before, last = [self._padded(cells[place], place) for place in self._order]
        line = _GAP.join(before)
        is_path = self._columns[self._order[-1]].name == "path"
        if line and is_path:
            typer.echo(with_path(line, cells[self._order[-1]]))
        else:
            typer.echo(_GAP.join([*before, last]).rstrip())

    def _padded(self, cell: str, place: int) -> str:
        from rich.cells import cell_len

        padding = " " * (self._widths[place] - cell_len(cell))
        is_number = self._columns[place].kind in (Kind.WHOLE, Kind.NUMBER)
        return padding + cell if is_number else cell + padding


def write_csv_row(values: Sequence[object], out: BinaryIO) -> None:
    """Write one line, whose paths may hold bytes that are not UTF-8."""
    line = io.StringIO()
    # The writer quotes only those line ends that it uses itself, so it is left to use both.
    csv.writer(line, lineterminator="\r\n").writerow(values)
    out.write(line.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape") + b"\n")


def _in_csv(value: object) -> object:
    if isinstance(value, bool):
        return json.dumps(value)
    return _BETWEEN.join(value) if isinstance(value, list) else value


def _decimals(value: object) -> int:
    """How many decimals a number needs."""
    return len(_rounded(value).rstrip("0").partition(".")[2]) if isinstance(value, float) else 0


def _rounded(value: float) -> str:
    # Adding 0 makes -0 a plain one.
    return f"{round(value, _MOST_DECIMALS) + 0.0:,.{_MOST_DECIMALS}f}"


def _cell(value: object, column: Column, decimals: int) -> str:
    """A value for people, in one line."""
    if not is_known(value):
        return _UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        text = _rounded(value)
        return text[: len(text) - _MOST_DECIMALS + decimals].removesuffix(".")
    if column.name == "path":
        return shown_path(Path(str(value)))
    if column.name == "copies" and isinstance(value, list):
        return _BETWEEN.join(shown_path(Path(path)) for path in value)
    if column.name == "query":
        return shown_query(str(value))
    text = printable(_BETWEEN.join(value) if isinstance(value, list) else str(value))
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
