"""The layer around a state-space kernel: convolution, skip, activations, gate, dropout and projection.

Source: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces" (S4, 2022), section 3.4; the gate
is that of Mehta et al., "Long Range Language Modeling via Gated State Spaces" (2022). Field names are lrnnx's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.functional.ssm_common import FINAL, GATED, POINTWISE
from components.functional.ssm_kernel import StateSpaceKernel
from components.functional.ssm_scan import System, bidirectional_convolution, causal_convolution

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "identity": lambda x: x,
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "glu": F.glu,
}

Lengths = int | Sequence[int] | Tensor


class StateSpaceLayer(nn.Module):
    """Sequence layer y = out(gate(act(K * x + D x))), with a recurrent step that computes the same function.

    The layer reads and writes (*batch, length, features). A condition has no place in a time-invariant convolution, so
    the keyword `conditioning`, which AdaLN-Zero blocks hand to every mixer, is accepted and unused: those blocks apply
    it themselves, around the mixer.

    Attributes:
        kernel: The state-space kernel, with the parameters of the recurrence.
        D: Skip, [channels, d_model], drawn from N(0, 1).
        input_gate: Linear (d_model -> gate d_model) and GELU, or None.
        output_gate: Linear to the width of the gate, where it differs, or None.
        output_linear: Linear to d_model and the final activation, or None.
    """

    kernel_type: type[StateSpaceKernel]

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        l_max: int | None = None,
        channels: int = 1,
        *,
        activation: str | None = "gelu",
        mult_activation: str | None = None,
        final_act: str | None = "glu",
        gate: int | None = None,
        dropout: float = 0.0,
        tie_dropout: bool = False,
        bidirectional: bool = False,
        swap_channels: bool = False,
        transposed: bool = False,
        kernel: StateSpaceKernel | None = None,
        **options: Any,
    ) -> None:
        """Create the layer. `activation = mult_activation = final_act = "gelu"` is lrnnx's function.

        Args:
            d_model: Features H.
            d_state: Real states N per feature, even.
            l_max: Default length of the kernel. It bounds nothing: longer inputs are as exact.
            channels: Outputs C per feature.
            activation: After the skip, one of `ssm_common.GATED`; with `glu` the kernel has twice the channels. None is
                `none`.
            mult_activation: Before the projection, after the gate, one of `ssm_common.POINTWISE`.
            final_act: After the projection, one of `ssm_common.FINAL`; `glu` projects to 2H, `none` not at all (the
                output then has C H features, or gate H).
            gate: Width of a multiplicative branch in units of H, None for no branch.
            dropout: Probability before the projection, in [0, 1).
            tie_dropout: Drop a feature at all times or at none.
            bidirectional: Look both ways; such a layer has no state and no step.
            swap_channels: Order the C H outputs by feature, then channel, instead of channel, then feature.
            transposed: Read and write (*batch, features, length).
            kernel: The kernel, if it is built already; `d_state`, `l_max` and `options` then have no say.
            options: Fields of `ssm_kernel.KernelOptions`.

        Raises:
            ValueError: If an option is unknown, out of range or in conflict.
        """
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected dropout in [0, 1), got {dropout}")
        if gate is not None and gate < 1:
            raise ValueError(f"Expected gate >= 1 or None, got {gate}")
        self.activation = _known("activation", activation, GATED)
        self.mult_activation = _known("mult_activation", mult_activation, POINTWISE)
        self.final_act = _known("final_act", final_act, FINAL)
        self.d_model, self.channels, self.gate = d_model, channels, gate
        self.dropout, self.tie_dropout = dropout, tie_dropout
        self.bidirectional, self.swap_channels, self.transposed = bidirectional, swap_channels, transposed
        outputs = channels * (2 if self.activation == "glu" else 1)
        kernels = outputs * (2 if bidirectional else 1)
        if kernel is None:
            kernel = self.kernel_type(d_model, l_max, kernels, d_state=d_state, **options)
        elif (kernel.d_model, kernel.channels) != (d_model, kernels):
            got = f"{kernel.d_model} features and {kernel.channels} channels"
            raise ValueError(f"Expected a kernel of {d_model} features and {kernels} channels, got {got}")
        self.kernel = kernel
        self.d_state = kernel.d_state
        width, gated = channels * d_model, (gate or channels) * d_model
        self.input_gate = nn.Sequential(nn.Linear(d_model, gated), nn.GELU()) if gate else None
        self.D = nn.Parameter(torch.empty(outputs, d_model))
        self._draw_skip()
        self.output_gate = nn.Linear(width, gated) if gate and gated != width else None
        self.output_linear: nn.Sequential | None = None
        if self.final_act != "none":
            projected = 2 * d_model if self.final_act == "glu" else d_model
            self.output_linear = nn.Sequential(nn.Linear(gated, projected))

    def _draw_skip(self) -> None:
        if not self.D.is_meta:
            with torch.no_grad():
                self.D.copy_(torch.randn(self.D.shape, device="cpu"))

    @property
    def output_features(self) -> int:
        """Width of the output: d_model, or that of the last hidden layer without a projection."""
        if self.output_linear is not None:
            return self.d_model
        return (self.gate or self.channels) * self.d_model

    def forward(
        self,
        x: Tensor,
        lengths: Lengths | None = None,
        state: Tensor | None = None,
        rate: float = 1.0,
        conditioning: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Run the layer over whole sequences, or over a chunk that continues from a state.

        Args:
            x: Input, [*batch, L, H] ([*batch, H, L] when transposed).
            lengths: Valid samples of each sequence, one number or one per sequence; later inputs count as zero, later
                outputs are not masked.
            state: State before the first sample, complex, [*batch, H, n].
            rate: Factor of the step.
            conditioning: Accepted and unused, see the class.

        Returns:
            Output, [*batch, L, output_features] (transposed like the input), in the dtype of `x`; with a state, the
            pair of that and the state after the last sample.

        Raises:
            ValueError: If shapes disagree, or a state is given to a bidirectional layer.
        """
        feature_axis, time_axis = (-2, -1) if self.transposed else (-1, -2)
        if x.ndim < 2 or x.shape[feature_axis] != self.d_model or x.shape[time_axis] < 1:
            order = "features, length" if self.transposed else "length, features"
            raise ValueError(f"Expected {self.d_model} features in (*batch, {order}), got {tuple(x.shape)}")
        x = x.mT if self.transposed else x
        if lengths is not None:
            x = x * _valid(lengths, x)
        mixed, next_state = self._convolve(x.mT, state, rate)
        y = self._head(mixed.movedim(-1, -3).contiguous(), x)
        y = y.mT if self.transposed else y
        return y if next_state is None else (y, next_state)

    def _convolve(self, u: Tensor, state: Tensor | None, rate: float) -> tuple[Tensor, Tensor | None]:
        """Convolve inputs [*batch, H, L] to [*batch, C, H, L], continuing from a state."""
        system = self.kernel.discretize(rate)
        wide = u.to(self.kernel.working_dtype())
        if self.bidirectional:
            if state is not None:
                raise ValueError("Expected no state: a bidirectional layer has none")
            kernel, _ = self.kernel.response(system, u.shape[-1])
            return bidirectional_convolution(wide, kernel), None
        kernel, memory = self.kernel.response(system, u.shape[-1], state)
        y = causal_convolution(wide, kernel)
        if state is None or memory is None:
            return y, None
        return y + memory, self.kernel.forward_state(wide, state, system=system)

    def _head(self, mixed: Tensor, x: Tensor) -> Tensor:
        """Finish outputs [..., C, H] for inputs [..., H]; the same for sequences and for single samples."""
        y = mixed.to(x.dtype) + self.D * x.unsqueeze(-2)
        y = (y.mT if self.swap_channels else y).flatten(-2)
        y = _FUNCTIONS[self.activation](y)
        if self.input_gate is not None:
            y = y if self.output_gate is None else self.output_gate(y)
            y = y * self.input_gate(x)
        y = self._drop(_FUNCTIONS[self.mult_activation](y))
        if self.output_linear is None:
            return y
        return _FUNCTIONS[self.final_act](self.output_linear(y))

    def _drop(self, y: Tensor) -> Tensor:
        if not self.tie_dropout or y.ndim < 3:
            return F.dropout(y, self.dropout, self.training)
        if not self.training or not self.dropout:
            return y
        return y * F.dropout(torch.ones_like(y[..., :1, :]), self.dropout)

    def default_state(self, *batch: int) -> Tensor:
        """Return the zero state, complex, [*batch, H, n]."""
        self._expect_causal()
        return self.kernel.default_state(*batch)

    def step(self, u: Tensor, state: Tensor, rate: float = 1.0, system: System | None = None) -> tuple[Tensor, Tensor]:
        """Advance by one sample; the outputs of successive steps are those of `forward`.

        Args:
            u: Input, [*batch, H].
            state: State, [*batch, H, n].
            rate: Factor of the step; unused with a system.
            system: What `kernel.discretize` returned, so that it need not be done for every sample.

        Returns:
            Output, [*batch, output_features], and the next state.

        Raises:
            ValueError: If shapes disagree or the layer is bidirectional.
        """
        self._expect_causal()
        if u.shape[-1] != self.d_model:
            raise ValueError(f"Expected {self.d_model} features, got {u.shape[-1]} in shape {tuple(u.shape)}")
        y, state = self.kernel.step(u, state, rate, system)
        return self._head(y, u), state

    def forward_state(self, u: Tensor, state: Tensor, rate: float = 1.0) -> Tensor:
        """Return the state after a sequence, without its outputs.

        Args:
            u: Inputs, [*batch, L, H] ([*batch, H, L] when transposed).
            state: State before the first sample, [*batch, H, n].
            rate: Factor of the step.

        Returns:
            State after the last sample, [*batch, H, n].
        """
        self._expect_causal()
        return self.kernel.forward_state(u if self.transposed else u.mT, state, rate)

    def _expect_causal(self) -> None:
        if self.bidirectional:
            raise ValueError("Expected a causal layer: a bidirectional one has no state and no step")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load, and accept lrnnx's names: kernel parameters at the top and repeated under `layer.kernel`."""
        own = (*self.kernel._parameters, "l_kernel")
        for name in own:
            aliases = [prefix + name, f"{prefix}layer.kernel.{name}"]
            values = [state_dict.pop(alias) for alias in aliases if alias in state_dict]
            if any(not torch.equal(value, values[0]) for value in values[1:]):
                raise ValueError(f"Expected {aliases[0]} and {aliases[1]} to be equal, got two different tensors")
            if values:
                state_dict[f"{prefix}kernel.{name}"] = values[0]
        if f"{prefix}layer.D" in state_dict:
            state_dict[f"{prefix}D"] = state_dict.pop(f"{prefix}layer.D")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Describe the layer in one line."""
        return (
            f"activation={self.activation!r}, mult_activation={self.mult_activation!r}, final_act={self.final_act!r}, "
            f"dropout={self.dropout}, bidirectional={self.bidirectional}, transposed={self.transposed}"
        )


def _known(field: str, name: str | None, allowed: tuple[str, ...]) -> str:
    name = "none" if name is None else name
    if name not in allowed:
        raise ValueError(f"Expected {field} out of {', '.join(allowed)}, got {name!r}")
    return name


def _valid(lengths: Lengths, x: Tensor) -> Tensor:
    """Mark the valid samples of x [*batch, L, H] by ones, [*batch or 1, L, 1]."""
    counts = torch.as_tensor(lengths, device=x.device)
    batch = x.shape[:-2].numel()
    if counts.numel() not in (1, batch):
        raise ValueError(f"Expected one length or {batch}, got {counts.numel()}")
    positions = torch.arange(x.shape[-2], device=x.device)
    mask = (positions < counts.reshape(-1, 1)).unsqueeze(-1).to(x.dtype)
    return mask[0] if counts.numel() == 1 else mask.reshape(*x.shape[:-1], 1)
