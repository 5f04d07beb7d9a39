"""Start values of the audio encoder, and a forward pass through it that carries gradients.

Upstream runs the DAC encoder under `no_grad`: its weights come from a codec trained elsewhere. Here they begin as
a filter bank with energy detectors, so that the untrained network already turns sound into band envelopes:

1. blocks 0–3 are linear and stay as they are: their Snake activations have `alpha` 0 and their residual units add
   nothing. The first strided convolution is a lapped cosine transform that keeps 0–16 kHz, the next two stack
   neighbouring blocks without loss, and the fourth makes 32 mel-spaced band-pass filters of them, one sample each
   every 2 ms;
2. block 4 takes every second sample of each band to the first 32 channels of 64;
3. block 5's residual units detect energy. Snake of `±x` adds up to `2 sin²(αx)/α`, which grows with the energy and
   saturates; summed over six values of `alpha` it is close to a logarithm. The sums gather in the other 32
   channels and leave as envelopes;
4. block 6's residual units do so once more, with what pairs of short waves find in each envelope: how strongly it
   trembles about 30, 10 and 3 times a second. These energies of modulation (the second order of the scattering
   transform, https://arxiv.org/abs/1304.6763) tell rain from surf and from engines whatever colour a microphone gave
   them, and leave averaged over a frame;
5. from there on weights are random, scaled on real clips to unit variance.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import PeAudioModel

from recipe.architecture import SAMPLE_RATE_HZ
from recipe.snake import Snake

LINEAR_BLOCKS = 4
"""Blocks before this one form the fixed filter bank."""
BANDS = 32
_DETECTOR_ALPHAS = ((80.0, 40.0), (16.0, 8.0), (4.0, 2.0))
_BAND_ALPHA = 0.6
_LINEAR_ALPHA = 0.05
_BAND_GAIN = 12.0
_ACCUMULATOR_GAIN = 0.5
_MODULATION_ALPHA = 0.5
_MODULATION_CYCLES = 1.75
"""Waves in the seven taps of a modulation filter: 31 Hz at 125 Hz, a third and a ninth of that with dilation."""


# ---- the filter bank


def band_centres_hz(count: int = BANDS, low_hz: float = 120.0, high_hz: float = 15_500.0) -> NDArray[np.float64]:
    """Centres that are `step` Hz apart at the bottom and a constant ratio apart above it (like the mel scale)."""
    step_hz = 180.0
    ratios = np.linspace(1.6, 1.02, 2_000)
    for ratio in ratios:
        centres = [low_hz]
        while len(centres) < count:
            centres.append(max(centres[-1] + step_hz, centres[-1] * float(ratio)))
        if centres[-1] <= high_hz:
            return np.array(centres)
    raise ValueError(f"{count} bands do not fit between {low_hz} and {high_hz} Hz")


def band_filters(length: int) -> NDArray[np.float64]:
    """`[BANDS, length]` band-pass filters: windowed chirps that sweep across their band.

    A chirp has the bandwidth of the band and the length of the hop's whole support, so a click anywhere in the hop
    leaves its energy in the one sample that is kept. The gain rises by 3 dB an octave, as natural sounds fall.
    """
    centres = band_centres_hz()
    widths = np.gradient(centres)
    duration_s = length / SAMPLE_RATE_HZ
    samples = np.arange(length) - (length - 1) / 2
    time_s = samples / SAMPLE_RATE_HZ
    window = np.sin(np.pi * (np.arange(length) + 0.5) / length)
    filters = np.zeros((BANDS, length))
    for index, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        sweep_hz = max(0.0, 1.3 * width - 2 / duration_s)
        phase = (index * 2.399) % (2 * np.pi)
        wave = window * np.cos(2 * np.pi * (centre * time_s + 0.5 * sweep_hz / duration_s * time_s**2) + phase)
        wave -= window * (wave.sum() / window.sum())
        noise_gain = math.sqrt(2 * max(width, 1.2 / duration_s) / SAMPLE_RATE_HZ / (wave**2).sum())
        filters[index] = wave * noise_gain * _BAND_GAIN * math.sqrt(centre / 700.0)
    return filters


def _set_linear_blocks(encoder: nn.Module) -> None:
    """Make blocks 0–3 the exact linear map from samples to band signals."""
    encoder.conv1.weight.zero_()
    encoder.conv1.weight[0, 0, 3] = 1.0
    blocks = list(encoder.block[:LINEAR_BLOCKS])
    for block in blocks:
        for unit in _units(block):
            unit.conv1.weight.zero_()
            unit.conv2.weight.zero_()
            unit.snake1.alpha.zero_()
            unit.snake2.alpha.zero_()
        block.snake1.alpha.zero_()
        block.conv1.weight.zero_()
    # A lapped cosine transform (MDCT): `stride` coefficients a block hold everything, the lower ones are kept.
    kept, stride = blocks[0].conv1.weight.shape[0], blocks[0].conv1.stride[0]
    n = np.arange(2 * stride)
    window = np.sin(np.pi * (n + 0.5) / (2 * stride))
    rows = [
        math.sqrt(2 / stride) * window * np.cos((n + 0.5 + stride / 2) * (k + 0.5) * np.pi / stride)
        for k in range(kept)
    ]
    blocks[0].conv1.weight[:, 0] = torch.tensor(np.array(rows), dtype=torch.float32)
    for block in blocks[1:-1]:
        for channel in range(block.conv1.weight.shape[1]):
            for offset in range(block.conv1.stride[0]):
                block.conv1.weight[
                    block.conv1.stride[0] * channel + offset, channel, block.conv1.padding[0] + offset
                ] = 1
    # The last one combines its inputs to the nearest thing, by least squares, to the wanted band-pass filters.
    last = blocks[-1].conv1
    reach = 4 * SAMPLE_RATE_HZ // 1_000
    impulses = torch.eye(2 * reach).unsqueeze(1)
    middle = reach // math.prod(block.conv1.stride[0] for block in blocks)
    inputs = functional.unfold(
        functional.pad(_run_linear(encoder, impulses, blocks[:-1]), (last.padding[0],) * 2).unsqueeze(2),
        kernel_size=(1, last.kernel_size[0]),
        stride=(1, last.stride[0]),
    )[:, :, middle]
    support = inputs.abs().sum(1).nonzero().squeeze(1)
    first, length = int(support[0]), int(support[-1] - support[0] + 1)
    target = torch.tensor(band_filters(length), dtype=torch.float64)
    solution = torch.linalg.lstsq(inputs[first : first + length].double(), target.T, driver="gelsd").solution
    last.weight.copy_(solution.T.reshape(last.weight.shape).float())


def _run_linear(encoder: nn.Module, waveforms: Tensor, blocks: list[nn.Module]) -> Tensor:
    signals = functional.conv1d(waveforms, encoder.conv1.weight, padding=encoder.conv1.padding)
    for block in blocks:
        conv = block.conv1
        signals = functional.conv1d(signals, conv.weight, None, conv.stride, conv.padding)
    return signals


# ---- start values


def _units(block: nn.Module) -> Iterator[nn.Module]:
    yield from (block.res_unit1, block.res_unit2, block.res_unit3)


def _randomise(weight: Tensor, generator: torch.Generator, gain: float = 1.0) -> None:
    fan_in = weight[0].numel()
    weight.copy_(torch.randn(weight.shape, generator=generator) * (gain * fan_in**-0.5))


@torch.no_grad()
def initialise_audio(model: PeAudioModel, clips: Tensor, generator: torch.Generator) -> None:
    """Set every weight of the audio side. `clips` `[count, samples]` are real sounds to scale the variances on."""
    audio = model.audio_encoder
    encoder = audio.embedder.dac_encoder
    for module in audio.modules():
        if isinstance(module, nn.Conv1d):
            _randomise(module.weight, generator)
            if module.bias is not None:
                module.bias.zero_()
    for block in encoder.block:
        for unit in _units(block):
            unit.conv2.weight.mul_(0.3)
    _set_linear_blocks(encoder)
    _set_sampling_block(encoder.block[LINEAR_BLOCKS])
    _set_detector_block(encoder.block[LINEAR_BLOCKS + 1])
    _set_modulation_block(encoder.block[LINEAR_BLOCKS + 2])
    _randomise(audio.embedder.data_proj.weight, generator)
    audio.patch_embedder.class_embedding.copy_(
        torch.randn(audio.patch_embedder.class_embedding.shape, generator=generator) * 0.025
    )
    for layer in audio.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            _randomise(linear.weight, generator)
        for linear in (attention.o_proj, mlp.down_proj):
            _randomise(linear.weight, generator, gain=0.7)
    _randomise(audio.output.weight, generator)
    _randomise(model.audio_head.proj.weight, generator, gain=0.3)
    _scale_to_unit_variance(model, clips)


def _set_sampling_block(block: nn.Module) -> None:
    for unit in _units(block):
        unit.conv2.weight.zero_()
        unit.snake1.alpha.zero_()
        unit.snake2.alpha.zero_()
    block.snake1.alpha.fill_(_LINEAR_ALPHA)
    block.conv1.weight.mul_(0.05)
    for band in range(BANDS):
        block.conv1.weight[band, band, block.conv1.padding[0]] += 1


def _set_detector_block(block: nn.Module) -> None:
    for unit, (alpha_even, alpha_odd) in zip(_units(block), _DETECTOR_ALPHAS, strict=True):
        unit.snake1.alpha.fill_(0.02)
        unit.conv1.weight.mul_(0.02)
        unit.conv2.weight.mul_(0.05 / 0.3)
        unit.snake2.alpha[:, 0::2] = alpha_even
        unit.snake2.alpha[:, 1::2] = alpha_odd
        gain = _ACCUMULATOR_GAIN * 2 / (1 / alpha_even + 1 / alpha_odd)
        for band in range(BANDS):
            unit.conv1.weight[2 * band, band, 3] += 1
            unit.conv1.weight[2 * band + 1, band, 3] -= 1
            unit.conv2.weight[BANDS + band, 2 * band : 2 * band + 2] += gain
    block.snake1.alpha[:, :BANDS] = _BAND_ALPHA
    block.snake1.alpha[:, BANDS:] = _LINEAR_ALPHA
    window = _hann(block.conv1.kernel_size[0])
    block.conv1.weight.mul_(0.3)
    for band in range(BANDS):
        block.conv1.weight[band, BANDS + band] += window
        block.conv1.weight[band, band] += 2 * _ACCUMULATOR_GAIN * _BAND_ALPHA * window
        block.conv1.bias[band] = -1.0


def _set_modulation_block(block: nn.Module) -> None:
    for index, unit in enumerate(_units(block)):
        unit.snake1.alpha.fill_(0.02)
        unit.conv1.weight.mul_(0.1)
        unit.conv2.weight.mul_(0.1 / 0.3)
        unit.snake2.alpha.fill_(_MODULATION_ALPHA)
        for phase in range(2):
            wave = _modulation_wave(unit.conv1.kernel_size[0], phase)
            for band in range(BANDS):
                hidden = 4 * band + 2 * phase
                unit.conv1.weight[hidden, band] += wave
                unit.conv1.weight[hidden + 1, band] -= wave
                unit.conv2.weight[BANDS * (index + 1) + band, hidden : hidden + 2] += 0.7
    block.snake1.alpha.fill_(0.2)
    window = _hann(block.conv1.kernel_size[0])
    block.conv1.weight.mul_(0.3)
    for channel in range(4 * BANDS):
        block.conv1.weight[channel, channel] += window


def _modulation_wave(length: int, phase: int) -> Tensor:
    """A windowed cosine (phase 0) or sine (1) with no mean and unit energy."""
    position = (torch.arange(length) - (length - 1) / 2) / length
    window = _hann(length)
    wave = window * torch.cos(2 * math.pi * _MODULATION_CYCLES * position - phase * math.pi / 2)
    wave -= window * wave.sum()
    return wave / wave.norm()


def _hann(length: int) -> Tensor:
    """A window whose ends are not zero, and which sums to 1."""
    window = torch.hann_window(length + 2, periodic=False)[1:-1]
    return window / window.sum()


def _scale_to_unit_variance(model: PeAudioModel, clips: Tensor) -> None:
    """Centre and scale each strided convolution's output, and the bottleneck's, over `clips`, front to back."""
    embedder = model.audio_encoder.embedder
    encoder = embedder.dac_encoder

    def normalise(conv: nn.Module, signals: Tensor) -> Tensor:
        mean, deviation = signals.mean((0, 2, 3)), signals.std((0, 2, 3)) + 1e-3
        conv.weight.div_(deviation[:, None, None])
        conv.bias.sub_(mean).div_(deviation)
        return (signals - mean[:, None, None]) / deviation[:, None, None]

    first = encoder.block[LINEAR_BLOCKS]
    signals = _channels_last(FilterBank.of(model).signals(model, clips))
    signals = _convolve(first.conv1, _snake(first.snake1, signals))
    for block in encoder.block[LINEAR_BLOCKS + 1 :]:
        for unit in _units(block):
            signals = _residual(unit, signals)
        signals = normalise(block.conv1, _convolve(block.conv1, _snake(block.snake1, signals)))
    signals = normalise(encoder.conv2, _convolve(encoder.conv2, _snake(encoder.snake1, signals)))
    normalise(embedder.bottleneck, _convolve(embedder.bottleneck, signals))


# ---- the forward pass with gradients


def _channels_last(signals: Tensor) -> Tensor:
    """As `[batch, channels, 1, time]`, channels last: that halves the time of oneDNN's convolutions."""
    return signals.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _convolve(conv: nn.Module, signals: Tensor) -> Tensor:
    weight = conv.weight.unsqueeze(2)
    geometry = ((1, conv.stride[0]), (0, conv.padding[0]), (1, conv.dilation[0]))
    return functional.conv2d(signals, weight, conv.bias, *geometry)


