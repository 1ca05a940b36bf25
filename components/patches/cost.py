"""Shapes, parameters and operations of patch embedding, its inverse, and learned positions. Data is channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.patches.schema import Patchify, PositionEmbeddingND, Unpatchify


def _require_grid(tape: Tape, x: Shape, data_dim: int, width: int) -> None:
    tape.require_width(x, width)
    if len(x) != data_dim + 2:
        raise ValueError(f"Expected {data_dim} spatial axes, got shape {x.labels}")


def patchify_parameters(patchify: Patchify) -> dict[str, tuple[int, ...]]:
    """A weight [out, in, *patch], and a bias if asked for."""
    patch = (patchify.patch_size,) * patchify.data_dim
    bias = {"conv.bias": (patchify.out_features,)} if patchify.bias else {}
    return {"conv.weight": (patchify.out_features, patchify.in_features, *patch), **bias}


def patchify(patchify: Patchify, tape: Tape, x: Shape) -> Shape:
    """(B, *N, in_features) -> (B, *M, out_features), M = floor((N - patch_size) / stride) + 1."""
    _require_grid(tape, x, patchify.data_dim, patchify.in_features)
    if min(x[1:-1]) < patchify.patch_size:
        raise ValueError(f"Expected axes of at least patch_size={patchify.patch_size}, got shape {x.labels}")
    extents = tuple((n - patchify.patch_size) // patchify.step + 1 for n in x[1:-1])
    output = Shape((x[0], patchify.out_features, *extents))
    patch = [patchify.patch_size] * patchify.data_dim
    channels_first = tape.transpose(x, (0, len(x) - 1, *range(1, len(x) - 1)))
    output = tape.conv(channels_first, output, patch, bias=patchify.bias)
    return tape.ordered(tape.transpose(output, (0, *range(2, len(x)), 1)))


def unpatchify_parameters(unpatchify: Unpatchify) -> dict[str, tuple[int, ...]]:
    """A weight [in, out, *patch], and a bias if asked for."""
    patch = (unpatchify.patch_size,) * unpatchify.data_dim
    bias = {"deconv.bias": (unpatchify.out_features,)} if unpatchify.bias else {}
    return {"deconv.weight": (unpatchify.in_features, unpatchify.out_features, *patch), **bias}


def unpatchify(unpatchify: Unpatchify, tape: Tape, x: Shape) -> Shape:
    """(B, *M, in_features) -> (B, *N, out_features), N = (M - 1) stride + patch_size."""
    _require_grid(tape, x, unpatchify.data_dim, unpatchify.in_features)
    extents = tuple((m - 1) * unpatchify.step + unpatchify.patch_size for m in x[1:-1])
    tokens, output = x.view(x[0], x[-1], *x[1:-1]), Shape((x[0], unpatchify.out_features, *extents))
    output = tape.conv_transpose(tokens, output, [unpatchify.patch_size] * unpatchify.data_dim, bias=unpatchify.bias)
    return output.view(x[0], *extents, unpatchify.out_features)


def position_embedding_parameters(embedding: PositionEmbeddingND) -> dict[str, tuple[int, ...]]:
    """One table per axis."""
    share = embedding.embedding_dim // embedding.data_dim
    return {
        f"data_embeddings.{name}.weight": (length, share)
        for name, length in zip("xyz", embedding.max_dim_lengths, strict=False)
    }


def position_embedding(embedding: PositionEmbeddingND, tape: Tape, x: Shape) -> Shape:
    """(B, *N, embedding_dim) -> (B, *N, embedding_dim), free: rows of tables side by side."""
    _require_grid(tape, x, embedding.data_dim, embedding.embedding_dim)
    if any(n > limit for n, limit in zip(x[1:-1], embedding.max_dim_lengths, strict=True)):
        raise ValueError(f"Expected axes of at most {embedding.max_dim_lengths}, got shape {x.labels}")
    grid = x[1:-1]
    share = embedding.embedding_dim // embedding.data_dim
    parts = [tape.expand(Shape((extent, share)), Shape((*grid, share))) for extent in grid]
    return tape.expand(tape.join(*parts, output=Shape((*grid, embedding.embedding_dim))), Shape(x))
