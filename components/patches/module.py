"""Patch embedding, its inverse, and learned position embeddings. All data is channels last, [B, *N, C]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.functional.parameters import exempt_from_weight_decay

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_AXIS_NAMES = ("x", "y", "z")


def _expect_data_dim(data_dim: int) -> None:
    if data_dim not in _CONV:
        raise ValueError(f"Expected data_dim to be 1, 2 or 3, got {data_dim}")


def _expect_input(x: Tensor, data_dim: int, channels: int) -> None:
    if x.ndim != data_dim + 2 or x.shape[-1] != channels:
        raise ValueError(
            f"Expected an input [B, *N, {channels}] with {data_dim} spatial axes, got shape {tuple(x.shape)}"
        )


class Patchify(nn.Module):
    """Project patches to tokens with one strided convolution (Dosovitskiy et al., 2021, eq. 1).

    What does not fill a last patch is dropped, as in every unpadded convolution.

    Attributes:
        conv: Weight [out_features, in_features, *patch], optional bias [out_features].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        data_dim: int,
        patch_size: int,
        stride: int | None = None,
        bias: bool = True,
    ) -> None:
        """Create the projection.

        Args:
            in_features: Channels of the input.
            out_features: Channels of a token.
            data_dim: Number of spatial axes, 1 to 3.
            patch_size: Extent of a patch on every axis, in samples.
            stride: Distance between patches; None for `patch_size`, patches side by side.
            bias: Add a learnable bias.

        Raises:
            ValueError: If `data_dim` is not 1, 2 or 3.
        """
        super().__init__()
        _expect_data_dim(data_dim)
        self.data_dim = data_dim
        self.conv = _CONV[data_dim](in_features, out_features, patch_size, stride or patch_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Cut and project.

        Args:
            x: [B, *N, in_features].

        Returns:
            [B, *M, out_features], M_i = floor((N_i - patch_size) / stride) + 1.

        Raises:
            ValueError: If rank or channels of `x` are wrong, or an axis is shorter than a patch.
        """
        _expect_input(x, self.data_dim, self.conv.in_channels)
        extents, patch_size = tuple(x.shape[1:-1]), self.conv.kernel_size[0]
        if min(extents) < patch_size:
            raise ValueError(f"Expected spatial axes of at least patch_size={patch_size}, got {extents}")
        tokens: Tensor = self.conv(x.movedim(-1, 1))
        # In layouts where the view is not dense, one copy here saves one in every layer that follows.
        return tokens.movedim(1, -1).contiguous()


class Unpatchify(nn.Module):
    """Expand every token to a patch with one transposed convolution, the mirror of `Patchify`.

    Attributes:
        deconv: Weight [in_features, out_features, *patch], optional bias [out_features].
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        data_dim: int,
        patch_size: int,
        stride: int | None = None,
        bias: bool = True,
        weight_init: str = "default",
    ) -> None:
        """Create the projection.

        Args:
            in_features: Channels of a token.
            out_features: Channels of the output.
            data_dim: Number of spatial axes, 1 to 3.
            patch_size: Extent of a patch on every axis, in samples.
            stride: Distance between patches; None for `patch_size`, patches side by side.
            bias: Add a learnable bias.
            weight_init: "default" (torch's), "zeros", or "fan_in": normal of standard deviation
                sqrt(2 / (in_features patch_size^data_dim)) with zero bias.

        Raises:
            ValueError: If `data_dim` is not 1, 2 or 3, or `weight_init` is unknown.
        """
        super().__init__()
        _expect_data_dim(data_dim)
        if weight_init not in ("default", "zeros", "fan_in"):
            raise ValueError(f"Expected weight_init to be default, zeros or fan_in, got {weight_init!r}")
        self.data_dim = data_dim
        self.deconv = _TRANSPOSED[data_dim](in_features, out_features, patch_size, stride or patch_size, bias=bias)
        if weight_init != "default":
            std = math.sqrt(2 / (in_features * patch_size**data_dim)) if weight_init == "fan_in" else 0.0
            nn.init.normal_(self.deconv.weight, std=std)
            if self.deconv.bias is not None:
                nn.init.zeros_(self.deconv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Expand the tokens.

        Args:
            x: [B, *M, in_features].

        Returns:
            [B, *N, out_features], N_i = (M_i - 1) * stride + patch_size.

        Raises:
            ValueError: If rank or channels of `x` are wrong.
        """
        _expect_input(x, self.data_dim, self.deconv.in_channels)
        patches: Tensor = self.deconv(x.movedim(-1, 1))
        return patches.movedim(1, -1)


class PositionEmbeddingND(nn.Module):
    """Learned position embedding, one table per axis, the rows of all axes joined.

    Position (i, j, k) gets table_x[i], table_y[j], table_z[k] side by side; x is the first spatial axis. Only
    the embedding is returned: adding it is up to the caller.

    Attributes:
        data_embeddings: Tables by axis name, each [max_dim_lengths[axis], embedding_dim / data_dim], drawn
            from N(0, 1), exempt from weight decay.
    """

    def __init__(self, embedding_dim: int, data_dim: int, max_dim_lengths: Sequence[int]) -> None:
        """Create the tables.

        Args:
            embedding_dim: Channels of the embedding, a multiple of `data_dim`.
            data_dim: Number of spatial axes, 1 to 3.
            max_dim_lengths: Largest extent of every axis.

        Raises:
            ValueError: If `data_dim` is not 1, 2 or 3, or does not divide `embedding_dim`, or is not the
                number of lengths.
        """
        super().__init__()
        _expect_data_dim(data_dim)
        if len(max_dim_lengths) != data_dim:
            raise ValueError(f"Expected {data_dim} entries in max_dim_lengths, got {len(max_dim_lengths)}")
        if embedding_dim % data_dim:
            raise ValueError(f"Expected embedding_dim to be a multiple of data_dim={data_dim}, got {embedding_dim}")
        self.embedding_dim = embedding_dim
        self.data_dim = data_dim
        self.max_dim_lengths = tuple(max_dim_lengths)
        self.data_embeddings = nn.ModuleDict(
            {
                name: nn.Embedding(length, embedding_dim // data_dim)
                for name, length in zip(_AXIS_NAMES, max_dim_lengths, strict=False)
            }
        )
        exempt_from_weight_decay(self)

    def forward(self, x: Tensor) -> Tensor:
        """Embed the positions of `x`.

        Args:
            x: [B, *N, embedding_dim]; only its shape matters.

        Returns:
            [B, *N, embedding_dim], one embedding seen by all samples (a view with stride 0 along B).

        Raises:
            ValueError: If rank or channels of `x` are wrong, or an axis is longer than its table.
        """
        _expect_input(x, self.data_dim, self.embedding_dim)
        extents = tuple(x.shape[1:-1])
        if any(n > limit for n, limit in zip(extents, self.max_dim_lengths, strict=True)):
            raise ValueError(f"Expected spatial axes of at most {self.max_dim_lengths}, got {extents}")
        parts = []
        for axis, name in enumerate(_AXIS_NAMES[: self.data_dim]):
            rows: Tensor = self.data_embeddings[name].weight[: extents[axis]]  # type: ignore[index]
            shape = [1] * self.data_dim
            shape[axis] = extents[axis]
            parts.append(rows.view(*shape, -1).expand(*extents, -1))
        return torch.cat(parts, dim=-1).expand(x.shape)
