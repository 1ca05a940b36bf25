"""Continuous parameters of structured state-space kernels, and the face that all such kernels share.

Shapes: H = d_model features, n = d_state / 2 stored complex states, C channels, S = n_ssm sets of (A, B, P). Feature h
uses set h mod S; dt and C belong to the feature.

Source: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces" (S4, 2022); parameter names and
options are those of lrnnx.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.functional.ssm_common import DENSE_INITS, DIAGONAL_DEFAULTS, TRANSFORMS
from components.functional.ssm_init import DiagonalOptions, StateSpaceSets, initial_sets
from components.functional.ssm_scan import System, read

_FLOOR = 1e-4
"""Smallest initial decay rate and frequency, and what `relu` adds."""


@dataclass(frozen=True)
class KernelOptions(DiagonalOptions):
    """Everything that describes a kernel besides its size d_model, l_max and channels.

    Attributes:
        d_state: Number of real states N, even; n = N / 2 complex ones are stored.
        dt_min: Smallest initial step.
        dt_max: Largest initial step.
        dt_tie: One step per feature; False gives one per feature and state.
        dt_transform: Map from `inv_dt` to the step, one of `TRANSFORMS`.
        dt_fast: Store asinh of `inv_dt`, so that it moves faster under training.
        rank: Rows R of the low-rank part.
        n_ssm: Number of sets S, a divisor of d_model; None for one per feature.
        init: Initialisation, one of `ssm_common.INITS`.
        B_clip: Bound of the imaginary part of B for HiPPO initialisations, None for no bound.
        real_transform: Map from `A_real` to -Re Lambda, one of `TRANSFORMS`.
        imag_transform: Map from `A_imag` to -Im Lambda, one of `TRANSFORMS`.
        deterministic: Space the steps evenly on a logarithmic scale and start C at V^H e_0 instead of drawing both.
        disc: Discretisation; the default, None, is the kernel's first.
        bandlimit: Silence states that turn faster than half of this fraction of the sampling rate, None for none.
    """

    d_state: int = 64
    dt_min: float = 0.001
    dt_max: float = 0.1
    dt_tie: bool = True
    dt_transform: str = "exp"
    dt_fast: bool = False
    rank: int = 1
    n_ssm: int | None = None
    init: str = "legs"
    B_clip: float | None = 2.0
    real_transform: str = "exp"
    imag_transform: str = "none"
    deterministic: bool = False
    disc: str | None = None
    bandlimit: float | None = None

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> KernelOptions:
        """Read keyword options.

        Raises:
            ValueError: If a name is unknown; the message offers the nearest.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise ValueError(
                    f"Expected a state-space option{f' such as {near[0]!r}' if near else ''}, got {name!r}"
                )
        return cls(**options)

    def check(self, d_model: int, discretisations: tuple[str, ...]) -> None:
        """Raise ValueError where the options contradict each other, d_model or the kernel's discretisations."""
        if self.d_state < 2 or self.d_state % 2:
            raise ValueError(f"Expected an even d_state >= 2, got {self.d_state}")
        if self.n_ssm is not None and (self.n_ssm < 1 or d_model % self.n_ssm):
            raise ValueError(f"Expected n_ssm to divide d_model = {d_model}, got {self.n_ssm}")
        if not 0 < self.dt_min < self.dt_max:
            raise ValueError(f"Expected 0 < dt_min < dt_max, got dt_min = {self.dt_min} and dt_max = {self.dt_max}")
        if self.rank < 1:
            raise ValueError(f"Expected rank >= 1, got {self.rank}")
        for name in ("dt_transform", "real_transform", "imag_transform"):
            _expect(name, getattr(self, name), TRANSFORMS)
        _expect("disc", self.disc or discretisations[0], discretisations)
        for name, default in DIAGONAL_DEFAULTS.items():
            if self.init in DENSE_INITS and getattr(self, name) != default:
                raise ValueError(f"Expected {name} = {default!r} for init {self.init!r}, got {getattr(self, name)!r}")


