"""The ViT-5 attention, Hyena adapter, residual block and classifier; sources are in the package docstring.

Tokens are ordered [patches row by row, class token, registers, padding] throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.functional.parameters import Initializer, exempt_from_weight_decay, initialise
from components.functional.residual import DropPath, LayerScale
from components.functional.rotary import apply_rotary, rope_tables

READOUTS = ("cls", "register_concat", "gap")
REGISTER_INITS = ("trunc_normal", "zeros")


class ViT5Attention(nn.Module):
    """Multi-head self-attention with normed queries and keys and 2-D rotary positions.

    Patches are rotated by their row and column, registers by their place on a square grid of their own with
    another frequency base, the class token not at all. Attention: Vaswani et al. 2017, eq. 1; rotary
    positions: Su et al. 2021, one half of every head per axis.
    """

    rope_cos: Tensor
    rope_sin: Tensor

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        num_patches_h: int,
        num_patches_w: int,
        num_registers: int = 4,
        has_cls: bool = True,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
        rope_base: float = 10000.0,
        reg_rope_base: float = 100.0,
        attn_dropout: float = 0.0,
        proj_dropout: float = 0.0,
        qkv_bias: bool = False,
        out_proj_bias: bool = False,
        scale: float | None = None,
        init_fn_qkv_proj: Initializer | None = None,
        init_fn_out_proj: Initializer | None = None,
    ) -> None:
        """Create the projections and the rotary tables.

        Args:
            hidden_dim: Width C of the tokens.
            num_heads: Number H of heads; each is C / H wide.
            num_patches_h: Rows of patches.
            num_patches_w: Columns of patches.
            num_registers: Number of register tokens, a square number.
            has_cls: Whether a class token follows the patches.
            q_norm: Norm of every query over the width of its head; None for none.
            k_norm: Norm of every key; None for none.
            rope_base: Base of the rotary frequencies of the patches.
            reg_rope_base: Base of the rotary frequencies of the registers.
            attn_dropout: Dropout of the attention weights.
            proj_dropout: Dropout of the output.
            qkv_bias: Whether the projection to queries, keys and values has a bias.
            out_proj_bias: Whether the output projection has a bias.
            scale: Factor of the attention scores; None is 1 / sqrt(C / H).
            init_fn_qkv_proj: Initialiser of the first projection, `init(weight, hidden_dim)`; zeroes its bias
                too.
            init_fn_out_proj: Initialiser of the output projection, likewise.

        Raises:
            ValueError: If the heads do not divide C into widths divisible by 4, or the registers do not fill
                a square.
        """
        super().__init__()
        if hidden_dim % num_heads:
            raise ValueError(f"Expected hidden_dim divisible by num_heads={num_heads}, got {hidden_dim}")
        side = math.isqrt(num_registers)
        if side * side != num_registers:
            raise ValueError(f"Expected num_registers to be a square number such as {side * side}, got {num_registers}")
        self.num_heads = num_heads
        self.attn_dropout = attn_dropout
        self.scale = scale
        self.qkv = nn.Linear(hidden_dim, 3 * hidden_dim, bias=qkv_bias)
        self.q_norm = nn.Identity() if q_norm is None else q_norm
        self.k_norm = nn.Identity() if k_norm is None else k_norm
        self.proj = nn.Linear(hidden_dim, hidden_dim, bias=out_proj_bias)
        self.proj_dropout = nn.Dropout(proj_dropout)
        cos, sin = rope_tables(
            (num_patches_h, num_patches_w),
            hidden_dim // num_heads,
            rope_base,
            identity_rows=int(has_cls),
            register_extents=(side, side) if side else None,
            register_base=reg_rope_base,
        )
        self.register_buffer("rope_cos", cos, persistent=False)
        self.register_buffer("rope_sin", sin, persistent=False)
        initialise(self.qkv, init_fn_qkv_proj, hidden_dim)
        initialise(self.proj, init_fn_out_proj, hidden_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Let every token attend to every token.

        Args:
            x: Tokens [B, T, C], T = patches + class token + registers.

        Returns:
            Tensor of shape [B, T, C].

        Raises:
            ValueError: If T is not the number of tokens this module was made for.
        """
        if x.shape[1] != self.rope_cos.shape[0]:
            raise ValueError(f"Expected {self.rope_cos.shape[0]} tokens, got {x.shape[1]}")
        # [B, T, 3C] -> three of [B, H, T, C / H]
        query, key, value = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).transpose(1, 3).unbind(2)
        query, key = self._rotate(self.q_norm(query)), self._rotate(self.k_norm(key))
        dropout = self.attn_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=self.scale)
        return self.proj_dropout(self.proj(mixed.transpose(1, 2).flatten(2)))  # type: ignore[no-any-return]

    def _rotate(self, x: Tensor) -> Tensor:
        """Apply the rotary tables to queries or keys [B, H, T, C / H]."""
        return apply_rotary(x, self.rope_cos, self.rope_sin, num_axes=2)