def _snake(module: nn.Module, signals: Tensor) -> Tensor:
    result: Tensor = Snake.apply(signals, module.alpha.flatten())  # type: ignore[no-untyped-call]
    return result


def _residual(unit: nn.Module, signals: Tensor) -> Tensor:
    hidden = _convolve(unit.conv1, _snake(unit.snake1, signals))
    return signals + _convolve(unit.conv2, _snake(unit.snake2, hidden))


def freeze_filter_bank(model: PeAudioModel) -> None:
    """Exclude from training what `audio_embeddings` takes as fixed: the filter bank and every Snake's `alpha`.

    Gradients of `alpha` would cost as much as the convolutions, for a few hundred numbers that start out right.
    """
    encoder = model.audio_encoder.embedder.dac_encoder
    for name, parameter in encoder.named_parameters():
        if name.endswith("alpha"):
            parameter.requires_grad_(False)
    encoder.conv1.requires_grad_(False)
    for block in encoder.block[:LINEAR_BLOCKS]:
        block.requires_grad_(False)
    for unit in _units(encoder.block[LINEAR_BLOCKS]):
        unit.requires_grad_(False)


@dataclass(frozen=True)
class FilterBank:
    """The linear blocks of a model as one matrix of filters, to run over long windows quickly.

    `filters` is `[length, BANDS]`; the filter of band sample `i` begins at waveform sample `i * stride - lead`.
    """

    filters: Tensor
    stride: int
    lead: int

    @classmethod
    @torch.no_grad()
    def of(cls, model: PeAudioModel) -> "FilterBank":
        """Read a model's filters off its response to impulses."""
        encoder = model.audio_encoder.embedder.dac_encoder
        blocks = list(encoder.block[:LINEAR_BLOCKS])
        stride = math.prod(block.conv1.stride[0] for block in blocks)
        length = 16 * stride
        impulses = torch.eye(length, device=encoder.conv1.weight.device).unsqueeze(1)
        response = _run_linear(encoder, impulses, blocks)[:, :, 8]
        support = response.abs().sum(1).nonzero().squeeze(1)
        first, last = int(support[0]), int(support[-1])
        return cls(response[first : last + 1].contiguous(), stride, 8 * stride - first)

    @torch.no_grad()
    def signals(self, model: PeAudioModel, waveforms: Tensor) -> Tensor:
        """`[batch, samples]` → `[batch, BANDS, samples / stride]`, what the blocks give, at a fraction of the cost.

        The blocks pad with zeros at every stage, so near the ends their own convolutions are run.
        """
        encoder = model.audio_encoder.embedder.dac_encoder
        blocks = list(encoder.block[:LINEAR_BLOCKS])
        end = 10 * self.stride
        if waveforms.shape[1] < 4 * end:
            return _run_linear(encoder, waveforms.unsqueeze(1), blocks)
        left = _run_linear(encoder, waveforms[:, None, : 2 * end], blocks)[:, :, :10]
        right = _run_linear(encoder, waveforms[:, None, -2 * end :], blocks)[:, :, -10:]
        inner = waveforms[:, end - self.lead : waveforms.shape[1] - end - self.lead - self.stride + len(self.filters)]
        middle = functional.conv1d(inner.unsqueeze(1), self.filters.T.unsqueeze(1).contiguous(), stride=self.stride)
        return torch.cat([left, middle, right], 2)


