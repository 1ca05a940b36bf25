"""Valid and invalid configs that all state-space kernels and layers have in common. No torch."""

from __future__ import annotations

import random
from typing import Any

from components.functional.ssm_common import DENSE_INITS, FINAL, GATED, INITS, INPUT_INITS, POINTWISE, TRANSFORMS
from registry.cases import Case, Invalid

KERNEL_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"channels": 3, "n_ssm": 2, "dt_tie": False},
    {"init": "legt", "rank": 2, "B_clip": None},
    {"init": "hippo", "dt_fast": True, "n_ssm": 4},
    {"init": "all", "deterministic": True, "dt_min": 0.01, "dt_max": 0.5},
    {"init": "diag-real", "imag_transform": "sigmoid", "dt_transform": "softplus", "n_ssm": 1},
    {"init": "diag-lin", "real_transform": "sigmoid", "imag_transform": "relu", "dt_transform": "sigmoid"},
    {"init": "dplr-quad", "real_transform": "relu", "imag_transform": "softplus", "rank": 3, "P_scale": 0.5},
    {"init": "diag-inv", "real_random": True, "imag_random": True, "B_init": "random", "normalize": True},
    {"init": "diag-quad", "real_transform": "sigmoid", "real_random": True, "dt_max": 1.5},
    {"init": "diag-inv2", "real_scale": 2.0, "imag_scale": 0.5, "B_scale": 0.7, "B_init": "unit-cw"},
)
"""Options that a kernel of 4 features must accept."""

LAYER_OPTIONS: tuple[dict[str, Any], ...] = (
    {"activation": "gelu", "mult_activation": "gelu", "final_act": "gelu"},
    {"activation": "glu", "final_act": "identity", "dropout": 0.1, "tie_dropout": True},
    {"activation": None, "final_act": None, "channels": 2, "swap_channels": True},
    {"activation": "silu", "mult_activation": "tanh", "final_act": "relu", "gate": 1},
    {"activation": "relu", "final_act": "sigmoid", "gate": 3, "channels": 2, "bidirectional": True},
    {"activation": "none", "final_act": "none", "gate": 2},
)
"""Options that a layer of 4 features must accept."""


def kernel_cases(name: str, alias: str) -> tuple[Case, ...]:
    """Every option of a kernel, at several lengths, under its name and its alias."""
    base = {"d_model": 4, "d_state": 8}
    cases = [Case({"type": name, **base, **options}, shape=(7 + 9 * i,)) for i, options in enumerate(KERNEL_OPTIONS)]
    odd = Case({"type": name, **base, "d_model": 3}, shape=(5,))
    return (*cases, odd, Case({"type": alias, **base, "l_max": 16}))


def layer_cases(name: str, alias: str) -> tuple[Case, ...]:
    """Every option of a layer and of its kernel, under its name and its alias."""
    base = {"type": name, "d_model": 4, "d_state": 8}
    options = (*KERNEL_OPTIONS, *LAYER_OPTIONS)
    cases = [Case({**base, **chosen}, shape=(5 + 3 * i, 4)) for i, chosen in enumerate(options)]
    transposed = Case({"type": alias, "d_model": 4, "d_state": 8, "l_max": 16, "transposed": True})
    odd = Case({**base, "d_model": 3}, shape=(5, 3))
    return (*cases, odd, transposed, Case({**base, "l_max": 16}, shape=(3, 40, 4)))


