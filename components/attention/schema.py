"""Config of multi-head attention."""

from __future__ import annotations

from typing import Annotated, Any, Optional

from pydantic import Field

from components.attention import cost
from registry.rules import Divides, Require
from registry.schema import Component, Dim, Heads, InputSpec, Positive, Probability, follows
from registry.shapes import Shape
from registry.store import register

Extents = Annotated[tuple[Dim, ...], Field(strict=False, min_length=1, max_length=3)]


@register("attention", kind="mixer", module="components.attention.module:Attention", aliases=("Attention",))
class Attention(Component):
    """Softmax attention among all positions of a grid, head by head; no parameters."""

    paper = "Vaswani et al. 2017 (arXiv:1706.03762), eq. 1; rotary positions: Su et al. 2021 (arXiv:2104.09864)"
    rules = (
        Divides(
            "num_heads",
            ("hidden_dim",),
            at="num_heads",
            code="divisible",
            why="every head has the same number of channels",
        ),
        Require(
            "rope_spatial_dims is not None",
            at="rope_spatial_dims",
            code="rope-grid",
            when="use_rope",
            message="Expected rope_spatial_dims with use_rope=true, got none",
            hint="give the extents of the token grid, such as rope_spatial_dims: [14, 14]",
            why="the rotary tables are computed for one grid",
        ),
        Require(
            "len(rope_spatial_dims) == data_dim",
            at="rope_spatial_dims",
            code="rank",
            when="use_rope",
            message="Expected rope_spatial_dims to have {data_dim} entries, got {len(rope_spatial_dims)}",
            hint="write one extent per axis of the token grid",
            why="there is one extent per spatial axis",
        ),
        Require(
            "(hidden_dim // num_heads) % (2 * len(rope_spatial_dims)) == 0",
            at="num_heads",
            code="rope-head-dim",
            when="use_rope",
            message="Expected a head of hidden_dim / num_heads = {hidden_dim // num_heads} channels to be divisible "
            "by {2 * len(rope_spatial_dims)}, got {hidden_dim} / {num_heads}",
            hint="each of the {len(rope_spatial_dims)} axes rotates pairs of channels",
            why="every axis rotates an equal, even share of the channels of a head",
        ),
    )

    hidden_dim: Dim = follows("hidden_dim", "Width of query, key and value.")
    num_heads: Heads
    apply_qk_norm: bool = Field(description="Give queries and keys of every head unit length.")
    use_rope: bool = Field(description="Rotate queries and keys by their position.")
    is_causal: bool = Field(False, description="No position sees a later one, row by row.")
    attn_dropout: Probability = Field(0.0, description="Probability of dropping an attention weight while training.")
    rope_base: Positive = Field(10000.0, description="Base of the rotary frequencies.")
    rope_spatial_dims: Optional[Extents] = follows("seq_shape", "Extents of the token grid.", default=None)

    buffers = cost.buffers
    forward = cost.forward

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.hidden_dim // self.num_heads

    @property
    def accepts_conditioning(self) -> bool:
        """There is no kernel that a condition could modulate."""
        return False

    def input_spec(self) -> Optional[InputSpec]:
        """The grid of the rotary tables."""
        if not self.use_rope or self.rope_spatial_dims is None:
            return None
        return InputSpec((*self.rope_spatial_dims, self.hidden_dim))

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Query, key and value of one shape."""
        return (batch + spec.shape,) * 3, {}
