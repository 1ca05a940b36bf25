"""Register read-outs, [B, num_registers, hidden_dim] -> [B, out_dim]."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _expect_registers(registers: Tensor, num_registers: int) -> None:
    if registers.ndim != 3 or registers.shape[1] != num_registers:
        raise ValueError(f"Expected registers [B, {num_registers}, C], got shape {tuple(registers.shape)}")


class RegisterPooling(nn.Module):
    """Average of the registers under learned weights, softmax(logits); the plain mean at first.

    Attributes:
        logits: Shape [num_registers], zeros at first, exempt from weight decay.
    """

    def __init__(self, num_registers: int) -> None:
        """Create the logits.

        Args:
            num_registers: Number of registers, at least 1.

        Raises:
            ValueError: If there is no register.
        """
        super().__init__()
        if num_registers < 1:
            raise ValueError(f"Expected num_registers to be at least 1, got {num_registers}")
        self.num_registers = num_registers
        self.logits = nn.Parameter(torch.zeros(num_registers))
        self.logits._no_weight_decay = True  # type: ignore[attr-defined]

    def forward(self, registers: Tensor) -> Tensor:
        """Average over the registers.

        Args:
            registers: [B, num_registers, C].

        Returns:
            [B, C].

        Raises:
            ValueError: If `registers` is not [B, num_registers, C].
        """
        _expect_registers(registers, self.num_registers)
        weights = self.logits.softmax(dim=0).to(registers.dtype)
        return (weights.expand(registers.shape[0], 1, -1) @ registers).squeeze(1)

    def flop_count(self, dim: int) -> int:
        """FLOPs for one sample of width `dim`: 3 R for the softmax, 2 R dim for the average."""
        return 3 * self.num_registers + 2 * self.num_registers * dim


class RegisterCompressConcat(nn.Module):
    """Project every register with one shared matrix and lay the results side by side.

    c = [W x_1, ..., W x_R]: unlike an average it keeps the registers apart (Wang et al., 2024).

    Attributes:
        compress: Linear(hidden_dim, compressed_dim) without bias, shared by all registers.
    """

    def __init__(self, num_registers: int, hidden_dim: int, compressed_dim: int) -> None:
        """Create the projection.

        Args:
            num_registers: Number of registers, at least 1.
            hidden_dim: Channels of a register.
            compressed_dim: Channels of a compressed register.

        Raises:
            ValueError: If one of the three is below 1.
        """
        super().__init__()
        if min(num_registers, hidden_dim, compressed_dim) < 1:
            raise ValueError(
                f"Expected num_registers, hidden_dim and compressed_dim to be at least 1, "
                f"got {num_registers}, {hidden_dim} and {compressed_dim}"
            )
        self.num_registers = num_registers
        self.hidden_dim = hidden_dim
        self.compressed_dim = compressed_dim
        self.compress = nn.Linear(hidden_dim, compressed_dim, bias=False)

    @property
    def out_dim(self) -> int:
        """Width of the result, num_registers * compressed_dim: the `cond_dim` of what consumes it."""
        return self.num_registers * self.compressed_dim

    def forward(self, registers: Tensor) -> Tensor:
        """Compress and concatenate.

        Args:
            registers: [B, num_registers, hidden_dim].

        Returns:
            [B, num_registers * compressed_dim], register after register.

        Raises:
            ValueError: If `registers` is not [B, num_registers, hidden_dim].
        """
        _expect_registers(registers, self.num_registers)
        if registers.shape[-1] != self.hidden_dim:
            raise ValueError(f"Expected registers of width {self.hidden_dim}, got {registers.shape[-1]}")
        compressed: Tensor = self.compress(registers)
        return compressed.flatten(1)

    def flop_count(self, hidden_dim: int) -> int:
        """FLOPs for one sample, num_registers * 2 * hidden_dim * compressed_dim; concatenation is free."""
        return 2 * self.num_registers * hidden_dim * self.compressed_dim
