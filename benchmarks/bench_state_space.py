"""Our S4D and S4 kernels against the kernels as the papers write them, with the same parameters.

    python benchmarks/bench_state_space.py [--quick] [--threads N]

Plain S4D is the Vandermonde product of Gu et al., "On the Parameterization and Initialization of Diagonal State Space
Models" (2022), listing 1, which holds a complex (features, states, length). Plain S4 is the generating function of Gu
et al., "Efficiently Modeling Long Sequences with Structured State Spaces" (2022), algorithm 1: Cauchy sums at the roots
of unity joined by the Woodbury identity, then an inverse FFT; its truncated output map is computed beforehand, untimed.
Errors are of float32 kernels relative to the plain one in float64. lrnnx joins in where it imports.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import harness
import torch
from torch import Tensor, nn

from components.s4.module import S4Kernel
from components.s4d.module import S4DKernel

HOW = "pip install lrnnx, beside a CUDA toolkit"
STATES = 64
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

Weights = dict[str, Tensor]


# ---- the papers' kernels --------------------------------------------------------------------------------------------


def plain_s4d(weights: Weights, length: int) -> Tensor:
    """K[l] = 2 Re sum_n C_n (e^(dt A_n) - 1) / A_n B_n e^(l dt A_n), shape [H, length]."""
    dt, eigenvalues = weights["inv_dt"].exp(), _eigenvalues(weights)
    step = dt * eigenvalues
    coefficients = _complex(weights["C"])[0] * _complex(weights["B"])[0] * (step.exp() - 1) / eigenvalues
    powers = torch.exp(step.unsqueeze(-1) * torch.arange(length, device=dt.device))
    kernel: Tensor = 2 * torch.einsum("hn,hnl->hl", coefficients, powers).real
    return kernel


def plain_s4(weights: Weights, length: int) -> Tensor:
    """The kernel behind a truncated generating function, shape [H, length]; `C` must be the truncated map."""
    dt, eigenvalues = weights["inv_dt"].exp(), _paired(_eigenvalues(weights))
    B, C = _paired(_complex(weights["B"])[0]), _paired(_complex(weights["C"])[0])
    P = _paired(_complex(weights["P"])[0])
    angles = -2 * math.pi * torch.arange(length // 2 + 1, device=dt.device, dtype=dt.dtype) / length
    nodes = torch.polar(torch.ones_like(angles), angles)
    z = 2 * (1 - nodes) / (1 + nodes)
    resolvent = 1 / (z - (dt * eigenvalues).unsqueeze(-1))  # [H, 2n, length / 2 + 1]

    def cauchy(left: Tensor, right: Tensor) -> Tensor:
        return torch.einsum("hn,hnl->hl", left * right * dt, resolvent)

    joined = cauchy(C, P) * cauchy(P.conj(), B) / (1 + cauchy(P.conj(), P))
    kernel: Tensor = torch.fft.irfft((cauchy(C, B) - joined) * 2 / (1 + nodes), n=length)
    return kernel


def truncated(weights: Weights, length: int) -> Weights:
    """Weights with C (1 - A^length) in place of C, computed in float64."""
    wide = {name: weight.double() for name, weight in weights.items()}
    dt = wide["inv_dt"].exp().unsqueeze(-1)
    P, C = _paired(_complex(wide["P"])[0]), _paired(_complex(wide["C"])[0])
    state = torch.diag_embed(_paired(_eigenvalues(wide))) - P.unsqueeze(-1) * P.conj().unsqueeze(-2)
    one = torch.eye(state.shape[-1], dtype=state.dtype, device=state.device)
    step = torch.linalg.solve(one - dt / 2 * state, one + dt / 2 * state)
    left = one - torch.linalg.matrix_power(step, length)
    half = (C.unsqueeze(-2) @ left).squeeze(-2)[:, : C.shape[-1] // 2]
    return {**weights, "C": torch.view_as_real(half).unsqueeze(0).to(weights["C"].dtype)}


def _complex(pairs: Tensor) -> Tensor:
    return torch.view_as_complex(pairs)


def _eigenvalues(weights: Weights) -> Tensor:
    return torch.complex(-weights["A_real"].exp(), -weights["A_imag"])


def _paired(values: Tensor) -> Tensor:
    """Append the conjugates, [H, n] to [H, 2n]."""
    return torch.cat([values, values.conj()], dim=-1)


# ---- what is measured -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """A kernel to time: what computes it, and the weights it is computed from."""

    kernel: Callable[[], Tensor]
    weights: list[Tensor]

    def infer(self) -> None:
        with torch.no_grad():
            self.kernel()

    def train(self) -> None:
        for weight in self.weights:
            weight.grad = None
        torch.autograd.backward(self.kernel().square().sum())


def sides(name: str, features: int, length: int) -> dict[str, Side]:
    """Ours and the plain kernel, with the same parameters."""
    torch.manual_seed(0)
    ours: nn.Module = (S4DKernel if name == "s4d" else S4Kernel)(features, d_state=STATES).to(DEVICE)
    weights = {key: value.detach().clone() for key, value in ours.named_parameters()}
    if name == "s4":
        weights = truncated(weights, length)
    for weight in weights.values():
        weight.requires_grad_()
    plain = partial(plain_s4d if name == "s4d" else plain_s4, weights, length)
    return {
        "ours": Side(lambda: ours(length)[0][0], list(ours.parameters())),
        "plain": Side(plain, list(weights.values())),
    }


def lrnnx_side(name: str, features: int, length: int) -> Side | None:
    """lrnnx's own kernel, from its layer; its parameters are drawn like ours."""
    lti = harness.peer("lrnnx.models.lti", HOW)
    if lti is None:
        return None
    layer = getattr(lti, name.upper())(features, d_state=STATES, l_max=length, verbose=False).to(DEVICE)
    kernel = layer.layer.kernel
    call = partial(kernel, L=length)
    call()  # S4 truncates its output map in place, once
    return Side(lambda: call()[0], [p for p in kernel.parameters() if p.requires_grad])


