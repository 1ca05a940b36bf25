"""Shapes, parameters and operations of the normalisation layers. n: elements, r: things normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.norms.schema import (
        GlobalResponseNorm,
        GroupNorm,
        L2Norm,
        LayerNorm,
        PerHeadRMSNorm,
        RMSNorm,
        RMSNormChannelFirst,
    )


def rms_norm_parameters(norm: Union[RMSNorm, RMSNormChannelFirst]) -> dict[str, tuple[int, ...]]:
    """One factor per channel."""
    return {"weight": (norm.dim,)}


def rms_norm(norm: RMSNorm, tape: Tape, x: Shape) -> Shape:
    """(*, dim) -> (*, dim)."""
    tape.require_width(x, norm.dim)
    return _rms_norm(tape, x, norm.dim)


def _rms_norm(tape: Tape, x: Shape, channels: int) -> Shape:
    """RMS norms of `channels` elements each, in float32 at least."""
    return tape.rounded(tape.rms_norm(tape.precise(x), x.size // channels, channels))


def rms_norm_channel_first(norm: RMSNormChannelFirst, tape: Tape, x: Shape) -> Shape:
    """(B, dim, *N) -> (B, dim, *N)."""
    tape.require_width(x.view(*x[:2]), norm.dim)
    return _rms_norm(tape, x, norm.dim)


def per_head_rms_norm_parameters(norm: PerHeadRMSNorm) -> dict[str, tuple[int, ...]]:
    """One factor per channel of a head."""
    return {"norm.weight": (norm.head_dim,)}


def per_head_rms_norm(norm: PerHeadRMSNorm, tape: Tape, x: Shape) -> Shape:
    """(*, num_heads head_dim) -> (*, num_heads head_dim)."""
    tape.require_width(x, norm.dim)
    return _rms_norm(tape, x, norm.head_dim)


def rms_norm_flop_count(norm: object, tape: Tape, x: Shape) -> None:
    """As in nvsubquadratic 0.2.0: 3 T dim, for all RMS norms."""
    tape.published(3 * x.size)


def l2_norm(norm: L2Norm, tape: Tape, x: Shape) -> Shape:
    """(*) -> (*): norm 2 n, lower bound r, quotient n."""
    if not -len(x) <= norm.dim < len(x):
        raise ValueError(f"Expected {len(x)} axes to include axis {norm.dim}, got shape {x.labels}")
    return tape.rounded(tape.normalise(tape.precise(x), norm.dim))


def global_response_norm_parameters(norm: GlobalResponseNorm) -> dict[str, tuple[int, ...]]:
    """A gain and an offset per channel."""
    return {"gamma": (norm.dim,), "beta": (norm.dim,)}


def global_response_norm(norm: GlobalResponseNorm, tape: Tape, x: Shape) -> Shape:
    """(B, *N, dim) -> (B, *N, dim)."""
    tape.require_width(x, norm.dim)
    if len(x) < 3:
        raise ValueError(f"Expected an input (B, *N, {norm.dim}), got shape {x.labels}")
    energies = tape.fan_out(tape.norm(tape.fan_out(x), x.view(x[0], *(1,) * (len(x) - 2), norm.dim)))
    mean = tape.mean(energies, energies.view(*energies[:-1], 1))
    response = tape.divide(energies, tape.pointwise("shift", mean))
    channels = Shape((norm.dim,))
    scale = tape.rounded(tape.pointwise("shift", tape.multiply(response, channels)))
    return tape.plus(tape.multiply(x, scale), channels)


def global_response_norm_flop_count(norm: GlobalResponseNorm, tape: Tape, x: Shape) -> None:
    """As in nvsubquadratic 0.2.0: 6 T dim."""
    tape.published(6 * x.size)


def layer_norm_parameters(norm: LayerNorm) -> dict[str, tuple[int, ...]]:
    """A scale and a shift per channel, as asked for."""
    names = ("weight", "bias")[: norm.elementwise_affine * (1 + norm.bias)]
    return dict.fromkeys(names, (norm.normalized_shape,))


def layer_norm(norm: LayerNorm, tape: Tape, x: Shape) -> Shape:
    """(*, width) -> (*, width)."""
    tape.require_width(x, norm.normalized_shape)
    width = norm.normalized_shape
    return tape.centred_norm(x, x.size // width, width, len(norm.parameters()))


def group_norm_parameters(norm: GroupNorm) -> dict[str, tuple[int, ...]]:
    """A scale and a shift per channel, if asked for."""
    return {name: (norm.num_channels,) for name in ("weight", "bias") if norm.affine}


def group_norm(norm: GroupNorm, tape: Tape, x: Shape) -> Shape:
    """(B, num_channels, *N) -> (B, num_channels, *N)."""
    tape.require_width(x.view(*x[:2]), norm.num_channels)
    groups = x[0] * norm.num_groups
    return tape.centred_norm(x, groups, norm.num_channels, len(norm.parameters()), channels_first=True)
