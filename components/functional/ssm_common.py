"""What the torch code, the configs and the cost rules of state spaces agree on: names and table sizes. No torch."""

from __future__ import annotations

from typing import Literal, get_args

Init = Literal[
    "legs",
    "legt",
    "fourier",
    "fout",
    "hippo",
    "diag",
    "all",
    "dplr",
    "diag-lin",
    "diag-linear",
    "diag-inv",
    "diag-inverse",
    "diag-inv2",
    "diag-inverse2",
    "diag-quad",
    "diag-quadratic",
    "diag-rand",
    "diag-random",
    "diag-real",
    "diag-legs",
    "diag-hippo",
    "dplr-lin",
    "dplr-linear",
    "dplr-inv",
    "dplr-inverse",
    "dplr-inv2",
    "dplr-inverse2",
    "dplr-quad",
    "dplr-quadratic",
    "dplr-rand",
    "dplr-random",
    "dplr-real",
    "dplr-legs",
    "dplr-hippo",
]
"""Initialisations of the state matrix; `fout` is `fourier`, `dplr` is `dplr-hippo`."""

Transform = Literal["none", "exp", "relu", "sigmoid", "softplus"]
"""Maps from a stored parameter to a positive quantity."""

InputInit = Literal["constant", "random", "alternating", "unit-cw", "unit-ccw"]
"""Input coefficients of the direct diagonal initialisations."""

Pointwise = Literal["none", "gelu", "relu", "silu", "tanh", "sigmoid"]
"""Activations that keep the number of features."""

Gated = Literal["none", "gelu", "relu", "silu", "tanh", "sigmoid", "glu"]
"""Activations; `glu` halves the number of features."""

Final = Literal["none", "identity", "gelu", "relu", "silu", "tanh", "sigmoid", "glu"]
"""Activations after the output projection; `none` is no projection at all, `identity` is one without activation."""

INITS: tuple[str, ...] = get_args(Init)
TRANSFORMS: tuple[str, ...] = get_args(Transform)
INPUT_INITS: tuple[str, ...] = get_args(InputInit)
POINTWISE: tuple[str, ...] = get_args(Pointwise)
GATED: tuple[str, ...] = get_args(Gated)
FINAL: tuple[str, ...] = get_args(Final)

HIPPO_INITS = ("legs", "legt", "fourier", "fout")
"""Initialisations that diagonalise a dense HiPPO matrix."""

COMBINED_INITS = {
    "hippo": ("legs", "fourier"),
    "diag": ("diag-inv", "diag-lin"),
    "all": ("legs", "fourier", "diag-inv", "diag-lin"),
}
"""Initialisations that give each of several an equal share of the sets, in this order."""

DENSE_INITS = (*HIPPO_INITS, "hippo")
"""Initialisations that leave the options of the direct diagonal ones without effect."""

DIAGONAL_DEFAULTS = {
    "real_random": False,
    "real_scale": 1.0,
    "imag_random": False,
    "imag_scale": 1.0,
    "B_init": "constant",
    "B_scale": 1.0,
    "P_scale": 1.0,
    "normalize": False,
}
"""Options that only the direct diagonal initialisations have, with their defaults."""


def table_bits(length: int) -> tuple[int, int]:
    """Split a length over two tables of 2^inner and 2^outer rows with 2^(inner + outer) >= length.

    Args:
        length: Number of samples, at least 1.

    Returns:
        (inner, outer), equal or outer one larger.
    """
    bits = (length - 1).bit_length()
    return bits // 2, bits - bits // 2
