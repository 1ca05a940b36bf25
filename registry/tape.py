"""The tape: what a component's torch-free forward records its operations on.

A component's `forward(self, tape, *shapes)` reads like the torch forward: it computes output shapes from input shapes
and calls one primitive per operation. Counts are exact integers by kind; a convention turns them into one figure when
printed (see `cost`). Counting rules: one FLOP is one real scalar add, subtract, multiply, divide, comparison or
transcendental; views, copies, padding and random masks are free. Kernel generation happens once per batch, because its
shapes carry no batch axis.

Primitives come in two sorts. Those that name an operation of tensors (`linear`, `multiply`, `pointwise`, ...) are known
to `backward.BackwardTape` too: a forward made of them alone is a rule for the backward pass as well. Those that give
bare numbers (`elementwise`, `transcendental`, `reduction`, `complex`) have no derivative.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

from registry.errors import CostUnknown
from registry.schema import Component
from registry.shapes import Shape, joined

KINDS = ("matmul", "conv", "bias", "fft", "complex", "elementwise", "transcendental", "reduction", "softmax")
"""Kinds of operation, in the order they are shown."""
PUBLISHED = "published"
"""Kind of a figure that the reference library's own formula gives; only `flop_count` methods record it."""
POINTWISE: Mapping[str, str] = {
    **dict.fromkeys(("abs", "clamp", "clamp_min", "neg", "scale", "shift", "square"), "elementwise"),
    **dict.fromkeys(("cos", "exp", "expm1", "gelu", "gelu_tanh", "reciprocal", "relu", "rsqrt"), "transcendental"),
    **dict.fromkeys(("sigmoid", "silu", "sin", "sinh", "softplus", "tanh"), "transcendental"),
}
"""Function of single numbers -> kind of its one operation. `scale` and `shift` are by a constant."""


class Record:
    """One call of one component: its shapes and operations, and the calls it made.

    Attributes:
        config: The component.
        inputs: Positional and keyword arguments it was called with.
        output: What it returned.
        counts: Its own operations by kind, without those of its parts.
        transforms: Number of N-d transforms of real signals by their points per axis, own.
        calls: (part name, record) in order of calling.
    """

    __slots__ = ("_total", "calls", "config", "counts", "inputs", "output", "transforms")

    def __init__(self, config: Component, inputs: Any) -> None:
        """An empty record of a call of `config`."""
        self.config = config
        self.inputs = inputs
        self.output: Any = None
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.transforms: dict[tuple[int, ...], int] = {}
        self.calls: list[tuple[str, Record]] = []
        self._total: dict[str, int] | None = None

    @property
    def total(self) -> dict[str, int]:
        """Operations by kind, parts included."""
        if self._total is None:
            self._total = self._sum() if self.calls else self.counts
        return self._total

    def _sum(self) -> dict[str, int]:
        times: dict[Record, int] = {}  # equal calls share their record
        for _, call in self.calls:
            times[call] = times.get(call, 0) + 1
        total = dict(self.counts)
        for call, often in times.items():
            for kind, count in call.total.items():
                total[kind] = total.get(kind, 0) + often * count
        return total

    @property
    def ffts(self) -> dict[tuple[int, str], int]:
        """Number of 1-D transforms by (length, "real" or "complex"), own."""
        found: dict[tuple[int, str], int] = {}
        for lengths, count in self.transforms.items():
            for (length, domain), lines in passes(lengths):
                found[length, domain] = found.get((length, domain), 0) + count * lines
        return found


