"""Configs of the register read-outs."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from components.registers import cost
from registry.schema import Component, Dim, InputSpec, follows
from registry.store import register


@register(
    "register_pooling",
    kind="register_readout",
    module="components.registers.module:RegisterPooling",
    aliases=("RegisterPooling",),
)
class RegisterPooling(Component):
    """Average of the registers under learned weights."""

    paper = "Darcet et al. 2024 (arXiv:2309.16588)"

    num_registers: Dim = follows("num_registers", "Number of register tokens.")

    parameters = cost.pooling_parameters
    forward = cost.pooling
    flop_count = cost.pooling_flop_count

    @property
    def out_dim(self) -> Optional[int]:
        """Width of the result, where it is not the width of the tokens: never."""
        return None


@register(
    "register_compress_concat",
    kind="register_readout",
    module="components.registers.module:RegisterCompressConcat",
    aliases=("RegisterCompressConcat",),
)
class RegisterCompressConcat(Component):
    """Compress every register with one shared matrix and lay the results side by side."""

    paper = "Wang et al. 2024 (arXiv:2405.14858), Mamba-Reg"

    num_registers: Dim = follows("num_registers", "Number of register tokens.")
    hidden_dim: Dim = follows("hidden_dim", "Width of the tokens.")
    compressed_dim: Dim = Field(description="Width of a compressed register.")

    parameters = cost.concat_parameters
    forward = cost.concat
    flop_count = cost.concat_flop_count

    @property
    def out_dim(self) -> int:
        """Width of the result: num_registers x compressed_dim."""
        return self.num_registers * self.compressed_dim

    def input_spec(self) -> InputSpec:
        """The registers of one sample."""
        return InputSpec((self.num_registers, self.hidden_dim))
