"""Folding: equal items of a list, such as the blocks of a network, as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from registry.modules import Module

Keep = Callable[[Module], bool]


class Fold(NamedTuple):
    """Equal siblings.

    Attributes:
        names: Their names below their parent, such as `blocks.0` and `blocks.2`; one, if it is no item of a list.
        module: The first of them.
    """

    names: list[str]
    module: Module


def folds(module: Module, keep: Keep | None = None) -> list[Fold]:
    """The modules directly below `module`, equal items of a list together, in order of the first of them.

    Args:
        module: Where they are.
        keep: Which modules count; what is below one that does not count does not count either.
    """
    found: list[Fold] = []
    lists: dict[str, list[Fold]] = {}
    for name, part in module.parts.items():
        if keep is not None and not keep(part):
            continue
        stem, _, index = name.rpartition(".")
        items = lists.setdefault(stem, []) if stem and index.isdecimal() else []
        for fold in items:
            if alike(fold.module, part, keep):
                fold.names.append(name)
                break
        else:
            items.append(Fold([name], part))
            found.append(items[-1])
    return found


def alike(one: Module, other: Module, keep: Keep | None = None) -> bool:
    """Whether two modules are of one type, shape and cost, and so are their parts."""
    if one is other:
        return True
    if one.counts != other.counts or one.type != other.type or one.params != other.params:
        return False
    if one.input_shape != other.input_shape or one.output_shape != other.output_shape:
        return False
    parts, others = _kept(one, keep), _kept(other, keep)
    return parts.keys() == others.keys() and all(alike(part, others[name], keep) for name, part in parts.items())


def _kept(module: Module, keep: Keep | None) -> dict[str, Module]:
    return {name: part for name, part in module.parts.items() if keep is None or keep(part)}