def errors(name: str, length: int) -> list[str]:
    """Relative errors of both float32 kernels."""
    torch.manual_seed(0)
    ours: nn.Module = (S4DKernel if name == "s4d" else S4Kernel)(8, d_state=STATES).to(DEVICE)
    weights = {key: value.detach().clone() for key, value in ours.named_parameters()}
    wide = {key: value.double() for key, value in weights.items()}
    with torch.no_grad():
        if name == "s4d":
            truth, plain = plain_s4d(wide, length), plain_s4d(weights, length)
        else:
            truth, plain = plain_s4(truncated(wide, length), length), plain_s4(truncated(weights, length), length)
        found = ours(length)[0][0]
    scale = truth.abs().max()
    return [f"{float((kernel - truth).abs().max() / scale):.1e}" for kernel in (found, plain)]


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def rows_of(name: str, features: int, length: int, rounds: int, lrnnx: bool) -> list[list[str]]:
    found = sides(name, features, length)
    other = lrnnx_side(name, features, length) if lrnnx else None
    rows = []
    for mode in ("forward", "train"):
        calls = {"ours": found["ours"], "plain": found["plain"]} | ({"lrnnx": other} if other else {})
        step = Side.infer if mode == "forward" else Side.train
        times = harness.alternate({key: partial(step, side) for key, side in calls.items()}, rounds, wait=wait)
        label = f"{name}, H={features}, L={length}, {mode}"
        for key in times:
            if key != "ours":
                rows.append(harness.row(f"{label}, vs {key}", {"ours": times["ours"], key: times[key]}))
    return rows


def main() -> None:
    quick = harness.options(__doc__ or "").quick
    harness.machine("arch-registry", "lrnnx")
    lrnnx = harness.peer("lrnnx.models.lti", HOW) is not None
    rounds = 3 if quick else 5
    rows, precision = [], []
    for length in (1024, 4096) if quick else (1024, 4096, 16384):
        precision += [[f"{name}, L={length}", *errors(name, length)] for name in ("s4d", "s4")]
        rows += rows_of("s4d", 256, length, 2 if length > 4096 else rounds, lrnnx)
        # One work tensor of plain S4 is 16 n H L bytes, and training keeps several: fewer features where it is long.
        features = 256 if length == 1024 else 32
        rows += rows_of("s4", features, length, 2 if length > 4096 else rounds, lrnnx)
    harness.table(
        "Largest error of float32 kernels, relative to the largest value", ["case", "ours", "plain"], precision
    )
    harness.table(f"Kernel, N={STATES}", ["case", *harness.COLUMNS], rows)


if __name__ == "__main__":
    main()
