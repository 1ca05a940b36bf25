"""Configs of the normalisation layers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.norms import cost
from registry.rules import Divides
from registry.schema import Component, Dim, Heads, InputSpec, NonNegative, follows
from registry.store import register

Axis = Annotated[int, Field(strict=True, ge=-5, le=4)]


class _Norm(Component):
    """What norms share."""

    @property
    def channels_first(self) -> bool:
        """Whether it takes [B, C, *N] instead of [B, *N, C]."""
        return False


@register("rms_norm", kind="norm", module="components.norms.module:RMSNorm", aliases=("RMSNorm",))
class RMSNorm(_Norm):
    """Divide every token by its root mean square, then scale the channels."""

    paper = "Zhang and Sennrich 2019 (arXiv:1910.07467), eq. 4"

    dim: Dim = follows("hidden_dim", "Width of the tokens.")
    eps: NonNegative = Field(1e-6, description="Added to the mean square.")
    use_quack: bool = Field(True, description="A kernel choice of the reference; both values compute the same here.")

    parameters = cost.rms_norm_parameters
    forward = cost.rms_norm
    flop_count = cost.rms_norm_flop_count

    def module_args(self) -> dict[str, object]:
        """Width and eps."""
        return {"dim": self.dim, "eps": self.eps}

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((self.dim,))


@register(
    "rms_norm_channel_first",
    kind="norm",
    module="components.norms.module:RMSNormChannelFirst",
    aliases=("RMSNormChannelFirst",),
)
class RMSNormChannelFirst(_Norm):
    """RMSNorm of channels-first data [B, C, *N]."""

    paper = "Zhang and Sennrich 2019 (arXiv:1910.07467), eq. 4"

    dim: Dim = follows("hidden_dim", "Number of channels.")
    eps: NonNegative = Field(1e-6, description="Added to the mean square.")

    parameters = cost.rms_norm_parameters
    forward = cost.rms_norm_channel_first
    flop_count = cost.rms_norm_flop_count

    @property
    def channels_first(self) -> bool:
        """It takes [B, C, *N]."""
        return True

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((self.dim, 1))


@register(
    "per_head_rms_norm", kind="norm", module="components.norms.module:PerHeadRMSNorm", aliases=("PerHeadRMSNorm",)
)
class PerHeadRMSNorm(_Norm):
    """RMSNorm of every head by itself, with one set of factors for all heads."""

    paper = "Zhang and Sennrich 2019 (arXiv:1910.07467), eq. 4"
    rules = (
        Divides(
            "num_heads",
            ("hidden_dim",),
            at="num_heads",
            code="divisible",
            why="every head has the same number of channels",
        ),
    )

    num_heads: Heads
    head_dim: Dim = follows("exact(hidden_dim, num_heads)", "Channels of one head.")
    eps: NonNegative = Field(1e-6, description="Added to the mean square.")

    parameters = cost.per_head_rms_norm_parameters
    forward = cost.per_head_rms_norm
    flop_count = cost.rms_norm_flop_count

    @property
    def dim(self) -> int:
        """Width of the tokens."""
        return self.num_heads * self.head_dim

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((self.dim,))


@register("l2_norm", kind="norm", module="components.norms.module:L2Norm", aliases=("L2Norm",))
class L2Norm(_Norm):
    """Divide by the Euclidean norm along one axis."""

    paper = "Henry et al. 2020 (arXiv:2010.04245)"

    dim: Axis = Field(-1, description="The axis to normalise; 1 for the channels of [B, C, *N].")
    eps: NonNegative = Field(1e-12, description="Lower bound of the norm.")

    forward = cost.l2_norm

    @property
    def channels_first(self) -> bool:
        """Whether it normalises axis 1."""
        return self.dim == 1


@register(
    "global_response_norm",
    kind="norm",
    module="components.norms.module:GlobalResponseNorm",
    aliases=("GlobalResponseNorm",),
)
class GlobalResponseNorm(_Norm):
    """Let channels compete by their energy over all positions."""

    paper = "Woo et al. 2023 (arXiv:2301.00808), ConvNeXt V2"

    dim: Dim = follows("hidden_dim", "Width of the tokens.")
    eps: NonNegative = Field(1e-6, description="Added to the mean energy.")

    parameters = cost.global_response_norm_parameters
    forward = cost.global_response_norm
    flop_count = cost.global_response_norm_flop_count

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((1, self.dim))


@register("layer_norm", kind="norm", module="torch.nn:LayerNorm", aliases=("LayerNorm",))
class LayerNorm(_Norm):
    """Centre every token and divide by its standard deviation, then scale and shift the channels."""

    paper = "Ba et al. 2016 (arXiv:1607.06450)"

    normalized_shape: Dim = follows("hidden_dim", "Width of the tokens.")
    eps: NonNegative = Field(1e-5, description="Added to the variance.")
    elementwise_affine: bool = Field(True, description="Learn a scale per channel.")
    bias: bool = Field(True, description="Learn a shift per channel, if also elementwise_affine.")

    parameters = cost.layer_norm_parameters
    forward = cost.layer_norm

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((self.normalized_shape,))


@register("group_norm", kind="norm", module="torch.nn:GroupNorm", aliases=("GroupNorm",))
class GroupNorm(_Norm):
    """Centre and scale groups of channels over all positions of channels-first data [B, C, *N]."""

    paper = "Wu and He 2018 (arXiv:1803.08494)"
    rules = (
        Divides(
            "num_groups",
            ("num_channels",),
            at="num_groups",
            code="divisible",
            why="every group has the same number of channels",
        ),
    )

    num_groups: Dim
    num_channels: Dim = follows("hidden_dim", "Number of channels.")
    eps: NonNegative = Field(1e-5, description="Added to the variance.")
    affine: bool = Field(True, description="Learn a scale and a shift per channel.")

    parameters = cost.group_norm_parameters
    forward = cost.group_norm

    @property
    def channels_first(self) -> bool:
        """It takes [B, C, *N]."""
        return True

    def input_spec(self) -> InputSpec:
        """Two tokens: torch refuses to normalise a single value in training."""
        return InputSpec((self.num_channels, 2))
