"""Residual networks for dense prediction and for classification; sources are in the package docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class ResidualNetwork(nn.Module):
    """Dense prediction: one output vector per position, or for the last positions of each axis only."""

    def __init__(
        self,
        in_channels: int,
        data_dim: int,
        in_proj: nn.Module,
        blocks: Sequence[nn.Module],
        out_norm: nn.Module,
        out_proj: nn.Module,
        dropout_in: nn.Module | None = None,
        condition_in_proj: nn.Module | None = None,
        target_size: int | Sequence[int] | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        """Assemble the network.

        Args:
            in_channels: Channels of the input.
            data_dim: Number of spatial axes of the input.
            in_proj: [B, *N, in_channels] to [B, *M, C], for instance `nn.Linear` or a patch embedding.
            blocks: Residual blocks called as `block(x, condition)`, [B, *M, C] to the same shape.
            out_norm: Norm over the last axis, before `out_proj`.
            out_proj: [B, *M, C] to [B, *P, out_channels], for instance `nn.Linear` or a patch decoder.
            dropout_in: Dropout of the input; None leaves it out.
            condition_in_proj: Projection of the condition, once, before the first block; None leaves it out.
            target_size: How many of the last positions of each output axis to return, one number for all axes
                or one per axis; an axis of size 1 is dropped. None returns every position.
            gradient_checkpointing: Recompute the blocks in the backward pass instead of storing their
                activations (training mode only).

        Raises:
            ValueError: If `target_size` does not hold `data_dim` positive sizes.
        """
        super().__init__()
        self.in_channels = in_channels
        self.data_dim = data_dim
        self.target_size = _per_axis(target_size, data_dim)
        self.gradient_checkpointing = gradient_checkpointing
        self.dropout_in = nn.Identity() if dropout_in is None else dropout_in
        self.in_proj = in_proj
        self.condition_in_proj = nn.Identity() if condition_in_proj is None else condition_in_proj
        self.blocks = nn.ModuleList(blocks)
        self.out_norm = out_norm
        self.out_proj = out_proj

    def forward(
        self, input_and_condition: Tensor | Mapping[str, Tensor | None], condition: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Run the network.

        Args:
            input_and_condition: The input [B, *N, in_channels], or a mapping with that tensor under `"input"` and,
                optionally, what the blocks are conditioned on under `"condition"`.
            condition: What the blocks are conditioned on, beside an input that is a tensor.

        Returns:
            The output tensor for a tensor; `{"logits": output}` for a mapping.

        Raises:
            ValueError: If the input has the wrong rank or number of channels, the mapping has no `"input"`, or the
                output is smaller than `target_size`.
        """
        if isinstance(input_and_condition, Tensor):
            return self._logits(input_and_condition, condition)
        x = input_and_condition.get("input")
        if x is None:
            raise ValueError(f"Expected a tensor under 'input', got the keys {sorted(input_and_condition)}")
        return {"logits": self._logits(x, input_and_condition.get("condition"))}

    def _logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Map [B, *N, in_channels] to [B, *P, out_channels], cropped to the target size."""
        return self._crop(self.out_proj(self.out_norm(self._features(x, condition))))

    def _features(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Map the input [B, *N, in_channels] to the output [B, *M, C] of the last block."""
        if x.ndim != self.data_dim + 2 or x.shape[-1] != self.in_channels:
            expected = f"[B, {self.data_dim} spatial axes, {self.in_channels}]"
            raise ValueError(f"Expected an input of shape {expected}, got {list(x.shape)}")
        x = self.in_proj(self.dropout_in(x))
        if condition is not None:
            condition = self.condition_in_proj(condition)
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                x = checkpoint(block, x, condition, use_reentrant=False)
            else:
                x = block(x, condition)
        return x

    def _crop(self, x: Tensor) -> Tensor:
        """Keep the last positions of each axis of `x` [B, *P, out_channels]."""
        if self.target_size is None:
            return x
        extents = tuple(x.shape[1:-1])
        if len(extents) != len(self.target_size) or any(s > n for s, n in zip(self.target_size, extents, strict=True)):
            raise ValueError(f"Expected target_size to fit the output axes {extents}, got {self.target_size}")
        kept = (slice(None), *(-1 if size == 1 else slice(-size, None) for size in self.target_size))
        return x[kept]


class ClassificationResNet(ResidualNetwork):
    """Classification: the mean over all positions, then norm and projection.

    The constructor is that of `ResidualNetwork`, with `out_proj` acting on [B, C]. The output has shape
    [B, out_channels]; `target_size` has no effect because no positions are left to crop.
    """

    def _logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Map [B, *N, in_channels] to [B, out_channels]."""
        pooled = self._features(x, condition).flatten(1, -2).mean(dim=1)
        return self.out_proj(self.out_norm(pooled))  # type: ignore[no-any-return]


def _per_axis(target_size: int | Sequence[int] | None, data_dim: int) -> tuple[int, ...] | None:
    """Expand one size to all axes, and check that there is a positive size for each."""
    if target_size is None:
        return None
    sizes = (target_size,) * data_dim if isinstance(target_size, int) else tuple(target_size)
    if len(sizes) != data_dim or any(size < 1 for size in sizes):
        raise ValueError(f"Expected target_size to hold {data_dim} positive sizes, got {sizes}")
    return sizes