@dataclass
class Augmentation:
    """Random changes inside the network during training; all zero leaves the forward pass as upstream has it.

    `equaliser_db` is the spread of a smooth random gain across bands; bands are masked, cut above or below a random
    one with probability `band_limit`; `frame_mask` is the longest masked share of the frames; `dropout` and
    `layer_drop` are the usual probabilities. Numbers are drawn on the CPU, alike for every device.
    """

    equaliser_db: float = 0.0
    band_mask: int = 0
    band_limit: float = 0.0
    frame_mask: float = 0.0
    dropout: float = 0.0
    layer_drop: float = 0.0
    generator: torch.Generator = field(default_factory=torch.Generator)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def bands(self, signals: Tensor) -> Tensor:
        """Change the gain of, mask and cut off the bands of `[batch, bands, time]`."""
        if not self.equaliser_db:
            return signals
        batch, bands, _ = signals.shape
        position = torch.linspace(0, 1, bands)
        gain_db = torch.zeros(batch, bands)
        for order in (1, 2, 3):
            amount = torch.randn(batch, 1, generator=self.generator) * (self.equaliser_db / order)
            gain_db += amount * torch.cos(math.pi * order * position + 2 * math.pi * self._uniform(batch, 1))
        index = torch.arange(bands)
        keep = torch.ones(batch, bands, dtype=torch.bool)
        for _ in range(2):
            width = (self._uniform(batch, 1) * (self.band_mask + 1)).floor() * (self._uniform(batch, 1) < 0.5)
            start = (self._uniform(batch, 1) * bands).floor()
            keep &= ~((index >= start) & (index < start + width))
        top = torch.where(
            self._uniform(batch, 1) < self.band_limit, bands * (0.55 + 0.45 * self._uniform(batch, 1)), bands
        )
        bottom = torch.where(self._uniform(batch, 1) < self.band_limit / 2, 4 * self._uniform(batch, 1), 0.0)
        keep &= (index < top) & (index >= bottom)
        return signals * (10 ** (gain_db / 20) * keep).unsqueeze(2).to(signals.device)

    def channels(self, signals: Tensor) -> Tensor:
        """Drop whole channels of `[batch, channels, 1, time]`."""
        if not self.dropout:
            return signals
        rate = self.dropout / 2
        keep = self._uniform(*signals.shape[:2], 1, 1) >= rate
        return signals * (keep / (1 - rate)).to(signals)

    def frames(self, tokens: Tensor) -> Tensor:
        """Mask a stretch of `[batch, frames, features]` in half of the batch, and drop features."""
        if not self.dropout:
            return tokens
        batch, frames, _ = tokens.shape
        index = torch.arange(frames)
        width = self._uniform(batch, 1) * self.frame_mask * frames * (self._uniform(batch, 1) < 0.5)
        start = self._uniform(batch, 1) * frames
        keep = ~((index >= start) & (index < start + width))
        keep_features = self._uniform(*tokens.shape) >= self.dropout
        return tokens * (keep.unsqueeze(2) * keep_features / (1 - self.dropout)).to(tokens)

    def layer(self, before: Tensor, after: Tensor) -> Tensor:
        """Skip a layer for some of the batch."""
        if not self.layer_drop:
            return after
        keep = self._uniform(before.shape[0], 1, 1) >= self.layer_drop
        return torch.where(keep.to(before.device), after, before)


