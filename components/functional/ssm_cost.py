"""Operations of state-space kernels and layers, step by step as `ssm_kernel`, `ssm_scan` and `ssm_layer` perform them.

The arguments of most functions are sizes: H features, n stored states per feature, C channels, L samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.functional.ssm_common import table_bits
from registry.shapes import Shape
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
    """Steps and eigenvalues from the stored parameters."""
    steps, matrix = kernel.d_model * kernel.steps_per_feature, kernel.sets * kernel.stored_states
    if kernel.dt_fast:
        tape.transcendental(steps)
    _positive(tape, kernel.dt_transform, steps)
    tape.elementwise(steps)
    for transform in (kernel.real_transform, kernel.imag_transform):
        _positive(tape, transform, matrix)
        tape.elementwise(matrix)


def _positive(tape: Tape, transform: str, count: int) -> None:
    if transform != "none":
        tape.transcendental(count)
    if transform == "relu":
        tape.elementwise(count)


def reciprocal(tape: Tape, count: int) -> None:
    """Squares of both parts, their sum, the floor, a sign and two quotients."""
    tape.elementwise(7 * count)


def expm1(tape: Tape, count: int) -> None:
    """e^z - 1 from an expm1, two sines and a cosine."""
    tape.transcendental(4 * count)
    tape.elementwise(7 * count)


# ---- diagonal systems ---------------------------------------------------------------------------------------------


def diagonal_kernel(tape: Tape, H: int, n: int, C: int, L: int, starts: int) -> None:
    """`DiagonalSystem.kernel` for `starts` starting states."""
    inner, outer = table_bits(L)
    blocks, rows = -(-L // 2**inner), starts * C
    tape.complex(6 * H * n * max(inner + outer - 1, 0))
    tape.complex(6 * H * n * (2**inner - 1))
    tape.complex(6 * H * n * rows)
    tape.elementwise(H * n * (rows + outer))
    tape.complex(6 * H * n * rows * (blocks - 1))
    tape.matmul(blocks * rows, 2 * n, 2**inner, batch=H)


def diagonal_final_state(tape: Tape, H: int, n: int, L: int, batch: int) -> None:
    """`DiagonalSystem.final_state`."""
    inner, outer = table_bits(L)
    tape.complex(6 * H * n * (max(inner + outer, L.bit_length()) - 1))
    tape.complex(6 * H * n * (2**inner - 1))
    tape.matmul(2**outer * batch, 2**inner, 2 * n, batch=H)
    tape.complex(8 * H * n * batch * (2**outer - 1))
    tape.complex(6 * H * n * batch * L.bit_count() + 2 * H * n * batch)


def diagonal_transition(tape: Tape, H: int, n: int, rows: int) -> None:
    """A s for `rows` states."""
    tape.complex(6 * rows * H * n)


# ---- low-rank systems ---------------------------------------------------------------------------------------------


def bilinear(tape: Tape, H: int, n: int, rank: int, steps: int) -> None:
    """`LowRankSystem.bilinear`."""
    tape.transcendental(H * steps)
    tape.elementwise(H * steps + 2 * H * n)
    reciprocal(tape, H * n)
    for known in range(rank):
        _resolve(tape, H, n, known, 1)
        _probe(tape, H, n, 1)
        tape.elementwise(H)
    tape.complex(2 * H * n)
    _resolve(tape, H, n, rank, 1)
    tape.elementwise(H * steps)


def low_rank_transition(tape: Tape, H: int, n: int, rank: int, rows: int) -> None:
    """A s for `rows` states: scale, resolvent, difference."""
    tape.complex(4 * rows * H * n)
    _resolve(tape, H, n, rank, rows)


def _resolve(tape: Tape, H: int, n: int, rank: int, rows: int) -> None:
    tape.complex(6 * rows * H * n)
    for _ in range(rank):
        _probe(tape, H, n, rows)
        tape.elementwise(rows * H)
        tape.complex(4 * rows * H * n)


def _probe(tape: Tape, H: int, n: int, rows: int) -> None:
    tape.elementwise(rows * H * (2 * n + 1))
    tape.reduction(rows * H * (2 * n - 1))


def low_rank_kernel(tape: Tape, H: int, n: int, rank: int, C: int, L: int, starts: int) -> None:
    """`LowRankSystem.kernel` for `starts` starting states."""
    inner, outer = table_bits(L)
    blocks, width = -(-L // 2**inner), 2 * n
    low_rank_transition(tape, H, n, rank, width)
    tape.matmul(width, width, width, batch=H * max(inner + outer - 1, 0))
    tape.matmul(starts * (2**inner - 1), width, width, batch=H)
    tape.elementwise(C * H * n)
    tape.matmul(C * (blocks - 1), width, width, batch=H)
    tape.matmul(blocks * C, width, 2**inner * starts, batch=H)


def low_rank_final_state(tape: Tape, H: int, n: int, rank: int, L: int, batch: int) -> None:
    """`LowRankSystem.final_state`."""
    inner, outer = table_bits(L)
    width, states = 2 * n, batch * H * 2 * n
    low_rank_transition(tape, H, n, rank, width)
    tape.matmul(width, width, width, batch=H * (max(inner + outer, L.bit_length()) - 1))
    tape.matmul(2**inner - 1, width, width, batch=H)
    tape.matmul(2**outer * batch, 2**inner, width, batch=H)
    tape.matmul(batch * (2**outer - 1), width, width, batch=H)
    tape.elementwise(states * (2**outer - 1))
    tape.matmul(batch * L.bit_count(), width, width, batch=H)
    tape.elementwise(states)


# ---- what every kernel does ---------------------------------------------------------------------------------------


def kernel_forward(kernel: KernelConfig, tape: Tape, L: int, state: Shape | None = None) -> tuple[Shape, Shape | None]:
    """Length, and perhaps a state (*batch, H, n), to kernel (C, H, L) and what the state adds, (*batch, C, H, L)."""
    H, C = kernel.d_model, kernel.channels
    kernel.discretize(tape)
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


def convolution(tape: Tape, inputs: int, kernels: int, outputs: int, L: int) -> None:
    """Causal or bidirectional convolution by transforms of length 2 L; the kernel's is left out when it is cached."""
    tape.rfft(inputs, (2 * L,))
    if not tape.cached_kernels:
        tape.rfft(kernels, (2 * L,))
    tape.complex(6 * outputs * (L + 1))
    tape.rfft(outputs, (2 * L,))


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
    outputs = rows * layer.kernel_outputs * layer.d_model
    if not tape.cached_kernels or state is not None:
        tape.run("kernel", L, *(() if state is None else (state,)))
    convolution(tape, rows * layer.d_model, layer.kernel_outputs * layer.d_model, outputs, L)
    if state is not None:
        tape.elementwise(outputs * L)
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
    return Shape((*x[:-2], x[-1], x[-2]))


def _head(layer: LayerConfig, tape: Tape, x: Shape) -> Shape:
    """Skip, activations, gate and projection."""
    y = x[:-1] + (layer.kernel_outputs * layer.d_model,)
    tape.elementwise(2 * y.size)
    y = _activate(tape, layer.activation, y)
    if layer.gate is not None:
        if layer.has_output_gate:
            y = tape.linear(y, layer.gated_features, bias=True)
        gate = tape.linear(x, layer.gated_features, bias=True)
        tape.transcendental(gate.size)
        tape.elementwise(gate.size)
    y = _activate(tape, layer.mult_activation, y)
    if layer.projected_features is None:
        return y
    return _activate(tape, layer.final_act, tape.linear(y, layer.projected_features, bias=True))


def _activate(tape: Tape, name: str | None, x: Shape) -> Shape:
    if name is None or name in ("none", "identity"):
        return x
    if name == "glu":
        x = x[:-1] + (x[-1] // 2,)
        tape.elementwise(x.size)
    tape.transcendental(x.size)
    return x
