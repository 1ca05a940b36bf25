"""Shapes as plain integers: what flows through the torch-free forward passes."""

from __future__ import annotations

import math
from typing import Any


class Batch(int):
    """The batch extent: an integer in arithmetic, `"B"` when printed."""


class Shape(tuple[int, ...]):
    """The shape of one tensor. `a + b` joins, `shape.size` multiplies, slices stay shapes."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self)

    def __add__(self, other: tuple[int, ...]) -> Shape:  # type: ignore[override]
        return Shape((*self, *other))

    def __getitem__(self, index: Any) -> Any:
        item = super().__getitem__(index)
        return Shape(item) if isinstance(item, tuple) else item

    @property
    def labels(self) -> list[int | str]:
        """For people and JSON: the batch axis is the string `"B"`."""
        return ["B" if isinstance(extent, Batch) else int(extent) for extent in self]


def shape(*extents: int) -> Shape:
    """`Shape((a, b, c))`, shorter."""
    return Shape(extents)
