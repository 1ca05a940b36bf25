"""What the SIREN kernels and their first layers must accept and refuse."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from registry.cases import Case, Invalid, width

_KERNEL: dict[str, Any] = {
    "out_dim": 8,
    "data_dim": 2,
    "mlp_hidden_dim": 16,
    "num_layers": 3,
    "embedding_dim": 16,
    "L_cache": 5,
    "use_bias": True,
}
_SIREN = {"type": "siren_kernel_nd", **_KERNEL, "omega_0": 10.0}
_MULTI = {"type": "multi_omega_siren_kernel_nd", **_KERNEL, "omega_0_per_row": [1.0 + i for i in range(16)]}
_LEARNABLE = {"type": "learnable_omega_siren_kernel_nd", **_KERNEL, "omega_0": 10.0}
_BLOCKS = {"type": "block_diagonal_multi_omega_siren_kernel_nd", **_KERNEL, "num_blocks": 4}
_BLOCKS_LEARNABLE = {"type": "block_diagonal_learnable_omega_siren_kernel_nd", **_KERNEL, "num_blocks": 4}
_FILM = {"type": "kernel_film_generator", "cond_dim": 6, "film_hidden_dim": 10}

_EMBEDDING: dict[str, Any] = {"data_dim": 2, "embedding_dim": 6, "L_cache": 4}
_SIREN_PE = {"type": "siren_positional_embedding_nd", **_EMBEDDING, "omega_0": 10.0}
_MULTI_PE = {
    "type": "multi_omega_siren_positional_embedding_nd",
    **_EMBEDDING,
    "omega_0_per_row": [1, 2, 3, 4, 5, 6.5],
}
_LEARNABLE_PE = {"type": "learnable_omega_siren_positional_embedding_nd", **_EMBEDDING, "omega_0": 10.0}

_REFERENCE = "nvsubquadratic 0.2.0: kernel of 16 wide layers, 8 channels"

CASES = (
    Case({**_SIREN, "type": "SIRENKernelND"}, params=728, source=_REFERENCE),
    Case({**_SIREN, "use_bias": False, "num_layers": 2, "hidden_omega_0": 3.0}, shape=(7, 3)),
    Case({**_SIREN, "L_cache": [5, 4], "film": _FILM}, shape=(5, 4), condition=(6,)),
    Case({**_SIREN, "L_cache": [5, 4], "film": _FILM}, shape=(5, 4)),
    Case({**_SIREN, "film": _FILM, "film_after_pos_embed": True}, condition=(6,), shape=(4, 4)),
    Case({**_MULTI, "type": "MultiOmegaSIRENKernelND"}, params=728, source=_REFERENCE),
    Case({**_LEARNABLE, "type": "LearnableOmegaSIRENKernelND"}, params=744, source=_REFERENCE),
    Case(
        {
            **_LEARNABLE,
            "omega_0_scale_init": [0.5 + 0.01 * i for i in range(16)],
            "omega_0_scale_min": 0.5,
            "omega_0_scale_max": 0.75,
            "apply_lr_scale": True,
            "use_bias": False,
        }
    ),
    Case({**_LEARNABLE, "omega_0_scale_min": 1.0, "omega_0_scale_max": 1.0}),
    Case({**_BLOCKS, "type": "BlockDiagonalMultiOmegaSIRENKernelND"}, params=728, source=_REFERENCE),
    Case({**_BLOCKS, "schedule": "log", "omega_0_min": 2, "omega_0_max": 20.0, "off_block_scale": 0.0}),
    Case({**_BLOCKS, "omega_0_per_block": [1, 2, 4, 8], "num_layers": 4, "data_dim": 1}),
    Case({**_BLOCKS_LEARNABLE, "type": "BlockDiagonalLearnableOmegaSIRENKernelND"}, params=744, source=_REFERENCE),
    Case(
        {
            **_BLOCKS_LEARNABLE,
            "data_dim": 3,
            "L_cache": [3, 2, 4],
            "omega_0_min": 0.5,
            "omega_0_max": 50.0,
            "schedule": "log",
            "omega_0_scale_min": 0.01,
            "omega_0_scale_max": 1.0,
            "apply_lr_scale": True,
        }
    ),
    Case({**_BLOCKS_LEARNABLE, "num_blocks": 1, "omega_0_max": 1000.0}),
    Case({**_BLOCKS_LEARNABLE, "num_blocks": 1, "omega_0_scale_min": 1.0, "omega_0_scale_max": 1.0}),
    Case({**_BLOCKS, "omega_0_min": 12.0, "omega_0_max": 12.0}),
    Case({**_BLOCKS, "omega_0_min": 20.0, "omega_0_per_block": [4, 3, 2, 1]}),
    Case({**_BLOCKS, "omega_0_extent": 3}, warns=("omega-extent",)),
    Case({**_BLOCKS, "omega_0_extent": 3, "scale_omega_0": True}),
    Case({**_BLOCKS, "omega_0_extent": 5}),
    Case({**_SIREN_PE, "type": "SIRENPositionalEmbeddingND"}, params=18, source="nvsubquadratic 0.2.0: 6 x 2 + 6"),
    Case({**_SIREN_PE, "data_dim": 3, "L_cache": [4, 3, 2], "use_bias": False}, shape=(5, 3, 4)),
    Case({**_MULTI_PE, "type": "MultiOmegaSIRENPositionalEmbeddingND"}),
    Case({**_LEARNABLE_PE, "type": "LearnableOmegaSIRENPositionalEmbeddingND"}, params=24),
    Case({**_LEARNABLE_PE, "omega_0_scale_init": 0.02, "use_bias": False, "data_dim": 1}),
)

INVALID = (
    Invalid({**_SIREN, "num_layers": 1}, "bad-value", "num_layers"),
    Invalid({**_SIREN, "omega_0": 0.0}, "bad-value", "omega_0"),
    Invalid({**_SIREN, "hidden_omega_0": 0}, "bad-value", "hidden_omega_0"),
    Invalid({**_SIREN, "L_cache": True}, "bad-value", "L_cache"),
    Invalid({**_SIREN, "L_cache": 1}, "extent-too-small", "L_cache"),
    Invalid({**_SIREN, "L_cache": [5, 1]}, "extent-too-small", "L_cache"),
    Invalid({**_SIREN, "L_cache": [5, 4, 3]}, "extent-count", "L_cache"),
    Invalid({**_SIREN, "data_dim": 4}, "bad-value", "data_dim"),
    Invalid({**_SIREN, "omega": 1.0}, "unknown-field", "omega"),
    Invalid({"type": "siren_kernel_nd", **_KERNEL}, "missing-field", "omega_0"),
    Invalid(
        {**_SIREN, "embedding_dim": 24, "film": _FILM, "film_after_pos_embed": True}, "film-width", "embedding_dim"
    ),
    Invalid({**_SIREN, "film": {**_FILM, "num_film_layers": 3}}, "mismatch", "film.num_film_layers"),
    Invalid({**_SIREN, "film": {**_FILM, "kernel_hidden_dim": 24}}, "mismatch", "film.kernel_hidden_dim"),
    Invalid({**_MULTI, "omega_0_per_row": [1.0, 2.0]}, "row-count", "omega_0_per_row"),
    Invalid({**_MULTI, "omega_0_per_row": []}, "bad-value", "omega_0_per_row"),
    Invalid({**_MULTI_PE, "omega_0_per_row": [1.0, 2.0]}, "row-count", "omega_0_per_row"),
    Invalid({**_LEARNABLE, "omega_0_scale_min": 3.0}, "empty-range", "omega_0_scale_max"),
    Invalid({**_LEARNABLE, "omega_0_scale_init": [1.0]}, "row-count", "omega_0_scale_init"),
    Invalid({**_LEARNABLE, "omega_0_scale_init": 2.5}, "scale-outside-range", "omega_0_scale_init"),
    Invalid({**_LEARNABLE_PE, "omega_0_scale_init": 0.001}, "scale-outside-range", "omega_0_scale_init"),
    Invalid({**_SIREN_PE, "L_cache": 1}, "extent-too-small", "L_cache"),
    Invalid({**_BLOCKS, "num_blocks": 0}, "bad-value", "num_blocks"),
    Invalid({**_BLOCKS, "num_blocks": 3}, "block-width", "num_blocks"),
    Invalid({**_BLOCKS, "out_dim": 6}, "block-width", "out_dim"),
    Invalid({**_BLOCKS, "omega_0_min": 20.0}, "omega-order", "omega_0_max"),
    Invalid({**_BLOCKS, "schedule": "cubic"}, "bad-value", "schedule"),
    Invalid({**_BLOCKS, "omega_0_per_block": [1.0, 2.0]}, "block-count", "omega_0_per_block"),
    Invalid({**_BLOCKS_LEARNABLE, "omega_0_max": 200.0}, "scale-outside-range", "omega_0_scale_min"),
    Invalid(
        {**_BLOCKS_LEARNABLE, "num_blocks": 1, "omega_0_scale_min": 1.5}, "scale-outside-range", "omega_0_scale_min"
    ),
    Invalid({**_BLOCKS_LEARNABLE, "omega_0_scale_max": 0.5}, "scale-outside-range", "omega_0_scale_max"),
    Invalid({**_BLOCKS_LEARNABLE, "omega_0_scale_min": 2.5}, "empty-range", "omega_0_scale_max"),
)


def _grid(rng: random.Random) -> dict[str, Any]:
    rank = rng.randint(1, 3)
    extents: Any = [rng.randint(2, 5) for _ in range(rank)]
    return {"data_dim": rank, "L_cache": extents if rng.random() < 0.5 else extents[0], "use_bias": rng.random() < 0.7}


def _omega(kind: str, rng: random.Random, rows: int) -> dict[str, Any]:
    """The fields that fix the frequencies of one kind of embedding."""
    if kind.startswith("multi"):
        return {"omega_0_per_row": [round(rng.uniform(0.5, 20.0), 3) for _ in range(rows)]}
    fields: dict[str, Any] = {"omega_0": rng.choice([1, 10.0, 17.5])}
    if kind.startswith("learnable") and rng.random() < 0.5:
        fields["omega_0_scale_init"] = rng.choice([0.5, [0.1 + 0.1 * i for i in range(min(rows, 19))][:rows]])
        fields["apply_lr_scale"] = rng.random() < 0.5
        if isinstance(fields["omega_0_scale_init"], list) and len(fields["omega_0_scale_init"]) != rows:
            fields["omega_0_scale_init"] = 1.0
    return fields


def _blocks(kind: str, rng: random.Random, blocks: int) -> dict[str, Any]:
    """The fields of block-diagonal kernels."""
    fields: dict[str, Any] = {"num_blocks": blocks, "schedule": rng.choice(["linear", "log"])}
    if rng.random() < 0.3:
        fields["omega_0_per_block"] = [1.0 + i for i in range(blocks)]
    if "learnable" in kind:
        fields["omega_0_scale_min"] = 0.05
    return fields


def _drawn_embedding(kind: str) -> Callable[[random.Random], Case]:
    def draw(rng: random.Random) -> Case:
        rows = width(rng)
        config = {"type": f"{kind}siren_positional_embedding_nd", "embedding_dim": rows, **_grid(rng)}
        config.update(_omega(kind, rng, rows))
        return Case(config, shape=tuple(width(rng) for _ in range(config["data_dim"])))

    return draw


def _drawn_kernel(kind: str) -> Callable[[random.Random], Case]:
    def draw(rng: random.Random) -> Case:
        blocks = rng.randint(1, 3) if kind.startswith("block") else 1
        rows = width(rng, blocks)
        config: dict[str, Any] = {
            "type": f"{kind}siren_kernel_nd",
            "out_dim": width(rng, blocks),
            "mlp_hidden_dim": width(rng, blocks),
            "num_layers": rng.randint(2, 4),
            "embedding_dim": rows,
            **_grid(rng),
            **(_blocks(kind, rng, blocks) if kind.startswith("block") else _omega(kind, rng, rows)),
        }
        shape = tuple(width(rng) for _ in range(config["data_dim"]))
        if rng.random() < 0.5:
            return Case(config, shape=shape)
        config["film"] = {"type": "kernel_film_generator", "cond_dim": width(rng), "film_hidden_dim": width(rng)}
        if rng.random() < 0.5:
            config.update(film_after_pos_embed=True, mlp_hidden_dim=rows)
        return Case(config, shape=shape, condition=(config["film"]["cond_dim"],))

    return draw


_KINDS = ("", "multi_omega_", "learnable_omega_")
_BLOCK_KINDS = ("block_diagonal_multi_omega_", "block_diagonal_learnable_omega_")
DRAW = {
    **{f"{kind}siren_positional_embedding_nd": _drawn_embedding(kind) for kind in _KINDS},
    **{f"{kind}siren_kernel_nd": _drawn_kernel(kind) for kind in (*_KINDS, *_BLOCK_KINDS)},
}
