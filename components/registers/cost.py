"""Shapes, parameters and operations of the register read-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.registers.schema import RegisterCompressConcat, RegisterPooling


def _require_registers(registers: Shape, num_registers: int) -> None:
    if len(registers) != 3 or registers[1] != num_registers:
        raise ValueError(f"Expected registers (B, {num_registers}, C), got shape {registers.labels}")


def pooling_parameters(pooling: RegisterPooling) -> dict[str, tuple[int, ...]]:
    """One logit per register."""
    return {"logits": (pooling.num_registers,)}


def pooling(pooling: RegisterPooling, tape: Tape, registers: Shape) -> Shape:
    """(B, num_registers, C) -> (B, C): softmax of the logits, then a product per sample."""
    _require_registers(registers, pooling.num_registers)
    batch, count, width = registers
    weights = tape.expand(tape.softmax(Shape((count,))), Shape((batch, 1, count)))
    return tape.matmul(weights, registers).view(batch, width)


def pooling_flop_count(pooling: RegisterPooling, tape: Tape, registers: Shape) -> Shape:
    """As in nvsubquadratic 0.2.0: 3 R + 2 R width."""
    batch, count, width = registers
    tape.published(3 * count + 2 * count * width)
    return Shape((batch, width))


def concat_parameters(concat: RegisterCompressConcat) -> dict[str, tuple[int, ...]]:
    """One matrix for all registers."""
    return {"compress.weight": (concat.compressed_dim, concat.hidden_dim)}


def concat(concat: RegisterCompressConcat, tape: Tape, registers: Shape) -> Shape:
    """(B, num_registers, hidden_dim) -> (B, num_registers compressed_dim)."""
    tape.require_width(registers, concat.hidden_dim)
    _require_registers(registers, concat.num_registers)
    return tape.linear(registers, concat.compressed_dim, bias=False).view(registers[0], concat.out_dim)


def concat_flop_count(concat: RegisterCompressConcat, tape: Tape, registers: Shape) -> Shape:
    """As in nvsubquadratic 0.2.0: 2 R hidden_dim compressed_dim."""
    tape.published(2 * concat.num_registers * concat.hidden_dim * concat.compressed_dim)
    return Shape((registers[0], concat.out_dim))
