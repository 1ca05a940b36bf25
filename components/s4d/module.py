"""S4D: convolution with the kernel of a diagonal state space.

The kernel is a Vandermonde product. It is computed from two tables of about sqrt(L) powers instead of one of L powers,
and the tables in double precision, so that time and memory grow like the kernel itself and the error not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.functional.ssm_kernel import DiscreteKernel, StateSpaceKernel
from components.functional.ssm_layer import StateSpaceLayer
from components.functional.ssm_scan import DiagonalSystem, causal_convolution, expm1, reciprocal


class S4DKernel(StateSpaceKernel):
    """Kernel K[l] = 2 Re(C A^l B) of x' = diag(Lambda) x + B u.

    Discretisations, with w = dt Lambda:

    =========  =====================  =======================================  ==============================
    disc       A                      B                                        C
    =========  =====================  =======================================  ==============================
    zoh        e^w                    B (e^w - 1) / Lambda                     2 C
    bilinear   (1 + w/2) / (1 - w/2)  B dt / (1 - w/2)                         2 C
    dss        e^w                    B (e^w - 1) / (Lambda (e^(w l_max) - 1)) C
    =========  =====================  =======================================  ==============================

    `dss` (Gupta et al., "Diagonal State Spaces are as Effective as Structured State Spaces", 2022, eq. 6) needs an
    l_max: its normalisation is that length's, also after `double_length`, and its last quotient is regularised as
    x^* / (|x|^2 + 1e-7).

    Constructor, shapes and parameters: see `StateSpaceKernel`. Methods: see `DiscreteKernel`.
    """

    discretisations = ("zoh", "bilinear", "dss")

    def __init__(
        self,
        d_model: int,
        l_max: int | None = None,
        channels: int = 1,
        param_config: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Create or adopt the parameters, see `StateSpaceKernel`.

        Raises:
            ValueError: If an option is unknown, out of range or in conflict; `dss` without an l_max is.
        """
        super().__init__(d_model, l_max, channels, param_config, **options)
        if self.disc == "dss" and l_max is None:
            raise ValueError("Expected an l_max for disc 'dss', which normalises over it, got None")
        self.normalised_length = float(l_max or 1)

    def discretize(self, rate: float = 1.0) -> DiagonalSystem:
        """Discretise, see `DiscreteKernel.discretize` and the table of the class."""
        dt, eigenvalues = self.steps(rate), self.eigenvalues()
        B, C = self.coefficients()
        if self.options.bandlimit is not None:
            turns = dt / rate * eigenvalues.imag.abs() / (2 * math.pi)
            C = C * (turns < self.options.bandlimit / 2)
        exponent = dt * eigenvalues
        if self.disc == "bilinear":
            half = exponent / 2
            resolvent = reciprocal(1 - half)
            return DiagonalSystem((1 + half) * resolvent, B * dt * resolvent, 2 * C)
        growth = expm1(exponent)
        if self.disc == "zoh":
            return DiagonalSystem(growth + 1, B * growth * reciprocal(eigenvalues), 2 * C)
        sum_of_powers = expm1(exponent * (self.normalised_length / rate)) * eigenvalues
        return DiagonalSystem(growth + 1, B * growth * reciprocal(sum_of_powers, 1e-7), C)


class S4D(StateSpaceLayer):
    """S4D layer, see `StateSpaceLayer`; discretisations `zoh` (default), `bilinear` and `dss`."""

    kernel_type = S4DKernel


class MinimalS4DKernel(DiscreteKernel):
    """Kernel of the plain S4D parameterisation: zero-order hold, one channel, B = 1.

    Parameters, for H features and n = state_dim / 2 states:
        C: (real, imaginary) pairs, [H, n, 2], each N(0, 1). A complex [H, n] is accepted by `load_state_dict`.
        log_dt: log of the step, [H], uniform over the range.
        log_a_real: log of -Re Lambda, [H, n], log 1/2 at first.
        A_imag: Im Lambda, [H, n], pi k at first (S4D-Lin, S4D 2022, eq. 9).

    Source: S4D (2022), listing 1.
    """

    def __init__(self, d_model: int, state_dim: int = 64, dt_min: float = 0.001, dt_max: float = 0.1) -> None:
        """Create the parameters.

        Args:
            d_model: Features H.
            state_dim: Real states, even.
            dt_min: Smallest initial step.
            dt_max: Largest initial step.

        Raises:
            ValueError: If the state size is odd or the range is empty or not positive.
        """
        super().__init__()
        if d_model < 1:
            raise ValueError(f"Expected in_features >= 1, got {d_model}")
        if state_dim < 2 or state_dim % 2:
            raise ValueError(f"Expected an even state_dim >= 2, got {state_dim}")
        if not 0 < dt_min < dt_max:
            raise ValueError(f"Expected 0 < dt_min < dt_max, got dt_min = {dt_min} and dt_max = {dt_max}")
        self.d_model, self.d_state, self.l_max = d_model, state_dim, None
        self.dt_min, self.dt_max = dt_min, dt_max
        n = state_dim // 2
        self.C = _undecayed(d_model, n, 2)
        self.log_dt = _undecayed(d_model)
        self.log_a_real = _undecayed(d_model, n)
        self.A_imag = _undecayed(d_model, n)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the parameters anew. Nothing is computed on the meta device."""
        if self.C.is_meta:
            return
        low, high = math.log(self.dt_min), math.log(self.dt_max)
        self.log_dt.copy_(torch.rand(self.log_dt.shape, device="cpu") * (high - low) + low)
        self.C.copy_(torch.randn(self.C.shape, device="cpu"))
        self.log_a_real.fill_(math.log(0.5))
        self.A_imag.copy_(math.pi * torch.arange(self.A_imag.shape[-1], device="cpu"))

    def discretize(self, rate: float = 1.0) -> DiagonalSystem:
        """Discretise by the zero-order hold, see `DiscreteKernel.discretize`."""
        eigenvalues = torch.complex(-self.log_a_real.double().exp(), self.A_imag.double())
        growth = expm1((self.log_dt.double().exp() * rate).unsqueeze(-1) * eigenvalues)
        C = torch.view_as_complex(self.C.double()).unsqueeze(0)
        return DiagonalSystem(growth + 1, growth * reciprocal(eigenvalues), 2 * C)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load, and accept a complex C."""
        C = state_dict.get(prefix + "C")
        if isinstance(C, Tensor) and C.is_complex():
            state_dict[prefix + "C"] = torch.view_as_real(C.resolve_conj())
        super()._load_from_state_dict(state_dict, prefix, *args)


