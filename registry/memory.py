"""The memory tape: what autograd keeps of a forward pass for the backward pass, read off the same rules.

A component's `forward(self, tape, *shapes)` run on a `MemoryTape` records two kinds of bytes:

* `saved`: tensors kept for the backward pass. Autograd keeps storages, not tensors: views of one storage, and one
  tensor kept by several operations, count once, where they are kept first. Parameters and buffers are not counted,
  they are there anyway. Attention is the fused one, which keeps its output and one number a row instead of the scores.
* `moved`: tensors read and written, every operation reading its operands and writing its result once: what runs
  without fusion. Parameters are read too.

The tensors that flow have a storage here (`Held`). A plain `Shape` that a component writes down is a parameter, or
something as long-lived; a `Constant` is a tensor that the module makes anew. What each operation keeps:

=================== ================================================================================================
operation           kept
=================== ================================================================================================
product, linear     each factor the other one of which has a gradient; linear, convolution: their input
attention           queries, keys, values, output, B H T sums of exponentials
pointwise           see `KEPT`
multiply            each factor the other one of which has a gradient; divide: the denominator, and both for its own
norm                input and output; rms norm: input, roots, input over root; layer, group norm: input, mean, root
softmax             its output
real transform      its padded input; the inverse: nothing
gather              its input
=================== ================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from registry.errors import CostUnknown
from registry.schema import Component
from registry.shapes import Shape, joined
from registry.tape import Record, Tape

KEPT: Mapping[str, str] = {
    **dict.fromkeys(("abs", "clamp", "clamp_min", "cos", "gelu", "gelu_tanh"), "input"),
    **dict.fromkeys(("silu", "sin", "sinh", "softplus", "square"), "input"),
    **dict.fromkeys(("exp", "expm1", "reciprocal", "relu", "rsqrt", "sigmoid", "tanh"), "output"),
    **dict.fromkeys(("neg", "scale", "shift"), ""),
}
"""Function of `tape.POINTWISE` -> what its gradient is computed from."""


BYTES = ("saved", "moved")
"""What a memory tape counts."""
SINGLE = 4
"""Bytes of a float32, in which statistics, coordinates and transforms are computed where activations are shorter."""


class Storage:
    """Memory that one tensor, or several views of it, are in.

    Attributes:
        bytes: Its size.
        kept: Whether its bytes are counted already, or need not be.
    """

    __slots__ = ("bytes", "kept")

    def __init__(self, size: int, *, kept: bool = False) -> None:
        """Memory of `size` bytes."""
        self.bytes = size
        self.kept = kept


class Held(Shape):
    """The shape of a tensor in a known storage. Views, and what is sliced or reshaped, stay in that storage.

    Attributes:
        storage: Where it is.
        width: Bytes per element.
        needs_grad: Whether the backward pass computes its gradient.
        in_order: Whether its elements lie in memory in the order of its axes.
        gaps: Whether what belongs to one sample may not touch what belongs to the next.
    """

    storage: Storage
    width: int
    needs_grad: bool  # type: ignore[misc]
    in_order: bool = True
    gaps: bool = False

    @classmethod
    def new(cls, extents: Sequence[int], width: int, needs_grad: bool, storage: Storage | None = None) -> Held:
        """A tensor in a storage of its own, or in one that is there."""
        held = cls(extents)
        held.width, held.needs_grad = width, needs_grad
        held.storage = storage or Storage(prod(extents) * width)
        return held

    def view(self, *extents: int) -> Held:
        """The same storage under another shape."""
        held = Held(extents)
        held.__dict__.update(self.__dict__)
        return held

    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return self.view(*item) if type(item) is tuple else item

    def __add__(self, other: tuple[int, ...]) -> Held:  # type: ignore[override]
        return self.view(*self, *other)


class MemoryTape(Tape):
    """Records the bytes of one forward pass with gradients.

    Attributes:
        width: Bytes of one number of parameters and activations.
    """

    def __init__(self, width: int = 4) -> None:
        """An empty tape for numbers of `width` bytes."""
        super().__init__()
        self.width = width

    # ---- running components -----------------------------------------------------------------------------------

    def feed(self, value: Any, *, needs_grad: bool) -> Any:
        """Arguments of a pass, every tensor of them in a storage of its own."""
        if isinstance(value, Shape):
            return Held.new(value, self.width, needs_grad)
        if isinstance(value, dict):
            return {key: self.feed(item, needs_grad=needs_grad) for key, item in value.items()}
        return tuple(self.feed(item, needs_grad=needs_grad) for item in value) if isinstance(value, tuple) else value

    def _call(self, config: Component, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Record:
        """Every call has tensors of its own, so none is shared; but see `replay`."""
        return self._execute(config, args, kwargs)

    def add(self, kind: str, count: int) -> None:
        """Refuse a bare number: what it keeps is not known.

        Raises:
            CostUnknown: always; names the component now running.
        """
        name = self._open[-1].config.entry.name
        raise CostUnknown(f"Expected every component to say what it keeps for its backward pass, got none for {name}")

    # ---- bytes ------------------------------------------------------------------------------------------------

    def keep(self, *tensors: Shape) -> None:
        """Autograd keeps these tensors."""
        for x in tensors:
            if x.needs_grad and not isinstance(x, Held):
                continue  # a parameter
            storage = self._held(x).storage
            if not storage.kept:
                storage.kept = True
                self._count("saved", storage.bytes)

    def _held(self, x: Shape) -> Held:
        """`x` itself; what a component has written down is a parameter, or a constant in a storage of its own."""
        if isinstance(x, Held):
            return x
        width = self._width(x)
        return Held.new(x, width, x.needs_grad, Storage(prod(x) * width, kept=x.needs_grad))

    def _width(self, x: Shape) -> int:
        """Bytes per element."""
        if isinstance(x, Held):
            return x.width
        return self.width if x.needs_grad else max(self.width, SINGLE)

    def _new(self, extents: Sequence[int], *sources: Shape, width: int = 0, needs_grad: bool | None = None) -> Held:
        """The result of an operation on `sources`, which are read."""
        read, widest, grad = 0, 0, False
        for x in sources:
            own = self._width(x)
            read += prod(x) * own
            widest = max(widest, own)
            grad = grad or x.needs_grad
        output = Held.new(extents, width or widest or self.width, grad if needs_grad is None else needs_grad)
        self._count("moved", read + output.storage.bytes)
        return output

    def _like(self, extents: Sequence[int], *sources: Shape) -> Held:
        """The result of an elementwise operation, which lies in memory as the first source of its size."""
        output = self._new(extents, *sources)
        size = prod(extents)
        output.in_order = next((self._in_order(x) for x in sources if prod(x) == size), True)
        return output

    @staticmethod
    def _in_order(x: Shape) -> bool:
        return not isinstance(x, Held) or x.in_order

    # ---- products: every primitive returns its output ----------------------------------------------------------

    def matmul(self, left: Shape, right: Shape) -> Shape:
        """Each factor is kept for the other."""
        return self._product((*left[:-1], right[-1]), left, right)

    def _product(self, extents: Sequence[int], left: Shape, right: Shape) -> Shape:
        self.keep(*[factor for factor, other in ((left, right), (right, left)) if other.needs_grad])
        return self._like(extents, left, right)

    def linear(self, x: Shape, out_features: int, *, bias: bool) -> Shape:
        """The input is kept for the weight, which is a parameter; positions with gaps between them are copied first."""
        gaps = isinstance(x, Held) and x.gaps and len(x) > 2 and x[1] > 1
        x = self._new(x, x) if gaps else x
        self.keep(x)
        weight = Shape((out_features, x[-1] + bias))
        return self._new((*x[:-1], out_features), x, weight)

    def conv(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """The input is kept for the weight."""
        self.keep(x)
        weight = Shape((output[1], x[1] // groups * prod(kernel) + bias))
        result = self._new(output, x, weight)
        # Channels stay last in images and volumes, but not in a single ungrouped volume.
        volume = len(kernel) == 3 and groups == 1 and x[0] == 1
        result.in_order = self._in_order(x) or len(kernel) == 1 or volume
        return result

    def conv_transpose(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """The input is kept for the weight."""
        self.keep(x)
        weight = Shape((output[1], x[1] // groups * prod(kernel) + bias))
        return self._new(output, x, weight)

    def attention(self, query: Shape, key: Shape, value: Shape) -> Shape:
        """The fused kernel keeps its inputs and its output, and the logarithm of the sum of every row."""
        output = self._like(query, query, key, value)
        if output.needs_grad:
            sums = self._new(query[:-1], width=max(self.width, SINGLE), needs_grad=False)
            self.keep(query, key, value, output, sums)
        return output

    # ---- functions of single numbers, and of pairs --------------------------------------------------------------

    def pointwise(self, function: str, x: Shape) -> Shape:
        """Input or output, by function."""
        output = self._like(x, x)
        if x.needs_grad and KEPT[function]:
            self.keep(x if KEPT[function] == "input" else output)
        return output

    def function(
        self, count: int, forward: Mapping[str, int], backward: Mapping[str, int], *, kept: bool = False
    ) -> None:
        """Refuse a function that does not say what it keeps, as a bare number is refused."""
        if not kept:
            self.add("elementwise", count)

    def multiply(self, left: Shape, right: Shape) -> Shape:
        """Each factor is kept for the other."""
        return self._product(joined(left, right), left, right)

    def divide(self, left: Shape, right: Shape) -> Shape:
        """The denominator is kept, and the numerator for its gradient."""
        if left.needs_grad or right.needs_grad:
            self.keep(right)
        if right.needs_grad:
            self.keep(left)
        return self._like(joined(left, right), left, right)

    def plus(self, left: Shape, right: Shape) -> Shape:
        """Nothing is kept."""
        return self._like(joined(left, right), left, right)

    def complex_multiply(self, left: Shape, right: Shape) -> Shape:
        """Each factor is kept for the other."""
        return self._product(joined(left, right), left, right)

    def rotate(self, x: Shape) -> Shape:
        """Only the tables are kept, which are buffers."""
        return self._like(x, x, x)

    def gather(self, x: Shape, output: Shape) -> Shape:
        """The input is kept."""
        if x.needs_grad:
            self.keep(x)
        return self.pad(x, output)

    def pad(self, x: Shape, output: Shape) -> Shape:
        """Nothing is kept. Channels stay last in images and volumes, but not in sequences."""
        padded = self._new(output, x)
        padded.in_order = self._held(x).in_order or len(output) == 3
        return padded

    def expand(self, x: Shape, output: Shape) -> Shape:
        """The same numbers seen many times."""
        return self._held(x).view(*output)

    def join(self, x: Shape, *more: Shape, output: Shape) -> Shape:
        """Nothing is kept."""
        return self._new(output, x, *more)

    def cast(self, x: Shape, width: int) -> Shape:
        """Nothing is kept."""
        return self._cast(self._held(x), width)

    def reinterpret(self, x: Shape, output: Sequence[int], width: int) -> Shape:
        """The same storage."""
        held = self._held(x)
        view = Held.new(output, width, held.needs_grad, held.storage)
        view.in_order = held.in_order
        return view

    def transpose(self, x: Shape, axes: Sequence[int]) -> Shape:
        """Out of order if axes longer than 1 change places; what was out of order is taken to be put right."""
        held = self._held(x)
        view = held.view(*[x[axis] for axis in axes])
        long = [axis for axis in axes if x[axis] > 1]
        view.in_order = held.in_order == (long == sorted(long))
        return view

    def precise(self, x: Shape) -> Shape:
        """A copy of what is shorter than float32, that of a parameter too."""
        return self._cast(x, max(self._width(x), SINGLE))

    def rounded(self, x: Shape) -> Shape:
        """A copy of what is longer than the activations."""
        return self._cast(x, self.width)

    def _cast(self, x: Shape, width: int) -> Shape:
        if self._width(x) == width:
            return x
        output = self._new(x, x, width=width)
        output.in_order = self._in_order(x)
        return output

    def part(self, x: Shape, *extents: int) -> Shape:
        """In the same storage."""
        view = self._held(x).view(*extents)
        fewer_channels = view[-1] < x[-1] and prod(view) > view[-1]
        view.gaps = view.gaps or fewer_channels or (x[0] > 1 and prod(view) < prod(x))
        return view

    def ordered(self, x: Shape) -> Shape:
        """A copy of what is out of order."""
        held = self._held(x)
        return held if held.in_order else self._new(x, x)

    # ---- reductions and norms -----------------------------------------------------------------------------------

    def mean(self, x: Shape, output: Shape) -> Shape:
        """Nothing is kept."""
        return self._new(output, x)

    def norm(self, x: Shape, output: Shape) -> Shape:
        """Input and norms."""
        norms = self._new(output, x, width=max(self._width(x), SINGLE))
        if x.needs_grad:
            self.keep(x, norms)
        return norms

    def rms_norm(self, x: Shape, rows: int, channels: int) -> Shape:
        """The input, its roots, and the input over them for the factors."""
        roots, normed = self._new((rows,), x), self._new(x, x)
        factors = self.precise(Shape((channels,)))
        self.keep(normed)
        if x.needs_grad:
            self.keep(x, roots, factors)
        return self._new(x, normed, factors)

    def centred_norm(self, x: Shape, rows: int, channels: int, affine: int, *, channels_first: bool = False) -> Shape:
        """The input, its means and roots. A group norm takes images with their channels last, but not sequences."""
        held = self._held(x)
        if channels_first and (held.gaps or not (held.in_order or len(x) > 3)):
            x = held = self._new(x, x)
        means, roots = self._new((rows,), x), self._new((rows,), x)
        if x.needs_grad or affine:
            self.keep(x, means, roots)
        output = self._new(x, x, *[Shape((channels,))] * affine)
        output.in_order = held.in_order or not channels_first
        return output

    def softmax(self, x: Shape) -> Shape:
        """Its output."""
        output = self._new(x, x)
        if x.needs_grad:
            self.keep(output)
        return output

    # ---- transforms -----------------------------------------------------------------------------------------------

    def rfft(self, x: Shape, lengths: Sequence[int]) -> Shape:
        """The padded signal is kept."""
        signals = x[: len(x) - len(lengths)]
        padded = x if x[len(signals) :] == tuple(lengths) else self._new((*signals, *lengths), x)
        if x.needs_grad:
            self.keep(padded)
        half = (*signals, *lengths[:-1], lengths[-1] // 2 + 1)
        return self._new(half, padded, width=2 * self._width(x))

    def irfft(self, spectrum: Shape, lengths: Sequence[int]) -> Shape:
        """Nothing is kept."""
        signals = spectrum[: len(spectrum) - len(lengths)]
        return self._new((*signals, *lengths), spectrum, width=self._width(spectrum) // 2)
