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


# Rows of audio are large: as few as spare the time to ask for them one by one.
_ROWS_AT_ONCE = 16


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
    """A column of a table that holds audio: files as bytes, as structs of `bytes` and `path`, or as paths.

    Args:
        file: The table, open.
        name: Of the column.

    Raises:
        MissingExtraError: If pyarrow is not installed.
        LookupError: If there is no such column, or it holds something else.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        need_pyarrow()
        import pyarrow
        from pyarrow import parquet

        self.name = name
        self._file = parquet.ParquetFile(file)
        schema = self._file.schema_arrow
        if name not in schema.names:
            raise LookupError(f"has no column {quoted(name)}, but {', '.join(schema.names)}; use --audio-column")
        kind = schema.field(name).type
        is_struct = pyarrow.types.is_struct(kind)
        fields = {kind.field(place).name for place in range(kind.num_fields)} if is_struct else set()
        is_bytes = pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
        self._is_struct = "bytes" in fields
        if not (self._is_struct or is_bytes):
            raise LookupError(
                f"its column {quoted(name)} holds {kind}, not the bytes of audio files; use --audio-column"
            )
        self._has_path = "path" in fields

    def rows(self) -> Iterator[tuple[int, int, str]]:
        """The number of each row from 0, the size of its audio in bytes, and what its file was called; row by row."""
        import pyarrow.compute as pc

        first = 0
        for group in range(self._file.num_row_groups):
            for batch in self._file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[self.name]):
                values = batch.column(0)
                data = pc.struct_field(values, "bytes") if self._is_struct else values
                sizes = pc.fill_null(pc.binary_length(data), 0).to_pylist()
                names = pc.struct_field(values, "path").to_pylist() if self._has_path else [None] * len(sizes)
                for place, (size, name) in enumerate(zip(sizes, names, strict=True)):
                    yield first + place, int(size), str(name or "")
                first += len(sizes)

    def read(self, row: int, beside: Sequence[str]) -> tuple[bytes | None, str | None]:
        """The audio of a row, and what its other columns say of it.

        Args:
            row: Its number, from 0.
            beside: The columns of texts that say it.

        Raises:
            LookupError: If there is no such row.
        """
        import pyarrow

        texts = [name for name in beside if name in self._file.schema_arrow.names and name != self.name]
        texts = [name for name in texts if pyarrow.types.is_string(self._file.schema_arrow.field(name).type)]
        first = 0
        for group in range(self._file.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            if row < first + count:
                for batch in self._file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[self.name, *texts]):
                    if row < first + len(batch):
                        values = batch.slice(row - first, 1).to_pylist()[0]
                        held = values[self.name]
                        data = held["bytes"] if self._is_struct and held is not None else held
                        said = [values[name].strip() for name in texts if values[name] and values[name].strip()]
                        return data, "; ".join(dict.fromkeys(said)) or None
                    first += len(batch)
            first += count if row >= first + count else 0
        raise LookupError(f"it has no row {row:,}")
