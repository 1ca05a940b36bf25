"""Shapes, parameters and operations of the MLP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.mlp.schema import MLP

_GATES = {"glu": "sigmoid", "swiglu": "silu"}


def parameters(mlp: MLP) -> dict[str, tuple[int, ...]]:
    """Two weights, and two biases if asked for."""
    found: dict[str, tuple[int, ...]] = {
        "layer1.weight": (mlp.inner_dim, mlp.dim),
        "layer2.weight": (mlp.dim, mlp.hidden_dim),
    }
    if mlp.bias:
        found |= {"layer1.bias": (mlp.inner_dim,), "layer2.bias": (mlp.dim,)}
    return found


def forward(mlp: MLP, tape: Tape, x: Shape) -> Shape:
    """(*, dim) -> (*, dim): layer 1, activation, dropout, layer 2."""
    tape.require_width(x, mlp.dim)
    inner = tape.linear(x, mlp.inner_dim, bias=mlp.bias)
    hidden = inner.view(*inner[:-1], mlp.hidden_dim)
    gate = tape.pointwise(_GATES.get(mlp.activation, mlp.activation), hidden)
    hidden = tape.multiply(gate, hidden) if mlp.gated else gate
    hidden = tape.run("dropout", hidden)
    return tape.linear(hidden, mlp.dim, bias=mlp.bias)


def flop_count(mlp: MLP, tape: Tape, x: Shape) -> None:
    """Nvsubquadratic 0.2.0: 2 T in out1 + (2 T hidden if gated else T hidden) + 2 T hidden dim; no biases."""
    tokens = x.size // x[-1]
    tape.published(2 * tokens * mlp.dim * mlp.inner_dim)
    tape.published((2 if mlp.gated else 1) * tokens * mlp.hidden_dim)
    tape.published(2 * tokens * mlp.hidden_dim * mlp.dim)
