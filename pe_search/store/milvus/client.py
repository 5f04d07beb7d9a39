"""What a store asks of Milvus: rows of two collections, and the best embeddings for a query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.store.milvus.connection import Connection, Place

# Milvus returns no more rows at once. Of vectors, fewer are asked for, because a message has at most 64 MB.
MOST_ROWS = 16_384
_MOST_BYTES = 64_000_000
_VECTOR_BYTES_AT_ONCE = 16_000_000
_INDEXING_S = 3_600.0

WINDOWS_FIELDS = {"pk", "window", "vector"}
CHANGES_FIELDS = {"pk", "change", "part", "body", "vector"}
# Milvus has no collection without a vector.
_NO_VECTOR = [0.0, 0.0]
_LONGEST_BODY = 65_535


class Server:
    """An open connection.

    Args:
        place: Where to.
        on_wait: Called with a line, once for each time that the server is gone for a while.

    Raises:
        StoreError: If the server doesn't answer, refuses, or the file is used by another process. So do all methods.
    """

    def __init__(self, place: Place, on_wait: Callable[[str], None]) -> None:
        self.place = place
        self._connection = Connection(place, on_wait)
        self._client = self._connection.client
        self._is_float16: bool | None = None

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    # Both collections

    def fields_of(self, collection: str) -> dict[str, dict[str, Any]]:
        """The fields of a collection by name; none if there is no such collection."""
        if not self._connection.call(self._client.has_collection, collection):
            return {}
        described = self._connection.call(self._client.describe_collection, collection)
        return {field["name"]: field for field in described["fields"]}

    def load(self) -> None:
        """Have Milvus answer questions about both: Milvus Lite doesn't by itself."""
        for name, metric in ((self.place.windows, "IP"), (self.place.changes, "L2")):
            # Who made the collection, or changed its index, may have been killed before there was one.
            if not self._indexes(name):
                self._make_index(name, "FLAT", metric, {})
            self._connection.call(self._client.load_collection, name)

    def make_collections(self, dimension: int) -> None:
        """Make both, unless they are there, and load them.

        Args:
            dimension: Of the embeddings.
        """
        from pymilvus import DataType

        if not self.fields_of(self.place.windows):
            # Not before Milvus 2.4, and not in Milvus Lite.
            is_older = self.place.is_file or self._version().startswith(("2.0.", "2.1.", "2.2.", "2.3."))
            kind = DataType.FLOAT_VECTOR if is_older else DataType.FLOAT16_VECTOR
            fields: list[tuple[str, Any, dict[str, Any]]] = [
                ("pk", DataType.VARCHAR, {"is_primary": True, "max_length": 32}),
                ("window", DataType.INT64, {}),
                ("vector", kind, {"dim": dimension}),
            ]
            self._make(self.place.windows, fields)
        if not self.fields_of(self.place.changes):
            fields = [
                ("pk", DataType.VARCHAR, {"is_primary": True, "max_length": 64}),
                ("change", DataType.INT64, {}),
                ("part", DataType.INT64, {}),
                ("body", DataType.VARCHAR, {"max_length": _LONGEST_BODY}),
                ("vector", DataType.FLOAT_VECTOR, {"dim": len(_NO_VECTOR)}),
            ]
            self._make(self.place.changes, fields)
        self.load()

    def _make(self, name: str, fields: Sequence[tuple[str, Any, dict[str, Any]]]) -> None:
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        for field, kind, options in fields:
            schema.add_field(field, kind, **options)

        def make(timeout: float) -> None:
            # A server that was killed may have made it and told nobody; it refuses to make it twice.
            if not self._client.has_collection(name, timeout=timeout):
                self._client.create_collection(name, schema=schema, consistency_level="Strong", timeout=timeout)

        self._connection.call(make)

    def _version(self) -> str:
        return str(self._connection.call(self._client.get_server_version)).removeprefix("v")

    # What is known of clips

    def bodies(self, expression: str) -> list[tuple[int, int, str, str]]:
        """Change, part, primary key and body of some rows of `changes`, in order of the first two."""
        rows = self._query(self.place.changes, expression, ["pk", "change", "part", "body"])
        return sorted((int(row["change"]), int(row["part"]), str(row["pk"]), str(row["body"])) for row in rows)

    def bodies_of(self, keys: Sequence[str]) -> dict[str, str]:
        """The bodies of rows of `changes` by their primary keys; without those that are not there."""
        quoted = ", ".join(f'"{key}"' for key in keys)
        return {key: body for *_, key, body in self.bodies(f"pk in [{quoted}]")}

    def parts(self, expression: str) -> list[tuple[int, int, str]]:
        """As `bodies`, without the bodies."""
        rows = self._query(self.place.changes, expression, ["pk", "change", "part"])
        return sorted((int(row["change"]), int(row["part"]), str(row["pk"])) for row in rows)

    def put_bodies(
        self,
        rows: Sequence[tuple[str, int, int, str]],
        before: Callable[[], None] | None = None,
        patience_s: float | None = None,
    ) -> None:
        """Write rows of `changes`: primary key, change, part and body of each.

        Args:
            rows: See above.
            before: Called before each try. What it raises ends the work.
            patience_s: How long to try, if not for `PATIENCE_S`.
        """
        names = ("pk", "change", "part", "body")
        data = [dict(zip(names, row, strict=True)) | {"vector": _NO_VECTOR} for row in rows]
        # A message has at most 64 MB.
        for first in range(0, len(data), 500):
            some = data[first : first + 500]
            self._connection.call(self._client.upsert, self.place.changes, some, before=before, patience_s=patience_s)

    def delete_bodies(self, keys: Sequence[str], patience_s: float | None = None) -> None:
        """Delete rows of `changes`."""
        for first in range(0, len(keys), 1_000):
            some = list(keys[first : first + 1_000])
            self._connection.call(self._client.delete, self.place.changes, ids=some, patience_s=patience_s)

    # Embeddings

    def put_vectors(self, rows: Sequence[tuple[str, int, NDArray[np.float16]]]) -> None:
        """Write embeddings: primary key, id of the window, and vector of each."""
        kept = np.float16 if self._has_float16() else np.float32
        data = [{"pk": key, "window": window_id, "vector": vector.astype(kept)} for key, window_id, vector in rows]
        at_once = self._rows_at_once(len(rows[0][2])) if rows else 1
        for first in range(0, len(data), at_once):
            some = data[first : first + at_once]
            self._connection.call(self._client.upsert, self.place.windows, some)

    def delete_vectors(self, keys: Sequence[str]) -> None:
        """Delete embeddings; those that are not there are passed by."""
        for first in range(0, len(keys), 1_000):
            some = list(keys[first : first + 1_000])
            self._connection.call(self._client.delete, self.place.windows, ids=some)

    def vectors(self, keys: Sequence[str], dimension: int) -> dict[str, NDArray[np.float16]]:
        """The embeddings with some primary keys, by these; without those that are not there."""
        found: dict[str, NDArray[np.float16]] = {}
        at_once = self._rows_at_once(dimension)
        for first in range(0, len(keys), at_once):
            quoted = ", ".join(f'"{key}"' for key in keys[first : first + at_once])
            for row in self._query(self.place.windows, f"pk in [{quoted}]", ["pk", "vector"]):
                found[str(row["pk"])] = as_float16(row["vector"])
        return found

    def each_keys(self) -> Iterator[list[str]]:
        """The primary keys of all embeddings, some thousand at a time."""
        # No order is promised, so ranges are divided until each fits into one answer.
        for first, beyond in _sixteenths(""):
            yield from self._keys_between(first, beyond)

    def _keys_between(self, first: str, beyond: str) -> Iterator[list[str]]:
        expression = f'pk >= "{first}" and pk < "{beyond}"'
        rows = self._query(self.place.windows, expression, ["pk"])
        if len(rows) < MOST_ROWS:
            yield [str(row["pk"]) for row in rows]
            return
        for one, end in _sixteenths(first):
            yield from self._keys_between(one, end)

    def window_count(self) -> int:
        """How many embeddings there are, those that no store knows among them."""
        rows = self._query(self.place.windows, "", ["count(*)"])
        return int(rows[0]["count(*)"])

    def search(
        self, query: NDArray[np.float32], k: int, expression: str, *, probes: int | None
    ) -> list[tuple[str, int, float, NDArray[np.float16]]]:
        """Primary key, window id, score and embedding of the k windows with the highest inner products, best first.

        Args:
            query: float32 of shape (dimension,).
            k: At most `MOST_ROWS`.
            expression: Which windows are meant; empty for all.
            probes: How many lists to go through; None if there are none.
        """
        sent, scale = self._as_sent(query)
        parameters: dict[str, Any] = {"metric_type": "IP", "params": {} if probes is None else {"nprobe": probes}}
        found = self._connection.call(
            self._client.search,
            self.place.windows,
            data=[sent],
            filter=expression,
            limit=k,
            output_fields=["window", "vector"],
            search_params=parameters,
            consistency_level="Strong",
        )[0]
        return [
            (
                str(hit.get("pk", hit.get("id"))),
                int(hit["entity"]["window"]),
                float(hit["distance"]) * scale,
                as_float16(hit["entity"]["vector"]),
            )
            for hit in found
        ]

    def lost(self, query: NDArray[np.float32]) -> float:
        """How long that is which a query loses on its way: 0 where vectors are float32."""
        sent, scale = self._as_sent(query)
        return float(np.linalg.norm(query - sent.astype(np.float32) * np.float32(scale)))

    def _as_sent(self, query: NDArray[np.float32]) -> tuple[NDArray[Any], float]:
        """A query as the server takes it, and what scores are to be multiplied by."""
        if not self._has_float16():
            return query, 1.0
        # Otherwise some numbers would be too great for float16, or too small.
        scale = float(np.abs(query).max(initial=0.0)) or 1.0
        return (query / np.float32(scale)).astype(np.float16), scale

    def index_type(self) -> str:
        """What kind of index the embeddings have, as Milvus calls it."""
        for name in self._indexes(self.place.windows):
            return str(self._connection.call(self._client.describe_index, self.place.windows, name)["index_type"])
        # It is being changed.
        return "FLAT"

    def use_index(self, index_type: str, parameters: dict[str, int]) -> None:
        """Give the embeddings another kind of index. Queries wait until it is made."""
        self._connection.call(self._client.release_collection, self.place.windows)
        for name in self._indexes(self.place.windows):
            self._connection.call(self._client.drop_index, self.place.windows, name)
        self._make_index(self.place.windows, index_type, "IP", parameters)
        self._connection.call(self._client.load_collection, self.place.windows, timeout=_INDEXING_S)

    def _indexes(self, collection: str) -> list[str]:
        return list(self._connection.call(self._client.list_indexes, collection, "vector"))

    def _make_index(self, collection: str, index_type: str, metric: str, parameters: dict[str, int]) -> None:
        params = self._client.prepare_index_params()
        params.add_index("vector", index_type=index_type, metric_type=metric, params=parameters)
        self._connection.call(self._client.create_index, collection, params, timeout=_INDEXING_S)

    def _rows_at_once(self, dimension: int) -> int:
        return max(1, min(4_096, _VECTOR_BYTES_AT_ONCE // (4 * dimension)))

    def _has_float16(self) -> bool:
        if self._is_float16 is None:
            from pymilvus import DataType

            self._is_float16 = self.fields_of(self.place.windows)["vector"]["type"] == DataType.FLOAT16_VECTOR
        return self._is_float16

    def _query(self, collection: str, expression: str, fields: list[str]) -> list[dict[str, Any]]:
        limit: dict[str, Any] = {} if "count(*)" in fields else {"limit": MOST_ROWS}
        return list(
            self._connection.call(
                self._client.query,
                collection,
                filter=expression,
                output_fields=fields,
                consistency_level="Strong",
                **limit,
            )
        )


def most_hits(dimension: int) -> int:
    """How many hits Milvus returns at once with their embeddings."""
    return min(MOST_ROWS, _MOST_BYTES // (4 * dimension))


def as_float16(vector: Any) -> NDArray[np.float16]:
    """A vector as pymilvus returns it: numbers, or the bytes of float16 numbers, which may be in a list."""
    if isinstance(vector, list) and vector and isinstance(vector[0], bytes):
        vector = vector[0]
    if isinstance(vector, bytes):
        return np.frombuffer(vector, "<f2")
    with np.errstate(over="ignore"):
        return np.asarray(vector).astype("<f2")


def _sixteenths(prefix: str) -> Iterator[tuple[str, str]]:
    """The ranges of hexadecimal numbers that begin with some digits: first, and the one past the last."""
    digits = "0123456789abcdef"
    for digit, after in zip(digits, [*digits[1:], "g"], strict=True):
        yield prefix + digit, prefix + after
