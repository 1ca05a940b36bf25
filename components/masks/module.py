"""Gaussian and exponential windows over kernel coordinates, one width per axis and channel.

Both are exp(-distance @ rate) with a distance [..., D] per tap and a rate [D, C]: one small matrix product and one
exponential per tap and channel. The positions may be any set of points, they need not form a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.functional.constraints import clamp_in_place
from components.functional.grid import full_precision
from components.functional.parameters import exempt_from_weight_decay

_PARAMETRIZATIONS = ("direct", "log", "softplus")


class GaussianModulationND(nn.Module):
    """Gaussian window exp(-1/2 sum_d (p_d / std_dc)^2) (FlexConv, eq. 4).

    The widths are bounded: at the narrowest the window falls to `min_attenuation_at_step` one sample away from the
    centre, at the widest it is still `max_attenuation_at_limit` at distance 1.

    Attributes:
        std_param: Widths, shape [data_dim, num_channels], as std ('direct'), ln std ('log') or the inverse softplus
            of std ('softplus'); exempt from weight decay. 'direct' widths are clamped in place at every forward pass.
        min_std: Smallest width, in coordinate units.
        max_std: Largest width.
    """

    def __init__(
        self,
        data_dim: int,
        num_channels: int,
        grid_size: int,
        min_attenuation_at_step: float = 0.1,
        max_attenuation_at_limit: float = 0.95,
        init_extent: float | Sequence[float] | None = 1.0,
        parametrization: str = "direct",
    ) -> None:
        """Start the widths log-spaced over channels, from the narrowest to a fall to 0.1 at distance 1.

        Args:
            data_dim: Number of axes D.
            num_channels: Channels C.
            grid_size: Taps per axis of the kernel on [-1, 1], which fixes the distance 2 / (grid_size - 1) of one
                sample.
            min_attenuation_at_step: Value of the narrowest window one sample away from the centre, in (0, 1).
            max_attenuation_at_limit: Value of the widest window at distance 1, in (0, 1).
            init_extent: Factor on the initial widths, one for all axes or one per axis; None for 1.
            parametrization: 'direct', 'log' or 'softplus'.

        Raises:
            ValueError: If an argument is out of range, or the narrowest window would be wider than the widest.
        """
        super().__init__()
        if parametrization not in _PARAMETRIZATIONS:
            raise ValueError(f"Expected a parametrization among {_PARAMETRIZATIONS}, got {parametrization!r}")
        if grid_size < 2:
            raise ValueError(f"Expected a grid_size of at least 2, got {grid_size}")
        self.parametrization = parametrization
        self.min_std = _std_at(min_attenuation_at_step, 2.0 / (grid_size - 1))
        self.max_std = _std_at(max_attenuation_at_limit, 1.0)
        if self.min_std > self.max_std:
            raise ValueError(
                f"Expected the narrowest window to be at most {self.max_std:.6g} wide, got {self.min_std:.6g}"
            )
        extents = _per_axis_extents(init_extent, data_dim)
        self.std_param = nn.Parameter(self._encode(torch.stack([self._spread(e, num_channels) for e in extents])))
        exempt_from_weight_decay(self)

    def _spread(self, extent: float, num_channels: int) -> Tensor:
        """Return the initial widths of one axis, shape [C]: log-spaced, narrowest first."""
        low, high = (
            math.log10(min(max(std * extent, self.min_std), self.max_std)) for std in (self.min_std, _std_at(0.1, 1.0))
        )
        return torch.logspace(low, high, num_channels)

    def _encode(self, std: Tensor) -> Tensor:
        if self.parametrization == "log":
            return std.log()
        return std.expm1().log() if self.parametrization == "softplus" else std

    def _std(self, dtype: torch.dtype) -> Tensor:
        """Return the widths [D, C] within their bounds, in `dtype`."""
        if self.parametrization == "direct":
            clamp_in_place(self.std_param, self.min_std, self.max_std)
            return self.std_param.to(dtype)
        decode = torch.exp if self.parametrization == "log" else F.softplus
        return decode(self.std_param.to(dtype)).clamp(self.min_std, self.max_std)

    def forward(self, grid: Tensor, x: Tensor) -> Tensor:
        """Apply the window.

        Args:
            grid: Positions, float32 or float64, shape [1 or B, *K, D].
            x: Kernel values, shape [1 or B, *K, C].

        Returns:
            Windowed values, shape and dtype of `x`.

        Raises:
            ValueError: If the positions are in lower precision, or axes or channels do not fit.
        """
        _check(grid, x, self.std_param)
        return _decay(grid.square(), self._std(grid.dtype).square().reciprocal() * -0.5, x)


class BlockAlignedGaussianModulationND(GaussianModulationND):
    """Gaussian window whose channels start widest first.

    Block-diagonal kernels order their channels from low to high frequency; wide windows belong to low ones.
    """

    def __init__(
        self,
        data_dim: int,
        num_channels: int,
        grid_size: int,
        min_attenuation_at_step: float = 0.1,
        max_attenuation_at_limit: float = 0.95,
        init_extent: float | Sequence[float] | None = 1.0,
        parametrization: str = "direct",
    ) -> None:
        """Start like `GaussianModulationND` with the order of the channels reversed.

        Args:
            data_dim: Number of axes D.
            num_channels: Channels C.
            grid_size: Taps per axis of the kernel on [-1, 1].
            min_attenuation_at_step: Value of the narrowest window one sample away from the centre, in (0, 1).
            max_attenuation_at_limit: Value of the widest window at distance 1, in (0, 1).
            init_extent: Factor on the initial widths, one for all axes or one per axis; None for 1.
            parametrization: 'direct', 'log' or 'softplus'.

        Raises:
            ValueError: As `GaussianModulationND`.
        """
        super().__init__(
            data_dim,
            num_channels,
            grid_size,
            min_attenuation_at_step,
            max_attenuation_at_limit,
            init_extent,
            parametrization,
        )
        with torch.no_grad():
            self.std_param.copy_(self.std_param.flip(-1))


class ExponentialModulationND(nn.Module):
    """Exponential window exp(-sum_d |p_d| |w_dc|) (Hyena, section 3.3).

    Attributes:
        weight: Decay rates w, shape [data_dim, num_channels]; exempt from weight decay.
    """

    def __init__(
        self,
        data_dim: int,
        num_channels: int,
        fast_decay_pct: float = 13.81,
        slow_decay_pct: float = 2.3,
    ) -> None:
        """Spread the rates evenly over channels, slowest first, divided by the number of axes.

        Args:
            data_dim: Number of axes D.
            num_channels: Channels C.
            fast_decay_pct: Rate of the last channel, per unit of distance: 13.81 falls to 1e-6 at distance 1.
            slow_decay_pct: Rate of the first channel: 2.3 falls to 0.1 at distance 1.
        """
        super().__init__()
        rates = torch.linspace(slow_decay_pct, fast_decay_pct, num_channels) / data_dim
        self.weight = nn.Parameter(rates.repeat(data_dim, 1))
        exempt_from_weight_decay(self)

    def forward(self, grid: Tensor, x: Tensor) -> Tensor:
        """Apply the window.

        Args:
            grid: Positions, float32 or float64, shape [1 or B, *K, D].
            x: Kernel values, shape [1 or B, *K, C].

        Returns:
            Windowed values, shape and dtype of `x`.

        Raises:
            ValueError: If the positions are in lower precision, or axes or channels do not fit.
        """
        _check(grid, x, self.weight)
        return _decay(grid.abs(), -self.weight.to(grid.dtype).abs(), x)


def _decay(distance: Tensor, rate: Tensor, x: Tensor) -> Tensor:
    """Return x * exp(distance @ rate): distance [1 or B, *K, D], rate [D, C], x [1 or B, *K, C]."""
    with full_precision(distance):
        window = torch.exp(distance @ rate)
    return x * window.to(x.dtype)


def _check(grid: Tensor, x: Tensor, parameter: Tensor) -> None:
    """Refuse positions [..., D] and values [..., C] that do not fit a parameter [D, C]."""
    if grid.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"Expected a grid of float32 or float64, got {grid.dtype}")
    if (grid.shape[-1], x.shape[-1]) != tuple(parameter.shape):
        raise ValueError(
            f"Expected a grid of {parameter.shape[0]} axes and values of {parameter.shape[1]} channels, "
            f"got {grid.shape[-1]} and {x.shape[-1]}"
        )


def _std_at(attenuation: float, position: float) -> float:
    """Return the width of the Gaussian that has fallen to `attenuation` at `position`."""
    if not 0.0 < attenuation < 1.0:
        raise ValueError(f"Expected an attenuation between 0 and 1, got {attenuation}")
    return position * math.sqrt(-1.0 / (2.0 * math.log(attenuation)))


def _per_axis_extents(init_extent: float | Sequence[float] | None, data_dim: int) -> list[float]:
    if init_extent is None or isinstance(init_extent, (int, float)):
        extents = [1.0 if init_extent is None else float(init_extent)] * data_dim
    else:
        extents = [float(extent) for extent in init_extent]
    if len(extents) != data_dim or not all(math.isfinite(e) and e > 0 for e in extents):
        raise ValueError(f"Expected init_extent of {data_dim} positive numbers, got {init_extent}")
    return extents
