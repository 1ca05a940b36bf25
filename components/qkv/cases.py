"""What the projections around a mixer must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width


def _attention(**fields: Any) -> dict[str, Any]:
    return {"type": "attention", "num_heads": 2, "apply_qk_norm": False, "use_rope": False, **fields}


def _sequence(**fields: Any) -> dict[str, Any]:
    return {"type": "qkv_sequence_mixer", "hidden_dim": 12, "mixer": _attention(), **fields}


def _condition(**fields: Any) -> dict[str, Any]:
    return {"type": "qkv_condition_mixer", "hidden_dim": 8, "mixer": _attention(), **fields}


ROPE = _attention(use_rope=True, rope_spatial_dims=[6], apply_qk_norm=True)

CASES = (
    Case(
        _sequence(mixer={**ROPE, "hidden_dim": 12}),
        shape=(6, 12),
        params=576,
        source="nvsubquadratic 0.2.0: QKVSequenceMixer(12, Attention(12, 2, qk norm, rope [6]))",
    ),
    Case(_sequence(type="QKVSequenceMixer", qkv_bias=True, out_proj_bias=True, mixer=ROPE)),
    Case(
        _sequence(init_method_in="small_init", init_method_out={"type": "wang_init", "num_layers": 4}), shape=(3, 4, 12)
    ),
    Case(
        _condition(),
        shape=(6, 8),
        condition=(3, 8),
        params=256,
        source="nvsubquadratic 0.2.0: QKVConditionMixer(8, Attention(8, 2))",
    ),
    Case(
        _condition(type="QKVConditionMixer", init_method_in={"type": "trunc_normal", "std": 0.1}),
        shape=(3, 2, 8),
        condition=(8,),
    ),
    Case(_condition(init_method_out="zeros"), shape=(3, 2, 8), condition=(2, 5, 8)),
)

INVALID = (
    Invalid({"type": "qkv_sequence_mixer", "mixer": _attention(hidden_dim=12)}, "missing-field", "hidden_dim"),
    Invalid({"type": "qkv_sequence_mixer", "hidden_dim": 12}, "missing-field", "mixer"),
    Invalid(_sequence(mixer=_attention(hidden_dim=24)), "mismatch", "mixer.hidden_dim"),
    Invalid(_sequence(mixer=_attention(num_heads=5)), "divisible", "mixer.num_heads"),
    Invalid(_sequence(mixer="gelu"), "wrong-kind", "mixer"),
    Invalid(_sequence(qkv_bias=0), "bad-value", "qkv_bias"),
    Invalid(_sequence(init_method_in="silu"), "wrong-kind", "init_method_in"),
    Invalid({**_sequence(), "input": {"shape": [5, 6]}}, "shape", "input.shape", "width 12"),
    Invalid(_condition(mixer=_attention(hidden_dim=4)), "mismatch", "mixer.hidden_dim"),
    Invalid(_condition(out_proj_bias=True), "unknown-field", "out_proj_bias"),
    Invalid({**_condition(), "input": {"shape": [5, 8]}}, "missing-condition", "input.condition", "width 8"),
    Invalid({**_condition(), "input": {"shape": [5, 8], "condition": [2, 3, 8]}}, "shape", "input.shape", "2 or 3"),
    Invalid({**_condition(), "input": {"shape": [5, 8], "condition": [6]}}, "condition-width", "input.condition"),
)


def qkv_sequence_mixer(rng: random.Random) -> Case:
    """A random valid mixer of one input."""
    heads, extents = width(rng, high=3), [width(rng, high=4) for _ in range(rng.randint(1, 3))]
    rope = rng.random() < 0.5
    dim = heads * width(rng, 2 * len(extents) if rope else 1, high=3)
    mixer = _attention(num_heads=heads, use_rope=rope, apply_qk_norm=rng.random() < 0.5)
    if rope:
        mixer["rope_spatial_dims"] = extents
    config = _sequence(hidden_dim=dim, mixer=mixer, qkv_bias=rng.random() < 0.5, out_proj_bias=rng.random() < 0.5)
    config["init_method_in"] = rng.choice([None, "small_init", "orthogonal"])
    return Case(config, shape=(*extents, dim))


def qkv_condition_mixer(rng: random.Random) -> Case:
    """A random valid mixer of an input and a condition."""
    heads, rank = width(rng, high=3), rng.randint(1, 3)
    dim = heads * width(rng, high=4)
    config = _condition(hidden_dim=dim, mixer=_attention(num_heads=heads, apply_qk_norm=rng.random() < 0.5))
    grid, others = ([width(rng, high=4) for _ in range(rank)] for _ in range(2))
    return Case(config, shape=(*grid, dim), condition=(dim,) if rng.random() < 0.3 else (*others, dim))


DRAW = {"qkv_sequence_mixer": qkv_sequence_mixer, "qkv_condition_mixer": qkv_condition_mixer}
