"""Shapes, parameters and operations of the FiLM generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.film.schema import KernelFiLMGenerator


def parameters(film: KernelFiLMGenerator) -> dict[str, tuple[int, ...]]:
    """Two weights and two biases."""
    return {
        "mlp.0.weight": (film.film_hidden_dim, film.cond_dim),
        "mlp.0.bias": (film.film_hidden_dim,),
        "mlp.2.weight": (film.out_features, film.film_hidden_dim),
        "mlp.2.bias": (film.out_features,),
    }


def forward(film: KernelFiLMGenerator, tape: Tape, conditioning: Shape) -> tuple[tuple[Shape, Shape], ...]:
    """(B, cond_dim) -> one (scale, shift) pair per layer, each (B, kernel_hidden_dim)."""
    tape.require_width(conditioning, film.cond_dim)
    if len(conditioning) != 2:
        raise ValueError(f"Expected conditioning (B, {film.cond_dim}), got shape {conditioning.labels}")
    hidden = tape.linear(conditioning, film.film_hidden_dim, bias=True)
    output = tape.linear(tape.pointwise("gelu", hidden), film.out_features, bias=True)
    one = output.view(conditioning[0], film.kernel_hidden_dim)
    return ((one, one),) * film.num_film_layers


def flop_count(film: KernelFiLMGenerator, tape: Tape, conditioning: Shape | None) -> None:
    """As in nvsubquadratic 0.2.0: 2 cond H + H + 2 H (2 n M); no biases. It is one vector, whoever makes it."""
    tape.published(2 * film.cond_dim * film.film_hidden_dim + film.film_hidden_dim)
    tape.published(2 * film.film_hidden_dim * film.out_features)
