"""The tree of a plan as rows for people: equal siblings of a list are one row, `blocks.{0,2,…,10} x6`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from registry.folding import Keep, folds
from registry.modules import Module, Node


@dataclass(frozen=True)
class Row:
    """One line of a tree.

    Attributes:
        guide: The lines that lead to it, such as `│  ├─ `.
        name: Its name below its parent; empty for the root.
        count: Number of equal siblings it stands for.
        times: Number of modules it stands for: `count`, times those of the rows above it.
        node: The first of them, but for its path.
    """

    guide: str
    name: str
    count: int
    times: int
    node: Module


def rows(root: Node, depth: int | None = None, keep: Keep | None = None) -> list[Row]:
    """The rows of a tree, the root first.

    Args:
        root: Where to start.
        depth: Levels below the root, None for all.
        keep: Which modules to show; what is below one that is not shown is not shown either.
    """
    return list(_rows(Row("", "", 1, 1, root.module), "", depth, keep))


def _rows(row: Row, lead: str, depth: int | None, keep: Keep | None) -> Iterator[Row]:
    yield row
    if depth == 0:
        return
    below = None if depth is None else depth - 1
    groups = folds(row.node, keep)
    for names, module in groups:
        guide, stem = ("└─ ", "   ") if names is groups[-1].names else ("├─ ", "│  ")
        child = Row(lead + guide, _name(names), len(names), row.times * len(names), module)
        yield from _rows(child, lead + stem, below, keep)


def _name(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    stem = names[0].rpartition(".")[0]
    return f"{stem}.{spans([int(name.rpartition('.')[2]) for name in names])}"


def spans(indices: Sequence[int]) -> str:
    """Ascending indices in few characters: `0-11`, `{0,2,…,10}`, `{0,3}`."""
    steps = {b - a for a, b in pairwise(indices)}
    if not steps:
        return str(indices[0])
    if steps == {1}:
        return f"{indices[0]}-{indices[-1]}"
    if len(indices) <= 4:
        return "{" + ",".join(map(str, indices)) + "}"
    head = indices[:2] if len(steps) == 1 else indices[:3]
    return "{" + ",".join(map(str, head)) + f",…,{indices[-1]}" + "}"
