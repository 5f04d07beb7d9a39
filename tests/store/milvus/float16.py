"""A server that keeps float16 vectors, as Milvus does from 2.4 on: that of Milvus Lite, which says so and converts.

It takes what pymilvus sends to such a server, and nothing else: a vector or a query of another type is refused. It
calculates in float32, from float16 numbers and a float16 query.
"""

# gRPC names methods so.
# ruff: noqa: N802
from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from milvus_lite.adapter.grpc.servicer import MilvusServicer
from milvus_lite.db import MilvusLite
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2

_FLOAT, _FLOAT16 = schema_pb2.FloatVector, schema_pb2.Float16Vector


class Float16Servicer(MilvusServicer):
    """Answers as Milvus 2.4 does.

    Attributes:
        queries: The vectors that were searched with.
    """

    def __init__(self, db: MilvusLite) -> None:
        super().__init__(db)
        self._halves: set[str] = set()
        self.queries: list[np.ndarray] = []

    def GetVersion(self, request: Any, context: Any) -> Any:
        found = super().GetVersion(request, context)
        found.version = "v2.4.23"
        return found

    def CreateCollection(self, request: Any, context: Any) -> Any:
        schema = schema_pb2.CollectionSchema.FromString(request.schema)
        for field in schema.fields:
            if field.data_type == _FLOAT16:
                self._halves.add(request.collection_name)
                field.data_type = _FLOAT
        request.schema = schema.SerializeToString()
        return super().CreateCollection(request, context)

    def DescribeCollection(self, request: Any, context: Any) -> Any:
        found = super().DescribeCollection(request, context)
        if request.collection_name in self._halves:
            for field in found.schema.fields:
                if field.data_type == _FLOAT:
                    field.data_type = _FLOAT16
        return found

    def Upsert(self, request: Any, context: Any) -> Any:
        for field in request.fields_data:
            if request.collection_name in self._halves and field.HasField("vectors"):
                if (
                    field.type != _FLOAT16
                    or len(field.vectors.float16_vector) != 2 * field.vectors.dim * request.num_rows
                ):
                    return milvus_pb2.MutationResult(status=_refusal("the field is of float16"))
                numbers = np.frombuffer(field.vectors.float16_vector, "<f2").astype(np.float32)
                field.type = _FLOAT
                field.vectors.float_vector.data.extend(numbers.tolist())
        return super().Upsert(request, context)

    def Query(self, request: Any, context: Any) -> Any:
        found = super().Query(request, context)
        self._halve(request.collection_name, found.fields_data)
        return found

    def Search(self, request: Any, context: Any) -> Any:
        group = common_pb2.PlaceholderGroup.FromString(request.placeholder_group)
        if request.collection_name in self._halves:
            for one in group.placeholders:
                if one.type != common_pb2.PlaceholderType.Float16Vector:
                    return milvus_pb2.SearchResults(status=_refusal("vector type must be the same"))
                numbers = [np.frombuffer(value, "<f2").astype("<f4") for value in one.values]
                self.queries += numbers
                one.type = common_pb2.PlaceholderType.FloatVector
                del one.values[:]
                one.values.extend(vector.tobytes() for vector in numbers)
            request.placeholder_group = group.SerializeToString()
        found = super().Search(request, context)
        self._halve(request.collection_name, found.results.fields_data)
        return found

    def _halve(self, collection: str, fields: Any) -> None:
        for field in fields:
            if collection in self._halves and field.HasField("vectors"):
                numbers = np.array(field.vectors.float_vector.data, np.float32).astype("<f2")
                field.type = _FLOAT16
                field.vectors.float16_vector = numbers.tobytes()


def _refusal(reason: str) -> Any:
    return common_pb2.Status(
        error_code=common_pb2.ErrorCode.UnexpectedError, code=1100, reason=f"invalid parameter: {reason}"
    )


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Float16Servicer]]:
    """The address of such a server, and the server."""
    db = MilvusLite(str(folder))
    servicer = Float16Servicer(db)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"milvus://127.0.0.1:{port}", servicer
    finally:
        server.stop(None).wait()
        db.close()
