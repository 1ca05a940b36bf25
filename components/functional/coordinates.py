"""What kernels of coordinates have in common, without torch: the fields that fix the grid, their rules, its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Union

from pydantic import Field

from registry.rules import Require, Rule
from registry.schema import Component, Dim, Dims, InputSpec, Rank, follows
from registry.shapes import Constant, Shape
from registry.tape import Tape

Frequency = Annotated[float, Field(gt=0, le=1e9)]
"""A factor on coordinates in [-1, 1]; far below the bound, single precision cannot resolve the phase any more."""


class OnGrid(Component):
    """Base of the configs whose module starts from a grid of relative coordinates."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Require(
            "isinstance(L_cache, int) or len(L_cache) == data_dim",
            at="L_cache",
            code="extent-count",
            message="Expected L_cache to be one extent or {data_dim}, one per axis, got {len(L_cache)}",
            hint="write one extent for all axes, or a list of {data_dim}",
            why="every spatial axis has one reference extent",
        ),
        Require(
            "(L_cache if isinstance(L_cache, int) else min(L_cache)) >= 2",
            at="L_cache",
            code="extent-too-small",
            message="Expected extents of at least 2 in L_cache, got {L_cache}",
            hint="L_cache is the extent of the token grid, which needs at least 2 points along every axis",
            why="neighbouring samples are 1 / (L_cache - 1) apart",
        ),
    )

    data_dim: Rank = follows("data_dim", "Number of spatial axes.")
    L_cache: Union[Dim, Dims] = follows(
        "L_cache",
        "Extent in samples whose coordinates are [-1, 1]; one for all axes, or one per axis.",
        code="extent-differs",
        why="the kernel is another function of position at another extent",
        also="seq_shape",
    )

    @property
    def extents(self) -> tuple[int, ...]:
        """Reference extent of every axis; 3, which every rule accepts, where it is unknown or itself at fault."""
        extent: int | tuple[int, ...] = getattr(self, "L_cache", 3)
        return (extent,) * self.data_dim if isinstance(extent, int) else extent

    @property
    def frequency_order(self) -> int:
        """1 where the last channels oscillate fastest at first, -1 where the first ones do, 0 where all are alike."""
        return 0

    def halved(self, single: Sequence[bool]) -> OnGrid:
        """The kernel with half the reference extent on the axes whose grid is single."""
        if not any(single):
            return self
        shrunk = tuple((n + 1) // 2 if half else n for n, half in zip(self.extents, single, strict=True))
        return self.with_values(L_cache=shrunk)

    def input_spec(self) -> InputSpec:
        """As many samples per axis as the reference extent."""
        return InputSpec(self.extents)

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The number of samples per axis, and the conditioning vectors if there are any."""
        conditioning = {"conditioning": batch + Shape(spec.condition)} if spec.condition else {}
        return (spec.shape,), conditioning


def grid(tape: Tape, seq_lens: Sequence[int], data_dim: int) -> Shape:
    """`coordinate_grid`: N samples per axis -> (1, 2 N_1 - 1, ..., 2 N_D - 1, D); one product per coordinate."""
    if len(seq_lens) != data_dim:
        raise ValueError(f"Expected seq_lens of {data_dim} axes, got {len(seq_lens)}")
    taps = [2 * n - 1 for n in seq_lens]
    for count in taps:
        tape.pointwise("scale", Constant((count,)))
    return Constant((1, *taps, data_dim))
