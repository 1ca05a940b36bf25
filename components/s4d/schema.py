"""Configs of the S4D kernel, layer and bare mixer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Optional

from pydantic import Field

from components.functional.ssm_config import KernelConfig, LayerConfig, even_state, step_range
from components.s4d import cost
from registry.rules import Require
from registry.schema import Component, Dim, Positive, follows
from registry.shapes import Shape
from registry.store import register

Discretisation = Literal["zoh", "bilinear", "dss"]
_NORMALISED = Require(
    "l_max is not None",
    at="l_max",
    when="disc == 'dss'",
    code="dss-length",
    message="Expected l_max with disc 'dss', got none",
    hint="set l_max to the length of the sequences",
    why="DSS divides by the sum of the powers of A up to that length",
)


@register("s4d_kernel", kind="ssm_kernel", module="components.s4d.module:S4DKernel", aliases=("S4DKernel",))
class S4DKernel(KernelConfig):
    """Convolution kernel of a state space with a diagonal state matrix."""

    paper = "Gu, Gupta, Goel and Re 2022 (arXiv:2206.11893), section 3; dss: arXiv:2203.14343, eq. 6"
    rules = (*KernelConfig.rules, _NORMALISED)

    disc: Discretisation = Field("zoh", description="Discretisation.")
    bandlimit: Optional[Positive] = Field(None, description="Silence states above half this share of the rate.")

    discretize = cost.discretize
    transition = cost.transition
    response = cost.response
    final_state = cost.final_state


@register("s4d", kind="sequence_mixer", module="components.s4d.module:S4D", aliases=("S4D",))
class S4D(LayerConfig):
    """Sequence layer around a diagonal state space."""

    paper = "Gu, Gupta, Goel and Re 2022 (arXiv:2206.11893)"
    rules = (*LayerConfig.rules, _NORMALISED)
    kernel_schema: ClassVar[type[KernelConfig]] = S4DKernel

    disc: Discretisation = Field("zoh", description="Discretisation.")
    bandlimit: Optional[Positive] = Field(None, description="Silence states above half this share of the rate.")


@register(
    "s4d_sequence_mixer",
    kind="sequence_mixer",
    module="components.s4d.module:S4DSequenceMixer",
    aliases=("S4DSequenceMixer",),
)
class S4DSequenceMixer(Component):
    """Convolution with an S4D kernel and nothing else."""

    paper = "Gu, Gupta, Goel and Re 2022 (arXiv:2206.11893), listing 1"
    rules = (
        even_state("state_dim"),
        *step_range(),
        *(rule for rule in LayerConfig.rules if rule.code in ("sequence-rank", "transposed")),
    )

    in_features: Dim = follows("hidden_dim", "Features.")
    state_dim: Dim = Field(64, description="Real states per feature, even; half as many complex ones are stored.")
    transposed: bool = Field(False, description="Read and write (batch, features, length).")
    dt_min: Positive = Field(0.001, description="Smallest initial step.")
    dt_max: Positive = Field(0.1, description="Largest initial step.")

    parameters = cost.mixer_parameters
    forward = cost.mixer_forward
    step = cost.mixer_step

    @property
    def stored_states(self) -> int:
        """Complex states per feature: one of each conjugate pair."""
        return self.state_dim // 2

    def state_shape(self, batch: Shape) -> Shape:
        """Shape of the recurrent state, complex."""
        return batch + (self.in_features, self.stored_states)

    def state(self) -> Mapping[str, tuple[int, ...]]:
        """Recurrent state of one sequence: name -> shape, of complex numbers."""
        return {"state": self.state_shape(Shape(()))}
