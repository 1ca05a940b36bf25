"""Differences: what two plans say differently, and what that does to their parameters, operations and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from typing_extensions import Unpack

from registry.cost import Counting, cost
from registry.plan import Plan


@dataclass(frozen=True)
class Change:
    """One value that is not the same in both.

    Attributes:
        path: Where, relative to the network: what `--set` takes.
        change: `changed`, or `added` or `removed` for what only the right or only the left one has.
        left: The value in the left one, plain data; None where it has none.
        right: The value in the right one.
    """

    path: str
    change: Literal["changed", "added", "removed"]
    left: Any
    right: Any

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"path": self.path, "change": self.change, "left": self.left, "right": self.right}


@dataclass(frozen=True)
class Figure:
    """One number of both sides.

    Attributes:
        left: Of the left one.
        right: Of the right one.
    """

    left: int
    right: int

    @property
    def difference(self) -> int:
        """How much more the right one has."""
        return self.right - self.left

    @property
    def ratio(self) -> float | None:
        """Right over left, None over nothing."""
        return self.right / self.left if self.left else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"left": self.left, "right": self.right, "difference": self.difference, "ratio": self.ratio}


@dataclass(frozen=True)
class Difference:
    """Everything that differs between two plans.

    Attributes:
        changes: Of the resolved configs, in the order of the left one.
        params: Numbers of parameters.
        flops: The figure of the convention.
        kinds: Operations by kind, in FLOPs; every kind that one of them has.
        memory: Bytes, as of `Cost.memory`.
    """

    changes: tuple[Change, ...]
    params: Figure
    flops: Figure
    kinds: Mapping[str, Figure]
    memory: Mapping[str, Figure]

    def to_dict(self) -> dict[str, Any]:
        """As plain data: the JSON of `arch diff`."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "params": self.params.to_dict(),
            "flops": self.flops.to_dict(),
            "kinds": {kind: figure.to_dict() for kind, figure in self.kinds.items()},
            "memory": {name: figure.to_dict() for name, figure in self.memory.items()},
        }


def diff(left: Plan, right: Plan, **counting: Unpack[Counting]) -> Difference:
    """Compare two plans.

    Args:
        left: From `registry.load`.
        right: From `registry.load`.
        counting: Arguments of `cost`.

    Raises:
        CostUnknown: one of them cannot be costed, such as one without input.
        ValueError: an argument `cost` refuses.
    """
    one, other = cost(left, **counting), cost(right, **counting)
    return Difference(
        tuple(changes(left.root.to_dict(), right.root.to_dict())),
        Figure(one.params, other.params),
        Figure(one.flops, other.flops),
        _figures(one.kinds, other.kinds),
        _figures(one.memory, other.memory),
    )


def _figures(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, Figure]:
    return {name: Figure(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}


_NOTHING = object()


def changes(left: Any, right: Any, path: str = "") -> Iterator[Change]:
    """Every value that differs between two configs in plain data.

    Components of different types are one change: their fields have nothing to do with each other.
    """
    if left is _NOTHING:
        yield Change(path, "added", None, right)
    elif right is _NOTHING:
        yield Change(path, "removed", left, None)
    elif isinstance(left, dict) and isinstance(right, dict) and left.get("type") == right.get("type"):
        for key in {**left, **right}:
            below = f"{path}.{key}" if path else str(key)
            yield from changes(left.get(key, _NOTHING), right.get(key, _NOTHING), below)
    elif left != right:
        yield Change(path, "changed", left, right)
