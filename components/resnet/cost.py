"""Shapes, parameters and operations of the residual networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.errors import Misfit
from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.resnet.schema import ClassificationResNet, ResidualNetwork, _Trunk


def parameters(net: _Trunk) -> dict[str, tuple[int, ...]]:
    """None of its own."""
    return {}


def dense_forward(net: ResidualNetwork, tape: Tape, x: Shape, condition: Shape | None = None) -> Shape:
    """(B, *N, in_channels) -> (B, *P, out_channels), cropped to the target size."""
    out: Shape = tape.run("out_proj", tape.run("out_norm", _features(net, tape, x, condition)))
    if net.target_sizes is None:
        return out
    extents = out[1:-1]
    if len(extents) != len(net.target_sizes) or any(s > n for s, n in zip(net.target_sizes, extents, strict=True)):
        raise Misfit(
            "target_size", f"Expected target_size to fit the output axes {tuple(extents)}, got {net.target_sizes}"
        )
    return out.view(out[0], *(size for size in net.target_sizes if size > 1), out[-1])


def classification_forward(net: ClassificationResNet, tape: Tape, x: Shape, condition: Shape | None = None) -> Shape:
    """(B, *N, in_channels) -> (B, out_channels)."""
    features = _features(net, tape, x, condition)
    pooled = tape.mean(features, features.view(features[0], features[-1]))
    out: Shape = tape.run("out_proj", tape.run("out_norm", pooled))
    return out


def _features(net: _Trunk, tape: Tape, x: Shape, condition: Shape | None) -> Shape:
    """(B, *N, in_channels) -> (B, *M, hidden_dim), the output of the last block."""
    if len(x) != net.data_dim + 2 or x[-1] != net.in_channels:
        expected = f"{net.data_dim} spatial axes and {net.in_channels} channels"
        raise ValueError(f"Expected an input of {expected}, got the shape {tuple(x[1:])}")
    x = tape.run("in_proj", tape.run("dropout_in", x))
    conditioned = sum(block.takes_conditioning for block in net.blocks)
    if condition is not None and net.condition_in_proj is not None:
        # Of a condition that no block makes use of there is no gradient either.
        condition = (tape.run if conditioned else tape.run_idle)("condition_in_proj", condition)
    if condition is not None and conditioned:
        tape.fan_out(condition, conditioned)
    for i in range(net.num_blocks):
        x = tape.run(f"blocks.{i}", x, condition)
    return x
