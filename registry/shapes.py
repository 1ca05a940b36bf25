"""Shapes as plain integers: what flows through the torch-free forward passes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

_ITEM = tuple.__getitem__


class Batch(int):
    """The batch extent: an integer in arithmetic, `"B"` when printed."""


class Shape(tuple[int, ...]):
    """The shape of one tensor. `a + b` joins, `shape.size` multiplies, slices stay shapes.

    Attributes:
        needs_grad: Whether the backward pass computes the gradient of the tensor; see `Constant`.
    """

    __slots__ = ()
    needs_grad: ClassVar[bool] = True

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self)

    def __add__(self, other: tuple[int, ...]) -> Shape:  # type: ignore[override]
        return type(self)((*self, *other))

    def view(self, *extents: int) -> Shape:
        """The same tensor, or one made of it alone, in another shape."""
        return type(self)(extents)

    def __getitem__(self, index: Any) -> Any:
        item = _ITEM(self, index)
        return type(self)(item) if type(item) is tuple else item

    @property
    def labels(self) -> list[int | str]:
        """For people and JSON: the batch axis is the string `"B"`."""
        return ["B" if isinstance(extent, Batch) else int(extent) for extent in self]


class Constant(Shape):
    """The shape of a tensor without a gradient, such as an image or the coordinates of a kernel.

    It equals the `Shape` of the same extents; only the backward pass tells them apart.
    """

    __slots__ = ()
    needs_grad: ClassVar[bool] = False


def joined(left: Shape, right: Shape) -> Shape:
    """What an elementwise operation makes of two tensors that broadcast, aligned at their last axes."""
    kind = Shape if left.needs_grad or right.needs_grad else Constant
    if len(left) < len(right):
        left, right = right, left
    more = len(left) - len(right)
    if (left[more:] if more else left) != right:
        return kind((*left[:more], *map(max, left[more:], right)))
    return left if type(left) is kind else kind(left)


def shape(*extents: int) -> Shape:
    """`Shape((a, b, c))`, shorter."""
    return Shape(extents)
