"""Discrete state spaces s' = A s + B u, y = Re(C s'): kernels, steps and final states without a sequential scan.

A kernel of L samples needs A^l B for every l. Writing l = b i + j splits it into two tables of about sqrt(L) rows,

    K[b i + j] = (C A^(b i)) (A^j B),

contracted by one real matrix product per feature, so nothing of size (features, states, L) is ever stored. The tables
grow by doubling: with A^(2^k) known, 2^k rows become 2^(k+1). They are computed in double precision, which costs little
because they are small, and makes the error of a single-precision kernel independent of its length.

Shapes: H features, n stored complex states per feature, C output channels, L samples, `*batch` any leading axes.
Systems are tuples of tensors in complex128, detached from no graph.

Sources: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces" (S4, 2022), section 3; Gu et al.,
"On the Parameterization and Initialization of Diagonal State Space Models" (S4D, 2022), section 3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from components.functional.ssm_common import table_bits

Product = Callable[[Tensor, Tensor], Tensor]
"""Applies a power of A to rows: `torch.mul` for diagonal A [H, 1, n], `torch.matmul` for dense A [H, 2n, 2n]."""


def without_autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a context in which autocast leaves single-precision matrix products alone."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def conjugate(z: Tensor) -> Tensor:
    """Conjugate eagerly: views as real numbers do not accept torch's lazy conjugation."""
    return torch.complex(z.real, -z.imag)


def interleave(z: Tensor) -> Tensor:
    """View complex [..., n] as real [..., 2n]: Re 0, Im 0, Re 1, Im 1, ..."""
    return torch.view_as_real(z).flatten(-2)


def deinterleave(x: Tensor) -> Tensor:
    """Undo `interleave`: real [..., 2n] to complex [..., n]."""
    return torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))


def squarings(matrix: Tensor, count: int, product: Product) -> list[Tensor]:
    """Return A, A^2, A^4, ..., `count` powers in all, by repeated squaring."""
    powers = [matrix]
    while len(powers) < count:
        powers.append(product(powers[-1], powers[-1]))
    return powers[:count]


def orbit(rows: Tensor, powers: Sequence[Tensor], product: Product, count: int) -> Tensor:
    """Follow rows through the powers of A.

    Args:
        rows: Starting rows, [H, r, width].
        powers: A, A^2, A^4, ... as returned by `squarings`, enough for `count`.
        product: How a power acts on rows.
        count: Number of powers of A to visit, 0 to count - 1.

    Returns:
        [H, count r, width]: the r starting rows, then A times them, and so on.
    """
    start = rows.shape[-2]
    for power in powers:
        missing = count * start - rows.shape[-2]
        rows = torch.cat([rows, product(rows[..., :missing, :], power)], dim=-2)
    return rows


def advance(rows: Tensor, powers: Sequence[Tensor], product: Product, steps: int) -> Tensor:
    """Apply A^steps to rows [H, r, width], one product per binary one of `steps`."""
    for bit, power in enumerate(powers):
        if steps >> bit & 1:
            rows = product(rows, power)
    return rows


def fold(blocks: Tensor, powers: Sequence[Tensor], product: Product) -> Tensor:
    """Sum A^i blocks[i] over i by pairs of neighbours.

    Args:
        blocks: [H, 2^k, r, width].
        powers: A, A^2, A^4, ..., k of them.
        product: How a power acts on rows.

    Returns:
        [H, r, width].
    """
    features, _, start, width = blocks.shape
    for power in powers:
        late = blocks[:, 1::2].reshape(features, -1, width)
        blocks = blocks[:, 0::2] + product(late, power).reshape(features, -1, start, width)
    return blocks[:, 0]


