"""What all embeddings of a store have in common, written once when the store is made."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from pe_search.drafts import whole_file
from pe_search.errors import StoreError

FORMAT_VERSION = 2
EMBEDDING_DTYPE = "float16"

_FILE = "manifest.json"
# A manifest may come from someone else; beyond these bounds it would only cost memory.
_LONGEST_FILE_BYTES = 1 << 16
_LARGEST_DIMENSION = 1 << 14
_LONGEST_WINDOW_S = 30.0
_HIGHEST_RATE_HZ = 768_000
_LARGEST_LOGIT = 1e6


@dataclass(frozen=True, slots=True)
class Manifest:
    """The checkpoint and the windows that a store is made with.

    Attributes:
        model: `builtin`, a hub id, or the absolute path of a checkpoint directory.
        revision: The hub's commit, or a fingerprint of the checkpoint's files.
        dimension: Length of an embedding.
        window_s: Length of a window.
        hop_s: Step from one window to the next.
        sample_rate_hz: What the audio was resampled to.
        logit_scale: The checkpoint's factor from score to probability.
        logit_bias: The checkpoint's summand from score to probability.
        embedding_dtype: What each number of an embedding is kept as.
        format_version: Of the store; no other is read.
    """

    model: str
    revision: str
    dimension: int
    window_s: float
    hop_s: float
    sample_rate_hz: int
    logit_scale: float
    logit_bias: float
    embedding_dtype: str = EMBEDDING_DTYPE
    format_version: int = FORMAT_VERSION


def read_manifest(directory: Path) -> Manifest:
    """Read a store's manifest.

    Raises:
        StoreError: If there is no store, its manifest is damaged, or it is of another format.
    """
    path = directory / _FILE
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_FILE_BYTES + 1)
        if len(text) > _LONGEST_FILE_BYTES:
            raise ValueError("it is too long")
        fields = json.loads(text.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        command = f"pe-search index PATH --store {shlex.quote(str(directory))}"
        raise StoreError(f"There is no store at {directory}; make it with `{command}`.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if type(version) is int and version > FORMAT_VERSION:
        raise StoreError(
            f"The store at {directory} has format {version}; this pe-search reads up to {FORMAT_VERSION}. "
            "Upgrade pe-search."
        )
    if type(version) is int and 0 < version < FORMAT_VERSION:
        raise StoreError(
            f"The store at {directory} has format {version}, which this pe-search reads no more; index again into a "
            "new store (--store)."
        )
    try:
        manifest = Manifest(**fields)
    except TypeError as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    for field in dataclasses.fields(Manifest):
        if field.name not in fields:
            raise StoreError(f"{path} is damaged: it lacks '{field.name}'.")
        value = getattr(manifest, field.name)
        # JSON has one kind of number, so a whole number may stand for a float, but nothing else for anything else.
        if type(value).__name__ != field.type and not (field.type == "float" and type(value) is int):
            raise StoreError(f"{path} is damaged: {field.name} is {value!r}.")
    makes_sense = {
        "dimension": 1 <= manifest.dimension <= _LARGEST_DIMENSION,
        "window_s": 0 < manifest.window_s <= _LONGEST_WINDOW_S,
        "hop_s": 0 < manifest.hop_s <= manifest.window_s,
        "sample_rate_hz": 1 <= manifest.sample_rate_hz <= _HIGHEST_RATE_HZ,
        "logit_scale": abs(manifest.logit_scale) <= _LARGEST_LOGIT,
        "logit_bias": abs(manifest.logit_bias) <= _LARGEST_LOGIT,
        "embedding_dtype": manifest.embedding_dtype == EMBEDDING_DTYPE,
        "format_version": manifest.format_version == FORMAT_VERSION,
    }
    for name, does in makes_sense.items():
        if not does:
            raise StoreError(f"{path} is damaged: {name} is {getattr(manifest, name)!r}.")
    return manifest


def read_manifest_if_any(directory: Path) -> Manifest | None:
    """Read a store's manifest, or return None if there is no store yet.

    Raises:
        StoreError: As `read_manifest`, if there is one.
    """
    return read_manifest(directory) if os.path.lexists(directory / _FILE) else None


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write a manifest whole or not at all, whatever happens to the power.

    Raises:
        OSError: If the disk is full or can't be written to.
    """
    with whole_file(directory / _FILE) as file:
        file.write((json.dumps(dataclasses.asdict(manifest), indent=2) + "\n").encode())
