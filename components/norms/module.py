"""Normalisation layers.

Statistics are computed in float32, or in float64 for float64 inputs, whatever the precision of the input; the
output has the shape and the dtype of the input. Layers with the attribute `channels_first` set to True
normalise axis 1 of [B, C, *N]; all others expect channels last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _statistics_dtype(x: Tensor) -> torch.dtype:
    """At least float32: squares of half precision overflow at 256."""
    return torch.promote_types(x.dtype, torch.float32)


def _unit_weight(dim: int) -> nn.Parameter:
    """Create a learnable factor per channel: ones of shape [dim], exempt from weight decay."""
    weight = nn.Parameter(torch.ones(dim))
    weight._no_weight_decay = True  # type: ignore[attr-defined]
    return weight


def _expect_channels(x: Tensor, axis: int, dim: int) -> None:
    if x.shape[axis] != dim:
        raise ValueError(f"Expected {dim} channels on axis {axis}, got {x.shape[axis]} in shape {tuple(x.shape)}")


class RMSNorm(nn.Module):
    """Divide by the root mean square over the last axis, then scale: w * x / sqrt(mean(x^2) + eps).

    Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019), eq. 4, with eps inside the root.

    Attributes:
        weight: Factors, shape [dim], ones at first, exempt from weight decay.
    """

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        """Create the factors.

        Args:
            dim: Number of channels.
            eps: Added to the mean square.
        """
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.weight = _unit_weight(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis.

        Args:
            x: [..., dim].

        Returns:
            [..., dim], in the dtype of `x`.

        Raises:
            ValueError: If the last axis of `x` is not `dim` long.
        """
        _expect_channels(x, -1, self.dim)
        dtype = _statistics_dtype(x)
        return F.rms_norm(x.to(dtype), (self.dim,), self.weight.to(dtype), self.eps).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the arguments in `repr(module)`."""
        return f"{self.dim}, eps={self.eps}"


class RMSNormChannelFirst(nn.Module):
    """`RMSNorm` over axis 1 instead of the last.

    Attributes:
        weight: Factors, shape [dim], ones at first, exempt from weight decay.
        channels_first: True; containers use it to skip a transposition.
    """

    channels_first = True

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        """Create the factors.

        Args:
            dim: Number of channels.
            eps: Added to the mean square.
        """
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.weight = _unit_weight(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise axis 1.

        Args:
            x: [B, dim, *N], any number of trailing axes.

        Returns:
            [B, dim, *N], in the dtype of `x`.

        Raises:
            ValueError: If axis 1 of `x` is not `dim` long.
        """
        _expect_channels(x, 1, self.dim)
        high = x.to(_statistics_dtype(x))
        scale = torch.rsqrt(high.square().mean(1, keepdim=True) + self.eps)
        weight = self.weight.to(high.dtype).view(-1, *(1,) * (x.ndim - 2))
        return (high * scale * weight).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the arguments in `repr(module)`."""
        return f"{self.dim}, eps={self.eps}"


class PerHeadRMSNorm(nn.Module):
    """`RMSNorm` of every head by itself, with one set of factors shared by all heads.

    Attributes:
        norm: The `RMSNorm` of width head_dim.
    """

    def __init__(self, num_heads: int, head_dim: int, eps: float = 1e-6) -> None:
        """Create the factors.

        Args:
            num_heads: Number of heads in the last axis.
            head_dim: Channels of one head.
            eps: Added to the mean square.
        """
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.norm = RMSNorm(head_dim, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every head.

        Args:
            x: [..., num_heads * head_dim], heads one after the other.

        Returns:
            [..., num_heads * head_dim], in the dtype of `x`.

        Raises:
            ValueError: If the last axis of `x` is not num_heads * head_dim long.
        """
        _expect_channels(x, -1, self.num_heads * self.head_dim)
        heads: Tensor = self.norm(x.reshape(*x.shape[:-1], self.num_heads, self.head_dim))
        return heads.flatten(-2)


class L2Norm(nn.Module):
    """Divide by the Euclidean norm along one axis: x / max(||x||, eps). No parameters.

    Attributes:
        channels_first: Whether the axis is 1; containers use it to skip a transposition.
    """

    def __init__(self, dim: int = -1, eps: float = 1e-12) -> None:
        """Store the axis.

        Args:
            dim: The axis to normalise.
            eps: Lower bound of the norm; zero vectors stay zero.
        """
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.channels_first = dim == 1

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` [...]; shape and dtype are kept."""
        return F.normalize(x.to(_statistics_dtype(x)), dim=self.dim, eps=self.eps).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the arguments in `repr(module)`."""
        return f"dim={self.dim}, eps={self.eps}"


class GlobalResponseNorm(nn.Module):
    """Let channels compete by their energy over the whole image (Woo et al., "ConvNeXt V2", 2023).

    With g_c = ||x_c|| over all positions and n_c = g_c / (mean over channels of g + eps), the output is
    gamma x n + beta + x: the identity at first, because gamma and beta start at zero.

    Attributes:
        gamma: Gains, shape [dim].
        beta: Offsets, shape [dim].
    """

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        """Create gains and offsets.

        Args:
            dim: Number of channels.
            eps: Added to the mean energy.
        """
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.gamma = nn.Parameter(torch.zeros(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over all axes between the first and the last.

        Args:
            x: [B, *N, dim], at least one spatial axis.

        Returns:
            [B, *N, dim], in the dtype of `x`.

        Raises:
            ValueError: If `x` has no spatial axis or its last axis is not `dim` long.
        """
        if x.ndim < 3:
            raise ValueError(f"Expected an input of shape [B, *N, {self.dim}], got {tuple(x.shape)}")
        _expect_channels(x, -1, self.dim)
        dtype = _statistics_dtype(x)
        energy = torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim - 1)), keepdim=True, dtype=dtype)
        response = energy / (energy.mean(-1, keepdim=True) + self.eps)
        # x n gamma + x = x (1 + n gamma): the product of the small factors first, one pass over x less.
        scale = 1 + response * self.gamma
        out: Tensor = x * scale.to(x.dtype) + self.beta.to(x.dtype)
        return out

    def extra_repr(self) -> str:
        """Show the arguments in `repr(module)`."""
        return f"{self.dim}, eps={self.eps}"
