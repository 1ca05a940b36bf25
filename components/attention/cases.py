"""What attention must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width


def _attention(**fields: Any) -> dict[str, Any]:
    return {"type": "attention", "hidden_dim": 24, "num_heads": 2, "apply_qk_norm": True, "use_rope": False, **fields}


CASES = (
    Case(_attention(use_rope=True, rope_spatial_dims=[3, 4]), params=0),
    Case(_attention(type="Attention", apply_qk_norm=False), shape=(3, 4, 24)),
    Case(_attention(num_heads=1, use_rope=True, rope_spatial_dims=[6], rope_base=100.0, is_causal=True)),
    Case(_attention(num_heads=4, attn_dropout=0.1, use_rope=True, rope_spatial_dims=[2, 3, 2])),
    Case(_attention(num_heads=24), shape=(5, 24)),
    Case(_attention(num_heads=4, rope_spatial_dims=[3, 4]), shape=(5, 24)),
)

INVALID = (
    Invalid(_attention(num_heads=5), "divisible", "num_heads"),
    Invalid(_attention(num_heads=0), "bad-value", "num_heads"),
    Invalid(
        {"type": "attention", "hidden_dim": 24, "num_heads": 2, "use_rope": False}, "missing-field", "apply_qk_norm"
    ),
    Invalid(_attention(use_rope=None), "bad-value", "use_rope"),
    Invalid(_attention(use_rope=True), "rope-grid", "rope_spatial_dims"),
    Invalid(_attention(num_heads=4, use_rope=True, rope_spatial_dims=[3, 4]), "rope-head-dim", "num_heads"),
    Invalid(_attention(use_rope=True, rope_spatial_dims=[2, 2, 2, 2]), "bad-value", "rope_spatial_dims"),
    Invalid(_attention(attn_dropout=1.5), "bad-value", "attn_dropout"),
    Invalid(_attention(rope_base=0), "bad-value", "rope_base"),
    Invalid(_attention(is_causal="yes"), "bad-value", "is_causal"),
    Invalid({**_attention(), "input": {"shape": [2, 2, 2, 2, 24]}}, "shape", "input.shape", "1 to 3"),
    Invalid({**_attention(), "input": {"shape": [5, 12]}}, "shape", "input.shape", "width 24"),
    Invalid(
        {**_attention(use_rope=True, rope_spatial_dims=[3, 4]), "input": {"shape": [4, 3, 24]}},
        "shape",
        "input.shape",
        "rope_spatial_dims=[3, 4]",
    ),
)


def attention(rng: random.Random) -> Case:
    """A random valid attention."""
    extents, heads = [width(rng, high=4) for _ in range(rng.randint(1, 3))], width(rng, high=4)
    rope = rng.random() < 0.6
    dim = heads * width(rng, 2 * len(extents) if rope else 1, high=3)
    config = _attention(hidden_dim=dim, num_heads=heads, use_rope=rope, apply_qk_norm=rng.random() < 0.5)
    config |= {"is_causal": rng.random() < 0.3, "attn_dropout": rng.choice([0.0, 0.1])}
    if rope:
        config["rope_spatial_dims"] = extents
    return Case(config, shape=(*extents, dim))


DRAW = {"attention": attention}
