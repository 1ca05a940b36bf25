"""Fields and rules that the configs of all state-space kernels and layers share. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Optional

from pydantic import Field

from components.functional import ssm_cost
from components.functional.ssm_common import (
    COMBINED_INITS,
    DENSE_INITS,
    DIAGONAL_DEFAULTS,
    Final,
    Gated,
    Init,
    InputInit,
    Pointwise,
    Transform,
)
from registry.rules import Divides, Require, Rule
from registry.schema import Component, Dim, InputSpec, NonNegative, Positive, follows
from registry.shapes import Shape
from registry.tape import Tape

DropoutRate = Annotated[float, Field(ge=0, lt=1)]
"""A probability below 1."""


def even_state(field: str) -> Require:
    """States come in conjugate pairs."""
    return Require(
        f"{field} % 2 == 0",
        at=field,
        code="even-state",
        message=f"Expected {field} to be even, got {{{field}}}",
        hint=f"try {field}: {{{field} - 1}} or {{{field} + 1}}",
        why="states come in conjugate pairs, and one of each pair is stored",
    )


def step_range() -> tuple[Require, ...]:
    """The initial steps are drawn from a range that must not be empty."""
    return tuple(
        Require(
            "dt_min < dt_max",
            at=field,
            when=when,
            code="dt-range",
            message="Expected dt_min < dt_max, got dt_min={dt_min} and dt_max={dt_max}",
            hint="the defaults are dt_min: 0.001 and dt_max: 0.1",
            why="initial steps are drawn between the two, evenly on a logarithmic scale",
        )
        for field, when in (("dt_min", "'dt_min' in __written__"), ("dt_max", ""))
    )


def _shares(init: str, parts: int) -> tuple[Require, ...]:
    """A combined initialisation gives each of its parts the same number of sets."""
    return tuple(
        Require(
            f"{count} % {parts} == 0",
            at=at,
            when=f"init == {init!r} and n_ssm is {'not ' if at == 'n_ssm' else ''}None",
            code="init-sets",
            message=f"Expected {count} to be a multiple of {parts} for init '{init}', got {{{count}}}",
            hint=f"'{init}' stands for {', '.join(COMBINED_INITS[init])}",
            why="each of the combined initialisations gets the same number of sets",
        )
        for at, count in (("n_ssm", "n_ssm"), ("init", "d_model"))
    )


def _below_one(field: str, condition: str, when: str, got: str) -> Require:
    return Require(
        condition,
        at=field,
        when=when,
        code="sigmoid-range",
        message=f"Expected values below 1 behind a sigmoid, got {got}",
        hint="exp and softplus reach every positive value",
        why="a sigmoid has no inverse at 1 and above",
    )


KERNEL_RULES: tuple[Rule, ...] = (
    even_state("d_state"),
    *step_range(),
    Divides(
        "n_ssm",
        ("d_model",),
        at="n_ssm",
        code="divisible",
        why="every set of states serves the same number of features",
    ),
    *(rule for init, parts in COMBINED_INITS.items() for rule in _shares(init, len(parts))),
    Require(
        "rank >= 2",
        at="rank",
        when="init == 'legt'",
        code="init-rank",
        message="Expected rank of at least 2 for init 'legt', got {rank}",
        hint="set rank: 2",
        why="translated Legendre matrices are normal up to two rows",
    ),
    *(
        Require(
            f"{name} == {default!r}",
            at=name,
            when=f"init in {DENSE_INITS}",
            code="unused-option",
            message=f"Expected no {name} for init '{{init}}', got {{{name}}}",
            hint="it belongs to the diag-* and dplr-* initialisations",
            why="HiPPO initialisations are given by a matrix and have no such choice",
        )
        for name, default in DIAGONAL_DEFAULTS.items()
    ),
    _below_one("dt_max", "dt_max < 1", "dt_transform == 'sigmoid'", "dt_max={dt_max}"),
    _below_one(
        "real_transform",
        "init[5:] != 'real' and (real_scale <= 1 if real_random else real_scale < 2)",
        "real_transform == 'sigmoid'",
        "decay rates of 1 and above",
    ),
    _below_one(
        "imag_transform", "init[5:] == 'real'", "imag_transform == 'sigmoid'", "the frequencies of init '{init}'"
    ),
)


class StateSpaceConfig(Component):
    """What a kernel is made of besides its discretisation."""

    low_rank: ClassVar[bool] = False

    d_model: Dim = follows("hidden_dim", "Features.")
    d_state: Dim = Field(64, description="Real states per feature, even; half as many complex ones are stored.")
    l_max: Optional[Dim] = Field(None, description="Length where none is asked for. Longer inputs are as exact.")
    channels: Dim = Field(1, description="Outputs per feature.")
    init: Init = Field("legs", description="Initialisation of the state matrix.")
    rank: Dim = Field(1, description="Rows of the low-rank part.")
    n_ssm: Optional[Dim] = Field(None, description="Sets of states shared among the features; left out, one each.")
    dt_min: Positive = Field(0.001, description="Smallest initial step.")
    dt_max: Positive = Field(0.1, description="Largest initial step.")
    dt_tie: bool = Field(True, description="One step per feature; false gives one per feature and state.")
    dt_transform: Transform = Field("exp", description="From the stored parameter to the step.")
    dt_fast: bool = Field(False, description="Store the inverse hyperbolic sine of the step's parameter.")
    real_transform: Transform = Field("exp", description="From the stored parameter to the decay rate.")
    imag_transform: Transform = Field("none", description="From the stored parameter to the frequency.")
    deterministic: bool = Field(False, description="Space the initial steps evenly and draw nothing.")
    B_clip: Optional[Positive] = Field(2.0, description="Bound of the imaginary part of a HiPPO B.")
    real_random: bool = Field(False, description="Draw the decay rates.")
    real_scale: Positive = Field(1.0, description="Factor of the decay rates.")
    imag_random: bool = Field(False, description="Draw the frequency numbers.")
    imag_scale: NonNegative = Field(1.0, description="Factor of the frequencies.")
    B_init: InputInit = Field("constant", description="Input coefficients.")
    B_scale: Positive = Field(1.0, description="Factor of the input coefficients.")
    P_scale: NonNegative = Field(1.0, description="Factor of a random low-rank part.")
    normalize: bool = Field(False, description="Scale B to unit state variance for white input.")

    @property
    def stored_states(self) -> int:
        """Complex states per feature: one of each conjugate pair."""
        return self.d_state // 2

    @property
    def sets(self) -> int:
        """Sets of (A, B, P)."""
        return self.n_ssm or self.d_model

    @property
    def steps_per_feature(self) -> int:
        """Steps of one feature: one, or one per state."""
        return 1 if self.dt_tie else self.stored_states

    def state_shape(self, batch: Shape) -> Shape:
        """Shape of the recurrent state, complex."""
        return batch + (self.d_model, self.stored_states)

    def state(self) -> Mapping[str, tuple[int, ...]]:
        """Recurrent state of one sequence: name -> shape, of complex numbers. Nothing where there is no recurrence."""
        return {"state": self.state_shape(Shape(()))}


class KernelConfig(StateSpaceConfig):
    """A state-space kernel; subclasses say what discretising and applying the system costs."""

    rules = KERNEL_RULES

    parameters = ssm_cost.kernel_parameters
    forward = ssm_cost.kernel_forward
    step = ssm_cost.kernel_step
    forward_state = ssm_cost.kernel_forward_state

    def discretize(self, tape: Tape, *, powers: bool = True) -> Any:
        """Record the discretisation; without `powers`, A is not used. Returns the system, `Diagonal` or `LowRank`."""
        raise NotImplementedError(f"{type(self).__name__} must say what discretising costs")  # pragma: no cover

    def transition(self, tape: Tape, rows: int) -> None:
        """Record A s for `rows` states."""
        raise NotImplementedError(f"{type(self).__name__} must say what a step costs")  # pragma: no cover

    def response(self, tape: Tape, system: Any, starts: Shape, length: int) -> Shape:
        """Record the kernels (r, C, H, L) that a system has for starting states (r, H, n)."""
        raise NotImplementedError(f"{type(self).__name__} must say what its kernel costs")  # pragma: no cover

    def final_state(self, tape: Tape, length: int, batch: int) -> None:
        """Record the states after a sequence."""
        raise NotImplementedError(f"{type(self).__name__} must say what its state costs")  # pragma: no cover

    def input_spec(self) -> Optional[InputSpec]:
        """The length it is made for."""
        return None if self.l_max is None else InputSpec((self.l_max,))

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The length; a kernel knows no batch."""
        return (int(spec.shape[0]),), {}


