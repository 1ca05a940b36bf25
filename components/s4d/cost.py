"""Operations of S4D: a diagonal system, raised to powers in two tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.functional import ssm_cost
from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.s4d.schema import S4DKernel, S4DSequenceMixer


def discretize(kernel: S4DKernel, tape: Tape) -> None:
    """Steps, eigenvalues, the band limit and the rule of `disc`."""
    size, outputs = kernel.d_model * kernel.stored_states, kernel.channels * kernel.d_model * kernel.stored_states
    ssm_cost.continuous(tape, kernel)
    if kernel.bandlimit is not None:
        tape.elementwise(kernel.d_model * kernel.steps_per_feature + 4 * size)
        tape.complex(2 * outputs)
    tape.complex(2 * size)
    if kernel.disc == "bilinear":
        tape.complex((2 + 1 + 1 + 6 + 2 + 6) * size + 2 * outputs)
        ssm_cost.reciprocal(tape, size)
        return
    ssm_cost.expm1(tape, size)
    tape.complex((1 + 6 + 6) * size)
    ssm_cost.reciprocal(tape, size)
    if kernel.disc == "zoh":
        tape.complex(2 * outputs)
    else:
        tape.complex((2 + 6) * size)
        ssm_cost.expm1(tape, size)


def transition(kernel: S4DKernel, tape: Tape, rows: int) -> None:
    """A s for `rows` states."""
    ssm_cost.diagonal_transition(tape, kernel.d_model, kernel.stored_states, rows)


def response(kernel: S4DKernel, tape: Tape, length: int, starts: int) -> None:
    """Kernels of `starts` starting states."""
    ssm_cost.diagonal_kernel(tape, kernel.d_model, kernel.stored_states, kernel.channels, length, starts)


def final_state(kernel: S4DKernel, tape: Tape, length: int, batch: int) -> None:
    """States after a sequence."""
    ssm_cost.diagonal_final_state(tape, kernel.d_model, kernel.stored_states, length, batch)


# ---- the bare mixer -----------------------------------------------------------------------------------------------


def mixer_parameters(mixer: S4DSequenceMixer) -> dict[str, tuple[int, ...]]:
    """Output coefficients, steps and eigenvalues."""
    H, n = mixer.in_features, mixer.stored_states
    return {"kernel.C": (H, n, 2), "kernel.log_dt": (H,), "kernel.log_a_real": (H, n), "kernel.A_imag": (H, n)}


def _mixer_discretize(mixer: S4DSequenceMixer, tape: Tape) -> None:
    size = mixer.in_features * mixer.stored_states
    tape.transcendental(size + mixer.in_features)
    tape.elementwise(size + mixer.in_features)
    tape.complex(2 * size)
    ssm_cost.expm1(tape, size)
    tape.complex((1 + 6 + 2) * size)
    ssm_cost.reciprocal(tape, size)


def mixer_forward(
    mixer: S4DSequenceMixer, tape: Tape, x: Shape, state: Shape | None = None, conditioning: Shape | None = None
) -> Shape | tuple[Shape, Shape]:
    """(*batch, L, H) -> (*batch, L, H), transposed if so configured; with a state, the pair of both."""
    H, n = mixer.in_features, mixer.stored_states
    swapped = x[:-2] + (x[-1], x[-2])
    tape.require_width(swapped if mixer.transposed else x, H)
    L, rows = x[-1] if mixer.transposed else x[-2], x[:-2].size
    if state is not None:
        _mixer_discretize(mixer, tape)
        ssm_cost.diagonal_transition(tape, H, n, rows)
        ssm_cost.diagonal_kernel(tape, H, n, 1, L, 1 + rows)
        tape.elementwise(x.size)
        ssm_cost.diagonal_final_state(tape, H, n, L, rows)
    elif not tape.cached_kernels:
        _mixer_discretize(mixer, tape)
        ssm_cost.diagonal_kernel(tape, H, n, 1, L, 1)
    ssm_cost.convolution(tape, rows * H, H, rows * H, L)
    return x if state is None else (x, state)


def mixer_step(mixer: S4DSequenceMixer, tape: Tape, u: Shape, state: Shape) -> tuple[Shape, Shape]:
    """Input (*batch, H) and state (*batch, H, n) to output (*batch, H) and state."""
    tape.require_width(u, mixer.in_features)
    if not tape.cached_kernels:
        _mixer_discretize(mixer, tape)
    ssm_cost.diagonal_transition(tape, mixer.in_features, mixer.stored_states, u.size // u[-1])
    tape.complex(4 * u.size * mixer.stored_states)
    ssm_cost.read(tape, u.size, mixer.stored_states)
    return u, state
