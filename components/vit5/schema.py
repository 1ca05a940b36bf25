"""Configs of the ViT-5 attention, Hyena adapter, residual block and classifier."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Optional

from pydantic import Field

from components.functional.channels import channels_last
from components.functional.patterns import Blocks, Pattern, pattern_rules
from components.vit5 import cost
from registry.rules import Divides, Require
from registry.schema import (
    Component,
    Count,
    Dim,
    Heads,
    InputSpec,
    NonNegative,
    Positive,
    Probability,
    fields_of,
    follows,
    slot,
)
from registry.shapes import Shape
from registry.store import register

Keys = Annotated[tuple[Annotated[str, Field(strict=True, pattern="^[A-Za-z0-9]$")], ...], Field(strict=False)]


def _sequence(name: str) -> Require:
    return Require(
        "data_dim == 1",
        at="type",
        code="sequence-rank",
        message=f"Expected one axis of tokens to arrive at {name}, got data_dim={{data_dim}}",
        hint="use a mixer of grids, such as qkv_sequence_mixer",
        why="it takes tokens one after another, (batch, tokens, channels)",
    )


@register(
    "vit5_attention",
    kind="sequence_mixer",
    module="components.vit5.module:ViT5Attention",
    aliases=("ViT5Attention",),
)
class ViT5Attention(Component):
    """Multi-head self-attention with normed queries and keys and 2-D rotary positions."""

    paper = "Vaswani et al. 2017, eq. 1; rotary positions: Su et al. 2021 (arXiv:2104.09864), half a head per axis"
    rules = (
        Divides(
            "num_heads",
            ("hidden_dim",),
            at="num_heads",
            code="heads",
            why="every head has hidden_dim / num_heads channels",
        ),
        Require(
            "hidden_dim // num_heads % 4 == 0",
            at="num_heads",
            code="rotary-width",
            message="Expected a head width divisible by 4, got {hidden_dim} / {num_heads} = {hidden_dim // num_heads}",
            hint="num_heads must divide {hidden_dim} / 4",
            why="a head is cut into two axes, and each axis into pairs that rotate",
        ),
        _sequence("vit5_attention"),
        channels_last("qk_norm"),
        Require(
            "isqrt(num_registers) ** 2 == num_registers",
            at="num_registers",
            code="square-registers",
            message="Expected num_registers to be a square number, got {num_registers}",
            hint="try num_registers: {isqrt(num_registers) ** 2} or {(isqrt(num_registers) + 1) ** 2}",
            why="the registers' rotary positions are a square grid",
        ),
        Require(
            "num_patches_h * num_patches_w + has_cls + num_registers == seq_shape[0]",
            at="seq_shape",
            when="data_dim == 1",
            code="token-count",
            message="Expected as many tokens as arrive, {seq_shape[0]}, "
            "got {num_patches_h} x {num_patches_w} + {int(has_cls)} + {num_registers}",
            hint="leave the layer type out of padding_types: attention must not see the padding",
            why="every token has its own rotary position",
        ),
    )

    hidden_dim: Dim = follows("hidden_dim", "Width of the tokens.")
    num_heads: Heads
    num_patches_h: Dim = follows("num_patches_h", "Rows of patches.")
    num_patches_w: Dim = follows("num_patches_w", "Columns of patches.")
    num_registers: Count = follows("num_registers", "Number of register tokens, a square number.", default=4)
    has_cls: bool = follows("has_cls", "Whether a class token follows the patches.", default=True)
    qk_norm: Optional[Component] = slot(
        "norm",
        default=None,
        gives={"hidden_dim": "exact(hidden_dim, num_heads)"},
        description="Of every query and every key, over the width of its head.",
    )
    rope_base: Positive = Field(10000.0, description="Base of the rotary frequencies of the patches.")
    reg_rope_base: Positive = Field(100.0, description="Base of the rotary frequencies of the registers.")
    attn_dropout: Probability = Field(0.0, description="Dropout of the attention weights.")
    proj_dropout: Probability = Field(0.0, description="Dropout of the output.")
    qkv_bias: bool = False
    out_proj_bias: bool = False
    scale: Optional[Positive] = Field(None, description="Factor of the scores; left out, 1 / sqrt(head width).")
    init_fn_qkv_proj: Optional[Component] = slot("initializer", default=None)
    init_fn_out_proj: Optional[Component] = slot("initializer", default=None)

    parameters = cost.attention_parameters
    buffers = cost.attention_buffers
    forward = cost.attention_forward
    flop_count = cost.attention_flop_count

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_dim // self.num_heads

    @property
    def num_tokens(self) -> int:
        """Patches, class token and registers."""
        return self.num_patches_h * self.num_patches_w + self.has_cls + self.num_registers

    @property
    def accepts_conditioning(self) -> bool:
        """Attention takes tokens and nothing else."""
        return False

    @cached_property
    def parts(self) -> dict[str, Component]:
        """`qk_norm` is built twice."""
        found = {
            "q_norm": self.qk_norm,
            "k_norm": self.qk_norm,
            "init_fn_qkv_proj": self.init_fn_qkv_proj,
            "init_fn_out_proj": self.init_fn_out_proj,
        }
        return {name: part for name, part in found.items() if part is not None}

    def module_args(self) -> dict[str, Any]:
        """The plain fields."""
        args = super().module_args()
        args.pop("qk_norm", None)
        return args

    def input_spec(self) -> InputSpec:
        """All tokens."""
        return InputSpec((self.num_tokens, self.hidden_dim))


@register(
    "vit5_hyena_adapter",
    kind="sequence_mixer",
    module="components.vit5.module:ViT5HyenaAdapter",
    aliases=("ViT5HyenaAdapter",),
)
class ViT5HyenaAdapter(Component):
    """Shows a sequence of tokens to a 2-D mixer as a grid, row by row."""

    rules = (
        _sequence("vit5_hyena_adapter"),
        Require(
            "seq_shape[0] % grid_w == 0",
            at="seq_shape",
            when="data_dim == 1",
            code="grid-width",
            message="Expected grid_w to divide the {seq_shape[0]} tokens that arrive, got {grid_w}",
            hint="name the layer type in padding_types, or change num_registers",
            why="the tokens fill whole rows of the grid",
        ),
    )

    inner_mixer: Component = slot(
        "sequence_mixer",
        gives={
            "data_dim": "2",
            "seq_shape": "(exact(seq_shape[0], grid_w), grid_w)",
            "L_cache": "max(exact(seq_shape[0], grid_w), grid_w)",
        },
    )
    grid_w: Dim = follows("grid_w", "Width of the grid.")

    parameters = cost.adapter_parameters
    forward = cost.adapter_forward
    flop_count = cost.adapter_flop_count

    @property
    def accepts_conditioning(self) -> bool:
        """Whatever the inner mixer takes is handed on to it."""
        return self.inner_mixer.accepts_conditioning

    def input_spec(self) -> InputSpec | None:
        """As many rows as the inner mixer implies."""
        inner = self.inner_mixer.input_spec()
        if inner is None or len(inner.shape) != 3:
            return None
        rows, _, width = inner.shape
        return InputSpec((rows * self.grid_w, width), inner.condition)

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Tokens, and the conditioning vector if there is one."""
        conditioning = {"conditioning": batch + Shape(spec.condition)} if spec.condition else {}
        return (batch + Shape(spec.shape),), conditioning


