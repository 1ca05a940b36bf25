"""Shapes, parameters and operations of the kernel windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Constant, Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.masks.schema import ExponentialModulationND, _Gaussian, _Mask


def parameters(mask: _Mask) -> dict[str, tuple[int, ...]]:
    """One width or rate per axis and channel."""
    name = "std_param" if "parametrization" in type(mask).model_fields else "weight"
    return {name: (mask.data_dim, mask.num_channels)}


def gaussian(mask: _Gaussian, tape: Tape, grid: Shape, x: Shape) -> Shape:
    """Positions (1 or B, *K, D) and values (1 or B, *K, C) -> windowed values."""
    std = Shape((mask.data_dim, mask.num_channels))
    if mask.parametrization == "direct":
        tape.pointwise("clamp", Constant(std))  # in place, outside of the gradient
        std = tape.precise(std)
    else:
        decoded = tape.pointwise("exp" if mask.parametrization == "log" else "softplus", tape.precise(std))
        std = tape.pointwise("clamp", decoded)
    # -1 / (2 std^2)
    rate = tape.pointwise("scale", tape.pointwise("reciprocal", tape.pointwise("square", std)))
    return _decay(mask, tape, tape.pointwise("square", grid), rate, x)


def exponential(mask: ExponentialModulationND, tape: Tape, grid: Shape, x: Shape) -> Shape:
    """Positions (1 or B, *K, D) and values (1 or B, *K, C) -> windowed values."""
    rates = tape.precise(Shape((mask.data_dim, mask.num_channels)))
    rate = tape.pointwise("neg", tape.pointwise("abs", rates))
    return _decay(mask, tape, tape.pointwise("abs", grid), rate, x)


def _decay(mask: _Mask, tape: Tape, distance: Shape, rate: Shape, x: Shape) -> Shape:
    """The product of distances and rates, one exponential, one product per value."""
    if (distance[-1], x[-1]) != (mask.data_dim, mask.num_channels):
        raise ValueError(
            f"Expected a grid of {mask.data_dim} axes and values of {mask.num_channels} channels, "
            f"got {distance[-1]} and {x[-1]}"
        )
    return tape.multiply(x, tape.rounded(tape.pointwise("exp", tape.matmul(distance, rate))))
