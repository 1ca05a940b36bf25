"""The tape: what a component's torch-free forward records its operations on.

A component's `forward(self, tape, *shapes)` reads like the torch forward: it computes output shapes from input shapes
and calls one primitive per operation. Counts are exact integers by kind; a convention turns them into one figure when
printed (see `cost`). Counting rules: one FLOP is one real scalar add, subtract, multiply, divide, comparison or
transcendental; views, copies, padding and random masks are free. Kernel generation happens once per batch, because its
shapes carry no batch axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from registry.errors import CostUnknown
from registry.schema import Component
from registry.shapes import Shape

KINDS = ("matmul", "conv", "bias", "fft", "complex", "elementwise", "transcendental", "reduction", "softmax")
"""Kinds of operation, in the order they are shown."""
PUBLISHED = "published"
"""Kind of a figure that the reference library's own formula gives; only `flop_count` methods record it."""


class Record:
    """One call of one component: its shapes and operations, and the calls it made.

    Attributes:
        config: The component.
        inputs: Positional and keyword arguments it was called with.
        output: What it returned.
        counts: Its own operations by kind, without those of its parts.
        ffts: Number of 1-D transforms by (length, "real" or "complex"), own.
        calls: (part name, record) in order of calling.
    """

    __slots__ = ("_total", "calls", "config", "counts", "ffts", "inputs", "output")

    def __init__(self, config: Component, inputs: Any) -> None:
        """An empty record of a call of `config`."""
        self.config = config
        self.inputs = inputs
        self.output: Any = None
        self.counts: dict[str, int] = {}
        self.ffts: dict[tuple[int, str], int] = {}
        self.calls: list[tuple[str, Record]] = []
        self._total: dict[str, int] | None = None

    @property
    def total(self) -> dict[str, int]:
        """Operations by kind, parts included."""
        if self._total is None:
            total = dict(self.counts)
            for _, call in self.calls:
                for kind, count in call.total.items():
                    total[kind] = total.get(kind, 0) + count
            self._total = total
        return self._total


class Tape:
    """Records one forward pass over shapes.

    Attributes:
        cached_kernels: Kernels that do not depend on the input were generated before (deployment).
        method: Name of the component method that is run: `forward`, or `flop_count` for the reference's own formulas.
    """

    def __init__(self, *, cached_kernels: bool = False, method: str = "forward") -> None:
        """An empty tape."""
        self.cached_kernels = cached_kernels
        self.method = method
        self._open: list[Record] = []
        self._done: dict[Any, Record] = {}

    # ---- running components ---------------------------------------------------------------------------------

    def call(self, config: Component, *args: Any, **kwargs: Any) -> Record:
        """Run `config` and return its record. Equal calls of one config are run once and share the record."""
        key = (id(config), args, tuple(kwargs.items()))
        record = self._done.get(key)
        if record is None:
            record = Record(config, (args, kwargs))
            method = getattr(config, self.method, None)
            if method is None:
                raise CostUnknown(
                    f"Expected every component to have a published FLOP formula, got none for {config.entry.name}"
                )
            self._open.append(record)
            record.output = method(self, *args, **kwargs)
            self._open.pop()
            self._done[key] = record
        return record

    def run(self, part: str, *args: Any, **kwargs: Any) -> Any:
        """Call the part of this name of the component now running; returns its output shapes."""
        owner = self._open[-1]
        record = self.call(owner.config.parts[part], *args, **kwargs)
        owner.calls.append((part, record))
        return record.output

    def require_width(self, x: Shape, width: int) -> None:
        """Refuse a tensor whose last axis is not `width` long.

        Raises:
            ValueError: it is not; names the component now running.
        """
        if not x or x[-1] != width:
            name = self._open[-1].config.entry.name
            raise ValueError(f"Expected {name} to take inputs of width {width}, got shape {x.labels}")

    # ---- primitives: every one returns its output shape where it has a single one ---------------------------

    def add(self, kind: str, count: int) -> None:
        """`count` operations of `kind`."""
        if count:
            counts = self._open[-1].counts
            counts[kind] = counts.get(kind, 0) + count

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

    def matmul(self, rows: int, inner: int, columns: int, batch: int = 1) -> None:
        """`batch` products (rows, inner) @ (inner, columns): 2 FLOPs a multiply-add."""
        self.add("matmul", 2 * batch * rows * inner * columns)

    def linear(self, x: Shape, out_features: int, *, bias: bool) -> Shape:
        """X (*, in) @ W (in, out) [+ b]: returns (*, out)."""
        rows = x.size // x[-1] if x[-1] else 0
        self.matmul(rows, x[-1], out_features)
        if bias:
            self.add("bias", rows * out_features)
        return Shape((*x[:-1], out_features))

    def conv(self, output: Shape, in_channels: int, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """A direct convolution that gives `output`: 2 x output elements x in_channels / groups x taps."""
        self.add("conv", 2 * output.size * (in_channels // groups) * math.prod(kernel))
        if bias:
            self.add("bias", output.size)
        return output

    def conv_transpose(self, x: Shape, out_channels: int, kernel: Sequence[int], *, groups: int = 1) -> None:
        """A transposed convolution of x (B, C, *N): 2 x input elements x out_channels / groups x taps."""
        self.add("conv", 2 * x.size * (out_channels // groups) * math.prod(kernel))

    def softmax(self, count: int, rows: int) -> None:
        """Softmax over `rows` rows of `count` elements in all: 5 n - 2 r."""
        self.add("softmax", 5 * count - 2 * rows)

    def attention(self, batch: int, heads: int, queries: int, keys: int, head_dim: int) -> None:
        """Scaled dot-product attention: scores and values 2 B H T S (d + d), scale, softmax. Causal is not halved."""
        scores = batch * heads * queries * keys
        self.add("matmul", 4 * scores * head_dim)
        self.elementwise(scores)
        self.softmax(scores, batch * heads * queries)

    def rfft(self, count: int, lengths: Sequence[int]) -> None:
        """`count` real N-d transforms (either direction): real pass on the last axis, complex on the half spectrum."""
        *outer, last = lengths
        half = last // 2 + 1
        self.fft_lines(last, "real", count * math.prod(outer))
        for axis, length in enumerate(outer):
            others = math.prod(outer[:axis]) * math.prod(outer[axis + 1 :])
            self.fft_lines(length, "complex", count * others * half)

    def fft_lines(self, length: int, domain: str, lines: int) -> None:
        """`lines` 1-D transforms of `length` points, `domain` "real" or "complex"; nominal 2.5 or 5 n log2 n each."""
        ffts = self._open[-1].ffts
        ffts[length, domain] = ffts.get((length, domain), 0) + lines
        self.add("fft", lines * nominal_fft(length, domain))

    def published(self, count: int) -> None:
        """`count` FLOPs by the reference library's own formula (only inside `flop_count` methods)."""
        self.add(PUBLISHED, count)


@lru_cache(maxsize=4096)
def nominal_fft(length: int, domain: str) -> int:
    """Nominal FLOPs of one 1-D transform: round(5 n log2 n) complex, round(2.5 n log2 n) real (benchFFT)."""
    return round((5.0 if domain == "complex" else 2.5) * length * math.log2(length))
