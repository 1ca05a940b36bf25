"""Config of the pre-norm residual block."""

from __future__ import annotations

from typing import Any, Optional

from components.functional.channels import channels_last
from components.residual import cost
from registry.rules import Require
from registry.schema import Component, InputSpec, slot
from registry.shapes import Shape
from registry.store import register


def _unused_norm(branch: str, norm: str) -> Require:
    return Require(
        f"{norm}.entry.kind == 'identity'",
        at=norm,
        code="unused-norm",
        when=f"{branch}.entry.kind == 'identity'",
        message=f"Expected {norm} to be identity where {branch} is, got {{{norm}.entry.name}}",
        hint=f"leave {norm} out, or give {branch}",
        why="a branch without a body is skipped, and its norm with it",
    )


@register("residual_block", kind="block", module="components.residual.module:ResidualBlock", aliases=("ResidualBlock",))
class ResidualBlock(Component):
    """Three residual branches with a norm before each: positions, condition, channels."""

    paper = "Xiong et al. 2020 (arXiv:2002.04745), pre-norm; Vaswani et al. 2017 (arXiv:1706.03762), section 3.1"
    rules = (
        *(channels_last(norm) for norm in ("sequence_mixer_norm", "condition_mixer_norm", "mlp_norm")),
        _unused_norm("sequence_mixer", "sequence_mixer_norm"),
        _unused_norm("condition_mixer", "condition_mixer_norm"),
        _unused_norm("mlp", "mlp_norm"),
        Require(
            "not sequence_mixer.takes_conditioning",
            at="sequence_mixer",
            code="unused-conditioning",
            message="Expected a sequence mixer without conditioning in residual_block, got one that is conditioned",
            hint="leave the film of its kernel out, or use adaln_zero_residual_block",
            why="the block hands the condition to its condition mixer only",
        ),
    )

    sequence_mixer: Component = slot("sequence_mixer", "identity")
    sequence_mixer_norm: Component = slot("norm", "identity", at="input_norm")
    condition_mixer: Component = slot("condition_mixer", "identity", default="identity")
    condition_mixer_norm: Component = slot("norm", "identity", default="identity")
    mlp: Component = slot("channel_mixer", "identity")
    mlp_norm: Component = slot("norm", "identity")
    dropout: Component = slot("dropout", "identity", default="identity", description="Ends every branch.")

    forward = cost.forward

    @property
    def takes_conditioning(self) -> bool:
        """Only the condition mixer makes use of a condition."""
        return self.condition_mixer.entry.kind != "identity"

    @property
    def condition_dim(self) -> Optional[int]:
        """What its condition mixer needs."""
        return self.condition_mixer.condition_dim

    def input_spec(self) -> Optional[InputSpec]:
        """What the sequence mixer takes, else one token; None where a condition of unknown shape is needed."""
        if self.takes_conditioning:
            return None
        spec = self.sequence_mixer.input_spec()
        if spec is None and self.sequence_mixer.entry.kind == "identity":
            token = self.mlp.input_spec()
            spec = InputSpec((1, *token.shape)) if token else None
        return spec

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The tokens and the condition, if there is one."""
        return (batch + spec.shape, batch + spec.condition if spec.condition else None), {}
