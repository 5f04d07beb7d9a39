"""Tables as Parquet, for R, pandas and DuckDB. The only importer of pyarrow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

from pe_search.errors import MissingExtraError
from pe_search.known.fields import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
