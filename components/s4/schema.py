"""Configs of the S4 kernel and layer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from components.functional.ssm_config import KernelConfig, LayerConfig
from components.s4 import cost
from registry.store import register


@register("s4_kernel", kind="ssm_kernel", module="components.s4.module:S4Kernel", aliases=("S4Kernel",))
class S4Kernel(KernelConfig):
    """Convolution kernel of a state space with a diagonal plus low-rank state matrix."""

    paper = "Gu, Goel and Re 2022 (arXiv:2111.00396), section 3"
    low_rank: ClassVar[bool] = True

    disc: Literal["bilinear"] = Field("bilinear", description="Discretisation.")

    discretize = cost.discretize
    transition = cost.transition
    response = cost.response
    final_state = cost.final_state


@register("s4", kind="sequence_mixer", module="components.s4.module:S4", aliases=("S4",))
class S4(LayerConfig):
    """Sequence layer around a diagonal plus low-rank state space."""

    paper = "Gu, Goel and Re 2022 (arXiv:2111.00396), section 3.4"
    low_rank: ClassVar[bool] = True
    kernel_schema: ClassVar[type[KernelConfig]] = S4Kernel

    disc: Literal["bilinear"] = Field("bilinear", description="Discretisation.")
