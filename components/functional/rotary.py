"""Rotary position embedding on grids: angle tables and their out-of-place application.

Su et al., "RoFormer" (2021), eq. 34, extended to several axes: the head is cut into one equal chunk per axis and
every chunk is rotated by the coordinate along its axis. As in nvsubquadratic 0.2.0 the angles are laid out
interleaved (t0, t0, t1, t1, ...) while the rotation pairs the two halves of a chunk; weights trained there depend
on this pairing, so it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def axial_angles(extents: Sequence[int], dim: int, base: float = 10000.0) -> Tensor:
    """Compute the angles of every position of a grid.

    Position p along an axis has the angles p * base^(-2j/w) for j = 0 .. w/2-1, each written twice in a row,
    where w = dim / number of axes.

    Args:
        extents: Length of every axis, in tensor order (y, x) or (z, y, x).
        dim: Width of one attention head.
        base: Base of the geometric series of frequencies.

    Returns:
        Angles in radians, float32, shape [prod(extents), dim]: positions row-major, one chunk of width w per axis.

    Raises:
        ValueError: If `dim` does not divide into one even chunk per axis, or an extent is not positive.
    """
    num_axes = len(extents)
    if num_axes == 0 or min(extents) < 1:
        raise ValueError(f"Expected at least one axis of positive length, got {tuple(extents)}")
    if dim % (2 * num_axes):
        raise ValueError(f"Expected a head width divisible by {2 * num_axes} for {num_axes} rotary axes, got {dim}")
    width = dim // num_axes
    frequencies = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    frequencies = frequencies.repeat_interleave(2)
    chunks = []
    for axis, length in enumerate(extents):
        angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
        shape = [1] * num_axes + [width]
        shape[axis] = length
        chunks.append(angles.view(shape).expand(*extents, width))
    return torch.cat(chunks, dim=-1).flatten(0, -2)


def rope_tables(
    extents: Sequence[int],
    dim: int,
    base: float = 10000.0,
    identity_rows: int = 0,
    register_extents: Sequence[int] | None = None,
    register_base: float = 100.0,
) -> tuple[Tensor, Tensor]:
    """Build the cosine and sine tables of a token sequence [grid, unrotated tokens, register grid].

    Args:
        extents: Length of every axis of the token grid.
        dim: Width of one attention head.
        base: Base of the frequencies of the token grid.
        identity_rows: Tokens after the grid that are not rotated (class token): angle 0.
        register_extents: Grid on which register tokens are laid out (as many axes as `extents`); None for none.
        register_base: Base of the frequencies of the register grid.

    Returns:
        Cosines and sines, float32, each [T, dim] with T = prod(extents) + identity_rows + prod(register_extents).

    Raises:
        ValueError: If an extent or `dim` cannot be used (see `axial_angles`), or the register grid has another
            number of axes than the token grid.
    """
    parts = [axial_angles(extents, dim, base), torch.zeros(identity_rows, dim)]
    if register_extents is not None:
        if len(register_extents) != len(extents):
            raise ValueError(f"Expected a register grid of {len(extents)} axes, got {len(register_extents)}")
        parts.append(axial_angles(register_extents, dim, register_base))
    angles = torch.cat(parts)
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor, num_axes: int = 1) -> Tensor:
    """Rotate `x` by the given angles, leaving the argument untouched.

    Per chunk [a, b] of width dim / num_axes: [a, b] * cos + [-b, a] * sin.

    Args:
        x: Queries or keys, shape [..., T, dim].
        cos: Cosines, any shape that broadcasts with `x`, usually [T, dim].
        sin: Sines, same shape as `cos`.
        num_axes: Number of chunks the head is cut into.

    Returns:
        The rotated tensor, shape and dtype of `x`. Computed in the wider of the two dtypes.

    Raises:
        ValueError: If the tables do not hold one row per token of `x`, or the width is not an even chunk per axis.
    """
    if cos.shape != sin.shape or cos.shape[-2:] != x.shape[-2:]:
        raise ValueError(
            f"Expected rotary tables ending in {list(x.shape[-2:])}, got {list(cos.shape)} and {list(sin.shape)}"
        )
    if x.shape[-1] % (2 * num_axes):
        raise ValueError(
            f"Expected a head width divisible by {2 * num_axes} for {num_axes} rotary axes, got {x.shape[-1]}"
        )
    first, second = x.reshape(*x.shape[:-1], num_axes, 2, -1).unbind(-2)
    turned = torch.stack((-second, first), dim=-2).flatten(-3)
    return (x * cos + turned * sin).to(x.dtype)
