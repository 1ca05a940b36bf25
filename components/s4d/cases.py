"""What the S4D kernel, layer and bare mixer must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from components.functional import ssm_cases
from registry.cases import Case, Invalid, width

_DISCRETISATIONS = ("zoh", "bilinear", "dss")
_GELU = {"activation": "gelu", "mult_activation": "gelu", "final_act": "gelu"}
_SMALL = {"type": "s4d", "d_model": 4, "d_state": 8, "l_max": 16, **_GELU}
_KERNEL = {"type": "s4d_kernel", "d_model": 4, "d_state": 8}
_MIXER: dict[str, Any] = {"type": "s4d_sequence_mixer", "in_features": 6, "state_dim": 8}

CASES = (
    *ssm_cases.kernel_cases("s4d_kernel", "S4DKernel"),
    *ssm_cases.layer_cases("s4d", "S4D"),
    Case({**_KERNEL, "disc": "bilinear", "bandlimit": 0.5, "init": "diag-lin"}, shape=(20,)),
    Case({**_KERNEL, "disc": "bilinear", "dt_tie": False}, shape=(20,)),
    Case({**_KERNEL, "disc": "dss", "l_max": 20, "channels": 2}),
    Case({**_SMALL, "disc": "dss"}),
    Case({**_SMALL, "disc": "bilinear", "init": "all"}, params=124, source="lrnnx 1.0.0.post1: S4D(4, d_state=8)"),
    Case({**_SMALL, "gate": 2}, params=220, source="lrnnx 1.0.0.post1: S4D(4, d_state=8, gate=2)"),
    Case(
        {**_SMALL, "gate": 4, "channels": 2},
        params=432,
        source="lrnnx 1.0.0.post1: S4D(4, d_state=8, gate=4, channels=2)",
    ),
    Case(
        {"type": "s4d", "d_model": 4, "d_state": 8, "init": "diag-lin", "channels": 2},
        shape=(16, 4),
        params=212,
        source="state-spaces e757cef: S4Block(4, d_state=8, mode='diag', channels=2)",
    ),
    Case(
        {"type": "s4d", "d_model": 4, "d_state": 8, "init": "diag-lin", "activation": "glu"},
        shape=(16, 4),
        params=180,
        source="state-spaces e757cef: S4Block(4, d_state=8, mode='diag', activation='glu')",
    ),
    Case(
        {"type": "S4DSequenceMixer", "in_features": 4, "state_dim": 8},
        shape=(16, 4),
        params=68,
        source="linax b9681db: S4DSequenceMixerConfig(8).build(4), a complex number counted as two",
    ),
    Case({**_MIXER, "transposed": True}, shape=(6, 9)),
    Case({**_MIXER, "dt_min": 0.01, "dt_max": 0.02}, shape=(3, 5, 6)),
)

INVALID = (
    *ssm_cases.kernel_faults("s4d_kernel"),
    *ssm_cases.layer_faults("s4d"),
    Invalid({**_KERNEL, "disc": "dss"}, "dss-length", "l_max"),
    Invalid({**_KERNEL, "bandlimit": 0.0}, "bad-value", "bandlimit"),
    Invalid({"type": "s4d", "d_model": 4, "disc": "dss"}, "dss-length", "l_max"),
    Invalid({"type": "s4d", "d_model": 4, "bandlimit": -1.0}, "bad-value", "bandlimit"),
    Invalid({**_MIXER, "state_dim": 5}, "even-state", "state_dim"),
    Invalid({**_MIXER, "dt_min": 0.1}, "dt-range", "dt_min"),
    Invalid({**_MIXER, "dt_max": 0.0005}, "dt-range", "dt_max"),
    Invalid({**_MIXER, "dt_max": 0.001}, "dt-range", "dt_max"),
    Invalid({**_MIXER, "dt_min": 0.02, "dt_max": 0.01}, "dt-range", "dt_min"),
    Invalid({**_MIXER, "dt_min": -0.1}, "bad-value", "dt_min"),
    Invalid({**_MIXER, "d_state": 8}, "unknown-field", "d_state"),
    Invalid({"type": "s4d_sequence_mixer"}, "missing-field", "in_features"),
)


def s4d_kernel(rng: random.Random) -> Case:
    """A random valid kernel."""
    return ssm_cases.random_kernel(rng, "s4d_kernel", _DISCRETISATIONS)


def s4d(rng: random.Random) -> Case:
    """A random valid layer."""
    return ssm_cases.random_layer(rng, "s4d", _DISCRETISATIONS)


def s4d_sequence_mixer(rng: random.Random) -> Case:
    """A random valid bare mixer."""
    features, length = width(rng), rng.choice([1, 2, 5, 16, 31])
    transposed = rng.random() < 0.5
    config = {
        "type": "s4d_sequence_mixer",
        "in_features": features,
        "state_dim": width(rng, 2),
        "transposed": transposed,
        "dt_min": rng.choice([0.001, 0.01]),
    }
    return Case(config, shape=(features, length) if transposed else (length, features))


DRAW = {"s4d_kernel": s4d_kernel, "s4d": s4d, "s4d_sequence_mixer": s4d_sequence_mixer}
