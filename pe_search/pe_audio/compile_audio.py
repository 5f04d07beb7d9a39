"""Compile the audio tower of a checkpoint of few channels, for the package: see `compiled_audio`.

As the text tower (`compile.py`), what comes after its DAC encoder is traced by torch's TorchScript exporter. The graphs
of the encoder's convolutions are beside it. No weights are kept: they are those of the checkpoint.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from pe_search.errors import CheckpointError
from pe_search.pe_audio.audio_tail import AudioTail
from pe_search.pe_audio.checkpoint import WEIGHTS_FILE, Checkpoint
from pe_search.pe_audio.compiled import CompiledRecord, write_record
from pe_search.pe_audio.compiled_audio import GRAPH_FILE, NAMES_FILE, CompiledAudioEmbedder
from pe_search.pe_audio.convolutions import OPSET, write_convolutions
from pe_search.pe_audio.embedder import Embedder
from pe_search.pe_audio.narrow import shapes
from pe_search.pe_audio.towers import AudioTower, load_tower

_TRACED_FRAMES = 7
# Of one frame, of many, and of lengths that are no whole number of frames.
_TRIED_SAMPLES = (1_920, 480_000, 100_000, 5_000, 1)
_TOLERANCE = 1e-5


def compile_audio_tower(checkpoint: Checkpoint, directory: Path) -> None:
    """Write a checkpoint's compiled audio tower into a directory.

    Raises:
        CheckpointError: If it can't be loaded, or doesn't agree with upstream's.
    """
    tail = AudioTail(load_tower(AudioTower, checkpoint, torch.float32))
    traced = directory / "traced.onnx"
    encoded = torch.zeros(2, tail.channels, _TRACED_FRAMES)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tail,
            (encoded, torch.ones(2, _TRACED_FRAMES)),
            str(traced),
            input_names=["encoded", "mask"],
            output_names=["embeddings"],
            dynamic_axes={"encoded": {0: "windows", 2: "frames"}, "mask": {0: "windows", 1: "frames"}},
            opset_version=OPSET,
            do_constant_folding=False,
            dynamo=False,
        )
    _keep_the_graph(traced, directory / GRAPH_FILE, checkpoint)
    traced.unlink()
    write_convolutions(directory, shapes(tail.strides))
    write_record(directory, CompiledRecord(checkpoint.name, checkpoint.revision))
    _refuse_disagreement(CompiledAudioEmbedder(checkpoint, directory), Embedder(checkpoint, "cpu", "float32"))


def _keep_the_graph(traced: Path, graph: Path, checkpoint: Checkpoint) -> None:
    """Leave out of a graph the weights that the checkpoint has: they are given when it is opened."""
    import onnx
    from safetensors import safe_open

    model = onnx.load(str(traced))
    with safe_open(checkpoint.directory / WEIGHTS_FILE, "numpy") as weights:
        names = set(weights.keys())
    # The exporter keeps weights that are equal once, so not all of them are there.
    from_checkpoint = [initializer for initializer in model.graph.initializer if initializer.name in names]
    for initializer in from_checkpoint:
        initializer.ClearField("raw_data")
        initializer.data_location = onnx.TensorProto.EXTERNAL
        initializer.external_data.add(key="location", value="the weights of the checkpoint")
    graph.write_bytes(model.SerializeToString())
    names_file = graph.with_name(NAMES_FILE)
    names_file.write_text("".join(f"{initializer.name}\n" for initializer in from_checkpoint), encoding="utf-8")


def _refuse_disagreement(compiled: CompiledAudioEmbedder, embedder: Embedder) -> None:
    random = np.random.default_rng(0)
    windows = [random.normal(0, 0.1, samples).astype(np.float32) for samples in _TRIED_SAMPLES]
    pairs = [
        (compiled.embed_windows(windows), embedder.embed_windows(windows)),
        *zip(compiled.embed_frames(windows), embedder.embed_frames(windows), strict=True),
    ]
    for found, expected in pairs:
        if np.abs(found - expected).max() > _TOLERANCE * np.linalg.norm(expected, axis=1).max():
            raise CheckpointError("The compiled audio tower disagrees with torch's.")
