"""A rule that components with channels-last tokens share."""

from __future__ import annotations

from registry.rules import Require


def channels_last(norm: str) -> Require:
    """The norm in slot `norm` must be one of channels-last tokens [B, *N, C]."""
    return Require(
        f"not {norm}.channels_first",
        at=norm,
        when=f"{norm} is not None and {norm}.entry.kind == 'norm'",
        code="channels-first",
        message=f"Expected a norm of channels-last tokens as {norm}, got {{{norm}.entry.name}} over axis 1",
        hint="rms_norm, layer_norm, and l2_norm with dim: -1 take channels last",
        why="tokens arrive as (batch, ..., channels), so that axis 1 is no channel axis",
    )