def _expect(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"Expected {name} out of {', '.join(allowed)}, got {value!r}")


def positive(stored: Tensor, transform: str) -> Tensor:
    """Map a stored parameter to the positive quantity it stands for (`none` leaves its sign free).

    Args:
        stored: Any shape.
        transform: One of `TRANSFORMS`.

    Returns:
        Same shape.
    """
    transforms: dict[str, Callable[[Tensor], Tensor]] = {
        "none": lambda p: p,
        "exp": torch.exp,
        "relu": lambda p: F.relu(p) + _FLOOR,
        "sigmoid": torch.sigmoid,
        "softplus": F.softplus,
    }
    return transforms[transform](stored)


def stored(value: Tensor, transform: str) -> Tensor:
    """Invert `positive` (`relu` adds its 1e-4 all the same).

    Raises:
        ValueError: If the transform is `sigmoid` and a value is not below 1.
    """
    if transform == "sigmoid" and bool((value >= 1).any()):
        raise ValueError(f"Expected values below 1 for the sigmoid transform, got {float(value.max()):.4g}")
    transforms: dict[str, Callable[[Tensor], Tensor]] = {
        "none": lambda v: v,
        "exp": torch.log,
        "relu": lambda v: v,
        "sigmoid": torch.logit,
        "softplus": lambda v: v + torch.log(-torch.expm1(-v)),
    }
    return transforms[transform](value)


