"""What the normalisation layers must accept and refuse."""

from __future__ import annotations

import random

from registry.cases import Case, Invalid, width

CASES = (
    Case({"type": "rms_norm", "dim": 6}, shape=(5, 6), params=6, source="nvsubquadratic 0.2.0: RMSNorm(6)"),
    Case({"type": "RMSNorm", "dim": 6, "eps": 1e-5, "use_quack": False}),
    Case({"type": "rms_norm_channel_first", "dim": 6}, shape=(6, 5, 4), params=6),
    Case({"type": "RMSNormChannelFirst", "dim": 6, "eps": 0}),
    Case(
        {"type": "per_head_rms_norm", "num_heads": 2, "head_dim": 3},
        shape=(5, 6),
        params=3,
        source="nvsubquadratic 0.2.0: PerHeadRMSNorm(2, 3)",
    ),
    Case({"type": "PerHeadRMSNorm", "num_heads": 1, "head_dim": 3, "eps": 1e-5}),
    Case({"type": "l2_norm"}, shape=(5, 6), params=0),
    Case({"type": "L2Norm", "dim": 1, "eps": 1e-6}, shape=(6, 5, 4)),
    Case(
        {"type": "global_response_norm", "dim": 6},
        shape=(5, 6),
        params=12,
        source="nvsubquadratic 0.2.0: GlobalResponseNorm(6)",
    ),
    Case({"type": "GlobalResponseNorm", "dim": 6, "eps": 1e-4}, shape=(3, 4, 6)),
    Case({"type": "layer_norm", "normalized_shape": 6}, shape=(5, 6), params=12),
    Case({"type": "LayerNorm", "normalized_shape": 6, "eps": 1e-6, "bias": False}, params=6),
    Case({"type": "layer_norm", "normalized_shape": 6, "elementwise_affine": False}, params=0),
    Case({"type": "group_norm", "num_groups": 2, "num_channels": 6}, shape=(6, 5, 4), params=12),
    Case({"type": "GroupNorm", "num_groups": 3, "num_channels": 6, "eps": 1e-6, "affine": False}, params=0),
)

INVALID = (
    Invalid({"type": "rms_norm"}, "missing-field", "dim"),
    Invalid({"type": "rms_norm", "dim": 6, "eps": -1e-6}, "bad-value", "eps"),
    Invalid({"type": "rms_norm", "dim": 6.0}, "bad-value", "dim"),
    Invalid({"type": "rms_norm", "dim": 6, "input": {"shape": [5, 1]}}, "shape", "input.shape", "width 6"),
    Invalid({"type": "rms_norm_channel_first", "dim": 0}, "bad-value", "dim"),
    Invalid({"type": "rms_norm_channel_first", "dim": 6, "input": {"shape": [5, 6]}}, "shape", "input.shape"),
    Invalid({"type": "per_head_rms_norm", "num_heads": 0, "head_dim": 3}, "bad-value", "num_heads"),
    Invalid({"type": "per_head_rms_norm", "num_heads": 2}, "missing-field", "head_dim"),
    Invalid({"type": "l2_norm", "dim": 7}, "bad-value", "dim"),
    Invalid({"type": "l2_norm", "dim": 3, "input": {"shape": [5, 6]}}, "shape", "input.shape"),
    Invalid({"type": "l2_norm", "eps": -1.0}, "bad-value", "eps"),
    Invalid({"type": "global_response_norm", "dim": "6"}, "bad-value", "dim"),
    Invalid({"type": "global_response_norm", "dim": 6, "input": {"shape": [6]}}, "shape", "input.shape"),
    Invalid({"type": "layer_norm"}, "missing-field", "normalized_shape"),
    Invalid(
        {"type": "layer_norm", "normalized_shape": 6, "elementwise_affine": "no"}, "bad-value", "elementwise_affine"
    ),
    Invalid({"type": "group_norm", "num_groups": 4, "num_channels": 6}, "divisible", "num_groups"),
    Invalid({"type": "group_norm", "num_channels": 6}, "missing-field", "num_groups"),
)


def last(rng: random.Random, name: str, field: str = "dim") -> Case:
    """A random valid norm of the last axis."""
    dim = width(rng)
    config = {"type": name, field: dim, "eps": rng.choice([0.0, 1e-6, 1e-3])}
    if name == "layer_norm":
        config |= {"elementwise_affine": rng.random() < 0.7, "bias": rng.random() < 0.5}
    return Case(config, shape=(*(width(rng) for _ in range(rng.randint(1, 3))), dim))


def first(rng: random.Random, name: str) -> Case:
    """A random valid norm of axis 1."""
    groups, rest = width(rng, high=3), [width(rng, low=2) for _ in range(rng.randint(1, 3))]
    dim = width(rng, groups)
    if name == "group_norm":
        config = {"type": name, "num_groups": groups, "num_channels": dim, "affine": rng.random() < 0.5}
    else:
        config = {"type": name, "dim": dim}
    return Case(config, shape=(dim, *rest))


def per_head_rms_norm(rng: random.Random) -> Case:
    """A random valid per-head norm."""
    heads, dim = width(rng), width(rng)
    return Case({"type": "per_head_rms_norm", "num_heads": heads, "head_dim": dim}, shape=(width(rng), heads * dim))


def l2_norm(rng: random.Random) -> Case:
    """A random valid L2 norm."""
    shape = tuple(width(rng) for _ in range(rng.randint(1, 4)))
    return Case({"type": "l2_norm", "dim": rng.randint(-len(shape) - 1, len(shape))}, shape=shape)


DRAW = {
    "rms_norm": lambda rng: last(rng, "rms_norm"),
    "rms_norm_channel_first": lambda rng: first(rng, "rms_norm_channel_first"),
    "per_head_rms_norm": per_head_rms_norm,
    "l2_norm": l2_norm,
    "global_response_norm": lambda rng: last(rng, "global_response_norm"),
    "layer_norm": lambda rng: last(rng, "layer_norm", "normalized_shape"),
    "group_norm": lambda rng: first(rng, "group_norm"),
}
