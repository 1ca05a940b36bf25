"""Shapes, parameters and operations of the Hyena mixer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.schema import Component
from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.hyena.schema import Hyena


def parameters(hyena: Hyena) -> dict[str, tuple[int, ...]]:
    """None of its own."""
    return {}


def forward(hyena: Hyena, tape: Tape, query: Shape, key: Shape, value: Shape, **conditioning: Shape) -> Shape:
    """Three (B, *N, C) -> (B, *N, C): short convolution, gate, norm, global convolution, gate, norm."""
    if hyena.short_conv.entry.kind != "identity":
        query = key = value = _short_conv(tape, query, key, value)
    query, key = _norm(hyena, tape, "q_norm", query), _norm(hyena, tape, "k_norm", key)
    gated = _product(tape, query, tape.run("gate_nonlinear", key))
    gated = _norm(hyena, tape, "pixelhyena_norm", gated)
    convolved = tape.run("global_conv", channels_first(tape, gated), is_bhl_input=True, **conditioning)
    mixed = channels_last(tape, convolved)
    gate = tape.run("gate_nonlinear_2" if "gate_nonlinear_2" in hyena.parts else "gate_nonlinear", value)
    return _norm(hyena, tape, "output_norm", _product(tape, gate, mixed))


def flop_count(hyena: Hyena, tape: Tape, query: Shape, key: Shape, value: Shape) -> None:
    """As in nvsubquadratic 0.2.0: every norm 3 C S whatever its type, gates and products C S, identities nothing."""
    parts = hyena.parts
    points = query.size // query[0]
    if not _is_identity(hyena.short_conv):
        conv = hyena.short_conv.parameters()["weight"]
        tape.published(2 * Shape(conv).size * (points // query[-1]))
    second_gate = parts.get("gate_nonlinear_2", hyena.gate_nonlinear)
    norms = [parts[name] for name in ("q_norm", "k_norm", "pixelhyena_norm", "output_norm") if name in parts]
    tape.published(3 * points * sum(not _is_identity(norm) for norm in norms))
    tape.published(points * (2 + sum(not _is_identity(gate) for gate in (hyena.gate_nonlinear, second_gate))))
    tape.run("global_conv", channels_first(tape, query), is_bhl_input=True)


def channels_first(tape: Tape, x: Shape) -> Shape:
    """(B, *N, C) -> (B, C, *N)."""
    return tape.transpose(x, (0, len(x) - 1, *range(1, len(x) - 1)))


def channels_last(tape: Tape, x: Shape) -> Shape:
    """(B, C, *N) -> (B, *N, C)."""
    return tape.transpose(x, (0, *range(2, len(x)), 1))


def _short_conv(tape: Tape, query: Shape, key: Shape, value: Shape) -> Shape:
    """The three inputs through the short convolution, which must keep their shape."""
    if not query == key == value:
        raise ValueError(f"Expected query, key and value of one shape, got {query}, {key} and {value}")
    stacked = channels_first(tape, tape.join(query, key, value, output=query.view(*query[:-1], 3 * query[-1])))
    convolved = tape.run("short_conv", stacked)
    if convolved != stacked:
        raise ValueError(f"Expected short_conv to keep the shape {stacked}, got {convolved}")
    # The three are views side by side.
    return tape.part(channels_last(tape, convolved), *query)


def _norm(hyena: Hyena, tape: Tape, part: str, x: Shape) -> Shape:
    """`x` (B, *N, C) through a norm, which may want its channels first."""
    norm = hyena.parts.get(part)
    if norm is None:
        return x
    if not _is_identity(norm) and getattr(norm, "channels_first", False):
        return channels_last(tape, tape.run(part, channels_first(tape, x)))
    found: Shape = tape.run(part, x)
    return found


def _product(tape: Tape, left: Shape, right: Shape) -> Shape:
    """Elementwise product of two shapes that broadcast."""
    if left != right and not _broadcast(left, right):
        raise ValueError(f"Expected shapes that broadcast, got {left} and {right}")
    return tape.multiply(left, right)


def _broadcast(left: Shape, right: Shape) -> bool:
    return len(left) == len(right) and all(a == b or 1 in (a, b) for a, b in zip(left, right, strict=True))


def _is_identity(part: Component) -> bool:
    return part.entry.kind == "identity"
