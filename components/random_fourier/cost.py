"""Shapes, parameters and operations of the random Fourier kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.functional.coordinates import grid
from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.random_fourier.schema import RandomFourierKernelND, RandomFourierPositionalEmbeddingND


def embedding_parameters(
    config: RandomFourierPositionalEmbeddingND | RandomFourierKernelND,
) -> dict[str, tuple[int, ...]]:
    """One linear map of coordinates, half as wide as the embedding."""
    found: dict[str, tuple[int, ...]] = {"linear.weight": (config.embedding_dim // 2, config.data_dim)}
    if config.use_bias:
        found["linear.bias"] = (config.embedding_dim // 2,)
    return found


def embedding(
    config: RandomFourierPositionalEmbeddingND | RandomFourierKernelND, tape: Tape, seq_lens: Sequence[int]
) -> tuple[Shape, Shape]:
    """Samples per axis -> embedding (1, *taps, embedding_dim) and positions (1, *taps, D)."""
    positions = grid(tape, seq_lens, config.data_dim)
    phases = tape.linear(positions, config.embedding_dim // 2, bias=config.use_bias)
    parts = [tape.pointwise(function, phases) for function in ("cos", "sin")]
    embedded = tape.join(*parts, output=tape.fan_out(phases).view(*phases[:-1], config.embedding_dim))
    return tape.rounded(embedded), positions


def kernel_parameters(config: RandomFourierKernelND) -> dict[str, tuple[int, ...]]:
    """Those of the embedding, and one linear map per hidden layer and for the output."""
    found = {f"positional_embedding.{name}": shape for name, shape in embedding_parameters(config).items()}
    width = config.embedding_dim
    # The layers of the Sequential alternate with activations, hence the even numbers.
    for name in [*(f"kernel_network.{2 * i}" for i in range(config.num_hidden)), "out_linear"]:
        out = config.out_dim if name == "out_linear" else config.mlp_hidden_dim
        found[f"{name}.weight"] = (out, width)
        if config.use_bias:
            found[f"{name}.bias"] = (out,)
        width = out
    return found


def kernel(
    config: RandomFourierKernelND, tape: Tape, seq_lens: Sequence[int], conditioning: Shape | None = None
) -> tuple[Shape, Shape]:
    """Samples per axis -> kernel (1, *taps, out_dim) and positions (1, *taps, D)."""
    h, positions = embedding(config, tape, seq_lens)
    for _ in range(config.num_hidden):
        h = tape.run("nonlinear", tape.linear(h, config.mlp_hidden_dim, bias=config.use_bias))
    return tape.linear(h, config.out_dim, bias=config.use_bias), positions
