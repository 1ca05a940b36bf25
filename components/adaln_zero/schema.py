"""Config of the AdaLN-Zero block."""

from __future__ import annotations

from typing import Any, Optional

from components.adaln_zero import cost
from components.functional.channels import channels_last
from registry.rules import Require
from registry.schema import Component, Dim, InputSpec, follows, slot
from registry.shapes import Shape
from registry.store import register

WIDTH = {"hidden_dim": "hidden_dim"}


@register(
    "adaln_zero_residual_block",
    kind="block",
    module="components.adaln_zero.module:AdaLNZeroResidualBlock",
    aliases=("AdaLNZeroResidualBlock",),
)
class AdaLNZeroResidualBlock(Component):
    """Two residual branches, shifted, scaled and gated by a condition; the identity at first."""

    paper = "Peebles and Xie 2023 (arXiv:2212.09748), section 3.2"
    rules = (
        *(channels_last(norm) for norm in ("sequence_mixer_norm", "mlp_norm")),
        Require(
            "sequence_mixer.accepts_conditioning",
            at="sequence_mixer",
            code="conditioning-not-accepted",
            message="Expected a sequence mixer that takes a conditioning vector, got one that does not",
            hint="use a hyena mixer: its forward takes the condition, with or without film in its kernel",
            why="the block hands the pooled condition to its sequence mixer",
        ),
    )

    sequence_mixer: Component = slot("sequence_mixer", gives={**WIDTH, "cond_dim": "hidden_dim"})
    sequence_mixer_norm: Component = slot("norm", "identity", at="sequence_norm", gives=WIDTH)
    mlp: Component = slot("channel_mixer", "identity", gives=WIDTH)
    mlp_norm: Component = slot("norm", "identity", gives=WIDTH)
    condition_norm: Component = slot("norm", "identity", default="identity", gives=WIDTH)
    dropout: Component = slot("dropout", "identity", default="identity", description="Ends both branches.")
    hidden_dim: Dim = follows("hidden_dim", "Width of the tokens and of the condition.")

    parameters = cost.parameters
    forward = cost.forward

    @property
    def takes_conditioning(self) -> bool:
        """Shifts, scales and gates come from the condition."""
        return True

    @property
    def condition_dim(self) -> int:
        """The condition is as wide as the tokens."""
        return self.hidden_dim

    def input_spec(self) -> Optional[InputSpec]:
        """What the sequence mixer takes, and one conditioning vector."""
        spec = self.sequence_mixer.input_spec()
        return InputSpec(spec.shape, (self.hidden_dim,)) if spec else None

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The tokens and the condition.

        Raises:
            ValueError: no condition is given.
        """
        if spec.condition is None:
            raise ValueError(f"Expected input.condition, such as [{self.hidden_dim}], got none")
        return (batch + spec.shape, batch + spec.condition), {}
