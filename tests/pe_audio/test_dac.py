"""The tiled DAC encoder against upstream's, in float64, so that a halo one sample short would show."""

from __future__ import annotations

import pytest
import torch
from transformers import DacConfig
from transformers.models.pe_audio.modeling_pe_audio import PeAudioDacEncoder

from pe_search.pe_audio import dac
from pe_search.pe_audio.dac import TiledDacEncoder

# PE-AV's strides, those of the built-in checkpoint, and odd ones, which pad unevenly.
STRIDES = {"pe-av": [2, 8, 10, 12], "builtin": [6, 2, 2, 4, 2, 2, 5], "odd": [3, 5]}


def make_encoder(strides: list[int]) -> PeAudioDacEncoder:
    torch.manual_seed(0)
    encoder = PeAudioDacEncoder(DacConfig(encoder_hidden_size=2, downsampling_ratios=strides, codebook_dim=8))
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
    monkeypatch.setattr(dac._Block, "_tile", lambda *arguments: tiles.append(arguments[2:]) or original(*arguments))
    TiledDacEncoder(make_encoder([2, 8]))(torch.randn(1, 1, 1920, dtype=torch.float64))
    # 960 outputs of the first block, 50 a tile, then 120 of the second, 6 a tile; none is left out or made twice.
    assert len(tiles) == 20 + 20
    covered = [position for start, stop in tiles for position in range(start, stop)]
    assert covered == [*range(960), *range(120)]
