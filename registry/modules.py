"""Modules of a network: components with their calls, each at its path. Equal blocks have all but the path in common.

What a component and its parts add up to, such as parameters, is found once and remembered on the frozen config.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from math import prod
from typing import Any, TypeVar

from registry.schema import Component
from registry.shapes import Shape
from registry.tape import Record

NOT_MODULES = frozenset({"initializer"})
"""Kinds whose parts are called while building and leave no module behind."""

_T = TypeVar("_T")


class _Called:
    """A component and its calls in one pass; none where the input is unknown or it is not used."""

    __slots__ = ()
    config: Component
    records: tuple[Record, ...]

    @property
    def type(self) -> str:
        """Registered name."""
        return self.config.entry.name

    @property
    def kind(self) -> str:
        """Registered kind."""
        return self.config.entry.kind

    @property
    def params(self) -> int:
        """Number of parameters, parts included."""
        return count_params(self.config)

    @property
    def input_shape(self) -> Any:
        """Shape of the first tensor it takes, or None where unknown."""
        return next((_first_shape(record.inputs[0]) for record in self.records), None)

    @property
    def output_shape(self) -> Any:
        """Shape of the (first) tensor it returns, or None where unknown."""
        return next((_first_shape((record.output,)) for record in self.records), None)


class Module(_Called):
    """What equal modules of a network have in common.

    Attributes:
        config: The component.
        records: Its calls in one pass.
    """

    __slots__ = ("_counts", "_parts", "config", "records")

    def __init__(self, config: Component, records: tuple[Record, ...]) -> None:
        """Calls of `config`."""
        self.config = config
        self.records = records
        self._counts: Mapping[str, int] | None = None
        self._parts: Mapping[str, Module] | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """Operations by kind, parts included, summed over the calls."""
        if self._counts is None:
            self._counts = self.records[0].total if len(self.records) == 1 else self._sum()
        return self._counts

    def _sum(self) -> Mapping[str, int]:
        total: dict[str, int] = {}
        for record in self.records:
            for kind, count in record.total.items():
                total[kind] = total.get(kind, 0) + count
        return total

    @property
    def parts(self) -> Mapping[str, Module]:
        """The modules directly below by name, in building order. Equal ones are one object."""
        if self._parts is None:
            self._parts = self._find_parts() if self.config.parts else {}
        return self._parts

    def _find_parts(self) -> Mapping[str, Module]:
        calls: dict[str, tuple[Record, ...]] = {}
        for record in self.records:
            for name, call in record.calls:
                calls[name] = (*calls.get(name, ()), call)
        made: dict[Any, Module] = {}
        parts: dict[str, Module] = {}
        for name, config in self.config.parts.items():
            if config.entry.kind not in NOT_MODULES:
                records = calls.get(name, ())
                key = (id(config), records)
                parts[name] = made.get(key) or made.setdefault(key, Module(config, records))
        return parts


@dataclass(frozen=True)
class Node(_Called):
    """One module of the network.

    Attributes:
        path: Address of the module, and so of its parameters: `blocks.0.mlp`. The root is "".
        config: Its component.
        records: Its calls in one pass; none where the input is unknown or it is not used.
    """

    path: str
    config: Component
    records: tuple[Record, ...]

    @cached_property
    def module(self) -> Module:
        """All but the path."""
        return Module(self.config, self.records)

    @property
    def counts(self) -> Mapping[str, int]:
        """Operations by kind, parts included, summed over the calls."""
        return self.module.counts

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """The modules directly below, in building order."""
        lead = f"{self.path}." if self.path else ""
        return tuple([_at(lead + name, module) for name, module in self.module.parts.items()])

    def walk(self) -> Iterator[Node]:
        """This node and everything below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


def _at(path: str, module: Module) -> Node:
    node = Node(path, module.config, module.records)
    node.__dict__["module"] = module
    return node


def _first_shape(values: Any) -> Shape | None:
    for value in values:
        if isinstance(value, Shape):
            return value
        if isinstance(value, tuple) and value:
            return _first_shape(value)
    return None


# ---- sums over a component and its parts ----------------------------------------------------------------------------


def _summed(own: Callable[[Component], _T]) -> Callable[[Component], _T]:
    """The sum of `own` over a component and its parts, remembered on the frozen config."""
    name = f"_{own.__name__}"

    @wraps(own)
    def total(config: Component) -> _T:
        known = config.__dict__
        if name not in known:
            found: Any = own(config)
            for part in config.parts.values():
                found = found + total(part)
            known[name] = found
        remembered: _T = known[name]
        return remembered

    return total


@_summed
def count_params(config: Component) -> int:
    """Number of parameters of a component, parts included."""
    return sum(map(prod, config.parameters().values()))


@_summed
def count_buffers(config: Component) -> int:
    """Number of elements of the buffers of a component, parts included."""
    return sum(map(prod, config.buffers().values()))


@_summed
def parameter_shapes(config: Component) -> Counter[tuple[int, ...]]:
    """Shape -> how many parameters of a component, parts included, have it."""
    return Counter(config.parameters().values())


def count_states(config: Component) -> int:
    """Numbers, complex ones, that the recurrent state of one sequence has."""
    known = config.__dict__
    if "_count_states" not in known:
        known["_count_states"] = sum(map(prod, config.state().values()))
    count: int = known["_count_states"]
    return count
