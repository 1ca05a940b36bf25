"""What the kernel windows must accept and refuse."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from registry.cases import Case, Invalid, width

_GAUSSIAN: dict[str, Any] = {"type": "gaussian_modulation_nd", "data_dim": 2, "num_channels": 6, "grid_size": 9}
_ALIGNED = {**_GAUSSIAN, "type": "block_aligned_gaussian_modulation_nd"}
_EXPONENTIAL = {"type": "exponential_modulation_nd", "data_dim": 2, "num_channels": 6}

CASES = (
    Case({**_GAUSSIAN, "type": "GaussianModulationND"}, params=12, source="one width per axis and channel"),
    Case({**_GAUSSIAN, "parametrization": "log", "init_extent": [1.0, 0.5]}, shape=(9, 7)),
    Case({**_GAUSSIAN, "parametrization": "softplus", "init_extent": None, "data_dim": 1}),
    Case({**_GAUSSIAN, "min_attenuation_at_step": 0.5, "max_attenuation_at_limit": 0.6, "init_extent": 2}),
    Case({**_GAUSSIAN, "min_attenuation_at_step": 0.5, "max_attenuation_at_limit": 0.5, "grid_size": 3}),
    Case({**_ALIGNED, "type": "BlockAlignedGaussianModulationND"}, params=12),
    Case({**_ALIGNED, "parametrization": "log", "data_dim": 3, "grid_size": 3}),
    Case({**_EXPONENTIAL, "type": "ExponentialModulationND"}, shape=(9, 7), params=12),
    Case({**_EXPONENTIAL, "fast_decay_pct": 5.0, "slow_decay_pct": 1, "data_dim": 1}, shape=(11,)),
)

INVALID = (
    Invalid({**_GAUSSIAN, "grid_size": 1}, "bad-value", "grid_size"),
    Invalid({**_GAUSSIAN, "parametrization": "linear"}, "bad-value", "parametrization"),
    Invalid({**_GAUSSIAN, "min_attenuation_at_step": 1.0}, "bad-value", "min_attenuation_at_step"),
    Invalid({**_GAUSSIAN, "max_attenuation_at_limit": 0.0}, "bad-value", "max_attenuation_at_limit"),
    Invalid({**_GAUSSIAN, "min_attenuation_at_step": 0.999}, "empty-range", "min_attenuation_at_step"),
    Invalid(
        {**_GAUSSIAN, "min_attenuation_at_step": 0.5, "max_attenuation_at_limit": 0.499, "grid_size": 3},
        "empty-range",
        "min_attenuation_at_step",
    ),
    Invalid({**_GAUSSIAN, "init_extent": True}, "bad-value", "init_extent"),
    Invalid({**_GAUSSIAN, "init_extent": [1.0, 2.0, 3.0]}, "extent-count", "init_extent"),
    Invalid({**_GAUSSIAN, "init_extent": 0.0}, "bad-value", "init_extent"),
    Invalid({"type": "gaussian_modulation_nd", "data_dim": 2, "num_channels": 6}, "missing-field", "grid_size"),
    Invalid({**_ALIGNED, "num_channels": 0}, "bad-value", "num_channels"),
    Invalid({**_ALIGNED, "width": 3}, "unknown-field", "width"),
    Invalid({**_EXPONENTIAL, "fast_decay_pct": -1.0}, "bad-value", "fast_decay_pct"),
    Invalid({**_EXPONENTIAL, "data_dim": 4}, "bad-value", "data_dim"),
)


def _base(rng: random.Random) -> dict[str, Any]:
    return {"data_dim": rng.randint(1, 3), "num_channels": width(rng)}


def _drawn_gaussian(name: str) -> Callable[[random.Random], Case]:
    def draw(rng: random.Random) -> Case:
        config = {
            "type": name,
            **_base(rng),
            "grid_size": rng.randint(2, 12),
            "parametrization": rng.choice(["direct", "log", "softplus"]),
        }
        rank = config["data_dim"]
        config["init_extent"] = rng.choice([None, 1, 0.5, [0.5 + i for i in range(rank)]])
        return Case(config, shape=tuple(width(rng) for _ in range(rank)))

    return draw


def exponential(rng: random.Random) -> Case:
    """A random valid exponential window."""
    config = {"type": "exponential_modulation_nd", **_base(rng), "fast_decay_pct": rng.choice([5.0, 13.81])}
    return Case(config, shape=tuple(width(rng) for _ in range(config["data_dim"])))


DRAW = {
    **{name: _drawn_gaussian(name) for name in ("gaussian_modulation_nd", "block_aligned_gaussian_modulation_nd")},
    "exponential_modulation_nd": exponential,
}
