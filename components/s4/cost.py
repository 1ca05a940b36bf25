"""Operations of S4: a bilinear system of diagonal plus low rank, raised to powers as a dense real matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.functional import ssm_cost
from registry.tape import Tape

if TYPE_CHECKING:
    from components.s4.schema import S4Kernel


def discretize(kernel: S4Kernel, tape: Tape, *, powers: bool = True) -> None:
    """Steps, eigenvalues, 2 C and the bilinear rule; without `powers`, A is not used."""
    n, steps = kernel.stored_states, kernel.steps_per_feature
    ssm_cost.continuous(tape, kernel)
    ssm_cost.scaled(tape, kernel.channels * kernel.d_model * n)
    ssm_cost.bilinear(tape, kernel.d_model, n, kernel.rank, steps, powers=powers)


def transition(kernel: S4Kernel, tape: Tape, rows: int) -> None:
    """A s for `rows` states."""
    ssm_cost.low_rank_transition(tape, kernel.d_model, kernel.stored_states, kernel.rank, rows)


def response(kernel: S4Kernel, tape: Tape, length: int, starts: int) -> None:
    """Kernels of `starts` starting states."""
    n, rank = kernel.stored_states, kernel.rank
    steps = kernel.steps_per_feature
    ssm_cost.low_rank_kernel(tape, kernel.d_model, n, rank, kernel.channels, length, starts, steps)


def final_state(kernel: S4Kernel, tape: Tape, length: int, batch: int) -> None:
    """States after a sequence."""
    ssm_cost.low_rank_final_state(tape, kernel.d_model, kernel.stored_states, kernel.rank, length, batch)
