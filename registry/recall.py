"""What checks recall: of trees that share parts, an equal part under equal facts is checked once.

A sweep checks one document again and again with a few values changed. Most parts are the same objects every time, and
many facts that reach them have the same values. A part in which nothing at all was found, not even a warning, is then
the component it was before. Where anything was found the part is looked at anew: no problem is ever recalled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

from registry.reader import Path
from registry.rules import Rule
from registry.schema import Component, Follows, Slot, fields_of

if TYPE_CHECKING:
    from registry.check import Scope

ROOM = 128
"""Results remembered of one part, and how often in a row they may be of no use before the part is given up."""
_NOTHING = object()

Visited = tuple[Path, type[Component]]
"""Path and schema of a node."""


@dataclass
class Part:
    """A part of a tree, as it was written.

    Attributes:
        raw: The very object; kept, so that no other one can take its identity.
        kinds: Kinds that fitted in its place.
        nodes: What it is made of; empty until nothing was found in it.
    """

    raw: Any
    kinds: tuple[str, ...]
    nodes: Sequence[Visited] = ()
    _reads: tuple[str, ...] | None = None
    _known: dict[Any, Component] = field(default_factory=dict)
    _misses: int = 0

    def find(self, scope: Scope) -> Component | None:
        """What it came to when all it depends on was the same, or None."""
        if not self._known or self._misses > ROOM:
            return None
        found = self._known.get(self._key(scope))
        self._misses = self._misses + 1 if found is None else 0
        return found

    def keep(self, scope: Scope, component: Component, nodes: Sequence[Visited]) -> None:
        """Remember what it came to, nothing being wrong with it; from the second time on, as much is met only once."""
        if not self.nodes:
            self.nodes = nodes
        elif self._misses <= ROOM:
            if self._reads is None:
                self._reads = tuple(_reads({schema for _, schema in nodes}))
            if len(self._known) >= ROOM:
                self._known.clear()
            self._known[self._key(scope)] = component

    def _key(self, scope: Scope) -> Any:
        """All that the result depends on, types included: 1 and True are equal, and not the same."""
        reads = self._reads or ()
        values = tuple(map(scope.facts.get, reads, repeat(_NOTHING)))
        lost = tuple(name for name in reads if name in scope.lost) if scope.lost else ()
        key = values, tuple(map(type, values)), lost, scope.unused
        try:
            hash(key)
        except TypeError:  # a fact that cannot be compared: equal to nothing
            return object()
        return key


class Recall:
    """What checks of trees that share parts have in common. The trees must not be changed in place."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._parts: dict[Path, Part] = {}

    def part(self, raw: Any, path: Path, kinds: tuple[str, ...]) -> Part:
        """What is known of `raw`, at `path`."""
        part = self._parts.get(path)
        if part is None or part.raw is not raw or part.kinds != kinds:
            part = self._parts[path] = Part(raw, kinds)
        return part


def _reads(schemas: Iterable[type[Component]]) -> set[str]:
    """Facts that components of these schemas may depend on."""
    found: set[str] = set()
    for schema in schemas:
        fields = fields_of(schema)
        readers: tuple[Rule | Follows | Slot, ...]
        readers = (*schema.rules, *fields.follows.values(), *fields.slots.values())
        found.update(*(reader.reads for reader in readers))
    return found
