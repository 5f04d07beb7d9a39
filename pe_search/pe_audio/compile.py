"""Compile a checkpoint's text tower into the user's cache directory, to the form that `compiled` opens without torch.

The tower is traced by torch's TorchScript exporter. The newer one (`dynamo=True`) takes ten to twenty times as long,
and onnx and onnxscript beside torch; it is the one to change to when torch drops the other. Tracing follows the path
that one text takes, and what depends on the text's length may be lost on the way: nothing is kept that doesn't agree
with the tower on texts of one token to many.

ONNX Runtime then optimises the graph, once and for all, and moves the weights into a file of their own.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pe_search.drafts import draft_folder, sync_all
from pe_search.errors import CheckpointError, first_line
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.compiled import (
    TOKENIZER_FILE,
    TOWER_FILE,
    WEIGHTS_FILE,
    CompiledRecord,
    CompiledTextEmbedder,
    compiled_directory,
    open_compiled,
    read_record,
    write_record,
)
from pe_search.pe_audio.embedder import load_tokenizer
from pe_search.pe_audio.towers import TextTower, load_tower

_OPSET = 18
_TRACED_TOKENS = 7
# ModernBERT attends to 64 tokens on each side in most of its layers, so texts must be tried that are longer than that.
_TRIED_TOKENS = (1, 2, 7, 64, 65, 200)
_TRIED_TEXTS = ("a dog barking", "Rain, on a tin roof!", "été – 雨の音 🌧", "a", "a very long text " * 2000)
_TOLERANCE = 1e-4
_ROOM_TO_SPARE_BYTES = 64_000_000
# A tower of fewer weights than this is compiled in a few seconds.
_TAKES_LONG_FROM_BYTES = 200_000_000


def compile_text_tower(checkpoint: Checkpoint, cache: Path, on_compile: Callable[[], None] = lambda: None) -> None:
    """Make sure that a checkpoint's text tower is compiled, in place of one that is damaged.

    Where none is possible that is recorded, and not tried again; where the tower can't be loaded or the cache can't
    be written to, nothing is left behind. Any number of processes may do this at once.

    Args:
        checkpoint: Whose text tower.
        cache: The user's cache directory for pe-search; made if need be.
        on_compile: Called when a text tower that takes long is about to be compiled.
    """
    directory = compiled_directory(cache, checkpoint.name, checkpoint.revision)
    earlier = read_record(directory)
    if (earlier is not None and earlier.failure) or open_compiled(cache, checkpoint.name, checkpoint.revision):
        return
    with suppress(OSError, MemoryError, CheckpointError):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(directory.parent) as folder:
            draft = folder / "compiled"
            draft.mkdir()
            failure = _write(draft, checkpoint, on_compile)
            write_record(draft, CompiledRecord(checkpoint.name, checkpoint.revision, failure))
            sync_all(draft)
            _put_in_place(draft, directory)


def _write(draft: Path, checkpoint: Checkpoint, on_compile: Callable[[], None]) -> str:
    """Write the files of a compiled text tower; returns why that is impossible, or nothing.

    Raises:
        CheckpointError: If the tower or the tokenizer can't be loaded.
        OSError: If there is no room for it on the disk.
    """
    tower = load_tower(TextTower, checkpoint, torch.float32)
    weights_bytes = sum(parameter.nbytes for parameter in tower.parameters())
    _make_sure_of_room(draft, weights_bytes)
    if weights_bytes >= _TAKES_LONG_FROM_BYTES:
        on_compile()
    tokenizer = load_tokenizer(checkpoint, tower.config.text_config)
    try:
        _write_tokenizer(draft / TOKENIZER_FILE, tokenizer)
        _write_graph(draft, tower)
        compiled = CompiledTextEmbedder(draft)
        return _disagreement(compiled, tower, tokenizer)
    except (OSError, MemoryError):
        raise
    # An exporter and a runtime, each with its own kinds of exception, on a model that may be of any kind.
    except Exception as error:
        return first_line(error)


def _make_sure_of_room(draft: Path, weights_bytes: int) -> None:
    # The runtime has no kind of exception of its own for a full disk. The weights are there twice while it works.
    if shutil.disk_usage(draft).free < 2 * weights_bytes + _ROOM_TO_SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(draft))


def _write_tokenizer(path: Path, tokenizer: Any) -> None:
    # A call leaves the truncation that was asked for set in the tokenizer behind it.
    tokenizer([_TRIED_TEXTS[0]], truncation=True)
    path.write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")


def _write_graph(draft: Path, tower: TextTower) -> None:
    import onnxruntime

    traced = draft / "traced.onnx"
    input_ids = torch.zeros(1, _TRACED_TOKENS, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower,
            (input_ids, torch.ones_like(input_ids)),
            str(traced),
            input_names=["input_ids", "attention_mask"],
            output_names=["embeddings"],
            dynamic_axes={"input_ids": {1: "tokens"}, "attention_mask": {1: "tokens"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    # The level above this one depends on the processor, and a cache may be on a disk that several machines share.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(draft / TOWER_FILE)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS_FILE)
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(traced), options, providers=["CPUExecutionProvider"])
    # Some versions of torch keep the weights of large models in files of their own beside the graph.
    for file in set(draft.iterdir()) - {draft / name for name in (TOWER_FILE, WEIGHTS_FILE, TOKENIZER_FILE)}:
        file.unlink()


def _disagreement(compiled: CompiledTextEmbedder, tower: TextTower, tokenizer: Any) -> str:
    """Where the compiled tower and torch's disagree, if they do."""
    for tokens in _tried_tokens(tower.config.text_config.vocab_size, tokenizer.model_max_length):
        with torch.inference_mode():
            input_ids = torch.tensor([tokens])
            expected = tower(input_ids, torch.ones_like(input_ids)).numpy()
        largest = max(1.0, float(np.abs(expected).max()))
        if not np.allclose(compiled.embed_tokens(tokens), expected, rtol=0, atol=_TOLERANCE * largest):
            return f"the compiled tower disagrees with torch's on a text of {len(tokens)} tokens"
    for text in _TRIED_TEXTS:
        if compiled.tokens(text) != tokenizer([text], truncation=True)["input_ids"][0]:
            return f"the compiled tokenizer disagrees with transformers' on {text[:40]!r}"
    return ""


def _tried_tokens(vocabulary: int, most: int) -> Iterator[list[int]]:
    """Texts as tokens, made up, of all the lengths to be tried."""
    random = np.random.default_rng(0)
    for length in sorted({min(length, most) for length in _TRIED_TOKENS}):
        yield random.integers(vocabulary, size=length).tolist()


def _put_in_place(draft: Path, directory: Path) -> None:
    """Rename the draft to its place; what is there already goes away with the folder that the draft was in."""
    try:
        draft.rename(directory)
    except OSError:
        directory.rename(draft.with_name("replaced"))
        draft.rename(directory)
