"""Configs of the residual networks."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Optional, Union

from pydantic import Field

from components.resnet import cost
from registry.limits import LIMITS
from registry.rules import Require
from registry.schema import Component, Dim, Dims, InputSpec, Rank, slot
from registry.shapes import Shape
from registry.store import register

Blocks = Annotated[int, Field(strict=True, ge=1, le=LIMITS.blocks)]
_INNER = {"hidden_dim": "hidden_dim", "data_dim": "data_dim"}


class _Trunk(Component):
    """What both networks have in common: everything but the output."""

    paper = "He et al. 2016 (arXiv:1603.05027), pre-activation residual blocks"

    in_channels: Dim = Field(description="Channels of the input.")
    out_channels: Dim = Field(description="Channels of the output, or number of classes.")
    num_blocks: Blocks
    hidden_dim: Dim = Field(description="Width between the projections.")
    data_dim: Rank = Field(description="Number of spatial axes.")
    in_proj: Component = slot(
        "linear",
        "patch",
        "identity",
        gives={"in_features": "in_channels", "out_features": "hidden_dim", "data_dim": "data_dim"},
    )
    out_proj: Component = slot(
        "linear",
        "patch",
        "identity",
        gives={"in_features": "hidden_dim", "out_features": "out_channels", "data_dim": "data_dim"},
    )
    norm: Component = slot("norm", "identity", at="out_norm", gives=_INNER, description="Before out_proj.")
    block: Component = slot("block", gives=_INNER, description="What every block is.")
    dropout_in: Component = slot("dropout", "identity", default="identity", description="Of the input.")
    condition_in_proj: Optional[Component] = slot(
        "linear",
        "identity",
        default=None,
        gives={"in_features": "hidden_dim", "out_features": "hidden_dim"},
        description="Of the condition, before the first block.",
    )
    gradient_checkpointing: bool = Field(False, description="Recompute the blocks in the backward pass.")

    @cached_property
    def parts(self) -> dict[str, Component]:
        """The children in the order in which data meets them; all blocks are one config object."""
        found = {
            "dropout_in": self.dropout_in,
            "in_proj": self.in_proj,
            "condition_in_proj": self.condition_in_proj,
            **{f"blocks.{i}": self.block for i in range(self.num_blocks)},
            "out_norm": self.norm,
            "out_proj": self.out_proj,
        }
        return {name: part for name, part in found.items() if part is not None}

    def module_args(self) -> dict[str, Any]:
        """What the module takes besides its children, which carry the widths."""
        names = ("in_channels", "data_dim", "gradient_checkpointing")
        return {name: getattr(self, name) for name in names}

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The input, and the condition if there is one."""
        x = batch + Shape(spec.shape)
        return ((x, batch + Shape(spec.condition)) if spec.condition else (x,)), {}


@register(
    "residual_network",
    kind="network",
    module="components.resnet.module:ResidualNetwork",
    aliases=("ResidualNetwork",),
)
class ResidualNetwork(_Trunk):
    """Residual blocks between two projections, for dense prediction."""

    rules = (
        Require(
            "len(target_size) == data_dim",
            at="target_size",
            when="isinstance(target_size, tuple)",
            code="target-rank",
            message="Expected target_size to hold {data_dim} sizes, got {len(target_size)}",
            hint="write one size for all axes, or a list of {data_dim}",
            why="there is one size per spatial axis",
        ),
    )

    target_size: Optional[Union[Dim, Dims]] = Field(
        None, description="Last positions to return, for all axes or one number per axis; an axis of size 1 is dropped."
    )

    parameters = cost.parameters
    forward = cost.dense_forward

    @property
    def target_sizes(self) -> tuple[int, ...] | None:
        """The size of every axis, or None for all positions."""
        if isinstance(self.target_size, int):
            return (self.target_size,) * self.data_dim
        return self.target_size

    def module_args(self) -> dict[str, Any]:
        """Those of both networks, and the crop."""
        return {**super().module_args(), "target_size": self.target_size}


@register(
    "classification_resnet",
    kind="network",
    module="components.resnet.module:ClassificationResNet",
    aliases=("ClassificationResNet",),
)
class ClassificationResNet(_Trunk):
    """Residual blocks, then the mean over all positions, for classification."""

    parameters = cost.parameters
    forward = cost.classification_forward
