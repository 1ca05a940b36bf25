"""What the ViT-5 components must accept and refuse."""

from __future__ import annotations

import random
from typing import Any

from registry.cases import Case, Invalid, width

MLP = {"type": "mlp", "activation": "gelu", "expansion_factor": 2.0}
POOLING = {"type": "register_pooling"}
FILM = {"type": "kernel_film_generator", "film_hidden_dim": 4}


def attention(**fields: Any) -> dict[str, Any]:
    """Attention whose widths and numbers of tokens follow from the network."""
    return {"type": "vit5_attention", "num_heads": 2, "qk_norm": "rms_norm", **fields}


def alone(**fields: Any) -> dict[str, Any]:
    """Attention on its own, so that everything is written: 3 x 4 patches, a class token, 4 registers."""
    return attention(**{"hidden_dim": 24, "num_heads": 3, "num_patches_h": 3, "num_patches_w": 4, **fields})


def mixer(film: bool = False, **kernel: Any) -> dict[str, Any]:
    """A 2-D Hyena between projections; its widths follow from the network."""
    siren = {"type": "siren_kernel_nd", "mlp_hidden_dim": 6, "num_layers": 3, "embedding_dim": 4, "omega_0": 5.0}
    conv = {
        "type": "ckconv_nd",
        "kernel": {**siren, "use_bias": True, **({"film": FILM} if film else {}), **kernel},
        "mask": "gaussian_modulation_nd",
        "grid_type": "double",
        "fft_padding": "zero",
    }
    hyena = {
        "type": "hyena",
        "global_conv": conv,
        "short_conv": {"type": "conv2d", "kernel_size": 3, "padding": 1, "groups": "depthwise", "bias": False},
        "gate_nonlinear": "silu",
        "pixelhyena_norm": "rms_norm",
        "qk_norm": "l2_norm",
        "output_norm": "rms_norm",
        "gate_nonlinear_2": "sigmoid",
    }
    return {"type": "qkv_sequence_mixer", "mixer": hyena}


def adapter(film: bool = False, **fields: Any) -> dict[str, Any]:
    """The same mixer, seen by tokens."""
    return {"type": "vit5_hyena_adapter", "inner_mixer": mixer(film), **fields}


def block(sequence_mixer: dict[str, Any] | str, **fields: Any) -> dict[str, Any]:
    """A block with one of the mixers above."""
    found = {
        "type": "vit5_residual_block",
        "sequence_mixer": sequence_mixer,
        "sequence_mixer_norm": "rms_norm",
        "mlp": MLP,
        "mlp_norm": "rms_norm",
    }
    return {**found, **fields}


def alone_mixer(film: bool = False) -> dict[str, Any]:
    """The Hyena mixer on its own: 8 channels on at most 6 x 6 points."""
    found = mixer(film, L_cache=6)
    found["mixer"]["global_conv"]["data_dim"] = 2
    return {**found, "hidden_dim": 8}


def net(**fields: Any) -> dict[str, Any]:
    """A small classifier of 4 x 4 patches; attention and Hyena alternate unless told otherwise."""
    found = {
        "type": "vit5_classification_net",
        "in_channels": 3,
        "num_classes": 5,
        "hidden_dim": 16,
        "patch_size": 4,
        "image_size": 16,
        "num_registers": 4,
        "norm": "rms_norm",
        "readout": "cls",
        "layer_pattern": "HAHA",
        "layer_types": {"H": block(adapter(), grn="global_response_norm"), "A": block(attention())},
    }
    return {**found, **fields}


