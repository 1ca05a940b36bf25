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
    for shape in (query, key):
        heads = shape[:-1] + (attention.num_heads, attention.head_dim)
        if attention.use_rope:
            _require_grid(attention, shape)
            heads = tape.rotate(heads)
        if attention.apply_qk_norm:
            tape.normalise(heads)
    queries, keys = (math.prod(shape[1:-1]) for shape in (query, key))
    grads = (query.needs_grad, key.needs_grad, value.needs_grad)
    tape.attention(query[0], attention.num_heads, queries, keys, attention.head_dim, needs_grad=grads)
    return Shape(query) if any(grads) else query


def _require_grid(attention: Attention, x: Shape) -> None:
    if x[1:-1] != attention.rope_spatial_dims:
        raise ValueError(
            f"Expected spatial axes rope_spatial_dims={list(attention.rope_spatial_dims or ())}, got shape {x.labels}"
        )
