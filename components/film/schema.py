"""Config of the FiLM generator."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, Field

from components.film import cost
from registry.schema import Component, Dim, InputSpec, NonNegative, follows
from registry.store import register


def _whole_number_to_bool(value: Any) -> Any:
    """The reference reads 0 and 1 as no and yes, and only numbers with a point as a weight decay."""
    return bool(value) if isinstance(value, int) else value


@register(
    "kernel_film_generator",
    kind="film",
    module="components.film.module:KernelFiLMGenerator",
    aliases=("KernelFiLMGenerator",),
)
class KernelFiLMGenerator(Component):
    """Predict a scale and a shift for every layer of a kernel network from a conditioning vector."""

    paper = "Perez et al. 2018 (arXiv:1709.07871), eq. 2"

    cond_dim: Dim = follows("cond_dim", "Width of the conditioning vector.")
    kernel_hidden_dim: Dim = follows("kernel_hidden_dim", "Width of the modulated layers.")
    num_film_layers: Dim = follows("num_film_layers", "Number of modulated layers.")
    film_hidden_dim: Dim = Field(64, description="Width of the hidden layer.")
    no_weight_decay: Annotated[Union[bool, NonNegative], BeforeValidator(_whole_number_to_bool)] = Field(
        False, description="true: weights without weight decay; a number with a point: their weight decay."
    )
    init_type: Literal["identity", "small_random"] = Field("identity", description="Last weight: zero, or nearly so.")
    init_std: NonNegative = Field(1e-4, description="Standard deviation of small_random.")

    parameters = cost.parameters
    forward = cost.forward
    flop_count = cost.flop_count

    @property
    def out_features(self) -> int:
        """Number of scales and shifts."""
        return 2 * self.num_film_layers * self.kernel_hidden_dim

    @property
    def takes_conditioning(self) -> bool:
        """A conditioning vector is all it takes."""
        return True

    def input_spec(self) -> InputSpec:
        """One conditioning vector."""
        return InputSpec((self.cond_dim,))