class DiagonalSystem(NamedTuple):
    """A discrete system with diagonal A.

    Attributes:
        A: Eigenvalues, [H, n].
        B: Input coefficients, [H, n].
        C: Output coefficients, [C, H, n]; they carry the factor 2 of the conjugate states.
    """

    A: Tensor
    B: Tensor
    C: Tensor

    def transition(self, state: Tensor) -> Tensor:
        """Return A s for states [..., H, n]."""
        return self.A * state

    def kernel(self, starts: Tensor, length: int, dtype: torch.dtype) -> Tensor:
        """Return Re(C A^l s), l < length.

        Args:
            starts: States s, [r, H, n].
            length: Number of samples L.
            dtype: Precision of the contraction and of the result.

        Returns:
            [r, C, H, L].
        """
        inner, outer = table_bits(length)
        blocks = -(-length // 2**inner)
        powers = squarings(self.A.unsqueeze(-2), inner + outer, torch.mul)
        ones = torch.ones_like(self.A).unsqueeze(-2)
        fine = orbit(ones, powers[:inner], torch.mul, 2**inner)
        # Re(x y) is the real inner product of conj(x) and y, so the coarse table is built from conjugates.
        coarse = conjugate(starts.unsqueeze(1) * self.C).flatten(0, 1).transpose(0, 1)
        coarse = orbit(coarse, [conjugate(power) for power in powers[inner:]], torch.mul, blocks)
        with without_autocast(coarse.device):
            values = interleave(coarse).to(dtype) @ interleave(fine).to(dtype).mT
        values = values.reshape(len(self.A), blocks, len(starts), len(self.C), 2**inner)
        return values.permute(2, 3, 0, 1, 4).flatten(-2)[..., :length]

    def final_state(self, u: Tensor, state: Tensor) -> Tensor:
        """Return A^L s + sum_j A^(L-1-j) B u_j.

        Args:
            u: Inputs, real, [r, H, L].
            state: States s, complex, [r, H, n].

        Returns:
            [r, H, n], complex128.
        """
        length = u.shape[-1]
        inner, outer = table_bits(length)
        powers = squarings(self.A.unsqueeze(-2), max(inner + outer, length.bit_length()), torch.mul)
        fine = orbit(self.B.unsqueeze(-2), powers[:inner], torch.mul, 2**inner)
        with without_autocast(u.device):
            blocks = deinterleave(_blocks(u, inner, outer).to(u.dtype) @ interleave(fine).to(u.dtype))
        blocks = blocks.to(fine.dtype).reshape(len(self.A), 2**outer, len(u), -1)
        driven = fold(blocks, powers[inner : inner + outer], torch.mul)
        free = advance(state.transpose(0, 1), powers, torch.mul, length)
        return (free + driven).transpose(0, 1)


class LowRankSystem(NamedTuple):
    """A bilinear discretisation of diagonal plus low rank, A = R W - 1 with the resolvent R = (W/2 - A_c)^-1.

    R is diag(D) followed by one Sherman-Morrison correction per row of P:
    y <- y - F_r (2 Re(P_r^* y)) / G_r. Each correction is stable, since every G_r is at least 1 when Re D > 0.

    Attributes:
        D: Resolvent of the diagonal part, [H, n].
        P: Low-rank rows, [R, H, n].
        F: Corrections, [R, H, n].
        G: Pivots, real, [R, H, 1].
        W: 4 / dt, real, [H, 1 or n].
        B: Discrete input coefficients, [H, n].
        C: Output coefficients, [C, H, n]; they carry the factor 2 of the conjugate states.
    """

    D: Tensor
    P: Tensor
    F: Tensor
    G: Tensor
    W: Tensor
    B: Tensor
    C: Tensor

    @classmethod
    def bilinear(cls, eigenvalues: Tensor, P: Tensor, dt: Tensor, B: Tensor, C: Tensor) -> LowRankSystem:
        """Discretise x' = (diag(Lambda) - sum_r P_r P_r^*) x + B u by the bilinear rule.

        Args:
            eigenvalues: Lambda, [H, n].
            P: [R, H, n].
            dt: Step, real, [H, 1] (one per feature) or [H, n] (one per state).
            B: Continuous input coefficients, [H, n].
            C: Output coefficients, [C, H, n].

        Returns:
            The discrete system, with A = (1 - dt/2 A_c)^-1 (1 + dt/2 A_c) and B = (1 - dt/2 A_c)^-1 dt B.
        """
        half = 2 / dt
        diagonal = reciprocal(torch.complex(half - eigenvalues.real, -eigenvalues.imag))
        corrections: list[Tensor] = []
        pivots: list[Tensor] = []
        for row in P:
            correction = _resolve(row, diagonal, P, corrections, pivots)
            pivots.append(1 + _probe(row, correction))
            corrections.append(correction)
        resolved = _resolve(2 * B, diagonal, P, corrections, pivots)
        return cls(diagonal, P, torch.stack(corrections), torch.stack(pivots), 2 * half, resolved, C)

    def transition(self, state: Tensor) -> Tensor:
        """Return A s for states [..., H, n], at O(R n) per feature."""
        return _resolve(self.W * state, self.D, self.P, self.F, self.G) - state

    def dense(self) -> Tensor:
        """Return A as a real matrix that acts on interleaved rows from the right, [H, 2n, 2n] float64."""
        width = 2 * self.D.shape[-1]
        units = deinterleave(torch.eye(width, dtype=self.W.dtype, device=self.W.device))
        return interleave(self.transition(units.unsqueeze(1))).transpose(0, 1).contiguous()

    def kernel(self, starts: Tensor, length: int, dtype: torch.dtype) -> Tensor:
        """Return Re(C A^l s), l < length; see `DiagonalSystem.kernel`."""
        inner, outer = table_bits(length)
        blocks = -(-length // 2**inner)
        with without_autocast(starts.device):
            powers = squarings(self.dense(), inner + outer, torch.matmul) if length > 1 else []
            fine = orbit(interleave(starts).transpose(0, 1), powers[:inner], torch.matmul, 2**inner)
            # Re(c s) is the real inner product of conj(c) and s.
            coarse = interleave(conjugate(self.C)).transpose(0, 1)
            coarse = orbit(coarse, [power.mT for power in powers[inner:]], torch.matmul, blocks)
            values = coarse.to(dtype) @ fine.to(dtype).mT
        values = values.reshape(len(self.D), blocks, len(self.C), 2**inner, len(starts))
        return values.permute(4, 2, 0, 1, 3).flatten(-2)[..., :length]

    def final_state(self, u: Tensor, state: Tensor) -> Tensor:
        """Return A^L s + sum_j A^(L-1-j) B u_j; see `DiagonalSystem.final_state`."""
        length = u.shape[-1]
        inner, outer = table_bits(length)
        with without_autocast(u.device):
            powers = squarings(self.dense(), max(inner + outer, length.bit_length()), torch.matmul)
            fine = orbit(interleave(self.B).unsqueeze(-2), powers[:inner], torch.matmul, 2**inner)
            blocks = (_blocks(u, inner, outer).to(u.dtype) @ fine.to(u.dtype)).to(fine.dtype)
            blocks = blocks.reshape(len(self.D), 2**outer, len(u), -1)
            driven = fold(blocks, powers[inner : inner + outer], torch.matmul)
            free = advance(interleave(state).transpose(0, 1), powers, torch.matmul, length)
        return deinterleave((free + driven).transpose(0, 1))


System = DiagonalSystem | LowRankSystem


def read(system: System, state: Tensor) -> Tensor:
    """Return the outputs Re(C s) of states [*batch, H, n], real, [*batch, C, H]."""
    return (system.C * state.unsqueeze(-3)).real.sum(-1)


def reciprocal(z: Tensor, floor: float = 0.0) -> Tensor:
    """Invert complex numbers of moderate size: conj(z) / (|z|^2 + floor)."""
    norm = z.real.square() + z.imag.square() + floor
    return torch.complex(z.real / norm, -z.imag / norm)


def expm1(z: Tensor) -> Tensor:
    """Return e^z - 1 for complex z, without cancellation at small |z|."""
    growth = torch.expm1(z.real)
    half = torch.sin(z.imag / 2)
    real = growth * torch.cos(z.imag) - 2 * half.square()
    return torch.complex(real, (growth + 1) * torch.sin(z.imag))


def _blocks(u: Tensor, inner: int, outer: int) -> Tensor:
    """Cut inputs [r, H, L], latest first and padded by zeros, into rows [H, 2^outer r, 2^inner]."""
    padded = torch.nn.functional.pad(u.flip(-1), (0, 2 ** (inner + outer) - u.shape[-1]))
    return padded.reshape(*u.shape[:-1], 2**outer, 2**inner).permute(1, 2, 0, 3).flatten(1, 2)


def _probe(row: Tensor, y: Tensor) -> Tensor:
    """Return 2 Re(row^* y), the low-rank row applied to a state and its conjugate, [..., H, 1]."""
    return 2 * (interleave(row) * interleave(y)).sum(-1, keepdim=True)


def _resolve(
    x: Tensor,
    diagonal: Tensor,
    P: Tensor,
    corrections: Sequence[Tensor] | Tensor,
    pivots: Sequence[Tensor] | Tensor,
) -> Tensor:
    """Apply the resolvent to x [..., H, n], as far as corrections are known."""
    y = diagonal * x
    for row, correction, pivot in zip(P, corrections, pivots, strict=False):
        y = y - correction * (_probe(row, y) / pivot)
    return y


def causal_convolution(u: Tensor, kernel: Tensor) -> Tensor:
    """Convolve with kernels that look back: y[t] = sum_(j <= t) k[t - j] u[j], by an FFT of length 2L.

    Args:
        u: [*batch, H, L], float32 or float64.
        kernel: [C, H, L], same precision.

    Returns:
        [*batch, C, H, L].
    """
    length = u.shape[-1]
    return _convolve(u, kernel, 2 * length)


def bidirectional_convolution(u: Tensor, kernel: Tensor) -> Tensor:
    """Convolve with kernels that look both ways.

    y[t] = sum_(j <= t) k_0[t - j] u[j] + sum_(j > t) k_1[j - t - 1] u[j], by an FFT of length 2L.

    Args:
        u: [*batch, H, L], float32 or float64.
        kernel: [2C, H, L]: the C kernels k_0, then the C kernels k_1.

    Returns:
        [*batch, C, H, L].

    Source: S4 reference implementation; section 3.4 of Goel et al., "It's Raw!" (SaShiMi, 2022).
    """
    back, ahead = kernel.chunk(2, dim=0)
    return _convolve(u, torch.cat([back, ahead.flip(-1)], dim=-1), 2 * u.shape[-1])


def _convolve(u: Tensor, kernel: Tensor, size: int) -> Tensor:
    spectrum = torch.fft.rfft(u, n=size).unsqueeze(-3) * torch.fft.rfft(kernel, n=size)
    y: Tensor = torch.fft.irfft(spectrum, n=size)
    return y[..., : u.shape[-1]]
