"""What Hyena must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width

FILM = {"type": "kernel_film_generator", "cond_dim": 3, "film_hidden_dim": 4}


def global_conv(rank: int, dim: int, film: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """A continuous kernel convolution over a grid of at most 6 points per axis."""
    kernel: dict[str, Any] = {
        "type": "siren_kernel_nd",
        "mlp_hidden_dim": 6,
        "num_layers": 3,
        "embedding_dim": 4,
        "omega_0": 5.0,
        "L_cache": 6,
        "use_bias": True,
    }
    if film:
        kernel["film"] = film
    found = {"type": "ckconv_nd", "data_dim": rank, "hidden_dim": dim, "kernel": kernel}
    return {**found, "mask": "gaussian_modulation_nd", "grid_type": "double", "fft_padding": "zero", **options}


def short_conv(rank: int, **options: Any) -> dict[str, Any]:
    """A depthwise convolution of width 3 that keeps the size."""
    return {"type": f"conv{rank}d", "kernel_size": 3, "padding": 1, "groups": "depthwise", "bias": False, **options}


def hyena(rank: int = 2, dim: int = 8, **fields: Any) -> dict[str, Any]:
    """Hyena as the ViT-5 hybrids use it, with some fields replaced."""
    found = {
        "type": "hyena",
        "global_conv": global_conv(rank, dim),
        "short_conv": short_conv(rank),
        "gate_nonlinear": "silu",
        "pixelhyena_norm": "rms_norm",
        "qk_norm": "l2_norm",
        "output_norm": "rms_norm",
        "gate_nonlinear_2": "sigmoid",
    }
    return {**found, **fields}


def without(config: dict[str, Any], field: str) -> dict[str, Any]:
    """`config` with a field left out."""
    return {name: value for name, value in config.items() if name != field}


_BARE: dict[str, Any] = {
    "short_conv": "identity",
    "pixelhyena_norm": "identity",
    "qk_norm": None,
    "output_norm": "identity",
}
_CAUSAL = {"type": "causal_conv1d", "kernel_size": 3, "groups": "depthwise"}

CASES = (
    Case(hyena(), shape=(5, 4, 8)),
    Case({**hyena(), "type": "Hyena"}, shape=(3, 6, 8)),
    Case(hyena(gate_nonlinear_2=None, **_BARE), shape=(5, 4, 8)),
    Case(hyena(gate_nonlinear="identity", qk_norm="rms_norm"), shape=(5, 4, 8)),
    Case(
        hyena(
            pixelhyena_norm="rms_norm_channel_first",
            qk_norm={"type": "l2_norm", "dim": 1},
            output_norm={"type": "group_norm", "num_groups": 2},
        ),
        shape=(5, 4, 8),
    ),
    Case(hyena(1, 4, global_conv=global_conv(1, 4, is_causal=True), short_conv=_CAUSAL), shape=(6, 4)),
    Case(hyena(1, 4, global_conv=global_conv(1, 4, is_causal=True), short_conv="identity"), shape=(6, 4)),
    Case(hyena(3, 2), shape=(3, 2, 4, 2)),
    Case(hyena(2, 4, global_conv=global_conv(2, 4, FILM)), shape=(3, 4, 4), condition=(3,)),
)

INVALID = (
    Invalid({**without(hyena(), "global_conv"), **_BARE}, "missing-field", "global_conv"),
    Invalid(without(hyena(), "gate_nonlinear"), "missing-field", "gate_nonlinear"),
    Invalid(hyena(gate_nonlinear="rms_norm"), "wrong-kind", "gate_nonlinear"),
    Invalid(hyena(gate="silu"), "unknown-field", "gate"),
    Invalid(hyena(short_conv=short_conv(2, in_channels=23)), "mismatch", "short_conv.in_channels"),
    Invalid(hyena(short_conv=short_conv(1)), "conv-rank", "short_conv", "2 spatial axes"),
    Invalid(hyena(short_conv=short_conv(2, stride=2)), "same-size", "short_conv.stride"),
    Invalid(hyena(short_conv=short_conv(2, padding=0)), "same-size", "short_conv.padding"),
    Invalid(hyena(short_conv=short_conv(2, kernel_size=4)), "same-size", "short_conv.kernel_size"),
    Invalid(hyena(1, 4, global_conv=global_conv(1, 4, is_causal=True)), "causal-short-conv", "short_conv"),
    Invalid(hyena(output_norm={"type": "rms_norm", "dim": 7}), "mismatch", "output_norm.dim"),
    Invalid(hyena(qk_norm={"type": "rms_norm", "dim": 1}, gate_nonlinear="identity"), "mismatch", "qk_norm.dim"),
)


def _random(rng: random.Random) -> Case:
    """A random valid Hyena."""
    rank, dim = rng.randint(1, 3), 2 * width(rng)
    norms = ["identity", "rms_norm", "layer_norm", "l2_norm", "rms_norm_channel_first"]
    filmed = rng.random() < 0.3
    config = hyena(
        rank,
        dim,
        global_conv=global_conv(rank, dim, FILM if filmed else None),
        short_conv=rng.choice(["identity", short_conv(rank), short_conv(rank, kernel_size=1, padding=0, groups=1)]),
        gate_nonlinear=rng.choice(["identity", "silu", "sigmoid", "gelu", "tanh"]),
        pixelhyena_norm=rng.choice(norms),
        qk_norm=rng.choice([None, "rms_norm", "l2_norm", {"type": "l2_norm", "dim": 1}]),
        output_norm=rng.choice([*norms, {"type": "group_norm", "num_groups": 2}]),
        gate_nonlinear_2=rng.choice([None, "identity", "sigmoid"]),
    )
    shape = (*(rng.randint(1, 6) for _ in range(rank)), dim)
    return Case(config, shape=shape, condition=(3,) if filmed else None)


DRAW = {"hyena": _random}
