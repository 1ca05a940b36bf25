"""Scaling and dropping of residual branches.

Sources: LayerScale is section 2 of Touvron et al., "Going deeper with Image Transformers" (2021); stochastic
depth per sample is Huang et al., "Deep Networks with Stochastic Depth" (2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerScale(nn.Module):
    """Multiply every channel by a learnable factor that starts near zero.

    Attributes:
        gamma: The factors, shape [dim], exempt from weight decay.
    """

    def __init__(self, dim: int, init_value: float = 1e-4) -> None:
        """Create the factors.

        Args:
            dim: Number of channels.
            init_value: Initial value of every factor.
        """
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init_value)))
        self.gamma._no_weight_decay = True  # type: ignore[attr-defined]

    def forward(self, x: Tensor) -> Tensor:
        """Scale `x` [..., dim] channel by channel; the shape is kept."""
        return x * self.gamma


class DropPath(nn.Module):
    """Drop the whole branch of a random sample, while training only (stochastic depth).

    Surviving samples are divided by the survival probability, so the expectation is unchanged.
    """

    def __init__(self, drop_prob: float = 0.0) -> None:
        """Store the probability.

        Args:
            drop_prob: Probability of dropping a sample, between 0 and 1.

        Raises:
            ValueError: If the probability is outside [0, 1].
        """
        super().__init__()
        if not 0.0 <= drop_prob <= 1.0:
            raise ValueError(f"Expected drop_prob between 0 and 1, got {drop_prob}")
        self.drop_prob = float(drop_prob)

    def forward(self, x: Tensor) -> Tensor:
        """Drop samples of `x` [B, ...]; the shape is kept."""
        if not self.training or self.drop_prob == 0.0:
            return x
        keep = 1.0 - self.drop_prob
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        if keep > 0.0:
            mask = mask.div_(keep)
        return x * mask

    def extra_repr(self) -> str:
        """Show the probability in `repr(module)`."""
        return f"drop_prob={self.drop_prob}"
