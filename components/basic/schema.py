"""Configs of the elementary layers: projections, convolutions, activations, dropout, tempers of residual branches."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Union

from pydantic import Field

from components.basic import cost
from registry.rules import Divides, Require, Rule
from registry.schema import Component, Count, Dim, InputSpec, Number, Probability, follows
from registry.store import register

Dims = Annotated[tuple[Dim, ...], Field(strict=False, min_length=1, max_length=3)]
Counts = Annotated[tuple[Count, ...], Field(strict=False, min_length=1, max_length=3)]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


@register("identity", kind="identity", module="torch.nn:Identity", aliases=("Identity",))
class Identity(Component):
    """Nothing: the output is the input."""

    forward = cost.same_shape

    @property
    def accepts_conditioning(self) -> bool:
        """It takes one tensor and nothing else."""
        return False


@register("linear", kind="linear", module="torch.nn:Linear", aliases=("Linear",))
class Linear(Component):
    """Affine map of the last axis."""

    in_features: Dim = follows("in_features", "Width of the input.")
    out_features: Dim = follows("out_features", "Width of the output.")
    bias: bool = True

    parameters = cost.linear_parameters
    forward = cost.linear

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((self.in_features,))


# ---- convolutions -------------------------------------------------------------------------------------------------


def _group_rules() -> tuple[Rule, ...]:
    return (
        Divides(
            "groups",
            ("in_channels", "out_channels"),
            code="divisible",
            when="groups != 'depthwise'",
            why="every group has the same number of channels",
        ),
        Require(
            "out_channels % in_channels == 0",
            at="out_channels",
            code="divisible",
            when="groups == 'depthwise'",
            message="Expected out_channels to be divisible by in_channels={in_channels} "
            "with groups=depthwise, got {out_channels}",
            hint="set out_channels: {in_channels}",
            why="every input channel is a group of its own",
        ),
    )


def _conv_rules(rank: int) -> tuple[Rule, ...]:
    """Rules of a convolution over `rank` axes."""
    per_axis = (
        Require(
            f"not isinstance({name}, tuple) or len({name}) == {rank}",
            at=name,
            code="rank",
            message=f"Expected {name} to be one number or a list of {rank}, got {{len({name})}}",
            hint=f"write one number for all axes, or a list of {rank}",
            why=f"there {'is 1 spatial axis' if rank == 1 else f'are {rank} spatial axes'}",
        )
        for name in ("kernel_size", "stride", "padding", "dilation")
    )
    same = Require(
        "stride == 1 or isinstance(stride, tuple) and max(stride) == 1",
        at="stride",
        code="same-padding",
        when="padding == 'same'",
        message="Expected stride to be 1 with padding=same, got {stride}",
        hint="set stride: 1, or give padding as a number",
        why="padding=same keeps the extents, a stride does not",
    )
    return (*_group_rules(), *per_axis, same)


class _Conv(Component):
    """Fields that every convolution has, named as in torch.nn."""

    in_channels: Dim = follows("in_features", "Channels of the input.")
    out_channels: Dim = follows("out_features", "Channels of the output.")
    groups: Union[Dim, Literal["depthwise"]] = Field(
        1, description="Number of groups of channels that do not mix; depthwise: as many as in_channels."
    )
    bias: bool = True
    padding_mode: PaddingMode = "zeros"

    parameters = cost.conv_parameters
    forward = cost.conv

    @property
    def num_groups(self) -> int:
        """`groups` as a number."""
        return self.in_channels if isinstance(self.groups, str) else self.groups

    def module_args(self) -> dict[str, object]:
        """The fields, groups as a number."""
        return {**super().module_args(), "groups": self.num_groups}

    def taps(self) -> tuple[cost.Taps, ...]:
        """Kernel, stride, padding and dilation of every axis."""
        raise NotImplementedError("a convolution must say its taps")  # pragma: no cover

    @property
    def keeps_extents(self) -> bool:
        """Whether every spatial extent is the same after as before, whatever it is."""
        return all(taps.keep for taps in self.taps())

    @property
    def is_causal_conv(self) -> bool:
        """Whether no output sees an input after it."""
        return all(taps.causal for taps in self.taps())


class _ConvND(_Conv):
    """`torch.nn.Conv1d` and its like: numbers apply to every axis, lists have one number per axis."""

    rank: ClassVar[int]

    kernel_size: Union[Dim, Dims]
    stride: Union[Dim, Dims] = 1
    padding: Union[Count, Counts, Literal["same", "valid"]] = 0
    dilation: Union[Dim, Dims] = 1

    @property
    def data_dim(self) -> int:
        """Number of spatial axes."""
        return self.rank

    def taps(self) -> tuple[cost.Taps, ...]:
        """Kernel, stride, padding and dilation of every axis."""
        return _taps(self.rank, self.kernel_size, self.stride, self.dilation, self.padding)


_PerAxis = Union[int, tuple[int, ...]]


@lru_cache(maxsize=1024)
def _taps(
    rank: int, kernel_size: _PerAxis, stride: _PerAxis, dilation: _PerAxis, padding: Union[str, _PerAxis]
) -> tuple[cost.Taps, ...]:
    def per_axis(value: _PerAxis) -> tuple[int, ...]:
        return (value,) * rank if isinstance(value, int) else value

    sizes, strides, dilations = per_axis(kernel_size), per_axis(stride), per_axis(dilation)
    if padding == "same":
        spans = [dilation * (size - 1) for size, dilation in zip(sizes, dilations, strict=True)]
        sides = [(span // 2, span - span // 2) for span in spans]
    else:
        sides = [(pad, pad) for pad in per_axis(0 if isinstance(padding, str) else padding)]
    return tuple(cost.Taps(k, s, d, *side) for k, s, d, side in zip(sizes, strides, dilations, sides, strict=True))


@register("conv1d", kind="conv", module="torch.nn:Conv1d", aliases=("Conv1d",))
class Conv1d(_ConvND):
    """Convolution of channels-first sequences [B, C, N]."""

    rank = 1
    rules = _conv_rules(1)


@register("conv2d", kind="conv", module="torch.nn:Conv2d", aliases=("Conv2d",))
class Conv2d(_ConvND):
    """Convolution of channels-first images [B, C, H, W]."""

    rank = 2
    rules = _conv_rules(2)


@register("conv3d", kind="conv", module="torch.nn:Conv3d", aliases=("Conv3d",))
class Conv3d(_ConvND):
    """Convolution of channels-first volumes [B, C, D, H, W]."""

    rank = 3
    rules = _conv_rules(3)


@register("causal_conv1d", kind="conv", module="components.basic.module:CausalConv1D", aliases=("CausalConv1D",))
class CausalConv1D(_Conv):
    """Convolution of channels-first sequences in which no output sees a later input."""

    paper = "van den Oord et al. 2016 (arXiv:1609.03499), section 2.1"
    rules = (
        *_group_rules(),
        Require(
            "padding == 0",
            at="padding",
            code="causal-padding",
            when="is_causal",
            message="Expected padding to be 0 in a causal convolution, got {padding}",
            hint="leave padding out: the layer pads on the left by itself",
            why="padding on the right shows the future",
        ),
        Require(
            "padding_mode == 'zeros'",
            at="padding_mode",
            code="causal-padding",
            when="is_causal",
            message="Expected padding_mode to be zeros in a causal convolution, got {padding_mode}",
            hint="leave padding_mode out",
            why="reflected and circular padding copy the future to the left",
        ),
    )

    kernel_size: Dim
    stride: Dim = 1
    padding: Count = 0
    dilation: Dim = 1
    is_causal: bool = True

    @property
    def data_dim(self) -> int:
        """Number of spatial axes."""
        return 1

    def taps(self) -> tuple[cost.Taps, ...]:
        """Kernel, stride, padding and dilation of the one axis."""
        left = self.dilation * (self.kernel_size - 1) if self.is_causal else self.padding
        right = 0 if self.is_causal else self.padding
        return (cost.Taps(self.kernel_size, self.stride, self.dilation, left, right),)


# ---- dropout and tempers of residual branches ---------------------------------------------------------------------


@register("dropout", kind="dropout", module="torch.nn:Dropout", aliases=("Dropout",))
class Dropout(Component):
    """Zero random elements while training."""

    paper = "Srivastava et al. 2014"

    p: Probability = Field(0.5, description="Probability of zeroing an element.")

    forward = cost.same_shape


@register("drop_path", kind="dropout", module="components.basic.module:DropPath", aliases=("DropPath",))
class DropPath(Component):
    """Drop the whole residual branch of random samples while training."""

    paper = "Huang et al. 2016 (arXiv:1603.09382)"

    drop_prob: Probability = Field(0.0, description="Probability of dropping a sample.")

    forward = cost.same_shape
    flop_count = cost.no_flop_count


@register("layer_scale", kind="layer_scale", module="components.basic.module:LayerScale", aliases=("LayerScale",))
class LayerScale(Component):
    """Learnable factor per channel that starts near zero."""

    paper = "Touvron et al. 2021 (arXiv:2103.17239)"

    dim: Dim = follows("hidden_dim", "Width of the tokens.")
    init_value: Number = Field(1e-4, description="Initial value of every factor.")

    parameters = cost.layer_scale_parameters
    forward = cost.layer_scale
    flop_count = cost.layer_scale_flop_count

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((self.dim,))


# ---- activations --------------------------------------------------------------------------------------------------


@register("silu", kind="activation", module="torch.nn:SiLU", aliases=("SiLU",))
class SiLU(Component):
    """x sigmoid(x), also called swish."""

    forward = cost.activation


@register("gelu", kind="activation", module="torch.nn:GELU", aliases=("GELU",))
class GELU(Component):
    """x Phi(x), with Phi the standard normal distribution."""

    paper = "Hendrycks and Gimpel 2016 (arXiv:1606.08415)"

    approximate: Literal["none", "tanh"] = Field("none", description="none: exact, by erf; tanh: approximated.")

    forward = cost.activation


@register("relu", kind="activation", module="torch.nn:ReLU", aliases=("ReLU",))
class ReLU(Component):
    """max(x, 0)."""

    forward = cost.activation


@register("sigmoid", kind="activation", module="torch.nn:Sigmoid", aliases=("Sigmoid",))
class Sigmoid(Component):
    """1 / (1 + exp(-x))."""

    forward = cost.activation


@register("tanh", kind="activation", module="torch.nn:Tanh", aliases=("Tanh",))
class Tanh(Component):
    """Hyperbolic tangent."""

    forward = cost.activation
