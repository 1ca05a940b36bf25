"""Configs of the residual networks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Optional, Union

from pydantic import Field

from components.functional.channels import channels_last
from components.functional.patterns import Blocks, Pattern, pattern_rules
from components.resnet import cost
from registry.rules import Require
from registry.schema import Component, Dim, Dims, InputSpec, Rank, follows, slot
from registry.shapes import Shape
from registry.store import register

_INNER = {"hidden_dim": "hidden_dim", "data_dim": "data_dim"}


def _keeps_width(projection: str, width: str) -> Require:
    return Require(
        f"{width} == hidden_dim",
        at=projection,
        when=f"{projection}.entry.kind == 'identity'",
        code="identity-width",
        message=f"Expected {projection} to project between {width}={{{width}}} and hidden_dim={{hidden_dim}}, "
        "got identity",
        hint=f"set {projection}: linear, or {width}: {{hidden_dim}}",
        why="the identity has as many channels after as before",
    )


class _Trunk(Component):
    """What both networks have in common: everything but the output."""

    paper = "He et al. 2016 (arXiv:1603.05027), pre-activation residual blocks"
    rules = (
        _keeps_width("in_proj", "in_channels"),
        _keeps_width("out_proj", "out_channels"),
        *pattern_rules("residual_block"),
    )

    in_channels: Dim = Field(description="Channels of the input.")
    out_channels: Dim = Field(description="Channels of the output, or number of classes.")
    num_blocks: Blocks = follows(
        "len(layer_pattern) if layer_pattern else None",
        "Number of blocks.",
        code="pattern-length",
        why="the pattern names every block",
    )
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
    norm: Component = slot(
        "norm", "identity", at="out_norm", gives={"hidden_dim": "hidden_dim"}, description="Before out_proj."
    )
    block: Optional[Component] = slot("block", default=None, gives=_INNER, description="What every block is.")
    dropout_in: Component = slot("dropout", "identity", default="identity", description="Of the input.")
    condition_in_proj: Optional[Component] = slot(
        "linear",
        "identity",
        default=None,
        gives={"in_features": "hidden_dim", "out_features": "hidden_dim"},
        description="Of the condition, before the first block.",
    )
    layer_pattern: Optional[Pattern] = Field(None, description="One character per block, such as SASA.")
    layer_types: Optional[Mapping[str, Component]] = slot(
        "block",
        many=True,
        default=None,
        when="layer_pattern is None or key in layer_pattern",
        gives=_INNER,
        description="What a character of layer_pattern stands for.",
    )
    gradient_checkpointing: bool = Field(False, description="Recompute the blocks in the backward pass.")

    @cached_property
    def blocks(self) -> tuple[Component, ...]:
        """The blocks in their order. Equal blocks are one config object."""
        if self.layer_pattern is not None and self.layer_types is not None:
            return tuple(self.layer_types[char] for char in self.layer_pattern)
        return (self.block,) * self.num_blocks if self.block else ()

    @cached_property
    def parts(self) -> dict[str, Component]:
        """The children in the order in which data meets them."""
        found = {
            "dropout_in": self.dropout_in,
            "in_proj": self.in_proj,
            "condition_in_proj": self.condition_in_proj,
            **{f"blocks.{i}": block for i, block in enumerate(self.blocks)},
            "out_norm": self.norm,
            "out_proj": self.out_proj,
        }
        return {name: part for name, part in found.items() if part is not None}

    def module_args(self) -> dict[str, Any]:
        """What the module takes besides its children, which carry the widths."""
        names = ("in_channels", "data_dim", "gradient_checkpointing")
        return {name: getattr(self, name) for name in names}

    @property
    def condition_dim(self) -> Optional[int]:
        """What its blocks need; a projection of the condition keeps the width."""
        return next((block.condition_dim for block in self.blocks if block.condition_dim), None)

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
        *_Trunk.rules,
        channels_last("norm"),
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
