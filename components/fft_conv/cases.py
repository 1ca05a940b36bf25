"""What the global convolution must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width

_KERNEL: dict[str, Any] = {
    "type": "siren_kernel_nd",
    "mlp_hidden_dim": 16,
    "num_layers": 3,
    "embedding_dim": 16,
    "omega_0": 5.0,
    "L_cache": 5,
    "use_bias": True,
}
_BLOCKS = {**_KERNEL, "type": "block_diagonal_multi_omega_siren_kernel_nd"}
del _BLOCKS["omega_0"]
_CONV: dict[str, Any] = {
    "type": "ckconv_nd",
    "data_dim": 2,
    "hidden_dim": 8,
    "kernel": _KERNEL,
    "mask": "gaussian_modulation_nd",
    "grid_type": "double",
    "fft_padding": "zero",
}
_CIRCULAR = {**_CONV, "grid_type": "single", "fft_padding": "circular"}
_MIXED = {**_CONV, "grid_type": None, "fft_padding": ["circular", "zero"]}
_CAUSAL = {**_CONV, "data_dim": 1, "is_causal": True}
_FILM = {"type": "kernel_film_generator", "cond_dim": 6}

CASES = (
    Case({**_CONV, "type": "CKConvND"}, shape=(5, 4, 8), params=752, source="nvsubquadratic 0.2.0: kernel 728, 8, 16"),
    Case({**_CONV, "grid_type": "single"}, shape=(6, 5, 8)),
    Case({**_CONV, "mask": "identity", "use_chunked_fftconv": True}),
    Case({**_CONV, "mask": {"type": "gaussian_modulation_nd", "grid_size": 99}}, warns=("grid-size-differs",)),
    Case({**_CONV, "kernel": {**_KERNEL, "out_dim": 8, "data_dim": 2, "L_cache": [5, 4]}}),
    Case({**_CONV, "kernel": {**_KERNEL, "film": _FILM}}, shape=(5, 4, 8), condition=(6,)),
    Case({**_CONV, "kernel": {**_KERNEL, "film": _FILM}}, shape=(5, 4, 8)),
    Case({**_CONV, "fft_backend": "subq_ops"}, warns=("backend-ignored",)),
    Case({**_CONV, "kernel": _BLOCKS}, warns=("mask-order",)),
    Case({**_CONV, "kernel": _BLOCKS, "mask": "block_aligned_gaussian_modulation_nd"}),
    Case({**_CONV, "data_dim": 3, "mask": "exponential_modulation_nd"}, shape=(3, 4, 2, 8)),
    Case(_CAUSAL),
    Case({**_CAUSAL, "grid_type": "single"}, shape=(7, 8)),
    Case({**_CIRCULAR, "fft_padding": " Circular"}, shape=(5, 4, 8)),
    Case({**_CIRCULAR, "data_dim": 1}, shape=(7, 8)),
    Case(_MIXED, shape=(5, 4, 8)),
    Case({**_MIXED, "fft_padding": ["zero", "Zero"]}),
    Case({**_MIXED, "kernel": {**_KERNEL, "L_cache": [3, 2]}}, shape=(5, 4, 8)),
    Case({**_MIXED, "data_dim": 3, "fft_padding": ["zero", "circular", "zero"], "use_chunked_fftconv": True}),
)

INVALID = (
    Invalid(
        {**_CONV, "data_dim": 4, "kernel": {**_KERNEL, "data_dim": 2}, "mask": "identity"}, "bad-value", "data_dim"
    ),
    Invalid({k: v for k, v in _CONV.items() if k != "hidden_dim"}, "missing-field", "hidden_dim"),
    Invalid({**_CONV, "grid_type": "triple"}, "bad-value", "grid_type"),
    Invalid({**_CONV, "grid_type": None}, "grid-type", "grid_type"),
    Invalid({**_CONV, "fft_padding": "reflect"}, "bad-value", "fft_padding"),
    Invalid({**_MIXED, "fft_padding": ["zero"]}, "boundary-count", "fft_padding"),
    Invalid({**_MIXED, "grid_type": "double"}, "grid-type", "grid_type"),
    Invalid({**_CIRCULAR, "grid_type": "double"}, "circular-grid", "grid_type"),
    Invalid({**_CIRCULAR, "use_chunked_fftconv": True}, "circular-chunks", "use_chunked_fftconv"),
    Invalid({**_CONV, "is_causal": True}, "causal-rank", "is_causal"),
    Invalid({**_CIRCULAR, "data_dim": 1, "is_causal": True}, "causal-boundary", "fft_padding"),
    Invalid(
        {**_CONV, "grid_type": "single", "kernel": {**_KERNEL, "L_cache": 2}}, "extent-too-small", "kernel.L_cache"
    ),
    Invalid({**_MIXED, "kernel": {**_KERNEL, "L_cache": [2, 5]}}, "extent-too-small", "kernel.L_cache", "at least 3"),
    Invalid({**_CONV, "kernel": {**_KERNEL, "L_cache": 1}}, "extent-too-small", "kernel.L_cache"),
    Invalid({**_CONV, "kernel": {**_KERNEL, "out_dim": 6}}, "mismatch", "kernel.out_dim"),
    Invalid({**_CONV, "kernel": {**_KERNEL, "data_dim": 1}}, "mismatch", "kernel.data_dim"),
    Invalid({**_CONV, "mask": {"type": "gaussian_modulation_nd", "num_channels": 1}}, "mismatch", "mask.num_channels"),
    Invalid({**_CONV, "mask": {"type": "gaussian_modulation_nd", "data_dim": 1}}, "mismatch", "mask.data_dim"),
    Invalid({**_CONV, "mask": "silu"}, "wrong-kind", "mask"),
    Invalid({k: v for k, v in _CONV.items() if k != "mask"}, "missing-field", "mask"),
    Invalid(
        {**_CONV, "kernel": {k: v for k, v in _KERNEL.items() if k != "L_cache"}}, "missing-field", "kernel.L_cache"
    ),
    Invalid({**_CONV, "fft_backend": "cudnn"}, "bad-value", "fft_backend"),
    Invalid({**_CIRCULAR, "fft_backend": "subq_ops"}, "backend", "fft_backend"),
    Invalid({**_CAUSAL, "fft_backend": "subq_ops_fused"}, "backend", "fft_backend"),
)


def ckconv(rng: random.Random) -> Case:
    """A random valid convolution."""
    rank = rng.randint(1, 3)
    kernel = {**_KERNEL, "mlp_hidden_dim": width(rng), "embedding_dim": width(rng), "L_cache": rng.randint(3, 6)}
    config: dict[str, Any] = {
        "type": "ckconv_nd",
        "data_dim": rank,
        "hidden_dim": width(rng),
        "kernel": kernel,
        "mask": rng.choice(["identity", "gaussian_modulation_nd", "exponential_modulation_nd"]),
        "use_chunked_fftconv": False,
    }
    mode = rng.choice(["zero", "circular", "mixed", "causal"])
    if mode == "mixed":
        config["fft_padding"] = [rng.choice(["zero", "circular"]) for _ in range(rank)]
    elif mode == "circular":
        config.update(fft_padding="circular", grid_type="single")
    else:
        config.update(fft_padding="zero", grid_type=rng.choice(["double", "single"]))
        config.update(is_causal=mode == "causal" and rank == 1, use_chunked_fftconv=rng.random() < 0.3)
    shape = (*(width(rng) for _ in range(rank)), config["hidden_dim"])
    if rng.random() < 0.7:
        return Case(config, shape=shape)
    kernel["film"] = {"type": "kernel_film_generator", "cond_dim": width(rng), "film_hidden_dim": width(rng)}
    return Case(config, shape=shape, condition=(kernel["film"]["cond_dim"],))


DRAW = {"ckconv_nd": ckconv}
