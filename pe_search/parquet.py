"""Tables as Parquet, for R, pandas and DuckDB. The only importer of pyarrow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Self

from pe_search.errors import MissingExtraError, quoted
from pe_search.known.fields import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_BYTES = ("binary", "large_binary", "binary_view")
_TEXTS = ("string", "large_string", "string_view")
_NAMES_AT_ONCE = 4_096
_BUFFER_BYTES = 1 << 20
_LARGEST_MEAN_BYTES = 512 << 20
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        kind: What its values are; a number for vectors of so many float32.
        is_always_known: Whether no value of it is None.
    """

    name: str
    kind: Kind | int
    is_always_known: bool = False


def need_pyarrow() -> None:
    """Raise a `MissingExtraError` unless Parquet can be written, before there is anything to write."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Parquet", "pyarrow", "parquet") from error


class ParquetWriter:
    """Writes a table, some rows after the others. In a `with` statement, at whose end the table is complete.

    Texts may hold bytes that are not UTF-8, as paths do; they come out as `\\\\xff`.

    Args:
        out: A file that is open for writing, which stays open.
        columns: Of the table.
        metadata: More that the file tells of itself.

    Raises:
        MissingExtraError: If pyarrow is not installed.
    """

    def __init__(self, out: IO[bytes], columns: Sequence[Column], metadata: Mapping[str, str] | None = None) -> None:
        need_pyarrow()
        import pyarrow
        from pyarrow import parquet

        types = {
            Kind.TEXT: pyarrow.string(),
            Kind.WHOLE: pyarrow.int64(),
            Kind.NUMBER: pyarrow.float64(),
            Kind.FLAG: pyarrow.bool_(),
            Kind.TEXTS: pyarrow.list_(pyarrow.string()),
        }
        self._columns = columns
        self._schema = pyarrow.schema(
            [
                pyarrow.field(
                    one.name,
                    types[one.kind] if isinstance(one.kind, Kind) else pyarrow.list_(pyarrow.float32(), one.kind),
                    nullable=not one.is_always_known,
                )
                for one in columns
            ],
            metadata=None if metadata is None else dict(metadata),
        )
        self._writer = parquet.ParquetWriter(out, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, *columns: Sequence[Any] | NDArray[np.float32]) -> None:
        """Write some rows: the values of each column, or vectors of shape (rows, numbers)."""
        import pyarrow

        arrays = [
            pyarrow.array(_as_utf8(values, one.kind), field.type)
            if isinstance(one.kind, Kind)
            else pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.ravel()), one.kind)  # type: ignore[union-attr]
            for one, field, values in zip(self._columns, self._schema, columns, strict=True)
        ]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the end of the table."""
        self._writer.close()


def _as_utf8(values: Any, kind: Kind) -> Any:
    if kind is Kind.TEXT:
        return [None if value is None else _utf8(value) for value in values]
    if kind is Kind.TEXTS:
        return [[_utf8(text) for text in value] for value in values]
    return values


def _utf8(text: str) -> str:
    try:
        return text if text.isascii() else os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that is no byte of a path
        return text.encode("utf-8", "backslashreplace").decode()


