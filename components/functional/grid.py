"""Coordinate grids for kernels that are functions of position.

A kernel over N samples has 2N - 1 taps, at the relative positions -(N-1) .. N-1. The reference extent L (`L_cache`)
only fixes the unit: neighbours are 1 / (L - 1) apart, so N = L spans exactly [-1, 1], fewer samples see a narrower
range and more samples a wider one, always at the same spacing. The grid is computed, not stored: it holds no state
that could depend on what was asked before, that a cast could round, or that would fill memory in three dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def axis_extents(L_cache: int | Sequence[int], data_dim: int) -> tuple[int, ...]:
    """Read a reference extent: one number for all axes, or one per axis.

    Args:
        L_cache: Reference extent, in samples.
        data_dim: Number of axes D.

    Returns:
        The extent of every axis, length D.

    Raises:
        ValueError: If it is not a whole number or a sequence of D of them, or one is below 2 (no unit exists).
    """
    extents = (L_cache,) * data_dim if isinstance(L_cache, int) else tuple(L_cache)
    if len(extents) != data_dim:
        raise ValueError(f"Expected L_cache of {data_dim} extents, got {len(extents)}")
    for extent in extents:
        if isinstance(extent, bool) or not isinstance(extent, int) or extent < 2:
            raise ValueError(f"Expected whole numbers of at least 2 in L_cache, got {extent!r}")
    return extents


def coordinate_grid(seq_lens: Sequence[int], extents: Sequence[int], like: Tensor) -> Tensor:
    """Compute the relative positions of all taps.

    Args:
        seq_lens: Samples N per axis that the kernel must cover.
        extents: Reference extents L per axis (`axis_extents`).
        like: Tensor whose device is used; float64 gives a float64 grid, every other dtype a float32 one, because
            positions in half precision are off by more than the spacing.

    Returns:
        Coordinates, shape [1, 2 N_1 - 1, ..., 2 N_D - 1, D]; the centre is exactly 0.

    Raises:
        ValueError: If `seq_lens` does not have one entry per axis.
    """
    if len(seq_lens) != len(extents):
        raise ValueError(f"Expected seq_lens of {len(extents)} axes, got {len(seq_lens)}")
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    axes = [
        torch.arange(1 - n, n, device=like.device, dtype=dtype) * (1.0 / (extent - 1))
        for n, extent in zip(seq_lens, extents, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).unsqueeze(0)


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off for the device of `like`: phases of high frequency do not survive half precision."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
