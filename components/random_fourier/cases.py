"""What the random Fourier kernel and its features must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width

_FEATURES: dict[str, Any] = {
    "type": "random_fourier_positional_embedding_nd",
    "data_dim": 2,
    "embedding_dim": 6,
    "L_cache": 4,
    "omega_0": 2.0,
}
_KERNEL: dict[str, Any] = {
    "type": "random_fourier_kernel_nd",
    "out_dim": 8,
    "data_dim": 1,
    "mlp_hidden_dim": 16,
    "num_layers": 3,
    "embedding_dim": 12,
    "omega_0": 1.0,
    "L_cache": 6,
    "use_bias": True,
    "nonlinear": "gelu",
}

CASES = (
    Case({**_FEATURES, "type": "RandomFourierPositionalEmbeddingND"}, params=9, source="3 x 2 + 3"),
    Case({**_FEATURES, "data_dim": 3, "L_cache": [4, 3, 2], "use_bias": False}, shape=(5, 3, 2)),
    Case({**_KERNEL, "type": "RandomFourierKernelND"}, params=628, source="6x1+6 + 16x12+16 + 16x16+16 + 8x16+8"),
    Case({**_KERNEL, "init_method": "small_init", "use_bias": False, "num_layers": 2}, shape=(9,)),
    Case({**_KERNEL, "data_dim": 2, "nonlinear": "SiLU", "init_method": {"type": "trunc_normal", "std": 0.1}}),
)

INVALID = (
    Invalid({**_FEATURES, "embedding_dim": 5}, "odd-width", "embedding_dim"),
    Invalid({**_FEATURES, "L_cache": [4, 4, 4]}, "extent-count", "L_cache"),
    Invalid({**_FEATURES, "omega_0": -1.0}, "bad-value", "omega_0"),
    Invalid({**_KERNEL, "embedding_dim": 13}, "odd-width", "embedding_dim"),
    Invalid({**_KERNEL, "num_layers": 1}, "bad-value", "num_layers"),
    Invalid({**_KERNEL, "L_cache": 1}, "extent-too-small", "L_cache"),
    Invalid({**_KERNEL, "nonlinear": "linear"}, "wrong-kind", "nonlinear"),
    Invalid({**_KERNEL, "init_method": "gelu"}, "wrong-kind", "init_method"),
    Invalid({k: v for k, v in _KERNEL.items() if k != "nonlinear"}, "missing-field", "nonlinear"),
)


def _grid(rng: random.Random) -> dict[str, Any]:
    rank = rng.randint(1, 3)
    extents = [rng.randint(2, 5) for _ in range(rank)]
    return {
        "data_dim": rank,
        "L_cache": extents if rng.random() < 0.5 else extents[0],
        "embedding_dim": width(rng, 2),
        "omega_0": rng.choice([1, 2.5]),
        "use_bias": rng.random() < 0.7,
    }


def features(rng: random.Random) -> Case:
    """A random valid embedding."""
    config = {"type": "random_fourier_positional_embedding_nd", **_grid(rng)}
    return Case(config, shape=tuple(width(rng) for _ in range(config["data_dim"])))


def kernel(rng: random.Random) -> Case:
    """A random valid kernel."""
    config = {
        "type": "random_fourier_kernel_nd",
        **_grid(rng),
        "out_dim": width(rng),
        "mlp_hidden_dim": width(rng),
        "num_layers": rng.randint(2, 4),
        "nonlinear": rng.choice(["gelu", "relu", "silu", "identity"]),
    }
    return Case(config, shape=tuple(width(rng) for _ in range(config["data_dim"])))


DRAW = {"random_fourier_positional_embedding_nd": features, "random_fourier_kernel_nd": kernel}
