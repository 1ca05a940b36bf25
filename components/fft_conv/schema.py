"""Config of the global convolution."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Optional, Union

from pydantic import BeforeValidator, Field

from components.fft_conv import cost
from components.functional.coordinates import OnGrid
from registry.rules import Require
from registry.schema import Component, Dim, InputSpec, Rank, follows, slot
from registry.shapes import Shape
from registry.store import register


def _clean(value: object) -> object:
    """Boundary names may be written in any case, with blanks around them."""
    return value.strip().lower() if isinstance(value, str) else value


Boundary = Annotated[Literal["zero", "circular"], BeforeValidator(_clean)]
Boundaries = Annotated[tuple[Boundary, ...], Field(strict=False, min_length=1, max_length=3)]

# Whether the kernel grid is single, per axis; and the extents its reference extent shrinks to.
_SINGLE = (
    "([grid_type == 'single'] * data_dim if isinstance(fft_padding, str) else [p == 'circular' for p in fft_padding])"
)
_HALVED = f"[(n + 1) // 2 if single else n for n, single in zip(kernel.extents, {_SINGLE})]"


@register("ckconv_nd", kind="global_conv", module="components.fft_conv.module:CKConvND", aliases=("CKConvND",))
class CKConvND(Component):
    """Depthwise convolution with a generated kernel as long as the signal, computed through the FFT."""

    paper = "Romero et al. 2022 (arXiv:2102.02611), section 4; in N dimensions: Knigge et al. 2023 (arXiv:2301.10540)"
    rules = (
        Require(
            "len(fft_padding) == data_dim",
            at="fft_padding",
            when="not isinstance(fft_padding, str)",
            code="boundary-count",
            message="Expected fft_padding to be one boundary or {data_dim}, one per axis, got {len(fft_padding)}",
            hint="write one boundary for all axes, or a list of {data_dim}",
            why="every spatial axis has one boundary",
        ),
        Require(
            "grid_type is None",
            at="grid_type",
            when="not isinstance(fft_padding, str)",
            code="grid-type",
            message="Expected no grid_type with fft_padding per axis, got {grid_type}",
            hint="leave grid_type out",
            why="circular axes have a single grid and zero-padded ones a double grid",
        ),
        Require(
            "grid_type is not None",
            at="grid_type",
            when="isinstance(fft_padding, str)",
            code="grid-type",
            message="Expected grid_type with fft_padding={fft_padding}, got none",
            hint="grid_type: {'double' if fft_padding == 'zero' else 'single'}",
            why="it says how far the kernel reaches",
        ),
        Require(
            "grid_type == 'single'",
            at="grid_type",
            when="fft_padding == 'circular' and grid_type is not None",
            code="circular-grid",
            message="Expected grid_type to be single with fft_padding=circular, got {grid_type}",
            hint="set grid_type: single",
            why="a circular signal has no more lags than samples",
        ),
        Require(
            "not use_chunked_fftconv",
            at="use_chunked_fftconv",
            when="fft_padding == 'circular'",
            code="circular-chunks",
            message="Expected use_chunked_fftconv to be false with fft_padding=circular, got true",
            hint="leave use_chunked_fftconv out",
            why="circular transforms are not padded, so that there is little memory to save",
        ),
        Require(
            "data_dim == 1",
            at="is_causal",
            when="is_causal",
            code="causal-rank",
            message="Expected is_causal only with one spatial axis, got {data_dim} axes",
            hint="leave is_causal out, or set data_dim: 1",
            why="only one axis has an order of time",
        ),
        Require(
            "fft_padding == 'zero'",
            at="fft_padding",
            when="is_causal and data_dim == 1",
            code="causal-boundary",
            message="Expected fft_padding to be zero with is_causal, got {fft_padding}",
            hint="set fft_padding: zero",
            why="a circular axis lets the end reach the beginning",
        ),
        Require(
            f"min({_HALVED}) >= 2",
            at="kernel.L_cache",
            when="min(kernel.extents) >= 2",
            code="extent-too-small",
            message="Expected extents of at least 3 in L_cache on axes with a single grid, got {min(kernel.extents)}",
            hint="set L_cache to the extent of the token grid",
            why="a single grid halves the extent, and neighbouring samples need a distance",
        ),
        Require(
            "kernel.frequency_order * mask.width_order <= 0",
            at="mask",
            when="mask.entry.kind == 'mask'",
            code="mask-order",
            severity="warning",
            message="Expected the widest windows on the channels of the lowest frequencies, "
            "got {mask.entry.name}, whose widest meet the highest",
            hint="use {'block_aligned_' if mask.width_order > 0 else ''}gaussian_modulation_nd",
            why="slow oscillations need a wide window, fast ones alias in it",
        ),
        Require(
            "fft_padding == 'zero' and (data_dim == 1 if is_causal else data_dim == 2)",
            at="fft_backend",
            when="fft_backend == 'subq_ops'",
            code="backend",
            message="Expected fft_backend subq_ops only for causal 1-D or non-causal 2-D convolutions "
            "with fft_padding=zero, got data_dim={data_dim}, is_causal={is_causal}, fft_padding={fft_padding}",
            hint="set fft_backend: torch_fft",
            why="these are the kernels the backend has",
        ),
        Require(
            "fft_padding == 'zero' and data_dim == 2 and not is_causal",
            at="fft_backend",
            when="fft_backend == 'subq_ops_fused'",
            code="backend",
            message="Expected fft_backend subq_ops_fused only for non-causal 2-D convolutions with fft_padding=zero, "
            "got data_dim={data_dim}, is_causal={is_causal}, fft_padding={fft_padding}",
            hint="set fft_backend: torch_fft",
            why="this is the kernel the backend has",
        ),
        Require(
            "fft_backend == 'torch_fft'",
            at="fft_backend",
            code="backend-ignored",
            severity="note",
            message="Expected fft_backend to be torch_fft, got {fft_backend}: torch.fft computes the same here",
            hint="leave fft_backend out",
            why="the backend says how to compute, not what",
        ),
    )

    data_dim: Rank = follows("data_dim", "Number of spatial axes.")
    hidden_dim: Dim = follows("hidden_dim", "Channels of signal and kernel.")
    kernel: Component = slot(
        "kernel",
        gives={
            "hidden_dim": "hidden_dim",
            "data_dim": "data_dim",
            "L_cache": "L_cache if len(seq_shape) == data_dim else None",
        },
        description="Generates the kernel.",
    )
    mask: Component = slot(
        "mask",
        "identity",
        gives={"hidden_dim": "hidden_dim", "data_dim": "data_dim", "grid_size": f"2 * max({_HALVED}) - 1"},
        description="Window on the kernel; identity for none.",
    )
    grid_type: Optional[Literal["double", "single"]] = Field(
        None, description="Reach of the kernel over N samples: 2N - 1 taps (double) or N (single)."
    )
    fft_padding: Union[Boundary, Boundaries] = Field(description="Boundary of all axes, or one per axis.")
    is_causal: bool = Field(False, description="Whether outputs see only earlier samples.")
    use_chunked_fftconv: bool = Field(False, description="Convolve 128 channels at a time, to save memory.")
    fft_backend: Literal["torch_fft", "subq_ops", "subq_ops_fused"] = Field(
        "torch_fft", description="Accepted for configs of the reference; computed by torch.fft in any case."
    )

    parameters = cost.parameters
    forward = cost.forward
    flop_count = cost.flop_count

    @property
    def single(self) -> tuple[bool, ...]:
        """Whether the kernel grid is single, per axis."""
        if isinstance(self.fft_padding, str):
            return (self.grid_type == "single",) * self.data_dim
        return tuple(boundary == "circular" for boundary in self.fft_padding)

    @property
    def boundaries(self) -> tuple[str, ...]:
        """Boundary per axis: zero, circular or causal."""
        if isinstance(self.fft_padding, str):
            return ("causal" if self.is_causal else self.fft_padding,) * self.data_dim
        return self.fft_padding

    @cached_property
    def parts(self) -> dict[str, Component]:
        """Kernel and mask; on axes with a single grid the kernel's reference extent is halved as its grid is."""
        kernel = self.kernel.halved(self.single) if isinstance(self.kernel, OnGrid) else self.kernel
        return {"kernel": kernel, "mask": self.mask}

    def module_args(self) -> dict[str, Any]:
        """The fields of the module; the backend is not one of them."""
        args = super().module_args()
        del args["fft_backend"]
        return args

    def input_spec(self) -> InputSpec | None:
        """As many samples per axis as the kernel's reference extent."""
        extents: tuple[int, ...] | None = getattr(self.kernel, "extents", None)
        return None if extents is None else InputSpec((*extents, self.hidden_dim))

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A signal, and the conditioning vectors if there are any."""
        conditioning = {"conditioning": batch + Shape(spec.condition)} if spec.condition else {}
        return (batch + Shape(spec.shape),), conditioning
