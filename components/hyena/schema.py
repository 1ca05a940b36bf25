"""Config of the Hyena mixer."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Optional

from components.hyena import cost
from registry.rules import Require
from registry.schema import Component, InputSpec, slot
from registry.shapes import Shape
from registry.store import register

_IS_CONV = "short_conv.entry.kind == 'conv'"
_NORMED = {"hidden_dim": "global_conv.hidden_dim"}


@register("hyena", kind="mixer", module="components.hyena.module:Hyena", aliases=("Hyena",))
class Hyena(Component):
    """Global convolution of queries, keys and values between two multiplicative gates."""

    paper = "Poli et al. 2023 (arXiv:2302.10866), definition 3.1 with order 2, in N dimensions"
    rules = (
        Require(
            "short_conv.entry.kind == 'identity' or short_conv.data_dim == global_conv.data_dim",
            at="short_conv",
            code="conv-rank",
            message="Expected short_conv to have {global_conv.data_dim} spatial axes like global_conv, "
            "got {short_conv.data_dim}",
            hint="use conv{global_conv.data_dim}d",
            why="both convolutions run over the same grid",
        ),
        Require(
            "max(tap.stride for tap in short_conv.taps()) == 1",
            at="short_conv.stride",
            when=_IS_CONV,
            code="same-size",
            message="Expected stride to be 1 in short_conv, got {short_conv.stride}",
            hint="set stride: 1",
            why="gates are multiplied position by position",
        ),
        Require(
            "all(tap.dilation * (tap.size - 1) % 2 == 0 for tap in short_conv.taps())",
            at="short_conv.kernel_size",
            when=f"{_IS_CONV} and not short_conv.keeps_extents",
            code="same-size",
            message="Expected an odd kernel_size in short_conv, got {short_conv.kernel_size}",
            hint="an odd kernel_size k with padding: (k - 1) / 2, or padding: same",
            why="gates are multiplied position by position, so that the size of the grid must stay",
        ),
        Require(
            "short_conv.keeps_extents",
            at="short_conv.padding",
            when=_IS_CONV,
            code="same-size",
            message="Expected padding to keep the size of the grid in short_conv, got {short_conv.padding} "
            "with kernel_size={short_conv.kernel_size}",
            hint="set padding: {', '.join(str(tap.dilation * (tap.size - 1) // 2) for tap in short_conv.taps())}, "
            "or padding: same",
            why="gates are multiplied position by position",
        ),
        Require(
            "short_conv.entry.kind == 'identity' or short_conv.is_causal_conv",
            at="short_conv",
            when="global_conv.is_causal and global_conv.data_dim == 1",
            code="causal-short-conv",
            message="Expected a causal short_conv beside a causal global_conv, got one that sees later positions",
            hint="use causal_conv1d",
            why="a symmetric short convolution lets every position see the ones after it",
        ),
    )

    global_conv: Component = slot("global_conv", description="Long convolution over the whole grid.")
    short_conv: Component = slot(
        "conv",
        "identity",
        gives={
            "in_features": "3 * global_conv.hidden_dim",
            "out_features": "3 * global_conv.hidden_dim",
        },
        description="Local convolution of the stacked queries, keys and values; usually depthwise.",
    )
    gate_nonlinear: Component = slot("activation", "identity", description="First gate, applied to the keys.")
    pixelhyena_norm: Component = slot("norm", "identity", gives=_NORMED, description="Of the gated product.")
    qk_norm: Optional[Component] = slot(
        "norm",
        default=None,
        gives=_NORMED,
        description="Of the queries, and of the keys where the first gate is the identity.",
    )
    output_norm: Component = slot("norm", "identity", default="identity", gives=_NORMED, description="Of the result.")
    gate_nonlinear_2: Optional[Component] = slot(
        "activation",
        "identity",
        default=None,
        description="Second gate, applied to the values; left out, it is the first.",
    )

    parameters = cost.parameters
    forward = cost.forward
    flop_count = cost.flop_count

    @property
    def norms_keys(self) -> bool:
        """Whether the keys have a norm: a gate that is no identity bounds them already."""
        return self.qk_norm is not None and self.gate_nonlinear.entry.kind == "identity"

    @cached_property
    def parts(self) -> dict[str, Component]:
        """The children in building order; `qk_norm` becomes one norm of the queries and perhaps one of the keys."""
        found = {
            "global_conv": self.global_conv,
            "short_conv": self.short_conv,
            "gate_nonlinear": self.gate_nonlinear,
            "gate_nonlinear_2": self.gate_nonlinear_2,
            "pixelhyena_norm": self.pixelhyena_norm,
            "q_norm": self.qk_norm,
            "k_norm": self.qk_norm if self.norms_keys else None,
            "output_norm": self.output_norm,
        }
        return {name: part for name, part in found.items() if part is not None}

    def module_args(self) -> dict[str, Any]:
        """Nothing but parts."""
        return {}

    def input_spec(self) -> InputSpec | None:
        """What the global convolution implies."""
        return self.global_conv.input_spec()

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Queries, keys and values of one shape, and the conditioning vector if there is one."""
        x = batch + Shape(spec.shape)
        conditioning = {"conditioning": batch + Shape(spec.condition)} if spec.condition else {}
        return (x, x, x), conditioning