class AudioColumn:
    """A column of a table that holds audio: files as bytes, their paths or URLs, or structs of `bytes` and `path`.

    Rows are asked for one after the other: it holds no more than one, and a page of each column.

    Args:
        file: The table, open; it stays open as long as this.
        name: Of the column.

    Raises:
        MissingExtraError: If pyarrow is not installed.
        LookupError: If there is no such column, or it holds something else.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        need_pyarrow()
        from pyarrow import parquet

        self.name = name
        self._file = parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES)
        schema = self._file.schema_arrow
        if name not in schema.names:
            raise LookupError(f"has no column {quoted(name)}, but {_some(schema.names)}; use --audio-column")
        kind = _plain(schema.field(name).type)
        fields = {}
        if _is(kind, "struct"):
            fields = {kind.field(place).name: _plain(kind.field(place).type) for place in range(kind.num_fields)}
        self._is_struct = bool(fields)
        self._has_bytes = _is(fields.get("bytes", kind), *_BYTES)
        self._has_path = _is(fields.get("path", kind), *_TEXTS)
        if not (self._has_bytes or self._has_path):
            raise LookupError(
                f"its column {quoted(name)} holds {kind}, neither audio files nor their paths; use --audio-column"
            )
        self._texts: list[str] = []
        self._rows: Iterator[Any] = iter(())
        self._next, self._end = 0, 0

    def rows(self) -> Iterator[tuple[int, int, str]]:
        """The number of each row from 0, about its audio's size in bytes, and what its file is called; row by row.

        The audio is not read: the size is the mean of some rows.
        """
        leaf = f"{self.name}.path" if self._is_struct else self.name
        first = 0
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            size = self._bytes_in(group) // max(count, 1)
            if not self._has_path:
                yield from ((row, size, "") for row in range(first, first + count))
            else:
                row = first
                for batch in self._file.iter_batches(_NAMES_AT_ONCE, row_groups=[group], columns=[leaf]):
                    for value in batch.column(0).to_pylist():
                        name = value.get("path") if isinstance(value, dict) else value
                        yield row, size, str(name or "")
                        row += 1
            first += count

    def read(self, row: int, beside: Sequence[str]) -> tuple[memoryview | None, str | None, str | None]:
        """The audio of a row, the path or URL of its file, and what its other columns say of it.

        Args:
            row: Its number, from 0.
            beside: The columns of texts that say it.

        Raises:
            LookupError: If there is no such row.
            ValueError: If rows like it are too large.
        """
        if not self._next <= row < self._end:
            self._go_to_group_of(row, beside)
        while True:
            batch = next(self._rows, None)
            if batch is None:
                self._next, self._end = 0, 0
                raise LookupError(f"row {row:,} is missing")
            self._next += 1
            if self._next > row:
                break
        value = batch.column(batch.schema.get_field_index(self.name))[0]
        value = value.as_py() if _is(batch.schema.field(self.name).type, "dictionary") else value
        data, source = self._parts(value)
        said = [batch.column(batch.schema.get_field_index(name))[0].as_py() for name in self._texts]
        said = [text.strip() for text in said if text and text.strip()]
        return data, source, "; ".join(dict.fromkeys(said)) or None

    def _parts(self, value: Any) -> tuple[memoryview | None, str | None]:
        if isinstance(value, str | bytes) or value is None:  # of a dictionary
            return (memoryview(value), None) if isinstance(value, bytes) else (None, value)
        if not value.is_valid:
            return None, None
        if not self._is_struct:
            return (memoryview(value.as_buffer()), None) if self._has_bytes else (None, str(value.as_py()))
        data = value["bytes"] if self._has_bytes else None
        source = value["path"].as_py() if self._has_path else None
        return (memoryview(data.as_buffer()) if data is not None and data.is_valid else None), source

    def _go_to_group_of(self, row: int, beside: Sequence[str]) -> None:
        schema, first = self._file.schema_arrow, 0
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            if row < first + count:
                if self._bytes_in(group) > count * _LARGEST_MEAN_BYTES:
                    raise ValueError(f"its rows hold more than {_LARGEST_MEAN_BYTES >> 20} MiB each; split the table")
                known = [name for name in beside if name in schema.names and name != self.name]
                self._texts = [name for name in known if _is(_plain(schema.field(name).type), *_TEXTS)]
                columns = [self.name, *self._texts]
                self._rows = self._file.iter_batches(1, row_groups=[group], columns=columns)
                self._next, self._end = first, first + count
                return
            first += count
        raise LookupError(f"it has no row {row:,}")

    def _bytes_in(self, group: int) -> int:
        """How much the column has in a group of rows."""
        rows = self._file.metadata.row_group(group)
        columns = (rows.column(place) for place in range(rows.num_columns))
        below = f"{self.name}."
        return sum(one.total_uncompressed_size for one in columns if f"{one.path_in_schema}.".startswith(below))


def _plain(kind: Any) -> Any:
    """What a type of Arrow holds, where that is written once and then numbered."""
    return kind.value_type if _is(kind, "dictionary") else kind


def _is(kind: Any, *names: str) -> bool:
    """Whether a type of Arrow is one of some, of those that this version has."""
    import pyarrow

    return any(getattr(pyarrow.types, f"is_{name}", lambda _: False)(kind) for name in names)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
