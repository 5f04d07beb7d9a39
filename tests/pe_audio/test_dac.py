"""The DAC encoders against upstream's; the tiled one in float64, so that a halo one sample short would show."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import DacConfig
from transformers.models.pe_audio.modeling_pe_audio import PeAudioDacEncoder

from pe_search.pe_audio import dac
from pe_search.pe_audio.dac import Ends, TiledDacEncoder
from pe_search.pe_audio.narrow_dac import NarrowDacEncoder

pytestmark = pytest.mark.usefixtures("two_threads")

# PE-AV's strides, those of the built-in checkpoint, and odd ones, which pad unevenly.
STRIDES = {"pe-av": [2, 8, 10, 12], "builtin": [6, 2, 2, 4, 2, 2, 5], "odd": [3, 5]}


def make_encoder(strides: list[int], channels: int = 2) -> PeAudioDacEncoder:
    torch.manual_seed(0)
    encoder = PeAudioDacEncoder(DacConfig(encoder_hidden_size=channels, downsampling_ratios=strides, codebook_dim=8))
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith("alpha"):
                parameter.uniform_(0.2, 3)
            elif parameter.ndim == 3:
                parameter.normal_(0, 0.7 * parameter[0].numel() ** -0.5)
            else:
                parameter.normal_(0, 0.3)
    return encoder.double().eval().requires_grad_(False)


@pytest.mark.parametrize("numbers_per_tile", [200, 2_000, 10**9])
@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("strides", STRIDES)
def test_tiles_give_what_the_whole_gives(strides, frames, numbers_per_tile, monkeypatch):
    monkeypatch.setitem(dac._NUMBERS_PER_TILE, "cpu", numbers_per_tile)
    monkeypatch.setattr(dac, "_LEAST_OUTPUTS", 1)
    encoder = make_encoder(STRIDES[strides])
    waveforms = torch.randn(2, 1, 1920 * frames, dtype=torch.float64)
    expected = encoder(waveforms)
    tiled = TiledDacEncoder(encoder)(waveforms)
    assert tiled.shape == expected.shape
    torch.testing.assert_close(tiled, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_small_tiles_are_many(monkeypatch):
    monkeypatch.setitem(dac._NUMBERS_PER_TILE, "cpu", 200)
    monkeypatch.setattr(dac, "_LEAST_OUTPUTS", 1)
    tiles = []
    original = dac._Block._tile
    monkeypatch.setattr(dac._Block, "_tile", lambda *arguments: tiles.append(arguments[3:]) or original(*arguments))
    TiledDacEncoder(make_encoder([2, 8]))(torch.randn(1, 1, 1920, dtype=torch.float64))
    # 960 outputs of the first block, 50 a tile, then 120 of the second, 6 a tile; none is left out or made twice.
    assert len(tiles) == 20 + 20
    # Threads may take them in any order.
    covered = sorted(position for start, stop in tiles for position in range(start, stop))
    assert covered == sorted([*range(960), *range(120)])


# Of windows that go through together, in multiples of 1,920 samples.
LENGTHS = [5, 1, 4, 2, 5, 3]


def ragged(hop: int, dtype: torch.dtype) -> tuple[torch.Tensor, Ends]:
    """Noise in windows of LENGTHS, side by side, with zeros after the shorter ones; a frame has `hop` samples."""
    waveforms = torch.zeros(len(LENGTHS), 1, 1920 * max(LENGTHS), dtype=dtype)
    for row, length in zip(waveforms, LENGTHS, strict=True):
        row[:, : 1920 * length].normal_()
    frames = torch.tensor(LENGTHS)[:, None] * (1920 // hop)
    return waveforms, Ends.of(torch.arange(int(frames.max())) < frames)


@pytest.mark.parametrize("at_once", [1920, 1920 * 5 * 2, 10**9])
@pytest.mark.parametrize("numbers_per_tile", [200, 20_000, 10**9])
@pytest.mark.parametrize("strides", STRIDES)
def test_windows_of_unequal_length_give_what_each_gives_alone(strides, numbers_per_tile, at_once, monkeypatch):
    monkeypatch.setitem(dac._NUMBERS_PER_TILE, "cpu", numbers_per_tile)
    monkeypatch.setattr(dac, "_LEAST_OUTPUTS", 1)
    monkeypatch.setattr(dac, "_CPU_SAMPLES", at_once)
    encoder = make_encoder(STRIDES[strides])
    waveforms, ends = ragged(math.prod(STRIDES[strides]), torch.float64)
    tiled_encoder = TiledDacEncoder(encoder)
    # What no window reaches must not be heard, whatever it is.
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, **options: empty(*shape, **options).fill_(torch.nan))
    tiled = tiled_encoder(waveforms, ends)
    assert tiled.isfinite().all()
    for row, length in enumerate(LENGTHS):
        expected = encoder(waveforms[row : row + 1, :, : 1920 * length])[0]
        atol = 1e-12 * float(expected.abs().max())
        torch.testing.assert_close(tiled[row, :, : expected.shape[1]], expected, rtol=0, atol=atol)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("strides", STRIDES)
def test_a_narrow_encoder_gives_each_window_what_upstream_gives_it_alone(strides, channels):
    encoder = make_encoder(STRIDES[strides], channels).float()
    waveforms, ends = ragged(math.prod(STRIDES[strides]), torch.float32)
    narrow = NarrowDacEncoder(encoder)
    together = narrow(waveforms, ends)
    assert together.isfinite().all()
    for row, length in enumerate(LENGTHS):
        window = waveforms[row : row + 1, :, : 1920 * length]
        expected = encoder(window)[0]
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(together[row, :, : expected.shape[1]], expected, rtol=0, atol=atol)
        torch.testing.assert_close(narrow(window)[0], expected, rtol=0, atol=atol)