def _transformer_layer(layer: nn.Module, tokens: Tensor, rotation: Tensor) -> Tensor:
    """Upstream's layer, with the rotary embedding as a product of complex numbers, which takes a fifth of the time."""
    attention = layer.self_attn
    normed = layer.input_layernorm(tokens)

    def heads(projection: nn.Module) -> Tensor:
        split: Tensor = projection(normed).unflatten(2, (-1, attention.head_dim))
        return split

    def rotated(vectors: Tensor) -> Tensor:
        pairs = torch.view_as_complex(vectors.float().unflatten(3, (-1, 2)))
        return torch.view_as_real(pairs * rotation).flatten(3).transpose(1, 2)

    query, key = rotated(attention.q_norm(heads(attention.q_proj))), rotated(attention.k_norm(heads(attention.k_proj)))
    value = heads(attention.v_proj).transpose(1, 2)
    weights = torch.softmax(query @ key.transpose(2, 3) * attention.scaling, dim=3)
    tokens = tokens + attention.o_proj((weights @ value).transpose(1, 2).flatten(2))
    result: Tensor = tokens + layer.mlp(layer.post_attention_layernorm(tokens))
    return result


def audio_states(model: PeAudioModel, signals: Tensor, augmentation: Augmentation | None = None) -> Tensor:
    """The filter bank's `[batch, BANDS, time]` → `[batch, 1 + frames, width]`: what the last layer gives.

    The same numbers as upstream's forward, with gradients in every block after the filter bank.
    """
    augment = augmentation or Augmentation()
    audio = model.audio_encoder
    encoder = audio.embedder.dac_encoder
    signals = _channels_last(augment.bands(signals))
    for index, block in enumerate(encoder.block[LINEAR_BLOCKS:]):
        if index:
            for unit in _units(block):
                signals = _residual(unit, signals)
        signals = _convolve(block.conv1, _snake(block.snake1, signals))
        if index >= 2:
            signals = augment.channels(signals)
    signals = _convolve(audio.embedder.bottleneck, _convolve(encoder.conv2, _snake(encoder.snake1, signals)))
    tokens = augment.frames(audio.embedder.data_proj(signals.squeeze(2).transpose(1, 2)))
    tokens, _ = audio.patch_embedder(tokens)
    cosines, sines = audio.rotary_emb(tokens.float(), torch.arange(tokens.shape[1], device=tokens.device).unsqueeze(0))
    half = cosines.shape[2] // 2
    rotation = torch.complex(cosines[0, :, None, :half], sines[0, :, None, :half])
    for layer in audio.layers:
        tokens = augment.layer(tokens, _transformer_layer(layer, tokens, rotation))
    return tokens


