"""Breakdowns: one cost, cut into shares that add up to it: by module, by component or by kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from registry.cost import CONVENTIONS, Cost
from registry.modules import Module, Node

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
    sums: dict[str, _Sum] = {}
    own: dict[Module, tuple[dict[str, int], int]] = {}  # equal modules have equal shares
    pending = [(cost.root, depth)]
    while pending:
        node, below = pending.pop()
        if below is not None and below <= 0:
            kinds, params = node.counts, node.params
        else:
            if node.module not in own:
                own[node.module] = _own(node.module)
            kinds, params = own[node.module]
            pending += [(child, None if below is None else below - 1) for child in reversed(node.children)]
        sums.setdefault(name(node), _Sum(node.type)).add(kinds, params)
    # Projected last: a multiply-add is half of two FLOPs that two modules may have one each of.
    return [Share(key, x.type, x.count, cost.project(x.kinds), x.params, x.kinds) for key, x in sums.items()]


@dataclass
class _Sum:
    """A share that is being added up."""

    type: str
    count: int = 0
    params: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, kinds: Mapping[str, int], params: int) -> None:
        """One more module."""
        self.count += 1
        self.params += params
        for kind, count in kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count


def _own(module: Module) -> tuple[dict[str, int], int]:
    """Operations by kind and parameters of a module without its parts."""
    kinds: dict[str, int] = {}
    for record in module.records:
        for kind, count in record.counts.items():
            kinds[kind] = kinds.get(kind, 0) + count
    return kinds, sum(map(prod, module.config.parameters().values()))
