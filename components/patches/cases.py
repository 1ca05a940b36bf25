"""What patch embedding, its inverse and learned positions must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width


def _patch(**fields: Any) -> dict[str, Any]:
    return {"type": "patchify", "in_features": 3, "out_features": 5, "data_dim": 2, "patch_size": 2, **fields}


def _unpatch(**fields: Any) -> dict[str, Any]:
    return {"type": "unpatchify", "in_features": 5, "out_features": 3, "data_dim": 2, "patch_size": 2, **fields}


def _position(**fields: Any) -> dict[str, Any]:
    return {"type": "position_embedding_nd", "embedding_dim": 6, "data_dim": 2, "max_dim_lengths": [5, 4], **fields}


CASES = (
    Case(_patch(), shape=(4, 6, 3), params=65, source="nvsubquadratic 0.2.0: Patchify(3, 5, 2, 2)"),
    Case(
        _patch(type="Patchify", data_dim=1, patch_size=3, stride=2, bias=False),
        shape=(9, 3),
        params=45,
        source="nvsubquadratic 0.2.0: Patchify(3, 5, 1, 3, stride=2, bias=False)",
    ),
    Case(_patch(data_dim=3), shape=(4, 5, 2, 3)),
    Case(_patch()),
    Case(_unpatch(), shape=(3, 4, 5), params=63, source="nvsubquadratic 0.2.0: Unpatchify(5, 3, 2, 2)"),
    Case(_unpatch(type="Unpatchify", data_dim=1, stride=1, bias=False, weight_init="zeros"), shape=(4, 5)),
    Case(_unpatch(data_dim=3, weight_init="fan_in", stride=3), shape=(1, 2, 3, 5)),
    Case(_position(), shape=(3, 4, 6), params=27, source="nvsubquadratic 0.2.0: PositionEmbeddingND(6, 2, [5, 4])"),
    Case(_position(type="PositionEmbeddingND", data_dim=3, max_dim_lengths=[2, 3, 4])),
)

INVALID = (
    Invalid(_patch(data_dim=4), "bad-value", "data_dim"),
    Invalid(_patch(patch_size=0), "bad-value", "patch_size"),
    Invalid(_patch(stride=0), "bad-value", "stride"),
    Invalid(_patch(in_features=None), "bad-value", "in_features"),
    Invalid(_patch(weight_init="zeros"), "unknown-field", "weight_init"),
    Invalid({**_patch(patch_size=8), "input": {"shape": [4, 8, 3]}}, "shape", "input.shape", "patch_size=8"),
    Invalid({**_patch(), "input": {"shape": [4, 4, 1]}}, "shape", "input.shape", "width 3"),
    Invalid(_unpatch(weight_init="ones"), "bad-value", "weight_init"),
    Invalid(_unpatch(data_dim=0), "bad-value", "data_dim"),
    Invalid({**_unpatch(), "input": {"shape": [4, 5]}}, "shape", "input.shape"),
    Invalid(_position(embedding_dim=7), "divisible", "embedding_dim"),
    Invalid(_position(max_dim_lengths=[5]), "rank", "max_dim_lengths"),
    Invalid(_position(max_dim_lengths=5), "bad-value", "max_dim_lengths"),
    Invalid({**_position(), "input": {"shape": [6, 4, 6]}}, "shape", "input.shape", "at most"),
)


def patchify(rng: random.Random) -> Case:
    """A random valid patch embedding."""
    rank, patch, features = rng.randint(1, 3), width(rng, high=4), width(rng)
    config = _patch(in_features=features, out_features=width(rng), data_dim=rank, patch_size=patch)
    config |= {"stride": rng.choice([None, 1, 3]), "bias": rng.random() < 0.5}
    return Case(config, shape=(*(width(rng, low=patch, high=9) for _ in range(rank)), features))


def unpatchify(rng: random.Random) -> Case:
    """A random valid inverse patch embedding."""
    rank, features = rng.randint(1, 3), width(rng)
    config = _unpatch(in_features=features, out_features=width(rng), data_dim=rank, patch_size=width(rng, high=4))
    config |= {"stride": rng.choice([None, 1, 3]), "bias": rng.random() < 0.5}
    config["weight_init"] = rng.choice(["default", "zeros", "fan_in"])
    return Case(config, shape=(*(width(rng, high=4) for _ in range(rank)), features))


def position_embedding_nd(rng: random.Random) -> Case:
    """A random valid position embedding."""
    rank = rng.randint(1, 3)
    dim, lengths = width(rng, rank), [width(rng) for _ in range(rank)]
    config = _position(embedding_dim=dim, data_dim=rank, max_dim_lengths=lengths)
    return Case(config, shape=(*(rng.randint(1, length) for length in lengths), dim))


DRAW = {"patchify": patchify, "unpatchify": unpatchify, "position_embedding_nd": position_embedding_nd}
