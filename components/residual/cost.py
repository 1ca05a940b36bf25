"""Shapes and operations of the pre-norm residual block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.residual.schema import ResidualBlock


def forward(block: ResidualBlock, tape: Tape, x: Shape, condition: Optional[Shape] = None) -> Shape:
    """(B, *N, C) -> (B, *N, C): x + dropout(f(norm(x))) for each of the three branches that is there."""
    if block.sequence_mixer.entry.kind != "identity":
        x = _add(tape, x, tape.run("sequence_mixer", tape.run("input_norm", x)))
    if block.condition_mixer.entry.kind != "identity":
        if condition is None:
            raise ValueError("Expected input.condition for the condition mixer, got none")
        x = _add(tape, x, tape.run("condition_mixer", tape.run("condition_mixer_norm", x), condition))
    if block.mlp.entry.kind != "identity":
        x = _add(tape, x, tape.run("mlp", tape.run("mlp_norm", x)))
    return x


def _add(tape: Tape, x: Shape, branch: Shape) -> Shape:
    """Dropout and sum; the branch starts from `x` too."""
    if tape.run("dropout", branch) != x:
        raise ValueError(f"Expected a branch to keep the shape {x.labels}, got {branch.labels}")
    return tape.plus(tape.fan_out(x), branch)
