"""Operations of S4: a bilinear system of diagonal plus low rank, raised to powers as a dense real matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.functional import ssm_cost
from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.s4.schema import S4Kernel


def discretize(kernel: S4Kernel, tape: Tape, *, powers: bool = True) -> ssm_cost.LowRank:
    """Steps, eigenvalues, 2 C and the bilinear rule; without `powers`, A is not used."""
    system = ssm_cost.continuous(tape, kernel)
    P = ssm_cost.tile(tape, ssm_cost.pairs(tape, kernel.rank, kernel.sets, kernel.stored_states), kernel.d_model)
    return ssm_cost.bilinear(tape, system._replace(C=ssm_cost.scaled(tape, system.C)), P, powers=powers)


def transition(kernel: S4Kernel, tape: Tape, rows: int) -> None:
    """A s for `rows` states."""
    ssm_cost.low_rank_transition(tape, kernel.d_model, kernel.stored_states, kernel.rank, rows)


def response(kernel: S4Kernel, tape: Tape, system: ssm_cost.LowRank, starts: Shape, length: int) -> Shape:
    """Kernels (r, C, H, L) of starting states (r, H, n)."""
    return ssm_cost.low_rank_kernel(tape, system, starts, length)


def final_state(kernel: S4Kernel, tape: Tape, length: int, batch: int) -> None:
    """States after a sequence."""
    ssm_cost.low_rank_final_state(tape, kernel.d_model, kernel.stored_states, kernel.rank, length, batch)
