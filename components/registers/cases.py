"""What the register read-outs must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width

POOLING = {"type": "register_pooling", "num_registers": 4}


def _concat(**fields: Any) -> dict[str, Any]:
    return {"type": "register_compress_concat", "num_registers": 4, "hidden_dim": 6, "compressed_dim": 3, **fields}


CASES = (
    Case(POOLING, shape=(4, 6), params=4, source="nvsubquadratic 0.2.0: RegisterPooling(4)"),
    Case({"type": "RegisterPooling", "num_registers": 1}, shape=(1, 6)),
    Case(_concat(), params=18, source="nvsubquadratic 0.2.0: RegisterCompressConcat(4, 6, 3)"),
    Case(_concat(type="RegisterCompressConcat", num_registers=1, compressed_dim=9), shape=(1, 6)),
)

INVALID = (
    Invalid({"type": "register_pooling"}, "missing-field", "num_registers"),
    Invalid({"type": "register_pooling", "num_registers": 0}, "bad-value", "num_registers"),
    Invalid({**POOLING, "input": {"shape": [5, 6]}}, "shape", "input.shape", "(B, 4, C)"),
    Invalid(_concat(num_registers=0), "bad-value", "num_registers"),
    Invalid(_concat(compressed_dim=None), "bad-value", "compressed_dim"),
    Invalid(
        {"type": "register_compress_concat", "num_registers": 4, "compressed_dim": 3}, "missing-field", "hidden_dim"
    ),
    Invalid({**_concat(), "input": {"shape": [4, 5]}}, "shape", "input.shape", "width 6"),
    Invalid({**_concat(), "input": {"shape": [5, 6]}}, "shape", "input.shape", "(B, 4, C)"),
)


def register_pooling(rng: random.Random) -> Case:
    """A random valid pooling."""
    count = width(rng)
    return Case({"type": "register_pooling", "num_registers": count}, shape=(count, width(rng)))


def register_compress_concat(rng: random.Random) -> Case:
    """A random valid compression."""
    return Case(_concat(num_registers=width(rng), hidden_dim=width(rng), compressed_dim=width(rng)))


DRAW = {"register_pooling": register_pooling, "register_compress_concat": register_compress_concat}
