"""The backward tape: what the gradients of a forward pass cost, read off the same rules as the forward pass.

A component's `forward(self, tape, *shapes)` run on a `BackwardTape` records the operations of its backward pass. The
gradients of all outputs arrive; parameters are trainable; a tensor has a gradient unless its shape is a `Constant`, and
so has everything made of such a tensor or of a parameter. A forward that counts bare numbers instead of naming its
operations has no backward pass: asking for it is an error, never zero.

Dropout and drop path are inactive, as in evaluation, and nothing is recomputed: these are the operations that the
gradient needs, not those that checkpointing repeats. The rules are the derivatives as torch writes them down:

=================== ================================================================================================
operation           count
=================== ================================================================================================
product, linear     matmul of the forward pass once per factor that has a gradient; bias: reduction rows out - out
convolution         conv once for the input, once for the weight; bias: reduction outputs - C_out
attention           four products of 2BHTS d; softmax 4n - r; the scale BHTS
pointwise           see `DERIVATIVES`
broadcast           every axis that was repeated is summed: reduction n - m; gather: reduction n
multiply            elementwise n per factor; divide: n for the numerator, 4n for the denominator
mean, 2-norm        elementwise n; elementwise 2n + r
rms norm            elementwise 7n + 4r, reduction n - r; factors: elementwise n, reduction n - D
layer, group norm   elementwise 8n + 2r (7n + 2r without a scale), reduction 2n - 2r; scale: elementwise n and
                    reduction n - D, shift: reduction n - D
real transform      itself; the inverse also doubles the frequencies that stand for two: complex 2 each
complex product     complex 6n per factor
tensor used k times its gradients are added: elementwise (k - 1) n
=================== ================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from registry.errors import CostUnknown
from registry.schema import Component
from registry.shapes import Constant, Shape, joined
from registry.tape import Tape

DERIVATIVES: Mapping[str, tuple[int, int]] = {
    "abs": (2, 0),
    "clamp": (2, 0),
    "clamp_min": (1, 0),
    "cos": (2, 1),
    "exp": (1, 0),
    "expm1": (2, 0),
    "gelu": (9, 2),
    "gelu_tanh": (17, 1),
    "neg": (1, 0),
    "reciprocal": (3, 0),
    "relu": (1, 0),
    "rsqrt": (4, 0),
    "scale": (1, 0),
    "shift": (0, 0),
    "sigmoid": (3, 0),
    "silu": (5, 1),
    "sin": (1, 1),
    "sinh": (1, 1),
    "softplus": (1, 1),
    "square": (2, 0),
    "tanh": (3, 0),
}
"""Function of `tape.POINTWISE` -> elementwise and transcendental operations per element of the gradient."""


class BackwardTape(Tape):
    """Records one backward pass over the shapes of the forward pass."""

    def __init__(self) -> None:
        """An empty tape."""
        super().__init__()

    def _key(self, config: Component, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Constants equal other shapes, but not for the backward pass."""
        return id(config), args, *kwargs.items(), *map(type, args), *map(type, kwargs.values())

    def run_idle(self, part: str, *args: Any, **kwargs: Any) -> Any:
        """Nothing but the shapes."""
        return Tape().call(self._open[-1].config.parts[part], *args, **kwargs).output

    def add(self, kind: str, count: int) -> None:
        """Refuse a bare number: its derivative is not known.

        Raises:
            CostUnknown: always; names the component now running.
        """
        name = self._open[-1].config.entry.name
        raise CostUnknown(f"Expected every component to have a rule for its backward pass, got none for {name}")

    # ---- products ---------------------------------------------------------------------------------------------

    def matmul(self, left: Shape, right: Shape) -> Shape:
        """The gradients of the factors."""
        self._count("matmul", (left.needs_grad + right.needs_grad) * 2 * prod(left) * right[-1])
        return (left if left.needs_grad else right).view(*left[:-1], right[-1])

    def linear(self, x: Shape, out_features: int, *, bias: bool) -> Shape:
        """The gradients of weight, bias and input."""
        *rows, width = x
        outputs = prod(rows) * out_features
        self._count("matmul", (1 + x.needs_grad) * 2 * outputs * width)
        if bias:
            self._count("reduction", outputs - out_features)
        return Shape((*rows, out_features))

    def conv(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """The gradients of weight, bias and input."""
        outputs = prod(output)
        self._count("conv", (1 + x.needs_grad) * 2 * outputs * (x[1] // groups) * prod(kernel))
        if bias:
            self._count("reduction", outputs - output[1])
        return Shape(output)

    def conv_transpose(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """The gradients of weight, bias and input."""
        self._count("conv", (1 + x.needs_grad) * 2 * prod(x) * (output[1] // groups) * prod(kernel))
        if bias:
            self._count("reduction", prod(output) - output[1])
        return Shape(output)

    def attention(self, query: Shape, key: Shape, value: Shape) -> Shape:
        """The gradients of values and weights, the softmax, its scale, the gradients of queries and keys."""
        rows = prod(query[:-1])
        scores = rows * key[-2]
        through_weights = query.needs_grad or key.needs_grad
        factors = query.needs_grad + key.needs_grad + value.needs_grad + through_weights
        self._count("matmul", factors * 2 * scores * query[-1])
        if through_weights:
            self._count("elementwise", scores)
            self._count("softmax", 4 * scores - rows)
        return Shape(query) if factors else query

    # ---- functions of single numbers, and of pairs ------------------------------------------------------------

    def pointwise(self, function: str, x: Shape) -> Shape:
        """The gradient times the derivative."""
        if x.needs_grad:
            elementwise, transcendental = DERIVATIVES[function]
            size = prod(x)
            self._count("elementwise", elementwise * size)
            self._count("transcendental", transcendental * size)
        return x

    def function(
        self, count: int, forward: Mapping[str, int], backward: Mapping[str, int], *, kept: bool = False
    ) -> None:
        """What the gradient takes."""
        for kind, operations in backward.items():
            self._count(kind, count * operations)

    def multiply(self, left: Shape, right: Shape) -> Shape:
        """The gradient times the other factor."""
        output = joined(left, right)
        for factor in (left, right):
            self._broadcast(factor, output, elementwise=1)
        return output

    def divide(self, left: Shape, right: Shape) -> Shape:
        """G / b for the numerator, - g (a / b / b) for the denominator."""
        output = joined(left, right)
        self._broadcast(left, output, elementwise=1)
        self._broadcast(right, output, elementwise=4)
        return output

    def plus(self, left: Shape, right: Shape) -> Shape:
        """The gradient itself."""
        output = joined(left, right)
        for term in (left, right):
            self._broadcast(term, output)
        return output

    def minus(self, left: Shape, right: Shape) -> Shape:
        """The gradient itself, and its negative."""
        output = joined(left, right)
        self._broadcast(left, output)
        self._broadcast(right, output, elementwise=1)
        return output

    def complex_multiply(self, left: Shape, right: Shape) -> Shape:
        """The gradient times the conjugate of the other factor."""
        output = joined(left, right)
        for factor in (left, right):
            if factor.needs_grad:
                size = prod(output)
                self._count("complex", 6 * size)
                self._count("reduction", 2 * (size - prod(factor)))
        return output

    def rotate(self, x: Shape) -> Shape:
        """The rotation backwards, and the sum of the two uses of `x`."""
        return super().rotate(x) if x.needs_grad else x

    def fan_out(self, x: Shape, uses: int = 2) -> Shape:
        """The sum of the gradients."""
        if x.needs_grad:
            self._count("elementwise", max(uses - 1, 0) * prod(x))
        return x

    def expand(self, x: Shape, output: Shape) -> Shape:
        """The sum over what was repeated."""
        self._broadcast(x, output)
        return x.view(*output)

    def gather(self, x: Shape, output: Shape) -> Shape:
        """Every gradient is added where its element came from."""
        if x.needs_grad:
            self._count("reduction", prod(output))
        return x.view(*output)

    def unused(self, x: Shape) -> Shape:
        """No gradient arrives."""
        return Constant(x)

    def _broadcast(self, x: Shape, output: Shape, elementwise: int = 0) -> None:
        """Some operations per element of `output` give a gradient, which is summed to the shape of `x`."""
        if x.needs_grad:
            size = prod(output)
            self._count("elementwise", elementwise * size)
            self._count("reduction", size - prod(x))

    # ---- reductions and norms ---------------------------------------------------------------------------------

    def mean(self, x: Shape, output: Shape) -> Shape:
        """The gradient over the number of elements."""
        if x.needs_grad:
            self._count("elementwise", prod(x))
        return x.view(*output)

    def norm(self, x: Shape, output: Shape) -> Shape:
        """G x / norm, 0 where the norm is."""
        if x.needs_grad:
            self._count("elementwise", 2 * prod(x) + prod(output))
        return x.view(*output)

    def rms_norm(self, x: Shape, rows: int, channels: int) -> Shape:
        """The derivatives of products, root, mean and square one by one, as torch computes them."""
        size = prod(x)
        if x.needs_grad:
            self._count("elementwise", 7 * size + 4 * rows)
            self._count("reduction", size - rows)
        self._count("elementwise", size)
        self._count("reduction", size - channels)
        return Shape(x)

    def centred_norm(self, x: Shape, rows: int, channels: int, affine: int, *, channels_first: bool = False) -> Shape:
        """With h = (x - mean) rstd: dx = rstd (g w - mean(g w) - h mean(g w h)), dw = sum(g h), db = sum(g)."""
        size = prod(x)
        if x.needs_grad or affine:
            self._count("elementwise", 2 * size)
        if x.needs_grad:
            self._count("elementwise", (5 + (affine > 0)) * size + 2 * rows)
            self._count("reduction", 2 * size - 2 * rows)
        if affine:
            self._count("elementwise", size)
            self._count("reduction", affine * (size - channels))
        return Shape(x) if affine else x

    def softmax(self, x: Shape) -> Shape:
        """Y (g - sum(g y)): 4 n - r."""
        if x.needs_grad:
            self._count("softmax", 4 * prod(x) - prod(x[:-1]))
        return x

    # ---- transforms -------------------------------------------------------------------------------------------

    def rfft(self, x: Shape, lengths: Sequence[int]) -> Shape:
        """The adjoint of a real transform is one of the same size."""
        signals = x[: len(x) - len(lengths)]
        if x.needs_grad:
            self._transform(prod(signals), lengths)
        return x.view(*signals, *lengths[:-1], lengths[-1] // 2 + 1)

    def irfft(self, spectrum: Shape, lengths: Sequence[int]) -> Shape:
        """A real transform, whose inner frequencies are doubled: the half spectrum stands for both halves."""
        if not spectrum.needs_grad:
            return spectrum.view(*spectrum[: len(spectrum) - len(lengths)], *lengths)
        output = super().irfft(spectrum, lengths)
        last = lengths[-1]
        self._count("complex", 2 * (prod(output) // last) * (last - last // 2 - 1))
        return output
