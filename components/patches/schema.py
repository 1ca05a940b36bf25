"""Configs of patch embedding, its inverse, and learned positions."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

from pydantic import Field

from components.patches import cost
from registry.rules import Divides, Require
from registry.schema import Component, Dim, InputSpec, Rank, follows
from registry.store import register

Extents = Annotated[tuple[Dim, ...], Field(strict=False, min_length=1, max_length=3)]


class _Patches(Component):
    """Fields that both directions share."""

    in_features: Dim = follows("in_features", "Channels of the input.")
    out_features: Dim = follows("out_features", "Channels of the output.")
    data_dim: Rank = follows("data_dim", "Number of spatial axes.")
    patch_size: Dim = Field(description="Extent of a patch on every axis.")
    stride: Optional[Dim] = Field(None, description="Distance between patches; null: side by side.")
    bias: bool = True

    @property
    def step(self) -> int:
        """Distance between patches."""
        return self.stride or self.patch_size


@register("patchify", kind="patch", module="components.patches.module:Patchify", aliases=("Patchify",))
class Patchify(_Patches):
    """Project patches to tokens with one strided convolution."""

    paper = "Dosovitskiy et al. 2021 (arXiv:2010.11929), eq. 1"

    parameters = cost.patchify_parameters
    forward = cost.patchify

    def input_spec(self) -> InputSpec:
        """One patch."""
        return InputSpec((self.patch_size,) * self.data_dim + (self.in_features,))


@register("unpatchify", kind="patch", module="components.patches.module:Unpatchify", aliases=("Unpatchify",))
class Unpatchify(_Patches):
    """Expand every token to a patch with one transposed convolution."""

    paper = "Dosovitskiy et al. 2021 (arXiv:2010.11929), eq. 1, transposed"

    weight_init: Literal["default", "zeros", "fan_in"] = Field(
        "default", description="Initial weight: torch's, zero, or normal of variance 2 / (in_features patch)."
    )

    parameters = cost.unpatchify_parameters
    forward = cost.unpatchify

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((1,) * self.data_dim + (self.in_features,))


@register(
    "position_embedding_nd",
    kind="position_embedding",
    module="components.patches.module:PositionEmbeddingND",
    aliases=("PositionEmbeddingND",),
)
class PositionEmbeddingND(Component):
    """Learned position embedding, one table per axis, side by side."""

    paper = "Dosovitskiy et al. 2021 (arXiv:2010.11929), appendix D.4"
    rules = (
        Divides("data_dim", ("embedding_dim",), code="divisible", why="every axis has an equal share of the width"),
        Require(
            "len(max_dim_lengths) == data_dim",
            at="max_dim_lengths",
            code="rank",
            message="Expected max_dim_lengths to have data_dim={data_dim} entries, got {len(max_dim_lengths)}",
            hint="write the greatest extent of every axis",
            why="there is one table per axis",
        ),
    )

    embedding_dim: Dim = follows("hidden_dim", "Width of the tokens.")
    data_dim: Rank = follows("data_dim", "Number of spatial axes.")
    max_dim_lengths: Extents = Field(description="Largest extent of every axis.")

    parameters = cost.position_embedding_parameters
    forward = cost.position_embedding

    def input_spec(self) -> InputSpec:
        """A grid that uses every row of every table."""
        return InputSpec((*self.max_dim_lengths, self.embedding_dim))
