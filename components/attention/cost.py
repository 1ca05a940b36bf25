"""Shapes and operations of multi-head attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.attention.schema import Attention


def buffers(attention: Attention) -> dict[str, tuple[int, ...]]:
    """Rotary tables, not in the state dict."""
    if not attention.use_rope or attention.rope_spatial_dims is None:
        return {}
    table = (math.prod(attention.rope_spatial_dims), attention.head_dim)
    return {"rope_cos": table, "rope_sin": table}


def forward(attention: Attention, tape: Tape, query: Shape, key: Shape, value: Shape) -> Shape:
    """(B, *N, C), (B, *M, C), (B, *M, C) -> (B, *N, C): rotate, normalise, attend."""
    for shape in (query, key, value):
        tape.require_width(shape, attention.hidden_dim)
        if not 3 <= len(shape) <= 5:
            raise ValueError(f"Expected 1 to 3 spatial axes, got shape {shape.labels}")
    if attention.use_rope:
        _require_grid(attention, query)
        _require_grid(attention, key)
    q, k, v = (_heads(attention, tape, x) for x in (query, key, value))
    if attention.use_rope:
        q, k = tape.rotate(q), tape.rotate(k)
    if attention.apply_qk_norm:
        q, k = (tape.rounded(tape.normalise(tape.precise(x))) for x in (q, k))
    return tape.ordered(tape.transpose(tape.attention(q, k, v), (0, 2, 1, 3))).view(*query)


def _heads(attention: Attention, tape: Tape, x: Shape) -> Shape:
    """(B, *N, C) -> (B, H, T, d)."""
    tokens = x.view(x[0], math.prod(x[1:-1]), attention.num_heads, attention.head_dim)
    return tape.transpose(tokens, (0, 2, 1, 3))


def _require_grid(attention: Attention, x: Shape) -> None:
    if x[1:-1] != attention.rope_spatial_dims:
        raise ValueError(
            f"Expected spatial axes rope_spatial_dims={list(attention.rope_spatial_dims or ())}, got shape {x.labels}"
        )
