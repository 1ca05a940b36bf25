"""What the S4 kernel and layer must accept and refuse."""

from __future__ import annotations

import random

from components.functional import ssm_cases
from registry.cases import Case, Invalid

_GELU = {"activation": "gelu", "mult_activation": "gelu", "final_act": "gelu"}
_SMALL = {"type": "s4", "d_model": 4, "d_state": 8, "l_max": 16, **_GELU}

CASES = (
    *ssm_cases.kernel_cases("s4_kernel", "S4Kernel"),
    *ssm_cases.layer_cases("s4", "S4"),
    Case(_SMALL, params=156, source="lrnnx 1.0.0.post1: S4(4, d_state=8)"),
    Case({**_SMALL, "rank": 2}, params=188, source="lrnnx 1.0.0.post1: S4(4, d_state=8, rank=2)"),
    Case({**_SMALL, "gate": 1}, params=176, source="lrnnx 1.0.0.post1: S4(4, d_state=8, gate=1)"),
    Case({**_SMALL, "gate": 2}, params=252, source="lrnnx 1.0.0.post1: S4(4, d_state=8, gate=2)"),
    Case({**_SMALL, "dt_tie": False}, params=168, source="lrnnx 1.0.0.post1: S4(4, d_state=8, dt_tie=False)"),
    Case(
        {**_SMALL, "final_act": None, "channels": 2},
        params=172,
        source="lrnnx 1.0.0.post1: S4(4, d_state=8, final_act=None, channels=2)",
    ),
)

INVALID = (
    *ssm_cases.kernel_faults("s4_kernel"),
    *ssm_cases.layer_faults("s4"),
    Invalid({"type": "s4_kernel", "d_model": 4, "disc": "zoh"}, "bad-value", "disc"),
    Invalid({"type": "s4", "d_model": 4, "bandlimit": 0.5}, "unknown-field", "bandlimit"),
)


def s4_kernel(rng: random.Random) -> Case:
    """A random valid kernel."""
    return ssm_cases.random_kernel(rng, "s4_kernel", ("bilinear",))


def s4(rng: random.Random) -> Case:
    """A random valid layer."""
    return ssm_cases.random_layer(rng, "s4", ("bilinear",))


DRAW = {"s4_kernel": s4_kernel, "s4": s4}
