"""Memory passes that run equal calls once: a network of twelve equal blocks runs one of them, and repeats its effects.

Tensors of a `MemoryTape` have a storage each, so that no call is quite like another. But all that a call depends on are
its arguments, their storages counted as they appear; and all that it leaves behind are its record, which of these
storages are kept, and its outputs, in these storages or in new ones. Where component and arguments are the same, so
are the effects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from registry.memory import Held, MemoryTape, Storage
from registry.shapes import Shape
from registry.tape import Record


class _Effects(NamedTuple):
    """What a call did.

    Attributes:
        record: Its record.
        before: The storages of its arguments.
        after: Whether each of them was kept then.
        made: The storages of its outputs that are new, and whether each was kept.
    """

    record: Record
    before: Sequence[Storage]
    after: Sequence[bool]
    made: Mapping[Storage, bool]


class ReplayTape(MemoryTape):
    """A memory tape on which calls in the same situation share their record."""

    def __init__(self, width: int = 4) -> None:
        """An empty tape for numbers of `width` bytes."""
        super().__init__(width)
        self._known: dict[Any, _Effects] = {}

    def run(self, part: str, *args: Any, **kwargs: Any) -> Any:
        """Call the part of this name of the component now running; returns its output shapes, in new storages."""
        owner = self._open[-1]
        config = owner.config.parts[part]
        met: dict[Storage, int] = {}
        key = (id(config), *[_situation(x, met) for x in args], *[(k, _situation(x, met)) for k, x in kwargs.items()])
        storages = tuple(met)
        effects = self._known.get(key)
        if effects is None:
            record = self._call(config, args, kwargs)
            made = {storage: storage.kept for storage in _storages(record.output) if storage not in met}
            self._known[key] = _Effects(record, storages, [storage.kept for storage in storages], made)
            output = record.output
        else:
            record, output = effects.record, _repeat(effects, storages)
        owner.calls.append((part, record))
        return output


def _situation(value: Any, met: dict[Storage, int]) -> Any:
    """All that a call can tell of an argument; `met` numbers the storages."""
    if isinstance(value, Held):
        storage = value.storage
        number = met.setdefault(storage, len(met))
        size = None if storage.kept else storage.bytes  # what is kept already is not counted again
        return value, value.width, value.needs_grad, value.in_order, value.gaps, number, size
    if isinstance(value, Shape):
        return value, value.needs_grad
    return tuple([_situation(item, met) for item in value]) if isinstance(value, tuple) else value


def _storages(value: Any) -> list[Storage]:
    """Those of all tensors of an output."""
    if isinstance(value, Held):
        return [value.storage]
    if isinstance(value, tuple) and not isinstance(value, Shape):
        return [storage for item in value for storage in _storages(item)]
    return []


def _repeat(effects: _Effects, storages: Sequence[Storage]) -> Any:
    """Keep what was kept, and return the output in the storages of other arguments, or in new ones."""
    twins = {storage: Storage(storage.bytes, kept=kept) for storage, kept in effects.made.items()}
    for old, new, kept in zip(effects.before, storages, effects.after, strict=True):
        new.kept = kept
        twins[old] = new
    return _moved(effects.record.output, twins)


def _moved(value: Any, twins: Mapping[Storage, Storage]) -> Any:
    """The same tensors in other storages."""
    if isinstance(value, Held):
        twin = value.view(*value)
        twin.storage = twins[value.storage]
        return twin
    if isinstance(value, tuple) and not isinstance(value, Shape):
        return tuple([_moved(item, twins) for item in value])
    return value