def tile(sets: Tensor, features: int) -> Tensor:
    """Give every feature its set: [..., S, n] to [..., H, n], feature h from set h mod S."""
    if sets.shape[-2] == features:
        return sets
    return torch.cat([sets] * (features // sets.shape[-2]), dim=-2)


class DiscreteKernel(nn.Module):
    """What every state-space kernel offers, given the discrete system it defines.

    A state is complex, [*batch, H, n]. The full form [*batch, H, 2n], with the conjugates appended, is accepted too and
    returned by the methods that were given it.

    Attributes:
        d_model: Features H.
        d_state: Real states N.
        l_max: Length of the kernel where none is asked for. Any other length is as exact; nothing is truncated.
        C: Output coefficients as (real, imaginary) pairs, [..., H, n, 2].
    """

    C: Tensor
    d_model: int
    d_state: int
    l_max: int | None

    def discretize(self, rate: float = 1.0) -> System:
        """Discretise the parameters.

        Args:
            rate: Factor of the step: 2 reads a signal sampled half as often.

        Returns:
            The discrete system in double precision, tied to the parameters by autograd. Pass it to `step` while the
            parameters stand still, so that it is not computed for every token.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how it is discretised")  # pragma: no cover

    def working_dtype(self) -> torch.dtype:
        """Return the precision of kernels and outputs: that of the parameters, at least float32."""
        return torch.promote_types(self.C.dtype, torch.float32)

    def forward(
        self, L: int | None = None, state: Tensor | None = None, rate: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the convolution kernel K[l] = Re(C A^l B), and what an initial state adds to the output.

        Args:
            L: Number of samples, default `l_max`.
            state: Initial state s, [*batch, H, n] or [*batch, H, 2n].
            rate: Factor of the step.

        Returns:
            K, [C, H, L], and Re(C A^(l+1) s), [*batch, C, H, L], or None without a state.

        Raises:
            ValueError: If no length is given or known, or the state has the wrong shape.
        """
        length = self.l_max if L is None else L
        if length is None or length < 1:
            raise ValueError(f"Expected a kernel length L >= 1 (or an l_max), got {length}")
        return self.response(self.discretize(rate), length, state)

    def response(self, system: System, length: int, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Do the work of `forward` for a system that is known; see there for shapes."""
        starts = system.B.unsqueeze(0)
        if state is None:
            return system.kernel(starts, length, self.working_dtype())[0], None
        half = self._half(state)
        batch = half.shape[:-2]
        moved = system.transition(half.reshape(-1, *half.shape[-2:]))
        kernels = system.kernel(torch.cat([starts, moved]), length, self.working_dtype())
        return kernels[0], kernels[1:].reshape(*batch, *kernels.shape[1:])

    def default_state(self, *batch: int) -> Tensor:
        """Return the zero state, complex, [*batch, H, n]."""
        dtype = torch.complex128 if self.C.dtype == torch.float64 else torch.complex64
        return torch.zeros(*batch, self.d_model, self.d_state // 2, dtype=dtype, device=self.C.device)

    def step(self, u: Tensor, state: Tensor, rate: float = 1.0, system: System | None = None) -> tuple[Tensor, Tensor]:
        """Advance by one sample: s' = A s + B u, y = Re(C s').

        Args:
            u: Input, [*batch, H].
            state: State, [*batch, H, n] or [*batch, H, 2n].
            rate: Factor of the step; unused with a system.
            system: What `discretize` returned, so that it need not be done again.

        Returns:
            Output, [*batch, C, H], in the dtype of `working_dtype`, and the next state, in the form it was given.
        """
        system = self.discretize(rate) if system is None else system
        half = self._half(state)
        moved = system.transition(half.to(torch.complex128)) + system.B * u.unsqueeze(-1)
        return read(system, moved).to(self.working_dtype()), self._like(moved, state)

    def forward_state(self, u: Tensor, state: Tensor, rate: float = 1.0, system: System | None = None) -> Tensor:
        """Advance by a whole sequence: A^L s + sum_j A^(L-1-j) B u_j. Gradients reach the parameters too.

        Args:
            u: Inputs, [*batch, H, L].
            state: State before the first sample, [*batch, H, n] or [*batch, H, 2n].
            rate: Factor of the step; unused with a system.
            system: What `discretize` returned.

        Returns:
            State after the last sample, in the form it was given.
        """
        system = self.discretize(rate) if system is None else system
        half = self._half(state).to(torch.complex128)
        batch = half.shape[:-2]
        u = u.to(self.working_dtype()).expand(*batch, *u.shape[-2:])
        final = system.final_state(u.reshape(-1, *u.shape[-2:]), half.reshape(-1, *half.shape[-2:]))
        return self._like(final.reshape(half.shape), state)

    def double_length(self) -> None:
        """Double `l_max`, the default length. The kernel itself has no length: its first half stays what it was."""
        if self.l_max is not None:
            self.l_max *= 2

    def _half(self, state: Tensor) -> Tensor:
        """Check a state and drop its conjugates."""
        n = self.d_state // 2
        if not state.is_complex() or state.shape[-2:] not in ((self.d_model, n), (self.d_model, 2 * n)):
            raise ValueError(
                f"Expected a complex state (*batch, {self.d_model}, {n} or {2 * n}), "
                f"got {state.dtype} {tuple(state.shape)}"
            )
        return state[..., :n]

    def _like(self, half: Tensor, state: Tensor) -> Tensor:
        """Give a half state the form and dtype of another."""
        if state.shape[-1] == self.d_state:
            half = torch.cat([half, half.conj()], dim=-1)
        return half.to(state.dtype)


class StateSpaceKernel(DiscreteKernel):
    """A kernel whose continuous parameters are those of S4 and S4D.

    Subclasses name their discretisations, say whether they have a low-rank part, and discretise.

    Attributes:
        inv_dt: Step behind its transform, [H, 1], or [H, n] when untied.
        C: Output coefficients as (real, imaginary) pairs, [C, H, n, 2].
        B: Input coefficients as pairs, [1, S, n, 2].
        A_real: -Re Lambda behind its transform, [S, n].
        A_imag: -Im Lambda behind its transform, [S, n].
        P: Low-rank part as pairs, [R, S, n, 2], where there is one.
    """

    discretisations: tuple[str, ...] = ()
    low_rank = False
    inv_dt: Tensor
    C: Tensor
    B: Tensor
    A_real: Tensor
    A_imag: Tensor
    P: Tensor

    def __init__(
        self,
        d_model: int,
        l_max: int | None = None,
        channels: int = 1,
        param_config: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Create the parameters, or adopt those of a parent.

        Args:
            d_model: Features H.
            l_max: Default kernel length; no limit.
            channels: Output channels C per feature.
            param_config: Parameters of a parent under their names, with the flags `dt_fast`, `dt_transform`,
                `real_transform`, `imag_transform` and `disc`, and, to be checked, `N` (n or 2n), `H`, `channels`,
                `rank` and `repeat` (H / S). They are shared, not copied.
            options: Fields of `KernelOptions`, without `param_config`.

        Raises:
            ValueError: If an option is unknown, out of range or in conflict, or parameters disagree in shape.
        """
        super().__init__()
        if d_model < 1 or channels < 1:
            raise ValueError(f"Expected d_model >= 1 and channels >= 1, got {d_model} and {channels}")
        if l_max is not None and l_max < 1:
            raise ValueError(f"Expected l_max >= 1 or None, got {l_max}")
        self.d_model, self.l_max, self.channels = d_model, l_max, channels
        if param_config is None:
            self.options = KernelOptions.parse(options)
            self.options.check(d_model, self.discretisations)
            self._create()
            self.reset_parameters()
        else:
            if options:
                raise ValueError(f"Expected no option beside param_config, got {', '.join(options)}")
            self.options = self._adopt(dict(param_config))
            self.options.check(d_model, self.discretisations)
        if self.low_rank and self.options.bandlimit is not None:
            raise ValueError("Expected no bandlimit: the states of a low-rank system have no frequency of their own")
        self.d_state = self.options.d_state
        self.disc = self.options.disc or self.discretisations[0]

    def _names(self) -> tuple[str, ...]:
        return ("inv_dt", "C", "B", "A_real", "A_imag", *(("P",) if self.low_rank else ()))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        options = self.options
        n, sets = options.d_state // 2, options.n_ssm or self.d_model
        shapes: dict[str, tuple[int, ...]] = {
            "inv_dt": (self.d_model, 1 if options.dt_tie else n),
            "C": (self.channels, self.d_model, n, 2),
            "B": (1, sets, n, 2),
            "A_real": (sets, n),
            "A_imag": (sets, n),
            "P": (options.rank, sets, n, 2),
        }
        return {name: shapes[name] for name in self._names()}

    def _create(self) -> None:
        for name, shape in self._shapes().items():
            parameter = nn.Parameter(torch.empty(shape))
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
            self.register_parameter(name, parameter)

    def reset_parameters(self) -> None:
        """Draw the parameters anew from the options. Nothing is computed on the meta device."""
        options, n = self.options, self.options.d_state // 2
        if self.inv_dt.is_meta:
            return
        dt = self._initial_steps()
        sets = self._initial_sets()
        inverse = stored(dt, options.dt_transform)
        values = {"inv_dt": torch.asinh(inverse) if options.dt_fast else inverse}
        if options.deterministic:
            C = tile(sets.first_row, self.d_model).expand(self.channels, -1, -1)
        else:
            C = torch.randn(self.channels, self.d_model, n, dtype=torch.complex64, device="cpu")
        values["C"] = torch.view_as_real(C.conj().resolve_conj())
        values["B"] = torch.view_as_real(sets.B.contiguous())[None]
        values["A_real"] = stored(-sets.eigenvalues.real.clamp(max=-_FLOOR), options.real_transform)
        values["A_imag"] = stored(-sets.eigenvalues.imag.clamp(max=-_FLOOR), options.imag_transform)
        if self.low_rank:
            values["P"] = torch.view_as_real(sets.P.contiguous())
        with torch.no_grad():
            for name, value in values.items():
                getattr(self, name).copy_(value)

    def _initial_steps(self) -> Tensor:
        options = self.options
        low, high = math.log(options.dt_min), math.log(options.dt_max)
        shape = self._shapes()["inv_dt"]
        if options.deterministic:
            spaced = torch.linspace(low, high, self.d_model, dtype=torch.float64, device="cpu")
            return spaced[:, None].expand(shape).exp()
        return (torch.rand(shape, device="cpu").double() * (high - low) + low).exp()

    def _initial_sets(self) -> StateSpaceSets:
        options = self.options
        sets = options.n_ssm or self.d_model
        return initial_sets(options.init, options.d_state, options.rank, sets, options, options.B_clip)

    def _adopt(self, config: dict[str, Any]) -> KernelOptions:
        """Register the parameters of a parent and derive the options that their shapes imply."""
        for name in self._names():
            if not isinstance(config.get(name), Tensor):
                raise ValueError(f"Expected the parameter {name!r} in param_config, got {config.get(name)!r}")
            parameter = config.pop(name)
            if isinstance(parameter, nn.Parameter):
                self.register_parameter(name, parameter)
            else:
                self.register_buffer(name, parameter, persistent=False)
        config.pop("P", None)
        sets, n = self.A_real.shape
        implied = {
            "H": self.d_model,
            "channels": self.channels,
            "repeat": self.d_model // sets,
            "rank": len(self.P) if self.low_rank else config.get("rank"),
            "is_real": False,
        }
        for name, value in implied.items():
            if config.pop(name, value) != value:
                raise ValueError(f"Expected {name} = {value} in param_config, as the parameters have it")
        if config.pop("N", n) not in (n, 2 * n):
            raise ValueError(f"Expected N = {2 * n} in param_config, as the parameters have it")
        config.pop("verbose", None)
        rank = {"rank": len(self.P)} if self.low_rank else {}
        tied = self.inv_dt.shape[-1] == 1
        options = KernelOptions.parse({**config, **rank, "d_state": 2 * n, "n_ssm": sets, "dt_tie": tied})
        self.options = options
        for name, shape in self._shapes().items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"Expected {name} of shape {shape}, got {tuple(getattr(self, name).shape)}")
        return options

    def steps(self, rate: float = 1.0) -> Tensor:
        """Return the steps dt times `rate`, float64, [H, 1] or [H, n]."""
        if rate <= 0:
            raise ValueError(f"Expected rate > 0, got {rate}")
        inverse = self.inv_dt.double()
        if self.options.dt_fast:
            inverse = torch.sinh(inverse)
        return positive(inverse, self.options.dt_transform) * rate

    def eigenvalues(self) -> Tensor:
        """Return Lambda per feature, complex128, [H, n]."""
        real = -positive(self.A_real.double(), self.options.real_transform)
        imag = -positive(self.A_imag.double(), self.options.imag_transform)
        return tile(torch.complex(real, imag), self.d_model)

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """Return the continuous B [H, n] and C [C, H, n], complex128."""
        B = torch.view_as_complex(self.B.double()).squeeze(0)
        return tile(B, self.d_model), torch.view_as_complex(self.C.double())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load, and turn the truncated C~ of an lrnnx checkpoint (`l_kernel` > 0) back into C."""
        length = int(state_dict.pop(prefix + "l_kernel", 0))
        super()._load_from_state_dict(state_dict, prefix, *args)
        if length > 0:
            self._undo_truncation(length)

    def _undo_truncation(self, length: int) -> None:
        """Solve C~ = C (1 - A^length) for C, in place."""
        raise ValueError(f"Expected no l_kernel in the checkpoint of a diagonal kernel, got {length}")

    def extra_repr(self) -> str:
        """Describe the kernel in one line."""
        options = self.options
        return (
            f"d_model={self.d_model}, d_state={self.d_state}, channels={self.channels}, l_max={self.l_max}, "
            f"init={options.init!r}, disc={self.disc!r}"
        )
