"""Shapes, parameters and operations of the AdaLN-Zero block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.adaln_zero.schema import AdaLNZeroResidualBlock


def parameters(block: AdaLNZeroResidualBlock) -> dict[str, tuple[int, ...]]:
    """The linear layer that turns the condition into shifts, scales and gates."""
    width = block.hidden_dim
    return {"condition_proj.1.weight": (6 * width, width), "condition_proj.1.bias": (6 * width,)}


def forward(block: AdaLNZeroResidualBlock, tape: Tape, x: Shape, condition: Optional[Shape] = None) -> Shape:
    """(B, *N, C) and a condition (B, C) or (B, *M, C) -> (B, *N, C)."""
    tape.require_width(x, block.hidden_dim)
    pooled = _pool(block, tape, condition)
    if block.sequence_mixer.takes_conditioning:
        tape.fan_out(pooled)
    modulation = tape.linear(tape.pointwise("silu", pooled), 6 * block.hidden_dim, bias=True)
    # Shift, scale and gate of both branches are six views of it.
    vector = modulation.view(x[0], *(1,) * (len(x) - 2), block.hidden_dim)
    x = _branch(tape, "sequence_norm", "sequence_mixer", x, vector, conditioning=pooled)
    return _branch(tape, "mlp_norm", "mlp", x, vector)


def _pool(block: AdaLNZeroResidualBlock, tape: Tape, condition: Optional[Shape]) -> Shape:
    """Mean over the positions of the condition, then its norm: (B, C) or (B, *M, C) -> (B, C)."""
    if condition is None or len(condition) < 2:
        raise ValueError(
            f"Expected input.condition, such as [{block.hidden_dim}], got {condition and condition.labels}"
        )
    tape.require_width(condition, block.hidden_dim)
    if len(condition) > 2:
        condition = tape.mean(condition, condition.view(condition[0], condition[-1]))
    normed: Shape = tape.run("condition_norm", condition)
    return normed


def _branch(tape: Tape, norm: str, body: str, x: Shape, vector: Shape, **kwargs: Shape) -> Shape:
    """Record x + gate dropout(body(norm(x) (1 + scale) + shift)); scale, shift and gate are of shape `vector`."""
    normed = tape.run(norm, tape.fan_out(x))
    modulated = tape.plus(tape.multiply(normed, tape.pointwise("shift", vector)), vector)
    output = tape.run("dropout", tape.run(body, modulated, **kwargs))
    if output != x:
        raise ValueError(f"Expected {body} to keep the shape {x.labels}, got {output.labels}")
    return tape.plus(x, tape.multiply(vector, output))