def _undecayed(*shape: int) -> nn.Parameter:
    """An uninitialised parameter that weight decay spares."""
    parameter = nn.Parameter(torch.empty(shape))
    parameter._no_weight_decay = True  # type: ignore[attr-defined]
    return parameter


class S4DSequenceMixer(nn.Module):
    """S4D as a bare sequence mixer: y = K * x, with no skip, activation or projection.

    Same function as linax's mixer of this name, on batches, and with a step. `transposed` is honoured here, where linax
    stores it and reads (length, features) all the same. The keyword `conditioning`, which AdaLN-Zero blocks hand to
    every mixer, is accepted and unused.

    Attributes:
        kernel: `MinimalS4DKernel` with the parameters `C`, `log_dt`, `log_a_real` and `A_imag`.
    """

    def __init__(
        self,
        in_features: int,
        state_dim: int = 64,
        transposed: bool = False,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
    ) -> None:
        """Create the mixer.

        Args:
            in_features: Features H.
            state_dim: Real states per feature, even.
            transposed: Read and write (*batch, features, length).
            dt_min: Smallest initial step.
            dt_max: Largest initial step.

        Raises:
            ValueError: If the state size is odd or the range is empty or not positive.
        """
        super().__init__()
        self.in_features, self.transposed = in_features, transposed
        self.kernel = MinimalS4DKernel(in_features, state_dim, dt_min, dt_max)

    def forward(
        self, x: Tensor, state: Tensor | None = None, rate: float = 1.0, conditioning: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Convolve whole sequences, or a chunk that continues from a state.

        Args:
            x: Input, [*batch, L, H] ([*batch, H, L] when transposed).
            state: State before the first sample, complex, [*batch, H, n].
            rate: Factor of the step.
            conditioning: Accepted and unused.

        Returns:
            Output, in the shape and dtype of `x`; with a state, the pair of that and the state after the last sample.

        Raises:
            ValueError: If shapes disagree.
        """
        feature_axis, time_axis = (-2, -1) if self.transposed else (-1, -2)
        if x.ndim < 2 or x.shape[feature_axis] != self.in_features or x.shape[time_axis] < 1:
            order = "features, length" if self.transposed else "length, features"
            raise ValueError(f"Expected {self.in_features} features in (*batch, {order}), got {tuple(x.shape)}")
        u = x if self.transposed else x.mT
        system = self.kernel.discretize(rate)
        u = u.to(self.kernel.working_dtype())
        kernel, memory = self.kernel.response(system, u.shape[-1], state)
        y = causal_convolution(u, kernel)
        y = (y if memory is None else y + memory).squeeze(-3).to(x.dtype)
        y = y if self.transposed else y.mT
        return y if state is None else (y, self.kernel.forward_state(u, state, system=system))

    def default_state(self, *batch: int) -> Tensor:
        """Return the zero state, complex, [*batch, H, n]."""
        return self.kernel.default_state(*batch)

    def step(
        self, u: Tensor, state: Tensor, rate: float = 1.0, system: DiagonalSystem | None = None
    ) -> tuple[Tensor, Tensor]:
        """Advance by one sample; the outputs of successive steps are those of `forward`.

        Args:
            u: Input, [*batch, H].
            state: State, [*batch, H, n].
            rate: Factor of the step; unused with a system.
            system: What `kernel.discretize` returned, so that it need not be done for every sample.

        Returns:
            Output, [*batch, H], in the dtype of `u`, and the next state.
        """
        y, state = self.kernel.step(u, state, rate, system)
        return y.squeeze(-2).to(u.dtype), state

    def forward_state(self, u: Tensor, state: Tensor, rate: float = 1.0) -> Tensor:
        """Return the state after a sequence u, shaped like `x` of `forward`, without its outputs."""
        return self.kernel.forward_state(u if self.transposed else u.mT, state, rate)
