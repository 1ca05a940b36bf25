"""Configs of the weight initialisers."""

from __future__ import annotations

from pydantic import Field

from components.initializers import cost
from registry.rules import Require
from registry.schema import Component, Dim, NonNegative, Number, Positive
from registry.store import register


class _Initializer(Component):
    """A callable that overwrites one weight while the network is built; it leaves no module behind."""

    forward = cost.forward


@register(
    "trunc_normal",
    kind="initializer",
    module="components.initializers.module:TruncNormal",
    aliases=("TruncNormal", "trunc_normal_init", "trunc_normal_init_factory"),
)
class TruncNormal(_Initializer):
    """Normal distribution of mean 0, redrawn outside [-2, 2]."""

    std: Positive = Field(0.02, description="Standard deviation before truncation.")


@register("small_init", kind="initializer", module="components.initializers.module:SmallInit", aliases=("SmallInit",))
class SmallInit(_Initializer):
    """Normal distribution of standard deviation sqrt(2 / (5 width))."""

    paper = "Nguyen and Salazar 2019 (arXiv:1910.05895)"


@register(
    "wang_init",
    kind="initializer",
    module="components.initializers.module:WangInit",
    aliases=("WangInit", "partial_wang_init_fn_with_num_layers"),
)
class WangInit(_Initializer):
    """Normal distribution of standard deviation 2 / (num_layers sqrt(width))."""

    paper = "Wang and Komatsuzaki 2021, Mesh-Transformer-JAX"

    num_layers: Dim = Field(description="Number of residual layers of the network.")


@register("normal", kind="initializer", module="components.initializers.module:Normal", aliases=("Normal",))
class Normal(_Initializer):
    """Normal distribution."""

    mean: Number = 0.0
    std: NonNegative = Field(1.0, description="Standard deviation.")


@register("uniform", kind="initializer", module="components.initializers.module:Uniform", aliases=("Uniform",))
class Uniform(_Initializer):
    """Uniform distribution on [a, b]."""

    rules = (
        Require(
            "a <= b",
            at="b",
            code="empty-interval",
            message="Expected b to be at least a={a}, got {b}",
            hint="swap a and b",
            why="the interval [a, b] must not be empty",
        ),
    )

    a: Number = Field(0.0, description="Lower bound.")
    b: Number = Field(1.0, description="Upper bound.")


@register(
    "xavier_uniform",
    kind="initializer",
    module="components.initializers.module:XavierUniform",
    aliases=("XavierUniform",),
)
class XavierUniform(_Initializer):
    """Uniform distribution of variance 2 gain^2 / (fan_in + fan_out)."""

    paper = "Glorot and Bengio 2010, eq. 16"

    gain: Positive = Field(1.0, description="Factor on the standard deviation.")


@register(
    "xavier_normal", kind="initializer", module="components.initializers.module:XavierNormal", aliases=("XavierNormal",)
)
class XavierNormal(_Initializer):
    """Normal distribution of variance 2 gain^2 / (fan_in + fan_out)."""

    paper = "Glorot and Bengio 2010, eq. 12"

    gain: Positive = Field(1.0, description="Factor on the standard deviation.")


@register(
    "kaiming_uniform",
    kind="initializer",
    module="components.initializers.module:KaimingUniform",
    aliases=("KaimingUniform",),
)
class KaimingUniform(_Initializer):
    """Uniform distribution of variance 2 / ((1 + a^2) fan_in)."""

    paper = "He et al. 2015 (arXiv:1502.01852), eq. 15"

    a: Number = Field(0.0, description="Negative slope of the rectifier before the layer.")


@register(
    "kaiming_normal",
    kind="initializer",
    module="components.initializers.module:KaimingNormal",
    aliases=("KaimingNormal",),
)
class KaimingNormal(_Initializer):
    """Normal distribution of variance 2 / ((1 + a^2) fan_in)."""

    paper = "He et al. 2015 (arXiv:1502.01852), eq. 15"

    a: Number = Field(0.0, description="Negative slope of the rectifier before the layer.")


@register("orthogonal", kind="initializer", module="components.initializers.module:Orthogonal", aliases=("Orthogonal",))
class Orthogonal(_Initializer):
    """Random (semi-)orthogonal matrix."""

    paper = "Saxe et al. 2014 (arXiv:1312.6120)"

    gain: Number = Field(1.0, description="Factor on the matrix.")


@register("constant", kind="initializer", module="components.initializers.module:Constant", aliases=("Constant",))
class Constant(_Initializer):
    """The same value everywhere."""

    value: Number = Field(0.0, description="The value.")


@register("zeros", kind="initializer", module="components.initializers.module:Zeros", aliases=("Zeros",))
class Zeros(_Initializer):
    """Zero everywhere."""


@register("ones", kind="initializer", module="components.initializers.module:Ones", aliases=("Ones",))
class Ones(_Initializer):
    """One everywhere."""
