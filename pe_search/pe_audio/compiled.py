"""A checkpoint's text tower as `compile` leaves it, at work without torch.

That of the built-in checkpoint comes with the package; all others are in the user's cache directory.

Importing torch and transformers takes longer than all the rest of a query. A compiled text tower is an ONNX graph, its
weights beside it in a file that ONNX Runtime maps into memory, and the tokenizer with its truncation set.

**Its directory is whole.** It is renamed to its place when it is complete, and files that were cut short since don't
open; it is made again then. Nothing else is checked: to hash the files would take longer than the rest of a query.

**The checkpoint is not looked at.** A compiled text tower is known by the checkpoint's name and revision, as the
embeddings of a store are. So it fits the store whatever has become of the checkpoint's directory since.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TOWER_FILE = "tower.onnx"
WEIGHTS_FILE = "tower.weights"
TOKENIZER_FILE = "tokenizer.json"

# That of the built-in checkpoint comes with the package; `examples/compile_builtin.py` makes it.
SHIPPED = Path(__file__).parent / "builtin_text"
_RECORD_FILE = "record.json"
# Part of the name of the directory, so that those of another format are never opened.
_FORMAT_VERSION = 1
_TEXT_TOWERS = "text-towers"

# Starting threads takes longer than a tower of fewer weights than this.
_ONE_THREAD_BELOW_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class CompiledRecord:
    """What a compiled text tower is of.

    Attributes:
        checkpoint: The checkpoint's name.
        revision: The checkpoint's revision.
        failure: Why it can't be compiled, so that torch is to be used; empty if it is.
    """

    checkpoint: str
    revision: str
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
    return read_record(SHIPPED) == CompiledRecord(name, revision)


def open_shipped(name: str, revision: str) -> CompiledTextEmbedder | None:
    """Open the compiled text tower that the package has of a checkpoint, or return None if it has none that opens."""
    return _open(SHIPPED, name, revision)


def open_compiled(cache: Path, name: str, revision: str) -> CompiledTextEmbedder | None:
    """Open the compiled text tower of a checkpoint, or return None where there is none that opens.

    Args:
        cache: The user's cache directory for pe-search.
        name: As `Checkpoint.name` has it.
        revision: As `Checkpoint.revision` has it.
    """
    return _open(compiled_directory(cache, name, revision), name, revision)


def compiled_directory(cache: Path, name: str, revision: str) -> Path:
    """Where the compiled text tower of a checkpoint is, if there is one."""
    identity = "\0".join((str(_FORMAT_VERSION), name, revision))
    return cache / _TEXT_TOWERS / hashlib.sha256(os.fsencode(identity)).hexdigest()[:32]


def read_record(directory: Path) -> CompiledRecord | None:
    """Read a compiled text tower's record, or return None where it is missing or damaged."""
    try:
        fields = json.loads((directory / _RECORD_FILE).read_text(encoding="utf-8"))
        return CompiledRecord(fields["checkpoint"], fields["revision"], fields["failure"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write_record(directory: Path, record: CompiledRecord) -> None:
    """Write a compiled text tower's record.

    Raises:
        OSError: If the directory can't be written to.
    """
    (directory / _RECORD_FILE).write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n", encoding="utf-8")


def _open(directory: Path, name: str, revision: str) -> CompiledTextEmbedder | None:
    if read_record(directory) != CompiledRecord(name, revision):
        return None
    try:
        return CompiledTextEmbedder(directory)
    # A damaged file, a runtime of another version, or none on this kind of machine.
    except Exception:
        return None
