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
    projected = tape.linear(x, 3 * width, bias=attention.qkv_bias)
    heads = attention.num_heads
    value = tape.transpose(projected.view(batch, tokens, heads, width // heads), (0, 2, 1, 3))
    query, key = [
        tape.rotate(tape.run(name, value) if name in attention.parts else value) for name in ("q_norm", "k_norm")
    ]
    mixed = tape.ordered(tape.transpose(tape.attention(query, key, value), (0, 2, 1, 3))).view(*x)
    return tape.linear(mixed, width, bias=attention.out_proj_bias)


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
        registers = _registers(block, tape, tape.fan_out(normed))
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


def _registers(block: ViT5ResidualBlock, tape: Tape, x: Shape) -> Shape:
    end = block.register_start_idx + block.num_registers
    if x[1] < end:
        raise ValueError(f"Expected at least {end} tokens to reach the last register, got {x[1]}")
    return tape.part(x, x[0], block.num_registers, x[2])


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
    if images[1:] != expected:
        raise ValueError(f"Expected images of shape {('B', *expected)}, got {tuple(images)}")
    batch = images[0]
    tokens = _run_blocks(net, tape, _embed(net, tape, images))
    features = tape.part(tokens, batch, net.hidden_dim)
    if net.readout == "register_concat":
        registers = tape.part(tokens, batch, net.num_registers, net.hidden_dim)
        features = tape.linear(registers, net.head_dim // net.num_registers, bias=False).view(batch, net.head_dim)
    elif net.readout == "gap":
        features = tape.mean(tokens.view(batch, net.num_patches, net.hidden_dim), features)
    return tape.linear(tape.run("out_norm", features), net.num_classes, bias=False)


def _embed(net: ViT5ClassificationNet, tape: Tape, images: Shape) -> Shape:
    """(B, image_size, image_size, in_channels) -> (B, num_tokens, C): patches, their positions, further tokens."""
    batch, rows, columns, channels = images
    width, side, grid, tokens = net.hidden_dim, net.patch_size, net.grid, net.num_tokens
    pixels = images.view(batch, channels, rows, columns)
    patches = tape.conv(pixels, Shape((batch, width, grid, grid)), (side, side), bias=False)
    embedded = tape.plus(patches.view(batch, grid * grid, width), Shape((1, grid * grid, width)))
    extra = tokens - grid * grid
    others = tape.expand(Shape((1, extra, width)), Shape((batch, extra, width)))
    return tape.join(embedded, others, output=Shape((batch, tokens, width)))


def _run_blocks(net: ViT5ClassificationNet, tape: Tape, x: Shape) -> Shape:
    """Run the blocks, some of which see padding: it is cut off for the others, and kept for the next that does."""
    batch, tokens, width = x
    padding = net.padding
    sees = net.sees_padding if padding else (False,) * len(net.sees_padding)
    last = max((i for i, padded in enumerate(sees) if padded), default=-1)
    for i, padded in enumerate(sees):
        if padded and x[1] == tokens:
            x = tape.join(x, output=Shape((batch, tokens + padding, width)))
        elif not padded and x[1] > tokens:
            x = tape.part(tape.fan_out(x) if i < last else x, batch, tokens, width)
        x = tape.run(f"blocks.{i}", x)
    return x


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
