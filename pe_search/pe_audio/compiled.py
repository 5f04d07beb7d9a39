"""A checkpoint's text tower as `compile` leaves it, at work without torch.

That of the built-in checkpoint comes with the package; all others are in the user's cache directory.

Importing torch and transformers takes longer than all the rest of a query. A compiled text tower is an ONNX graph, its
weights beside it in a file that ONNX Runtime maps into memory, and the tokenizer with its truncation set.

**What it is checked for.** Its record has the SHA-256, the size and the modification time of each file. A file whose
size and time are those of the record is taken as it is, so that no query reads gigabytes; one that has another time, as
after copying the cache, is hashed, and what isn't intact is made again. That catches files cut short, left over, mixed
up or edited. It is no guard against somebody who may write to the user's cache: they could write a record that fits, as
they could change pe-search itself.

**The checkpoint is not looked at.** A compiled text tower is known by the checkpoint's name and revision, as the
embeddings of a store are. So it fits the store whatever has become of the checkpoint's directory since.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.drafts import whole_file

TOWER_FILE = "tower.onnx"
WEIGHTS_FILE = "tower.weights"
TOKENIZER_FILE = "tokenizer.json"

# That of the built-in checkpoint comes with the package; `examples/compile_builtin.py` makes it.
SHIPPED = Path(__file__).parent / "builtin_text"
_RECORD_FILE = "record.json"
# Part of the name of the directory, so that those of another format are never opened.
_FORMAT_VERSION = 1
_TEXT_TOWERS = "text-towers"

# A query notes that it used a tower no more often than this, so that asking writes nothing as a rule.
_USE_COUNTS_AFTER_S = 3_600

# Starting threads takes longer than a tower of fewer weights than this.
_ONE_THREAD_BELOW_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Seal:
    """What a file was when it was made."""

    size_bytes: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CompiledRecord:
    """What a compiled text tower is of, and what it consists of.

    Attributes:
        checkpoint: The checkpoint's name.
        revision: The checkpoint's revision.
        files: The seal of each file by its name.
        failure: Why it can't be compiled, so that torch is to be used; empty if it is.
    """

    checkpoint: str
    revision: str
    files: dict[str, Seal]
    failure: str = ""


class CompiledTextEmbedder:
    """A compiled text tower at work.

    Args:
        directory: Where its files are.

    Raises:
        Exception: Whatever the runtime makes of files that it can't open.
    """

    def __init__(self, directory: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str((directory / TOKENIZER_FILE).read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        # The graph was optimised when it was made. Repacking the weights would read and copy all of them, for a tower
        # that is mostly asked one short text.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if (directory / WEIGHTS_FILE).stat().st_size < _ONE_THREAD_BELOW_BYTES:
            options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.fspath(directory / TOWER_FILE), options, providers=["CPUExecutionProvider"]
        )

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, each alone, so that an embedding is the same bit for bit whatever else is asked with it.

        Returns:
            float32 of shape (texts, dimension), not normalised.
        """
        return np.concatenate([self.embed_tokens(self.tokens(text)) for text in texts])

    def tokens(self, text: str) -> list[int]:
        """Tokenise one text, truncated to what the tower takes."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def embed_tokens(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Embed one tokenised text.

        Returns:
            float32 of shape (1, dimension).
        """
        input_ids = np.array([tokens], np.int64)
        inputs = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}
        embeddings: NDArray[np.float32] = self._session.run(None, inputs)[0]
        return embeddings


def is_shipped(name: str, revision: str) -> bool:
    """Whether the package has the compiled text tower of a checkpoint, whose `name` and `revision` are given."""
    record = read_record(SHIPPED)
    return record is not None and (record.checkpoint, record.revision) == (name, revision)


def open_shipped(name: str, revision: str) -> CompiledTextEmbedder | None:
    """Open the compiled text tower that the package has of a checkpoint, or return None if it has none that opens."""
    if not is_shipped(name, revision):
        return None
    try:
        return CompiledTextEmbedder(SHIPPED)
    # As below. Whether the files are those of the package is its installer's business.
    except Exception:
        return None


def open_compiled(cache: Path, name: str, revision: str) -> CompiledTextEmbedder | None:
    """Open the compiled text tower of a checkpoint, or return None where there is none that is intact.

    Args:
        cache: The user's cache directory for pe-search.
        name: As `Checkpoint.name` has it.
        revision: As `Checkpoint.revision` has it.
    """
    if not _is_there(cache, name, revision):
        return None
    directory = compiled_directory(cache, name, revision)
    try:
        embedder = CompiledTextEmbedder(directory)
    # A runtime of another version, or none on this kind of machine: torch does it then.
    except Exception:
        return None
    _note_use(directory)
    return embedder


def last_used_s(directory: Path) -> float:
    """When a compiled text tower was made or last used, in seconds since the epoch; 0 if there is none."""
    try:
        return (directory / _RECORD_FILE).stat().st_mtime
    except OSError:
        return 0.0


def _note_use(directory: Path) -> None:
    if time.time() - last_used_s(directory) > _USE_COUNTS_AFTER_S:
        with suppress(OSError):
            os.utime(directory / _RECORD_FILE)


def _is_there(cache: Path, name: str, revision: str) -> bool:
    """Whether there is one that is intact. Nothing of it is opened."""
    directory = compiled_directory(cache, name, revision)
    record = read_record(directory)
    return (
        record is not None
        and (record.checkpoint, record.revision) == (name, revision)
        and not record.failure
        and _is_intact(directory, record)
    )


def compiled_directory(cache: Path, name: str, revision: str) -> Path:
    """Where the compiled text tower of a checkpoint is, if there is one."""
    identity = "\0".join((str(_FORMAT_VERSION), name, revision))
    return cache / _TEXT_TOWERS / hashlib.sha256(os.fsencode(identity)).hexdigest()[:32]


def read_record(directory: Path) -> CompiledRecord | None:
    """Read a compiled text tower's record, or return None where it is missing or damaged."""
    try:
        fields = json.loads((directory / _RECORD_FILE).read_text(encoding="utf-8"))
        files = {Path(name).name: Seal(**seal) for name, seal in fields.pop("files").items()}
        return CompiledRecord(files=files, **fields)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def write_record(directory: Path, record: CompiledRecord) -> None:
    """Write a compiled text tower's record whole or not at all.

    Raises:
        OSError: If the directory can't be written to.
    """
    with whole_file(directory / _RECORD_FILE) as file:
        file.write((json.dumps(dataclasses.asdict(record), indent=2) + "\n").encode())


def seal(file: Path) -> Seal:
    """The seal of a file as it is now.

    Raises:
        OSError: If it can't be read.
    """
    status = file.stat()
    with file.open("rb") as stream:
        return Seal(status.st_size, status.st_mtime_ns, hashlib.file_digest(stream, "sha256").hexdigest())


def _is_intact(directory: Path, record: CompiledRecord) -> bool:
    if not {TOWER_FILE, WEIGHTS_FILE, TOKENIZER_FILE} <= record.files.keys():
        return False
    resealed: dict[str, Seal] = {}
    try:
        for name, made in record.files.items():
            status = (directory / name).stat()
            if (status.st_size, status.st_mtime_ns) == (made.size_bytes, made.modified_ns):
                continue
            resealed[name] = seal(directory / name)
            if resealed[name].sha256 != made.sha256:
                return False
    except OSError:
        return False
    if resealed:
        with suppress(OSError):
            write_record(directory, dataclasses.replace(record, files=record.files | resealed))
    return True
