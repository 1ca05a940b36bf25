"""Shapes, parameters and operations of the SIREN kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.functional.coordinates import grid
from registry.shapes import Constant, Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.siren.schema import _Embedding, _Kernel


def embedding_parameters(config: _Embedding | _Kernel) -> dict[str, tuple[int, ...]]:
    """One linear map of coordinates, and one scale per row if frequencies are learned."""
    found: dict[str, tuple[int, ...]] = {"linear.weight": (config.embedding_dim, config.data_dim)}
    if config.use_bias:
        found["linear.bias"] = (config.embedding_dim,)
    if config.learns_omega:
        found["omega_0_scale"] = (config.embedding_dim,)
    return found


def embedding(config: _Embedding | _Kernel, tape: Tape, seq_lens: Sequence[int]) -> tuple[Shape, Shape]:
    """Samples per axis -> embedding (1, *taps, embedding_dim) and positions (1, *taps, D)."""
    positions = grid(tape, seq_lens, config.data_dim)
    if config.learns_omega:
        # Clamp the scales (in place), turn them into frequencies, multiply weight and bias by these.
        scales = Shape((config.embedding_dim,))
        tape.pointwise("clamp", Constant(scales))
        omegas = tape.fan_out(tape.pointwise("scale", tape.precise(scales)), 1 + config.use_bias)
        tape.multiply(tape.precise(Shape((config.embedding_dim, config.data_dim))), omegas + (1,))
        if config.use_bias:
            tape.multiply(tape.precise(scales), omegas)
    phases = tape.linear(positions, config.embedding_dim, bias=config.use_bias)
    return tape.rounded(tape.pointwise("sin", phases)), positions


def kernel_parameters(config: _Kernel) -> dict[str, tuple[int, ...]]:
    """Those of the embedding, and one linear map per sine layer and for the output."""
    found = {f"positional_embedding.{name}": shape for name, shape in embedding_parameters(config).items()}
    width = config.embedding_dim
    names = [*(f"hidden_linears.{i}" for i in range(config.num_hidden)), "out_linear"]
    for name in names:
        out = config.out_dim if name == "out_linear" else config.mlp_hidden_dim
        found[f"{name}.weight"] = (out, width)
        if config.use_bias:
            found[f"{name}.bias"] = (out,)
        width = out
    return found


def kernel(
    config: _Kernel, tape: Tape, seq_lens: Sequence[int], conditioning: Shape | None = None
) -> tuple[Shape, Shape]:
    """Samples per axis -> kernel (1 or B, *taps, out_dim) and positions (1, *taps, D)."""
    h, positions = embedding(config, tape, seq_lens)
    modulated = conditioning is not None and config.film is not None
    modulations = list(tape.run("film_generator", conditioning)) if modulated else []
    if modulated and config.film_after_pos_embed:
        h = _modulate(tape, h, *modulations.pop(0))
    for i in range(config.num_hidden):
        h = tape.pointwise("sin", tape.linear(h, config.mlp_hidden_dim, bias=config.use_bias))
        if modulated:
            h = _modulate(tape, h, *modulations[i])
    return tape.linear(h, config.out_dim, bias=config.use_bias), positions


def _modulate(tape: Tape, h: Shape, scale: Shape, shift: Shape) -> Shape:
    """Scale and shift, both (B, M): (1 or B, *taps, M) -> (B, *taps, M)."""
    axes = (1,) * (len(h) - 2)
    scaled = tape.multiply(scale.view(scale[0], *axes, scale[1]), h)
    return tape.plus(scaled, shift.view(shift[0], *axes, shift[1]))


def kernel_flop_count(config: _Kernel, tape: Tape, seq_lens: Sequence[int], conditioning: Shape | None = None) -> None:
    """Nvsubquadratic 0.2.0: 2 G D E + G E + sum of layers (2 G in out + G out) + 2 G M out_dim; no biases.

    With FiLM its generator and 2 G M per modulated layer are added; without, a cached kernel costs nothing.
    """
    if tape.cached_kernels and config.film is None:
        return
    taps = math.prod(2 * n - 1 for n in seq_lens)
    width, inner = config.embedding_dim, config.mlp_hidden_dim
    tape.published(2 * taps * config.data_dim * width + taps * width)
    for _ in range(config.num_hidden):
        tape.published(2 * taps * width * inner + taps * inner)
        width = inner
    tape.published(2 * taps * inner * config.out_dim)
    if config.film is not None:
        tape.run("film_generator", conditioning)
        tape.published((config.num_hidden + config.film_after_pos_embed) * 2 * taps * inner)