def uniform(one: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A classifier made of equal blocks, without padding."""
    return net(**{"block": one, "num_blocks": 2, "layer_pattern": None, "layer_types": None, **fields})


def in_blocks(**kernel: Any) -> dict[str, Any]:
    """A block of a Hyena with a block-diagonal kernel."""
    found = mixer()
    found["mixer"]["global_conv"] |= {
        "kernel": {
            "type": "block_diagonal_multi_omega_siren_kernel_nd",
            **{"num_blocks": 2, "mlp_hidden_dim": 6, "num_layers": 3, "embedding_dim": 4, "use_bias": True},
            **kernel,
        },
        "mask": "identity",
    }
    return block({"type": "vit5_hyena_adapter", "inner_mixer": found})


def blocks(**kernel: Any) -> dict[str, Any]:
    """A network of one Hyena with a block-diagonal kernel."""
    return net(layer_pattern="H", layer_types={"H": in_blocks(**kernel)}, scale_omega_0=True)


def along_the_tokens(**kernel: Any) -> dict[str, Any]:
    """A block of a 1-D Hyena over the sequence of tokens."""
    found = mixer(**kernel)
    found["mixer"]["short_conv"] |= {"type": "conv1d"}
    return block(found)


def without(config: dict[str, Any], field: str) -> dict[str, Any]:
    """`config` with a field left out."""
    return {name: value for name, value in config.items() if name != field}


_ALONE = {"type": "vit5_hyena_adapter", "inner_mixer": alone_mixer(), "grid_w": 4}
_FILMED = block({**_ALONE, "inner_mixer": alone_mixer(True)}, hidden_dim=8, num_registers=4, register_start_idx=13)
_INITS = {"init_fn_qkv_proj": {"type": "trunc_normal", "std": 0.02}, "init_fn_out_proj": "trunc_normal"}
_KERNEL = "layer_types.H.sequence_mixer.inner_mixer.mixer.global_conv.kernel"
_ALONG = "block.sequence_mixer.mixer.global_conv.kernel"
_SOURCE = "nvsubquadratic 0.2.0, built with these options"

CASES = (
    Case(alone(), params=24 * 24 * 4 + 2 * 8, source=_SOURCE),
    Case(alone(type="ViT5Attention", qk_norm=None, qkv_bias=True, out_proj_bias=True, scale=0.3, **_INITS)),
    Case(alone(num_registers=0, has_cls=False, qk_norm="l2_norm", rope_base=50.0, reg_rope_base=7.0)),
    Case(alone(attn_dropout=0.1, proj_dropout=0.2)),
    Case(_ALONE, shape=(20, 8)),
    Case({**_ALONE, "type": "ViT5HyenaAdapter"}, shape=(12, 8)),
    Case({**_ALONE, "grid_w": 5}, shape=(20, 8)),
    Case(block(alone(), hidden_dim=24)),
    Case(block(alone(), hidden_dim=24, type="ViT5ResidualBlock", layer_scale_init=0.0, drop_path_rate=0.5)),
    Case(block(_ALONE, hidden_dim=8, grn="global_response_norm"), shape=(20, 8)),
    Case({**_FILMED, "register_pooling": POOLING}, shape=(20, 8)),
    Case(
        block("identity", hidden_dim=6, sequence_mixer_norm="identity", mlp="identity", mlp_norm="identity"),
        shape=(3, 6),
    ),
    Case(net()),
    Case(net(type="ViT5ClassificationNet", max_drop_path_rate=0.3, drop_path_schedule="linear", num_blocks=4)),
    Case(net(readout="gap", reg_init="zeros", dropout_rate=0.1)),
    Case(net(readout="register_concat", neck_compression_ratio=4, max_drop_path_rate=0.1)),
    Case(uniform(block(attention()), num_registers=0)),
    Case(uniform(block(adapter()), num_registers=0, readout="gap", num_blocks=1, drop_path_schedule="linear")),
    Case(net(layer_pattern="XA", padding_types=["X"], layer_types={"X": block(adapter()), "A": block(attention())})),
    Case(net(layer_pattern="H", layer_types={"H": block(adapter(True), register_pooling=POOLING)})),
    Case(net(neck_compression_ratio=3)),
    Case(blocks(scale_omega_0=True)),
    Case(uniform(in_blocks(scale_omega_0=True), readout="gap", scale_omega_0=True)),
    Case(uniform(along_the_tokens(L_cache=21))),
    Case(net(layer_pattern="SA", layer_types={"S": along_the_tokens(L_cache=21), "A": block(attention())})),
    Case(net(layer_pattern="A", layer_types={"A": block(attention()), "B": block(attention(num_heads=3))})),
)

_INNER_TYPE = "block.sequence_mixer.inner_mixer.type"

INVALID = (
    Invalid(alone(num_heads=5), "heads", "num_heads", "num_heads=5"),
    Invalid(alone(qk_norm={"type": "l2_norm", "dim": 1}), "channels-first", "qk_norm"),
    Invalid(alone(num_heads=4), "rotary-width", "num_heads", "24 / 4 = 6"),
    Invalid(alone(num_registers=8), "square-registers", "num_registers", "got 8"),
    Invalid(without(alone(), "num_patches_h"), "missing-field", "num_patches_h"),
    Invalid(alone(qk_norm={"type": "rms_norm", "dim": 24}), "mismatch", "qk_norm.dim"),
    Invalid(alone(attn_dropout=1.5), "bad-value", "attn_dropout"),
    Invalid(alone(scale=0.0), "bad-value", "scale"),
    Invalid(without(_ALONE, "grid_w"), "missing-field", "grid_w"),
    Invalid({**_ALONE, "grid_w": 0}, "bad-value", "grid_w"),
    Invalid({**_ALONE, "inner_mixer": "hyena"}, "wrong-kind", "inner_mixer"),
    Invalid(
        block(alone(), sequence_mixer_norm="identity", mlp_norm="identity", mlp={**MLP, "dim": 24}),
        "missing-field",
        "hidden_dim",
    ),
    Invalid(block(alone(), hidden_dim=24, drop_path_rate=1.5), "bad-value", "drop_path_rate"),
    Invalid(block(alone(), hidden_dim=24, layer_scale_init=-1.0), "bad-value", "layer_scale_init"),
    Invalid(
        block(alone(), hidden_dim=24, register_pooling=POOLING, num_registers=4),
        "unused-conditioning",
        "register_pooling",
    ),
    Invalid(_FILMED, "missing-conditioning", "register_pooling"),
    Invalid(
        without({**_FILMED, "register_pooling": {**POOLING, "num_registers": 4}}, "num_registers"),
        "no-registers",
        "num_registers",
    ),
    Invalid(
        {**_FILMED, "register_pooling": {**POOLING, "num_registers": 3}}, "mismatch", "register_pooling.num_registers"
    ),
    Invalid(uniform(block(adapter(inner_mixer=attention())), readout="gap"), "sequence-rank", _INNER_TYPE),
    Invalid(uniform(block(adapter(inner_mixer=adapter())), readout="gap"), "sequence-rank", _INNER_TYPE),
    Invalid(uniform(block(adapter()), patch_size=16, num_registers=0, readout="gap"), "extent-too-small", "image_size"),
    Invalid(uniform(block(attention()), layer_scale_init=1.0), "unknown-field", "layer_scale_init"),
    Invalid(uniform(block(attention(), grn="rms_norm_channel_first")), "channels-first", "block.grn"),
    Invalid(
        uniform(block(attention(), sequence_mixer_norm={"type": "l2_norm", "dim": 1})),
        "channels-first",
        "block.sequence_mixer_norm",
    ),
    Invalid(uniform(block(attention(), mlp_norm="rms_norm_channel_first")), "channels-first", "block.mlp_norm"),
    Invalid(net(patch_size=5), "patch-size", "patch_size"),
    Invalid(net(patch_size=32), "patch-size", "patch_size"),
    Invalid(net(readout="mean"), "bad-value", "readout"),
    Invalid(net(reg_init="ones"), "bad-value", "reg_init"),
    Invalid(net(num_blocks=5), "pattern-length", "num_blocks", "4"),
    Invalid(net(layer_pattern="HAHX"), "unknown-layer-type", "layer_pattern", "A, H"),
    Invalid(net(layer_types=None), "pattern-and-types", "layer_types"),
    Invalid(net(block=block(attention())), "block-or-pattern", "block"),
    Invalid(without(uniform(block(attention())), "block"), "no-blocks", "layer_pattern"),
    Invalid(
        net(layer_types={"H": block(adapter()), "A": block(attention()), "HA": block(attention())}),
        "layer-type-name",
        "layer_types",
    ),
    Invalid(net(readout="register_concat"), "missing-ratio", "neck_compression_ratio"),
    Invalid(net(readout="register_concat", neck_compression_ratio=3), "neck-width", "neck_compression_ratio"),
    Invalid(net(readout="register_concat", neck_compression_ratio=4, num_registers=0), "no-registers", "num_registers"),
    Invalid(net(num_registers=5), "square-registers", "num_registers"),
    Invalid(net(padding_types=["A", "H"]), "token-count", "padding_types"),
    Invalid(net(padding_types=[]), "grid-width", "padding_types"),
    Invalid(uniform(block(adapter())), "grid-width", "num_registers"),
    Invalid(blocks(L_cache=9), "extent-differs", f"{_KERNEL}.L_cache"),
    Invalid(blocks(scale_omega_0=False), "scale-omega", f"{_KERNEL}.scale_omega_0"),
    Invalid(
        uniform(in_blocks(scale_omega_0=False), readout="gap", scale_omega_0=True),
        "scale-omega",
        _KERNEL.replace("layer_types.H", "block") + ".scale_omega_0",
    ),
    Invalid(uniform(along_the_tokens(L_cache=20)), "extent-differs", f"{_ALONG}.L_cache", "to be 21"),
    Invalid(
        net(layer_pattern="S", layer_types={"S": along_the_tokens(L_cache=24)}, padding_types=[]),
        "extent-differs",
        _ALONG.replace("block", "layer_types.S") + ".L_cache",
    ),
    Invalid(
        block(alone(hidden_dim=48, num_heads=6), hidden_dim=24), "mismatch", "sequence_mixer.hidden_dim", "to be 24"
    ),
    Invalid(uniform(block(attention(has_cls=True)), readout="gap"), "mismatch", "block.sequence_mixer.has_cls"),
    Invalid(uniform(block(attention(num_registers=9))), "mismatch", "block.sequence_mixer.num_registers", "to be 4"),
    Invalid(uniform(block(attention(), register_start_idx=1)), "mismatch", "block.register_start_idx", "to be 17"),
)


def _attention(rng: random.Random) -> Case:
    heads, registers = rng.choice([1, 2, 3]), rng.choice([0, 1, 4, 9])
    config = alone(
        hidden_dim=heads * 4 * rng.choice([1, 2]),
        num_heads=heads,
        num_patches_h=width(rng),
        num_patches_w=width(rng),
        num_registers=registers,
        has_cls=rng.random() < 0.5,
        qk_norm=rng.choice([None, "rms_norm", "l2_norm", "layer_norm"]),
        qkv_bias=rng.random() < 0.5,
        out_proj_bias=rng.random() < 0.5,
        scale=rng.choice([None, 0.5]),
    )
    return Case(config)


def _adapter(rng: random.Random) -> Case:
    columns = width(rng)
    filmed = rng.random() < 0.3
    inner = alone_mixer(filmed)
    if filmed:
        inner["mixer"]["global_conv"]["kernel"]["film"] = {**FILM, "cond_dim": 5}
    config = {"type": "vit5_hyena_adapter", "inner_mixer": inner, "grid_w": columns}
    return Case(config, shape=(columns * width(rng), 8), condition=(5,) if filmed else None)


def _block(rng: random.Random) -> Case:
    options = {
        "mlp": {**MLP, "activation": rng.choice(["gelu", "swiglu"]), "bias": rng.random() < 0.5},
        "mlp_norm": rng.choice(["rms_norm", "layer_norm", "identity"]),
        "layer_scale_init": rng.choice([0.0, 1e-4]),
        "drop_path_rate": rng.choice([0.0, 0.3]),
        "grn": rng.choice([None, "global_response_norm"]),
    }
    if rng.random() < 0.4:
        case = _attention(rng)
        return Case(block(dict(case.config), hidden_dim=case.config["hidden_dim"], **options))
    if rng.random() < 0.5:
        options["register_pooling"] = rng.choice([POOLING, {"type": "register_compress_concat", "compressed_dim": 2}])
        return Case({**_FILMED, **options}, shape=(4 * rng.randint(5, 7), 8))
    return Case(block(_ALONE, hidden_dim=8, **options), shape=(4 * width(rng), 8))


def _net(rng: random.Random) -> Case:
    side, patch = rng.randint(2, 4), rng.randint(1, 4)
    readout = rng.choice(["cls", "gap", "register_concat"])
    types = {"H": block(adapter(), grn=rng.choice([None, "global_response_norm"])), "A": block(attention())}
    if rng.random() < 0.3:
        types["H"] = block(adapter(True), register_pooling=POOLING)
    config = net(
        in_channels=rng.choice([1, 3]),
        patch_size=patch,
        image_size=patch * side,
        num_registers=rng.choice([1, 4, 9]),
        readout=readout,
        neck_compression_ratio=rng.choice([2, 8]) if readout == "register_concat" else None,
        layer_types=types,
        layer_pattern="".join(rng.choice("HA") for _ in range(rng.randint(1, 5))),
        max_drop_path_rate=rng.choice([0.0, 0.2]),
        drop_path_schedule=rng.choice(["constant", "linear"]),
    )
    return Case(config)


DRAW = {
    "vit5_attention": _attention,
    "vit5_hyena_adapter": _adapter,
    "vit5_residual_block": _block,
    "vit5_classification_net": _net,
}
