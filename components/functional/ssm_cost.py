"""Operations of state-space kernels and layers, step by step as `ssm_kernel`, `ssm_scan` and `ssm_layer` perform them.

The arguments of most functions are sizes: H features, n stored states per feature, C channels, L samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.functional.ssm_common import table_bits
from registry.shapes import Constant, Shape
from registry.tape import Tape

if TYPE_CHECKING:
    from components.functional.ssm_config import KernelConfig, LayerConfig

COMPLEX64_BYTES = 8


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


def continuous(tape: Tape, kernel: KernelConfig) -> None:
    """Steps, eigenvalues and coefficients from the stored parameters."""
    steps = Shape((kernel.d_model, kernel.steps_per_feature))
    matrix = Shape((kernel.sets, kernel.stored_states))
    if kernel.dt_fast:
        tape.pointwise("sinh", steps)
    _positive(tape, kernel.dt_transform, steps)
    tape.pointwise("scale", steps)
    for transform in (kernel.real_transform, kernel.imag_transform):
        _positive(tape, transform, matrix)
        tape.pointwise("neg", matrix)
    # Eigenvalues, B and the rows of P are repeated for the features that share them.
    repeated = kernel.d_model * kernel.stored_states - matrix.size
    met(tape, (2 + kernel.rank * kernel.low_rank) * repeated)


def _positive(tape: Tape, transform: str, x: Shape) -> None:
    if transform != "none":
        tape.pointwise(transform, x)
    if transform == "relu":
        tape.pointwise("shift", x)


def products(tape: Tape, batch: int, rows: int, inner: int, columns: int) -> Shape:
    """`batch` real products (rows, inner) @ (inner, columns)."""
    return tape.matmul(Shape((batch, rows, inner)), Shape((batch, inner, columns)))


# ---- complex arithmetic -------------------------------------------------------------------------------------------


def met(tape: Tape, count: int, more: int = 1) -> None:
    """`count` complex numbers are used `more` times than once: the gradients are added."""
    tape.function(count * more, {}, {"complex": 2})


def product(tape: Tape, count: int) -> None:
    """Complex products."""
    tape.function(count, {"complex": 6}, {"complex": 12})


def real_product(tape: Tape, count: int, reals: int) -> None:
    """Products of complex numbers and as many or fewer real ones, which are repeated."""
    tape.function(count, {"complex": 2}, {"complex": 8})
    tape.function(count - reals, {}, {"reduction": 1})


def scaled(tape: Tape, count: int) -> None:
    """Complex numbers times a real constant."""
    tape.function(count, {"complex": 2}, {"complex": 2})


def shifted(tape: Tape, count: int) -> None:
    """Complex numbers plus a real constant."""
    tape.function(count, {"complex": 1}, {})


def conjugate(tape: Tape, count: int) -> None:
    """Conjugates, made of both parts."""
    tape.function(count, {"elementwise": 1}, {"elementwise": 1, "complex": 2})


def reciprocal(tape: Tape, count: int) -> None:
    """Squares of both parts, their sum, the floor, a sign and two quotients."""
    tape.function(count, {"elementwise": 7}, {"elementwise": 16, "complex": 6})


def expm1(tape: Tape, count: int) -> None:
    """e^z - 1 from an expm1, two sines and a cosine."""
    tape.function(
        count, {"transcendental": 4, "elementwise": 7}, {"transcendental": 3, "elementwise": 16, "complex": 6}
    )


# ---- diagonal systems ---------------------------------------------------------------------------------------------


def diagonal_kernel(tape: Tape, H: int, n: int, C: int, L: int, starts: int) -> None:
    """`DiagonalSystem.kernel` for `starts` starting states."""
    inner, outer = table_bits(L)
    blocks, rows = -(-L // 2**inner), starts * C
    for _ in range(inner + outer - 1):  # squares of powers that the tables use too
        product(tape, H * n)
        met(tape, H * n, 2)
    _diagonal_orbit(tape, H * n, 1, 2**inner, inner, constant=True)
    product(tape, H * n * rows)
    tape.function(H * n * (2 * rows - starts - C), {}, {"reduction": 2})
    conjugate(tape, H * n * (rows + outer))
    _diagonal_orbit(tape, H * n, rows, blocks * rows, outer)
    products = H * blocks * rows * 2 * n * 2**inner
    tape.function(products, {"matmul": 2}, {"matmul": 4 if inner else 2})  # without powers the fine table is constant


def _diagonal_orbit(tape: Tape, width: int, rows: int, count: int, steps: int, *, constant: bool = False) -> None:
    """`orbit` by products: from `rows` starting rows of `width` complex numbers, or of constants, to `count`."""
    for _ in range(steps):
        new = min(count - rows, rows)
        tape.function(width * new, {"complex": 6}, {"complex": 6 if constant else 12})
        tape.function(width * (new - 1), {}, {"reduction": 2})
        met(tape, 0 if constant else width * rows)
        rows, constant = rows + new, False


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


# ---- low-rank systems ---------------------------------------------------------------------------------------------


def bilinear(tape: Tape, H: int, n: int, rank: int, steps: int, *, powers: bool = True) -> None:
    """`LowRankSystem.bilinear`; without `powers`, A is not used."""
    half = Shape((H * steps,))
    tape.pointwise("scale", tape.pointwise("reciprocal", half))
    # 1 / (half - Lambda), whose real and imaginary parts come from one tensor
    tape.function(H * n, {"elementwise": 2}, {"elementwise": 2, "complex": 2})
    tape.function(H * (n - steps), {}, {"reduction": 1})
    reciprocal(tape, H * n)
    for known in range(rank):
        _resolve(tape, H, n, known, 1)
        _probe(tape, H, n, 1)
        tape.pointwise("shift", Shape((H,)))
        # Besides the probe and the stack: one resolvent for each later row, and that of B.
        later = rank - known
        met(tape, H * n, later + powers)
        tape.fan_out(Shape((H,)), later + powers)
        met(tape, H * n)  # the row itself, resolved and probed
    scaled(tape, H * n)
    _resolve(tape, H, n, rank, 1)
    tape.pointwise("scale", half if powers else Constant(half))
    if powers:
        tape.fan_out(half)
    met(tape, H * n, rank + powers)  # the diagonal
    met(tape, rank * H * n, rank + powers)  # P, taken apart for every resolvent


def low_rank_transition(tape: Tape, H: int, n: int, rank: int, rows: int) -> None:
    """A s for `rows` states: scale, resolvent, difference."""
    tape.complex(4 * rows * H * n)
    _resolve(tape, H, n, rank, rows)


def _dense(tape: Tape, H: int, n: int, rank: int, steps: int) -> None:
    """`LowRankSystem.dense`: A s for the 2 n unit vectors, which are constants."""
    size = 2 * n * H * n
    tape.function(size, {"complex": 4}, {"complex": 6})
    tape.function(size - H * steps, {}, {"reduction": 1})
    _resolve(tape, H, n, rank, 2 * n)


def _resolve(tape: Tape, H: int, n: int, rank: int, rows: int) -> None:
    """`_resolve`: the diagonal, then one correction for each row of P."""
    size, repeated = rows * H * n, (rows - 1) * H * n
    product(tape, size)
    tape.function(repeated, {}, {"reduction": 2})
    for _ in range(rank):
        _probe(tape, H, n, rows)
        tape.divide(Shape((rows, H)), Shape((H,)))
        tape.function(size, {"complex": 4}, {"complex": 2 + 8 + 2})  # y - F q, y being probed too
        tape.function(repeated, {}, {"reduction": 2})
        tape.function(rows * H * (n - 1), {}, {"reduction": 1})


def _probe(tape: Tape, H: int, n: int, rows: int) -> None:
    """`_probe`: real inner products."""
    tape.multiply(Shape((rows, H, 2 * n)), Shape((H, 2 * n)))
    tape.function(rows * H * (2 * n - 1), {"reduction": 1}, {})
    tape.pointwise("scale", Shape((rows, H)))


def low_rank_kernel(tape: Tape, H: int, n: int, rank: int, C: int, L: int, starts: int, steps: int) -> None:
    """`LowRankSystem.kernel` for `starts` starting states."""
    inner, outer = table_bits(L)
    blocks, width = -(-L // 2**inner), 2 * n
    if L > 1:
        _dense(tape, H, n, rank, steps)
    for _ in range(inner + outer - 1):  # squares of powers that the tables use too
        products(tape, H, width, width, width)
        tape.fan_out(Shape((H, width, width)), 3)
    _dense_orbit(tape, H, width, starts, 2**inner * starts, inner)
    conjugate(tape, C * H * n)
    _dense_orbit(tape, H, width, C, blocks * C, outer)
    products(tape, H, blocks * C, width, 2**inner * starts)


def _dense_orbit(tape: Tape, H: int, width: int, rows: int, count: int, steps: int) -> None:
    """`orbit` by matrix products: from `rows` starting rows to `count`."""
    for _ in range(steps):
        new = min(count - rows, rows)
        products(tape, H, new, width, width)
        tape.fan_out(Shape((H, rows, width)))
        rows += new


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
    H, C = kernel.d_model, kernel.channels
    kernel.discretize(tape, powers=L > 1 or state is not None)
    batch = Shape(()) if state is None else state[:-2]
    if state is not None:
        kernel.transition(tape, batch.size)
    kernel.response(tape, L, 1 + batch.size if state is not None else 1)
    return Shape((C, H, L)), None if state is None else batch + (C, H, L)


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


def convolution(tape: Tape, x: Shape, kernels: Shape) -> None:
    """Causal or bidirectional convolution of x (*batch, L, H) with kernels (C, H), by transforms of length 2 L.

    The kernel's transform is left out when it is cached.
    """
    L, H = x[-2:]
    rows = x[:-2].size
    spectrum = Shape((*kernels, L + 1))
    if not tape.cached_kernels:
        spectrum = tape.rfft(Shape((*kernels, L)), (2 * L,))
    signal = tape.rfft(x.view(rows, 1, H, L), (2 * L,))
    tape.irfft(tape.complex_multiply(signal, spectrum), (2 * L,))


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
        x = _swapped(x)
    tape.require_width(x, layer.d_model)
    rows, L = x[:-2].size, x[-2]
    if not tape.cached_kernels or state is not None:
        tape.run("kernel", L, *(() if state is None else (state,)))
    convolution(tape, x, Shape((layer.kernel_outputs, layer.d_model)))
    tape.fan_out(x)
    if state is not None:
        tape.elementwise(rows * layer.kernel_outputs * layer.d_model * L)
        layer.kernel.final_state(tape, L, rows)
    y = _head(layer, tape, x)
    y = _swapped(y) if layer.transposed else y
    return y if state is None else (y, state)


def layer_step(layer: LayerConfig, tape: Tape, u: Shape, state: Shape) -> tuple[Shape, Shape]:
    """Input (*batch, H) and state (*batch, H, n) to output (*batch, output features) and state."""
    tape.require_width(u, layer.d_model)
    tape.run("kernel", u, state)
    return _head(layer, tape, u), state


def _swapped(x: Shape) -> Shape:
    if len(x) < 2:
        raise ValueError(f"Expected (*batch, features, length), got shape {x.labels}")
    return x.view(*x[:-2], x[-1], x[-2])


def _head(layer: LayerConfig, tape: Tape, x: Shape) -> Shape:
    """Skip, activations, gate and projection."""
    skip = Shape((layer.kernel_outputs, layer.d_model))
    mixed = Shape((*x[:-1], *skip))
    mixed = tape.plus(mixed, tape.multiply(skip, x.view(*x[:-1], 1, x[-1])))
    y = _activate(tape, layer.activation, mixed.view(*x[:-1], skip.size))
    if layer.gate is not None:
        if layer.has_output_gate:
            y = tape.linear(y, layer.gated_features, bias=True)
        gate = tape.linear(tape.fan_out(x), layer.gated_features, bias=True)
        y = tape.multiply(y, tape.pointwise("gelu", gate))
    y = _activate(tape, layer.mult_activation, y)
    if layer.projected_features is None:
        return y
    return _activate(tape, layer.final_act, tape.linear(y, layer.projected_features, bias=True))


def _activate(tape: Tape, name: str | None, x: Shape) -> Shape:
    if name is None or name in ("none", "identity"):
        return x
    if name != "glu":
        return tape.pointwise(name, x)
    x = x[:-1] + (x[-1] // 2,)
    tape.function(x.size, {"transcendental": 1, "elementwise": 1}, {"transcendental": 1, "elementwise": 4})
    return x
