"""The tree of a plan as rows for people: equal siblings of a list are one row, `blocks.{0,2,…,10} x6`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from registry.plan import Node

_ITEM = re.compile(r"(.+)\.(\d+)")


@dataclass(frozen=True)
class Row:
    """One line of a tree.

    Attributes:
        guide: The lines that lead to it, such as `│  ├─ `.
        name: Its name below its parent; empty for the root.
        count: Number of equal siblings it stands for.
        times: Number of modules it stands for: `count`, times those of the rows above it.
        node: The first of them.
    """

    guide: str
    name: str
    count: int
    times: int
    node: Node


@dataclass(frozen=True)
class _Branch:
    """A node whose equals are known by `signature`."""

    name: str
    node: Node
    signature: int
    children: tuple[_Branch, ...]


def rows(root: Node, depth: int | None = None, keep: Callable[[Node], bool] = lambda node: True) -> list[Row]:
    """The rows of a tree, the root first.

    Args:
        root: Where to start.
        depth: Levels below the root, None for all.
        keep: Which nodes to show; what is below one that is not shown is not shown either.
    """
    return list(_rows(_grow(root, "", keep, {}), "", "", 1, 1, depth))


def _grow(node: Node, name: str, keep: Callable[[Node], bool], seen: dict[Any, int]) -> _Branch:
    start = len(node.path) + 1 if node.path else 0
    children = tuple(_grow(child, child.path[start:], keep, seen) for child in node.children if keep(child))
    looks = (node.type, node.params, tuple(node.counts.items()), node.input_shape, node.output_shape)
    key = (looks, tuple((child.name, child.signature) for child in children))
    return _Branch(name, node, seen.setdefault(key, len(seen)), children)


def _rows(branch: _Branch, lead: str, guide: str, count: int, times: int, depth: int | None) -> Iterator[Row]:
    yield Row(guide, branch.name, count, times, branch.node)
    if depth == 0:
        return
    below = None if depth is None else depth - 1
    groups = _fold(branch.children)
    for index, (name, group) in enumerate(groups):
        last = index == len(groups) - 1
        child = _Branch(name, group[0].node, group[0].signature, group[0].children)
        yield from _rows(
            child,
            lead + ("   " if last else "│  "),
            lead + ("└─ " if last else "├─ "),
            len(group),
            times * len(group),
            below,
        )


def _fold(branches: Sequence[_Branch]) -> list[tuple[str, list[_Branch]]]:
    """Equal items of one list together, in order of the first of them, each group with its name."""
    groups: dict[Any, list[_Branch]] = {}
    for branch in branches:
        item = _ITEM.fullmatch(branch.name)
        groups.setdefault((item[1], branch.signature) if item else branch.name, []).append(branch)
    return [(_name([branch.name for branch in group]), group) for group in groups.values()]


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
