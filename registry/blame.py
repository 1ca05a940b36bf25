"""Who is to blame: problems that one change would undo are one problem.

A document that is written out by hand says the same thing in many places. One wrong value contradicts all the others,
and every contradiction is found where it shows. So a value that leads to several problems is changed on trial and the
document checked again: if that undoes problems and makes none, that value is the fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Literal, get_args, get_origin

from registry.check import Checker, Found, Scope, show
from registry.errors import Problem
from registry.reader import Path, dotted
from registry.recall import Recall
from registry.rules import divisors
from registry.schema import Component

ERRORS = 200
"""Errors beyond which nobody looks for one value behind them."""
TRIALS = 150
"""Changes tried for one document: each may cost two checks, of which the first ends at the first error."""
VALUES = 32
"""Values tried for one field."""
TRIED_NODES = 20_000
"""Components that trying may visit altogether, for each of those two."""


@dataclass(frozen=True)
class _Walk:
    """One check of the document with some values edited.

    Attributes:
        edits: Values in place of the written ones.
        kept: Fields that stand although they contradict what they follow from.
        root: The component, or None.
        checker: What was found.
    """

    edits: Mapping[Path, Any] = field(default_factory=dict)
    kept: frozenset[Path] = frozenset()
    root: Component | None = None
    checker: Checker = field(default_factory=Checker)

    @cached_property
    def errors(self) -> list[Found]:
        """What refuses the document."""
        return self.checker.errors

    @cached_property
    def keys(self) -> set[_Key]:
        """What identifies its errors."""
        return set(map(_key, self.errors))


_Key = tuple[Path, str]
"""Path and code of an error."""
_Change = tuple[Mapping[Path, Any], frozenset[Path]]
"""Values in place of the written ones, and fields that stand: see `_Walk`."""


def _key(found: Found) -> _Key:
    return found.path, found.problem.code


class _Hopeless(Exception):
    """A trial that undoes too little, or makes something worse."""


class _Trial(Checker):
    """A check that ends as soon as it is hopeless."""

    def __init__(
        self, edits: Mapping[Path, Any], kept: frozenset[Path], recall: Recall | None, allowed: set[_Key], most: int
    ) -> None:
        """A checker that has found nothing yet.

        Args:
            edits: As for every checker.
            kept: As for every checker.
            recall: As for every checker.
            allowed: What identifies the errors it may find.
            most: How many of them.
        """
        super().__init__(edits, kept, recall)
        self._allowed = allowed
        self._most = most

    def report(self, path: Path, code: str, message: str, hint: str = "", **where: Any) -> Found:
        """Note a problem.

        Raises:
            _Hopeless: It is one too many.
        """
        found = super().report(path, code, message, hint, **where)
        if found.is_error and found is self.found[-1]:
            self._most -= 1
            if self._most < 0 or _key(found) not in self._allowed:
                raise _Hopeless
        return found


def check_tree(raw: Any, path: Path, recall: Recall | None = None) -> tuple[Component | None, list[Found]]:
    """The component that `raw`, found at `path`, describes, and everything wrong with it, each fault once.

    Args:
        raw: A tree of plain data.
        path: Where in its document it is.
        recall: What was learnt of trees that share parts with this one.
    """

    def walk(edits: Mapping[Path, Any], kept: frozenset[Path], checker: Checker) -> _Walk:
        return _Walk(edits, kept, checker.component(raw, path, (), Scope()), checker)

    def trials(now: _Walk) -> Iterator[_Change]:
        """What to change or to keep next, likely ones first."""
        for at in _contradicting(now):
            yield now.edits, now.kept | {at}
        for at, value in _likely(raw, path, now):
            yield {**now.edits, at: value}, now.kept

    def best_of(tries: Sequence[_Change], now: _Walk, most: int, least: int = 0) -> _Walk | None:
        """The first trial with the fewest errors, at most `most`; it is known that none has less than `least`."""
        best = None
        for edits, kept in tries:
            # To let something stand undoes that one error; what undoes a second one is to blame.
            allowed = min(most, len(now.errors) - (1 if kept != now.kept else 2))
            if allowed >= least:
                with suppress(_Hopeless):
                    best = walk(edits, kept, _Trial(edits, kept, recall, now.keys, allowed))
                    most = len(best.errors) - 1
        return best

    now = walk({}, frozenset(), Checker(recall=recall))
    blamed: list[Found] = []
    left = min(TRIALS, TRIED_NODES // max(1, len(now.checker.visited)))
    while 1 < len(now.errors) <= ERRORS and left > 0:
        tries = list(islice(trials(now), left))
        left -= len(tries)
        # Most often one change undoes everything, and the first error shows that the others do not.
        best = best_of(tries, now, 0) or best_of(tries, now, len(now.errors) - 1, 1)
        if best is None:
            break
        blamed += [_fault(now, best, raw, path, at) for at in best.edits.keys() - now.edits.keys()]
        now = best
    found = [*blamed, *now.checker.found]
    if not any(f.is_error for f in found):
        found += [_missing(at) for at in now.checker.left_out]
    return now.root, found


def _missing(at: Path) -> Found:
    """A field that should have followed from elsewhere, and did not although nothing is wrong there."""
    message = f"Expected {at[-1]} to follow from the network, got nothing that says it"
    return Found(Problem("missing-field", message, f"write {at[-1]}", dotted(at)), at)


def _contradicting(now: _Walk) -> list[Path]:
    """Fields that contradict what they follow from, and may have led to problems below them."""
    errors = [found.path for found in now.errors]
    return [
        found.path
        for found in now.errors
        if found.follows and any(e != found.path and e[: len(found.path) - 1] == found.path[:-1] for e in errors)
    ]


def _likely(raw: Any, path: Path, now: _Walk) -> Iterator[tuple[Path, Any]]:
    """Fields that several problems come from, with values that they may be meant to have."""
    involved = [dict.fromkeys((found.path, *found.roots)) for found in now.errors]
    counts = Counter(at for paths in involved for at in paths)
    order = {at: i for i, at in enumerate(at for paths in involved for at in paths)}
    own = {found.path for found in now.errors}
    shared = [at for at, count in counts.items() if count > 1 and at not in now.edits]
    # Of two that divide one another, the divisor, which an expression names last.
    shared.sort(key=lambda at: (-counts[at], at not in own, len(at), -order[at]))
    numbers = [value for at in counts if isinstance(value := _written(raw, at[len(path) :]), int)]
    schemas = dict(now.checker.visited)
    for at in shared:
        value = _written(raw, at[len(path) :])
        said = [f.says for f in now.errors if f.says is not None and f.due == value and at in f.roots]
        # A value that others repeat can only be meant to be one of those.
        for other in dict.fromkeys(said or _others(value, schemas.get(at[:-1]), str(at[-1]), numbers)):
            if other != value and type(other) is type(value):
                yield at, other


def _written(raw: Any, path: Path) -> Any:
    """The value at `path` in a tree, or None."""
    for key in path:
        if isinstance(raw, dict) and key in raw:
            raw = raw[key]
        else:
            return None
    return raw


def _others(value: Any, schema: type[Component] | None, name: str, numbers: list[int]) -> list[Any]:
    """Values that a field may be meant to have: other options; numbers nearby, or a simple ratio away."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str) and schema is not None and name in schema.model_fields:
        annotation = schema.model_fields[name].annotation
        return list(get_args(annotation)) if get_origin(annotation) is Literal else []
    if not isinstance(value, int) or value < 1:
        return list(range(1, 17)) if isinstance(value, int) else []
    near = {value * k // j for k in range(1, 5) for j in range(1, 5) if value * k % j == 0}
    near |= {n for n in range(value - 4, value + 5) if n >= 0}
    for number in numbers:
        if 0 < number <= 4096:
            near |= {*divisors(number), *(number * k for k in range(1, 33))}
            near |= {number * max(1, value // number + k) for k in range(-2, 4)}
    return sorted(near - {value}, key=lambda n: abs(n - value))[:VALUES]


def _fault(before: _Walk, after: _Walk, raw: Any, path: Path, at: Path) -> Found:
    """The one problem in place of those that editing `at` undid."""
    for found in before.errors:
        if found.path == at and found.own:
            return found
    name, value = str(at[-1]), show(after.edits[at])
    undone = [found for found in before.errors if (found.path, found.problem.code) not in after.keys]
    got = show(_written(raw, at[len(path) :]))
    broken = dict.fromkeys(found.problem.code for found in undone if not found.follows)
    if broken:
        message = f"Expected {name} to obey {' and '.join(broken)} where it leads to, as {value} does, got {got}"
    else:
        others = f" and {len(undone) - 1} more" if len(undone) > 1 else ""
        message = f"Expected {name} to be {value} to agree with {undone[0].problem.path}{others}, got {got}"
    return Found(Problem("mismatch", message, f"set {name}: {value}", dotted(at)), at)