def kernel_faults(name: str) -> tuple[Invalid, ...]:
    """One fault per rule of a kernel, and per bound of its fields."""
    base = {"type": name, "d_model": 6, "d_state": 8}
    faults: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"d_state": 7}, "even-state", "d_state"),
        ({"d_state": 0}, "bad-value", "d_state"),
        ({"d_state": 8.0}, "bad-value", "d_state"),
        ({"n_ssm": 4}, "divisible", "n_ssm"),
        ({"n_ssm": 3, "init": "hippo"}, "init-sets", "n_ssm"),
        ({"n_ssm": 3, "init": "diag"}, "init-sets", "n_ssm"),
        ({"n_ssm": 6, "init": "all"}, "init-sets", "n_ssm"),
        ({"init": "all"}, "init-sets", "init"),
        ({"init": "hippo", "d_model": 3}, "init-sets", "init"),
        ({"init": "diag", "d_model": 3}, "init-sets", "init"),
        ({"init": "legt"}, "init-rank", "rank"),
        ({"init": "lin"}, "bad-value", "init"),
        ({"rank": 0}, "bad-value", "rank"),
        ({"channels": 0}, "bad-value", "channels"),
        ({"l_max": 0}, "bad-value", "l_max"),
        ({"dt_min": 0.5}, "dt-range", "dt_min"),
        ({"dt_min": 0.1}, "dt-range", "dt_min"),
        ({"dt_max": 0.001}, "dt-range", "dt_max"),
        ({"dt_min": 0.0}, "bad-value", "dt_min"),
        ({"dt_tie": 1}, "bad-value", "dt_tie"),
        ({"dt_transform": "log"}, "bad-value", "dt_transform"),
        ({"dt_transform": "sigmoid", "dt_max": 1.0}, "sigmoid-range", "dt_max"),
        ({"real_transform": "sigmoid", "init": "diag-lin", "real_scale": 2.0}, "sigmoid-range", "real_transform"),
        (
            {"real_transform": "sigmoid", "init": "diag-lin", "real_random": True, "real_scale": 1.01},
            "sigmoid-range",
            "real_transform",
        ),
        ({"real_transform": "sigmoid", "init": "diag-real"}, "sigmoid-range", "real_transform"),
        ({"imag_transform": "sigmoid"}, "sigmoid-range", "imag_transform"),
        ({"B_init": "ones", "init": "diag-lin"}, "bad-value", "B_init"),
        ({"B_init": "random"}, "unused-option", "B_init"),
        ({"real_random": True}, "unused-option", "real_random"),
        ({"real_scale": 2.0}, "unused-option", "real_scale"),
        ({"imag_random": True, "init": "hippo"}, "unused-option", "imag_random"),
        ({"imag_scale": 2.0, "init": "fourier"}, "unused-option", "imag_scale"),
        ({"B_scale": 0.5}, "unused-option", "B_scale"),
        ({"P_scale": 0.5}, "unused-option", "P_scale"),
        ({"normalize": True}, "unused-option", "normalize"),
        ({"real_scale": 0.0, "init": "diag-lin"}, "bad-value", "real_scale"),
        ({"disc": "async"}, "bad-value", "disc"),
        ({"is_real": True}, "unknown-field", "is_real"),
        ({"dstate": 8}, "unknown-field", "dstate"),
    )
    return tuple(Invalid({**base, **fault}, code, path) for fault, code, path in faults)


def layer_faults(name: str) -> tuple[Invalid, ...]:
    """The faults of its kernel, and one per bound of its own fields."""
    base = {"type": name, "d_model": 6, "d_state": 8}
    faults: tuple[tuple[dict[str, Any], str, str], ...] = (
        ({"activation": "swish"}, "bad-value", "activation"),
        ({"mult_activation": "glu"}, "bad-value", "mult_activation"),
        ({"final_act": "nonsense"}, "bad-value", "final_act"),
        ({"gate": 0}, "bad-value", "gate"),
        ({"dropout": 1.0}, "bad-value", "dropout"),
        ({"bottleneck": 2}, "unknown-field", "bottleneck"),
    )
    own = tuple(Invalid({**base, **fault}, code, path) for fault, code, path in faults)
    missing = Invalid({"type": name, "d_state": 8}, "missing-field", "d_model")
    return (*kernel_faults(name), *own, missing)


def random_kernel(rng: random.Random, name: str, discretisations: tuple[str, ...]) -> Case:
    """A random valid kernel."""
    d_model = rng.choice([4, 8])
    init = rng.choice(INITS)
    length = rng.choice([1, 2, 3, 8, 17, 32, 33])
    config: dict[str, Any] = {
        "type": name,
        "d_model": d_model,
        "d_state": 2 * rng.randint(1, 4),
        "l_max": length,
        "channels": rng.randint(1, 3),
        "init": init,
        "rank": rng.randint(2, 3) if init == "legt" else rng.randint(1, 3),
        "n_ssm": rng.choice([None, 4, d_model]),
        "dt_tie": rng.random() < 0.5,
        "dt_fast": rng.random() < 0.3,
        "disc": rng.choice(discretisations),
        "dt_transform": rng.choice(TRANSFORMS),
        "real_transform": rng.choice([t for t in TRANSFORMS if t != "sigmoid" or not init.endswith("real")]),
        "imag_transform": rng.choice([t for t in TRANSFORMS if t != "sigmoid" or init.endswith("-real")]),
        "deterministic": rng.random() < 0.3,
    }
    if init not in DENSE_INITS:
        config |= {"B_init": rng.choice(INPUT_INITS), "normalize": rng.random() < 0.3}
        config |= {"real_random": rng.random() < 0.3, "imag_random": rng.random() < 0.3}
    if "dss" in discretisations and rng.random() < 0.3:
        config["bandlimit"] = rng.choice([0.5, 1.0])
    return Case(config)


def random_layer(rng: random.Random, name: str, discretisations: tuple[str, ...]) -> Case:
    """A random valid layer."""
    config = dict(random_kernel(rng, name, discretisations).config)
    config |= {
        "activation": rng.choice([None, *GATED]),
        "mult_activation": rng.choice([None, *POINTWISE]),
        "final_act": rng.choice([None, *FINAL]),
        "gate": rng.choice([None, 1, 2, 3]),
        "dropout": rng.choice([0.0, 0.1]),
        "tie_dropout": rng.random() < 0.5,
        "bidirectional": rng.random() < 0.3,
        "swap_channels": rng.random() < 0.3,
        "transposed": rng.random() < 0.3,
    }
    return Case(config)
