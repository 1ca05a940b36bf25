"""Config of the MLP."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional

from pydantic import Field

from components.mlp import cost
from registry.rules import Require
from registry.schema import Component, Dim, InputSpec, follows, slot
from registry.store import register


@register("mlp", kind="channel_mixer", module="components.mlp.module:MLP", aliases=("MLP",))
class MLP(Component):
    """Two-layer perceptron applied to every position by itself."""

    paper = "Vaswani et al. 2017, eq. 2; gated activations: Shazeer 2020 (arXiv:2002.05202)"
    rules = (
        Require(
            "int(dim * expansion_factor) >= 1",
            at="expansion_factor",
            code="empty-layer",
            message="Expected a hidden width of at least 1, got {dim} x {expansion_factor} = {dim * expansion_factor}",
            hint="try expansion_factor: {ceil(1 / dim * 1000) / 1000}",
            why="the hidden width is dim x expansion_factor, rounded down",
        ),
    )

    dim: Dim = follows("hidden_dim", "Width of the tokens.")
    activation: Literal["relu", "gelu", "silu", "glu", "swiglu"]
    dropout: Component = slot("dropout", "identity", default="identity", description="Between activation and layer 2.")
    expansion_factor: Annotated[float, Field(gt=0, le=1024)] = 2.0
    bias: bool = False
    backend: Literal["torch"] = Field("torch", description="The one backend there is.")
    init_method_in: Optional[Component] = slot("initializer", default=None, description="Of layer 1's weight.")
    init_method_out: Optional[Component] = slot("initializer", default=None, description="Of layer 2's weight.")

    parameters = cost.parameters
    forward = cost.forward
    flop_count = cost.flop_count

    def module_args(self) -> dict[str, Any]:
        """The fields, without the backend."""
        return {name: value for name, value in super().module_args().items() if name != "backend"}

    @property
    def gated(self) -> bool:
        """Whether the activation multiplies one half of layer 1's output into the other."""
        return self.activation in ("glu", "swiglu")

    @property
    def hidden_dim(self) -> int:
        """Width between the layers: floor(dim x expansion_factor)."""
        return int(self.dim * self.expansion_factor)

    @property
    def inner_dim(self) -> int:
        """Output width of layer 1."""
        return self.hidden_dim * (2 if self.gated else 1)

    def input_spec(self) -> InputSpec:
        """One token."""
        return InputSpec((self.dim,))