class Tape:
    """Records one forward pass over shapes.

    Attributes:
        cached_kernels: Kernels that do not depend on the input were generated before (deployment).
        method: Name of the component method that is run: `forward`, or `flop_count` for the reference's own formulas.
        width: Bytes of one number of parameters and activations; only the memory tape looks at it.
    """

    width: int = 4

    def __init__(self, *, cached_kernels: bool = False, method: str = "forward") -> None:
        """An empty tape."""
        self.cached_kernels = cached_kernels
        self.method = method
        self._open: list[Record] = []
        self._done: dict[Any, Record] = {}

    # ---- running components ---------------------------------------------------------------------------------

    def call(self, config: Component, *args: Any, **kwargs: Any) -> Record:
        """Run `config` and return its record. Equal calls of one config are run once and share the record."""
        return self._call(config, args, kwargs)

    def _call(self, config: Component, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Record:
        key = self._key(config, args, kwargs)
        record = self._done.get(key)
        if record is None:
            record = self._done[key] = self._execute(config, args, kwargs)
        return record

    def _key(self, config: Component, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What calls that share a record have in common."""
        return id(config), args, *kwargs.items()

    def _execute(self, config: Component, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Record:
        method = getattr(config, self.method, None)
        if method is None:
            raise CostUnknown(
                f"Expected every component to have a published FLOP formula, got none for {config.entry.name}"
            )
        record = Record(config, (args, kwargs))
        self._open.append(record)
        record.output = method(self, *args, **kwargs)
        self._open.pop()
        return record

    def run(self, part: str, *args: Any, **kwargs: Any) -> Any:
        """Call the part of this name of the component now running; returns its output shapes."""
        owner = self._open[-1]
        record = self._call(owner.config.parts[part], args, kwargs)
        owner.calls.append((part, record))
        return record.output

    def run_idle(self, part: str, *args: Any, **kwargs: Any) -> Any:
        """Call a part whose result nobody uses: what it computes has no backward pass."""
        return self.run(part, *args, **kwargs)

    def require_width(self, x: Shape, width: int) -> None:
        """Refuse a tensor whose last axis is not `width` long.

        Raises:
            ValueError: it is not; names the component now running.
        """
        if not x or x[-1] != width:
            name = self._open[-1].config.entry.name
            raise ValueError(f"Expected {name} to take inputs of width {width}, got shape {x.labels}")

    def _count(self, kind: str, count: int) -> None:
        if count:
            self._open[-1].counts[kind] += count

    # ---- bare numbers ---------------------------------------------------------------------------------------

    def add(self, kind: str, count: int) -> None:
        """`count` operations of `kind`."""
        self._count(kind, count)

    def elementwise(self, count: int) -> None:
        """`count` additions, multiplications, divisions, clamps, comparisons."""
        self.add("elementwise", count)

    def transcendental(self, count: int) -> None:
        """`count` exponentials, sines, roots, sigmoids, activations."""
        self.add("transcendental", count)

    def reduction(self, count: int) -> None:
        """`count` additions inside a reduction: sum takes in - out, mean in, 2-norm 2 in."""
        self.add("reduction", count)

    def complex(self, count: int) -> None:
        """`count` real operations of complex arithmetic: 6 a multiply, 2 an add, per complex element."""
        self.add("complex", count)

    # ---- products: every primitive returns its output shape where it has a single one -------------------------

    def matmul(self, left: Shape, right: Shape) -> Shape:
        """Products (*B, M, K) @ (*B, K, N): returns (*B, M, N), 2 FLOPs a multiply-add. `right` may lack the *B."""
        self._open[-1].counts["matmul"] += 2 * prod(left) * right[-1]
        return Shape((*left[:-1], right[-1]))

    def linear(self, x: Shape, out_features: int, *, bias: bool) -> Shape:
        """X (*, in) @ W (in, out) [+ b]: returns (*, out)."""
        *rows, width = x
        outputs = prod(rows) * out_features
        counts = self._open[-1].counts
        counts["matmul"] += 2 * outputs * width
        if bias:
            counts["bias"] += outputs
        return Shape((*rows, out_features))

    def conv(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """A direct convolution: 2 x output elements x in_channels / groups x taps.

        Args:
            x: (B, C_in, *N).
            output: Shape of the result, (B, C_out, *M).
            kernel: Taps per axis.
            groups: Number of groups of channels.
            bias: One more per output element.
        """
        outputs = prod(output)
        counts = self._open[-1].counts
        counts["conv"] += 2 * outputs * (x[1] // groups) * prod(kernel)
        if bias:
            counts["bias"] += outputs
        return output

    def conv_transpose(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """A transposed convolution of x (B, C, *N): 2 x input elements x out_channels / groups x taps.

        Args:
            x: (B, C_in, *N).
            output: (B, C_out, *M).
            kernel: Taps per axis.
            groups: Number of groups of channels.
            bias: One more per output element.
        """
        counts = self._open[-1].counts
        counts["conv"] += 2 * prod(x) * (output[1] // groups) * prod(kernel)
        if bias:
            counts["bias"] += prod(output)
        return output

    def attention(self, query: Shape, key: Shape, value: Shape) -> Shape:
        """Scaled dot-product attention: scores and values 2 B H T S (d + d), scale, softmax. Causal is not halved.

        Args:
            query: (B, H, T, d).
            key: (B, H, S, d).
            value: (B, H, S, d).

        Returns:
            (B, H, T, d).
        """
        rows = prod(query[:-1])
        scores = rows * key[-2]
        counts = self._open[-1].counts
        counts["matmul"] += 4 * scores * query[-1]
        counts["elementwise"] += scores
        counts["softmax"] += 5 * scores - 2 * rows
        return query

    # ---- functions of single numbers, and of pairs ------------------------------------------------------------

    def pointwise(self, function: str, x: Shape) -> Shape:
        """One operation per element; `function` is one of `POINTWISE`."""
        self._open[-1].counts[POINTWISE[function]] += prod(x)
        return x

    def function(
        self, count: int, forward: Mapping[str, int], backward: Mapping[str, int], *, kept: bool = False
    ) -> None:
        """`count` values of a function whose operations are given, by kind, for its value and for its gradient.

        Args:
            count: Number of values.
            forward: Kind -> operations of one value.
            backward: Kind -> operations of its gradient.
            kept: What it keeps, reads and writes is said beside it, by `keep` and `join`.
        """
        for kind, operations in forward.items():
            self._count(kind, count * operations)

    def multiply(self, left: Shape, right: Shape) -> Shape:
        """Elementwise product of tensors that broadcast."""
        output = joined(left, right)
        self._open[-1].counts["elementwise"] += prod(output)
        return output

    def divide(self, left: Shape, right: Shape) -> Shape:
        """Elementwise quotient of tensors that broadcast."""
        return self.multiply(left, right)

    def plus(self, left: Shape, right: Shape) -> Shape:
        """Elementwise sum of tensors that broadcast."""
        output = joined(left, right)
        self._open[-1].counts["elementwise"] += prod(output)
        return output

    def minus(self, left: Shape, right: Shape) -> Shape:
        """Elementwise difference of tensors that broadcast."""
        return self.plus(left, right)

    def complex_multiply(self, left: Shape, right: Shape) -> Shape:
        """Elementwise product of complex tensors that broadcast: 6 per element."""
        output = joined(left, right)
        self._open[-1].counts["complex"] += 6 * prod(output)
        return output

    def rotate(self, x: Shape) -> Shape:
        """Rotary positions, x cos + turned x sin, half of turned x negated: 3.5 per element."""
        self._open[-1].counts["elementwise"] += 3 * prod(x) + prod(x) // 2
        return x

    def fan_out(self, x: Shape, uses: int = 2) -> Shape:
        """A tensor that is used `uses` times: the backward pass adds as many gradients."""
        return x

    def expand(self, x: Shape, output: Shape) -> Shape:
        """Repeat `x` to the shape `output`."""
        return x.view(*output)

    def join(self, x: Shape, *more: Shape, output: Shape) -> Shape:
        """A new tensor of the shape `output`, put together from others, or padded."""
        if not x.needs_grad:
            x = next((part for part in more if part.needs_grad), x)
        return x.view(*output)

    def pad(self, x: Shape, output: Shape) -> Shape:
        """`x` with zeros around it, in the shape `output`."""
        return x.view(*output)

    def transpose(self, x: Shape, axes: Sequence[int]) -> Shape:
        """A view with the axes in another order."""
        return type(x)([x[axis] for axis in axes])

    def precise(self, x: Shape) -> Shape:
        """`x` in float32 if its type is less precise."""
        return x

    def rounded(self, x: Shape) -> Shape:
        """`x` in the type of the activations if its own is more precise."""
        return x

    def part(self, x: Shape, *extents: int) -> Shape:
        """A view of some positions, or of some channels, of (B, *N, C)."""
        return x.view(*extents)

    def ordered(self, x: Shape) -> Shape:
        """`x` itself if its elements lie in memory in the order of its axes, else a copy of which they do."""
        return x

    def gather(self, x: Shape, output: Shape) -> Shape:
        """Elements of `x` at positions that may repeat, in the shape `output`."""
        return x.view(*output)

    # ---- where the numbers are: free, and of interest to `memory.MemoryTape` ------------------------------------

    def cast(self, x: Shape, width: int) -> Shape:
        """The numbers of `x` in `width` bytes each: a copy, unless they are that wide already."""
        return x

    def reinterpret(self, x: Shape, output: Sequence[int], width: int) -> Shape:
        """The memory of `x` seen as numbers of `width` bytes, in the shape `output`: a complex number as its parts."""
        return x.view(*output)

    def unused(self, x: Shape) -> Shape:
        """`x` as the operand of something that reaches no output that has a gradient.

        Autograd learns that when the result is dropped, and has kept its operands until then: the memory tape counts
        them.
        """
        return x

    def keep(self, *tensors: Shape) -> None:
        """Autograd keeps these tensors: said beside `function`, which does not know."""

    # ---- reductions and norms ---------------------------------------------------------------------------------

    def mean(self, x: Shape, output: Shape) -> Shape:
        """Means of `x`, of the shape `output`: one operation per input."""
        self._open[-1].counts["reduction"] += prod(x)
        return x.view(*output)

    def norm(self, x: Shape, output: Shape) -> Shape:
        """2-norms of `x`, of the shape `output`: two operations per input."""
        self._open[-1].counts["reduction"] += 2 * prod(x)
        return x.view(*output)

    def normalise(self, x: Shape, axis: int = -1) -> Shape:
        """X / max(norm of x along `axis`, a lower bound)."""
        axis %= len(x)
        norms = self.norm(x, x.view(*x[:axis], 1, *x[axis + 1 :]))
        return self.divide(self.fan_out(x), self.pointwise("clamp_min", norms))

    def rms_norm(self, x: Shape, rows: int, channels: int) -> Shape:
        """RMS norm of `rows` rows: square, mean, + eps, rsqrt, times the root, times one of `channels` factors."""
        size = prod(x)
        counts = self._open[-1].counts
        counts["reduction"] += size
        counts["elementwise"] += 3 * size + rows
        counts["transcendental"] += rows
        return x

    def centred_norm(self, x: Shape, rows: int, channels: int, affine: int, *, channels_first: bool = False) -> Shape:
        """Layer or group norm of `rows` rows: mean, difference, square, mean, + eps, rsqrt, product, scale and shift.

        Args:
            x: Input.
            rows: Number of things normalised.
            channels: Length of scale and shift.
            affine: 0 for neither, 1 for the scale, 2 for both.
            channels_first: Whether it is a group norm of (B, C, *N).
        """
        size = prod(x)
        counts = self._open[-1].counts
        counts["reduction"] += 2 * size
        counts["elementwise"] += (3 + affine) * size + rows
        counts["transcendental"] += rows
        return x

    def softmax(self, x: Shape) -> Shape:
        """Softmax over the last axis: 5 n - 2 r."""
        self._open[-1].counts["softmax"] += 5 * prod(x) - 2 * (prod(x) // x[-1])
        return x

    # ---- transforms -------------------------------------------------------------------------------------------

    def rfft(self, x: Shape, lengths: Sequence[int]) -> Shape:
        """N-d transforms of real signals: real pass on the last axis, complex ones on the half spectrum.

        Args:
            x: Signals (*B, *N), padded to `lengths` on the last axes.
            lengths: Points F per axis.

        Returns:
            Half spectra (*B, F_1, ..., F_D // 2 + 1), complex.
        """
        signals = x[: len(x) - len(lengths)]
        self._transform(prod(signals), lengths)
        return Shape((*signals, *lengths[:-1], lengths[-1] // 2 + 1))

    def irfft(self, spectrum: Shape, lengths: Sequence[int]) -> Shape:
        """The inverse of `rfft`, and as many operations: half spectra to real signals (*B, *F)."""
        signals = spectrum[: len(spectrum) - len(lengths)]
        self._transform(prod(signals), lengths)
        return Shape((*signals, *lengths))

    def _transform(self, count: int, lengths: Sequence[int]) -> None:
        record, points = self._open[-1], tuple(lengths)
        record.transforms[points] = record.transforms.get(points, 0) + count
        record.counts["fft"] += count * nominal_rfft(points)

    def published(self, count: int) -> None:
        """`count` FLOPs by the reference library's own formula (only inside `flop_count` methods)."""
        self.add(PUBLISHED, count)


Pass = tuple[tuple[int, str], int]
"""(length, "real" or "complex") of 1-D transforms, and how many."""


@lru_cache(maxsize=4096)
def passes(lengths: tuple[int, ...]) -> tuple[Pass, ...]:
    """The 1-D transforms that one N-d transform of a real signal is made of.

    Real ones on the last axis, complex ones on the others, of the half spectrum.
    """
    *outer, last = lengths
    half, points = last // 2 + 1, prod(outer)
    return (((last, "real"), points), *(((length, "complex"), points // length * half) for length in outer))


@lru_cache(maxsize=4096)
def nominal_rfft(lengths: tuple[int, ...]) -> int:
    """Nominal FLOPs of one N-d transform of a real signal."""
    return sum(nominal_fft(length, domain) * lines for (length, domain), lines in passes(lengths))


@lru_cache(maxsize=4096)
def complex_fft(lengths: tuple[int, ...]) -> int:
    """FLOPs of one N-d transform as a complex one over the whole spectrum: about 5 P log2 P of P points."""
    points = prod(lengths)
    return sum(nominal_fft(length, "complex") * (points // length) for length in lengths)


@lru_cache(maxsize=4096)
def nominal_fft(length: int, domain: str) -> int:
    """Nominal FLOPs of one 1-D transform: round(5 n log2 n) complex, round(2.5 n log2 n) real (benchFFT)."""
    return round((5.0 if domain == "complex" else 2.5) * length * math.log2(length))
