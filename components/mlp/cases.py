"""What the MLP must accept and refuse."""

from __future__ import annotations

import random

from registry.cases import Case, Invalid, width

CASES = (
    Case(
        {"type": "mlp", "dim": 6, "activation": "gelu", "expansion_factor": 2.5, "bias": True},
        shape=(5, 6),
        params=201,
        source="nvsubquadratic 0.2.0: MLP(6, gelu, 2.5, bias)",
    ),
    Case({"type": "MLP", "dim": 6, "activation": "swiglu", "backend": "torch"}, shape=(3, 4, 6)),
    Case({"type": "mlp", "dim": 6, "activation": "glu", "dropout": "drop_path"}),
    Case({"type": "mlp", "dim": 3, "activation": "relu", "expansion_factor": 0.4}),
    Case(
        {
            "type": "mlp",
            "dim": 8,
            "activation": "silu",
            "dropout": {"type": "dropout", "p": 0.1},
            "init_method_in": "small_init",
            "init_method_out": {"type": "wang_init", "num_layers": 6},
        },
        shape=(2, 8),
    ),
)

INVALID = (
    Invalid({"type": "mlp", "dim": 6, "activation": "gelo"}, "bad-value", "activation"),
    Invalid({"type": "mlp", "dim": 6}, "missing-field", "activation"),
    Invalid({"type": "mlp", "activation": "gelu"}, "missing-field", "dim"),
    Invalid(
        {"type": "mlp", "dim": 6, "activation": "gelu", "expansion_factor": 0.1}, "empty-layer", "expansion_factor"
    ),
    Invalid({"type": "mlp", "dim": 6, "activation": "gelu", "dropout": "gelu"}, "wrong-kind", "dropout"),
    Invalid({"type": "mlp", "dim": 6, "activation": "gelu", "expansion": 2.0}, "unknown-field", "expansion"),
    Invalid({"type": "mlp", "dim": 6, "activation": "gelu", "expansion_factor": 0}, "bad-value", "expansion_factor"),
    Invalid(
        {"type": "mlp", "dim": 6, "activation": "gelu", "expansion_factor": 1e300}, "bad-value", "expansion_factor"
    ),
    Invalid({"type": "mlp", "dim": 6, "activation": "gelu", "backend": "quack"}, "bad-value", "backend"),
    Invalid(
        {"type": "mlp", "dim": 6, "activation": "gelu", "init_method_in": "zero"}, "unknown-component", "init_method_in"
    ),
    Invalid({"type": "mlp", "dim": 6, "activation": "gelu", "input": {"shape": [5, 1]}}, "shape", "input.shape"),
)


def mlp(rng: random.Random) -> Case:
    """A random valid MLP."""
    dim = width(rng)
    config = {
        "type": "mlp",
        "dim": dim,
        "activation": rng.choice(["relu", "gelu", "silu", "glu", "swiglu"]),
        "expansion_factor": rng.choice([1.0, 1.5, 2.0, 4.0]),
        "bias": rng.random() < 0.5,
    }
    return Case(config, shape=(width(rng), dim))


DRAW = {"mlp": mlp}
