"""How hits look with what belongs to each of them: its spans, or what a language model says of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from pe_search.cli.output.hits import HitFormat, add_hit, hit_table, shown_fields, write_title
from pe_search.cli.output.rows import TableRows, columns_of, row_writer
from pe_search.known import fields
from pe_search.parquet import Column
from pe_search.queries import Hit

if TYPE_CHECKING:
    from pe_search.cli.output.tables import PathTable
    from pe_search.tasks.describing import Describer

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class HitParts(Generic[_Found]):
    """What parts of hits are, and how they look.

    Attributes:
        key: What the list of them is called in JSON Lines.
        columns: By the name of each value there, its column in CSV, Parquet and tables of other fields.
        values: The values of each part of a hit, in that order; None if there is no telling.
        add: Adds them to a table, below the hit.
    """

    key: str
    columns: Mapping[str, Column]
    values: Callable[[_Found], Sequence[Sequence[object]] | None]
    add: Callable[[PathTable, Hit, _Found], None]


class HitPartsWriter(Generic[_Found]):
    """Prints the hits of each query to stdout as they come, each with its parts.

    In a `with` statement, at whose end all are printed. JSON Lines have one more key with a list, or null where there
    is no telling. CSV, Parquet and tables of other fields have a row for each part, and one for a hit without any.

    Args:
        parts: What is printed with each hit.
        hit_format: `TABLE`, `JSONL`, `CSV` or `PARQUET`.
        describer: What makes rows of hits, for other fields than the usual ones.
        more: As in `HitWriter`.

    Attributes:
        count: How many hits were printed.
    """

    def __init__(
        self,
        parts: HitParts[_Found],
        hit_format: HitFormat,
        describer: Describer | None = None,
        *,
        more: Sequence[str] = (),
    ) -> None:
        self.count = 0
        self._parts = parts
        self._format = hit_format
        self._describer = describer
        self._end = ExitStack()
        is_list = hit_format is HitFormat.JSONL
        columns = [Column(parts.key, fields.Kind.TEXT)] if is_list else parts.columns.values()
        self._columns = [*columns_of(shown_fields(describer, more)), *columns]
        self._rows = None if hit_format is HitFormat.TABLE else row_writer(self._columns, hit_format.value)

    def __enter__(self) -> Self:
        if self._rows is not None:
            self._end.enter_context(self._rows)
        return self

    def __exit__(self, *error: object) -> None:
        self._end.__exit__(*error)  # type: ignore[arg-type]

    def write(self, hits: Sequence[tuple[Hit, _Found]]) -> None:
        """Print the hits of one query, each with its parts."""
        if self._rows is not None:
            self._rows.write_all(self._values(hits))
        elif not hits:
            pass
        elif self._describer is None:
            table = hit_table(hits[0][0])
            for hit, found in hits:
                add_hit(table, hit)
                self._parts.add(table, hit, found)
            table.write()
        else:
            write_title(hits[0][0].query)
            with TableRows(self._columns) as rows:
                rows.write_all(self._values(hits))
        sys.stdout.buffer.flush()
        self.count += len(hits)

    def _values(self, hits: Sequence[tuple[Hit, _Found]]) -> Iterator[tuple[object, ...]]:
        ranked = [hit for hit, _ in hits]
        described = (hit.to_dict() for hit in ranked) if self._describer is None else self._describer.rows(ranked)
        names = list(self._parts.columns)
        for (_, found), row in zip(hits, described, strict=True):
            parts = self._parts.values(found)
            if self._format is HitFormat.JSONL:
                yield *row.values(), None if parts is None else [dict(zip(names, one, strict=True)) for one in parts]
            else:
                for one in parts or [(None,) * len(names)]:
                    yield *row.values(), *one
