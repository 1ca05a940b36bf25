"""Configs of the kernel windows."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional, Union

from pydantic import Field

from components.masks import cost
from registry.limits import LIMITS
from registry.rules import Require
from registry.schema import Component, Dim, InputSpec, Positive, Rank, follows
from registry.shapes import Shape
from registry.store import register

Attenuation = Annotated[float, Field(gt=0, lt=1)]
Extents = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1, max_length=3)]
GridSize = Annotated[int, Field(strict=True, ge=2, le=2 * LIMITS.dim)]


class _Mask(Component):
    """Fields that every window has."""

    data_dim: Rank = follows("data_dim", "Number of spatial axes.")
    num_channels: Dim = follows("hidden_dim", "Channels of the kernel.")

    parameters = cost.parameters

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positions and values of one kernel; `spec` gives its taps per axis."""
        taps = Shape((1, *spec.shape))
        return (), {"grid": taps + (self.data_dim,), "x": taps + (self.num_channels,)}

    @property
    def accepts_conditioning(self) -> bool:
        """It takes positions and values and nothing else."""
        return False

    @property
    def width_order(self) -> int:
        """1 where the last channels have the widest windows at first, -1 where the first ones do."""
        return -1


class _Gaussian(_Mask):
    """Fields that every Gaussian window has."""

    paper = "Romero et al. 2022 (FlexConv, arXiv:2110.08059), eq. 4"
    rules = (
        Require(
            "not isinstance(init_extent, tuple) or len(init_extent) == data_dim",
            at="init_extent",
            code="extent-count",
            message="Expected init_extent to be one number or {data_dim}, one per axis, got {len(init_extent)}",
            hint="write one number for all axes, or a list of {data_dim}",
            why="every spatial axis has one initial extent",
        ),
        Require(
            "max_attenuation_at_limit ** (4 / (grid_size - 1) ** 2) >= min_attenuation_at_step",
            at="min_attenuation_at_step",
            when="grid_size >= 2",
            code="empty-range",
            message="Expected the narrowest window to be no wider than the widest, got min_attenuation_at_step="
            "{min_attenuation_at_step} above {max_attenuation_at_limit ** (4 / (grid_size - 1) ** 2)}",
            hint="lower min_attenuation_at_step, or raise max_attenuation_at_limit",
            why="widths are clamped between the two",
        ),
    )

    grid_size: GridSize = follows(
        "grid_size",
        "Taps per axis of the kernel on [-1, 1].",
        code="grid-size-differs",
        binding="L_cache",
        why="the convolution knows the taps of its kernel",
    )
    min_attenuation_at_step: Attenuation = Field(0.1, description="Narrowest window, one sample from the centre.")
    max_attenuation_at_limit: Attenuation = Field(0.95, description="Widest window, at distance 1.")
    init_extent: Optional[Union[Positive, Extents]] = Field(
        1.0, description="Factor on the initial widths, one for all axes or one per axis."
    )
    parametrization: Literal["direct", "log", "softplus"] = Field("direct", description="How widths are stored.")

    forward = cost.gaussian

    def input_spec(self) -> InputSpec:
        """The taps that the grid size stands for."""
        return InputSpec((self.grid_size,) * self.data_dim)


@register(
    "gaussian_modulation_nd",
    kind="mask",
    module="components.masks.module:GaussianModulationND",
    aliases=("GaussianModulationND",),
)
class GaussianModulationND(_Gaussian):
    """Gaussian window with a learned width per axis and channel, narrow to wide."""

    @property
    def width_order(self) -> int:
        """See `_Mask.width_order`."""
        return 1


@register(
    "block_aligned_gaussian_modulation_nd",
    kind="mask",
    module="components.masks.module:BlockAlignedGaussianModulationND",
    aliases=("BlockAlignedGaussianModulationND",),
)
class BlockAlignedGaussianModulationND(_Gaussian):
    """Gaussian window with a learned width per axis and channel, wide to narrow as frequencies rise."""


@register(
    "exponential_modulation_nd",
    kind="mask",
    module="components.masks.module:ExponentialModulationND",
    aliases=("ExponentialModulationND",),
)
class ExponentialModulationND(_Mask):
    """Exponential window with a learned decay rate per axis and channel."""

    paper = "Poli et al. 2023 (arXiv:2302.10866), section 3.3"

    fast_decay_pct: Positive = Field(13.81, description="Decay rate of the last channel, per unit of distance.")
    slow_decay_pct: Positive = Field(2.3, description="Decay rate of the first channel, per unit of distance.")

    forward = cost.exponential
