"""Breakdowns: one cost, cut into shares that add up to it: by module, by component or by kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from registry.cost import CONVENTIONS, Cost
from registry.plan import Node
from registry.shapes import Shape

By = Literal["path", "component", "kind"]


@dataclass(frozen=True)
class Share:
    """One part of a cost.

    Attributes:
        name: Path of a module, name of a component, or kind of operation.
        type: Registered name of the component; empty for a kind of operation.
        count: Number of modules.
        flops: Their own operations as the figure of the convention, without those of other shares.
        params: Their own parameters; None for a kind of operation.
        kinds: Their own operations by kind, in FLOPs.
    """

    name: str
    type: str
    count: int
    flops: int
    params: int | None
    kinds: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        figures = {"flops": self.flops, "params": self.params, "kinds": dict(self.kinds)}
        return {"name": self.name, "type": self.type, "count": self.count, **figures}


def breakdown(cost: Cost, by: By, depth: int | None = None) -> list[Share]:
    """Shares of `cost`: FLOPs add up to `cost.flops` and parameters to `cost.params`.

    Args:
        cost: From `registry.cost`.
        by: `path`: every module, the root's path being ""; `component`: modules of one registered name together;
            `kind`: kinds of operation.
        depth: Levels below the root; what is deeper counts as its ancestor's.

    Returns:
        Shares with operations or parameters, in order of appearance.
    """
    if by == "kind":
        kinds = {kind: cost.project({kind: count}) for kind, count in cost.kinds.items()}
        counted = {kind: flops for kind, flops in kinds.items() if kind in CONVENTIONS[cost.convention] and flops}
        return [Share(kind, "", 0, flops, None, {kind: cost.kinds[kind]}) for kind, flops in counted.items()]
    name: Callable[[Node], str] = (lambda node: node.path) if by == "path" else (lambda node: node.type)
    return [share for share in _by_module(cost, name, depth) if share.flops or share.params]


def _by_module(cost: Cost, name: Callable[[Node], str], depth: int | None) -> list[Share]:
    shares: dict[str, Share] = {}
    level = {"": 0}
    for node in cost.root.walk():
        for child in node.children:
            level[child.path] = level[node.path] + 1
        if depth is not None and level[node.path] > depth:
            continue
        whole = depth is not None and level[node.path] == depth
        kinds, params = (node.counts, node.params) if whole else _own(node)
        share = shares.get(name(node), Share(name(node), node.type, 0, 0, 0, {}))
        shares[name(node)] = Share(
            share.name,
            share.type,
            share.count + 1,
            share.flops,
            (share.params or 0) + params,
            {kind: share.kinds.get(kind, 0) + kinds.get(kind, 0) for kind in {**share.kinds, **kinds}},
        )
    # Projected last: a multiply-add is half of two FLOPs that two modules may have one each of.
    return [
        Share(share.name, share.type, share.count, cost.project(share.kinds), share.params, share.kinds)
        for share in shares.values()
    ]


def _own(node: Node) -> tuple[dict[str, int], int]:
    """Operations by kind and parameters of a module without its parts."""
    kinds: dict[str, int] = {}
    for record in node.records:
        for kind, count in record.counts.items():
            kinds[kind] = kinds.get(kind, 0) + count
    return kinds, sum(Shape(shape).size for shape in node.config.parameters().values())
