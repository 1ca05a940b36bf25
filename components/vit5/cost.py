"""Shapes, parameters and operations of the ViT-5 attention, Hyena adapter, residual block and classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.vit5.schema import ViT5Attention, ViT5ClassificationNet, ViT5HyenaAdapter, ViT5ResidualBlock

Shapes = dict[str, tuple[int, ...]]


# ---- attention ------------------------------------------------------------------------------------------------------


def attention_parameters(attention: ViT5Attention) -> Shapes:
    """Two projections, with biases if asked for."""
    width = attention.hidden_dim
    found: Shapes = {"qkv.weight": (3 * width, width), "proj.weight": (width, width)}
    if attention.qkv_bias:
        found["qkv.bias"] = (3 * width,)
    if attention.out_proj_bias:
        found["proj.bias"] = (width,)
    return found


def attention_buffers(attention: ViT5Attention) -> Shapes:
    """Cosines and sines of every token."""
    table = (attention.num_tokens, attention.head_dim)
    return {"rope_cos": table, "rope_sin": table}


def attention_forward(attention: ViT5Attention, tape: Tape, x: Shape) -> Shape:
    """(B, T, C) -> (B, T, C): projection, norms, rotation, attention, projection."""
    batch, tokens, width = x
    if tokens != attention.num_tokens or width != attention.hidden_dim:
        expected = f"{attention.num_tokens} tokens of {attention.hidden_dim} channels"
        raise ValueError(f"Expected {expected}, got {tokens} of {width}")
    heads = Shape((batch, attention.num_heads, tokens, attention.head_dim))
    tape.linear(x, 3 * width, bias=attention.qkv_bias)
    for name in ("q_norm", "k_norm"):
        if name in attention.parts:
            tape.run(name, heads)
        tape.rotate(heads)
    tape.attention(batch, attention.num_heads, tokens, tokens, attention.head_dim)
    return tape.linear(Shape(x), width, bias=attention.out_proj_bias)


def attention_flop_count(attention: ViT5Attention, tape: Tape, x: Shape) -> None:
    """As in nvsubquadratic 0.2.0: 6 T D^2 + norms + 4 T D + 4 T^2 D + 2 T D^2; norms are charged for one head only."""
    tokens, width = x[1], attention.hidden_dim
    tape.published(8 * tokens * width**2 + 4 * tokens * width + 4 * tokens**2 * width)
    for name in ("q_norm", "k_norm"):
        if name in attention.parts:
            tape.run(name, Shape((1, tokens, attention.head_dim)))


# ---- adapter --------------------------------------------------------------------------------------------------------


def adapter_parameters(adapter: ViT5HyenaAdapter) -> Shapes:
    """None of its own."""
    return {}


def adapter_forward(adapter: ViT5HyenaAdapter, tape: Tape, x: Shape, **kwargs: Shape) -> Shape:
    """(B, T, C) -> (B, T, C), by way of (B, T / grid_w, grid_w, C)."""
    out = tape.run("inner_mixer", _grid(adapter, x), **kwargs)
    tokens: Shape = out.view(out[0], out[1] * out[2], out[3])
    return tokens


def adapter_flop_count(adapter: ViT5HyenaAdapter, tape: Tape, x: Shape) -> None:
    """As in nvsubquadratic 0.2.0: that of the inner mixer."""
    tape.run("inner_mixer", _grid(adapter, x))


def _grid(adapter: ViT5HyenaAdapter, x: Shape) -> Shape:
    batch, tokens, width = x
    if tokens % adapter.grid_w:
        raise ValueError(f"Expected a number of tokens divisible by grid_w={adapter.grid_w}, got {tokens}")
    return x.view(batch, tokens // adapter.grid_w, adapter.grid_w, width)


# ---- block ----------------------------------------------------------------------------------------------------------


def block_parameters(block: ViT5ResidualBlock) -> Shapes:
    """Two LayerScales, unless their initial value is 0."""
    if block.layer_scale_init <= 0:
        return {}
    return {"ls_attn.gamma": (block.hidden_dim,), "ls_mlp.gamma": (block.hidden_dim,)}


def block_forward(block: ViT5ResidualBlock, tape: Tape, x: Shape, condition: Shape | None = None) -> Shape:
    """(B, T, C) -> (B, T, C): two residual branches."""
    normed = tape.run("input_norm", tape.fan_out(x))
    conditioning = {}
    if block.register_pooling is not None:
        registers = _registers(block, tape.fan_out(normed))
        conditioning["conditioning"] = tape.run("register_pooling", registers)
    mixed = tape.run("sequence_mixer", normed, **conditioning)
    if block.grn is not None:
        mixed = tape.run("grn", mixed)
    x = _close_branch(block, tape, mixed, x)
    mixed = tape.run("mlp", tape.run("mlp_norm", tape.fan_out(x)))
    return _close_branch(block, tape, mixed, x)


def block_flop_count(block: ViT5ResidualBlock, tape: Tape, x: Shape) -> None:
    """As in nvsubquadratic 0.2.0: parts and LayerScales; residual sums are free, and so is a grn without a formula."""
    for part in ("input_norm", "sequence_mixer", "mlp_norm", "mlp"):
        tape.run(part, x)
    if block.register_pooling is not None:
        tape.run("register_pooling", Shape((1, block.num_registers, block.hidden_dim)))
    if block.grn is not None and hasattr(block.grn, "flop_count"):
        tape.run("grn", x)
    if block.layer_scale_init > 0:
        tape.published(2 * x[1] * block.hidden_dim)


def _close_branch(block: ViT5ResidualBlock, tape: Tape, branch: Shape, x: Shape) -> Shape:
    """Scale the branch and add it to `x`; stochastic depth only acts while training."""
    if branch != x:
        raise ValueError(f"Expected a branch of shape {tuple(x)}, got {tuple(branch)}")
    if block.layer_scale_init > 0:
        branch = tape.multiply(branch, Shape((block.hidden_dim,)))
    return tape.plus(x, branch)


def _registers(block: ViT5ResidualBlock, x: Shape) -> Shape:
    end = block.register_start_idx + block.num_registers
    if x[1] < end:
        raise ValueError(f"Expected at least {end} tokens to reach the last register, got {x[1]}")
    return x.view(x[0], block.num_registers, x[2])


# ---- network --------------------------------------------------------------------------------------------------------


def net_parameters(net: ViT5ClassificationNet) -> Shapes:
    """Embeddings, neck and head."""
    width = net.hidden_dim
    found: Shapes = {
        "patch_embed.weight": (width, net.in_channels, net.patch_size, net.patch_size),
        "pos_embed": (1, net.num_patches, width),
        "out_proj.weight": (net.num_classes, net.head_dim),
    }
    if net.readout == "cls":
        found["cls_token"] = (1, 1, width)
    if net.num_registers:
        found["reg_token"] = (1, net.num_registers, width)
    if net.readout == "register_concat":
        found["register_neck.weight"] = (net.head_dim // net.num_registers, width)
    return found


def net_forward(net: ViT5ClassificationNet, tape: Tape, images: Shape) -> Shape:
    """(B, image_size, image_size, in_channels) -> (B, num_classes)."""
    expected = (net.image_size, net.image_size, net.in_channels)
    if tuple(images[1:]) != expected:
        raise ValueError(f"Expected images of shape {('B', *expected)}, got {tuple(images)}")
    batch = images[0]
    patches = Shape((batch, net.hidden_dim, net.grid, net.grid))
    side = (net.patch_size, net.patch_size)
    tape.conv(patches, net.in_channels, side, bias=False, needs_grad=images.needs_grad)
    embedded = Shape((batch, net.num_patches, net.hidden_dim))
    tape.plus(embedded, Shape((1, *embedded[1:])))
    extra = net.num_tokens - net.num_patches
    tape.expand(Shape((1, extra, net.hidden_dim)), Shape((batch, extra, net.hidden_dim)))
    _run_blocks(net, tape, batch)
    if net.readout == "register_concat":
        registers = Shape((batch, net.num_registers, net.hidden_dim))
        tape.linear(registers, net.head_dim // net.num_registers, bias=False)
    elif net.readout == "gap":
        tape.mean(embedded, Shape((batch, net.hidden_dim)))
    return tape.linear(tape.run("out_norm", Shape((batch, net.head_dim))), net.num_classes, bias=False)


def _run_blocks(net: ViT5ClassificationNet, tape: Tape, batch: int) -> None:
    """Run the blocks, some of which see padding: it is cut off for the others, and kept for the next that does."""
    tokens, padding, sees = net.num_tokens, net.padding, net.sees_padding
    last = max((i for i, sees_padding in enumerate(sees) if sees_padding), default=-1)
    was_padded = False
    for i, sees_padding in enumerate(sees):
        padded = sees_padding and padding > 0
        if was_padded and not padded and i < last:
            tape.fan_out(Shape((batch, tokens + padding, net.hidden_dim)))
        tape.run(f"blocks.{i}", Shape((batch, tokens + padded * padding, net.hidden_dim)))
        was_padded = padded


def net_flop_count(net: ViT5ClassificationNet, tape: Tape, images: Shape) -> None:
    """As in nvsubquadratic 0.2.0: patches, blocks, readout, norm and head of one image."""
    width, patches = net.hidden_dim, net.num_patches
    tape.published(2 * net.in_channels * width * net.patch_size**2 * patches + patches * width)
    for i, sees_padding in enumerate(net.sees_padding):
        tape.run(f"blocks.{i}", Shape((1, net.num_tokens + sees_padding * net.padding, width)))
    if net.readout == "register_concat":
        tape.published(2 * width * net.head_dim)
    elif net.readout == "gap":
        tape.published(patches * width)
    tape.run("out_norm", Shape((1, net.head_dim)))
    tape.published(2 * net.head_dim * net.num_classes)
