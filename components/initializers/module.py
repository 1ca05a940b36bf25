"""Weight initialisers as small immutable callables.

Every initialiser is called as `init(weight, dim)`: it overwrites `weight`, of any shape it supports, in place
and outside autograd. `dim` is the width the layer that owns the weight hands over; only `SmallInit` and
`WangInit` use it, the others take what they need from the shape of the weight. They hold no tensors, compare
by value, and can be pickled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn


def _expect_at_least_zero(name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"Expected {name} to be at least 0, got {value}")


@dataclass(frozen=True)
class TruncNormal:
    """Normal distribution of mean 0, redrawn outside [-2, 2].

    The bounds are absolute, not multiples of `std`: at the usual 0.02 they are a hundred standard deviations
    away.

    Attributes:
        std: Standard deviation before truncation, at least 0.

    Raises:
        ValueError: If `std` is negative.
    """

    std: float = 0.02

    def __post_init__(self) -> None:
        """Check the standard deviation."""
        _expect_at_least_zero("std", self.std)

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...]; `dim` is unused."""
        nn.init.trunc_normal_(weight, std=self.std)


@dataclass(frozen=True)
class SmallInit:
    """Normal distribution of standard deviation sqrt(2 / (5 dim)) (Nguyen and Salazar, 2019)."""

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...] of a layer of width `dim`."""
        nn.init.normal_(weight, std=math.sqrt(2 / (5 * dim)))


@dataclass(frozen=True)
class WangInit:
    """Normal distribution of standard deviation 2 / (num_layers sqrt(dim)) (Wang and Komatsuzaki, 2021).

    Attributes:
        num_layers: Number of residual layers of the network, at least 1.

    Raises:
        ValueError: If `num_layers` is below 1.
    """

    num_layers: int

    def __post_init__(self) -> None:
        """Check the number of layers."""
        if self.num_layers < 1:
            raise ValueError(f"Expected num_layers to be at least 1, got {self.num_layers}")

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...] of a layer of width `dim`."""
        nn.init.normal_(weight, std=2 / (self.num_layers * math.sqrt(dim)))


@dataclass(frozen=True)
class Normal:
    """Normal distribution.

    Attributes:
        mean: Mean.
        std: Standard deviation, at least 0.

    Raises:
        ValueError: If `std` is negative.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        """Check the standard deviation."""
        _expect_at_least_zero("std", self.std)

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...]; `dim` is unused."""
        nn.init.normal_(weight, self.mean, self.std)


@dataclass(frozen=True)
class Uniform:
    """Uniform distribution on [a, b].

    Attributes:
        a: Lower bound.
        b: Upper bound, at least `a`.

    Raises:
        ValueError: If `b` is below `a`.
    """

    a: float = 0.0
    b: float = 1.0

    def __post_init__(self) -> None:
        """Check that the interval is not empty."""
        if not self.a <= self.b:
            raise ValueError(f"Expected a <= b, got a={self.a} and b={self.b}")

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...]; `dim` is unused."""
        nn.init.uniform_(weight, self.a, self.b)


@dataclass(frozen=True)
class XavierUniform:
    """Uniform distribution of variance 2 gain^2 / (fan_in + fan_out) (Glorot and Bengio, 2010, eq. 16).

    Attributes:
        gain: Factor on the standard deviation.
    """

    gain: float = 1.0

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [out, in, ...] of at least two axes; `dim` is unused."""
        nn.init.xavier_uniform_(weight, self.gain)


@dataclass(frozen=True)
class XavierNormal:
    """Normal distribution of variance 2 gain^2 / (fan_in + fan_out) (Glorot and Bengio, 2010, eq. 12).

    Attributes:
        gain: Factor on the standard deviation.
    """

    gain: float = 1.0

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [out, in, ...] of at least two axes; `dim` is unused."""
        nn.init.xavier_normal_(weight, self.gain)


@dataclass(frozen=True)
class KaimingUniform:
    """Uniform distribution of variance 2 / ((1 + a^2) fan_in) (He et al., 2015, eq. 15).

    Attributes:
        a: Negative slope of the leaky ReLU that precedes the layer; 0 for ReLU.
    """

    a: float = 0.0

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [out, in, ...] of at least two axes; `dim` is unused."""
        nn.init.kaiming_uniform_(weight, self.a)


@dataclass(frozen=True)
class KaimingNormal:
    """Normal distribution of variance 2 / ((1 + a^2) fan_in) (He et al., 2015, eq. 15).

    Attributes:
        a: Negative slope of the leaky ReLU that precedes the layer; 0 for ReLU.
    """

    a: float = 0.0

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [out, in, ...] of at least two axes; `dim` is unused."""
        nn.init.kaiming_normal_(weight, self.a)


@dataclass(frozen=True)
class Orthogonal:
    """Random (semi-)orthogonal matrix, trailing axes flattened (Saxe et al., 2014).

    Attributes:
        gain: Factor on the matrix.
    """

    gain: float = 1.0

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [out, in, ...] of at least two axes; `dim` is unused."""
        nn.init.orthogonal_(weight, self.gain)


@dataclass(frozen=True)
class Constant:
    """The same value everywhere.

    Attributes:
        value: The value.
    """

    value: float = 0.0

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...]; `dim` is unused."""
        nn.init.constant_(weight, self.value)


@dataclass(frozen=True)
class Zeros:
    """Zero everywhere."""

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...]; `dim` is unused."""
        nn.init.zeros_(weight)


@dataclass(frozen=True)
class Ones:
    """One everywhere."""

    def __call__(self, weight: Tensor, dim: int) -> None:
        """Overwrite `weight` [...]; `dim` is unused."""
        nn.init.ones_(weight)
