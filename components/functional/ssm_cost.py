"""Operations of state-space kernels and layers, step by step as `ssm_kernel`, `ssm_scan` and `ssm_layer` perform them.

H features, n stored states per feature, C channels, L samples. Systems are computed in double precision, whatever the
parameters are; a shape speaks of complex numbers where the tensor is complex. The recurrent forms (steps, final
states, chunks) are counted in bare numbers: they have no backward pass here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from components.functional.ssm_common import table_bits
from registry.shapes import Constant, Shape, joined
from registry.tape import Tape

if TYPE_CHECKING:
    from components.functional.ssm_config import KernelConfig, LayerConfig

SINGLE, DOUBLE, COMPLEX = 4, 8, 16
"""Bytes of one number: the least of kernels and convolutions, the real and the complex ones of systems."""


def kernel_parameters(kernel: KernelConfig) -> dict[str, tuple[int, ...]]:
    """Step, coefficients and state matrix."""
    n, sets = kernel.stored_states, kernel.sets
    found: dict[str, tuple[int, ...]] = {
        "inv_dt": (kernel.d_model, kernel.steps_per_feature),
        "C": (kernel.channels, kernel.d_model, n, 2),
        "B": (1, sets, n, 2),
        "A_real": (sets, n),
        "A_imag": (sets, n),
    }
    if kernel.low_rank:
        found["P"] = (kernel.rank, sets, n, 2)
    return found


# ---- continuous systems -------------------------------------------------------------------------------------------


class Continuous(NamedTuple):
    """Steps [H, 1 or n], eigenvalues [H, n], input coefficients [H, n], output coefficients [C, H, n]."""

    dt: Shape
    eigenvalues: Shape
    B: Shape
    C: Shape


def continuous(tape: Tape, kernel: KernelConfig) -> Continuous:
    """Steps, eigenvalues and coefficients from the stored parameters."""
    H, n, sets = kernel.d_model, kernel.stored_states, kernel.sets
    dt = tape.cast(Shape((H, kernel.steps_per_feature)), DOUBLE)
    if kernel.dt_fast:
        dt = tape.pointwise("sinh", dt)
    dt = tape.pointwise("scale", _positive(tape, kernel.dt_transform, dt))
    real, imag = (
        tape.pointwise("neg", _positive(tape, transform, tape.cast(Shape((sets, n)), DOUBLE)))
        for transform in (kernel.real_transform, kernel.imag_transform)
    )
    eigenvalues = tile(tape, composed(tape, real, imag), H)
    return Continuous(dt, eigenvalues, tile(tape, pairs(tape, sets, n), H), pairs(tape, kernel.channels, H, n))


def pairs(tape: Tape, *extents: int) -> Shape:
    """Complex numbers that are stored as a parameter of (real, imaginary) pairs."""
    return tape.reinterpret(tape.cast(Shape((*extents, 2)), DOUBLE), extents, COMPLEX)


def tile(tape: Tape, sets: Shape, features: int) -> Shape:
    """Repeat the sets (*, S, n) for the features that share them: (*, H, n)."""
    if sets[-2] == features:
        return sets
    met(tape, sets, features // sets[-2] - 1)
    return tape.join(sets, output=Shape((*sets[:-2], features, sets[-1])))


def _positive(tape: Tape, transform: str, x: Shape) -> Shape:
    if transform == "none":
        return x
    x = tape.pointwise(transform, x)
    return tape.pointwise("shift", x) if transform == "relu" else x


# ---- complex arithmetic -------------------------------------------------------------------------------------------


def parts(tape: Tape, z: Shape) -> Shape:
    """The real, or the imaginary, parts of complex numbers: a view."""
    return tape.reinterpret(z, z, DOUBLE)


def interleaved(tape: Tape, z: Shape) -> Shape:
    """Complex (*, n) as real (*, 2 n): a view."""
    return tape.reinterpret(z, (*z[:-1], 2 * z[-1]), DOUBLE)


def composed(tape: Tape, real: Shape, imag: Shape) -> Shape:
    """Complex numbers from both parts. Autograd keeps these, if only for their type."""
    tape.keep(real, imag)
    return tape.reinterpret(tape.join(real, imag, output=Shape((*real, 2))), real, COMPLEX)


def met(tape: Tape, z: Shape, more: int = 1) -> None:
    """Complex numbers are used `more` times than once: the gradients are added."""
    if z.needs_grad:
        tape.function(z.size * more, {}, {"complex": 2}, kept=True)


def real_product(tape: Tape, z: Shape, x: Shape) -> Shape:
    """Products of complex and real numbers that broadcast. Each factor is kept for the other."""
    output = joined(z, x)
    tape.function(output.size, {"complex": 2}, {"complex": 2 * z.needs_grad + 6 * x.needs_grad}, kept=True)
    if z.needs_grad:
        tape.function(output.size - z.size, {}, {"reduction": 2}, kept=True)
        tape.keep(x)
    if x.needs_grad:
        tape.function(output.size - x.size, {}, {"reduction": 1}, kept=True)
        tape.keep(z)
    return tape.join(z, x, output=output)


def scaled(tape: Tape, z: Shape) -> Shape:
    """Complex numbers times a real constant."""
    tape.function(z.size, {"complex": 2}, {"complex": 2}, kept=True)
    return tape.join(z, output=z)


def shifted(tape: Tape, z: Shape) -> Shape:
    """Complex numbers plus a real constant."""
    tape.function(z.size, {"complex": 1}, {}, kept=True)
    return tape.join(z, output=z)


def reflected(tape: Tape, z: Shape) -> Shape:
    """A real constant minus complex numbers."""
    tape.function(z.size, {"complex": 1}, {"complex": 2}, kept=True)
    return tape.join(z, output=z)


def difference(tape: Tape, left: Shape, right: Shape) -> Shape:
    """`left` minus `right`, which may be repeated if it is a constant."""
    tape.function(left.size, {"complex": 2}, {"complex": 2 * right.needs_grad}, kept=True)
    return tape.join(left, right, output=left)


def conjugate(tape: Tape, z: Shape) -> Shape:
    """Conjugates, made of both parts."""
    met(tape, z)
    return composed(tape, parts(tape, z), tape.pointwise("neg", parts(tape, z)))


def reciprocal(tape: Tape, z: Shape) -> Shape:
    """Conjugates over the sum of both squares and a floor."""
    part = parts(tape, z)
    met(tape, z, 3)  # both parts, squared and divided
    norm = tape.plus(tape.pointwise("square", part), tape.pointwise("square", part))
    norm = tape.fan_out(tape.pointwise("shift", norm))
    return composed(tape, tape.divide(part, norm), tape.divide(tape.pointwise("neg", part), norm))


def expm1(tape: Tape, z: Shape) -> Shape:
    """e^z - 1 as (e^x - 1) cos y - 2 sin^2 (y/2) and e^x sin y."""
    part = parts(tape, z)
    met(tape, z, 3)  # once the real part, three times the other
    growth = tape.fan_out(tape.pointwise("expm1", part))
    sine = tape.pointwise("sin", tape.pointwise("scale", part))
    turned = tape.multiply(growth, tape.pointwise("cos", part))
    real = tape.minus(turned, tape.pointwise("scale", tape.pointwise("square", sine)))
    return composed(tape, real, tape.multiply(tape.pointwise("shift", growth), tape.pointwise("sin", part)))


# ---- tables of powers ---------------------------------------------------------------------------------------------


def _squarings(tape: Tape, matrix: Shape, count: int, *, dense: bool) -> list[Shape]:
    """`squarings`: squares of powers that the tables use too."""
    powers = [matrix]
    while len(powers) < count:
        matrix = powers[-1]
        _reused(tape, matrix, 2, dense=dense)
        powers.append(_power(tape, matrix, matrix, dense=dense))
    return powers[:count]


def _orbit(tape: Tape, rows: Shape, powers: Sequence[Shape], count: int, *, dense: bool) -> Shape:
    """`orbit`: from starting rows (H, r, width) to (H, count r, width)."""
    H, start, width = rows
    for power in powers:
        known = rows[1]
        new = min(count * start - known, known)
        _reused(tape, rows, 1, dense=dense)
        moved = _power(tape, rows.view(H, new, width), power, dense=dense)
        rows = tape.join(rows, moved, output=Shape((H, known + new, width)))
    return rows


def _power(tape: Tape, rows: Shape, power: Shape, *, dense: bool) -> Shape:
    """Rows times a power of A, a matrix or a diagonal."""
    return tape.matmul(rows, power) if dense else tape.complex_multiply(rows, power)


def _reused(tape: Tape, x: Shape, more: int, *, dense: bool) -> None:
    """Real matrices, or complex diagonals, are used `more` times than once."""
    if dense:
        tape.fan_out(x, 1 + more)
    else:
        met(tape, x, more)


def _contraction(tape: Tape, coarse: Shape, fine: Shape) -> Shape:
    """Real tables (H, r, 2 n) and (H, s, 2 n) to products (H, r, s), in the precision of kernels."""
    coarse, fine = (tape.cast(table, max(tape.width, SINGLE)) for table in (coarse, fine))
    return tape.matmul(coarse, fine.view(fine[0], fine[2], fine[1]))


# ---- diagonal systems ---------------------------------------------------------------------------------------------


class Diagonal(NamedTuple):
    """`DiagonalSystem`: A [H, n], B [H, n], C [C, H, n]."""

    A: Shape
    B: Shape
    C: Shape


def diagonal_kernel(tape: Tape, system: Diagonal, starts: Shape, L: int) -> Shape:
    """`DiagonalSystem.kernel` for starting states (r, H, n): (r, C, H, L)."""
    (H, n), C, r = system.A, system.C[0], starts[0]
    inner, outer = table_bits(L)
    blocks = -(-L // 2**inner)
    powers = _squarings(tape, system.A.view(H, 1, n), inner + outer, dense=False)
    ones = tape.cast(Constant((H, 1, n)), COMPLEX)
    fine = _orbit(tape, ones, powers[:inner], 2**inner, dense=False)
    coarse = conjugate(tape, tape.complex_multiply(starts.view(r, 1, H, n), system.C)).view(H, r * C, n)
    coarse = _orbit(tape, coarse, [conjugate(tape, power) for power in powers[inner:]], blocks, dense=False)
    values = _contraction(tape, interleaved(tape, coarse), interleaved(tape, fine))
    return tape.join(values, output=Shape((r, C, H, L)))


def diagonal_final_state(tape: Tape, H: int, n: int, L: int, batch: int) -> None:
    """`DiagonalSystem.final_state`."""
    inner, outer = table_bits(L)
    tape.complex(6 * H * n * (max(inner + outer, L.bit_length()) - 1))
    tape.complex(6 * H * n * (2**inner - 1))
    products(tape, H, 2**outer * batch, 2**inner, 2 * n)
    tape.complex(8 * H * n * batch * (2**outer - 1))
    tape.complex(6 * H * n * batch * L.bit_count() + 2 * H * n * batch)


def diagonal_transition(tape: Tape, H: int, n: int, rows: int) -> None:
    """A s for `rows` states."""
    tape.complex(6 * rows * H * n)


def products(tape: Tape, batch: int, rows: int, inner: int, columns: int) -> Shape:
    """`batch` real products (rows, inner) @ (inner, columns) of a recurrent form."""
    return tape.matmul(Shape((batch, rows, inner)), Shape((batch, inner, columns)))


# ---- low-rank systems ---------------------------------------------------------------------------------------------


class Resolvent(NamedTuple):
    """(W/2 - A_c)^-1: diagonal D [H, n] and, for every row of P [H, n], a correction F [H, n] and a pivot G [H, 1]."""

    D: Shape
    P: Shape
    F: Sequence[Shape]
    G: Sequence[Shape]


class LowRank(NamedTuple):
    """`LowRankSystem`: A s = R (W s) - s with W [H, 1 or n]; B [H, n], C [C, H, n]."""

    R: Resolvent
    W: Shape
    B: Shape
    C: Shape


def bilinear(tape: Tape, system: Continuous, P: Shape, *, powers: bool = True) -> LowRank:
    """`LowRankSystem.bilinear` for rows P [R, H, n]; without `powers`, A is not used."""
    dt, eigenvalues, B, C = system
    rank, H, n = P
    half = tape.pointwise("scale", tape.pointwise("reciprocal", dt))
    part = parts(tape, eigenvalues)
    met(tape, eigenvalues)
    D = reciprocal(tape, composed(tape, tape.minus(half, part), tape.pointwise("neg", part)))
    row = P.view(H, n)
    known = Resolvent(D, row, (), ())
    for later in range(rank, 0, -1):
        correction = _resolve(tape, known, row)
        pivot = tape.pointwise("shift", _probe(tape, row, correction))
        # Besides the probe and the stack: one resolvent for each later row, and that of B.
        met(tape, correction, later + powers)
        tape.fan_out(pivot, later + powers)
        met(tape, row)  # resolved and probed
        known = Resolvent(D, row, (*known.F, correction), (*known.G, pivot))
    B = _resolve(tape, known, scaled(tape, B))
    W = tape.pointwise("scale", half if powers else tape.unused(half))
    if powers:
        tape.fan_out(half)
    met(tape, D, rank + powers)
    met(tape, P, rank + powers)  # taken apart for every resolvent
    F = tape.join(*known.F, output=P).view(H, n)
    G = tape.join(*known.G, output=Shape((rank, H, 1))).view(H, 1)
    return LowRank(Resolvent(D, row, [F] * rank, [G] * rank), W, B, C)


def low_rank_transition(tape: Tape, H: int, n: int, rank: int, rows: int) -> None:
    """A s for `rows` states: scale, resolvent, difference."""
    tape.complex(4 * rows * H * n)
    matrix = Shape((H, n))
    _resolve(tape, Resolvent(matrix, matrix, [matrix] * rank, [Shape((H, 1))] * rank), Shape((rows, H, n)))


def _dense(tape: Tape, system: LowRank) -> Shape:
    """`LowRankSystem.dense`: A s for the 2 n unit vectors, which are constants: (H, 2 n, 2 n)."""
    H, n = system.R.D
    units = tape.reinterpret(tape.cast(Constant((2 * n, 1, 2 * n)), DOUBLE), (2 * n, 1, n), COMPLEX)
    moved = difference(tape, _resolve(tape, system.R, real_product(tape, units, system.W)), units)
    return tape.join(interleaved(tape, moved), output=Shape((H, 2 * n, 2 * n)))


def _resolve(tape: Tape, known: Resolvent, x: Shape) -> Shape:
    """`_resolve` for x (*, H, n): the diagonal, then one correction for each known row of P."""
    y = tape.complex_multiply(known.D, x)
    for correction, pivot in zip(known.F, known.G, strict=True):
        met(tape, y)  # probed and corrected
        y = difference(tape, y, real_product(tape, correction, tape.divide(_probe(tape, known.P, y), pivot)))
    return y


def _probe(tape: Tape, row: Shape, y: Shape) -> Shape:
    """`_probe`: real inner products (*, H, 1)."""
    terms = tape.multiply(interleaved(tape, row), interleaved(tape, y))
    sums = Shape((*terms[:-1], 1))
    tape.function(terms.size - sums.size, {"reduction": 1}, {}, kept=True)
    return tape.pointwise("scale", tape.join(terms, output=sums))


def low_rank_kernel(tape: Tape, system: LowRank, starts: Shape, L: int) -> Shape:
    """`LowRankSystem.kernel` for starting states (r, H, n): (r, C, H, L)."""
    (H, n), C, r = system.R.D, system.C[0], starts[0]
    inner, outer = table_bits(L)
    blocks = -(-L // 2**inner)
    powers = _squarings(tape, _dense(tape, system), inner + outer, dense=True) if L > 1 else []
    fine = _orbit(tape, interleaved(tape, starts).view(H, r, 2 * n), powers[:inner], 2**inner, dense=True)
    coarse = interleaved(tape, conjugate(tape, system.C)).view(H, C, 2 * n)
    coarse = _orbit(tape, coarse, powers[inner:], blocks, dense=True)
    return tape.join(_contraction(tape, coarse, fine), output=Shape((r, C, H, L)))


def low_rank_final_state(tape: Tape, H: int, n: int, rank: int, L: int, batch: int) -> None:
    """`LowRankSystem.final_state`."""
    inner, outer = table_bits(L)
    width, states = 2 * n, batch * H * 2 * n
    low_rank_transition(tape, H, n, rank, width)
    products(tape, H * (max(inner + outer, L.bit_length()) - 1), width, width, width)
    products(tape, H, 2**inner - 1, width, width)
    products(tape, H, 2**outer * batch, 2**inner, width)
    products(tape, H, batch * (2**outer - 1), width, width)
    tape.elementwise(states * (2**outer - 1))
    products(tape, H, batch * L.bit_count(), width, width)
    tape.elementwise(states)


# ---- what every kernel does ---------------------------------------------------------------------------------------


def kernel_forward(kernel: KernelConfig, tape: Tape, L: int, state: Shape | None = None) -> tuple[Shape, Shape | None]:
    """Length, and perhaps a state (*batch, H, n), to kernel (C, H, L) and what the state adds, (*batch, C, H, L)."""
    system = kernel.discretize(tape, powers=L > 1 or state is not None)
    starts = system.B.view(1, *system.B)
    if state is None:
        return kernel.response(tape, system, starts, L).view(kernel.channels, kernel.d_model, L), None
    batch = state[:-2]
    kernel.transition(tape, batch.size)
    starts = tape.join(starts, output=Shape((1 + batch.size, *system.B)))
    kernels = kernel.response(tape, system, starts, L)[1:]
    return kernels, batch + kernels


def kernel_step(kernel: KernelConfig, tape: Tape, u: Shape, state: Shape) -> tuple[Shape, Shape]:
    """Input (*batch, H) and state (*batch, H, n) to output (*batch, C, H) and state.

    With `tape.cached_kernels` the discrete system is at hand.
    """
    if not tape.cached_kernels:
        kernel.discretize(tape)
    rows, size = u.size // kernel.d_model, u.size * kernel.stored_states
    kernel.transition(tape, rows)
    tape.complex(2 * size + 2 * size)
    read(tape, rows * kernel.channels * kernel.d_model, kernel.stored_states)
    return u[:-1] + (kernel.channels, kernel.d_model), state


def kernel_forward_state(kernel: KernelConfig, tape: Tape, u: Shape, state: Shape) -> Shape:
    """Inputs (*batch, H, L) and state (*batch, H, n) to the state after them."""
    if not tape.cached_kernels:
        kernel.discretize(tape)
    kernel.final_state(tape, u[-1], state[:-2].size)
    return state


def read(tape: Tape, outputs: int, n: int) -> None:
    """Re(C s), summed over n states."""
    tape.complex(6 * outputs * n)
    tape.reduction(outputs * (n - 1))


def convolution(tape: Tape, x: Shape, kernel: Shape) -> Shape:
    """Convolution of x (*batch, L, H) with kernels (C, H, L, or 2 L for both ways), by transforms of length 2 L.

    The kernel's transform is left out when it is cached.

    Returns:
        (*batch, C, H, L), the first half of what the inverse transform gives.
    """
    (L, H), rows = x[-2:], x[:-2].size
    spectrum = Shape((*kernel[:-1], L + 1)) if tape.cached_kernels else tape.rfft(kernel, (2 * L,))
    signal = tape.rfft(tape.precise(x).view(rows, 1, H, L), (2 * L,))
    mixed = tape.irfft(tape.complex_multiply(signal, spectrum), (2 * L,))
    return mixed.view(*x[:-2], *kernel[:-1], L)


# ---- layers -------------------------------------------------------------------------------------------------------


def layer_parameters(layer: LayerConfig) -> dict[str, tuple[int, ...]]:
    """Skip, gate and projection; the kernel is a part."""
    H, gated = layer.d_model, layer.gated_features
    found: dict[str, tuple[int, ...]] = {"D": (layer.kernel_outputs, H)}
    if layer.gate is not None:
        found |= {"input_gate.0.weight": (gated, H), "input_gate.0.bias": (gated,)}
    if layer.has_output_gate:
        found |= {"output_gate.weight": (gated, layer.channels * H), "output_gate.bias": (gated,)}
    if layer.projected_features is not None:
        width = layer.projected_features
        found |= {"output_linear.0.weight": (width, gated), "output_linear.0.bias": (width,)}
    return found


def layer_forward(
    layer: LayerConfig, tape: Tape, x: Shape, state: Shape | None = None, conditioning: Shape | None = None
) -> Shape | tuple[Shape, Shape]:
    """(*batch, L, H) -> (*batch, L, output features), transposed if so configured; with a state, the pair of both."""
    if layer.transposed:
        x = swapped(tape, x)
    tape.require_width(x, layer.d_model)
    rows, L = x[:-2].size, x[-2]
    outputs = (layer.kernel_outputs, layer.d_model)
    kernel = Shape((*outputs, L))
    if not tape.cached_kernels or state is not None:
        kernel, _ = tape.run("kernel", L, *(() if state is None else (state,)))
    if layer.bidirectional:
        kernel = tape.join(kernel, output=Shape((*outputs, 2 * L)))  # the half that looks ahead comes from the end
    mixed = convolution(tape, x, kernel)
    tape.fan_out(x)
    if state is not None:
        tape.elementwise(rows * layer.kernel_outputs * layer.d_model * L)
        layer.kernel.final_state(tape, L, rows)
    y = _head(layer, tape, tape.join(mixed, output=Shape((*x[:-1], *outputs))), x)
    y = swapped(tape, y) if layer.transposed else y
    return y if state is None else (y, state)


def layer_step(layer: LayerConfig, tape: Tape, u: Shape, state: Shape) -> tuple[Shape, Shape]:
    """Input (*batch, H) and state (*batch, H, n) to output (*batch, output features) and state."""
    tape.require_width(u, layer.d_model)
    mixed, _ = tape.run("kernel", u, state)
    return _head(layer, tape, mixed, u), state


def swapped(tape: Tape, x: Shape) -> Shape:
    """(*batch, features, length) as (*batch, length, features), or back."""
    if len(x) < 2:
        raise ValueError(f"Expected (*batch, features, length), got shape {x.labels}")
    *batch, first, second = range(len(x))
    return tape.transpose(x, (*batch, second, first))


def _head(layer: LayerConfig, tape: Tape, mixed: Shape, x: Shape) -> Shape:
    """Skip, activations, gate and projection, of mixed (*batch, C, H) for x (*batch, H)."""
    skip = tape.multiply(Shape((layer.kernel_outputs, layer.d_model)), x.view(*x[:-1], 1, x[-1]))
    y = tape.plus(tape.rounded(mixed), skip)
    if layer.swap_channels:
        y = tape.join(y, output=y)
    y = _activate(tape, layer.activation, y.view(*x[:-1], layer.kernel_outputs * layer.d_model))
    if layer.gate is not None:
        if layer.has_output_gate:
            y = tape.linear(y, layer.gated_features, bias=True)
        gate = tape.linear(_dense_rows(layer, tape, tape.fan_out(x)), layer.gated_features, bias=True)
        y = tape.multiply(y, tape.pointwise("gelu", gate))
    y = _activate(tape, layer.mult_activation, y)
    if layer.projected_features is None:
        return y
    return _activate(tape, layer.final_act, tape.linear(y, layer.projected_features, bias=True))


def _dense_rows(layer: LayerConfig, tape: Tape, x: Shape) -> Shape:
    """What a product reads: a copy of several transposed sequences, which are no matrix of rows."""
    several = all(extent > 1 for extent in (x[:-2].size, *x[-2:]))
    return tape.join(x, output=x) if layer.transposed and several else x


def _activate(tape: Tape, name: str | None, x: Shape) -> Shape:
    if name is None or name in ("none", "identity"):
        return x
    if name != "glu":
        return tape.pointwise(name, x)
    halved = Shape((*x[:-1], x[-1] // 2))
    tape.function(
        halved.size, {"transcendental": 1, "elementwise": 1}, {"transcendental": 1, "elementwise": 4}, kept=True
    )
    tape.keep(x)
    return tape.join(x, output=halved)
