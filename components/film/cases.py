"""What the FiLM generator must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width


def _film(**fields: Any) -> dict[str, Any]:
    return {"type": "kernel_film_generator", "cond_dim": 6, "kernel_hidden_dim": 4, "num_film_layers": 3, **fields}


CASES = (
    Case(_film(), params=2008, source="nvsubquadratic 0.2.0: KernelFiLMGenerator(6, 4, 3)"),
    Case(_film(type="KernelFiLMGenerator", film_hidden_dim=5, no_weight_decay=True)),
    Case(_film(no_weight_decay=0.005, init_type="small_random", init_std=0.1), shape=(6,)),
    Case(_film(no_weight_decay=1, num_film_layers=1)),
)

INVALID = (
    Invalid(_film(num_film_layers=0), "bad-value", "num_film_layers"),
    Invalid(_film(cond_dim=None), "bad-value", "cond_dim"),
    Invalid(
        {"type": "kernel_film_generator", "cond_dim": 6, "num_film_layers": 3}, "missing-field", "kernel_hidden_dim"
    ),
    Invalid(_film(no_weight_decay=-0.1), "bad-value", "no_weight_decay"),
    Invalid(_film(no_weight_decay="all"), "bad-value", "no_weight_decay"),
    Invalid(_film(init_type="zeros"), "bad-value", "init_type"),
    Invalid(_film(init_std=-1.0), "bad-value", "init_std"),
    Invalid({**_film(), "input": {"shape": [5]}}, "shape", "input.shape", "width 6"),
)


def kernel_film_generator(rng: random.Random) -> Case:
    """A random valid FiLM generator."""
    config = _film(cond_dim=width(rng), kernel_hidden_dim=width(rng), num_film_layers=width(rng))
    config |= {"film_hidden_dim": width(rng), "no_weight_decay": rng.choice([True, False, 0.01])}
    return Case({**config, "init_type": rng.choice(["identity", "small_random"])})


DRAW = {"kernel_film_generator": kernel_film_generator}
