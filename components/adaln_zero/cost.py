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
    tape.transcendental(pooled.size)
    tape.linear(pooled, 6 * block.hidden_dim, bias=True)
    _branch(tape, "sequence_norm", "sequence_mixer", x, pooled.size, conditioning=pooled)
    _branch(tape, "mlp_norm", "mlp", x, pooled.size)
    return x


def _pool(block: AdaLNZeroResidualBlock, tape: Tape, condition: Optional[Shape]) -> Shape:
    """Mean over the positions of the condition, then its norm: (B, C) or (B, *M, C) -> (B, C)."""
    if condition is None or len(condition) < 2:
        raise ValueError(
            f"Expected input.condition, such as [{block.hidden_dim}], got {condition and condition.labels}"
        )
    tape.require_width(condition, block.hidden_dim)
    if len(condition) > 2:
        tape.reduction(condition.size)
        condition = Shape((condition[0], condition[-1]))
    normed: Shape = tape.run("condition_norm", condition)
    return normed


def _branch(tape: Tape, norm: str, body: str, x: Shape, vector: int, **kwargs: Shape) -> None:
    """Record x + gate dropout(body(norm(x) (1 + scale) + shift)); a scale has `vector` elements."""
    normed = tape.run(norm, x)
    tape.elementwise(vector + 2 * x.size)
    output = tape.run("dropout", tape.run(body, normed, **kwargs))
    if output != x:
        raise ValueError(f"Expected {body} to keep the shape {x.labels}, got {output.labels}")
    tape.elementwise(2 * x.size)