class ViT5ResidualBlock(nn.Module):
    """Pre-norm block of a token mixer and an MLP, each scaled by LayerScale and dropped by stochastic depth.

    x <- x + drop_path(ls_attn(grn(mixer(input_norm(x))))), then x <- x + drop_path(ls_mlp(mlp(mlp_norm(x)))).
    With `register_pooling`, the pooled registers of the normed input condition the mixer (FiLM of its
    kernels).
    """

    def __init__(
        self,
        hidden_dim: int,
        input_norm: nn.Module,
        sequence_mixer: nn.Module,
        mlp_norm: nn.Module,
        mlp: nn.Module,
        layer_scale_init: float = 1e-4,
        drop_path_rate: float = 0.0,
        register_pooling: nn.Module | None = None,
        num_registers: int = 0,
        register_start_idx: int = 1,
        grn: nn.Module | None = None,
    ) -> None:
        """Assemble the block.

        Args:
            hidden_dim: Width C of the tokens.
            input_norm: Norm before the mixer; its parameters are exempt from weight decay.
            sequence_mixer: [B, T, C] to the same shape; takes `conditioning` if there is a
                `register_pooling`.
            mlp_norm: Norm before the MLP; its parameters are exempt from weight decay.
            mlp: [B, T, C] to the same shape.
            layer_scale_init: Initial value of both LayerScales; 0 or less leaves them out.
            drop_path_rate: Probability of dropping a branch of a sample while training.
            register_pooling: [B, R, C] to the conditioning vector [B, cond] of the mixer.
            num_registers: Number R of register tokens; read only by `register_pooling`.
            register_start_idx: Index of the first register token.
            grn: Norm of the mixer's output, for instance global response normalisation.

        Raises:
            ValueError: If registers are to be pooled but there are none.
        """
        super().__init__()
        if register_pooling is not None and num_registers < 1:
            raise ValueError(f"Expected num_registers of at least 1 with register_pooling, got {num_registers}")
        self.num_registers = num_registers
        self.register_start_idx = register_start_idx
        self.input_norm = input_norm
        self.sequence_mixer = sequence_mixer
        self.grn = grn
        self.mlp_norm = mlp_norm
        self.mlp = mlp
        self.register_pooling = register_pooling
        scaled = layer_scale_init > 0.0
        self.ls_attn = LayerScale(hidden_dim, layer_scale_init) if scaled else nn.Identity()
        self.ls_mlp = LayerScale(hidden_dim, layer_scale_init) if scaled else nn.Identity()
        self.drop_path = DropPath(drop_path_rate)
        exempt_from_weight_decay(input_norm, mlp_norm)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Transform tokens `x` [B, T, C]; the shape is kept.

        Args:
            x: Tokens, shape [B, T, C].
            condition: Ignored; accepted so that every kind of block is called alike.

        Raises:
            ValueError: If `x` has too few tokens to hold the registers that are to be pooled.
        """
        normed = self.input_norm(x)
        mixed = self.sequence_mixer(normed, **self._conditioning(normed))
        if self.grn is not None:
            mixed = self.grn(mixed)
        x = x + self.drop_path(self.ls_attn(mixed))
        return x + self.drop_path(self.ls_mlp(self.mlp(self.mlp_norm(x))))  # type: ignore[no-any-return]

    def _conditioning(self, normed: Tensor) -> dict[str, Tensor]:
        """Pool the registers of `normed` [B, T, C] into the mixer's keyword argument, if there is any."""
        if self.register_pooling is None:
            return {}
        end = self.register_start_idx + self.num_registers
        if normed.shape[1] < end:
            raise ValueError(f"Expected at least {end} tokens to reach the last register, got {normed.shape[1]}")
        return {"conditioning": self.register_pooling(normed[:, self.register_start_idx : end])}


