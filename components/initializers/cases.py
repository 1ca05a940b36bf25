"""What the initialisers must accept and refuse."""

from __future__ import annotations

from registry.cases import Case, Invalid

CASES = (
    Case({"type": "trunc_normal"}),
    Case({"type": "trunc_normal_init_factory", "std": 0.01}),
    Case({"type": "small_init"}),
    Case({"type": "wang_init", "num_layers": 6}),
    Case({"type": "normal", "mean": 0.5, "std": 0.0}),
    Case({"type": "uniform", "a": -1.0, "b": 1}),
    Case({"type": "uniform", "a": 1.0, "b": 1.0}),
    Case({"type": "xavier_uniform", "gain": 2.0}),
    Case({"type": "xavier_normal"}),
    Case({"type": "kaiming_uniform", "a": 2.2}),
    Case({"type": "kaiming_normal"}),
    Case({"type": "orthogonal", "gain": 0.5}),
    Case({"type": "constant", "value": -3.0}),
    Case({"type": "Zeros"}),
    Case({"type": "ones"}),
)

INVALID = (
    Invalid({"type": "trunc_normal", "std": -0.02}, "bad-value", "std"),
    Invalid({"type": "trunc_normal", "std": 0.0}, "bad-value", "std"),
    Invalid({"type": "constant", "value": 1e300}, "bad-value", "value"),
    Invalid({"type": "trunc_normal", "std": "0.02"}, "bad-value", "std"),
    Invalid({"type": "small_init", "std": 0.02}, "unknown-field", "std"),
    Invalid({"type": "wang_init"}, "missing-field", "num_layers"),
    Invalid({"type": "wang_init", "num_layers": 0}, "bad-value", "num_layers"),
    Invalid({"type": "normal", "std": -1.0}, "bad-value", "std"),
    Invalid({"type": "uniform", "a": 1.0, "b": 0.0}, "empty-interval", "b"),
    Invalid({"type": "xavier_uniform", "gain": 0.0}, "bad-value", "gain"),
    Invalid({"type": "xavier_normal", "gain": True}, "bad-value", "gain"),
    Invalid({"type": "kaiming_uniform", "mode": "fan_out"}, "unknown-field", "mode"),
    Invalid({"type": "kaiming_normal", "a": "leaky"}, "bad-value", "a"),
    Invalid({"type": "orthogonal", "gain": None}, "bad-value", "gain"),
    Invalid({"type": "constant", "value": float("nan")}, "float-range", "value"),
    Invalid({"type": "zeros", "value": 0.0}, "unknown-field", "value"),
    Invalid({"type": "ones", "value": 1.0}, "unknown-field", "value"),
)

DRAW: dict[str, object] = {}
