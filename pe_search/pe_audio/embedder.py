"""Windows to embeddings, texts to embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer

from pe_search.errors import CheckpointError, PeSearchError, first_line
from pe_search.pe_audio.batches import batches, pad_to_frames, side_by_side
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.quick import make_quick
from pe_search.pe_audio.towers import AudioTower, TextTower, load_config, load_tower

_SAMPLE_RATE_HZ = 48_000
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Audio that goes through the model at once on a CPU: the transformer of a large one then fetches its weights for two
# windows, while its DAC encoder takes one after the other; the activations of a small one stay in a core's own cache.
_CPU_BATCH_S = 20.0
_CPU_BATCH_OF_NARROW_S = 5.0
_MPS_BATCH_S = 60.0
_LONGEST_CUDA_BATCH_S = 600.0
# Activations of the DAC encoder's size that are alive at once, with room for what the allocator can't use.
_ACTIVATIONS_AT_ONCE = 6

# An embedder of narrow windows leaves each thread of torch alone with its work. What is trained afterwards isn't so.
USUAL_THREADS = torch.get_num_threads()

_Embed = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]

# Of one token and of several, so that one is padded.
_TRIED_TEXTS = ("a", "a dog barking")

# The activations of a narrower encoder are small anyway: tiles gain nothing, and to calculate in 16 bits would save no
# time.
_WIDE_FROM_CHANNELS = 16


class Embedder:
    """A PE Audio checkpoint at work. Each tower is loaded when it is first needed, and not before.

    Args:
        checkpoint: From `find_checkpoint`.
        device: `auto`, `cpu`, `cuda` or `mps`; `auto` takes the first of cuda, mps and cpu that is there.
        dtype: `auto`, `float32`, `bfloat16` or `float16`; `auto` is bfloat16 where the device multiplies it faster,
            else float32. A checkpoint too small to gain by 16 bits is calculated in float32 whatever is asked.

    Attributes:
        checkpoint: As given.
        device: The one that was picked.
        dtype: The one that is calculated in.
        dimension: Length of an embedding.
        samples_per_frame: Length of a frame at 48 kHz: 1,920 in every published checkpoint, which is 40 ms.

    Raises:
        PeSearchError: If the device is not there.
        CheckpointError: If the checkpoint's configuration can't be read.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", dtype: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.device = pick_device(device)
        config = load_config(checkpoint)
        self._channels: int = config.audio_config.dac_config.encoder_hidden_size
        self._is_wide = self._channels >= _WIDE_FROM_CHANNELS
        self.dtype = pick_dtype(self.device, dtype) if self._is_wide else "float32"
        self._dtype = DTYPES[self.dtype]
        self.dimension: int = config.text_config.hidden_size
        self.samples_per_frame: int = config.audio_config.dac_config.hop_length
        self._batch_s = 0.0
        self._threads = 1
        self._map: Callable[[Callable[[list[int]], None], Iterable[list[int]]], Iterable[None]] = map
        self._audio_tower: AudioTower | None = None
        self._text_tower: TextTower | None = None
        self._tokenizer: Any = None

    @property
    def runtime(self) -> str:
        """Where and in what it calculates, in words."""
        return f"{self.device.type} in {self.dtype}"

    @property
    def batch_s(self) -> float:
        """Seconds of audio that the device takes at once, by its free memory when the audio tower was loaded."""
        self._load_audio_tower()
        return self._batch_s

    @property
    def logit_scale(self) -> float:
        """What a score is multiplied by on its way to a probability."""
        return float(self._any_tower().text_audio_logit_scale)

    @property
    def logit_bias(self) -> float:
        """What is then added to it."""
        return float(self._any_tower().text_audio_logit_bias)

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed windows of any lengths; each comes out as if it had been embedded alone.

        Args:
            windows: float32 arrays of shape (samples,), 48 kHz mono, at least one sample each.

        Returns:
            float32 of shape (windows, dimension), in the order of the windows, not normalised: PE Audio ranks by the
            plain inner product (facebookresearch/perception_models#108).
        """
        outputs = self._embed_all(self._load_audio_tower(), windows)
        return np.array(outputs, np.float32).reshape(len(windows), self.dimension)

    def embed_frames(self, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Embed every frame of windows of any lengths; each window comes out as if it had been embedded alone.

        Args:
            windows: float32 arrays of shape (samples,), 48 kHz mono, at least one sample each.

        Returns:
            For each window, in order, float32 of shape (frames, dimension), not normalised. A window's last frame may
            reach beyond its end, which is then reflected, as upstream does.
        """
        return self._of_frames(self._load_audio_tower().embed_frames, windows)

    def encode_windows(self, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """What the codec alone makes of windows of any lengths: all that comes before the layers that learn.

        Args:
            windows: As in `embed_windows`.

        Returns:
            As `embed_frames`, with as many numbers for a frame as the codec gives (128 in every published checkpoint).
        """
        encoder: Any = self._load_audio_tower().audio_encoder
        return self._of_frames(encoder.embedder.encode, windows)

    def _of_frames(self, embed: _Embed, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """What `embed` makes of each frame of each window."""
        return [
            frames[: math.ceil(len(window) / self.samples_per_frame)]
            for frames, window in zip(self._embed_all(embed, windows), windows, strict=True)
        ]

    def _embed_all(self, embed: _Embed, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """What `embed` makes of each window, in order, batch by batch."""
        padded = [pad_to_frames(window, self.samples_per_frame) for window in windows]
        outputs: dict[int, NDArray[np.float32]] = {}

        def embed_rows(rows: list[int]) -> None:
            outputs.update(zip(rows, self._embed(embed, [padded[row] for row in rows]), strict=True))

        most = self.batch_s / self._threads * _SAMPLE_RATE_HZ
        for _ in self._map(embed_rows, batches([len(window) for window in padded], most)):
            pass
        return [outputs[row] for row in range(len(windows))]

    @torch.inference_mode()
    def _embed(self, embed: _Embed, windows: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Embed a batch, in halves if it is more than the GPU's memory holds; so are all that come after."""
        samples = torch.from_numpy(side_by_side(windows))
        mask = _mask_of([len(window) for window in windows], self.samples_per_frame)
        try:
            output = embed(samples.to(self.device, self._dtype), None if mask is None else mask.to(self.device))
        except torch.OutOfMemoryError as error:
            if len(windows) == 1:
                raise PeSearchError(
                    "One window does not fit into the GPU's free memory. Stop other programs there, or use --device "
                    "cpu or, for a new store, a shorter --window."
                ) from error
        else:
            return list(output.float().cpu().numpy())
        torch.cuda.empty_cache()
        half = len(windows) // 2
        self._batch_s = min(self._batch_s, half * samples.shape[-1] / _SAMPLE_RATE_HZ)
        return self._embed(embed, windows[:half]) + self._embed(embed, windows[half:])

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts on the CPU in float32, whatever the audio tower runs on: they are few and short.

        Returns:
            float32 of shape (texts, dimension), not normalised.
        """
        tower = self._load_text_tower()
        with torch.inference_mode():
            output: NDArray[np.float32] = self._run_texts(tower, texts).float().numpy()
        return output

    def _any_tower(self) -> AudioTower | TextTower:
        return self._audio_tower or self._text_tower or self._load_audio_tower()

    def _load_audio_tower(self) -> AudioTower:
        if self._audio_tower is None:
            tower = load_tower(AudioTower, self.checkpoint, self._dtype).to(self.device)
            with self._explaining():
                frame = torch.zeros(1, 1, self.samples_per_frame, dtype=self._dtype, device=self.device)
                _refuse_other_shapes(tower(frame), self.dimension)
            make_quick(tower, self._is_wide)
            if not self._is_wide and self.device.type == "cpu":
                # A second thread gains nothing on operations this small, and on a machine that is busy with something
                # else each wait for it costs more than the work. So every thread has a batch of its own.
                self._threads = torch.get_num_threads()
                torch.set_num_threads(1)
                if self._threads > 1:
                    self._map = ThreadPoolExecutor(self._threads, "embed", torch.set_num_threads, (1,)).map
            self._batch_s = self._threads * _pick_batch_s(
                self.device, self._is_wide, self._channels * self._dtype.itemsize
            )
            self._audio_tower = tower
        return self._audio_tower

    def _load_text_tower(self) -> TextTower:
        if self._text_tower is None:
            tower = load_tower(TextTower, self.checkpoint, torch.float32)
            self._tokenizer = load_tokenizer(self.checkpoint, tower.config.text_config)
            with self._explaining():
                _refuse_other_shapes(self._run_texts(tower, _TRIED_TEXTS), self.dimension)
            self._text_tower = tower
        return self._text_tower

    def _run_texts(self, tower: TextTower, texts: Sequence[str]) -> torch.Tensor:
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        output: torch.Tensor = tower(tokens["input_ids"], tokens["attention_mask"])
        return output

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Let a tower be tried out: one whose configuration doesn't fit its weights may load, and fail at work."""
        try:
            with torch.inference_mode():
                yield
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise CheckpointError(f"{self.checkpoint.name} can't be run: {first_line(error)}") from error


def load_tokenizer(checkpoint: Checkpoint, text_config: Any) -> Any:
    """Load the tokenizer of a checkpoint, told how long a text its text tower takes.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    # AutoProcessor would want torchvision for the video half of an audio-video checkpoint.
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.directory, local_files_only=True, trust_remote_code=False)
        tokenizer.model_max_length = min(tokenizer.model_max_length, text_config.max_position_embeddings)
        if max(tokenizer.get_vocab().values()) >= text_config.vocab_size:
            raise ValueError("it has more tokens than the text tower")
    except Exception as error:
        raise CheckpointError(f"{checkpoint.name}: its tokenizer can't be loaded: {first_line(error)}") from error
    return tokenizer


def _refuse_other_shapes(embeddings: torch.Tensor, dimension: int) -> None:
    if embeddings.ndim != 2 or embeddings.shape[1] != dimension:
        raise ValueError(f"embeddings of shape {tuple(embeddings.shape)}, not of {dimension} numbers")


def _mask_of(lengths: Sequence[int], samples_per_frame: int) -> torch.Tensor | None:
    """A mask of the frames of windows, as an `AudioTower` takes it; none if they are of one length."""
    if min(lengths) == max(lengths):
        return None
    frames = torch.tensor(lengths) // samples_per_frame
    return torch.arange(int(frames.max())) < frames[:, None]


def pick_device(name: str) -> torch.device:
    """The device of a name, or for `auto` the best that there is.

    Raises:
        PeSearchError: If it is not there.
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(candidate for candidate in ("cuda", "mps", "cpu") if has[candidate])
    if not has[name]:
        raise PeSearchError(f"This machine has no {name} device that torch can use. Omit --device.")
    return torch.device(name)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it; elsewhere it is emulated, many times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch knows what the processor has, but tells only itself.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(ask() for ask in asked if ask is not None)


def pick_dtype(device: torch.device, name: str) -> str:
    """The type of a name, or for `auto` the one that a device multiplies fastest."""
    if name != "auto":
        return name
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def _pick_batch_s(device: torch.device, is_wide: bool, bytes_per_sample: int) -> float:
    """Seconds of audio whose activations the device has room for; `bytes_per_sample` is one activation's."""
    if device.type == "cpu":
        return _CPU_BATCH_S if is_wide else _CPU_BATCH_OF_NARROW_S
    if device.type == "mps":
        return _MPS_BATCH_S
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return min(_LONGEST_CUDA_BATCH_S, free_bytes / (_ACTIVATIONS_AT_ONCE * bytes_per_sample * _SAMPLE_RATE_HZ))
