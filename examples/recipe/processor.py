"""What makes arithmetic on this machine faster."""

import ctypes
import sys

import torch

from pe_search.pe_audio.embedder import multiplies_bfloat16


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed: else every large tensor is fresh memory whose pages must be mapped again.

    That takes longer than the arithmetic of the activations. Elsewhere than on Linux this does nothing.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            trim_threshold, mmap_max = -1, -4  # names of mallopt's parameters in malloc.h
            libc.mallopt(mmap_max, 0)
            libc.mallopt(trim_threshold, 2**31 - 1)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Multiply in bfloat16 where the device has instructions for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device))