class LayerConfig(StateSpaceConfig):
    """A state-space layer: its kernel's fields, and its own.

    lrnnx's function is activation = mult_activation = final_act = gelu.
    """

    rules = (
        *KERNEL_RULES,
        Require(
            "data_dim == 1",
            at="type",
            code="sequence-rank",
            message="Expected one axis of positions, got data_dim={data_dim}",
            hint="a state space runs along one axis: flatten the grid, or use a convolution over all axes",
            why="further axes would be taken for batches",
        ),
        Require(
            "not transposed",
            at="transposed",
            when="hidden_dim >= 1",
            code="transposed",
            message="Expected transposed=false inside a network, got true",
            hint="leave transposed out",
            why="tokens arrive as (batch, length, features)",
        ),
        Require(
            "final_act not in (None, 'none') or (gate or channels) == 1",
            at="final_act",
            when="hidden_dim >= 1",
            code="output-width",
            message="Expected a projection back to {d_model} features, got final_act 'none' "
            "and {(gate or channels) * d_model} features",
            hint="final_act: identity projects and does nothing else",
            why="without a projection the channels, or the gate, widen the output",
        ),
    )
    kernel_schema: ClassVar[type[KernelConfig]]

    activation: Optional[Gated] = Field("gelu", description="After the skip; glu doubles the kernels.")
    mult_activation: Optional[Pointwise] = Field(None, description="After the gate.")
    final_act: Optional[Final] = Field("glu", description="After the projection; none leaves the projection out.")
    gate: Optional[Dim] = Field(None, description="Width of a multiplicative branch, in units of d_model.")
    dropout: DropoutRate = Field(0.0, description="Before the projection.")
    tie_dropout: bool = Field(False, description="Drop a feature at all times or at none.")
    bidirectional: bool = Field(False, description="Look both ways; there is no step then.")
    swap_channels: bool = Field(False, description="Order the outputs by feature, then channel.")
    transposed: bool = Field(False, description="Read and write (batch, features, length).")

    parameters = ssm_cost.layer_parameters
    forward = ssm_cost.layer_forward
    step = ssm_cost.layer_step

    @property
    def kernel_outputs(self) -> int:
        """Channels that the convolution returns, before a gated activation halves them."""
        return self.channels * (2 if self.activation == "glu" else 1)

    @property
    def gated_features(self) -> int:
        """Width before the projection."""
        return (self.gate or self.channels) * self.d_model

    @property
    def has_output_gate(self) -> bool:
        """Whether the channels are projected to the width of the gate."""
        return self.gate is not None and self.gate != self.channels

    @property
    def projected_features(self) -> Optional[int]:
        """Width of the projection, before a final GLU halves it; None without a projection."""
        if self.final_act is None or self.final_act == "none":
            return None
        return self.d_model * (2 if self.final_act == "glu" else 1)

    @cached_property
    def kernel(self) -> KernelConfig:
        """The kernel's own config, with a channel per output and direction."""
        values = {name: getattr(self, name) for name in self.kernel_schema.model_fields}
        values["channels"] = self.kernel_outputs * (2 if self.bidirectional else 1)
        return self.kernel_schema.model_construct(**values)

    @cached_property
    def parts(self) -> dict[str, Component]:
        """The kernel."""
        return {"kernel": self.kernel}

    def state(self) -> Mapping[str, tuple[int, ...]]:
        """That of the kernel; looking both ways is no recurrence."""
        return {} if self.bidirectional else super().state()

    def module_args(self) -> dict[str, Any]:
        """The fields that are not the kernel's, and the two they share."""
        shared = {"d_model", "channels"}
        kernel = self.kernel_schema.model_fields.keys() - shared
        return {name: getattr(self, name) for name in type(self).model_fields if name not in kernel}

    def input_spec(self) -> Optional[InputSpec]:
        """A sequence of the length it is made for."""
        if self.l_max is None:
            return None
        return InputSpec((self.d_model, self.l_max) if self.transposed else (self.l_max, self.d_model))