class ViT5HyenaAdapter(nn.Module):
    """Show a sequence of tokens to a 2-D mixer as a grid: [B, T, C] as [B, T / w, w, C] and back."""

    def __init__(self, inner_mixer: nn.Module, grid_w: int) -> None:
        """Wrap a mixer.

        Args:
            inner_mixer: Sequence mixer, [B, H, W, C] to the same shape.
            grid_w: Width w of the grid.

        Raises:
            ValueError: If `grid_w` is not positive.
        """
        super().__init__()
        if grid_w < 1:
            raise ValueError(f"Expected grid_w of at least 1, got {grid_w}")
        self.inner_mixer = inner_mixer
        self.grid_w = grid_w

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Mix tokens `x` [B, T, C] on the grid; the shape is kept and `kwargs` go to the mixer.

        Raises:
            ValueError: If T is not a multiple of the grid width.
        """
        if x.shape[1] % self.grid_w:
            raise ValueError(f"Expected a number of tokens divisible by grid_w={self.grid_w}, got {x.shape[1]}")
        grid = x.reshape(x.shape[0], -1, self.grid_w, x.shape[2])
        return self.inner_mixer(grid, **kwargs).flatten(1, 2)  # type: ignore[no-any-return]


class ViT5ClassificationNet(nn.Module):
    """Image classifier: patch embedding, class token and registers, blocks, readout, linear head.

    Blocks that mix on a grid see the tokens padded to whole rows of g tokens, g the number of patches per
    side. What they write into the padding stays there for the next such block; the other blocks do not see
    it.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden_dim: int,
        patch_size: int,
        image_size: int,
        num_registers: int,
        blocks: Sequence[nn.Module],
        out_norm: nn.Module,
        readout: str,
        sees_padding: Sequence[bool] | None = None,
        dropout_rate: float = 0.0,
        neck_compression_ratio: int | None = None,
        reg_init: str = "trunc_normal",
    ) -> None:
        """Assemble the network.

        Args:
            in_channels: Channels of the image.
            num_classes: Number of logits.
            hidden_dim: Width D of the tokens.
            patch_size: Side of a patch in pixels.
            image_size: Side of the image in pixels.
            num_registers: Number R of register tokens.
            blocks: Blocks called as `block(tokens)`, [B, T, D] to the same shape.
            out_norm: Norm of what is read out; its parameters are exempt from weight decay.
            readout: `cls` (the class token, which only exists then), `gap` (mean over patches) or
                `register_concat` (all registers, each compressed to D / ratio, one after the other).
            sees_padding: For each block, whether it gets the padded tokens; None pads for no block.
            dropout_rate: Dropout before the head.
            neck_compression_ratio: The ratio of `register_concat`; unused otherwise.
            reg_init: `trunc_normal` or `zeros`, the initial value of the registers.

        Raises:
            ValueError: If the patches do not tile the image, `sees_padding` does not have one flag per block,
                `readout` or `reg_init` is unknown, or `register_concat` lacks registers or a ratio dividing
                D.
        """
        super().__init__()
        _check_choice("readout", readout, READOUTS)
        _check_choice("reg_init", reg_init, REGISTER_INITS)
        if image_size % patch_size:
            raise ValueError(f"Expected image_size divisible by patch_size={patch_size}, got {image_size}")
        sees_padding = [False] * len(blocks) if sees_padding is None else sees_padding
        if len(sees_padding) != len(blocks):
            raise ValueError(
                f"Expected one sees_padding flag for each of {len(blocks)} blocks, got {len(sees_padding)}"
            )
        grid = image_size // patch_size
        self.in_channels = in_channels
        self.image_size = image_size
        self.readout = readout
        self.num_patches = grid * grid
        self.num_registers = num_registers
        self.num_tokens = self.num_patches + (readout == "cls") + num_registers
        self.padding = -self.num_tokens % grid
        self.sees_padding = tuple(bool(flag and self.padding) for flag in sees_padding)

        self.patch_embed = nn.Conv2d(in_channels, hidden_dim, patch_size, patch_size, bias=False)
        self.pos_embed = nn.Parameter(torch.empty(1, self.num_patches, hidden_dim))
        self.cls_token = nn.Parameter(torch.empty(1, 1, hidden_dim)) if readout == "cls" else None
        self.reg_token = nn.Parameter(torch.empty(1, num_registers, hidden_dim)) if num_registers else None
        self.blocks = nn.ModuleList(blocks)
        self.register_neck: nn.Linear | None = None
        head_dim = hidden_dim
        if readout == "register_concat":
            compressed = _compressed_dim(hidden_dim, num_registers, neck_compression_ratio)
            self.register_neck = nn.Linear(hidden_dim, compressed, bias=False)
            head_dim = num_registers * compressed
        self.out_norm = out_norm
        self.dropout = nn.Dropout(dropout_rate)
        self.out_proj = nn.Linear(head_dim, num_classes, bias=False)
        self._initialise(reg_init)

    def _initialise(self, reg_init: str) -> None:
        """Draw the weights from N(0, 0.02^2) and tag the embeddings and the final norm."""
        embeddings = [p for p in (self.cls_token, self.pos_embed, self.reg_token) if p is not None]
        for embedding in embeddings:
            embedding._no_weight_decay = True  # type: ignore[attr-defined]
        exempt_from_weight_decay(self.out_norm)
        layers = (self.patch_embed, self.out_proj, self.register_neck)
        for weight in (*embeddings, *(layer.weight for layer in layers if layer is not None)):
            nn.init.trunc_normal_(weight, std=0.02)
        if self.reg_token is not None and reg_init == "zeros":
            nn.init.zeros_(self.reg_token)

    def forward(self, input_and_condition: Tensor | Mapping[str, Tensor | None]) -> Tensor | dict[str, Tensor]:
        """Classify images.

        Args:
            input_and_condition: Images [B, image_size, image_size, in_channels], or a mapping with that
                tensor under `"input"` (other keys are ignored).

        Returns:
            Logits [B, num_classes] for a tensor; `{"logits": logits}` for a mapping.

        Raises:
            ValueError: If the images have another shape, or the mapping has no `"input"`.
        """
        if isinstance(input_and_condition, Tensor):
            return self._logits(input_and_condition)
        images = input_and_condition.get("input")
        if images is None:
            raise ValueError(f"Expected a tensor under 'input', got the keys {sorted(input_and_condition)}")
        return {"logits": self._logits(images)}

    def _logits(self, images: Tensor) -> Tensor:
        """Map images [B, image_size, image_size, in_channels] to logits [B, num_classes]."""
        features = self._read_out(self._run_blocks(self._embed(images)))
        return self.out_proj(self.dropout(self.out_norm(features)))  # type: ignore[no-any-return]

    def _embed(self, images: Tensor) -> Tensor:
        """Map images to the unpadded tokens [B, num_tokens, D]."""
        expected = (self.image_size, self.image_size, self.in_channels)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(f"Expected images of shape {['B', *expected]}, got {list(images.shape)}")
        patches = self.patch_embed(images.movedim(-1, 1)).flatten(2).transpose(1, 2) + self.pos_embed
        extra = [t.expand(len(images), -1, -1) for t in (self.cls_token, self.reg_token) if t is not None]
        return torch.cat([patches, *extra], dim=1)

    def _run_blocks(self, tokens: Tensor) -> Tensor:
        """Run `tokens` [B, num_tokens, D] through the blocks, attaching the padding for those that see it."""
        padding: Tensor | None = tokens.new_zeros(tokens.shape[0], self.padding, tokens.shape[2])
        for block, sees_padding in zip(self.blocks, self.sees_padding, strict=True):
            if sees_padding and padding is not None:
                tokens, padding = torch.cat([tokens, padding], dim=1), None
            elif not sees_padding and padding is None:
                tokens, padding = tokens[:, : self.num_tokens], tokens[:, self.num_tokens :]
            tokens = block(tokens)
        return tokens

    def _read_out(self, tokens: Tensor) -> Tensor:
        """Reduce the tokens [B, T, D] to one feature vector per image, [B, D] or [B, R * D / ratio]."""
        if self.readout == "cls":
            return tokens[:, self.num_patches]
        if self.register_neck is not None:
            registers = tokens[:, self.num_patches : self.num_patches + self.num_registers]
            return self.register_neck(registers).flatten(1)  # type: ignore[no-any-return]
        return tokens[:, : self.num_patches].mean(dim=1)


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a `value` that is not among `choices`."""
    if value not in choices:
        raise ValueError(f"Expected {name} to be one of {', '.join(choices)}, got {value!r}")


def _compressed_dim(hidden_dim: int, num_registers: int, ratio: int | None) -> int:
    """Width of one compressed register for the readout `register_concat`."""
    if num_registers < 1:
        raise ValueError(f"Expected num_registers of at least 1 for register_concat, got {num_registers}")
    if ratio is None or ratio < 1 or hidden_dim % ratio:
        raise ValueError(f"Expected neck_compression_ratio to divide hidden_dim={hidden_dim}, got {ratio}")
    return hidden_dim // ratio
