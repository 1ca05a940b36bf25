"""Shapes, parameters and operations of the global convolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.fft_conv.schema import CKConvND

CHUNK_SIZE = 128
"""Channels of one chunk, as in the module."""


def parameters(conv: CKConvND) -> dict[str, tuple[int, ...]]:
    """The weight of the signal itself, one per channel."""
    return {"shortcut": (conv.hidden_dim,)}


def forward(
    conv: CKConvND, tape: Tape, x: Shape, is_bhl_input: bool = False, conditioning: Shape | None = None
) -> Shape:
    """(B, *N, C), or (B, C, *N) if channels come first, to the same shape."""
    extents = _extents(conv, x, is_bhl_input)
    signal = x if is_bhl_input else tape.transpose(x, (0, len(x) - 1, *range(1, len(x) - 1)))
    modulated = conditioning is not None and conv.kernel.takes_conditioning
    width, seq_lens = conv.hidden_dim, _seq_lens(conv, extents)
    sizes = _transform_sizes(conv, extents, seq_lens)
    spectrum = Shape((1, width, *sizes[:-1], sizes[-1] // 2 + 1))
    chunks = -(-width // CHUNK_SIZE) if conv.use_chunked_fftconv else 1
    if modulated or not tape.cached_kernels:
        taps, positions = tape.run("kernel", seq_lens, conditioning=conditioning)
        if conv.mask.entry.kind != "identity":
            taps = tape.run("mask", grid=positions, x=taps)
        spectrum = tape.rfft(tape.precise(tape.fan_out(_channels_first(conv, taps), chunks)), sizes)
    tape.fan_out(signal, chunks + 1)
    product = tape.complex_multiply(tape.rfft(tape.ordered(tape.precise(signal)), sizes), spectrum)
    shortcut = tape.multiply(Shape((width,) + (1,) * len(extents)), signal)
    y = tape.rounded(tape.plus(tape.irfft(product, sizes).view(*signal), shortcut))
    return y if is_bhl_input else tape.transpose(y, (0, *range(2, len(y)), 1))


def _channels_first(conv: CKConvND, taps: Shape) -> Shape:
    """(1 or B, *K, C) -> (1 or B, C, *K), without the taps that a causal kernel does not use."""
    extents = taps[1:-1]
    return taps.view(taps[0], taps[-1], *([n // 2 + 1 for n in extents] if conv.is_causal else extents))


def flop_count(
    conv: CKConvND, tape: Tape, x: Shape, is_bhl_input: bool = False, conditioning: Shape | None = None
) -> None:
    """Nvsubquadratic 0.2.0: kernel + t 5 C P sum(log2 F) + 6 C P + C S, with P = prod F and S samples.

    t is 3 transforms, or 2 when the kernel is cached. They are charged as complex; the mask is left out.
    """
    extents = _extents(conv, x, is_bhl_input)
    seq_lens = _seq_lens(conv, extents)
    sizes = _transform_sizes(conv, extents, seq_lens)
    tape.run("kernel", seq_lens, conditioning=conditioning)
    transforms = 2 if tape.cached_kernels and not conv.kernel.takes_conditioning else 3
    points = math.prod(sizes)
    channels = conv.hidden_dim
    tape.published(int(transforms * 5 * channels * points * sum(math.log2(size) for size in sizes)))
    tape.published(6 * channels * points)
    tape.published(channels * math.prod(extents))


def _extents(conv: CKConvND, x: Shape, is_bhl_input: bool) -> tuple[int, ...]:
    """Samples per axis of a signal."""
    channels, extents = (x[1], x[2:]) if is_bhl_input else (x[-1], x[1:-1])
    if len(extents) != conv.data_dim or channels != conv.hidden_dim:
        raise ValueError(
            f"Expected a signal of {conv.hidden_dim} channels and {conv.data_dim} axes, "
            f"got {channels} channels and {len(extents)} axes"
        )
    return tuple(extents)


def _seq_lens(conv: CKConvND, extents: tuple[int, ...]) -> tuple[int, ...]:
    """Samples the kernel grid covers on each side: half of them where it is single."""
    return tuple([(n + 1) // 2 if single else n for n, single in zip(extents, conv.single, strict=True)])


def _transform_sizes(conv: CKConvND, extents: tuple[int, ...], seq_lens: tuple[int, ...]) -> tuple[int, ...]:
    """Length of the transform of every axis, as `components.functional.fft_conv.transform_sizes`."""
    sizes = []
    for extent, reach, boundary in zip(extents, seq_lens, conv.boundaries, strict=True):
        taps = reach if boundary == "causal" else 2 * reach - 1
        if boundary == "circular":
            sizes.append(extent)
        else:
            sizes.append(min(extent + (taps if boundary == "causal" else (taps + 1) // 2), 2 * extent))
    return tuple(sizes)