_NORMED = {"hidden_dim": "hidden_dim"}


@register(
    "vit5_residual_block",
    kind="block",
    module="components.vit5.module:ViT5ResidualBlock",
    aliases=("ViT5ResidualBlock",),
)
class ViT5ResidualBlock(Component):
    """Pre-norm block of a token mixer and an MLP, with LayerScale and stochastic depth."""

    paper = "LayerScale: Touvron et al. 2021 (arXiv:2103.17239); stochastic depth: Huang et al. 2016 (arXiv:1603.09382)"
    rules = (
        *(channels_last(norm) for norm in ("sequence_mixer_norm", "mlp_norm", "grn")),
        Require(
            "num_registers > 0",
            at="num_registers",
            when="register_pooling is not None",
            code="no-registers",
            message="Expected num_registers of at least 1 with register_pooling, got {num_registers}",
            hint="set num_registers, or leave register_pooling out",
            why="there is nothing to pool",
        ),
        Require(
            "sequence_mixer.takes_conditioning",
            at="register_pooling",
            when="register_pooling is not None",
            code="unused-conditioning",
            message="Expected no register_pooling, as nothing in sequence_mixer makes use of it, "
            "got {register_pooling.entry.name}",
            hint="add film to the kernel, or leave register_pooling out",
            why="what is pooled conditions the kernels of the mixer",
        ),
        Require(
            "register_pooling is not None",
            at="register_pooling",
            when="sequence_mixer.takes_conditioning",
            code="missing-conditioning",
            message="Expected register_pooling, as the kernels of sequence_mixer are conditioned, got none",
            hint="add register_pooling, or leave film out",
            why="a kernel that nothing conditions leaves its film unused",
        ),
    )

    sequence_mixer: Component = slot(
        "sequence_mixer",
        "identity",
        # Without register_pooling nothing arrives; the rule above says so, and a missing cond_dim need not.
        gives={"hidden_dim": "hidden_dim", "cond_dim": "register_pooling.out_dim or hidden_dim"},
    )
    sequence_mixer_norm: Component = slot("norm", "identity", gives=_NORMED, at="input_norm")
    mlp: Component = slot("channel_mixer", "identity", gives=_NORMED)
    mlp_norm: Component = slot("norm", "identity", gives=_NORMED)
    hidden_dim: Dim = follows("hidden_dim", "Width of the tokens.")
    layer_scale_init: NonNegative = Field(1e-4, description="Initial value of LayerScale; 0 leaves it out.")
    drop_path_rate: Probability = Field(0.0, description="Stochastic depth; a network sets it block by block.")
    register_pooling: Optional[Component] = slot(
        "register_readout",
        default=None,
        # Without registers there is nothing to pool; the rule above says so, and their number is unknown here.
        gives={"hidden_dim": "hidden_dim", "num_registers": "num_registers // min(1, num_registers)"},
        description="Pools the normed registers into the conditioning vector of the mixer.",
    )
    num_registers: Count = follows("num_registers", "Number of register tokens.", default=0)
    register_start_idx: Count = follows(
        "num_patches_h * num_patches_w + has_cls", "Index of the first register token.", default=1
    )
    grn: Optional[Component] = slot("norm", default=None, gives=_NORMED, description="Of the mixer's output.")

    parameters = cost.block_parameters
    forward = cost.block_forward
    flop_count = cost.block_flop_count

    @property
    def takes_conditioning(self) -> bool:
        """The block makes its own conditioning vector."""
        return False

    @property
    def accepts_conditioning(self) -> bool:
        """See `takes_conditioning`."""
        return False

    def input_spec(self) -> InputSpec | None:
        """What the mixer implies."""
        return self.sequence_mixer.input_spec()


