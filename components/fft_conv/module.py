"""Depthwise global convolution whose kernel is generated from coordinates, windowed and applied through the FFT.

In evaluation mode without gradients the spectrum of the kernel is kept as long as it stays valid: it costs more
than the convolution of a few samples. It is thrown away as soon as any weight of the kernel or mask has changed, by
whatever means; the values themselves are compared, because a write through `.data` leaves no other trace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from components.functional.fft_conv import (
    Boundary,
    add_shortcut,
    check_shapes,
    compute_dtype,
    convolve_spectrum,
    fft_conv,
    kernel_spectrum,
)

CHUNK_SIZE = 128


class CKConvND(nn.Module):
    """Continuous kernel convolution on 1 to 3 axes (Romero et al. 2022; Knigge et al. 2023).

    y = conv(x, mask(kernel)) + shortcut * x, channel by channel.

    Attributes:
        kernel: Generator (seq_lens, conditioning) -> (kernel [1 or B, *K, C], positions [1, *K, D]).
        mask: Window (grid, x) -> x on the generated kernel, or None.
        shortcut: Weight of the signal itself, shape [hidden_dim].
    """

    def __init__(
        self,
        data_dim: int,
        hidden_dim: int,
        kernel: nn.Module,
        mask: nn.Module | None,
        grid_type: str | None,
        fft_padding: str | Sequence[str],
        is_causal: bool = False,
        use_chunked_fftconv: bool = False,
    ) -> None:
        """Store the parts and draw the shortcut from U(-b, b) with b = 1 / sqrt(hidden_dim).

        Args:
            data_dim: Number of axes D, 1 to 3.
            hidden_dim: Channels C of signal and kernel.
            kernel: See the class.
            mask: See the class.
            grid_type: Reach of the kernel over N samples: 'double' for 2N - 1 taps, every sample meets every other;
                'single' for N taps (N - 1 if N is even). None if `fft_padding` is a list, which implies it: single
                on circular axes, double on zero-padded ones.
            fft_padding: Boundary 'zero' or 'circular' of all axes, or a list with one per axis.
            is_causal: Whether outputs see only earlier samples (one zero-padded axis).
            use_chunked_fftconv: Convolve 128 channels at a time, which bounds the memory of the spectra.

        Raises:
            ValueError: If an option is unknown or the options exclude each other.
        """
        super().__init__()
        if data_dim not in (1, 2, 3):
            raise ValueError(f"Expected data_dim 1, 2 or 3, got {data_dim}")
        if hidden_dim < 1:
            raise ValueError(f"Expected hidden_dim of at least 1, got {hidden_dim}")
        self.data_dim, self.hidden_dim = data_dim, hidden_dim
        self.is_causal, self.use_chunked_fftconv = is_causal, use_chunked_fftconv
        self.boundaries, self.single = _axes(data_dim, grid_type, fft_padding, is_causal)
        if use_chunked_fftconv and not isinstance(fft_padding, (list, tuple)) and "circular" in self.boundaries:
            raise ValueError("Expected use_chunked_fftconv False with fft_padding 'circular', got True")
        self.kernel = kernel
        self.mask = mask
        bound = 1.0 / math.sqrt(hidden_dim)
        self.shortcut = nn.Parameter(torch.empty(hidden_dim).uniform_(-bound, bound))
        self._cached: tuple[tuple[object, ...], Tensor, tuple[Tensor, tuple[int, ...]]] | None = None

    def forward(self, x: Tensor, is_bhl_input: bool = False, conditioning: Tensor | None = None) -> Tensor:
        """Convolve the signal.

        Args:
            x: Signal, shape [B, *N, C], or [B, C, *N] if `is_bhl_input`.
            is_bhl_input: Whether channels come before the axes.
            conditioning: One vector per sample for a kernel that can be modulated, shape [B, cond_dim], or None.

        Returns:
            Convolved signal, shape and dtype of `x`.

        Raises:
            ValueError: If the rank or the channels of `x` or of the generated kernel do not fit.
        """
        if not is_bhl_input:
            return self.forward(x.movedim(-1, 1), True, conditioning).movedim(1, -1)
        if x.ndim != self.data_dim + 2 or x.shape[1] != self.hidden_dim:
            raise ValueError(
                f"Expected a signal of {self.hidden_dim} channels and {self.data_dim} axes, "
                f"got {x.shape[1]} channels and {x.ndim - 2} axes"
            )
        if self.use_chunked_fftconv:
            taps = self._generate(x.shape[2:], conditioning)
            return fft_conv(x, taps, self.boundaries, self.shortcut, CHUNK_SIZE)
        spectrum, extents = self._spectrum(x, conditioning)
        y = convolve_spectrum(x.to(spectrum.real.dtype), spectrum, extents, self.boundaries)
        return add_shortcut(y, x, self.shortcut)

    def _generate(self, extents: Sequence[int], conditioning: Tensor | None) -> Tensor:
        """Return the windowed kernel [1 or B, C, *K] over `extents` samples."""
        seq_lens = [(n + 1) // 2 if single else n for n, single in zip(extents, self.single)]
        taps, grid = self.kernel(seq_lens, conditioning=conditioning)
        if self.mask is not None and not isinstance(self.mask, nn.Identity):
            taps = self.mask(grid=grid, x=taps)
        if self.is_causal:
            taps = taps[:, taps.shape[1] // 2 :]
        return taps.movedim(-1, 1)

    def _spectrum(self, x: Tensor, conditioning: Tensor | None) -> tuple[Tensor, tuple[int, ...]]:
        """Return the kernel's spectrum for the signal `x` [B, C, *N] and its taps per axis, from the cache if valid."""
        if self.training or conditioning is not None or not _may_cache(x):
            return self._transform(x, conditioning)
        key, weights = self._state(x)
        cached = self._cached
        if cached is not None and cached[0] == key and torch.equal(cached[1], weights):
            return cached[2]
        entry = self._transform(x, None)
        self._cached = (self._state(x)[0], self._state(x)[1], entry)
        return entry

    def _transform(self, x: Tensor, conditioning: Tensor | None) -> tuple[Tensor, tuple[int, ...]]:
        taps = self._generate(x.shape[2:], conditioning)
        check_shapes(x, taps)
        spectrum = kernel_spectrum(taps.to(compute_dtype(x, taps)), x.shape[2:], self.boundaries)
        return spectrum, tuple(taps.shape[2:])
