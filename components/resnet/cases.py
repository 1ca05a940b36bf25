"""What the residual networks must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width

MLP = {"type": "mlp", "activation": "glu", "expansion_factor": 2.0}


ATTENTION = {"type": "attention", "num_heads": 2, "apply_qk_norm": True, "use_rope": True}
FILM = {"type": "kernel_film_generator", "cond_dim": 4}


def block(rank: int, norm: str = "rms_norm", film: dict[str, Any] | None = None) -> dict[str, Any]:
    """A residual block with Hyena over `rank` axes; its widths follow from the network."""
    kernel: dict[str, Any] = {"type": "siren_kernel_nd", "mlp_hidden_dim": 6, "num_layers": 3, "embedding_dim": 4}
    kernel |= {"omega_0": 5.0, **({"film": film} if film else {})}
    conv = {"type": "ckconv_nd", "kernel": {**kernel, "L_cache": 6, "use_bias": True}, "mask": "gaussian_modulation_nd"}
    hyena = {
        "type": "hyena",
        "global_conv": {**conv, "grid_type": "double", "fft_padding": "zero"},
        "short_conv": {"type": f"conv{rank}d", "kernel_size": 3, "padding": 1, "groups": "depthwise"},
        "gate_nonlinear": "silu",
        "pixelhyena_norm": "rms_norm",
        "qk_norm": "l2_norm",
    }
    return {
        "type": "residual_block",
        "sequence_mixer": {"type": "qkv_sequence_mixer", "mixer": hyena},
        "sequence_mixer_norm": norm,
        "condition_mixer": "identity",
        "condition_mixer_norm": "identity",
        "mlp": MLP,
        "mlp_norm": norm,
        "dropout": {"type": "dropout", "p": 0.0},
    }


def net(kind: str = "residual_network", rank: int = 2, **fields: Any) -> dict[str, Any]:
    """A small network from 3 channels to 5."""
    found = {
        "type": kind,
        "in_channels": 3,
        "out_channels": 5,
        "num_blocks": 2,
        "hidden_dim": 8,
        "data_dim": rank,
        "in_proj": "linear",
        "out_proj": "linear",
        "norm": "rms_norm",
        "block": block(rank),
        "dropout_in": {"type": "dropout", "p": 0.0},
    }
    return {**found, **fields}


def mixed(rank: int, mixer: dict[str, Any] | str) -> dict[str, Any]:
    """A network whose blocks mix in another way."""
    return net(rank=rank, block={**block(rank), "sequence_mixer": mixer})


def alternating(pattern: str = "SAS", **fields: Any) -> dict[str, Any]:
    """A network over sequences whose blocks are state spaces and causal attention, in the order of `pattern`."""
    attention = {"type": "attention", "num_heads": 2, "apply_qk_norm": True, "use_rope": False, "is_causal": True}
    types = {
        "S": {**block(1), "sequence_mixer": {"type": "s4d", "d_state": 4}},
        "A": {**block(1), "sequence_mixer": {"type": "qkv_sequence_mixer", "mixer": attention}},
    }
    found = {key: value for key, value in net(rank=1).items() if key not in ("block", "num_blocks")}
    return {**found, "layer_pattern": pattern, "layer_types": types, **fields}


def conditioned(**fields: Any) -> dict[str, Any]:
    """A network whose blocks are conditioned by a vector of 8 channels."""
    adaln = {
        "type": "adaln_zero_residual_block",
        "sequence_mixer": block(2)["sequence_mixer"],
        "sequence_mixer_norm": "layer_norm",
        "mlp": MLP,
        "mlp_norm": "layer_norm",
        "condition_norm": "layer_norm",
        "dropout": "identity",
    }
    return net(block=adaln, **fields)


_STATE_SPACE = {**block(1), "sequence_mixer": {"type": "s4d", "d_state": 4}}
_THREE_HEADS = {
    **block(1),
    "sequence_mixer": {"type": "qkv_sequence_mixer", "mixer": {**ATTENTION, "use_rope": False, "num_heads": 3}},
}
"""Three heads do not fit the network, which matters only where a block is of that type."""
_PATCHES: dict[str, Any] = {
    "in_proj": {"type": "patchify", "patch_size": 2},
    "out_proj": {"type": "unpatchify", "patch_size": 2},
}

CASES = (
    Case(net(), shape=(5, 4, 3)),
    Case(net(type="ResidualNetwork", target_size=2, gradient_checkpointing=True), shape=(5, 4, 3)),
    Case(net(target_size=[1, 3]), shape=(5, 4, 3)),
    Case(net(rank=1, target_size=1), shape=(6, 3)),
    Case(net(rank=3, num_blocks=1), shape=(2, 3, 4, 3)),
    Case(net(**_PATCHES), shape=(4, 6, 3)),
    Case(conditioned(), shape=(5, 4, 3), condition=(8,)),
    Case(conditioned(condition_in_proj="linear"), shape=(5, 4, 3), condition=(8,)),
    Case(net("classification_resnet"), shape=(5, 4, 3)),
    Case(alternating(), shape=(6, 3)),
    Case(alternating("ASSA", type="classification_resnet", num_blocks=4, gradient_checkpointing=True), shape=(6, 3)),
    Case(alternating("S"), shape=(6, 3)),
    Case(alternating("S", layer_types={"S": _STATE_SPACE, "A": _THREE_HEADS}), shape=(6, 3)),
    Case(net("ClassificationResNet", rank=1, in_proj={"type": "linear", "bias": False}), shape=(6, 3)),
    Case(conditioned(type="classification_resnet"), shape=(5, 4, 3), condition=(8,)),
)

INVALID = (
    Invalid(net(target_size=[1, 2, 3]), "target-rank", "target_size"),
    Invalid(net(target_size=0), "bad-value", "target_size"),
    Invalid(net(in_proj="identity"), "identity-width", "in_proj", "in_channels=3"),
    Invalid(net(out_proj="identity"), "identity-width", "out_proj", "out_channels=5"),
    Invalid(net(norm="rms_norm_channel_first"), "channels-first", "norm"),
    Invalid({**conditioned(), "input": {"shape": [5, 4, 3]}}, "missing-condition", "input.condition", "width 8"),
    Invalid({**net(target_size=6), "input": {"shape": [5, 4, 3]}}, "shape", "target_size", "target_size"),
    Invalid({**net(), "input": {"shape": [5, 4, 2]}}, "shape", "input.shape"),
    Invalid(net(data_dim=4), "bad-value", "data_dim"),
    Invalid(net(num_blocks=0), "bad-value", "num_blocks"),
    Invalid(net(in_proj={"type": "linear", "in_features": 4}), "mismatch", "in_proj.in_features"),
    Invalid(net(out_proj={"type": "linear", "out_features": 4}), "mismatch", "out_proj.out_features"),
    Invalid(net(norm={"type": "rms_norm", "dim": 7}), "mismatch", "norm.dim"),
    Invalid(net(block="rms_norm"), "wrong-kind", "block"),
    Invalid(alternating(num_blocks=4), "pattern-length", "num_blocks", "3"),
    Invalid(alternating("SAX"), "unknown-layer-type", "layer_pattern", "A, S"),
    Invalid(alternating(layer_types=None), "pattern-and-types", "layer_types"),
    Invalid(alternating(block=block(1)), "block-or-pattern", "block"),
    Invalid(net(block=None), "no-blocks", "layer_pattern"),
    Invalid(alternating("S", layer_types={"S": block(1), "SA": block(1)}), "layer-type-name", "layer_types"),
    Invalid(alternating("S-A", num_blocks=3), "bad-value", "layer_pattern"),
    Invalid(net(in_proj="identity"), "identity-width", "in_proj"),
    Invalid(mixed(2, "s4"), "sequence-rank", "block.sequence_mixer.type"),
    Invalid(
        mixed(2, {"type": "vit5_attention", "num_heads": 2, "num_patches_h": 2, "num_patches_w": 2}),
        "sequence-rank",
        "block.sequence_mixer.type",
    ),
    Invalid(mixed(1, {"type": "s4", "transposed": True}), "transposed", "block.sequence_mixer.transposed"),
    Invalid(
        mixed(1, {"type": "s4", "channels": 2, "final_act": "none"}), "output-width", "block.sequence_mixer.final_act"
    ),
    Invalid(
        mixed(2, {"type": "qkv_sequence_mixer", "mixer": {**ATTENTION, "rope_spatial_dims": [3]}}),
        "rank",
        "block.sequence_mixer.mixer.rope_spatial_dims",
    ),
    Invalid(net(block={**block(2), "mlp_norm": "rms_norm_channel_first"}), "channels-first", "block.mlp_norm"),
    Invalid(net(block=block(2, film=FILM)), "unused-conditioning", "block.sequence_mixer"),
    Invalid(net("classification_resnet", target_size=2), "unknown-field", "target_size"),
    Invalid(net("classification_resnet", out_channels=0), "bad-value", "out_channels"),
)


def _random(kind: str, rng: random.Random) -> Case:
    """A random valid network."""
    rank, channels = rng.randint(1, 3), width(rng)
    config = net(
        kind,
        rank,
        in_channels=channels,
        out_channels=width(rng),
        num_blocks=rng.randint(1, 3),
        hidden_dim=2 * width(rng),
        block=block(rank, rng.choice(["rms_norm", "layer_norm"])),
        norm=rng.choice(["rms_norm", "layer_norm", "identity"]),
        in_proj={"type": "linear", "bias": rng.random() < 0.5},
        dropout_in=rng.choice(["identity", {"type": "dropout", "p": 0.1}]),
    )
    if rank == 1 and rng.random() < 0.5:
        pattern = "".join(rng.choice("SA") for _ in range(rng.randint(1, 4)))
        chosen = alternating(pattern, in_proj=config["in_proj"], dropout_in=config["dropout_in"])
        config = {**chosen, **{key: config[key] for key in ("type", "in_channels", "out_channels", "norm")}}
        config["hidden_dim"] = 4 * width(rng)
    if kind == "residual_network":
        config["target_size"] = rng.choice([None, 1, 2, [rng.randint(1, 2) for _ in range(rank)]])
    return Case(config, shape=(*(rng.randint(2, 5) for _ in range(rank)), channels))


DRAW = {
    "residual_network": lambda rng: _random("residual_network", rng),
    "classification_resnet": lambda rng: _random("classification_resnet", rng),
}
