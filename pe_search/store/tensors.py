"""A file of named arrays in the layout of safetensors, written as a stream and read where it lies on the disk.

The safetensors package reads such a file too, but copies what it reads, and writes only what is in memory as a whole.
The last array, `sums`, has the CRC-32 of the header, and the sums of the blocks of all that lies between them.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.drafts import whole_file
from pe_search.store.blocks import Checks, Sums, blocks_in
from pe_search.store.files import open_regular

_DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "I64": np.dtype("<i8")}
# The arrays begin here, on a page of their own.
_HEADER_BYTES = 4_096
_SUMS = "sums"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array on its way to the disk.

    Attributes:
        dtype: `F16` or `I64`.
        shape: Of the whole.
        parts: The whole, cut along its first axis; asked for only when it is written.
    """

    dtype: str
    shape: tuple[int, ...]
    parts: Iterable[NDArray[Any]]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file of arrays whole or not at all, and to the disk before it takes its name.

    Raises:
        OSError: If the disk is full or can't be written to.
        ValueError: If the parts of a tensor don't make up its shape.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + _size_bytes(tensor.dtype, tensor.shape)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": (start, end)}
    sums_end = end + 8 * (1 + blocks_in(end))
    header[_SUMS] = {"dtype": "I64", "shape": (1 + blocks_in(end),), "data_offsets": (end, sums_end)}
    length = _HEADER_BYTES - 8
    text = json.dumps(header).encode("ascii").ljust(length)
    sums = Sums()
    with whole_file(path) as file:
        file.write(length.to_bytes(8, "little"))
        file.write(text)
        for name, tensor in tensors.items():
            for part in tensor.parts:
                piece = np.ascontiguousarray(part, _DTYPES[tensor.dtype]).reshape(-1).view(np.uint8).data
                file.write(piece)
                sums.add(piece)
            if file.tell() != _HEADER_BYTES + header[name]["data_offsets"][1]:
                raise ValueError(f"the parts of {name} don't make up its shape")
        file.write(np.array([zlib.crc32(text), *sums.finished()], "<i8").tobytes())


def map_checked(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str], Checks | None]:
    """The arrays of a file, its metadata, and the blocks of the file, which begin where the first array does.

    Nothing but the header is read and compared with its checksum. The arrays are read as they are used, and compared
    when `Checks.check` is called. A file from before there were checksums has no blocks.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or not a whole one.
        OSError: If it can't be read.
    """
    with open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes < _HEADER_BYTES:
            raise ValueError("it is too short")
        # A file that is mapped can't be replaced on Windows, and no reader may keep the index from being made again.
        is_to_map = sys.platform != "win32"
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if is_to_map else file.read()
    if int.from_bytes(mapped[:8], "little") != _HEADER_BYTES - 8:
        raise ValueError("it does not begin as such a file does")
    try:
        header = json.loads(mapped[8:_HEADER_BYTES])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is damaged: {error!r}") from error
    try:
        metadata = {str(key): str(value) for key, value in header.pop("__metadata__").items()}
        arrays: dict[str, NDArray[Any]] = {}
        end = 0
        for name, entry in header.items():
            shape = tuple(int(length) for length in entry["shape"])
            start, end = end, end + _size_bytes(entry["dtype"], shape)
            if min(shape) < 0 or list(entry["data_offsets"]) != [start, end] or end > size_bytes - _HEADER_BYTES:
                raise ValueError(f"{name} is not where it should be")
            values = np.frombuffer(mapped, _DTYPES[entry["dtype"]], int(np.prod(shape)), _HEADER_BYTES + start)
            arrays[name] = values.reshape(shape)
    except (AttributeError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"its header is damaged: {error!r}") from error
    if end != size_bytes - _HEADER_BYTES:
        raise ValueError("its size is not what its header says")
    sums = arrays.pop(_SUMS, None)
    if sums is None:
        return arrays, metadata, None
    start = end - sums.nbytes
    if sums.ndim != 1 or len(sums) != 1 + blocks_in(start) or zlib.crc32(mapped[8:_HEADER_BYTES]) != sums[0]:
        raise ValueError("its header is not as it was written")
    return arrays, metadata, Checks(np.frombuffer(mapped, np.uint8, start, _HEADER_BYTES), sums[1:])


def _size_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    size = _DTYPES[dtype].itemsize
    for length in shape:
        size *= length
    return size
