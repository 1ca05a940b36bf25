"""Depthwise global convolution whose kernel is generated from coordinates, windowed and applied through the FFT.

In evaluation mode without gradients the spectrum of the kernel is kept as long as it stays valid: it costs more
than the convolution of a few samples. It is thrown away as soon as any weight of the kernel or mask has changed, by
whatever means; the values themselves are compared, because a write through `.data` leaves no other trace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
from components.functional.value_cache import ValueCache, can_cache

Spectrum = tuple[Tensor, tuple[int, ...]]

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
        self._cache: ValueCache[Spectrum] = ValueCache()

    def train(self, mode: bool = True) -> CKConvND:
        """Switch training mode, and let go of the kept spectrum."""
        self._cache = ValueCache()
        return super().train(mode)

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
        dtype = torch.float64 if spectrum.dtype == torch.complex128 else torch.float32
        y = convolve_spectrum(x.to(dtype), spectrum, extents, self.boundaries)
        return add_shortcut(y, x, self.shortcut)

    def _spectrum(self, x: Tensor, conditioning: Tensor | None) -> Spectrum:
        """Return the kernel's half spectrum for the signal `x` [B, C, *N], and its taps per axis."""
        if self.training or conditioning is not None or not can_cache(x):
            return self._transform(x, conditioning)
        modules = [*self.kernel.modules(), *([] if self.mask is None else self.mask.modules())]
        weights = [t for m in modules for t in (*m._parameters.values(), *m._buffers.values()) if t is not None]
        # A random layer in training mode, or a hook that waits for its call, must see every forward pass.
        watched = any(m.training or m._forward_hooks or m._forward_pre_hooks for m in modules)
        if watched or not weights or not can_cache(*weights):
            return self._transform(x, None)
        device = x.device.type
        autocast = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
        key = (tuple(x.shape[2:]), x.dtype, autocast)
        return self._cache.get(key, weights, lambda: self._transform(x, None))

    def _transform(self, x: Tensor, conditioning: Tensor | None) -> Spectrum:
        """Generate the kernel for the signal `x` [B, C, *N] and transform it."""
        taps = self._generate(x.shape[2:], conditioning)
        check_shapes(x, taps)
        spectrum = kernel_spectrum(taps.to(compute_dtype(x, taps)), x.shape[2:], self.boundaries)
        return spectrum, tuple(taps.shape[2:])

    def _generate(self, extents: Sequence[int], conditioning: Tensor | None) -> Tensor:
        """Return the windowed kernel [1 or B, C, *K] over `extents` samples."""
        seq_lens = [(n + 1) // 2 if single else n for n, single in zip(extents, self.single, strict=True)]
        taps: Tensor
        taps, grid = self.kernel(seq_lens, conditioning=conditioning)
        if self.mask is not None and not isinstance(self.mask, nn.Identity):
            taps = self.mask(grid=grid, x=taps)
        if self.is_causal:
            # The kernel covers lags -(N-1) .. N-1; a causal one starts at lag 0, the centre.
            taps = taps[:, taps.shape[1] // 2 :]
        return taps.movedim(-1, 1)


def _axes(
    data_dim: int, grid_type: str | None, fft_padding: str | Sequence[str], is_causal: bool
) -> tuple[tuple[Boundary, ...], tuple[bool, ...]]:
    """Return, per axis, the boundary condition and whether the kernel grid is single."""
    per_axis = not isinstance(fft_padding, str)
    names = [_boundary(name) for name in fft_padding] if per_axis else [_boundary(fft_padding)] * data_dim
    if len(names) != data_dim:
        raise ValueError(f"Expected fft_padding of {data_dim} axes, got {len(names)}")
    if is_causal and (data_dim != 1 or per_axis or "circular" in names):
        raise ValueError(
            f"Expected data_dim 1 and fft_padding 'zero' with is_causal, got {data_dim} and {fft_padding!r}"
        )
    if per_axis:
        if grid_type is not None:
            raise ValueError(f"Expected grid_type None with fft_padding per axis, got {grid_type!r}")
        return tuple(names), tuple(name == "circular" for name in names)
    allowed = ("single",) if "circular" in names else ("double", "single")
    if grid_type not in allowed:
        raise ValueError(f"Expected grid_type among {allowed} with fft_padding {fft_padding!r}, got {grid_type!r}")
    return tuple("causal" if is_causal else name for name in names), (grid_type == "single",) * data_dim


def _boundary(name: object) -> Boundary:
    """Read 'zero' or 'circular', whatever its case and surrounding blanks."""
    cleaned = name.strip().lower() if isinstance(name, str) else name
    if cleaned == "zero":
        return "zero"
    if cleaned == "circular":
        return "circular"
    raise ValueError(f"Expected the fft_padding 'zero' or 'circular', got {name!r}")
