"""What the elementary layers must accept and refuse."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from registry.cases import Case, Invalid, width

CASES = (
    Case({"type": "identity"}, shape=(3, 4)),
    Case({"type": "Identity"}, shape=(3, 4)),
    Case({"type": "linear", "in_features": 3, "out_features": 8}, params=32, source="3 x 8 + 8"),
    Case({"type": "Linear", "in_features": 3, "out_features": 8, "bias": False}, shape=(5, 4, 3), params=24),
    Case(
        {
            "type": "conv1d",
            "in_channels": 4,
            "out_channels": 6,
            "kernel_size": [3],
            "stride": 2,
            "groups": 2,
            "bias": False,
        },
        shape=(4, 9),
    ),
    Case(
        {
            "type": "Conv2d",
            "in_channels": 24,
            "out_channels": 24,
            "kernel_size": 3,
            "groups": 24,
            "padding": 1,
            "bias": False,
        },
        shape=(24, 5, 4),
        params=216,
        source="nvsubquadratic 0.2.0: short_conv of residual_block",
    ),
    Case(
        {
            "type": "conv2d",
            "in_channels": 3,
            "out_channels": 6,
            "kernel_size": [3, 2],
            "padding": [1, 0],
            "stride": [1, 2],
            "dilation": [2, 1],
            "groups": "depthwise",
        },
        shape=(3, 7, 6),
    ),
    Case(
        {"type": "conv2d", "in_channels": 3, "out_channels": 6, "kernel_size": [5, 3], "padding": "same"},
        shape=(3, 7, 6),
    ),
    *(
        Case({"type": f"conv{n}d", "in_channels": 2, "out_channels": 2, "kernel_size": 3, "padding": "same", **stride})
        for n in (1, 2, 3)
        for stride in ({"stride": [1] * n}, {"stride": 1})
    ),
    Case(
        {"type": "conv3d", "in_channels": 2, "out_channels": 2, "kernel_size": 2, "padding": "valid"},
        shape=(2, 3, 4, 5),
    ),
    Case(
        {
            "type": "conv3d",
            "in_channels": 2,
            "out_channels": 2,
            "kernel_size": 3,
            "padding": 1,
            "padding_mode": "circular",
        },
        shape=(2, 3, 4, 5),
    ),
    Case(
        {"type": "causal_conv1d", "in_channels": 6, "out_channels": 6, "kernel_size": 3, "groups": 6},
        shape=(6, 7),
        params=24,
        source="nvsubquadratic 0.2.0: CausalConv1D(6, 6, 3, groups=6)",
    ),
    Case(
        {"type": "CausalConv1D", "in_channels": 4, "out_channels": 6, "kernel_size": 4, "stride": 2, "dilation": 2},
        shape=(4, 9),
    ),
    Case(
        {
            "type": "causal_conv1d",
            "in_channels": 4,
            "out_channels": 4,
            "kernel_size": 3,
            "padding": 1,
            "padding_mode": "reflect",
            "is_causal": False,
        },
        shape=(4, 9),
    ),
    Case({"type": "dropout"}, shape=(3, 4)),
    Case({"type": "Dropout", "p": 0}, shape=(3, 4)),
    Case({"type": "drop_path"}, shape=(3, 4)),
    Case({"type": "DropPath", "drop_prob": 0.4}, shape=(3, 4)),
    Case({"type": "layer_scale", "dim": 6}, params=6),
    Case({"type": "LayerScale", "dim": 6, "init_value": 0.1}, shape=(5, 6)),
    Case({"type": "silu"}, shape=(3, 4)),
    Case({"type": "SiLU"}, shape=(3, 4)),
    Case({"type": "gelu"}, shape=(3, 4)),
    Case({"type": "GELU", "approximate": "tanh"}, shape=(3, 4)),
    Case({"type": "ReLU"}, shape=(3, 4)),
    Case({"type": "Sigmoid"}, shape=(3, 4)),
    Case({"type": "Tanh"}, shape=(3, 4)),
)


def _causal(**fields: Any) -> dict[str, Any]:
    return {"type": "causal_conv1d", "in_channels": 4, "out_channels": 6, "kernel_size": 3, **fields}


def _conv(rank: int, **fields: Any) -> dict[str, Any]:
    return {"type": f"conv{rank}d", "in_channels": 4, "out_channels": 6, "kernel_size": 3, **fields}


def _conv_faults(rank: int) -> tuple[Invalid, ...]:
    """One fault per rule of a convolution over `rank` axes."""
    short, long = [1] * (rank - 1), [1] * (rank + 1)
    return (
        Invalid(_conv(rank, groups=3), "divisible", "in_channels"),
        Invalid(_conv(rank, groups=4), "divisible", "out_channels"),
        Invalid(_conv(rank, groups="depthwise"), "divisible", "out_channels"),
        *(Invalid(_conv(rank, **{name: long}), "rank", name) for name in _PER_AXIS if rank < 3),
        *(Invalid(_conv(rank, **{name: short}), "rank", name) for name in _PER_AXIS if rank > 1),
        Invalid(_conv(rank, stride=2, padding="same"), "same-padding", "stride"),
        Invalid(_conv(rank, stride=[2, *short], padding="same"), "same-padding", "stride"),
    )


_PER_AXIS = ("kernel_size", "stride", "padding", "dilation")

INVALID = (
    Invalid({"type": "identity", "dim": 3}, "unknown-field", "dim"),
    Invalid({"type": "linear", "in_features": 3}, "missing-field", "out_features"),
    Invalid({"type": "linear", "in_features": 0, "out_features": 3}, "bad-value", "in_features"),
    Invalid({"type": "linear", "in_features": 3, "out_features": 3, "bias": 1}, "bad-value", "bias"),
    *_conv_faults(1),
    *_conv_faults(2),
    *_conv_faults(3),
    Invalid(_conv(2, groups="all"), "bad-value", "groups"),
    Invalid(_conv(2, kernel_size=0), "bad-value", "kernel_size"),
    Invalid(_conv(2, padding=-1), "bad-value", "padding"),
    Invalid(_conv(2, padding="full"), "bad-value", "padding"),
    Invalid(_conv(2, padding_mode="wrap"), "bad-value", "padding_mode"),
    Invalid({**_conv(2), "input": {"shape": [4, 2, 5]}}, "shape", "input.shape", "3 taps"),
    Invalid({**_conv(2), "input": {"shape": [3, 5, 5]}}, "shape", "input.shape"),
    Invalid(_causal(padding=1), "causal-padding", "padding"),
    Invalid(_causal(padding_mode="circular"), "causal-padding", "padding_mode"),
    Invalid(_causal(groups=5), "divisible", "groups"),
    Invalid(_causal(groups="depthwise"), "divisible", "out_channels"),
    Invalid({"type": "dropout", "p": 1.5}, "bad-value", "p"),
    Invalid({"type": "dropout", "inplace": True}, "unknown-field", "inplace"),
    Invalid({"type": "drop_path", "drop_prob": -0.1}, "bad-value", "drop_prob"),
    Invalid({"type": "layer_scale"}, "missing-field", "dim"),
    Invalid({"type": "layer_scale", "dim": 4, "init_value": "small"}, "bad-value", "init_value"),
    Invalid({"type": "silu", "beta": 1.0}, "unknown-field", "beta"),
    Invalid({"type": "gelu", "approximate": "erf"}, "bad-value", "approximate"),
    Invalid({"type": "relu", "slope": 0.1}, "unknown-field", "slope"),
    Invalid({"type": "sigmoid", "beta": 1.0}, "unknown-field", "beta"),
    Invalid({"type": "tanh", "beta": 1.0}, "unknown-field", "beta"),
)


def _any_shape(config: dict[str, Any]) -> Callable[[random.Random], Case]:
    """Draws of a component without widths: a random shape."""
    return lambda rng: Case(config, shape=tuple(width(rng) for _ in range(rng.randint(1, 3))))


def linear(rng: random.Random) -> Case:
    """A random valid linear map."""
    config = {"in_features": width(rng), "out_features": width(rng), "bias": rng.random() < 0.5}
    return Case({"type": "linear", **config}, shape=(width(rng), config["in_features"]))


def layer_scale(rng: random.Random) -> Case:
    """A random valid LayerScale."""
    dim = width(rng)
    return Case({"type": "layer_scale", "dim": dim, "init_value": rng.uniform(0, 1)}, shape=(width(rng), dim))


def gelu(rng: random.Random) -> Case:
    """A random valid GELU."""
    return Case({"type": "gelu", "approximate": rng.choice(["none", "tanh"])}, shape=(width(rng), width(rng)))


def conv(rng: random.Random, rank: int) -> Case:
    """A random valid convolution over `rank` axes."""
    config = {"type": f"conv{rank}d", **_channels(rng)}
    kernel = [width(rng, high=3) for _ in range(rank)]
    dilation = [width(rng, high=2) for _ in range(rank)]
    config["kernel_size"] = kernel if rng.random() < 0.5 else kernel[0]
    config["dilation"] = dilation if rng.random() < 0.5 else dilation[0]
    config["stride"] = rng.choice([1, 2, [width(rng, high=2) for _ in range(rank)]])
    config["padding"] = rng.choice([0, 1, "same", "valid", [width(rng, high=2) for _ in range(rank)]])
    if config["padding"] == "same":  # odd kernels only: torch warns that even ones cost a copy
        config |= {"stride": 1, "kernel_size": rng.choice([1, 3, 5])}
    return Case(config, shape=(config["in_channels"], *(width(rng, low=5, high=8) for _ in range(rank))))


def causal_conv1d(rng: random.Random) -> Case:
    """A random valid causal convolution."""
    config = {"type": "causal_conv1d", **_channels(rng), "kernel_size": width(rng), "stride": width(rng, high=2)}
    config |= {"dilation": width(rng, high=3), "bias": rng.random() < 0.5}
    return Case(config, shape=(config["in_channels"], width(rng, high=12)))


def _channels(rng: random.Random) -> dict[str, Any]:
    groups = width(rng, high=3)
    channels = {"in_channels": width(rng, groups), "out_channels": width(rng, groups)}
    if rng.random() < 0.25:
        return {**channels, "out_channels": 2 * channels["in_channels"], "groups": "depthwise"}
    return {**channels, "groups": groups, "bias": rng.random() < 0.5}


DRAW = {
    "identity": _any_shape({"type": "identity"}),
    "linear": linear,
    "conv1d": lambda rng: conv(rng, 1),
    "conv2d": lambda rng: conv(rng, 2),
    "conv3d": lambda rng: conv(rng, 3),
    "causal_conv1d": causal_conv1d,
    "dropout": _any_shape({"type": "dropout", "p": 0.3}),
    "drop_path": _any_shape({"type": "drop_path", "drop_prob": 0.3}),
    "layer_scale": layer_scale,
    "silu": _any_shape({"type": "silu"}),
    "gelu": gelu,
    "relu": _any_shape({"type": "relu"}),
    "sigmoid": _any_shape({"type": "sigmoid"}),
    "tanh": _any_shape({"type": "tanh"}),
}
