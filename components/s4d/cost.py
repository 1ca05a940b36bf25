"""Operations of S4D: a diagonal system, raised to powers in two tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.functional import ssm_cost
from registry.shapes import Constant, Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.s4d.schema import S4DKernel, S4DSequenceMixer


def discretize(kernel: S4DKernel, tape: Tape, *, powers: bool = True) -> ssm_cost.Diagonal:
    """Steps, eigenvalues, the band limit and the rule of `disc`; without `powers`, A is not used."""
    system = ssm_cost.continuous(tape, kernel)
    C = system.C
    if kernel.bandlimit is not None:
        C = ssm_cost.real_product(tape, C, _audible(tape, system))
    exponent = ssm_cost.real_product(tape, system.eigenvalues, system.dt)
    if kernel.disc == "bilinear":
        A, B = _bilinear(tape, system, exponent, powers)
    else:
        A, B = _held(tape, system, exponent, powers, normalised=kernel.disc == "dss")
    return ssm_cost.Diagonal(A, B, C if kernel.disc == "dss" else ssm_cost.scaled(tape, C))


def _audible(tape: Tape, system: ssm_cost.Continuous) -> Shape:
    """Which states turn slowly enough, [H, n], one byte each.

    A comparison has no gradient, and neither has what is compared. Autograd sees that only when it is dropped.
    """
    steps = tape.pointwise("scale", tape.unused(system.dt))
    turns = tape.pointwise("abs", ssm_cost.parts(tape, tape.unused(system.eigenvalues)))
    turns = tape.pointwise("scale", tape.multiply(steps, turns))
    tape.function(turns.size, {"elementwise": 1}, {}, kept=True)
    return tape.cast(Constant(turns), 1)


def _bilinear(tape: Tape, system: ssm_cost.Continuous, exponent: Shape, powers: bool) -> tuple[Shape, Shape]:
    """A = (1 + w/2) / (1 - w/2), B dt / (1 - w/2)."""
    half = ssm_cost.scaled(tape, exponent)
    resolvent = ssm_cost.reciprocal(tape, ssm_cost.reflected(tape, half))
    ahead = ssm_cost.shifted(tape, half)
    A = tape.complex_multiply(*((ahead, resolvent) if powers else map(tape.unused, (ahead, resolvent))))
    for number in (half, resolvent):
        ssm_cost.met(tape, number, powers)
    tape.fan_out(system.dt)
    return A, tape.complex_multiply(ssm_cost.real_product(tape, system.B, system.dt), resolvent)


def _held(
    tape: Tape, system: ssm_cost.Continuous, exponent: Shape, powers: bool, *, normalised: bool
) -> tuple[Shape, Shape]:
    """A = e^w, B (e^w - 1) / Lambda, or over Lambda and the sum of the powers of A."""
    growth = ssm_cost.expm1(tape, exponent)
    ssm_cost.met(tape, growth, powers)
    divisor = system.eigenvalues
    ssm_cost.met(tape, divisor)
    if normalised:
        ssm_cost.met(tape, exponent)
        divisor = tape.complex_multiply(ssm_cost.expm1(tape, ssm_cost.scaled(tape, exponent)), divisor)
    B = tape.complex_multiply(tape.complex_multiply(system.B, growth), ssm_cost.reciprocal(tape, divisor))
    return ssm_cost.shifted(tape, growth), B


def transition(kernel: S4DKernel, tape: Tape, rows: int) -> None:
    """A s for `rows` states."""
    ssm_cost.diagonal_transition(tape, kernel.d_model, kernel.stored_states, rows)


def response(kernel: S4DKernel, tape: Tape, system: ssm_cost.Diagonal, starts: Shape, length: int) -> Shape:
    """Kernels (r, C, H, L) of starting states (r, H, n)."""
    return ssm_cost.diagonal_kernel(tape, system, starts, length)


def final_state(kernel: S4DKernel, tape: Tape, length: int, batch: int) -> None:
    """States after a sequence."""
    ssm_cost.diagonal_final_state(tape, kernel.d_model, kernel.stored_states, length, batch)


# ---- the bare mixer -----------------------------------------------------------------------------------------------


def mixer_parameters(mixer: S4DSequenceMixer) -> dict[str, tuple[int, ...]]:
    """Output coefficients, steps and eigenvalues."""
    H, n = mixer.in_features, mixer.stored_states
    return {"kernel.C": (H, n, 2), "kernel.log_dt": (H,), "kernel.log_a_real": (H, n), "kernel.A_imag": (H, n)}


def _mixer_discretize(mixer: S4DSequenceMixer, tape: Tape, *, powers: bool = True) -> ssm_cost.Diagonal:
    H, n = mixer.in_features, mixer.stored_states
    steps, real, imag = (tape.cast(Shape(extents), ssm_cost.DOUBLE) for extents in ((H, 1), (H, n), (H, n)))
    eigenvalues = ssm_cost.composed(tape, tape.pointwise("neg", tape.pointwise("exp", real)), imag)
    steps = tape.pointwise("scale", tape.pointwise("exp", steps))
    growth = ssm_cost.expm1(tape, ssm_cost.real_product(tape, eigenvalues, steps))
    ssm_cost.met(tape, eigenvalues)
    ssm_cost.met(tape, growth, powers)
    B = tape.complex_multiply(growth, ssm_cost.reciprocal(tape, eigenvalues))
    C = ssm_cost.scaled(tape, ssm_cost.pairs(tape, 1, H, n))
    return ssm_cost.Diagonal(ssm_cost.shifted(tape, growth), B, C)


def mixer_forward(
    mixer: S4DSequenceMixer, tape: Tape, x: Shape, state: Shape | None = None, conditioning: Shape | None = None
) -> Shape | tuple[Shape, Shape]:
    """(*batch, L, H) -> (*batch, L, H), transposed if so configured; with a state, the pair of both."""
    H, n = mixer.in_features, mixer.stored_states
    sequence = ssm_cost.swapped(tape, x) if mixer.transposed else x
    tape.require_width(sequence, H)
    L, rows = sequence[-2], x[:-2].size
    kernel = Shape((1, H, L))
    if state is not None:
        system = _mixer_discretize(mixer, tape)
        ssm_cost.diagonal_transition(tape, H, n, rows)
        ssm_cost.diagonal_kernel(tape, system, Shape((1 + rows, H, n)), L)
        tape.elementwise(x.size)
        ssm_cost.diagonal_final_state(tape, H, n, L, rows)
    elif not tape.cached_kernels:
        system = _mixer_discretize(mixer, tape, powers=L > 1)
        kernel = ssm_cost.diagonal_kernel(tape, system, system.B.view(1, H, n), L).view(*kernel)
    y = tape.rounded(ssm_cost.convolution(tape, sequence, kernel)).view(*x[:-2], H, L)
    y = y if mixer.transposed else ssm_cost.swapped(tape, y)
    return y if state is None else (y, state)


def mixer_step(mixer: S4DSequenceMixer, tape: Tape, u: Shape, state: Shape) -> tuple[Shape, Shape]:
    """Input (*batch, H) and state (*batch, H, n) to output (*batch, H) and state."""
    tape.require_width(u, mixer.in_features)
    if not tape.cached_kernels:
        _mixer_discretize(mixer, tape)
    ssm_cost.diagonal_transition(tape, mixer.in_features, mixer.stored_states, u.size // u[-1])
    tape.complex(4 * u.size * mixer.stored_states)
    ssm_cost.read(tape, u.size, mixer.stored_states)
    return u, state
