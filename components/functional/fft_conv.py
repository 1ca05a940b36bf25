"""Global convolution through the FFT, with a boundary condition per axis.

The convolution theorem turns a convolution with K taps over N samples into a product of spectra of length F. The
boundary decides F and which samples of the result are kept:

=========  ======================  ================  ==========================================================
boundary   F                       kept              meaning
=========  ======================  ================  ==========================================================
zero       min(N + (K+1)//2, 2N)   [K//2, K//2 + N)  y[n] = sum_m k[m] x[n + K//2 - m], x = 0 outside
causal     min(N + K, 2N)          [0, N)            y[n] = sum_{m <= n} k[m] x[n - m]
circular   N                       [0, N)            y[n] = sum_m k[m] x[(n + (K-1)//2 - m) mod N]
=========  ======================  ================  ==========================================================

Source: Knigge et al., "Modelling Long Range Dependencies in N-D" (CCNN, 2023), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Boundary = Literal["zero", "causal", "circular"]


def transform_sizes(extents: Sequence[int], taps: Sequence[int], boundaries: Sequence[Boundary]) -> tuple[int, ...]:
    """Choose the length of the transform of every axis (column F of the table above).

    Args:
        extents: Samples N per axis.
        taps: Kernel taps K per axis.
        boundaries: Boundary condition per axis.

    Returns:
        The transform length per axis.

    Raises:
        ValueError: If the lists differ in length, a boundary is unknown, or an axis has more taps than its
            boundary can use: 2N for zero, N for circular (a causal kernel may be longer; its tail meets no sample).
    """
    if not len(extents) == len(taps) == len(boundaries):
        raise ValueError(
            f"Expected extents, taps and boundaries of one length, got {len(extents)}, {len(taps)}, {len(boundaries)}"
        )
    return tuple(_transform_size(*axis) for axis in zip(extents, taps, boundaries, strict=True))


def _transform_size(extent: int, taps: int, boundary: Boundary) -> int:
    if boundary == "causal":
        return min(extent + taps, 2 * extent)
    if boundary == "zero":
        if taps > 2 * extent:
            raise ValueError(f"Expected at most {2 * extent} taps over {extent} zero-padded samples, got {taps}")
        return min(extent + (taps + 1) // 2, 2 * extent)
    if boundary != "circular":
        raise ValueError(f"Expected the boundary 'zero', 'causal' or 'circular', got {boundary!r}")
    if taps > extent:
        raise ValueError(f"Expected at most {extent} taps over {extent} circular samples, got {taps}")
    return extent


def kernel_spectrum(kernel: Tensor, extents: Sequence[int], boundaries: Sequence[Boundary]) -> Tensor:
    """Transform a kernel for `convolve_spectrum`.

    Args:
        kernel: Taps in the sample domain, float32 or float64, shape [1 or B, C, *K].
        extents: Samples N per axis of the signal.
        boundaries: Boundary condition per axis.

    Returns:
        Complex half spectrum, shape [1 or B, C, F_1, ..., F_D // 2 + 1].

    Raises:
        ValueError: See `transform_sizes`.
    """
    axes = tuple(range(2, kernel.ndim))
    sizes = transform_sizes(extents, kernel.shape[2:], boundaries)
    for axis, extent, boundary in zip(axes, extents, boundaries, strict=True):
        if boundary == "causal" and kernel.shape[axis] > extent:
            # Taps beyond the signal would wrap around and let the future leak into the past.
            kernel = kernel.narrow(axis, 0, extent)
    shifts = [(taps - 1) // 2 if b == "circular" else 0 for taps, b in zip(kernel.shape[2:], boundaries, strict=True)]
    if any(shifts):
        # The centre tap of a circular kernel belongs at sample 0. Rolling it there costs no arithmetic.
        padding = [p for axis in reversed(axes) for p in (0, sizes[axis - 2] - kernel.shape[axis])]
        kernel = torch.roll(F.pad(kernel, padding), [-shift for shift in shifts], axes)
    spectrum: Tensor = torch.fft.rfftn(kernel, s=sizes, dim=axes)
    return spectrum


def convolve_spectrum(x: Tensor, spectrum: Tensor, taps: Sequence[int], boundaries: Sequence[Boundary]) -> Tensor:
    """Convolve a signal with a kernel given by its spectrum.

    Args:
        x: Signal, float32 or float64, shape [B, C, *N].
        spectrum: What `kernel_spectrum` returned, shape [1 or B, C, F_1, ..., F_D // 2 + 1].
        taps: Kernel taps K per axis, before the transform.
        boundaries: Boundary condition per axis.

    Returns:
        The convolved signal, shape [B, C, *N]: a view into a larger tensor on axes that are not circular.

    Raises:
        ValueError: See `transform_sizes`.
    """
    axes = tuple(range(2, x.ndim))
    extents = x.shape[2:]
    sizes = transform_sizes(extents, taps, boundaries)
    # Transforms of strided data, such as a channels-first view of channels-last tokens, are up to 1.3 times slower.
    y: Tensor = torch.fft.irfftn(torch.fft.rfftn(x.contiguous(), s=sizes, dim=axes) * spectrum, s=sizes, dim=axes)
    for axis, extent, tap, boundary in zip(axes, extents, taps, boundaries, strict=True):
        y = y.narrow(axis, tap // 2 if boundary == "zero" else 0, extent)
    return y


def fft_conv(
    x: Tensor,
    kernel: Tensor,
    boundaries: Sequence[Boundary],
    shortcut: Tensor | None = None,
    chunk_size: int | None = None,
) -> Tensor:
    """Convolve every channel with a kernel of its own.

    Args:
        x: Signal, any floating dtype, shape [B, C, *N].
        kernel: Taps, any floating dtype, shape [1 or B, C, *K].
        boundaries: Boundary condition per axis.
        shortcut: Weight of the signal added to the result, shape [C]; None for none.
        chunk_size: Channels convolved at a time, which bounds the memory of the spectra; None for all.

    Returns:
        conv(x, kernel) + shortcut * x, shape and dtype of `x`. Computed in float32, or float64 if an argument is.

    Raises:
        ValueError: If the shapes do not fit each other or the boundaries (see `transform_sizes`).
    """
    check_shapes(x, kernel, shortcut)
    taps = kernel.shape[2:]
    dtype = compute_dtype(x, kernel)
    channels = x.shape[1]
    step = channels if chunk_size is None else chunk_size
    parts = []
    for start in range(0, channels, step):
        part, tap_part = (t[:, start : start + step].to(dtype) for t in (x, kernel))
        spectrum = kernel_spectrum(tap_part, x.shape[2:], boundaries)
        parts.append(convolve_spectrum(part, spectrum, taps, boundaries))
    y = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return add_shortcut(y, x, shortcut)


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """Choose the dtype of the transforms: float64 if a tensor has it, else float32 (half FFTs lose the kernel)."""
    return torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32


def add_shortcut(y: Tensor, x: Tensor, shortcut: Tensor | None) -> Tensor:
    """Add `shortcut` [C] times the signal `x` [B, C, *N] to `y` [B, C, *N] and return the dtype of `x`."""
    if shortcut is not None:
        y = y + shortcut.view(-1, *[1] * (x.ndim - 2)) * x
    return y.to(x.dtype)


def check_shapes(x: Tensor, kernel: Tensor, shortcut: Tensor | None = None) -> None:
    """Refuse a signal [B, C, *N], kernel [1 or B, C, *K] and shortcut [C] that do not belong together.

    Raises:
        ValueError: If ranks, channels or batch sizes differ.
    """
    if kernel.ndim != x.ndim or kernel.shape[1] != x.shape[1] or kernel.shape[0] not in (1, x.shape[0]):
        raise ValueError(
            f"Expected a kernel of shape [1 or {x.shape[0]}, {x.shape[1]}, and {x.ndim - 2} axes], "
            f"got {list(kernel.shape)}"
        )
    if shortcut is not None and shortcut.shape != x.shape[1:2]:
        raise ValueError(f"Expected a shortcut of shape [{x.shape[1]}], got {list(shortcut.shape)}")
