"""Multi-head attention without projections: the part between query, key, value and output."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.functional.rotary import apply_rotary, rope_tables

_MAX_SPATIAL_AXES = 3


class Attention(nn.Module):
    """Softmax attention among all positions of a grid, head by head: softmax(scale Q K^T) V.

    Vaswani et al. (2017), eq. 1. Heads are consecutive slices of the channels. Rotary positions come first,
    then the L2 norm of queries and keys; with the norm the scale is 1, without it head_dim^-0.5. There are no
    parameters: projections belong to the mixer around.

    Attributes:
        rope_cos: Cosines of the rotary angles, [T, head_dim] for T = prod(rope_spatial_dims), not in the
            state dict.
        rope_sin: The sines, same shape.
    """

    rope_cos: Tensor
    rope_sin: Tensor

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        apply_qk_norm: bool,
        use_rope: bool,
        is_causal: bool = False,
        attn_dropout: float = 0.0,
        rope_base: float = 10000.0,
        rope_spatial_dims: Sequence[int] | None = None,
    ) -> None:
        """Compute the rotary tables.

        Args:
            hidden_dim: Channels of query, key and value.
            num_heads: Number of heads, a divisor of `hidden_dim`.
            apply_qk_norm: Give every query and key of every head unit length.
            use_rope: Rotate queries and keys by their position.
            is_causal: Position t of the flattened grid sees positions <= t only.
            attn_dropout: Probability of dropping an attention weight while training.
            rope_base: Base of the geometric series of rotary frequencies.
            rope_spatial_dims: Extents of the grid, 1 to 3 axes; required by `use_rope`, whose head_dim must
                be a multiple of twice the number of axes.

        Raises:
            ValueError: If `num_heads` does not divide `hidden_dim`, `attn_dropout` is not a probability, or
                the rotary grid is missing, of too high a rank, or does not suit head_dim.
        """
        super().__init__()
        if num_heads < 1 or hidden_dim % num_heads:
            raise ValueError(f"Expected hidden_dim to be a multiple of num_heads={num_heads}, got {hidden_dim}")
        if not 0.0 <= attn_dropout <= 1.0:
            raise ValueError(f"Expected attn_dropout between 0 and 1, got {attn_dropout}")
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.head_dim = hidden_dim // num_heads
        self.apply_qk_norm = apply_qk_norm
        self.use_rope = use_rope
        self.is_causal = is_causal
        self.attn_dropout = attn_dropout
        self.scale = 1.0 if apply_qk_norm else self.head_dim**-0.5
        self.rope_spatial_dims = None if rope_spatial_dims is None else tuple(rope_spatial_dims)
        if use_rope:
            self._build_tables(rope_base)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend.

        Args:
            query: [B, *N, hidden_dim], one to three spatial axes.
            key: [B, *M, hidden_dim], as many spatial axes.
            value: [B, *M, hidden_dim].

        Returns:
            [B, *N, hidden_dim].

        Raises:
            ValueError: If a rank or a width is wrong, or the grid is not the one the rotary tables were built
                for.
        """
        for name, tensor in (("query", query), ("key", key), ("value", value)):
            self._check(name, tensor, rotated=self.use_rope and name != "value")
        q, k, v = self._heads(query), self._heads(key), self._heads(value)
        if self.rope_spatial_dims is not None and self.use_rope:
            num_axes = len(self.rope_spatial_dims)
            q = apply_rotary(q, self.rope_cos, self.rope_sin, num_axes)
            k = apply_rotary(k, self.rope_cos, self.rope_sin, num_axes)
        if self.apply_qk_norm:
            q, k = _unit_length(q), _unit_length(k)
        dropout = self.attn_dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=self.is_causal, scale=self.scale)
        return out.transpose(1, 2).reshape(query.shape)

    def extra_repr(self) -> str:
        """Show the arguments in `repr(module)`."""
        return (
            f"{self.hidden_dim}, num_heads={self.num_heads}, apply_qk_norm={self.apply_qk_norm}, "
            f"use_rope={self.use_rope}, is_causal={self.is_causal}, "
            f"rope_spatial_dims={self.rope_spatial_dims}"
        )

    def _build_tables(self, base: float) -> None:
        """Register the rotary tables of the grid."""
        extents = self.rope_spatial_dims
        if extents is None:
            raise ValueError("Expected rope_spatial_dims with use_rope=True, got None")
        if len(extents) > _MAX_SPATIAL_AXES:
            raise ValueError(f"Expected rope_spatial_dims of 1 to {_MAX_SPATIAL_AXES} axes, got {extents}")
        cos, sin = rope_tables(extents, self.head_dim, base)
        self.register_buffer("rope_cos", cos, persistent=False)
        self.register_buffer("rope_sin", sin, persistent=False)

    def _check(self, name: str, x: Tensor, rotated: bool) -> None:
        """Refuse a tensor of the wrong rank, width or grid."""
        if not 3 <= x.ndim <= 2 + _MAX_SPATIAL_AXES or x.shape[-1] != self.hidden_dim:
            raise ValueError(
                f"Expected {name} [B, *N, {self.hidden_dim}] with 1 to {_MAX_SPATIAL_AXES} spatial axes, "
                f"got shape {tuple(x.shape)}"
            )
        if rotated and tuple(x.shape[1:-1]) != self.rope_spatial_dims:
            raise ValueError(
                f"Expected the spatial axes of {name} to be rope_spatial_dims={self.rope_spatial_dims}, "
                f"got {tuple(x.shape[1:-1])}"
            )

    def _heads(self, x: Tensor) -> Tensor:
        """Flatten space and split channels: [B, *N, C] -> [B, num_heads, T, head_dim]."""
        return x.reshape(x.shape[0], -1, self.num_heads, self.head_dim).transpose(1, 2)


def _unit_length(x: Tensor) -> Tensor:
    """Divide by the Euclidean norm along the last axis: [..., d] -> [..., d]. Zero vectors stay zero."""
    # The lower bound 1e-12 does not exist in half precision, hence the float32.
    return F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1, eps=1e-12).to(x.dtype)
