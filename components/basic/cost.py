"""Shapes, parameters and operations of the elementary layers. Dropout and drop path are those of inference: nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from registry.schema import Component
from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.basic.schema import LayerScale, Linear, _Conv


def same_shape(_: Component, tape: Tape, x: Shape) -> Shape:
    """(*) -> (*), free."""
    return x


def no_flop_count(_: Component, tape: Tape, x: Shape) -> None:
    """As in nvsubquadratic 0.2.0: 0."""


def activation(activation: Component, tape: Tape, x: Shape) -> Shape:
    """(*) -> (*), one transcendental per element."""
    tanh = vars(activation).get("approximate") == "tanh"
    return tape.pointwise("gelu_tanh" if tanh else activation.entry.name, x)


# ---- linear and layer scale ---------------------------------------------------------------------------------------


def linear_parameters(linear: Linear) -> dict[str, tuple[int, ...]]:
    """A weight, and a bias if asked for."""
    bias = {"bias": (linear.out_features,)} if linear.bias else {}
    return {"weight": (linear.out_features, linear.in_features), **bias}


def linear(linear: Linear, tape: Tape, x: Shape) -> Shape:
    """(*, in_features) -> (*, out_features)."""
    tape.require_width(x, linear.in_features)
    return tape.linear(x, linear.out_features, bias=linear.bias)


def layer_scale_parameters(scale: LayerScale) -> dict[str, tuple[int, ...]]:
    """One factor per channel."""
    return {"gamma": (scale.dim,)}


def layer_scale(scale: LayerScale, tape: Tape, x: Shape) -> Shape:
    """(*, dim) -> (*, dim)."""
    tape.require_width(x, scale.dim)
    return tape.multiply(x, Shape((scale.dim,)))


def layer_scale_flop_count(scale: LayerScale, tape: Tape, x: Shape) -> None:
    """As in nvsubquadratic 0.2.0: T dim."""
    tape.published(x.size)


# ---- convolutions -------------------------------------------------------------------------------------------------


class Taps(NamedTuple):
    """A convolution along one axis.

    Attributes:
        size: Number of taps.
        stride: Distance between outputs.
        dilation: Distance between taps.
        left: Padding before the first sample.
        right: Padding after the last sample.
    """

    size: int
    stride: int
    dilation: int
    left: int
    right: int

    @property
    def keep(self) -> bool:
        """Whether there are as many outputs as inputs."""
        return self.stride == 1 and self.left + self.right == self.dilation * (self.size - 1)

    @property
    def causal(self) -> bool:
        """Whether output n sees inputs up to n at most."""
        return self.stride == 1 and self.left >= self.dilation * (self.size - 1)

    def outputs(self, extent: int) -> int:
        """Number of outputs for `extent` inputs."""
        room = extent + self.left + self.right - self.dilation * (self.size - 1)
        if room < 1:
            raise ValueError(f"Expected an axis to hold {self.size} taps at dilation {self.dilation}, got {extent}")
        return (room - 1) // self.stride + 1


def conv_parameters(conv: _Conv) -> dict[str, tuple[int, ...]]:
    """A weight, and a bias if asked for."""
    kernel = tuple(taps.size for taps in conv.taps())
    bias = {"bias": (conv.out_channels,)} if conv.bias else {}
    return {"weight": (conv.out_channels, conv.in_channels // conv.num_groups, *kernel), **bias}


def conv(conv: _Conv, tape: Tape, x: Shape) -> Shape:
    """(B, in_channels, *N) -> (B, out_channels, *M)."""
    taps = conv.taps()
    if len(x) != len(taps) + 2 or x[1] != conv.in_channels:
        axes = f"{len(taps)} spatial ax{'i' if len(taps) == 1 else 'e'}s"
        raise ValueError(f"Expected an input (B, {conv.in_channels}, *N) with {axes}, got shape {x.labels}")
    extents = [axis.outputs(extent) for axis, extent in zip(taps, x[2:], strict=True)]
    output = Shape((x[0], conv.out_channels, *extents))
    kernel = [axis.size for axis in taps]
    return tape.conv(_pad(conv, tape, x, taps), output, kernel, groups=conv.num_groups, bias=conv.bias)


def _pad(conv: _Conv, tape: Tape, x: Shape, taps: Sequence[Taps]) -> Shape:
    """Padding that the convolution does not do itself; only the backward pass pays for it."""
    if conv.padding_mode == "zeros" and all(axis.left == axis.right for axis in taps):
        return x
    padded = x.view(*x[:2], *(axis.left + extent + axis.right for axis, extent in zip(taps, x[2:], strict=True)))
    for axis, extent in zip(conv.taps(), x[2:], strict=True):
        most = extent - 1 if conv.padding_mode == "reflect" else extent
        if conv.padding_mode in ("circular", "reflect") and max(axis.left, axis.right) > most:
            got = f"{max(axis.left, axis.right)} on an axis of {extent}"
            raise ValueError(f"Expected {conv.padding_mode} padding of at most {most}, got {got}")
    if conv.padding_mode == "circular":
        # One copy within the padded input for every side, through which the gradient of the whole passes.
        padded = tape.join(x, output=padded)
        return tape.fan_out(padded, 1 + sum((axis.left > 0) + (axis.right > 0) for axis in taps))
    return tape.pad(x, padded) if conv.padding_mode == "zeros" else tape.gather(x, padded)