def embed_states(model: PeAudioModel, states: Tensor) -> Tensor:
    """What the last layer gives → embeddings."""
    audio = model.audio_encoder
    embeddings: Tensor = model.audio_head(audio.output(audio.norm(states)).float())
    return embeddings


def audio_embeddings(
    model: PeAudioModel, bank: FilterBank, waveforms: Tensor, augmentation: Augmentation | None = None
) -> Tensor:
    """`[batch, samples]` → `[batch, 1 + frames, size]`: the clip's embedding, then those of its frames.

    `bank` is the model's.
    """
    return embed_states(model, audio_states(model, bank.signals(model, waveforms), augmentation))


def text_embeddings(model: PeAudioModel, token_ids: Tensor, mask: Tensor, groups: int = 1) -> Tensor:
    """`[texts, tokens]` → `[texts, size]`, as upstream's forward has it.

    With several `groups`, texts of about the same length are run together, which saves the work on padding.
    """
    lengths = mask.sum(1)
    order = lengths.argsort(stable=True)
    embeddings = []
    for rows in order.chunk(groups):
        longest = int(lengths[rows].max())
        ids, attended = token_ids[rows, :longest], mask[rows, :longest]
        output = model.text_model(input_ids=ids, attention_mask=attended, output_hidden_states=True)
        embeddings.append(model.text_audio_head(output.hidden_states[-1][:, 0]))
    return torch.cat(embeddings)[order.argsort()]
