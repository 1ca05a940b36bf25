"""Configs of the SIREN kernel generators and of their first layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Optional, Union

from pydantic import Field

from components.functional.coordinates import Frequency, OnGrid
from components.siren import cost
from registry.limits import LIMITS
from registry.rules import Divides, Equals, Require
from registry.schema import Component, Dim, Number, Positive, follows, slot
from registry.store import register

Layers = Annotated[int, Field(strict=True, ge=2, le=LIMITS.blocks)]
Extent = Annotated[int, Field(strict=True, ge=2, le=LIMITS.dim)]
Omegas = Annotated[tuple[Frequency, ...], Field(strict=False, min_length=1, max_length=LIMITS.dim)]

_PAPER = "Sitzmann et al. 2020 (arXiv:2006.09661), section 3.2"
_PER_ROW = Require(
    "len(omega_0_per_row) == embedding_dim",
    at="omega_0_per_row",
    code="row-count",
    message="Expected omega_0_per_row to have embedding_dim={embedding_dim} values, got {len(omega_0_per_row)}",
    hint="write {embedding_dim} frequencies, or set embedding_dim: {len(omega_0_per_row)}",
    why="every row of the embedding has a frequency of its own",
)
_SCALE_RANGE = Require(
    "omega_0_scale_min <= omega_0_scale_max",
    at="omega_0_scale_max",
    code="empty-range",
    message="Expected omega_0_scale_max to be at least omega_0_scale_min={omega_0_scale_min}, got {omega_0_scale_max}",
    hint="raise omega_0_scale_max, or lower omega_0_scale_min",
    why="scales are clamped into the range",
)
_SCALES = "(omega_0_scale_init if isinstance(omega_0_scale_init, tuple) else (omega_0_scale_init,))"
_LEARNABLE_RULES = (
    _SCALE_RANGE,
    Require(
        "not isinstance(omega_0_scale_init, tuple) or len(omega_0_scale_init) == embedding_dim",
        at="omega_0_scale_init",
        code="row-count",
        message="Expected omega_0_scale_init to be one scale or embedding_dim={embedding_dim} of them, "
        "got {len(omega_0_scale_init)}",
        hint="write one scale for all rows, or a list of {embedding_dim}",
        why="every row of the embedding has a scale of its own",
    ),
    Require(
        f"omega_0_scale_min <= min({_SCALES}) and max({_SCALES}) <= omega_0_scale_max",
        at="omega_0_scale_init",
        code="scale-outside-range",
        message="Expected omega_0_scale_init within [{omega_0_scale_min}, {omega_0_scale_max}], "
        "got {omega_0_scale_init}",
        hint="move omega_0_scale_init into the range, or widen the range",
        why="scales are clamped into the range, so that another start would not last",
    ),
)


# ---- first layers -------------------------------------------------------------------------------------------------


class _Embedding(OnGrid):
    """Fields that every SIREN embedding has."""

    learns_omega: ClassVar[bool] = False
    paper = _PAPER

    embedding_dim: Dim = Field(description="Width of the embedding.")
    use_bias: bool = True

    parameters = cost.embedding_parameters
    forward = cost.embedding

    @property
    def accepts_conditioning(self) -> bool:
        """It takes numbers of samples and nothing else."""
        return False


@register(
    "siren_positional_embedding_nd",
    kind="position_embedding",
    module="components.siren.module:SIRENPositionalEmbeddingND",
    aliases=("SIRENPositionalEmbeddingND",),
)
class SIRENPositionalEmbeddingND(_Embedding):
    """Sine of a linear map of every relative position."""

    omega_0: Frequency = Field(description="Frequency factor, in cycles per half range.")


@register(
    "multi_omega_siren_positional_embedding_nd",
    kind="position_embedding",
    module="components.siren.module:MultiOmegaSIRENPositionalEmbeddingND",
    aliases=("MultiOmegaSIRENPositionalEmbeddingND",),
)
class MultiOmegaSIRENPositionalEmbeddingND(_Embedding):
    """Sine of a linear map of every relative position, each row starting at a frequency of its own."""

    rules = (*OnGrid.rules, _PER_ROW)

    omega_0_per_row: Omegas = Field(description="Frequency factor of every row.")


@register(
    "learnable_omega_siren_positional_embedding_nd",
    kind="position_embedding",
    module="components.siren.module:LearnableOmegaSIRENPositionalEmbeddingND",
    aliases=("LearnableOmegaSIRENPositionalEmbeddingND",),
)
class LearnableOmegaSIRENPositionalEmbeddingND(_Embedding):
    """Sine of a linear map of every relative position, times a frequency that every row learns."""

    learns_omega: ClassVar[bool] = True
    rules = (*OnGrid.rules, *_LEARNABLE_RULES)

    omega_0: Frequency = Field(description="Frequency factor at scale 1.")
    omega_0_scale_init: Union[Positive, Omegas] = Field(1.0, description="Initial scale, one or one per row.")
    omega_0_scale_min: Positive = Field(1e-2, description="Smallest scale.")
    omega_0_scale_max: Positive = Field(2.0, description="Largest scale.")
    apply_lr_scale: bool = Field(False, description="Tag the map with the learning-rate factor 1 / (2 pi omega_0).")


# ---- kernels ------------------------------------------------------------------------------------------------------


class _Kernel(OnGrid):
    """Fields that every SIREN kernel has."""

    learns_omega: ClassVar[bool] = False
    paper = f"{_PAPER}; as convolution kernels: Romero et al. 2022 (arXiv:2102.02611)"
    rules = (
        *OnGrid.rules,
        Equals(
            "embedding_dim",
            "mlp_hidden_dim",
            when="film_after_pos_embed",
            code="film-width",
            why="film_after_pos_embed modulates the embedding with vectors of width mlp_hidden_dim",
        ),
    )

    out_dim: Dim = follows("hidden_dim", "Channels of the kernel.")
    mlp_hidden_dim: Dim = Field(description="Width of the sine layers.")
    num_layers: Layers = Field(description="Layers including the embedding; num_layers - 1 sine layers follow it.")
    embedding_dim: Dim = Field(description="Width of the embedding.")
    use_bias: bool = Field(description="Whether the linear maps have biases.")
    hidden_omega_0: Frequency = Field(1.0, description="Cancels out of the sine layers: it has no effect.")
    film: Optional[Component] = slot(
        "film",
        default=None,
        at="film_generator",
        gives={
            "kernel_hidden_dim": "mlp_hidden_dim",
            "num_film_layers": "num_layers - 1 + film_after_pos_embed",
        },
        description="Scales and shifts every sine layer by a conditioning vector.",
    )
    film_after_pos_embed: bool = Field(False, description="Modulate the embedding too.")

    parameters = cost.kernel_parameters
    forward = cost.kernel
    flop_count = cost.kernel_flop_count

    @property
    def num_hidden(self) -> int:
        """Sine layers after the embedding."""
        return self.num_layers - 1

    @property
    def takes_conditioning(self) -> bool:
        """Only FiLM makes use of a conditioning vector."""
        return self.film is not None


@register("siren_kernel_nd", kind="kernel", module="components.siren.module:SIRENKernelND", aliases=("SIRENKernelND",))
class SIRENKernelND(_Kernel):
    """Kernel generated by a sinusoidal network of one frequency."""

    omega_0: Frequency = Field(description="Frequency factor of the embedding, in cycles per half range.")


@register(
    "multi_omega_siren_kernel_nd",
    kind="kernel",
    module="components.siren.module:MultiOmegaSIRENKernelND",
    aliases=("MultiOmegaSIRENKernelND",),
)
class MultiOmegaSIRENKernelND(_Kernel):
    """Kernel generated by a sinusoidal network whose embedding rows start at frequencies of their own."""

    rules = (*_Kernel.rules, _PER_ROW)

    omega_0_per_row: Omegas = Field(description="Frequency factor of every row of the embedding.")


@register(
    "learnable_omega_siren_kernel_nd",
    kind="kernel",
    module="components.siren.module:LearnableOmegaSIRENKernelND",
    aliases=("LearnableOmegaSIRENKernelND",),
)
class LearnableOmegaSIRENKernelND(_Kernel):
    """Kernel generated by a sinusoidal network that learns the frequency of every row of its embedding."""

    learns_omega: ClassVar[bool] = True
    rules = (*_Kernel.rules, *_LEARNABLE_RULES)

    omega_0: Frequency = Field(description="Frequency factor at scale 1.")
    omega_0_scale_init: Union[Positive, Omegas] = Field(1.0, description="Initial scale, one or one per row.")
    omega_0_scale_min: Positive = Field(1e-2, description="Smallest scale.")
    omega_0_scale_max: Positive = Field(2.0, description="Largest scale.")
    apply_lr_scale: bool = Field(
        False, description="Tag the embedding with the learning-rate factor 1 / (2 pi omega_0)."
    )


_EXTENT = "(L_cache if isinstance(L_cache, int) else max(L_cache))"
_FACTOR = f"({_EXTENT} - 1) / (omega_0_extent - 1)"


class _BlockDiagonalKernel(_Kernel):
    """Fields that every block-diagonal kernel has."""

    rules = (
        *_Kernel.rules,
        Divides(
            "num_blocks",
            ("embedding_dim", "mlp_hidden_dim", "out_dim"),
            code="block-width",
            why="every layer is cut into num_blocks equal blocks",
        ),
        Require(
            "omega_0_min <= omega_0_max",
            at="omega_0_max",
            when="omega_0_per_block is None",
            code="omega-order",
            message="Expected omega_0_max to be at least omega_0_min={omega_0_min}, got {omega_0_max}",
            hint="raise omega_0_max, or lower omega_0_min",
            why="frequencies rise from the first block to the last",
        ),
        Require(
            "len(omega_0_per_block) == num_blocks",
            at="omega_0_per_block",
            when="omega_0_per_block is not None",
            code="block-count",
            message="Expected omega_0_per_block to have num_blocks={num_blocks} values, got {len(omega_0_per_block)}",
            hint="write {num_blocks} frequencies, or set num_blocks: {len(omega_0_per_block)}",
            why="every block has a frequency of its own",
        ),
        Require(
            f"{_EXTENT} == omega_0_extent",
            at="omega_0_extent",
            when="omega_0_extent is not None and not scale_omega_0",
            code="omega-extent",
            severity="note",
            message="Expected a grid of extent {omega_0_extent}, for which the frequencies were chosen, "
            f"got {{{_EXTENT}}}",
            hint=f"set scale_omega_0: true to multiply them by {{round({_FACTOR}, 4)}}",
            why="frequencies count cycles per half range: on a finer grid they cover less of the spectrum",
        ),
    )

    num_blocks: Dim = Field(8, description="Number of blocks.")
    omega_0_min: Frequency = Field(1.0, description="Frequency factor of the first block.")
    omega_0_max: Frequency = Field(12.0, description="Frequency factor of the last block.")
    schedule: Literal["linear", "log"] = Field("linear", description="Spacing of the frequencies between them.")
    off_block_scale: Number = Field(0.1, description="Factor on initial weights between different blocks.")
    omega_0_per_block: Optional[Omegas] = Field(None, description="Frequency factors that replace the schedule.")
    omega_0_extent: Optional[Extent] = Field(None, description="Extent of the grid the frequencies were chosen for.")
    scale_omega_0: bool = follows(
        "scale_omega_0",
        "Multiply the frequencies by (L_cache - 1) / (omega_0_extent - 1), so that they cover as much of the spectrum.",
        default=False,
        code="scale-omega",
        why="the network says whether frequencies follow the grid",
    )

    def module_args(self) -> dict[str, Any]:
        """The fields, frequencies scaled to the grid."""
        args = super().module_args()
        del args["omega_0_extent"], args["scale_omega_0"]
        factor = self.grid_factor if self.scale_omega_0 else 1.0
        for name in ("omega_0_min", "omega_0_max"):
            args[name] *= factor
        if self.omega_0_per_block is not None:
            args["omega_0_per_block"] = tuple(omega * factor for omega in self.omega_0_per_block)
        return args

    @property
    def grid_factor(self) -> float:
        """How many times finer the grid is than the one the frequencies were chosen for."""
        return 1.0 if self.omega_0_extent is None else (max(self.extents) - 1) / (self.omega_0_extent - 1)

    @property
    def frequency_order(self) -> int:
        """See `OnGrid.frequency_order`."""
        omegas = self.omega_0_per_block or (self.omega_0_min, self.omega_0_max)[: self.num_blocks]
        return (omegas[-1] > omegas[0]) - (omegas[-1] < omegas[0])

    def halved(self, single: Sequence[bool]) -> OnGrid:
        """See `OnGrid.halved`; the reference extent of the frequencies shrinks along."""
        kernel = super().halved(single)
        if not any(single) or self.omega_0_extent is None:
            return kernel
        return kernel.with_values(omega_0_extent=(self.omega_0_extent + 1) // 2)


@register(
    "block_diagonal_multi_omega_siren_kernel_nd",
    kind="kernel",
    module="components.siren.module:BlockDiagonalMultiOmegaSIRENKernelND",
    aliases=("BlockDiagonalMultiOmegaSIRENKernelND",),
)
class BlockDiagonalMultiOmegaSIRENKernelND(_BlockDiagonalKernel):
    """Kernel generated by weakly coupled sinusoidal networks, each starting at a frequency of its own."""


_RATIO = (
    "(min(omega_0_per_block) / max(omega_0_per_block) if omega_0_per_block is not None"
    " else 1.0 if num_blocks == 1 else omega_0_min / omega_0_max)"
)


@register(
    "block_diagonal_learnable_omega_siren_kernel_nd",
    kind="kernel",
    module="components.siren.module:BlockDiagonalLearnableOmegaSIRENKernelND",
    aliases=("BlockDiagonalLearnableOmegaSIRENKernelND",),
)
class BlockDiagonalLearnableOmegaSIRENKernelND(_BlockDiagonalKernel):
    """Kernel generated by weakly coupled sinusoidal networks, each learning its frequencies."""

    learns_omega: ClassVar[bool] = True
    rules = (
        *_BlockDiagonalKernel.rules,
        _SCALE_RANGE,
        Require(
            "omega_0_scale_max >= 1",
            at="omega_0_scale_max",
            code="scale-outside-range",
            message="Expected omega_0_scale_max to be at least 1, got {omega_0_scale_max}",
            hint="set omega_0_scale_max: 1.0",
            why="the block of the highest frequency starts at scale 1",
        ),
        Require(
            f"{_RATIO} >= omega_0_scale_min",
            at="omega_0_scale_min",
            when="omega_0_scale_min <= omega_0_scale_max",
            code="scale-outside-range",
            message=f"Expected omega_0_scale_min to be at most {{{_RATIO}}}, got {{omega_0_scale_min}}",
            hint=f"try omega_0_scale_min: {{{_RATIO}}}",
            why="the block of the lowest frequency starts at the scale lowest / highest",
        ),
    )

    omega_0_scale_min: Positive = Field(1e-2, description="Smallest frequency, as a fraction of the highest.")
    omega_0_scale_max: Positive = Field(2.0, description="Largest frequency, as a multiple of the highest.")
    apply_lr_scale: bool = Field(
        False, description="Tag the embedding with the learning-rate factor 1 / (2 pi omega_0)."
    )