# Numbers of patches per side, tokens, and tokens padded to whole rows, as expressions over the network's fields.
_GRID = "max(1, image_size // patch_size)"
_TOKENS = f"({_GRID} ** 2 + (readout == 'cls') + num_registers)"
_PADDED = f"({_TOKENS} + -{_TOKENS} % {_GRID})"
_PADS = "key in (('H',) if padding_types is None else padding_types)"
_FACTS = {
    "hidden_dim": "hidden_dim",
    "data_dim": "1",
    "num_patches_h": _GRID,
    "num_patches_w": _GRID,
    "grid_w": _GRID,
    "has_cls": "readout == 'cls'",
    "num_registers": "num_registers",
    "scale_omega_0": "scale_omega_0 or None",
}


_OF_THE_BLOCKS = {
    "scale_omega_0",
    "num_blocks",
    "layer_pattern",
    "padding_types",
    "max_drop_path_rate",
    "drop_path_schedule",
}


@register(
    "vit5_classification_net",
    kind="network",
    module="components.vit5.module:ViT5ClassificationNet",
    aliases=("ViT5ClassificationNet",),
)
class ViT5ClassificationNet(Component):
    """Vision transformer with registers whose blocks mix by attention or, on a padded grid, by Hyena."""

    paper = "Dosovitskiy et al. 2021 (arXiv:2010.11929); registers: Darcet et al. 2024 (arXiv:2309.16588)"
    rules = (
        Divides("patch_size", ("image_size",), at="patch_size", code="patch-size", why="patches tile the image"),
        *pattern_rules("vit5_residual_block"),
        Require(
            "num_registers > 0",
            at="num_registers",
            when="readout == 'register_concat'",
            code="no-registers",
            message="Expected num_registers of at least 1 with readout register_concat, got {num_registers}",
            hint="set num_registers, or choose another readout",
            why="there is nothing to read out",
        ),
        Require(
            "neck_compression_ratio is not None",
            at="neck_compression_ratio",
            when="readout == 'register_concat'",
            code="missing-ratio",
            message="Expected neck_compression_ratio with readout register_concat, got none",
            hint="a divisor of hidden_dim={hidden_dim}",
            why="every register is compressed to hidden_dim / neck_compression_ratio channels",
        ),
        Divides(
            "neck_compression_ratio",
            ("hidden_dim",),
            at="neck_compression_ratio",
            when="readout == 'register_concat'",
            code="neck-width",
            why="every register is compressed to hidden_dim / neck_compression_ratio channels",
        ),
    )

    in_channels: Dim = Field(description="Channels of the image.")
    num_classes: Dim
    hidden_dim: Dim = Field(description="Width of the tokens.")
    num_blocks: Blocks = follows(
        "len(layer_pattern) if layer_pattern else None",
        "Number of blocks.",
        code="pattern-length",
        why="the pattern names every block",
    )
    patch_size: Dim = Field(description="Side of a patch in pixels.")
    image_size: Dim = Field(description="Side of the image in pixels.")
    num_registers: Count = Field(description="Number of register tokens.")
    norm: Component = slot(
        "norm",
        "identity",
        at="out_norm",
        gives={
            "hidden_dim": "num_registers * exact(hidden_dim, neck_compression_ratio)"
            " if readout == 'register_concat' else hidden_dim"
        },
        description="Of what is read out.",
    )
    readout: Literal["cls", "register_concat", "gap"]
    block: Optional[Component] = slot(
        "block",
        default=None,
        gives={**_FACTS, "seq_shape": f"({_TOKENS},)", "L_cache": _TOKENS},
        description="What every block is; none of them sees padding.",
    )
    dropout_rate: Probability = Field(0.0, description="Dropout before the head.")
    neck_compression_ratio: Optional[Dim] = Field(None, description="Of readout register_concat.")
    reg_init: Literal["trunc_normal", "zeros"] = "trunc_normal"
    layer_pattern: Optional[Pattern] = Field(None, description="One character per block, such as HAHA.")
    layer_types: Optional[Mapping[str, Component]] = slot(
        "block",
        many=True,
        default=None,
        when="layer_pattern is None or key in layer_pattern",
        gives={
            **_FACTS,
            "seq_shape": f"({_PADDED},) if {_PADS} else ({_TOKENS},)",
            "L_cache": f"{_PADDED} if {_PADS} else {_TOKENS}",
        },
        description="What a character of layer_pattern stands for.",
    )
    padding_types: Optional[Keys] = Field(None, description="Layer types that see the padded tokens; left out, H.")
    max_drop_path_rate: Probability = Field(0.0, description="Stochastic depth of the last block.")
    drop_path_schedule: Literal["constant", "linear"] = Field("constant", description="Of the blocks before it.")
    scale_omega_0: bool = Field(False, description="Fit the frequencies of block-diagonal kernels to the token grid.")

    parameters = cost.net_parameters
    forward = cost.net_forward
    flop_count = cost.net_flop_count

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.image_size // self.patch_size

    @property
    def num_patches(self) -> int:
        """Patches of one image."""
        return self.grid**2

    @property
    def num_tokens(self) -> int:
        """Patches, class token and registers."""
        return self.num_patches + (self.readout == "cls") + self.num_registers

    @property
    def padding(self) -> int:
        """Tokens that complete the last row of the grid."""
        return -self.num_tokens % self.grid

    @property
    def head_dim(self) -> int:
        """Width of what is read out."""
        if self.readout == "register_concat" and self.neck_compression_ratio:
            return self.num_registers * (self.hidden_dim // self.neck_compression_ratio)
        return self.hidden_dim

    @cached_property
    def sees_padding(self) -> tuple[bool, ...]:
        """For each block, whether it gets the padded tokens."""
        if self.layer_pattern is None:
            return (False,) * self.num_blocks
        padded = ("H",) if self.padding_types is None else self.padding_types
        return tuple(char in padded for char in self.layer_pattern)

    @cached_property
    def drop_path_rates(self) -> tuple[float, ...]:
        """Stochastic depth of each block."""
        steps = self.num_blocks - 1
        if self.drop_path_schedule == "constant" or steps == 0:
            return (self.max_drop_path_rate,) * self.num_blocks
        return tuple(self.max_drop_path_rate * i / steps for i in range(self.num_blocks))

    @cached_property
    def parts(self) -> dict[str, Component]:
        """The blocks, each with its own stochastic depth, and the final norm. Equal blocks are one config object."""
        chosen = self.layer_pattern or [""] * self.num_blocks
        types = self.layer_types or ({"": self.block} if self.block else {})
        made: dict[tuple[str, float], Component] = {}
        parts: dict[str, Component] = {}
        for i, (char, rate) in enumerate(zip(chosen, self.drop_path_rates, strict=True)):
            if (char, rate) not in made:
                made[char, rate] = _with_drop_path(types[char], rate)
            parts[f"blocks.{i}"] = made[char, rate]
        return {**parts, "out_norm": self.norm}

    def module_args(self) -> dict[str, Any]:
        """What the module takes besides its blocks, which carry the rest."""
        passed_on = fields_of(type(self)).plain.keys() - _OF_THE_BLOCKS
        return {name: getattr(self, name) for name in passed_on} | {"sees_padding": self.sees_padding}

    def input_spec(self) -> InputSpec:
        """One image, channels last."""
        return InputSpec((self.image_size, self.image_size, self.in_channels))


def _with_drop_path(block: Component, rate: float) -> Component:
    """The block with another stochastic depth, if it knows any."""
    known = "drop_path_rate" in type(block).model_fields
    return block.with_values(drop_path_rate=rate) if known else block
