"""The audio tower of the built-in checkpoint at work without torch, which takes seconds to import.

Its DAC encoder is loops and convolutions (`narrow.py`, `convolutions.py`); the rest is an ONNX graph, which
`compile_audio` made. The graph is in the package, and its weights are those of the checkpoint.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pe_search.pe_audio.batches import batches, pad_to_frames, side_by_side
from pe_search.pe_audio.checkpoint import WEIGHTS_FILE, Checkpoint
from pe_search.pe_audio.compiled import CompiledRecord, CompiledTextEmbedder, open_shipped, read_record
from pe_search.pe_audio.convolutions import OnnxConvolutions, open_graph
from pe_search.pe_audio.narrow import NarrowEncoder, shapes
from pe_search.pe_audio.vetting import CONFIG_FILE

if TYPE_CHECKING:
    from pe_search.pe_audio.embedder import Embedder

GRAPH_FILE = "tower.onnx"
NAMES_FILE = "weights.txt"
SHIPPED_AUDIO = Path(__file__).parent / "builtin_audio"

_SAMPLE_RATE_HZ = 48_000
# Audio that a thread takes at once: its activations stay in a core's own cache.
_BATCH_S = 5.0
# Beyond this, upstream's group norm gives no number, where the graph's divides by infinity and gives zero.
_LARGEST_SAMPLE = 1e19
_ENCODER = "audio_encoder.embedder.dac_encoder."


class CompiledAudioEmbedder:
    """A compiled audio tower at work on the CPU, in float32.

    Args:
        checkpoint: Of the plain layout, in one file.
        directory: Where `compile_audio` left the graph.

    Attributes:
        checkpoint: As given.
        dimension: Length of an embedding.
        samples_per_frame: Length of a frame at 48 kHz.
        logit_scale: What a score is multiplied by on its way to a probability.
        logit_bias: What is then added to it.
        runtime: Where and in what it calculates.
        batch_s: Seconds of audio that it takes at once.
    """

    runtime = "cpu in float32"

    def __init__(self, checkpoint: Checkpoint, directory: Path) -> None:
        from safetensors.numpy import load_file

        config = json.loads((checkpoint.directory / CONFIG_FILE).read_text(encoding="utf-8"))
        dac = config["audio_config"]["dac_config"]
        weights = {
            name: np.asarray(weight, np.float32)
            for name, weight in load_file(checkpoint.directory / WEIGHTS_FILE).items()
            if name.startswith(("audio_encoder.", "audio_head.", "text_audio_logit_"))
        }
        self.checkpoint = checkpoint
        self.dimension: int = config["text_config"]["hidden_size"]
        self.samples_per_frame: int = dac["hop_length"]
        self.logit_scale = weights.pop("text_audio_logit_scale").item()
        self.logit_bias = weights.pop("text_audio_logit_bias").item()
        strides = dac["downsampling_ratios"]
        self._encode = NarrowEncoder(
            {name.removeprefix(_ENCODER): weight for name, weight in weights.items() if name.startswith(_ENCODER)},
            strides,
            OnnxConvolutions(directory, shapes(strides)),
        )
        names = (directory / NAMES_FILE).read_text(encoding="utf-8").split()
        self._session = open_graph(directory / GRAPH_FILE, {name: weights[name] for name in names})
        # Every thread has a batch of its own: a second one gains nothing on operations this small.
        threads = int(os.environ.get("OMP_NUM_THREADS") or len(_cores()))
        self._map = ThreadPoolExecutor(threads, "embed").map if threads > 1 else map
        self.batch_s = threads * _BATCH_S
        self._text_embedder: CompiledTextEmbedder | Embedder | None = None

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """As `Embedder.embed_windows`."""
        outputs = self._embed(windows)
        return np.array([output[0] for output in outputs], np.float32).reshape(len(windows), self.dimension)

    def embed_frames(self, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """As `Embedder.embed_frames`."""
        return [
            output[1 : 1 + math.ceil(len(window) / self.samples_per_frame)]
            for output, window in zip(self._embed(windows), windows, strict=True)
        ]

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Embedder.embed_texts`."""
        if self._text_embedder is None:
            self._text_embedder = open_shipped(self.checkpoint.name, self.checkpoint.revision)
        if self._text_embedder is None:  # the package is damaged
            from pe_search.pe_audio.embedder import Embedder

            self._text_embedder = Embedder(self.checkpoint, "cpu")
        return self._text_embedder.embed_texts(texts)

    def _embed(self, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The embedding of each window and of its frames, and what means nothing: (1 + frames or more, dimension)."""
        padded = [pad_to_frames(window, self.samples_per_frame) for window in windows]
        outputs: dict[int, NDArray[np.float32]] = {}

        def embed_rows(rows: list[int]) -> None:
            outputs.update(zip(rows, self._run([padded[row] for row in rows]), strict=True))

        for _ in self._map(embed_rows, batches([len(window) for window in padded], _BATCH_S * _SAMPLE_RATE_HZ)):
            pass
        return [outputs[row] for row in range(len(windows))]

    def _run(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        ends = np.array([len(window) for window in windows], np.int64)
        frames = ends // self.samples_per_frame
        mask = (np.arange(frames.max()) < frames[:, None]).astype(np.float32)
        encoded = self._encode(side_by_side(windows), ends)
        embeddings: NDArray[np.float32] = self._session.run(None, {"encoded": encoded, "mask": mask})[0]
        for embedding, window in zip(embeddings, windows, strict=True):
            if max(window.max(), -window.min()) > _LARGEST_SAMPLE:
                embedding[:] = np.nan
        return embeddings


def open_shipped_audio(checkpoint: Checkpoint) -> CompiledAudioEmbedder | None:
    """Open the compiled audio tower that the package has of a checkpoint, or return None if it has none that opens."""
    if read_record(SHIPPED_AUDIO) != CompiledRecord(checkpoint.name, checkpoint.revision):
        return None
    try:
        return CompiledAudioEmbedder(checkpoint, SHIPPED_AUDIO)
    # A damaged file, or a runtime of another version, or none on this kind of machine.
    except Exception:
        return None


def _cores() -> Sequence[int]:
    """The cores that this process may use, if the system tells."""
    own = getattr(os, "sched_getaffinity", None)
    return tuple(own(0)) if own is not None else range(os.cpu_count() or 1)
