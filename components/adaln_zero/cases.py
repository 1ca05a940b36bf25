"""What the AdaLN-Zero block must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width


def _mixer(rank: int = 2, film: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Hyena mixer over `rank` axes."""
    kernel: dict[str, Any] = {
        "type": "siren_kernel_nd",
        "mlp_hidden_dim": 16,
        "num_layers": 3,
        "embedding_dim": 16,
        "omega_0": 5.0,
        "L_cache": 5,
        "use_bias": True,
    }
    if film is not None:
        kernel["film"] = film
    hyena = {
        "type": "hyena",
        "global_conv": {
            "type": "ckconv_nd",
            "data_dim": rank,
            "kernel": kernel,
            "mask": "gaussian_modulation_nd",
            "grid_type": "double",
            "fft_padding": "zero",
        },
        "short_conv": {
            "type": f"conv{rank}d",
            "kernel_size": 3,
            "groups": "depthwise",
            "padding": 1,
            "bias": False,
        },
        "gate_nonlinear": "silu",
        "gate_nonlinear_2": "sigmoid",
        "pixelhyena_norm": "rms_norm",
        "qk_norm": "l2_norm",
        "output_norm": "rms_norm",
    }
    return {"type": "qkv_sequence_mixer", "mixer": hyena}


def _block(dim: int = 8, rank: int = 2, film: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A block of Hyena and MLP, the widths of all parts left to follow."""
    return {
        "type": "adaln_zero_residual_block",
        "hidden_dim": dim,
        "sequence_mixer": _mixer(rank, film),
        "sequence_mixer_norm": "rms_norm",
        "mlp": {"type": "mlp", "activation": "gelu", "expansion_factor": 4.0},
        "mlp_norm": "rms_norm",
        "condition_norm": "rms_norm",
        **fields,
    }


FILM = {"type": "kernel_film_generator", "film_hidden_dim": 4}
ATTENTION = {"type": "attention", "num_heads": 2, "apply_qk_norm": True, "use_rope": False}

CASES = (
    Case(
        _block(),
        shape=(5, 4, 8),
        condition=(8,),
        params=2208,
        source="nvsubquadratic 0.2.0: AdaLNZeroResidualBlock, adaln_zero_block",
    ),
    Case(_block(type="AdaLNZeroResidualBlock", mlp_norm="identity"), shape=(5, 4, 8), condition=(3, 2, 8)),
    Case(_block(film=FILM, dropout={"type": "drop_path", "drop_prob": 0.1}), shape=(5, 4, 8), condition=(3, 8)),
    Case(
        _block(
            sequence_mixer_norm="identity",
            mlp_norm={"type": "layer_norm", "elementwise_affine": False},
            condition_norm="identity",
        ),
        shape=(5, 4, 8),
        condition=(8,),
    ),
)

INVALID = (
    Invalid({k: v for k, v in _block().items() if k != "mlp"}, "missing-field", "mlp"),
    Invalid(
        _block(sequence_mixer={"type": "qkv_sequence_mixer", "mixer": ATTENTION}),
        "conditioning-not-accepted",
        "sequence_mixer",
    ),
    Invalid(_block(sequence_mixer="identity"), "wrong-kind", "sequence_mixer"),
    Invalid(_block(condition_mixer="identity"), "unknown-field", "condition_mixer"),
    Invalid(_block(condition_norm={"type": "rms_norm", "dim": 4}), "mismatch", "condition_norm.dim"),
    Invalid(_block(film={**FILM, "cond_dim": 6}), "mismatch", "sequence_mixer.mixer.global_conv.kernel.film.cond_dim"),
    Invalid(_block(dropout="rms_norm"), "wrong-kind", "dropout"),
    Invalid({**_block(), "input": {"shape": [5, 4, 8]}}, "missing-condition", "input.condition", "width 8"),
    Invalid({**_block(), "input": {"shape": [5, 4, 8], "condition": [6]}}, "condition-width", "input.condition", "[6]"),
    Invalid(_block(mlp_norm="rms_norm_channel_first"), "channels-first", "mlp_norm"),
    Invalid(_block(sequence_mixer_norm={"type": "l2_norm", "dim": 1}), "channels-first", "sequence_mixer_norm"),
)


def adaln_zero_residual_block(rng: random.Random) -> Case:
    """A random valid block."""
    dim, rank = width(rng), rng.randint(1, 3)
    config = _block(dim, rank, rng.choice([None, FILM]))
    config["condition_norm"] = rng.choice(["identity", "rms_norm", "layer_norm"])
    config["dropout"] = rng.choice(["identity", {"type": "dropout", "p": 0.2}])
    shape = (*(width(rng, high=5) for _ in range(rank)), dim)
    return Case(config, shape=shape, condition=rng.choice([(dim,), (3, dim), (2, 2, dim)]))


DRAW = {"adaln_zero_residual_block": adaln_zero_residual_block}
