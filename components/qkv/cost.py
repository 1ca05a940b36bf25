"""Shapes, parameters and operations of the projections around a mixer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.qkv.schema import QKVConditionMixer, QKVSequenceMixer


def sequence_parameters(mixer: QKVSequenceMixer) -> dict[str, tuple[int, ...]]:
    """Two weights, and their biases as asked for."""
    width = mixer.hidden_dim
    found: dict[str, tuple[int, ...]] = {"qkv_proj.weight": (3 * width, width), "out_proj.weight": (width, width)}
    if mixer.qkv_bias:
        found["qkv_proj.bias"] = (3 * width,)
    if mixer.out_proj_bias:
        found["out_proj.bias"] = (width,)
    return found


def sequence(mixer: QKVSequenceMixer, tape: Tape, x: Shape, **kwargs: Shape) -> Shape:
    """(B, *N, C) -> (B, *N, C): project, mix, project."""
    tape.require_width(x, mixer.hidden_dim)
    projected = tape.linear(x, 3 * mixer.hidden_dim, bias=mixer.qkv_bias)
    query = key = value = tape.part(projected, *projected[:-1], mixer.hidden_dim)
    mixed = tape.run("mixer", query, key, value, **kwargs)
    return tape.linear(tape.ordered(mixed), mixer.hidden_dim, bias=mixer.out_proj_bias)


def sequence_flop_count(mixer: QKVSequenceMixer, tape: Tape, x: Shape, **kwargs: Shape) -> Shape:
    """As in nvsubquadratic 0.2.0: 2 T C 3 C + mixer + 2 T C C; no biases."""
    tape.published(8 * x.size * mixer.hidden_dim)
    tape.run("mixer", x, x, x, **kwargs)
    return x


def condition_parameters(mixer: QKVConditionMixer) -> dict[str, tuple[int, ...]]:
    """Three weights, no biases."""
    width = mixer.hidden_dim
    return {
        "kv_proj.weight": (2 * width, width),
        "q_proj.weight": (width, width),
        "out_proj.weight": (width, width),
    }


def condition(mixer: QKVConditionMixer, tape: Tape, x: Shape, condition: Shape, **kwargs: Shape) -> Shape:
    """(B, *N, C) and a condition (B, C) or (B, *M, C) of the same rank -> (B, *N, C)."""
    for shape in (x, condition):
        tape.require_width(shape, mixer.hidden_dim)
    if len(x) < 3:
        raise ValueError(f"Expected an input (B, *N, {mixer.hidden_dim}), got shape {x.labels}")
    if len(condition) == 2:
        condition = condition.view(condition[0], *(1,) * (len(x) - 2), condition[1])
    if len(condition) != len(x):
        raise ValueError(f"Expected a condition of 2 or {len(x)} axes, got shape {condition.labels}")
    projected = tape.linear(condition, 2 * mixer.hidden_dim, bias=False)
    key = value = tape.part(projected, *projected[:-1], mixer.hidden_dim)
    query = tape.linear(x, mixer.hidden_dim, bias=False)
    mixed = tape.run("mixer", query, key, value, **kwargs)
    return tape.linear(tape.ordered(mixed), mixer.hidden_dim, bias=False)
