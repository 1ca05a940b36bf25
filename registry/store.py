"""The registry: a namespaced table from names to component schemas, filled by decorators.

Entries are found, not listed: a look-up imports the folder of `components/` that registers the name, a list imports
all of them (see `discover`). Third-party components come from entry points of group `arch.components`; they are
imported only when a name is asked for that we do not have ourselves, or when everything is listed.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from registry import discover, schema
from registry.errors import RegistrationError, UnknownComponent, clip
from registry.names import ALIAS, GRAMMAR, natural, nearest
from registry.schema import Component

_C = TypeVar("_C", bound=Component)


@dataclass(frozen=True)
class Entry:
    """What the registry knows of one component.

    Attributes:
        name: Canonical name.
        aliases: Other names, such as the class names of the reference and of torch.nn.
        kind: What slots it fits.
        schema: Its pydantic config.
        module: `package.module:Class` of the torch module, imported only to build.
    """

    name: str
    aliases: tuple[str, ...]
    kind: str
    schema: type[Component]
    module: str

    @property
    def summary(self) -> str:
        """First line of the schema's docstring."""
        return (inspect.getdoc(self.schema) or "").partition("\n")[0]

    @property
    def source(self) -> str:
        """Python module that registered it."""
        return self.schema.__module__


_lock = threading.RLock()
# Both tables are replaced, never changed, so that a reader in another thread always sees a whole one.
_entries: dict[str, Entry] = {}
_aliases: dict[str, str] = {}


def register(name: str, *, kind: str, module: str, aliases: Sequence[str] = ()) -> Callable[[type[_C]], type[_C]]:
    """Class decorator: register a `Component` schema under `name`.

    Args:
        name: Snake case, at most 64 characters.
        kind: What slots it fits, such as `norm`.
        module: `package.module:Class` of the torch module.
        aliases: Other names it answers to.

    Raises:
        RegistrationError: the name is malformed or taken by another class, the schema is no `Component`, or it has no
            cost rule (no `forward` of its own). Nothing is registered then.
    """

    def decorate(schema: type[_C]) -> type[_C]:
        _add(Entry(name, tuple(aliases), kind, _checked(schema, name), module))
        return schema

    if not isinstance(name, str) or not GRAMMAR.fullmatch(name):
        raise RegistrationError(f"Expected a snake-case name of at most 64 characters, got {clip(name)!r}")
    if not GRAMMAR.fullmatch(kind):
        raise RegistrationError(f"Expected the kind of {name} in snake case, got {clip(kind)!r}")
    if not module.count(":") == 1:
        raise RegistrationError(f"Expected the module of {name} as 'package.module:Class', got {clip(module)!r}")
    for alias in aliases:
        if not ALIAS.fullmatch(alias):
            raise RegistrationError(f"Expected an alias of {name} to be an identifier, got {clip(alias)!r}")
        if [name, *aliases].count(alias) > 1:
            raise RegistrationError(f"Expected the name and aliases of {name} to differ, got {alias!r} twice")
    return decorate


def _checked(schema: type[_C], name: str) -> type[_C]:
    if not (isinstance(schema, type) and issubclass(schema, Component)):
        raise RegistrationError(f"Expected {name} to be a registry.Component, got {clip(schema)}")
    if schema.forward is Component.forward:
        raise RegistrationError(
            f"Expected {name} to have a cost rule, got none: define forward(self, tape, ...) on {schema.__name__}"
        )
    if not schema.__module__.startswith("components."):  # a field that pydantic cannot check is refused here
        schema.model_rebuild(raise_errors=False)
    return schema


def _add(entry: Entry) -> None:
    global _entries, _aliases
    for name in (entry.name, *entry.aliases):  # a name of ours is taken, be its folder imported or not
        discover.component(name)
    with _lock:
        known = _entries.get(entry.name)
        if known is not None and _same(known, entry):
            entry.schema.entry = known
            return
        taken = [n for n in (entry.name, *entry.aliases) if n in _entries or n in _aliases]
        if taken:
            holder = _entries[_aliases.get(taken[0], taken[0])]
            raise RegistrationError(
                f"Expected a free name, got {taken[0]!r}, which is {holder.name} of {holder.source}"
            )
        entry.schema.entry = entry
        _entries = {**_entries, entry.name: entry}
        _aliases = {**_aliases, **dict.fromkeys(entry.aliases, entry.name)}


def _same(a: Entry, b: Entry) -> bool:
    """Whether two entries are one class registered again, be it by a re-import of its module."""
    same_class = a.schema is b.schema or (
        (a.schema.__module__, a.schema.__qualname__) == (b.schema.__module__, b.schema.__qualname__)
        and "<locals>" not in a.schema.__qualname__
    )
    return same_class and (a.aliases, a.kind, a.module) == (b.aliases, b.kind, b.module)


def find(name: str) -> Entry | None:
    """The entry of a name or alias, or None. Imports third-party components only for a name we do not have."""
    discover.component(name)
    entry = _known(name)
    if entry is None:
        discover.components()
        entry = _known(name)
    if entry is None:
        discover.entry_points()
        entry = _known(name)
    return entry


def _known(name: str) -> Entry | None:
    return _entries.get(_aliases.get(name, name))


def get(name: str) -> Entry:
    """The entry of a name or alias.

    Raises:
        UnknownComponent: nobody registered it; carries the nearest names.
    """
    entry = find(name)
    if entry is None:
        raise UnknownComponent(name, nearest(name, known_names()))
    return entry


schema.lookup = lambda name: get(name).schema


def names(kind: str | None = None) -> list[str]:
    """Every canonical name, of one kind if given, in natural order."""
    return [entry.name for entry in entries(kind)]


def entries(kind: str | None = None) -> list[Entry]:
    """Every entry, of one kind if given, in natural order of names."""
    discover.components()
    discover.entry_points()
    found = [entry for entry in _entries.values() if kind is None or entry.kind == kind]
    return sorted(found, key=lambda entry: natural(entry.name))


def kinds() -> list[str]:
    """Every kind some component has, in alphabetical order."""
    return sorted({entry.kind for entry in entries()})


def known_names(of: Sequence[str] = ()) -> list[str]:
    """Canonical names and aliases, of some kinds if given."""
    discover.components()
    found = [entry for entry in _entries.values() if not of or entry.kind in of]
    return [name for entry in found for name in (entry.name, *entry.aliases)]
