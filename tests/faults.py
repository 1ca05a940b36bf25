"""Single faults: valid documents, one change that breaks each, what must be said, and a change that breaks nothing.

The documents are written out by hand as configs of the reference are: every width, extent and count at every place, so
that a change at one place contradicts all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

DROP = object()
"""As a value: leave the key out."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        id: Name of the test.
        base: Key of `BASES`.
        change: Dotted path -> new value.
        paths: Where it may be reported; the first is the place a person would fix.
        codes: Stable codes it may have.
        says: Texts the message must have, such as both numbers.
        neighbour: A change nearby that leaves the document valid.
    """

    id: str
    base: str
    change: Mapping[str, Any]
    paths: tuple[str, ...]
    codes: tuple[str, ...]
    says: tuple[str, ...] = ()
    neighbour: Mapping[str, Any] = field(default_factory=dict)


def changed(document: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy of `document` with some values replaced, added or left out."""
    result = _copy(dict(document))
    for path, value in change.items():
        *parents, last = path.split(".")
        node: Any = result
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node[key]
        if value is DROP:
            del node[last]
        else:
            node[int(last) if isinstance(node, list) else last] = _copy(value)
    return result


def _copy(value: Any) -> Any:
    """A copy in which nothing is shared, not even what is one object in `value`."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


# ---- documents ----------------------------------------------------------------------------------------------------

_NORM = {"type": "RMSNorm", "dim": 48, "eps": 1e-6}
_INIT = {"type": "trunc_normal", "std": 0.02}
_MLP = {
    "type": "MLP",
    "dim": 48,
    "activation": "gelu",
    "expansion_factor": 4.0,
    "bias": False,
    "dropout": {"type": "Dropout", "p": 0.0},
    "init_method_in": _INIT,
    "init_method_out": _INIT,
}
FILM = {
    "type": "KernelFiLMGenerator",
    "cond_dim": 48,
    "kernel_hidden_dim": 16,
    "num_film_layers": 3,
    "film_hidden_dim": 24,
    "no_weight_decay": 0.005,
    "init_type": "identity",
    "init_std": 1e-4,
}
KERNEL = {
    "type": "BlockDiagonalMultiOmegaSIRENKernelND",
    "out_dim": 48,
    "data_dim": 2,
    "mlp_hidden_dim": 16,
    "num_layers": 3,
    "embedding_dim": 16,
    "L_cache": 6,
    "use_bias": True,
    "num_blocks": 4,
    "omega_0_min": 1.0,
    "omega_0_max": 12.0,
    "schedule": "linear",
    "off_block_scale": 0.1,
    "hidden_omega_0": 1.0,
    "film": FILM,
    "film_after_pos_embed": True,
}
SIREN = {
    "type": "SIRENKernelND",
    "out_dim": 48,
    "data_dim": 2,
    "mlp_hidden_dim": 16,
    "num_layers": 3,
    "embedding_dim": 16,
    "omega_0": 10.0,
    "L_cache": 6,
    "use_bias": True,
}
MASK = {
    "type": "BlockAlignedGaussianModulationND",
    "data_dim": 2,
    "num_channels": 48,
    "min_attenuation_at_step": 0.1,
    "max_attenuation_at_limit": 0.95,
    "init_extent": 1.0,
    "parametrization": "direct",
}
CONV = {
    "type": "CKConvND",
    "data_dim": 2,
    "hidden_dim": 48,
    "kernel": KERNEL,
    "mask": MASK,
    "grid_type": "double",
    "fft_padding": "zero",
    "is_causal": False,
    "use_chunked_fftconv": False,
    "fft_backend": "torch_fft",
}
HYENA = {
    "type": "Hyena",
    "global_conv": CONV,
    "short_conv": {
        "type": "Conv2d",
        "in_channels": 144,
        "out_channels": 144,
        "kernel_size": 3,
        "groups": 144,
        "padding": 1,
        "bias": False,
    },
    "gate_nonlinear": {"type": "SiLU"},
    "gate_nonlinear_2": {"type": "Sigmoid"},
    "pixelhyena_norm": _NORM,
    "qk_norm": {"type": "L2Norm"},
    "output_norm": _NORM,
}
QKV = {
    "type": "QKVSequenceMixer",
    "hidden_dim": 48,
    "mixer": HYENA,
    "qkv_bias": False,
    "out_proj_bias": False,
    "init_method_in": _INIT,
    "init_method_out": _INIT,
}
ATTENTION = {
    "type": "ViT5Attention",
    "hidden_dim": 48,
    "num_heads": 4,
    "num_patches_h": 4,
    "num_patches_w": 4,
    "num_registers": 4,
    "has_cls": True,
    "qk_norm": {"type": "RMSNorm", "dim": 12, "eps": 1e-6},
    "rope_base": 10000.0,
    "reg_rope_base": 100.0,
    "attn_dropout": 0.0,
    "proj_dropout": 0.0,
    "qkv_bias": False,
    "out_proj_bias": False,
    "init_fn_qkv_proj": _INIT,
    "init_fn_out_proj": _INIT,
}
_BLOCK = {
    "type": "ViT5ResidualBlock",
    "sequence_mixer_norm": _NORM,
    "mlp": _MLP,
    "mlp_norm": _NORM,
    "hidden_dim": 48,
    "layer_scale_init": 1e-4,
}
H_BLOCK = {
    **_BLOCK,
    "sequence_mixer": {"type": "ViT5HyenaAdapter", "inner_mixer": QKV, "grid_w": 4},
    "register_pooling": {"type": "RegisterPooling", "num_registers": 4},
    "num_registers": 4,
    "grn": {"type": "GlobalResponseNorm", "dim": 48},
}
A_BLOCK = {**_BLOCK, "sequence_mixer": ATTENTION}
VIT5 = {
    "type": "ViT5ClassificationNet",
    "in_channels": 3,
    "num_classes": 10,
    "hidden_dim": 48,
    "num_blocks": 2,
    "patch_size": 8,
    "image_size": 32,
    "num_registers": 4,
    "norm": _NORM,
    "readout": "cls",
    "dropout_rate": 0.0,
    "reg_init": "trunc_normal",
    "layer_pattern": "HA",
    "layer_types": {"H": H_BLOCK, "A": A_BLOCK},
    "max_drop_path_rate": 0.05,
    "drop_path_schedule": "constant",
}
"""2 blocks, 48 channels, 4 x 4 patches, a class token and 4 registers: 21 tokens, 24 with padding, 6 rows of 4."""

_R_NORM = {"type": "RMSNorm", "dim": 8}
_R_CONV = {
    "type": "CKConvND",
    "data_dim": 2,
    "hidden_dim": 8,
    "kernel": {**SIREN, "out_dim": 8, "L_cache": 5},
    "mask": {"type": "GaussianModulationND", "data_dim": 2, "num_channels": 8, "grid_size": 9},
    "grid_type": "double",
    "fft_padding": "zero",
}
_R_HYENA = {
    "type": "Hyena",
    "global_conv": _R_CONV,
    "short_conv": {
        "type": "Conv2d",
        "in_channels": 24,
        "out_channels": 24,
        "kernel_size": 3,
        "groups": 24,
        "padding": 1,
    },
    "gate_nonlinear": "SiLU",
    "pixelhyena_norm": _R_NORM,
    "qk_norm": {"type": "L2Norm"},
    "output_norm": _R_NORM,
}
_R_BLOCK = {
    "type": "ResidualBlock",
    "sequence_mixer": {"type": "QKVSequenceMixer", "hidden_dim": 8, "mixer": _R_HYENA},
    "sequence_mixer_norm": _R_NORM,
    "condition_mixer": "Identity",
    "condition_mixer_norm": "Identity",
    "mlp": {"type": "MLP", "dim": 8, "activation": "glu", "expansion_factor": 2.0},
    "mlp_norm": _R_NORM,
    "dropout": {"type": "Dropout", "p": 0.0},
}
_RESNET = {
    "type": "ResidualNetwork",
    "in_channels": 3,
    "out_channels": 5,
    "num_blocks": 2,
    "hidden_dim": 8,
    "data_dim": 2,
    "in_proj": {"type": "Linear", "in_features": 3, "out_features": 8},
    "out_proj": {"type": "Linear", "in_features": 8, "out_features": 5},
    "norm": _R_NORM,
    "block": _R_BLOCK,
    "dropout_in": {"type": "Dropout", "p": 0.0},
}
_ADALN = {
    **{k: v for k, v in _R_BLOCK.items() if not k.startswith("condition")},
    "type": "AdaLNZeroResidualBlock",
    "condition_norm": _R_NORM,
    "hidden_dim": 8,
}
_CAUSAL_HYENA = {
    **_R_HYENA,
    "global_conv": {
        **_R_CONV,
        "data_dim": 1,
        "kernel": {**SIREN, "out_dim": 8, "data_dim": 1, "L_cache": 12},
        "mask": {"type": "ExponentialModulationND", "data_dim": 1, "num_channels": 8},
        "is_causal": True,
    },
    "short_conv": {"type": "CausalConv1D", "in_channels": 24, "out_channels": 24, "kernel_size": 4, "groups": 24},
}
_CROSS = {
    "type": "QKVConditionMixer",
    "hidden_dim": 8,
    "mixer": {"type": "Attention", "hidden_dim": 8, "num_heads": 2, "apply_qk_norm": True, "use_rope": False},
}
_SELF = {
    "type": "QKVSequenceMixer",
    "hidden_dim": 8,
    "mixer": {
        "type": "Attention",
        "hidden_dim": 8,
        "num_heads": 2,
        "apply_qk_norm": True,
        "use_rope": True,
        "rope_spatial_dims": [5, 4],
    },
}
_S4D = {
    "type": "S4D",
    "d_model": 8,
    "d_state": 16,
    "l_max": 12,
    "n_ssm": 4,
    "init": "legs",
    "dt_min": 0.001,
    "dt_max": 0.1,
}
_S4 = {**_S4D, "type": "S4"}
_SEQUENCE = {**_RESNET, "data_dim": 1, "block": {**_R_BLOCK, "sequence_mixer": _S4D}}

BASES: dict[str, dict[str, Any]] = {
    "vit5": {"network": VIT5},
    "vit5_a": {"network": {**VIT5, "layer_pattern": "AA", "layer_types": {"A": A_BLOCK}}},
    "vit5_concat": {
        "network": changed(
            VIT5,
            {
                "readout": "register_concat",
                "neck_compression_ratio": 4,
                "layer_types.A.sequence_mixer.has_cls": False,
                "layer_types.H.sequence_mixer.inner_mixer.mixer.global_conv.kernel.L_cache": 5,
                "layer_types.H.sequence_mixer.inner_mixer.mixer.global_conv.kernel.film.cond_dim": 12,
                "layer_types.H.register_pooling": {
                    "type": "RegisterCompressConcat",
                    "num_registers": 4,
                    "hidden_dim": 48,
                    "compressed_dim": 3,
                },
            },
        )
    },
    "vit5_block": {
        "network": {
            **{k: v for k, v in VIT5.items() if not k.startswith("layer_")},
            "readout": "gap",
            "num_registers": 0,
            "block": changed(
                {k: v for k, v in H_BLOCK.items() if "register" not in k},
                {"sequence_mixer.inner_mixer.mixer.global_conv.kernel": {**SIREN, "L_cache": 4}},
            ),
        }
    },
    "resnet": {"input": {"shape": [5, 4, 3]}, "network": _RESNET},
    "classifier": {"input": {"shape": [5, 4, 3]}, "network": {**_RESNET, "type": "ClassificationResNet"}},
    "patches": {
        "input": {"shape": [8, 8, 3]},
        "network": {
            **_RESNET,
            "in_proj": {"type": "Patchify", "in_features": 3, "out_features": 8, "data_dim": 2, "patch_size": 2},
            "out_proj": {"type": "Unpatchify", "in_features": 8, "out_features": 5, "data_dim": 2, "patch_size": 2},
        },
    },
    "adaln": {
        "input": {"shape": [5, 4, 3], "condition": [8]},
        "network": {
            **_RESNET,
            "block": _ADALN,
            "condition_in_proj": {"type": "Linear", "in_features": 8, "out_features": 8},
        },
    },
    "cross": {
        "input": {"shape": [5, 4, 3], "condition": [8]},
        "network": {
            **_RESNET,
            "block": {**_R_BLOCK, "sequence_mixer": _SELF, "condition_mixer": _CROSS, "condition_mixer_norm": _R_NORM},
        },
    },
    "causal": {
        "input": {"shape": [12, 3]},
        "network": changed(_RESNET, {"data_dim": 1, "block.sequence_mixer.mixer": _CAUSAL_HYENA}),
    },
    "sequence": {"input": {"shape": [12, 3]}, "network": _SEQUENCE},
    "preset": {"extends": "vit5_hybrid", "summary": "small", "network": {}},
    "preset_ha": {"extends": "vit5_hybrid_ha", "summary": "small", "network": {}},
    "film": {"extends": "vit5_hybrid_ha_film", "summary": "small", "network": {}},
    "conv": CONV,
    "conv1": changed(
        CONV, {"data_dim": 1, "kernel": {**SIREN, "data_dim": 1}, "mask.data_dim": 1, "kernel.L_cache": 8}
    ),
    "siren": SIREN,
    "blocks": KERNEL,
    "multi": {
        **{k: v for k, v in SIREN.items() if k != "omega_0"},
        "type": "MultiOmegaSIRENKernelND",
        "omega_0_per_row": [1.0 + i for i in range(16)],
    },
    "learnable": {**SIREN, "type": "LearnableOmegaSIRENKernelND"},
    "fourier": {**SIREN, "type": "RandomFourierKernelND", "nonlinear": "GELU"},
    "mask": {**MASK, "grid_size": 11},
    "decay": {"type": "ExponentialModulationND", "data_dim": 2, "num_channels": 48},
    "mlp": _MLP,
    "attention": _SELF["mixer"],
    "vit5_attention": ATTENTION,
    "film_generator": FILM,
    "concat": {"type": "RegisterCompressConcat", "num_registers": 4, "hidden_dim": 6, "compressed_dim": 3},
    "patchify": {"type": "Patchify", "in_features": 3, "out_features": 8, "data_dim": 2, "patch_size": 2},
    "positions": {"type": "PositionEmbeddingND", "embedding_dim": 8, "data_dim": 2, "max_dim_lengths": [5, 4]},
    "group_norm": {"type": "GroupNorm", "num_groups": 4, "num_channels": 8},
    "per_head": {"type": "PerHeadRMSNorm", "num_heads": 4, "head_dim": 2},
    "s4": _S4,
    "s4d": _S4D,
    "s4d_kernel": {**_S4D, "type": "S4DKernel"},
    "s4d_mixer": {"type": "S4DSequenceMixer", "in_features": 8, "state_dim": 16},
}

# ---- faults -------------------------------------------------------------------------------------------------------

N = "network"
H = f"{N}.layer_types.H"
A = f"{N}.layer_types.A"
ADAPTER = f"{H}.sequence_mixer"
MIX = f"{ADAPTER}.inner_mixer"
HY = f"{MIX}.mixer"
SHORT = f"{HY}.short_conv"
CV = f"{HY}.global_conv"
KER = f"{CV}.kernel"
FI = f"{KER}.film"
MA = f"{CV}.mask"
ATT = f"{A}.sequence_mixer"
R_MIX = f"{N}.block.sequence_mixer"
R_HY = f"{R_MIX}.mixer"
R_CV = f"{R_HY}.global_conv"
B_HY = f"{N}.block.sequence_mixer.inner_mixer.mixer"


def _rows(base: str, *rows: tuple[Any, ...]) -> Iterator[Fault]:
    """Rows of one base: (id, change, path or paths, code, says, neighbour), the last two optional.

    A change of one value is written "path=value" as a pair; the path of the change is the path to blame unless given.
    """
    for name, change, paths, code, *rest in rows:
        says = rest[0] if rest else ()
        neighbour = rest[1] if len(rest) > 1 else {}
        at = tuple(change)[:1] if paths is None else (paths,) if isinstance(paths, str) else paths
        codes = (code,) if isinstance(code, str) else code
        yield Fault(f"{base}-{name}", base, change, at, codes, (says,) if isinstance(says, str) else says, neighbour)


def _everywhere(document: Any, old: Any, new: Any, keys: tuple[str, ...], path: str = "") -> Iterator[tuple[str, Any]]:
    """The changes that replace `old` by `new` under each of `keys`."""
    for key, value in document.items() if isinstance(document, dict) else ():
        at = f"{path}.{key}" if path else key
        if key in keys and value == old and type(value) is type(old):
            yield at, new
        yield from _everywhere(value, old, new, keys, at)


_WIDTHS = ("hidden_dim", "dim", "out_dim", "num_channels", "cond_dim")


def _registers(number: int) -> dict[str, Any]:
    """Another number of registers, and the rows that follow from it, everywhere."""
    rows = -(-(17 + number) // 4)
    return dict(_everywhere(BASES["vit5"], 4, number, ("num_registers",))) | {f"{KER}.L_cache": rows}


def _without_film() -> dict[str, Any]:
    return {f"{KER}.film": DROP, f"{KER}.film_after_pos_embed": False, f"{H}.register_pooling": DROP}


def _attention_in_the_grid(**fields: Any) -> dict[str, Any]:
    """Attention with rotary positions in place of Hyena; its grid follows."""
    rotary = {"type": "Attention", "num_heads": 2, "apply_qk_norm": True, "use_rope": True, **fields}
    return {f"{MIX}.mixer": rotary, f"{H}.register_pooling": DROP}


def _fourier_kernel(**fields: Any) -> dict[str, Any]:
    """A kernel of random features; its width, rank and extent follow."""
    kernel = {"type": "RandomFourierKernelND", "mlp_hidden_dim": 16, "num_layers": 3, "embedding_dim": 16}
    return {
        KER: {**kernel, "omega_0": 2.0, "use_bias": True, "nonlinear": "GELU", **fields},
        f"{H}.register_pooling": DROP,
    }


FAULTS: tuple[Fault, ...] = (
    # -- the network's own fields
    *_rows(
        "vit5",
        ("hidden-dim", {f"{N}.hidden_dim": 56}, None, "mismatch", ("48", "56")),
        ("hidden-dim-odd", {f"{N}.hidden_dim": 50}, None, "mismatch", ("48", "50")),
        ("hidden-dim-prime", {f"{N}.hidden_dim": 47}, None, "mismatch", ("48", "47")),
        ("hidden-dim-double", {f"{N}.hidden_dim": 96}, None, "mismatch", ("48", "96")),
        ("hidden-dim-string", {f"{N}.hidden_dim": "48"}, None, "bad-value", "'48'"),
        ("hidden-dim-float", {f"{N}.hidden_dim": 48.0}, None, "bad-value", "48.0"),
        ("hidden-dim-bool", {f"{N}.hidden_dim": True}, None, "bad-value", "true"),
        ("hidden-dim-zero", {f"{N}.hidden_dim": 0}, None, "bad-value", "0"),
        ("hidden-dim-negative", {f"{N}.hidden_dim": -48}, None, "bad-value", "-48"),
        ("hidden-dim-huge", {f"{N}.hidden_dim": 2**31}, None, "bad-value"),
        ("hidden-dim-null", {f"{N}.hidden_dim": None}, None, "bad-value"),
        ("hidden-dim-missing", {f"{N}.hidden_dim": DROP}, None, "missing-field"),
        ("in-channels-missing", {f"{N}.in_channels": DROP}, None, "missing-field"),
        ("in-channels-zero", {f"{N}.in_channels": 0}, None, "bad-value", (), {f"{N}.in_channels": 1}),
        ("num-classes-string", {f"{N}.num_classes": "ten"}, None, "bad-value", "'ten'"),
        ("num-classes-missing", {f"{N}.num_classes": DROP}, None, "missing-field"),
        ("num-blocks", {f"{N}.num_blocks": 3}, (f"{N}.num_blocks", f"{N}.layer_pattern"), "pattern-length", ("3", "2")),
        (
            "pattern-long",
            {f"{N}.layer_pattern": "HAHA"},
            (f"{N}.num_blocks", f"{N}.layer_pattern"),
            "pattern-length",
            ("4", "2"),
            {f"{N}.layer_pattern": "HAHA", f"{N}.num_blocks": 4},
        ),
        (
            "pattern-unknown",
            {f"{N}.layer_pattern": "HX"},
            None,
            "unknown-layer-type",
            "HX",
            {f"{N}.layer_pattern": "AH"},
        ),
        ("pattern-lower-case", {f"{N}.layer_pattern": "ha"}, None, "unknown-layer-type"),
        ("pattern-list", {f"{N}.layer_pattern": ["H", "A"]}, None, "bad-value"),
        (
            "pattern-missing",
            {f"{N}.layer_pattern": DROP},
            (f"{N}.layer_pattern", f"{N}.layer_types"),
            "pattern-and-types",
        ),
        ("types-missing", {f"{N}.layer_types": DROP}, f"{N}.layer_types", "pattern-and-types"),
        ("types-empty", {f"{N}.layer_types": {}}, None, "not-a-component"),
        ("types-list", {f"{N}.layer_types": []}, None, "not-a-component"),
        ("type-missing", {H: DROP}, (f"{N}.layer_pattern", f"{N}.layer_types"), "unknown-layer-type"),
        ("block-and-pattern", {f"{N}.block": A_BLOCK}, f"{N}.block", "block-or-pattern"),
        ("patch-size", {f"{N}.patch_size": 5}, None, "patch-size", ("5", "32")),
        ("patch-size-halved", {f"{N}.patch_size": 4}, None, "mismatch", ("4", "8")),
        ("patch-size-doubled", {f"{N}.patch_size": 16}, None, "mismatch", ("16", "8")),
        ("patch-size-string", {f"{N}.patch_size": "8px"}, None, "bad-value"),
        ("patch-size-zero", {f"{N}.patch_size": 0}, None, "bad-value"),
        (
            "image-size",
            {f"{N}.image_size": 30},
            (f"{N}.image_size", f"{N}.patch_size"),
            ("patch-size", "mismatch"),
            ("30",),
        ),
        (
            "image-size-doubled",
            {f"{N}.image_size": 64},
            (f"{N}.image_size", f"{N}.patch_size"),
            "mismatch",
            (),
        ),
        ("image-size-less", {f"{N}.image_size": 24}, (f"{N}.image_size", f"{N}.patch_size"), "mismatch", ("6", "8")),
        ("registers-5", {f"{N}.num_registers": 5}, None, "mismatch", ("4", "5")),
        ("registers-9", {f"{N}.num_registers": 9}, None, "mismatch", ("4", "9"), _registers(9)),
        ("registers-0", {f"{N}.num_registers": 0}, None, "mismatch", ("4", "0")),
        ("registers-negative", {f"{N}.num_registers": -4}, None, "bad-value"),
        (
            "registers-5-everywhere",
            _registers(5),
            (f"{N}.num_registers", f"{ATT}.num_registers"),
            "square-registers",
            "5",
            _registers(1),
        ),
        (
            "registers-8-everywhere",
            _registers(8),
            (f"{N}.num_registers", f"{ATT}.num_registers"),
            "square-registers",
            "8",
            _registers(16),
        ),
        ("readout", {f"{N}.readout": "mean"}, None, "bad-value", "mean"),
        ("readout-case", {f"{N}.readout": "CLS"}, None, "bad-value"),
        (
            "readout-gap",
            {f"{N}.readout": "gap"},
            (f"{N}.readout", f"{ATT}.has_cls"),
            "mismatch",
            (),
            {f"{N}.readout": "gap", f"{ATT}.has_cls": False, f"{KER}.L_cache": 5},
        ),
        ("readout-missing", {f"{N}.readout": DROP}, None, "missing-field"),
        ("reg-init", {f"{N}.reg_init": "truncnormal"}, None, "bad-value", (), {f"{N}.reg_init": "zeros"}),
        ("drop-path", {f"{N}.max_drop_path_rate": 1.5}, None, "bad-value", "1.5", {f"{N}.max_drop_path_rate": 1.0}),
        ("drop-path-negative", {f"{N}.max_drop_path_rate": -0.1}, None, "bad-value"),
        ("drop-path-nan", {f"{N}.max_drop_path_rate": float("nan")}, None, ("bad-value", "float-range")),
        (
            "drop-schedule",
            {f"{N}.drop_path_schedule": "cosine"},
            None,
            "bad-value",
            (),
            {f"{N}.drop_path_schedule": "linear"},
        ),
        ("dropout", {f"{N}.dropout_rate": 2}, None, "bad-value"),
        ("dropout-string", {f"{N}.dropout_rate": "0.1"}, None, "bad-value"),
        ("padding-none", {f"{N}.padding_types": []}, None, "grid-width", (), {f"{N}.padding_types": ["H"]}),
        ("padding-attention", {f"{N}.padding_types": ["H", "A"]}, None, "token-count"),
        ("padding-word", {f"{N}.padding_types": "H"}, None, "bad-value"),
        ("out-norm", {f"{N}.norm.dim": 47}, None, "mismatch", ("48", "47")),
        ("out-norm-1", {f"{N}.norm.dim": 1}, None, "mismatch", ("48", "1")),
        ("out-norm-missing", {f"{N}.norm": DROP}, None, "missing-field"),
        ("out-norm-kind", {f"{N}.norm": "gelu"}, None, "wrong-kind", (), {f"{N}.norm": "layer_norm"}),
        ("misspelt", {f"{N}.num_register": 4}, None, "unknown-field", "num_register"),
        ("misspelt-cfg", {f"{N}.norm_cfg": "rms_norm"}, None, "unknown-field"),
        ("type", {f"{N}.type": "vit5_classification_nett"}, None, "unknown-component"),
        ("type-absent", {f"{N}.type": DROP}, N, "missing-type"),
        ("type-number", {f"{N}.type": 5}, None, "not-a-component"),
        (
            "input-size",
            {"input": {"shape": [28, 28, 3]}},
            "input.shape",
            "shape",
            ("28", "32"),
            {"input": {"shape": [32, 32, 3]}},
        ),
        ("input-channels", {"input": {"shape": [32, 32, 1]}}, "input.shape", "shape", ("1", "3")),
        ("input-rank", {"input": {"shape": [32, 3]}}, "input.shape", "shape"),
        ("input-key", {"input": {"shape": [32, 32, 3], "size": 3}}, "input.size", "unknown-field"),
        ("top-level-key", {"netwrok": {}}, None, "unknown-field"),
    ),
    # -- its blocks
    *_rows(
        "vit5",
        ("block-hidden", {f"{H}.hidden_dim": 56}, None, "mismatch", ("48", "56")),
        ("block-hidden-a", {f"{A}.hidden_dim": 24}, None, "mismatch", ("48", "24")),
        ("block-registers", {f"{H}.num_registers": 9}, None, "mismatch", ("4", "9")),
        ("block-registers-0", {f"{H}.num_registers": 0}, None, "mismatch", ("4", "0")),
        ("block-registers-less", {f"{H}.num_registers": 3}, None, "mismatch", ("4", "3")),
        (
            "block-register-start",
            {f"{H}.register_start_idx": 16},
            None,
            "mismatch",
            ("17", "16"),
            {f"{H}.register_start_idx": 17},
        ),
        ("pooling-registers", {f"{H}.register_pooling.num_registers": 3}, None, "mismatch", ("4", "3")),
        ("pooling-registers-9", {f"{H}.register_pooling.num_registers": 9}, None, "mismatch", ("4", "9")),
        (
            "pooling-unused",
            {f"{KER}.film": DROP, f"{KER}.film_after_pos_embed": False},
            f"{H}.register_pooling",
            "unused-conditioning",
            (),
            _without_film(),
        ),
        ("film-missing", {f"{KER}.film": DROP}, (f"{H}.register_pooling", f"{KER}.film"), "unused-conditioning"),
        ("pooling-missing", {f"{H}.register_pooling": DROP}, (f"{H}.register_pooling", FI), "missing-conditioning"),
        ("pooling-null", {f"{H}.register_pooling": None}, (f"{H}.register_pooling", FI), "missing-conditioning"),
        (
            "pooling-attention",
            {f"{A}.register_pooling": {"type": "RegisterPooling", "num_registers": 4}},
            f"{A}.register_pooling",
            "unused-conditioning",
        ),
        ("pooling-kind", {f"{H}.register_pooling": _NORM}, (f"{H}.register_pooling.type",), "wrong-kind"),
        (
            "pooling-no-registers",
            _registers(0) | {f"{H}.register_pooling.num_registers": 4},
            (f"{N}.num_registers", f"{H}.num_registers", f"{H}.register_pooling"),
            "no-registers",
        ),
        ("layer-scale", {f"{H}.layer_scale_init": -1e-4}, None, "bad-value", (), {f"{H}.layer_scale_init": 0.0}),
        ("layer-scale-string", {f"{H}.layer_scale_init": "1e-4"}, None, "bad-value"),
        ("block-drop-path", {f"{H}.drop_path_rate": 1.2}, None, "bad-value"),
        ("grn-dim", {f"{H}.grn.dim": 24}, None, "mismatch", ("48", "24")),
        ("grn-kind", {f"{H}.grn": _MLP}, f"{H}.grn.type", "wrong-kind", (), {f"{H}.grn": None}),
        ("mlp-dim", {f"{H}.mlp.dim": 64}, None, "mismatch", ("48", "64")),
        ("mlp-dim-a", {f"{A}.mlp.dim": 1}, None, "mismatch", ("48", "1")),
        (
            "mlp-activation",
            {f"{H}.mlp.activation": "mish"},
            None,
            "bad-value",
            "mish",
            {f"{H}.mlp.activation": "swiglu"},
        ),
        ("mlp-activation-case", {f"{H}.mlp.activation": "GELU"}, None, "bad-value"),
        ("mlp-backend", {f"{H}.mlp.backend": "quack"}, None, "bad-value", "quack", {f"{H}.mlp.backend": "torch"}),
        ("mlp-backend-typo", {f"{H}.mlp.backend": "toch"}, None, "bad-value"),
        ("mlp-expansion-0", {f"{H}.mlp.expansion_factor": 0}, None, "bad-value"),
        (
            "mlp-expansion-tiny",
            {f"{H}.mlp.expansion_factor": 0.01},
            None,
            "empty-layer",
            (),
            {f"{H}.mlp.expansion_factor": 0.03},
        ),
        ("mlp-expansion-negative", {f"{H}.mlp.expansion_factor": -4.0}, None, "bad-value"),
        ("mlp-dropout", {f"{H}.mlp.dropout.p": 1.5}, None, "bad-value"),
        ("mlp-dropout-number", {f"{H}.mlp.dropout": 0.1}, None, "not-a-component"),
        ("mlp-missing", {f"{H}.mlp": DROP}, None, "missing-field"),
        (
            "mlp-null",
            {f"{H}.mlp": None},
            None,
            "not-a-component",
            (),
            {f"{H}.mlp": "identity", f"{H}.mlp_norm": "identity"},
        ),
        ("mlp-init-std", {f"{H}.mlp.init_method_in.std": -0.02}, None, "bad-value"),
        ("mlp-init-kind", {f"{H}.mlp.init_method_in": "gelu"}, None, "wrong-kind"),
        ("mlp-init-unknown", {f"{H}.mlp.init_method_in": "trunc_norm"}, None, "unknown-component", "trunc_norm"),
        ("mlp-norm-dim", {f"{H}.mlp_norm.dim": 12}, None, "mismatch", ("48", "12")),
        ("input-norm-dim", {f"{H}.sequence_mixer_norm.dim": 1}, None, "mismatch", ("48", "1")),
        ("input-norm-eps", {f"{H}.sequence_mixer_norm.eps": -1e-6}, None, "bad-value"),
        (
            "input-norm-channels-first",
            {f"{H}.sequence_mixer_norm": {"type": "RMSNormChannelFirst", "dim": 48}},
            (f"{H}.sequence_mixer_norm", f"{H}.sequence_mixer_norm.type"),
            "channels-first",
        ),
        (
            "grn-channels-first",
            {f"{H}.grn": {"type": "L2Norm", "dim": 1}},
            (f"{H}.grn", f"{H}.grn.dim"),
            "channels-first",
        ),
        ("mlp-norm-missing", {f"{H}.mlp_norm": DROP}, None, "missing-field"),
        ("mixer-missing", {f"{H}.sequence_mixer": DROP}, None, "missing-field"),
        ("mixer-kind", {f"{H}.sequence_mixer": HYENA}, f"{H}.sequence_mixer.type", "wrong-kind", "hyena"),
        (
            "mixer-no-adapter",
            {f"{H}.sequence_mixer": QKV},
            (f"{H}.sequence_mixer", f"{CV.replace('.inner_mixer', '')}.data_dim"),
            ("mismatch", "rank", "sequence-rank"),
        ),
        ("block-field", {f"{H}.droppath": 0.1}, None, "unknown-field"),
        ("block-type", {f"{H}.type": "ResidualBlok"}, None, "unknown-component"),
        ("block-kind", {f"{H}.type": "MLP"}, None, "wrong-kind"),
        ("block-not-a-mapping", {H: 5}, None, "not-a-component"),
    ),
    # -- attention
    *_rows(
        "vit5",
        (
            "heads",
            {f"{ATT}.num_heads": 5},
            None,
            ("heads", "mismatch"),
            "5",
            {f"{ATT}.num_heads": 12, f"{ATT}.qk_norm.dim": 4},
        ),
        ("heads-7", {f"{ATT}.num_heads": 7}, None, "heads", ("48", "7")),
        ("heads-0", {f"{ATT}.num_heads": 0}, None, "bad-value"),
        ("heads-missing", {f"{ATT}.num_heads": DROP}, None, "missing-field"),
        (
            "head-width",
            {f"{ATT}.num_heads": 8, f"{ATT}.qk_norm.dim": 6},
            f"{ATT}.num_heads",
            "rotary-width",
            ("48", "8"),
        ),
        ("head-width-alone", {f"{ATT}.num_heads": 8}, f"{ATT}.num_heads", ("rotary-width", "mismatch"), ("48", "8")),
        ("heads-3", {f"{ATT}.num_heads": 3}, (f"{ATT}.qk_norm.dim", f"{ATT}.num_heads"), "mismatch", ("16", "12")),
        ("attention-hidden", {f"{ATT}.hidden_dim": 24}, None, "mismatch", ("48", "24")),
        ("attention-hidden-64", {f"{ATT}.hidden_dim": 64}, None, "mismatch", ("48", "64")),
        ("qk-norm", {f"{ATT}.qk_norm.dim": 48}, None, "mismatch", ("12", "48")),
        ("qk-norm-1", {f"{ATT}.qk_norm.dim": 1}, None, "mismatch", ("12", "1")),
        ("qk-norm-kind", {f"{ATT}.qk_norm": _MLP}, f"{ATT}.qk_norm.type", "wrong-kind", (), {f"{ATT}.qk_norm": None}),
        ("patches-h", {f"{ATT}.num_patches_h": 5}, None, "mismatch", ("4", "5")),
        ("patches-w", {f"{ATT}.num_patches_w": 2}, None, "mismatch", ("4", "2")),
        ("patches-string", {f"{ATT}.num_patches_w": "4"}, None, "bad-value"),
        ("attention-registers", {f"{ATT}.num_registers": 9}, None, "mismatch", ("4", "9")),
        ("attention-registers-5", {f"{ATT}.num_registers": 5}, None, "mismatch", ("4", "5")),
        ("attention-registers-0", {f"{ATT}.num_registers": 0}, None, "mismatch", ("4", "0")),
        ("has-cls", {f"{ATT}.has_cls": False}, None, "mismatch"),
        ("has-cls-string", {f"{ATT}.has_cls": "yes"}, None, "bad-value"),
        ("has-cls-number", {f"{ATT}.has_cls": 1}, None, "bad-value"),
        ("rope-base", {f"{ATT}.rope_base": 0.0}, None, "bad-value"),
        ("attention-dropout", {f"{ATT}.attn_dropout": -0.1}, None, "bad-value"),
        ("projection-dropout", {f"{ATT}.proj_dropout": 1.1}, None, "bad-value"),
        ("attention-scale", {f"{ATT}.scale": 0}, None, "bad-value", (), {f"{ATT}.scale": 0.2}),
        ("attention-init", {f"{ATT}.init_fn_qkv_proj": 0.02}, None, "not-a-component"),
        ("attention-field", {f"{ATT}.heads": 4}, None, "unknown-field"),
        (
            "qk-norm-channels-first",
            {f"{ATT}.qk_norm": {"type": "L2Norm", "dim": 1}},
            (f"{ATT}.qk_norm", f"{ATT}.qk_norm.dim"),
            "channels-first",
        ),
    ),
    # -- Hyena
    *_rows(
        "vit5",
        ("grid-w", {f"{ADAPTER}.grid_w": 7}, None, "mismatch", ("4", "7")),
        ("grid-w-divides", {f"{ADAPTER}.grid_w": 8}, None, "mismatch", ("4", "8")),
        ("grid-w-halved", {f"{ADAPTER}.grid_w": 2}, None, "mismatch", ("4", "2")),
        ("adapter-inner", {f"{ADAPTER}.inner_mixer": HYENA}, f"{ADAPTER}.inner_mixer.type", "wrong-kind"),
        ("qkv-hidden", {f"{MIX}.hidden_dim": 24}, None, "mismatch", ("48", "24")),
        ("qkv-bias", {f"{MIX}.qkv_bias": "false"}, None, "bad-value"),
        ("qkv-mixer", {f"{MIX}.mixer": DROP}, None, "missing-field"),
        ("conv-hidden", {f"{CV}.hidden_dim": 24}, None, "mismatch", ("48", "24")),
        ("conv-hidden-1", {f"{CV}.hidden_dim": 1}, None, "mismatch", ("48", "1")),
        ("conv-rank", {f"{CV}.data_dim": 1}, None, "mismatch", ("2", "1")),
        ("conv-rank-3", {f"{CV}.data_dim": 3}, None, "mismatch", ("2", "3")),
        ("conv-rank-4", {f"{CV}.data_dim": 4}, None, "bad-value", "4"),
        ("grid-type", {f"{CV}.grid_type": "triple"}, None, "bad-value", (), {f"{CV}.grid_type": "single"}),
        ("grid-type-missing", {f"{CV}.grid_type": DROP}, None, "grid-type"),
        ("padding", {f"{CV}.fft_padding": "reflect"}, None, "bad-value", "reflect"),
        ("padding-missing", {f"{CV}.fft_padding": DROP}, None, "missing-field"),
        (
            "padding-circular-double",
            {f"{CV}.fft_padding": "circular"},
            (f"{CV}.grid_type", f"{CV}.fft_padding"),
            "circular-grid",
            (),
            {f"{CV}.fft_padding": "Circular", f"{CV}.grid_type": "single"},
        ),
        (
            "padding-circular-chunked",
            {f"{CV}.fft_padding": "circular", f"{CV}.grid_type": "single", f"{CV}.use_chunked_fftconv": True},
            f"{CV}.use_chunked_fftconv",
            "circular-chunks",
            (),
            {f"{CV}.use_chunked_fftconv": True},
        ),
        (
            "padding-list",
            {f"{CV}.fft_padding": ["zero", "circular"]},
            (f"{CV}.grid_type", f"{CV}.fft_padding"),
            "grid-type",
            (),
            {f"{CV}.fft_padding": ["zero", "circular"], f"{CV}.grid_type": None},
        ),
        (
            "padding-list-short",
            {f"{CV}.fft_padding": ["zero"], f"{CV}.grid_type": None},
            f"{CV}.fft_padding",
            "boundary-count",
            ("2", "1"),
        ),
        (
            "padding-list-long",
            {f"{CV}.fft_padding": ["zero", "zero", "zero"], f"{CV}.grid_type": None},
            f"{CV}.fft_padding",
            "boundary-count",
            ("2", "3"),
        ),
        (
            "padding-list-word",
            {f"{CV}.fft_padding": ["zero", "none"], f"{CV}.grid_type": None},
            (f"{CV}.fft_padding", f"{CV}.fft_padding.1"),
            "bad-value",
        ),
        ("padding-bool", {f"{CV}.fft_padding": True}, None, "bad-value"),
        ("causal-2d", {f"{CV}.is_causal": True}, None, "causal-rank", "2"),
        ("backend", {f"{CV}.fft_backend": "cufft"}, None, "bad-value", (), {f"{CV}.fft_backend": "subq_ops"}),
        (
            "backend-circular",
            {f"{CV}.fft_backend": "subq_ops", f"{CV}.fft_padding": "circular", f"{CV}.grid_type": "single"},
            f"{CV}.fft_backend",
            "backend",
        ),
        ("kernel-missing", {f"{CV}.kernel": DROP}, None, "missing-field"),
        ("kernel-kind", {f"{CV}.kernel": MASK}, f"{CV}.kernel.type", "wrong-kind"),
        ("kernel-type", {f"{KER}.type": "SIRENKernel2D"}, None, "unknown-component"),
        ("mask-missing", {f"{CV}.mask": DROP}, None, "missing-field", (), {f"{CV}.mask": "identity"}),
        ("mask-kind", {f"{CV}.mask": "silu"}, None, "wrong-kind"),
        ("mask-channels", {f"{MA}.num_channels": 24}, None, "mismatch", ("48", "24")),
        ("mask-channels-1", {f"{MA}.num_channels": 1}, None, "mismatch", ("48", "1")),
        ("mask-rank", {f"{MA}.data_dim": 1}, None, "mismatch", ("2", "1")),
        ("mask-rank-3", {f"{MA}.data_dim": 3}, None, "mismatch", ("2", "3")),
        ("mask-grid", {f"{MA}.grid_size": 99}, None, "grid-size-differs", ("11", "99"), {f"{MA}.grid_size": 11}),
        ("mask-attenuation", {f"{MA}.min_attenuation_at_step": 1.0}, None, "bad-value"),
        ("mask-attenuation-0", {f"{MA}.max_attenuation_at_limit": 0.0}, None, "bad-value"),
        (
            "mask-range",
            {f"{MA}.max_attenuation_at_limit": 1e-80},
            (f"{MA}.max_attenuation_at_limit", f"{MA}.min_attenuation_at_step"),
            "empty-range",
        ),
        ("mask-extent", {f"{MA}.init_extent": 0.0}, None, "bad-value", (), {f"{MA}.init_extent": None}),
        (
            "mask-extents",
            {f"{MA}.init_extent": [1.0, 1.0, 1.0]},
            None,
            "extent-count",
            ("2", "3"),
            {f"{MA}.init_extent": [1.0, 0.5]},
        ),
        (
            "mask-parametrization",
            {f"{MA}.parametrization": "exp"},
            None,
            "bad-value",
            (),
            {f"{MA}.parametrization": "softplus"},
        ),
        ("short-in", {f"{SHORT}.in_channels": 48}, None, "mismatch", ("144", "48")),
        ("short-out", {f"{SHORT}.out_channels": 48}, None, "mismatch", ("144", "48")),
        ("short-groups", {f"{SHORT}.groups": 7}, None, "divisible", ("144", "7"), {f"{SHORT}.groups": 48}),
        ("short-groups-0", {f"{SHORT}.groups": 0}, None, "bad-value"),
        ("short-rank", {f"{SHORT}.type": "Conv1d"}, (SHORT, f"{SHORT}.type"), "conv-rank", ("2", "1")),
        ("short-rank-3", {f"{SHORT}.type": "Conv3d"}, (SHORT, f"{SHORT}.type"), "conv-rank", ("2", "3")),
        (
            "short-kind",
            {SHORT: {"type": "Linear", "in_features": 144, "out_features": 144}},
            f"{SHORT}.type",
            "wrong-kind",
            (),
            {SHORT: "Identity"},
        ),
        (
            "short-even",
            {f"{SHORT}.kernel_size": 4},
            None,
            "same-size",
            "4",
            {f"{SHORT}.kernel_size": 5, f"{SHORT}.padding": 2},
        ),
        ("short-even-padded", {f"{SHORT}.kernel_size": 2}, None, "same-size", "2"),
        ("short-padding", {f"{SHORT}.padding": 0}, None, "same-size", "0", {f"{SHORT}.padding": "same"}),
        (
            "short-kernel",
            {f"{SHORT}.kernel_size": 5},
            (f"{SHORT}.padding", f"{SHORT}.kernel_size"),
            "same-size",
            ("1", "5"),
        ),
        ("short-stride", {f"{SHORT}.stride": 2}, None, "same-size", "2"),
        (
            "short-dilation",
            {f"{SHORT}.dilation": 2},
            (f"{SHORT}.padding", f"{SHORT}.dilation"),
            "same-size",
            (),
            {f"{SHORT}.dilation": 2, f"{SHORT}.padding": 2},
        ),
        (
            "short-kernel-list",
            {f"{SHORT}.kernel_size": [3, 3, 3]},
            None,
            "rank",
            ("2", "3"),
            {f"{SHORT}.kernel_size": [3, 5], f"{SHORT}.padding": [1, 2]},
        ),
        ("short-padding-word", {f"{SHORT}.padding": "full"}, None, "bad-value"),
        (
            "short-padding-mode",
            {f"{SHORT}.padding_mode": "zero"},
            None,
            "bad-value",
            (),
            {f"{SHORT}.padding_mode": "circular"},
        ),
        ("short-missing", {SHORT: DROP}, None, "missing-field"),
        ("gate", {f"{HY}.gate_nonlinear": "rms_norm"}, None, "wrong-kind", (), {f"{HY}.gate_nonlinear": "Identity"}),
        ("gate-unknown", {f"{HY}.gate_nonlinear_2": "Swish"}, None, "unknown-component", "Swish"),
        ("gate-field", {f"{HY}.gate_nonlinear.inplace": True}, None, "unknown-field"),
        ("pixelhyena-norm", {f"{HY}.pixelhyena_norm.dim": 16}, None, "mismatch", ("48", "16")),
        ("output-norm", {f"{HY}.output_norm.dim": 144}, None, "mismatch", ("48", "144")),
        ("output-norm-1", {f"{HY}.output_norm.dim": 1}, None, "mismatch", ("48", "1")),
        (
            "hyena-qk-norm",
            {f"{HY}.qk_norm": {"type": "RMSNorm", "dim": 12}},
            f"{HY}.qk_norm.dim",
            "mismatch",
            ("48", "12"),
            {f"{HY}.qk_norm": _NORM},
        ),
        ("hyena-qk-axis", {f"{HY}.qk_norm.dim": 7}, None, "bad-value", (), {f"{HY}.qk_norm.dim": 1}),
        (
            "hyena-per-head",
            {f"{HY}.pixelhyena_norm": {"type": "PerHeadRMSNorm", "num_heads": 5, "head_dim": 12}},
            (f"{HY}.pixelhyena_norm.num_heads",),
            "divisible",
            ("48", "5"),
            {f"{HY}.pixelhyena_norm": {"type": "PerHeadRMSNorm", "num_heads": 4, "head_dim": 12}},
        ),
        (
            "hyena-group-norm",
            {f"{HY}.pixelhyena_norm": {"type": "GroupNorm", "num_groups": 5, "num_channels": 48}},
            f"{HY}.pixelhyena_norm.num_groups",
            "divisible",
            ("48", "5"),
            {f"{HY}.pixelhyena_norm": {"type": "GroupNorm", "num_groups": 6, "num_channels": 48}},
        ),
        (
            "hyena-head-width",
            {f"{HY}.pixelhyena_norm": {"type": "PerHeadRMSNorm", "num_heads": 4, "head_dim": 10}},
            f"{HY}.pixelhyena_norm.head_dim",
            "mismatch",
            ("12", "10"),
            {f"{HY}.pixelhyena_norm": {"type": "PerHeadRMSNorm", "num_heads": 4}},
        ),
        ("hyena-field", {f"{HY}.gate": "silu"}, None, "unknown-field"),
    ),
    # -- kernel and film
    *_rows(
        "vit5",
        ("num-kernel-blocks", {f"{KER}.num_blocks": 5}, None, "block-width", ("16", "5"), {f"{KER}.num_blocks": 8}),
        ("num-kernel-blocks-0", {f"{KER}.num_blocks": 0}, None, "bad-value"),
        ("num-kernel-blocks-32", {f"{KER}.num_blocks": 32}, None, "block-width", ("32", "16")),
        ("embedding", {f"{KER}.embedding_dim": 24}, None, "film-width", ("16", "24")),
        ("embedding-odd", {f"{KER}.embedding_dim": 18}, None, ("film-width", "block-width"), ("16", "18")),
        ("kernel-width", {f"{KER}.mlp_hidden_dim": 24}, None, ("film-width", "mismatch"), ("16", "24")),
        ("kernel-width-odd", {f"{KER}.mlp_hidden_dim": 18}, None, ("film-width", "mismatch", "block-width"), "18"),
        ("kernel-out", {f"{KER}.out_dim": 24}, None, "mismatch", ("48", "24")),
        ("kernel-out-1", {f"{KER}.out_dim": 1}, None, "mismatch", ("48", "1")),
        ("kernel-out-odd", {f"{KER}.out_dim": 50}, None, "mismatch", ("48", "50")),
        ("kernel-rank", {f"{KER}.data_dim": 1}, None, "mismatch", ("2", "1")),
        ("kernel-rank-3", {f"{KER}.data_dim": 3}, None, "mismatch", ("2", "3")),
        ("kernel-layers", {f"{KER}.num_layers": 1}, None, "bad-value", "1"),
        ("kernel-layers-0", {f"{KER}.num_layers": 0}, None, "bad-value"),
        (
            "kernel-layers-4",
            {f"{KER}.num_layers": 4},
            (f"{FI}.num_film_layers", f"{KER}.num_layers"),
            "mismatch",
            ("4", "3"),
            {f"{KER}.num_layers": 4, f"{FI}.num_film_layers": 4},
        ),
        ("extent", {f"{KER}.L_cache": 4}, None, "extent-differs", ("6", "4"), {f"{KER}.L_cache": [6, 4]}),
        ("extent-larger", {f"{KER}.L_cache": 14}, None, "extent-differs", ("6", "14"), {f"{KER}.L_cache": [6, 6]}),
        ("extent-1", {f"{KER}.L_cache": 1}, None, ("extent-too-small", "extent-differs"), "1"),
        ("extent-list", {f"{KER}.L_cache": [6, 6, 6]}, None, ("extent-count", "extent-differs"), "3"),
        ("extent-string", {f"{KER}.L_cache": "6"}, None, "bad-value"),
        ("extent-bool", {f"{KER}.L_cache": True}, None, "bad-value"),
        ("extent-float", {f"{KER}.L_cache": 6.0}, None, "bad-value"),
        (
            "omega-order",
            {f"{KER}.omega_0_min": 20.0},
            (f"{KER}.omega_0_min", f"{KER}.omega_0_max"),
            "omega-order",
            ("20", "12"),
        ),
        ("omega-max", {f"{KER}.omega_0_max": 0.5}, None, "omega-order", ("0.5", "1")),
        ("omega-min", {f"{KER}.omega_0_min": 0.0}, None, "bad-value"),
        ("omega-negative", {f"{KER}.omega_0_max": -12.0}, None, "bad-value"),
        ("schedule", {f"{KER}.schedule": "exponential"}, None, "bad-value", "exponential", {f"{KER}.schedule": "log"}),
        (
            "omega-per-block",
            {f"{KER}.omega_0_per_block": [1.0, 2.0, 3.0]},
            None,
            "block-count",
            ("4", "3"),
            {f"{KER}.omega_0_per_block": [1.0, 2.0, 3.0, 4.0]},
        ),
        (
            "omega-per-block-0",
            {f"{KER}.omega_0_per_block": [1.0, 2.0, 0.0, 4.0]},
            (f"{KER}.omega_0_per_block.2", f"{KER}.omega_0_per_block"),
            "bad-value",
        ),
        ("omega-per-block-empty", {f"{KER}.omega_0_per_block": []}, None, "bad-value"),
        ("hidden-omega-0", {f"{KER}.hidden_omega_0": 0.0}, None, "bad-value"),
        (
            "off-block",
            {f"{KER}.off_block_scale": float("inf")},
            None,
            ("bad-value", "float-range"),
            (),
            {f"{KER}.off_block_scale": 0},
        ),
        ("kernel-bias", {f"{KER}.use_bias": 1}, None, "bad-value"),
        ("kernel-bias-missing", {f"{KER}.use_bias": DROP}, None, "missing-field"),
        ("kernel-omega", {f"{KER}.omega_0": 10.0}, None, "unknown-field", "omega_0"),
        ("kernel-width-missing", {f"{KER}.mlp_hidden_dim": DROP}, None, "missing-field"),
        (
            "film-after",
            {f"{KER}.film_after_pos_embed": False},
            (f"{FI}.num_film_layers", f"{KER}.film_after_pos_embed"),
            "mismatch",
            ("2", "3"),
            {f"{KER}.film_after_pos_embed": False, f"{FI}.num_film_layers": 2},
        ),
        ("film-layers", {f"{FI}.num_film_layers": 2}, None, "mismatch", ("3", "2")),
        ("film-layers-0", {f"{FI}.num_film_layers": 0}, None, "bad-value"),
        ("film-width", {f"{FI}.kernel_hidden_dim": 24}, None, "mismatch", ("16", "24")),
        ("film-width-1", {f"{FI}.kernel_hidden_dim": 1}, None, "mismatch", ("16", "1")),
        ("film-cond", {f"{FI}.cond_dim": 24}, None, "mismatch", ("48", "24")),
        ("film-cond-192", {f"{FI}.cond_dim": 192}, None, "mismatch", ("48", "192")),
        ("film-init", {f"{FI}.init_type": "zeros"}, None, "bad-value", "zeros", {f"{FI}.init_type": "small_random"}),
        ("film-std", {f"{FI}.init_std": -1.0}, None, "bad-value"),
        ("film-decay", {f"{FI}.no_weight_decay": -0.1}, None, "bad-value", (), {f"{FI}.no_weight_decay": True}),
        ("film-hidden", {f"{FI}.film_hidden_dim": 0}, None, "bad-value", (), {f"{FI}.film_hidden_dim": 1}),
        ("film-number", {f"{KER}.film": 1}, None, "not-a-component"),
        ("film-kind", {f"{KER}.film": _NORM}, f"{FI}.type", "wrong-kind"),
        ("film-field", {f"{FI}.condition_dim": 48}, None, "unknown-field"),
    ),
    # -- other mixers and kernels in the adapter's grid
    *_rows(
        "vit5",
        (
            "rope-grid",
            _attention_in_the_grid(rope_spatial_dims=[4, 6]),
            f"{HY}.rope_spatial_dims",
            "mismatch",
            ("[6, 4]", "[4, 6]"),
            _attention_in_the_grid(),
        ),
        (
            "rope-grid-count",
            _attention_in_the_grid(rope_spatial_dims=[24]),
            f"{HY}.rope_spatial_dims",
            "mismatch",
            (),
            _attention_in_the_grid(rope_spatial_dims=[6, 4]),
        ),
        (
            "fourier-out",
            _fourier_kernel(out_dim=24),
            f"{KER}.out_dim",
            "mismatch",
            ("48", "24"),
            _fourier_kernel(out_dim=48),
        ),
        ("fourier-rank", _fourier_kernel(data_dim=1), f"{KER}.data_dim", "mismatch", ("2", "1"), _fourier_kernel()),
        (
            "fourier-extent",
            _fourier_kernel(L_cache=5),
            f"{KER}.L_cache",
            "extent-differs",
            ("6", "5"),
            _fourier_kernel(L_cache=[6, 4]),
        ),
    ),
    # -- misspelt keys of values that must be there, and types that other fields belong to
    *_rows(
        "vit5",
        ("key-network", {"network": DROP, "netwrok": VIT5}, "netwrok", "unknown-field"),
        ("key-type", {f"{N}.norm.type": DROP, f"{N}.norm.typ": "RMSNorm"}, f"{N}.norm.typ", "unknown-field", "typ"),
        ("key-no-type", {f"{N}.norm.type": DROP}, f"{N}.norm", "missing-type"),
        ("key-hidden", {f"{N}.hidden_dim": DROP, f"{N}.hiden_dim": 48}, f"{N}.hiden_dim", "unknown-field", "hiden_dim"),
        ("key-norm", {f"{N}.norm": DROP, f"{N}.norm_cfg": _NORM}, f"{N}.norm_cfg", "unknown-field", "norm_cfg"),
        (
            "key-types",
            {f"{N}.layer_types": DROP, f"{N}.layer_type": {"A": A_BLOCK, "H": H_BLOCK}},
            f"{N}.layer_type",
            "unknown-field",
        ),
        ("key-heads", {f"{ATT}.num_heads": DROP, f"{ATT}.n_heads": 4}, f"{ATT}.n_heads", "unknown-field", "n_heads"),
        (
            "key-pooling",
            {f"{H}.register_pooling": DROP, f"{H}.register_pool": {"type": "RegisterPooling", "num_registers": 4}},
            f"{H}.register_pool",
            "unknown-field",
        ),
        ("key-conv", {f"{HY}.global_conv": DROP, f"{HY}.globalconv": CONV}, f"{HY}.globalconv", "unknown-field"),
        ("key-layers", {f"{KER}.num_layers": DROP, f"{KER}.n_layers": 3}, f"{KER}.n_layers", "unknown-field"),
        ("key-blocks", {f"{KER}.num_blocks": DROP, f"{KER}.nblocks": 4}, f"{KER}.nblocks", "unknown-field"),
        ("key-film", {FI: DROP, f"{KER}.film_cfg": FILM}, f"{KER}.film_cfg", "unknown-field"),
        (
            "key-activation",
            {f"{H}.mlp.activation": DROP, f"{H}.mlp.activations": "gelu"},
            f"{H}.mlp.activations",
            "unknown-field",
        ),
        ("type-kernel", {f"{KER}.type": "SIRENKernelND"}, None, "wrong-type", "num_blocks"),
        ("type-mask", {f"{MA}.type": "Identity"}, None, "wrong-type", "num_channels"),
        ("type-block", {f"{H}.type": "ResidualBlock"}, None, "wrong-type", "register_pooling"),
        ("type-network", {f"{N}.type": "ResidualNetwork"}, None, "wrong-type", "patch_size"),
    ),
    *_rows("resnet", ("key-shape", {"input": {"shapes": [5, 4, 3]}}, "input.shapes", "unknown-field")),
    # -- other shapes of the classifier
    *_rows(
        "vit5_a",
        ("readout-gap", {f"{N}.readout": "gap"}, (f"{N}.readout", f"{ATT}.has_cls"), "mismatch"),
        (
            "registers",
            {f"{N}.num_registers": 5},
            (f"{N}.num_registers", f"{ATT}.num_registers"),
            "mismatch",
            ("4", "5"),
        ),
        ("patch-size", {f"{N}.patch_size": 16}, (f"{N}.patch_size", f"{N}.image_size"), "mismatch", "16"),
    ),
    *_rows(
        "vit5_concat",
        (
            "ratio-missing",
            {f"{N}.neck_compression_ratio": DROP},
            None,
            "missing-ratio",
            (),
            {f"{N}.neck_compression_ratio": 4},
        ),
        ("ratio", {f"{N}.neck_compression_ratio": 5}, None, "neck-width", ("48", "5")),
        ("ratio-0", {f"{N}.neck_compression_ratio": 0}, None, "bad-value"),
        (
            "ratio-other",
            {f"{N}.neck_compression_ratio": 8},
            (f"{N}.norm.dim", f"{N}.neck_compression_ratio"),
            "mismatch",
            ("24", "48"),
            {f"{N}.neck_compression_ratio": 8, f"{N}.norm.dim": 24},
        ),
        ("out-norm", {f"{N}.norm.dim": 12}, None, "mismatch", ("48", "12")),
        (
            "compressed",
            {f"{H}.register_pooling.compressed_dim": 4},
            (f"{FI}.cond_dim", f"{H}.register_pooling.compressed_dim"),
            "mismatch",
            ("16", "12"),
        ),
        ("compressed-0", {f"{H}.register_pooling.compressed_dim": 0}, None, "bad-value"),
        ("concat-hidden", {f"{H}.register_pooling.hidden_dim": 24}, None, "mismatch", ("48", "24")),
        ("concat-registers", {f"{H}.register_pooling.num_registers": 9}, None, "mismatch", ("4", "9")),
        ("cond", {f"{FI}.cond_dim": 48}, None, "mismatch", ("12", "48")),
        ("hidden", {f"{N}.hidden_dim": 96}, None, "mismatch", ("48", "96")),
    ),
    *_rows(
        "vit5_block",
        (
            "registers",
            {f"{N}.num_registers": 1},
            None,
            "grid-width",
            ("17", "4"),
            {f"{N}.num_registers": 4, f"{B_HY}.global_conv.kernel.L_cache": 5},
        ),
        (
            "cls",
            {f"{N}.readout": "cls"},
            (f"{N}.readout", f"{N}.num_registers"),
            "grid-width",
            ("17", "4"),
            {f"{N}.readout": "cls", f"{N}.num_registers": 3, f"{B_HY}.global_conv.kernel.L_cache": 5},
        ),
        ("hidden", {f"{N}.hidden_dim": 32}, None, "mismatch", ("48", "32")),
        ("block-missing", {f"{N}.block": DROP}, (f"{N}.layer_pattern", f"{N}.block"), "no-blocks"),
        ("blocks-0", {f"{N}.num_blocks": 0}, None, "bad-value", (), {f"{N}.num_blocks": 1}),
        ("blocks-missing", {f"{N}.num_blocks": DROP}, None, "missing-field"),
        (
            "types-alone",
            {f"{N}.layer_types": {"A": {**A_BLOCK, "sequence_mixer": "identity", "sequence_mixer_norm": "identity"}}},
            (f"{N}.layer_types", f"{N}.layer_pattern", f"{N}.block"),
            ("pattern-and-types", "block-or-pattern"),
        ),
    ),
    # -- residual networks
    *_rows(
        "resnet",
        (
            "in-channels",
            {f"{N}.in_channels": 4},
            (f"{N}.in_channels", f"{N}.in_proj.in_features"),
            "mismatch",
            ("3", "4"),
        ),
        ("in-proj-in", {f"{N}.in_proj.in_features": 4}, None, "mismatch", ("3", "4")),
        ("in-proj-out", {f"{N}.in_proj.out_features": 16}, None, "mismatch", ("8", "16")),
        (
            "out-channels",
            {f"{N}.out_channels": 6},
            (f"{N}.out_channels", f"{N}.out_proj.out_features"),
            "mismatch",
            ("5", "6"),
        ),
        ("out-proj-in", {f"{N}.out_proj.in_features": 16}, None, "mismatch", ("8", "16")),
        ("out-proj-out", {f"{N}.out_proj.out_features": 4}, None, "mismatch", ("5", "4")),
        ("hidden", {f"{N}.hidden_dim": 16}, None, "mismatch", ("8", "16")),
        ("hidden-odd", {f"{N}.hidden_dim": 7}, None, "mismatch", ("8", "7")),
        ("norm", {f"{N}.norm.dim": 16}, None, "mismatch", ("8", "16")),
        ("norm-1", {f"{N}.norm.dim": 1}, None, "mismatch", ("8", "1")),
        (
            "norm-channels-first",
            {f"{N}.norm": {"type": "GroupNorm", "num_groups": 2, "num_channels": 8}},
            (f"{N}.norm", f"{N}.norm.type"),
            "channels-first",
        ),
        ("rank", {f"{N}.data_dim": 1}, None, "mismatch", ("2", "1")),
        ("rank-3", {f"{N}.data_dim": 3}, None, "mismatch", ("2", "3")),
        ("rank-4", {f"{N}.data_dim": 4}, None, "bad-value", "4"),
        ("conv-rank", {f"{R_CV}.data_dim": 1}, None, "mismatch", ("2", "1")),
        ("kernel-rank", {f"{R_CV}.kernel.data_dim": 1}, None, "mismatch", ("2", "1")),
        ("mask-rank", {f"{R_CV}.mask.data_dim": 1}, None, "mismatch", ("2", "1")),
        (
            "short-rank",
            {f"{R_HY}.short_conv.type": "Conv1d"},
            (f"{R_HY}.short_conv", f"{R_HY}.short_conv.type"),
            "conv-rank",
            ("2", "1"),
        ),
        ("short-channels", {f"{R_HY}.short_conv.in_channels": 8}, None, "mismatch", ("24", "8")),
        ("short-even", {f"{R_HY}.short_conv.kernel_size": 4}, None, "same-size", "4"),
        ("qkv-hidden", {f"{R_MIX}.hidden_dim": 16}, None, "mismatch", ("8", "16")),
        ("conv-hidden", {f"{R_CV}.hidden_dim": 4}, None, "mismatch", ("8", "4")),
        ("kernel-out", {f"{R_CV}.kernel.out_dim": 1}, None, "mismatch", ("8", "1")),
        ("mask-channels", {f"{R_CV}.mask.num_channels": 1}, None, "mismatch", ("8", "1")),
        ("mlp-dim", {f"{N}.block.mlp.dim": 16}, None, "mismatch", ("8", "16")),
        ("block-norm", {f"{N}.block.mlp_norm.dim": 1}, None, "mismatch", ("8", "1")),
        (
            "block-norm-channels-first",
            {f"{N}.block.mlp_norm": {"type": "RMSNormChannelFirst", "dim": 8}},
            (f"{N}.block.mlp_norm", f"{N}.block.mlp_norm.type"),
            "channels-first",
        ),
        (
            "block-norm-unused",
            {f"{N}.block.sequence_mixer": "Identity"},
            f"{N}.block.sequence_mixer_norm",
            "unused-norm",
            (),
            {f"{N}.block.sequence_mixer": "Identity", f"{N}.block.sequence_mixer_norm": "Identity"},
        ),
        ("condition-norm-unused", {f"{N}.block.condition_mixer_norm": _R_NORM}, None, "unused-norm"),
        ("block-dropout", {f"{N}.block.dropout.p": 1.5}, None, "bad-value", "1.5"),
        (
            "film-unfed",
            {f"{R_CV}.kernel.film": {**FILM, "cond_dim": 8, "num_film_layers": 2}},
            (f"{N}.block.sequence_mixer", f"{R_CV}.kernel.film"),
            "unused-conditioning",
        ),
        ("target-rank", {f"{N}.target_size": [2, 2, 2]}, None, "target-rank", ("2", "3"), {f"{N}.target_size": [2, 2]}),
        ("target-rank-1", {f"{N}.target_size": [2]}, None, "target-rank", ("2", "1"), {f"{N}.target_size": 1}),
        (
            "target-large",
            {f"{N}.target_size": 6},
            f"{N}.target_size",
            ("target-size", "shape"),
            ("6", "5"),
            {f"{N}.target_size": 4},
        ),
        (
            "target-large-axis",
            {f"{N}.target_size": [5, 5]},
            f"{N}.target_size",
            ("target-size", "shape"),
            ("5", "4"),
            {f"{N}.target_size": [5, 4]},
        ),
        ("target-0", {f"{N}.target_size": 0}, None, "bad-value"),
        ("blocks-0", {f"{N}.num_blocks": 0}, None, "bad-value"),
        ("blocks-missing", {f"{N}.num_blocks": DROP}, None, "missing-field"),
        ("block-missing", {f"{N}.block": DROP}, (f"{N}.block", f"{N}.layer_pattern"), ("missing-field", "no-blocks")),
        ("block-kind", {f"{N}.block": HYENA}, f"{N}.block.type", "wrong-kind"),
        (
            "block-vit5-mixer",
            {R_MIX: {**ATTENTION, "hidden_dim": 8, "num_heads": 2, "qk_norm": None}},
            (f"{R_MIX}.type", R_MIX),
            "sequence-rank",
        ),
        ("in-proj-kind", {f"{N}.in_proj": _R_NORM}, f"{N}.in_proj.type", "wrong-kind"),
        ("in-proj-identity", {f"{N}.in_proj": "Identity"}, f"{N}.in_proj", "identity-width", ("3", "8")),
        ("out-proj-identity", {f"{N}.out_proj": "Identity"}, f"{N}.out_proj", "identity-width", ("8", "5")),
        ("checkpointing", {f"{N}.gradient_checkpointing": "yes"}, None, "bad-value"),
        ("dropout-in", {f"{N}.dropout_in.p": -0.5}, None, "bad-value"),
        (
            "attention-block",
            {R_MIX: _SELF, f"{R_MIX}.mixer.rope_spatial_dims": [5, 4, 3]},
            f"{R_MIX}.mixer.rope_spatial_dims",
            "rank",
            ("2", "3"),
            {R_MIX: _SELF},
        ),
        ("input-channels", {"input": {"shape": [5, 4, 1]}}, "input.shape", "shape", ("3", "1")),
        ("input-rank", {"input": {"shape": [5, 3]}}, "input.shape", "shape"),
        ("input-shape-zero", {"input": {"shape": [5, 0, 3]}}, "input.shape", "bad-value"),
        ("input-shape-word", {"input": {"shape": "5x4x3"}}, "input.shape", "bad-value"),
        ("input-shape-missing", {"input": {}}, ("input.shape", "input"), "missing-field"),
        ("field", {f"{N}.n_blocks": 2}, None, "unknown-field"),
    ),
    *_rows(
        "classifier",
        ("target", {f"{N}.target_size": 2}, None, "unknown-field"),
        (
            "out-channels",
            {f"{N}.out_channels": 10},
            (f"{N}.out_channels", f"{N}.out_proj.out_features"),
            "mismatch",
            ("5", "10"),
        ),
        ("rank", {f"{N}.data_dim": 1}, None, "mismatch", ("2", "1")),
    ),
    *_rows(
        "patches",
        ("in-rank", {f"{N}.in_proj.data_dim": 1}, None, "mismatch", ("2", "1")),
        ("out-rank", {f"{N}.out_proj.data_dim": 3}, None, "mismatch", ("2", "3")),
        ("in-features", {f"{N}.in_proj.in_features": 1}, None, "mismatch", ("3", "1")),
        (
            "patch-large",
            {f"{N}.in_proj.patch_size": 16},
            ("input.shape", f"{N}.in_proj.patch_size"),
            "shape",
            ("16", "8"),
        ),
        ("patch-0", {f"{N}.in_proj.patch_size": 0}, None, "bad-value"),
        (
            "init",
            {f"{N}.out_proj.weight_init": "fanin"},
            None,
            "bad-value",
            "fanin",
            {f"{N}.out_proj.weight_init": "fan_in"},
        ),
    ),
    *_rows(
        "adaln",
        ("hidden", {f"{N}.block.hidden_dim": 4}, None, "mismatch", ("8", "4")),
        ("net-hidden", {f"{N}.hidden_dim": 12}, None, "mismatch", ("8", "12")),
        ("condition-proj-in", {f"{N}.condition_in_proj.in_features": 4}, None, "mismatch", ("8", "4")),
        ("condition-proj-out", {f"{N}.condition_in_proj.out_features": 4}, None, "mismatch", ("8", "4")),
        ("condition-norm", {f"{N}.block.condition_norm.dim": 4}, None, "mismatch", ("8", "4")),
        ("condition-missing", {"input.condition": DROP}, ("input.condition", "input"), "missing-condition"),
        ("condition-width", {"input.condition": [6]}, "input.condition", "condition-width", ("8", "6")),
        ("attention", {R_MIX: _SELF}, R_MIX, "conditioning-not-accepted"),
        ("identity", {R_MIX: "Identity"}, R_MIX, ("conditioning-not-accepted", "wrong-kind")),
        (
            "film-cond",
            {f"{R_CV}.kernel.film": {**FILM, "cond_dim": 6, "num_film_layers": 2}},
            f"{R_CV}.kernel.film.cond_dim",
            "mismatch",
            ("8", "6"),
            {f"{R_CV}.kernel.film": {**FILM, "cond_dim": 8, "num_film_layers": 2}},
        ),
        ("mlp", {f"{N}.block.mlp.dim": 4}, None, "mismatch", ("8", "4")),
        ("condition-mixer", {f"{N}.block.condition_mixer": "Identity"}, None, "unknown-field"),
    ),
    *_rows(
        "cross",
        ("hidden", {f"{N}.block.condition_mixer.hidden_dim": 4}, None, "mismatch", ("8", "4")),
        ("attention-hidden", {f"{R_HY}.hidden_dim": 16}, None, "mismatch", ("8", "16")),
        ("heads", {f"{R_HY}.num_heads": 3}, None, "divisible", ("8", "3"), {f"{R_HY}.num_heads": 1}),
        ("head-width", {f"{R_HY}.num_heads": 4}, None, "rope-head-dim", ("8", "4")),
        (
            "rope-rank",
            {f"{R_HY}.rope_spatial_dims": [20]},
            None,
            "rank",
            ("2", "1"),
            {f"{R_HY}.rope_spatial_dims": [20], f"{R_HY}.use_rope": False},
        ),
        ("rope-missing", {f"{R_HY}.rope_spatial_dims": DROP}, None, "rope-grid", (), {f"{R_HY}.use_rope": False}),
        (
            "rope-extent",
            {f"{R_HY}.rope_spatial_dims": [5, 5]},
            (f"{R_HY}.rope_spatial_dims", "input.shape"),
            ("shape", "mismatch"),
            ("5", "4"),
        ),
        (
            "rope-cross",
            {
                f"{N}.block.condition_mixer.mixer.use_rope": True,
                f"{N}.block.condition_mixer.mixer.rope_spatial_dims": [5, 4],
            },
            (
                f"{N}.block.condition_mixer.mixer.use_rope",
                f"{N}.block.condition_mixer.mixer.rope_spatial_dims",
                "input.shape",
                "input.condition",
            ),
            ("shape", "rope-cross"),
        ),
        ("condition-missing", {"input.condition": DROP}, ("input.condition", "input"), "missing-condition"),
        ("condition-width", {"input.condition": [6]}, "input.condition", "condition-width", ("8", "6")),
        ("mixer-kind", {f"{N}.block.condition_mixer": QKV}, f"{N}.block.condition_mixer.type", "wrong-kind"),
        ("norm-missing", {f"{N}.block.condition_mixer": "Identity"}, f"{N}.block.condition_mixer_norm", "unused-norm"),
    ),
    *_rows(
        "causal",
        (
            "short",
            {
                f"{R_HY}.short_conv": {
                    "type": "Conv1d",
                    "in_channels": 24,
                    "out_channels": 24,
                    "kernel_size": 3,
                    "groups": 24,
                    "padding": 1,
                }
            },
            (f"{R_HY}.short_conv", f"{R_HY}.short_conv.type"),
            "causal-short-conv",
            (),
            {f"{R_HY}.short_conv": "Identity"},
        ),
        (
            "short-flag",
            {
                f"{R_HY}.short_conv.is_causal": False,
                f"{R_HY}.short_conv.kernel_size": 3,
                f"{R_HY}.short_conv.padding": 1,
            },
            (f"{R_HY}.short_conv", f"{R_HY}.short_conv.is_causal"),
            "causal-short-conv",
        ),
        ("short-padding", {f"{R_HY}.short_conv.padding": 3}, None, "causal-padding", "3"),
        ("short-mode", {f"{R_HY}.short_conv.padding_mode": "reflect"}, None, "causal-padding", "reflect"),
        ("short-stride", {f"{R_HY}.short_conv.stride": 2}, None, "same-size", "2"),
        (
            "circular",
            {f"{R_CV}.fft_padding": "circular", f"{R_CV}.grid_type": "single"},
            f"{R_CV}.fft_padding",
            "causal-boundary",
            (),
            {f"{R_CV}.grid_type": "single"},
        ),
        (
            "list",
            {f"{R_CV}.fft_padding": ["zero"], f"{R_CV}.grid_type": None},
            (f"{R_CV}.fft_padding", f"{R_CV}.is_causal"),
            "causal-boundary",
        ),
        (
            "attention-rope",
            {f"{R_HY}": {**_SELF["mixer"], "rope_spatial_dims": [5, 4]}},
            f"{R_HY}.rope_spatial_dims",
            "rank",
            ("1", "2"),
            {R_HY: {**_SELF["mixer"], "rope_spatial_dims": [12]}},
        ),
    ),
    *_rows(
        "sequence",
        (
            "rank",
            {f"{N}.data_dim": 2, "input.shape": [5, 4, 3]},
            (f"{R_MIX}.type", R_MIX, f"{N}.data_dim"),
            "sequence-rank",
            "2",
        ),
        ("width", {f"{R_MIX}.d_model": 4}, None, "mismatch", ("8", "4")),
        ("hidden", {f"{N}.hidden_dim": 16}, None, "mismatch", ("8", "16")),
        ("transposed", {f"{R_MIX}.transposed": True}, None, "transposed", (), {f"{R_MIX}.final_act": None}),
        (
            "channels",
            {f"{R_MIX}.channels": 2, f"{R_MIX}.final_act": "none"},
            (f"{R_MIX}.final_act", f"{R_MIX}.channels"),
            "output-width",
            (),
            {f"{R_MIX}.channels": 2},
        ),
        ("no-projection", {f"{R_MIX}.gate": 2, f"{R_MIX}.final_act": None}, f"{R_MIX}.final_act", "output-width"),
        (
            "s4-channels",
            {R_MIX: {**_S4, "channels": 2, "final_act": "none"}},
            (f"{R_MIX}.final_act", f"{R_MIX}.channels"),
            "output-width",
            (),
            {R_MIX: {**_S4, "channels": 2}},
        ),
        (
            "s4-width",
            {R_MIX: {**_S4, "d_model": 4}},
            f"{R_MIX}.d_model",
            "mismatch",
            ("8", "4"),
            {R_MIX: {**_S4, "final_act": None}},
        ),
        ("sets", {f"{R_MIX}.n_ssm": 3}, None, "divisible", ("8", "3"), {f"{R_MIX}.n_ssm": 8}),
        (
            "mixer",
            {R_MIX: {"type": "S4DSequenceMixer", "in_features": 4, "state_dim": 8}},
            f"{R_MIX}.in_features",
            "mismatch",
            ("8", "4"),
            {R_MIX: {"type": "S4DSequenceMixer", "in_features": 8, "state_dim": 8}},
        ),
    ),
    # -- presets, where almost everything follows
    *_rows(
        "preset",
        ("registers-8", {f"{N}.num_registers": 8}, None, "square-registers", "8", {f"{N}.num_registers": 9}),
        ("registers-5", {f"{N}.num_registers": 5}, None, "square-registers", "5", {f"{N}.num_registers": 0}),
        ("patch-15", {f"{N}.patch_size": 15}, None, "patch-size", ("224", "15"), {f"{N}.patch_size": 14}),
        ("patch-name", {f"{N}.patchsize": 8}, None, "unknown-field", "patchsize", {f"{N}.patch_size": 8}),
        ("patch-string", {f"{N}.patch_size": "abc"}, None, "bad-value", "abc"),
        (
            "image-200",
            {f"{N}.image_size": 200},
            (f"{N}.patch_size", f"{N}.image_size"),
            "patch-size",
            ("200", "16"),
            {f"{N}.image_size": 256},
        ),
        (
            "hidden-380",
            {f"{N}.hidden_dim": 380},
            (f"{N}.hidden_dim", f"{ATT}.num_heads", f"{KER}.num_blocks"),
            ("heads", "block-width", "mismatch"),
            "380",
            {f"{N}.hidden_dim": 192},
        ),
        (
            "hidden-390",
            {f"{N}.hidden_dim": 390},
            (f"{N}.hidden_dim", f"{ATT}.num_heads", f"{KER}.num_blocks"),
            ("heads", "rotary-width", "block-width", "mismatch"),
            "390",
        ),
        (
            "blocks-10",
            {f"{N}.num_blocks": 10},
            (f"{N}.num_blocks", f"{N}.layer_pattern"),
            "pattern-length",
            ("12", "10"),
        ),
        (
            "pattern-4",
            {f"{N}.layer_pattern": "HAHA"},
            (f"{N}.num_blocks", f"{N}.layer_pattern"),
            "pattern-length",
            ("4", "12"),
            {f"{N}.layer_pattern": "AAAA", f"{N}.num_blocks": 4},
        ),
        ("pattern-m", {f"{N}.layer_pattern": "HAHAHAHAHAHM"}, None, "unknown-layer-type"),
        ("nowhere", {f"{N}.foo": {"bar": 8}}, None, "unknown-field", "foo"),
        ("readout", {f"{N}.readout": "register_concatt"}, None, "bad-value", (), {f"{N}.readout": "gap"}),
    ),
    *_rows(
        "preset_ha",
        (
            "heads",
            {f"{N}.layer_types": {"A": {"sequence_mixer": {"num_heads": 7}}}},
            f"{ATT}.num_heads",
            "heads",
            ("384", "7"),
            {f"{N}.layer_types": {"A": {"sequence_mixer": {"num_heads": 32}}}},
        ),
        (
            "attention-width",
            {f"{N}.layer_types": {"A": {"hidden_dim": 128}}},
            f"{A}.hidden_dim",
            "mismatch",
            ("384", "128"),
        ),
        (
            "grid-w",
            {f"{N}.layer_types": {"H": {"sequence_mixer": {"grid_w": 7}}}},
            f"{ADAPTER}.grid_w",
            "mismatch",
            ("14", "7"),
        ),
        (
            "extent",
            {
                f"{N}.layer_types": {
                    "H": {"sequence_mixer": {"inner_mixer": {"mixer": {"global_conv": {"kernel": {"L_cache": 7}}}}}}
                }
            },
            f"{KER}.L_cache",
            "extent-differs",
            ("15", "7"),
            {
                f"{N}.layer_types": {
                    "H": {"sequence_mixer": {"inner_mixer": {"mixer": {"global_conv": {"kernel": {"L_cache": 15}}}}}}
                }
            },
        ),
        ("hidden-380", {f"{N}.hidden_dim": 380}, (f"{N}.hidden_dim", f"{ATT}.num_heads"), "heads", ("380", "6")),
        ("hidden-390", {f"{N}.hidden_dim": 390}, (f"{N}.hidden_dim", f"{ATT}.num_heads"), "rotary-width", ("390", "6")),
    ),
    *_rows(
        "film",
        ("registers-8", {f"{N}.num_registers": 8}, None, "square-registers", "8", {f"{N}.num_registers": 9}),
        ("registers-0", {f"{N}.num_registers": 0}, (f"{N}.num_registers", f"{H}.num_registers"), "no-registers", "0"),
    ),
    # -- single components
    *_rows(
        "conv",
        ("width", {"hidden_dim": 24}, None, "mismatch", ("48", "24")),
        ("kernel-width", {"kernel.out_dim": 24}, ("kernel.out_dim", "hidden_dim"), "mismatch", ("48", "24")),
        ("hidden-missing", {"hidden_dim": DROP}, None, "missing-field"),
        (
            "fused-causal",
            {"fft_backend": "subq_ops_fused", "fft_padding": "circular", "grid_type": "single"},
            "fft_backend",
            "backend",
            (),
            {"fft_backend": "subq_ops_fused"},
        ),
        (
            "fused-list",
            {"fft_backend": "subq_ops", "fft_padding": ["zero", "zero"], "grid_type": None},
            "fft_backend",
            "backend",
        ),
        (
            "extent-single",
            {"grid_type": "single", "kernel.L_cache": 2},
            "kernel.L_cache",
            "extent-too-small",
            "2",
            {"grid_type": "single"},
        ),
    ),
    *_rows(
        "conv1",
        (
            "causal-circular",
            {"is_causal": True, "fft_padding": "circular", "grid_type": "single"},
            "fft_padding",
            "causal-boundary",
            (),
            {"is_causal": True},
        ),
        ("fused", {"fft_backend": "subq_ops_fused"}, None, "backend"),
        ("subq", {"fft_backend": "subq_ops"}, None, "backend", (), {"fft_backend": "subq_ops", "is_causal": True}),
        ("rank", {"data_dim": 2}, None, "mismatch", ("1", "2")),
    ),
    *_rows(
        "siren",
        ("omega", {"omega_0": 0}, None, "bad-value", "0", {"omega_0": 30}),
        ("omega-negative", {"omega_0": -10.0}, None, "bad-value"),
        ("omega-missing", {"omega_0": DROP}, None, "missing-field"),
        ("extent-1", {"L_cache": 1}, None, "extent-too-small", "1", {"L_cache": 2}),
        ("extents", {"L_cache": [6]}, None, "extent-count", ("2", "1"), {"L_cache": [6, 4]}),
        ("extent-null", {"L_cache": None}, None, "bad-value"),
        ("rank", {"data_dim": 0}, None, "bad-value"),
        ("layers", {"num_layers": 1}, None, "bad-value", "1", {"num_layers": 2}),
        (
            "film-without-cond",
            {"film": {k: v for k, v in FILM.items() if k != "cond_dim"} | {"num_film_layers": 2}},
            "film.cond_dim",
            "missing-field",
        ),
    ),
    *_rows(
        "blocks",
        ("blocks", {"num_blocks": 3}, None, "block-width", ("3", "16"), {"num_blocks": 1}),
        ("out", {"out_dim": 50}, None, "block-width", ("50", "4"), {"out_dim": 52}),
        (
            "learnable-range",
            {"type": "BlockDiagonalLearnableOmegaSIRENKernelND", "omega_0_max": 200.0},
            ("omega_0_scale_min", "omega_0_max"),
            "scale-outside-range",
            (),
            {"type": "BlockDiagonalLearnableOmegaSIRENKernelND"},
        ),
        (
            "learnable-scale",
            {"type": "BlockDiagonalLearnableOmegaSIRENKernelND", "omega_0_scale_max": 0.001},
            "omega_0_scale_max",
            "empty-range",
        ),
    ),
    *_rows(
        "multi",
        ("rows", {"omega_0_per_row": [1.0, 2.0]}, None, "row-count", ("16", "2")),
        ("row-0", {"omega_0_per_row.3": 0.0}, ("omega_0_per_row.3", "omega_0_per_row"), "bad-value"),
        ("empty", {"omega_0_per_row": []}, None, "bad-value"),
        ("embedding", {"embedding_dim": 8}, ("omega_0_per_row", "embedding_dim"), "row-count", ("16", "8")),
    ),
    *_rows(
        "learnable",
        ("scale-min", {"omega_0_scale_min": 0.0}, None, "bad-value"),
        (
            "scale-order",
            {"omega_0_scale_min": 3.0},
            ("omega_0_scale_max", "omega_0_scale_min"),
            "empty-range",
            ("3", "2"),
        ),
        ("scale-init", {"omega_0_scale_init": 5.0}, None, "scale-outside-range", ("5", "2"), {"omega_0_scale_init": 1}),
        ("scale-rows", {"omega_0_scale_init": [1.0, 1.0]}, None, "row-count", ("16", "2")),
    ),
    *_rows(
        "fourier",
        ("odd", {"embedding_dim": 15}, None, "odd-width", "15", {"embedding_dim": 14}),
        ("film", {"film": FILM}, None, "unknown-field"),
        ("nonlinear", {"nonlinear": DROP}, None, "missing-field"),
        ("nonlinear-kind", {"nonlinear": "rms_norm"}, None, "wrong-kind"),
        ("init", {"init_method": "small"}, None, "unknown-component", (), {"init_method": "small_init"}),
    ),
    *_rows(
        "mask",
        ("grid-1", {"grid_size": 1}, None, "bad-value", "1", {"grid_size": 2}),
        ("extent-length", {"init_extent": [1.0]}, None, "extent-count", ("2", "1")),
        ("extent-bool", {"init_extent": True}, None, "bad-value"),
        ("attenuation", {"min_attenuation_at_step": 0.0}, None, "bad-value"),
        ("missing", {"num_channels": DROP}, None, "missing-field"),
    ),
    *_rows(
        "decay",
        ("fast", {"fast_decay_pct": 0.0}, None, "bad-value"),
        ("grid", {"grid_size": 11}, None, "unknown-field"),
    ),
    *_rows(
        "mlp",
        ("factor", {"expansion_factor": float("inf")}, None, ("bad-value", "float-range")),
        ("activation", {"activation": "geglu"}, None, "bad-value", "geglu", {"activation": "glu"}),
        ("activation-component", {"activation": {"type": "GELU"}}, None, "bad-value"),
    ),
    *_rows(
        "attention",
        ("heads", {"num_heads": 3}, None, "divisible", ("8", "3"), {"num_heads": 1}),
        ("rope-1d", {"num_heads": 8, "rope_spatial_dims": [20]}, "num_heads", "rope-head-dim", ("8", "2")),
        ("rope-axes", {"rope_spatial_dims": [2, 2, 2, 2]}, None, "bad-value"),
        ("rope-empty", {"rope_spatial_dims": []}, None, "bad-value"),
        ("qk-norm", {"apply_qk_norm": DROP}, None, "missing-field"),
        ("qk-norm-string", {"apply_qk_norm": "true"}, None, "bad-value"),
    ),
    *_rows(
        "vit5_attention",
        ("registers", {"num_registers": 8}, None, "square-registers", "8", {"num_registers": 9}),
        ("heads", {"num_heads": 5}, None, ("heads", "mismatch"), "5"),
        ("norm", {"qk_norm.dim": 48}, None, "mismatch", ("12", "48")),
    ),
    *_rows(
        "film_generator",
        ("init", {"init_type": "random"}, None, "bad-value"),
        ("layers", {"num_film_layers": 0}, None, "bad-value"),
        ("decay", {"no_weight_decay": "0.1"}, None, "bad-value"),
        ("cond-missing", {"cond_dim": DROP}, None, "missing-field"),
    ),
    *_rows(
        "concat",
        ("compressed", {"compressed_dim": DROP}, None, "missing-field"),
        ("registers", {"num_registers": 0}, None, "bad-value"),
    ),
    *_rows(
        "patchify",
        ("rank", {"data_dim": 4}, None, "bad-value", "4"),
        ("stride", {"stride": 0}, None, "bad-value", (), {"stride": 1}),
    ),
    *_rows(
        "positions",
        ("lengths", {"max_dim_lengths": [5]}, None, "rank", ("2", "1")),
        ("width", {"embedding_dim": 7}, None, "divisible", ("7", "2")),
        ("rank", {"data_dim": 4}, None, "bad-value", "4"),
    ),
    *_rows("group_norm", ("groups", {"num_groups": 3}, None, "divisible", ("8", "3"), {"num_groups": 2})),
    *_rows("per_head", ("heads", {"num_heads": 0}, None, "bad-value"), ("width", {"head_dim": 0}, None, "bad-value")),
    *_rows(
        "s4",
        ("state-odd", {"d_state": 15}, None, "even-state", "15", {"d_state": 14}),
        ("disc", {"disc": "zoh"}, None, "bad-value", "zoh"),
        ("rank", {"init": "legt"}, ("rank", "init"), "init-rank", "1", {"init": "legt", "rank": 2}),
        ("init", {"init": "hippo-legs"}, None, "bad-value"),
        ("rank-0", {"rank": 0}, None, "bad-value"),
        ("bidirectional", {"bidirectional": 1}, None, "bad-value"),
    ),
    *_rows(
        "s4d",
        ("sets", {"n_ssm": 3}, None, "divisible", ("8", "3"), {"n_ssm": 1}),
        ("state-0", {"d_state": 0}, None, "bad-value"),
        ("dt", {"dt_min": 0.2}, ("dt_min", "dt_max"), "dt-range", ("0.2", "0.1"), {"dt_max": 0.2}),
        ("dt-equal", {"dt_max": 0.001}, ("dt_max", "dt_min"), "dt-range", "0.001"),
        ("dt-0", {"dt_min": 0.0}, None, "bad-value"),
        ("dss", {"disc": "dss", "l_max": None}, "l_max", "dss-length", (), {"disc": "dss"}),
        ("disc", {"disc": "async"}, None, "bad-value", "async", {"disc": "bilinear"}),
        ("activation", {"activation": "swish"}, None, "bad-value"),
        ("dropout", {"dropout": 1.0}, None, "bad-value", (), {"dropout": 0.5}),
        ("gate", {"gate": 0}, None, "bad-value", (), {"gate": 1}),
        ("sigmoid", {"dt_transform": "sigmoid", "dt_max": 2.0}, ("dt_max", "dt_transform"), "sigmoid-range"),
    ),
    *_rows(
        "s4d_kernel",
        ("bandlimit", {"bandlimit": 0.0}, None, "bad-value", (), {"bandlimit": 0.5}),
        ("init", {"init": "unknown"}, None, "bad-value", "unknown", {"init": "diag-lin"}),
        ("combined", {"init": "all", "n_ssm": 2}, ("n_ssm", "init"), "init-sets", ("4", "2"), {"init": "all"}),
        ("real-random", {"real_random": True}, None, "unused-option", (), {"real_random": True, "init": "diag-lin"}),
        ("transform", {"real_transform": "tanh"}, None, "bad-value"),
        ("channels", {"channels": 0}, None, "bad-value"),
        ("l-max", {"l_max": 0}, None, "bad-value"),
    ),
    *_rows(
        "s4d_mixer",
        ("odd", {"state_dim": 15}, None, "even-state", "15"),
        ("dt", {"dt_max": 0.0001}, ("dt_max", "dt_min"), "dt-range", ("0.0001", "0.001")),
        ("features", {"in_features": DROP}, None, "missing-field"),
    ),
)
