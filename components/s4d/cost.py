"""Operations of S4D: a diagonal system, raised to powers in two tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.functional import ssm_cost
from registry.shapes import Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.s4d.schema import S4DKernel, S4DSequenceMixer


def discretize(kernel: S4DKernel, tape: Tape, *, powers: bool = True) -> None:
    """Steps, eigenvalues, the band limit and the rule of `disc`; without `powers`, A is not used."""
    size, outputs = kernel.d_model * kernel.stored_states, kernel.channels * kernel.d_model * kernel.stored_states
    steps = kernel.d_model * kernel.steps_per_feature
    ssm_cost.continuous(tape, kernel)
    if kernel.bandlimit is not None:
        # A comparison has no gradient, and neither has what is compared.
        tape.function(1, {"elementwise": steps + 4 * size}, {})
        ssm_cost.scaled(tape, outputs)
    ssm_cost.real_product(tape, size, steps)
    if kernel.disc != "dss":
        ssm_cost.scaled(tape, outputs)
    if kernel.disc == "bilinear":
        _bilinear(tape, size, steps, powers)
    else:
        _held(tape, size, powers, normalised=kernel.disc == "dss")


def _bilinear(tape: Tape, size: int, steps: int, powers: bool) -> None:
    """A = (1 + w/2) / (1 - w/2), B dt / (1 - w/2)."""
    ssm_cost.scaled(tape, size)
    tape.function(size, {"complex": 1}, {"complex": 2})  # 1 - half
    ssm_cost.reciprocal(tape, size)
    ssm_cost.shifted(tape, size)
    tape.function(size, {"complex": 6}, {"complex": 12 * powers})
    ssm_cost.met(tape, size, 2 * powers)  # half and resolvent
    ssm_cost.real_product(tape, size, steps)
    tape.fan_out(Shape((steps,)))
    ssm_cost.product(tape, size)


def _held(tape: Tape, size: int, powers: bool, *, normalised: bool) -> None:
    """A = e^w, B (e^w - 1) / Lambda, or over Lambda and the sum of the powers of A."""
    ssm_cost.expm1(tape, size)
    ssm_cost.shifted(tape, size)
    ssm_cost.met(tape, size, powers)  # growth
    if normalised:
        ssm_cost.scaled(tape, size)
        ssm_cost.expm1(tape, size)
        ssm_cost.product(tape, size)
        ssm_cost.met(tape, size)  # exponent
    ssm_cost.reciprocal(tape, size)
    ssm_cost.met(tape, size)  # eigenvalues
    for _ in range(2):
        ssm_cost.product(tape, size)


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


def _mixer_discretize(mixer: S4DSequenceMixer, tape: Tape, *, powers: bool = True) -> None:
    steps, matrix = Shape((mixer.in_features,)), Shape((mixer.in_features, mixer.stored_states))
    tape.pointwise("neg", tape.pointwise("exp", matrix))
    tape.pointwise("scale", tape.pointwise("exp", steps))
    ssm_cost.real_product(tape, matrix.size, steps.size)
    ssm_cost.expm1(tape, matrix.size)
    ssm_cost.shifted(tape, matrix.size)
    ssm_cost.reciprocal(tape, matrix.size)
    ssm_cost.product(tape, matrix.size)
    ssm_cost.met(tape, matrix.size, 1 + powers)  # eigenvalues and growth
    ssm_cost.scaled(tape, matrix.size)


def mixer_forward(
    mixer: S4DSequenceMixer, tape: Tape, x: Shape, state: Shape | None = None, conditioning: Shape | None = None
) -> Shape | tuple[Shape, Shape]:
    """(*batch, L, H) -> (*batch, L, H), transposed if so configured; with a state, the pair of both."""
    H, n = mixer.in_features, mixer.stored_states
    swapped = x[:-2] + (x[-1], x[-2])
    sequence = swapped if mixer.transposed else x
    tape.require_width(sequence, H)
    L, rows = sequence[-2], x[:-2].size
    if state is not None:
        _mixer_discretize(mixer, tape)
        ssm_cost.diagonal_transition(tape, H, n, rows)
        ssm_cost.diagonal_kernel(tape, H, n, 1, L, 1 + rows)
        tape.elementwise(x.size)
        ssm_cost.diagonal_final_state(tape, H, n, L, rows)
    elif not tape.cached_kernels:
        _mixer_discretize(mixer, tape, powers=L > 1)
        ssm_cost.diagonal_kernel(tape, H, n, 1, L, 1)
    ssm_cost.convolution(tape, sequence, Shape((1, H)))
    return Shape(x) if state is None else (Shape(x), state)


def mixer_step(mixer: S4DSequenceMixer, tape: Tape, u: Shape, state: Shape) -> tuple[Shape, Shape]:
    """Input (*batch, H) and state (*batch, H, n) to output (*batch, H) and state."""
    tape.require_width(u, mixer.in_features)
    if not tape.cached_kernels:
        _mixer_discretize(mixer, tape)
    ssm_cost.diagonal_transition(tape, mixer.in_features, mixer.stored_states, u.size // u[-1])
    tape.complex(4 * u.size * mixer.stored_states)
    ssm_cost.read(tape, u.size, mixer.stored_states)
    return u, state
