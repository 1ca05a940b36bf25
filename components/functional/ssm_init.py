"""Initial state matrices of structured state spaces: HiPPO and direct diagonal ones.

A set is the real system x' = A x + B u of d_state states, written in a basis where A is diagonal plus low rank,

    A = diag(Lambda) - sum_r P_r P_r^*,

with only one of each pair of conjugate states stored: n = d_state / 2 complex numbers. Everything is computed on the
CPU in double precision, so that the same seed gives the same system on every device.

Sources: Gu et al., "HiPPO" (2020) for the dense matrices; Gu et al., "Efficiently Modeling Long Sequences with
Structured State Spaces" (S4, 2022), section 3 and appendix A for the low-rank corrections; Gu et al., "On the
Parameterization and Initialization of Diagonal State Space Models" (S4D, 2022), section 4 for the diagonal ones.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from components.functional.ssm_common import COMBINED_INITS, HIPPO_INITS, INITS, INPUT_INITS


@dataclass(frozen=True)
class DiagonalOptions:
    """Choices that only the direct diagonal initialisations have.

    Attributes:
        real_random: Draw the decay rates uniformly from (0, 1) instead of taking 1/2.
        real_scale: Factor of the decay rates.
        imag_random: Draw the frequency numbers k uniformly instead of taking 0, 1, 2, ...
        imag_scale: Factor of the frequencies.
        B_init: Input coefficients, one of `INPUT_INITS`.
        B_scale: Factor of the input coefficients.
        P_scale: Factor of the random low-rank part of `dplr-*`.
        normalize: Scale B so that the state has unit variance for white input.
    """

    real_random: bool = False
    real_scale: float = 1.0
    imag_random: bool = False
    imag_scale: float = 1.0
    B_init: str = "constant"
    B_scale: float = 1.0
    P_scale: float = 1.0
    normalize: bool = False


@dataclass(frozen=True)
class StateSpaceSets:
    """Initial values of S sets of n stored states, complex128 on the CPU.

    Attributes:
        eigenvalues: Lambda with Re <= 0 and Im <= 0, shape [S, n].
        B: Input coefficients, shape [S, n].
        P: Low-rank part, shape [R, S, n].
        first_row: V^H e_0, the output map that reads the first state of the dense basis, shape [S, n].
    """

    eigenvalues: Tensor
    B: Tensor
    P: Tensor
    first_row: Tensor


def hippo_matrices(measure: str, d_state: int) -> tuple[Tensor, Tensor, Tensor]:
    """Build the dense HiPPO system of a measure and the low-rank part that makes A + P^T P normal.

    Args:
        measure: `legs` (scaled Legendre), `legt` (translated Legendre) or `fourier` = `fout` (truncated Fourier).
        d_state: Number N of states.

    Returns:
        A [N, N], B [N] and P [1, N] (`legt`: [2, N]), float64 on the CPU.

    Raises:
        ValueError: If the measure is unknown.

    Source: HiPPO (2020), appendix D; S4 (2022), appendix A.1 and C.
    """
    builder = {"legs": _legs, "legt": _legt, "fourier": _fourier, "fout": _fourier}.get(measure)
    if builder is None:
        raise ValueError(f"Expected a measure out of {', '.join(HIPPO_INITS)}, got {measure!r}")
    return builder(torch.arange(d_state, dtype=torch.float64, device="cpu"))


def _legs(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    root = torch.sqrt(2 * index + 1)
    A = -torch.tril(torch.outer(root, root), diagonal=-1) - torch.diag(index + 1)
    return A, root, torch.sqrt(index + 0.5)[None]


def _legt(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    root = torch.sqrt(2 * index + 1)
    even = index % 2 == 0
    parity = torch.where(even[:, None] == even, 1.0, -1.0).to(index)
    sign = torch.where(index[:, None] < index, parity, torch.ones_like(parity))
    A = -0.5 * torch.outer(root, root) * sign
    P = torch.stack([root * ~even, root * even]) / math.sqrt(2)
    return A, 0.5 * root, P


def _fourier(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    even = index % 2 == 0
    B = torch.full_like(index, math.sqrt(2)) * even
    B[0] = 1
    frequency = math.pi * torch.where(even, index / 2, torch.zeros_like(index))[:-1]
    skew = torch.diag(frequency, -1) - torch.diag(frequency, 1)
    return skew - torch.outer(B, B), B, B[None]


@functools.lru_cache(maxsize=64)
def _diagonalised(measure: str, d_state: int) -> StateSpaceSets:
    """Diagonalise a HiPPO matrix: one set, with as many rows of P as the measure has."""
    if measure in ("fourier", "fout"):
        return _fourier_states(d_state)
    A, B, P = hippo_matrices(measure, d_state)
    normal = A + P.mT @ P
    # normal = c I + skew, so -i (normal - c I) is Hermitian and its eigenvalues are the frequencies.
    frequencies, vectors = torch.linalg.eigh(-1j * (normal - normal.mT).to(torch.complex128) / 2)
    frequencies, vectors = frequencies[: d_state // 2], vectors[:, : d_state // 2]
    # An eigenvector is defined up to a phase; making its first row positive fixes it on every machine.
    vectors = vectors * (vectors[0].abs() / vectors[0])
    adjoint = vectors.mH
    decay = normal.diagonal().mean().expand(frequencies.shape)
    return StateSpaceSets(
        eigenvalues=torch.complex(decay, frequencies)[None],
        B=(adjoint @ B.to(adjoint))[None],
        P=(P.to(adjoint) @ adjoint.mT)[:, None],
        first_row=adjoint[None, :, 0],
    )


def _fourier_states(d_state: int) -> StateSpaceSets:
    """The truncated Fourier system in closed form: state k turns at k pi, the constant state comes last."""
    k = torch.arange(d_state // 2 - 1, -1, -1, dtype=torch.float64, device="cpu")
    constant = torch.full_like(k, math.sqrt(0.5)) * (k == 0)
    B = (constant + (k > 0)).to(torch.complex128)[None]
    first_row = constant.to(torch.complex128)[None]
    return StateSpaceSets(torch.complex(torch.zeros_like(k), -math.pi * k)[None], B, B[None], first_row)


def hippo_states(measure: str, d_state: int, rank: int, B_clip: float | None = 2.0) -> StateSpaceSets:
    """Diagonalise a HiPPO matrix (S4, 2022, theorem 1: normal plus low rank).

    Args:
        measure: One of `HIPPO_INITS`.
        d_state: Number of real states, even.
        rank: Rows of P; rows the measure does not need are zero.
        B_clip: Bound of the imaginary part of B, None for no bound. The bound is the reference's; it changes about a
            third of the entries of `legs` at 64 states.

    Returns:
        One set (S = 1).

    Raises:
        ValueError: If the rank is below what the measure needs (`legt`: 2), or the measure is unknown.
    """
    if measure not in HIPPO_INITS:
        raise ValueError(f"Expected a measure out of {', '.join(HIPPO_INITS)}, got {measure!r}")
    sets = _diagonalised(measure, d_state)
    if rank < len(sets.P):
        raise ValueError(f"Expected rank >= {len(sets.P)} for init {measure!r}, got {rank}")
    padding = sets.P.new_zeros(rank - len(sets.P), *sets.P.shape[1:])
    B = sets.B
    if B_clip is not None:
        B = torch.complex(B.real, B.imag.clamp(-B_clip, B_clip))
    return replace(sets, B=B, P=torch.cat([sets.P, padding]))


def diagonal_states(
    init: str, d_state: int, rank: int, sets: int, options: DiagonalOptions, B_clip: float | None = 2.0
) -> StateSpaceSets:
    """Choose the eigenvalues directly (S4D, 2022, section 4).

    Args:
        init: `diag-X` (P = 0) or `dplr-X` (P low rank) out of `INITS`; `dplr` alone means `dplr-hippo`.
        d_state: Number of real states, even.
        rank: Rows of P.
        sets: Number S of sets.
        options: Random draws, scales and the input coefficients.
        B_clip: Bound of Im B where B comes from HiPPO.

    Returns:
        S sets. `dplr-legs` and `dplr-hippo` have the low-rank part of HiPPO, the other `dplr-*` a random one.

    Raises:
        ValueError: If a name is unknown.
    """
    form, _, spectrum = init.partition("-")
    spectrum = spectrum or "hippo"
    if f"{form}-{spectrum}" not in INITS:
        raise ValueError(f"Expected an initialisation out of {', '.join(INITS)}, got {init!r}")
    n = d_state // 2
    shape = (sets, n)
    hippo = hippo_states("legs", d_state, rank, B_clip) if spectrum in ("legs", "hippo") else None
    decay = torch.rand(shape, device="cpu").double() if options.real_random else _full(shape, 0.5)
    index = n * torch.rand(shape, device="cpu").double() if options.imag_random else _index(shape)
    if spectrum == "real":
        decay = n * torch.rand(shape, device="cpu").double() if options.real_random else index + 1
    frequency = -hippo.eigenvalues.imag.expand(shape) if hippo else _frequencies(spectrum, index, d_state)
    eigenvalues = torch.complex(-options.real_scale * decay, -options.imag_scale * frequency)
    B = hippo.B.expand(shape) if hippo else _input_coefficients(options.B_init, shape)
    B = B * options.B_scale
    if options.normalize:
        B = B / torch.sqrt(2 * (B / eigenvalues).abs().square().sum(-1, keepdim=True))
    if hippo and form == "dplr":
        P = hippo.P.expand(rank, *shape)
    else:
        # Drawn for diag- too: the random stream then does not depend on the form.
        P = torch.randn(rank, *shape, dtype=torch.complex64, device="cpu").to(torch.complex128)
        P = P * (options.P_scale if form == "dplr" else 0.0)
    first_row = hippo.first_row.expand(shape) if hippo else (_index(shape) == 0).to(torch.complex128)
    return StateSpaceSets(eigenvalues, B, P, first_row)


def _full(shape: tuple[int, int], value: float) -> Tensor:
    return torch.full(shape, value, dtype=torch.float64, device="cpu")


def _index(shape: tuple[int, int]) -> Tensor:
    return torch.arange(shape[1], dtype=torch.float64, device="cpu").expand(shape)


def _frequencies(spectrum: str, k: Tensor, d_state: int) -> Tensor:
    """Frequencies -Im Lambda of the states k (S4D, 2022, eq. 8, 9 and figure 5)."""
    if spectrum in ("lin", "linear"):
        return math.pi * k
    if spectrum in ("inv", "inverse"):
        return d_state / math.pi * (d_state / (2 * k + 1) - 1)
    if spectrum in ("inv2", "inverse2"):
        return d_state / math.pi * (d_state / (k + 1) - 1)
    if spectrum in ("quad", "quadratic"):
        return (1 + 2 * k).square() / math.pi
    if spectrum in ("rand", "random"):
        return torch.randn(k.shape, device="cpu").double().exp()
    return torch.zeros_like(k)


def _input_coefficients(B_init: str, shape: tuple[int, int]) -> Tensor:
    k = _index(shape)
    if B_init == "constant":
        return torch.ones_like(k).to(torch.complex128)
    if B_init == "random":
        return torch.randn(shape, dtype=torch.complex64, device="cpu").to(torch.complex128)
    if B_init == "alternating":
        return (1 - 2 * (k % 2)).to(torch.complex128)
    if B_init in ("unit-cw", "unit-ccw"):
        angle = (-1 if B_init == "unit-cw" else 1) * math.pi * k / shape[1]
        return torch.polar(torch.ones_like(angle), angle)
    raise ValueError(f"Expected B_init out of {', '.join(INPUT_INITS)}, got {B_init!r}")


def initial_sets(
    init: str,
    d_state: int,
    rank: int = 1,
    sets: int = 1,
    options: DiagonalOptions | None = None,
    B_clip: float | None = 2.0,
) -> StateSpaceSets:
    """Build the sets of any initialisation of `INITS`.

    Args:
        init: Name of the initialisation.
        d_state: Number of real states, even.
        rank: Rows R of P.
        sets: Number S of sets, a multiple of the number of combined initialisations.
        options: Choices of the direct diagonal initialisations, which alone use them.
        B_clip: Bound of Im B for HiPPO, None for no bound.

    Returns:
        S sets; combined initialisations follow each other along S.

    Raises:
        ValueError: If the name is unknown, the rank is too small, or S is not a multiple.
    """
    parts = COMBINED_INITS.get(init, (init,))
    if sets % len(parts):
        raise ValueError(f"Expected n_ssm to be a multiple of {len(parts)} for init {init!r}, got {sets}")
    share = sets // len(parts)
    built = [_one_init(part, d_state, rank, share, options or DiagonalOptions(), B_clip) for part in parts]
    return StateSpaceSets(
        eigenvalues=torch.cat([part.eigenvalues for part in built]),
        B=torch.cat([part.B for part in built]),
        P=torch.cat([part.P for part in built], dim=1),
        first_row=torch.cat([part.first_row for part in built]),
    )


def _one_init(
    init: str, d_state: int, rank: int, share: int, options: DiagonalOptions, B_clip: float | None
) -> StateSpaceSets:
    if init not in HIPPO_INITS:
        return diagonal_states(init, d_state, rank, share, options, B_clip)
    one = hippo_states(init, d_state, rank, B_clip)
    return StateSpaceSets(
        eigenvalues=one.eigenvalues.expand(share, -1),
        B=one.B.expand(share, -1),
        P=one.P.expand(-1, share, -1),
        first_row=one.first_row.expand(share, -1),
    )
