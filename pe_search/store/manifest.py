"""What all embeddings of a store have in common, written once when the store is made."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pe_search.directories import command_for, shown_store
from pe_search.drafts import whole_file
from pe_search.errors import StoreError
from pe_search.records import Hearing
from pe_search.store.files import MANIFEST_FILE, odd_kind, open_regular
from pe_search.store.schema import FORMAT_VERSION, OLDEST_FORMAT

EMBEDDING_DTYPE = "float16"

# A manifest may come from someone else; beyond these bounds it would only cost memory and time.
_LONGEST_FILE_BYTES = 1 << 16
# Of a shorter hop an hour would be more windows than a store can hold.
_Seconds = Annotated[float, Meta(ge=0.01, le=30)]
_Logit = Annotated[float, Meta(ge=-1e6, le=1e6)]


class OldFormatError(StoreError):
    """A store is of an older format, which can be converted.

    Attributes:
        version: Of its format.
    """

    def __init__(self, message: str, version: int) -> None:
        super().__init__(message)
        self.version = version


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
        level: `none`, or `auto` if quiet windows were made louder before they were embedded.
        speed: Of the audio that was embedded, where 1 is as recorded and 0.1 is ten times as long.
        track: Which audio track of files with several was embedded; 1 for the first.
        embedding_dtype: What each number of an embedding is kept as.
        format_version: Of the store; no other is read.
    """

    model: str
    revision: str
    dimension: Annotated[int, Meta(ge=1, le=1 << 14)]
    window_s: _Seconds
    hop_s: _Seconds
    sample_rate_hz: Annotated[int, Meta(ge=1, le=768_000)]
    logit_scale: _Logit
    logit_bias: _Logit
    level: Annotated[str, Meta(pattern=r"\A(none|auto)\Z")] = "none"
    speed: Annotated[float, Meta(ge=0.001, le=1)] = 1.0
    track: Annotated[int, Meta(ge=1)] = 1
    embedding_dtype: Annotated[str, Meta(pattern=rf"\A{EMBEDDING_DTYPE}\Z")] = EMBEDDING_DTYPE
    format_version: Annotated[int, Meta(ge=FORMAT_VERSION, le=FORMAT_VERSION)] = FORMAT_VERSION

    @property
    def hearing(self) -> Hearing:
        """How clips are brought to the model."""
        return Hearing(self.level, self.speed, self.track)


def read_manifest(directory: Path) -> Manifest:
    """Read a store's manifest.

    Raises:
        OldFormatError: If the store is of an older format that can be converted.
        StoreError: If there is no store, its manifest is damaged, or it is of another format.
    """
    return manifest_of(read_fields(directory), directory)


def read_fields(directory: Path) -> dict[str, Any]:
    """What a store's manifest says, whatever its format and whether it makes sense.

    Raises:
        StoreError: If there is no store, or its manifest is not JSON with names and values.
    """
    path = directory / MANIFEST_FILE
    kind = odd_kind(path)
    if kind is not None:
        raise StoreError(f"{path} can't be read: it is {kind}; the files of a store are regular files in its folder.")
    try:
        with open_regular(path) as file:
            text = file.read(_LONGEST_FILE_BYTES + 1)
        if len(text) > _LONGEST_FILE_BYTES:
            raise ValueError("it is too long")
        return fields_of(text.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        command = command_for("index PATH", directory)
        raise StoreError(f"There is no store at {directory}; make it with {command}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    except TypeError as error:
        raise StoreError(f"{path} is damaged: {error}.") from error


def fields_of(text: str) -> dict[str, Any]:
    """What the JSON of a manifest says.

    Raises:
        ValueError: If it is no JSON; RecursionError if it is too deep.
        TypeError: If it is JSON of another kind.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise TypeError("it has no names and values")
    return fields


def manifest_of(fields: dict[str, Any], directory: Path) -> Manifest:
    """The manifest of its fields.

    Args:
        fields: From `read_fields`.
        directory: The store's, for messages.

    Raises:
        OldFormatError: As `read_manifest`.
        StoreError: As `read_manifest`.
    """
    path = directory / MANIFEST_FILE
    version, where = fields.get("format_version"), shown_store(directory)
    if type(version) is int and version > FORMAT_VERSION:
        raise StoreError(
            f"The store at {where} has format {version}; this pe-search reads up to {FORMAT_VERSION}. "
            "Upgrade pe-search."
        )
    if type(version) is int and OLDEST_FORMAT <= version < FORMAT_VERSION:
        raise OldFormatError(
            f"The store at {where} has format {version}, and must be converted to {FORMAT_VERSION} first.", version
        )
    if type(version) is int and 0 < version < OLDEST_FORMAT:
        raise StoreError(
            f"The store at {where} has format {version}, which this pe-search can't read any more. Index again "
            "into a new store (--store)."
        )
    try:
        manifest = msgspec.convert(fields, Manifest)
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}.") from error
    if odd := dataclasses.asdict(manifest).keys() ^ fields.keys():
        raise StoreError(f"{path} is damaged: the field `{min(odd)}` is missing or unknown.")
    if manifest.hop_s > manifest.window_s:
        raise StoreError(f"{path} is damaged: its hop_s is longer than its window_s.")
    return manifest


def numbers_of(manifest: Manifest) -> dict[str, Any]:
    """What a manifest has that would change answers in silence if it were wrong; a wrong name is noticed."""
    names = ("model", "revision")
    return {name: value for name, value in dataclasses.asdict(manifest).items() if name not in names}


def as_json(manifest: Manifest) -> str:
    """A manifest as it is written."""
    return json.dumps(dataclasses.asdict(manifest), indent=2) + "\n"


def has_manifest(directory: Path) -> bool:
    """Whether there is something in the place of a manifest."""
    return os.path.lexists(directory / MANIFEST_FILE)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write a manifest whole or not at all, whatever happens to the power.

    Raises:
        OSError: If the disk is full or can't be written to.
    """
    with whole_file(directory / MANIFEST_FILE) as file:
        file.write(as_json(manifest).encode())
