"""Shapes, parameters and operations of the kernel windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.masks.schema import ExponentialModulationND, _Gaussian, _Mask


def parameters(mask: _Mask) -> dict[str, tuple[int, ...]]:
    """One width or rate per axis and channel."""
    name = "std_param" if "parametrization" in type(mask).model_fields else "weight"
    return {name: (mask.data_dim, mask.num_channels)}


def gaussian(mask: _Gaussian, tape: Tape, grid: Shape, x: Shape) -> Shape:
    """Positions (1 or B, *K, D) and values (1 or B, *K, C) -> windowed values."""
    widths = mask.data_dim * mask.num_channels
    tape.elementwise(widths)  # clamp
    if mask.parametrization != "direct":
        tape.transcendental(widths)
    # -1 / (2 std^2)
    tape.elementwise(2 * widths)
    tape.transcendental(widths)
    return _decay(mask, tape, grid, x)


def exponential(mask: ExponentialModulationND, tape: Tape, grid: Shape, x: Shape) -> Shape:
    """Positions (1 or B, *K, D) and values (1 or B, *K, C) -> windowed values."""
    tape.elementwise(2 * mask.data_dim * mask.num_channels)  # -|rate|
    return _decay(mask, tape, grid, x)


def _decay(mask: _Mask, tape: Tape, grid: Shape, x: Shape) -> Shape:
    """The distance of every coordinate, its product with the rates, one exponential, one product per value."""
    if (grid[-1], x[-1]) != (mask.data_dim, mask.num_channels):
        raise ValueError(
            f"Expected a grid of {mask.data_dim} axes and values of {mask.num_channels} channels, "
            f"got {grid[-1]} and {x[-1]}"
        )
    tape.elementwise(grid.size)
    window = tape.linear(grid, mask.num_channels, bias=False)
    tape.transcendental(window.size)
    windowed = Shape((max(window[0], x[0]), *x[1:]))
    tape.elementwise(windowed.size)
    return windowed
