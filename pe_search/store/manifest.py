"""What all embeddings of a store have in common, written once when the store is made."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from pe_search.errors import StoreError

FORMAT_VERSION = 1

_FILE = "manifest.json"


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
        format_version: Of the store; a newer one is not read.
    """

    model: str
    revision: str
    dimension: int
    window_s: float
    hop_s: float
    sample_rate_hz: int
    logit_scale: float
    logit_bias: float
    format_version: int = FORMAT_VERSION


def read_manifest(directory: Path) -> Manifest:
    """Read a store's manifest.

    Raises:
        StoreError: If there is no store, its manifest is damaged, or it is of a newer format.
    """
    path = directory / _FILE
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        command = f"pe-search index PATH --store {shlex.quote(str(directory))}"
        raise StoreError(f"There is no store at {directory}; make it with `{command}`.") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise StoreError(
            f"The store at {directory} has format {version}; this pe-search reads up to {FORMAT_VERSION}. "
            "Upgrade pe-search."
        )
    try:
        manifest = Manifest(**fields)
    except TypeError as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    for field in dataclasses.fields(Manifest):
        value = getattr(manifest, field.name)
        # JSON has one kind of number, so a whole number may stand for a float, but nothing else for anything else.
        if type(value).__name__ != field.type and not (field.type == "float" and type(value) is int):
            raise StoreError(f"{path} is damaged: {field.name} is {value!r}.")
    makes_sense = {
        "dimension": manifest.dimension >= 1,
        "window_s": 0 < manifest.window_s < math.inf,
        "hop_s": 0 < manifest.hop_s <= manifest.window_s,
        "sample_rate_hz": manifest.sample_rate_hz >= 1,
        "logit_scale": math.isfinite(manifest.logit_scale),
        "logit_bias": math.isfinite(manifest.logit_bias),
        "format_version": manifest.format_version >= 1,
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
    """Write a manifest whole or not at all."""
    path = directory / _FILE
    draft = path.with_suffix(".json.new")
    draft.write_text(json.dumps(dataclasses.asdict(manifest), indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)
