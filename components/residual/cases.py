"""What the residual block must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width

ATTENTION = {"type": "attention", "num_heads": 2, "apply_qk_norm": False, "use_rope": False}


def _norm(dim: int) -> dict[str, Any]:
    return {"type": "rms_norm", "dim": dim}


def _block(dim: int = 8, **fields: Any) -> dict[str, Any]:
    """A block of attention and MLP."""
    return {
        "type": "residual_block",
        "sequence_mixer": {"type": "qkv_sequence_mixer", "hidden_dim": dim, "mixer": ATTENTION},
        "sequence_mixer_norm": _norm(dim),
        "mlp": {"type": "mlp", "dim": dim, "activation": "glu"},
        "mlp_norm": _norm(dim),
        **fields,
    }


def _conditioned(dim: int = 8, **fields: Any) -> dict[str, Any]:
    """A block with all three branches."""
    mixer = {"type": "qkv_condition_mixer", "hidden_dim": dim, "mixer": ATTENTION}
    return {**_block(dim), "condition_mixer": mixer, "condition_mixer_norm": _norm(dim), **fields}


CASES = (
    Case(_block(), shape=(5, 4, 8), params=4 * 64 + 3 * 128 + 16),
    Case(_block(type="ResidualBlock", dropout={"type": "drop_path", "drop_prob": 0.1}), shape=(5, 8)),
    Case(_block(sequence_mixer="identity", sequence_mixer_norm="identity"), params=3 * 128 + 8),
    Case(_block(mlp="identity", mlp_norm="identity", sequence_mixer_norm="identity"), shape=(5, 8)),
    Case(_conditioned(dropout={"type": "dropout", "p": 0.1}), shape=(5, 8), condition=(3, 8)),
    Case(
        _conditioned(condition_mixer_norm={"type": "layer_norm", "normalized_shape": 8}),
        shape=(5, 4, 8),
        condition=(8,),
    ),
)

INVALID = (
    Invalid({k: v for k, v in _block().items() if k != "mlp"}, "missing-field", "mlp"),
    Invalid(_block(sequence_mixer="identity"), "unused-norm", "sequence_mixer_norm"),
    Invalid(_block(condition_mixer_norm=_norm(8)), "unused-norm", "condition_mixer_norm"),
    Invalid(_block(mlp="identity"), "unused-norm", "mlp_norm"),
    Invalid(_block(sequence_mixer="gelu"), "wrong-kind", "sequence_mixer"),
    Invalid(_block(mlp=_norm(8)), "wrong-kind", "mlp.type"),
    Invalid({**_block(mlp_norm=_norm(1)), "input": {"shape": [5, 8]}}, "shape", "input.shape", "width 1"),
    Invalid({**_block(8, mlp_norm=_norm(6)), "input": {"shape": [5, 8]}}, "shape", "input.shape", "width 6"),
    Invalid({**_conditioned(), "input": {"shape": [5, 8]}}, "missing-condition", "input.condition", "width 8"),
    Invalid(_block(mlp_norm={"type": "rms_norm_channel_first", "dim": 8}), "channels-first", "mlp_norm"),
    Invalid(
        _block(sequence_mixer_norm={"type": "rms_norm_channel_first", "dim": 8}),
        "channels-first",
        "sequence_mixer_norm",
    ),
    Invalid(_conditioned(condition_mixer_norm={"type": "l2_norm", "dim": 1}), "channels-first", "condition_mixer_norm"),
)


def residual_block(rng: random.Random) -> Case:
    """A random valid block."""
    dim, rank = width(rng, 2), rng.randint(1, 3)
    build = rng.choice([_block, _conditioned])
    fields: dict[str, Any] = {"dropout": rng.choice(["identity", {"type": "dropout", "p": 0.2}])}
    if rng.random() < 0.3:
        fields |= {"mlp": "identity", "mlp_norm": "identity"}
    if rng.random() < 0.3:
        fields["sequence_mixer_norm"] = {"type": "layer_norm", "normalized_shape": dim}
    shape = (*(width(rng, high=4) for _ in range(rank)), dim)
    condition = rng.choice([(dim,), (*(width(rng, high=3) for _ in range(rank)), dim)])
    return Case(build(dim, **fields), shape=shape, condition=condition if build is _conditioned else None)


DRAW = {"residual_block": residual_block}
