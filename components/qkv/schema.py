"""Configs of the projections around a mixer."""

from __future__ import annotations

from typing import Any, Optional

from components.qkv import cost
from registry.schema import Component, Dim, InputSpec, follows, slot
from registry.shapes import Shape
from registry.store import register


@register(
    "qkv_sequence_mixer",
    kind="sequence_mixer",
    module="components.qkv.module:QKVSequenceMixer",
    aliases=("QKVSequenceMixer",),
)
class QKVSequenceMixer(Component):
    """Project the tokens to query, key and value, mix, project back."""

    paper = "Vaswani et al. 2017 (arXiv:1706.03762), section 3.2.2"

    hidden_dim: Dim = follows("hidden_dim", "Width of the tokens.")
    mixer: Component = slot("mixer", gives={"hidden_dim": "hidden_dim"}, description="Mixes query, key and value.")
    qkv_bias: bool = False
    out_proj_bias: bool = False
    init_method_in: Optional[Component] = slot("initializer", default=None, description="Of the qkv weight.")
    init_method_out: Optional[Component] = slot("initializer", default=None, description="Of the output weight.")

    parameters = cost.sequence_parameters
    forward = cost.sequence
    flop_count = cost.sequence_flop_count

    @property
    def accepts_conditioning(self) -> bool:
        """A condition goes to the mixer."""
        return self.mixer.accepts_conditioning

    def input_spec(self) -> Optional[InputSpec]:
        """What the mixer takes as a query."""
        return self.mixer.input_spec()

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The tokens, and a condition if there is one."""
        condition = {"conditioning": batch + spec.condition} if spec.condition else {}
        return (batch + spec.shape,), condition


@register(
    "qkv_condition_mixer",
    kind="condition_mixer",
    module="components.qkv.module:QKVConditionMixer",
    aliases=("QKVConditionMixer",),
)
class QKVConditionMixer(Component):
    """Project the tokens to queries and a condition to keys and values, mix, project back."""

    paper = "Vaswani et al. 2017 (arXiv:1706.03762), section 3.2.3"

    hidden_dim: Dim = follows("hidden_dim", "Width of the tokens and of the condition.")
    mixer: Component = slot(
        "mixer", gives={"hidden_dim": "hidden_dim", "seq_shape": "None"}, description="Mixes query, key and value."
    )
    init_method_in: Optional[Component] = slot("initializer", default=None, description="Of the q and kv weights.")
    init_method_out: Optional[Component] = slot("initializer", default=None, description="Of the output weight.")

    parameters = cost.condition_parameters
    forward = cost.condition

    @property
    def takes_conditioning(self) -> bool:
        """Keys and values come from the condition."""
        return True

    @property
    def condition_dim(self) -> int:
        """The condition is as wide as the tokens."""
        return self.hidden_dim

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The tokens and the condition.

        Raises:
            ValueError: no condition is given.
        """
        if spec.condition is None:
            raise ValueError("Expected input.condition to say what the tokens are mixed with, got none")
        return (batch + spec.shape, batch + spec.condition), {}
