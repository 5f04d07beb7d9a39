"""The compiled Snake against the formula in float64."""

from __future__ import annotations

import pytest
import torch
from transformers.models.pe_audio.modeling_pe_audio import Snake1d

from pe_search.pe_audio.snake import Snake

# Fewer channels than the loop takes at once, a number that doesn't divide it, and more.
CHANNELS = [3, 64, 1_500]


def make(channels: int, dtype: torch.dtype, moments: int = 701) -> tuple[Snake, Snake1d, torch.Tensor]:
    torch.manual_seed(channels)
    upstream = Snake1d(channels).requires_grad_(False)
    upstream.alpha.uniform_(-4, 4)
    upstream.alpha[0, 0] = 0
    upstream = upstream.to(dtype)
    signal = (5 * torch.randn(1, channels, 1, moments)).to(dtype, memory_format=torch.channels_last)
    signal[0, :, 0, 0] = 0
    return Snake(upstream), upstream, signal


def formula(upstream: Snake1d, signal: torch.Tensor) -> torch.Tensor:
    alpha = upstream.alpha.double()[:, :, None]
    return signal.double() + torch.sin(alpha * signal.double()) ** 2 / (alpha + 1e-9)


@pytest.mark.parametrize("channels", CHANNELS)
def test_float32_is_as_exact_as_upstream(channels):
    snake, upstream, signal = make(channels, torch.float32)
    exact = formula(upstream, signal)
    ours, theirs = (snake(signal) - exact).abs(), (upstream(signal[:, :, 0])[:, :, None] - exact).abs()
    # Where alpha is small, so is what the sine is divided by, and with it the last digit.
    assert float(ours.max()) <= 3 * float(theirs.max())


@pytest.mark.parametrize("channels", CHANNELS)
def test_bfloat16_is_rounded_once(channels):
    snake, upstream, signal = make(channels, torch.bfloat16)
    expected = formula(upstream, signal)
    difference = (snake(signal).double() - expected).abs()
    assert bool((difference <= 2**-8 * expected.abs() + 1e-6).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", CHANNELS)
def test_after_adding_is_the_activation_of_the_sum(channels, dtype):
    snake, upstream, signal = make(channels, dtype)
    residual = signal.flip(3).to(memory_format=torch.channels_last)
    total = signal.double() + residual.double()
    result = snake.after_adding(signal, residual)
    torch.testing.assert_close(signal, total.to(dtype), rtol=0, atol=0)
    expected = formula(upstream, total)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float64: 1e-12}[dtype]
    assert float(((result.double() - expected).abs() / (1 + expected.abs())).max()) < tolerance


def test_what_is_not_finite_stays_so():
    snake, _, signal = make(3, torch.float32)
    signal[0, 1, 0, 5] = float("nan")
    signal[0, 1, 0, 6] = float("inf")
    result = snake(signal)
    assert result[0, 1, 0, 5].isnan()
    assert not result[0, 1, 0, 6].isfinite()


def test_a_stretch_of_a_signal():
    snake, _, signal = make(64, torch.float32)
    torch.testing.assert_close(snake(signal[..., 100:333]), snake(signal)[..., 100:333], rtol=0, atol=0)
