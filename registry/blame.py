"""Who is to blame: problems that one change would undo are one problem.

A document that is written out by hand says the same thing in many places. One wrong value contradicts all the others,
and every contradiction is found where it shows. So a value that leads to several problems is changed on trial and the
document checked again: if that undoes problems and makes none, that value is the fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from registry.check import Checker, Found, Scope, show
from registry.errors import Problem
from registry.reader import Path, dotted
from registry.rules import divisors
from registry.schema import Component

ERRORS = 200
"""Errors beyond which nobody looks for one value behind them."""
TRIALS = 150
"""Checks a document may cost beside the first one."""
VALUES = 32
"""Values tried for one field."""
TRIED_NODES = 20_000
"""Components those checks may visit altogether."""


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

    @property
    def errors(self) -> list[Found]:
        """What refuses the document."""
        return self.checker.errors

    @property
    def keys(self) -> set[tuple[Path, str]]:
        """What identifies its errors."""
        return {(found.path, found.problem.code) for found in self.errors}


def check_tree(raw: Any, path: Path) -> tuple[Component | None, list[Found]]:
    """The component that `raw`, found at `path`, describes, and everything wrong with it, each fault once.

    Args:
        raw: A tree of plain data.
        path: Where in its document it is.
    """

    def walk(edits: Mapping[Path, Any], kept: frozenset[Path]) -> _Walk:
        checker = Checker(edits, kept)
        return _Walk(edits, kept, checker.component(raw, path, (), Scope()), checker)

    def trials(now: _Walk) -> Iterator[_Walk]:
        """The document with one more edit, likely ones first."""
        for at in _contradicting(now):
            yield walk(now.edits, now.kept | {at})
        for at, value in _likely(raw, path, now):
            yield walk({**now.edits, at: value}, now.kept)

    now = walk({}, frozenset())
    blamed: list[Found] = []
    left = min(TRIALS, TRIED_NODES // max(1, len(now.checker.schemas)))
    while 1 < len(now.errors) <= ERRORS and left > 0:
        best = now
        for trial in trials(now):
            left -= 1
            least = 1 if trial.kept != now.kept else 2
            if trial.keys < now.keys and len(trial.errors) < len(best.errors) and _undone(now, trial) >= least:
                best = trial
            if not best.errors or left <= 0:
                break
        if best is now:
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


def _undone(before: _Walk, after: _Walk) -> int:
    return len(before.errors) - len(after.errors)


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
    for at in shared:
        value = _written(raw, at[len(path) :])
        said = [f.says for f in now.errors if f.says is not None and f.due == value and at in f.roots]
        # A value that others repeat can only be meant to be one of those.
        for other in dict.fromkeys(said or _others(value, now.checker.schemas.get(at[:-1]), str(at[-1]), numbers)):
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
