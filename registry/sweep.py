"""Sweeps: many variations of some presets, each one checked and costed, no file read twice.

>>> grid = dict([parse_axis("patch_size=4,8,16"), parse_axis("image_size=112:448:112")])
>>> points = list(sweep(["vit5_full_attention", "vit5_full_hyena"], grid))
>>> crossovers(points, "image_size")
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from typing_extensions import Unpack

from registry.compose import Layers
from registry.cost import Counting, cost
from registry.errors import CostUnknown, InvalidConfig, Problem, Unreadable, clip
from registry.plan import Plan, plan_composed
from registry.reader import Document, parse_value
from registry.recall import Recall
from registry.sources import Source, documents

MAX_POINTS = 100_000
"""Points one sweep may have."""
CODES: dict[str, str] = {
    "cost-unknown": "A valid network whose operations cannot be counted, such as one without input."
}
"""Codes of problems with a point that is valid otherwise."""

_NUMBER = r"-?\d{1,18}(?:\.\d{1,9})?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?")


@dataclass(frozen=True)
class Point:
    """One variation of one preset.

    Attributes:
        preset: Name of the preset.
        values: What was varied: override key -> value.
        problems: Why it is invalid; empty for a valid point.
        params: Number of parameters, None where invalid.
        flops: The figure of the convention, None where invalid.
        kinds: Operations by kind, in FLOPs.
        memory: Bytes, as of `Cost.memory`.
    """

    preset: str
    values: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    params: int | None = None
    flops: int | None = None
    kinds: Mapping[str, int] | None = None
    memory: Mapping[str, int] | None = None

    @property
    def valid(self) -> bool:
        """Whether it passed every rule and has figures."""
        return not self.problems


@dataclass(frozen=True)
class Crossover:
    """Where the order of two presets flips along one axis.

    Attributes:
        cheaper: The preset that costs less from `at` on.
        dearer: The one that cost less before.
        key: The axis.
        before: The last swept value where `dearer` still cost less.
        at: The first swept value where `cheaper` costs less.
        fixed: The other swept values, the same for both.
        flops: What `cheaper` and `dearer` cost at `at`.
    """

    cheaper: str
    dearer: str
    key: str
    before: float
    at: float
    fixed: Mapping[str, Any]
    flops: tuple[int, int]


class Base:
    """A preset, read and merged once, to be varied many times. What no variation changes is checked once.

    Attributes:
        name: What the preset is called in results.
    """

    def __init__(self, source: Source, overrides: Sequence[str] = ()) -> None:
        """Read `source` and what it extends.

        Raises:
            Unreadable: there is no such source, or it is no YAML we accept.
        """
        chain = documents(source)
        self._layers = Layers(chain, overrides, recall=Recall())
        self.name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else _name(chain[-1])

    def plan(self, values: Mapping[str, Any]) -> tuple[Plan | None, tuple[Problem, ...]]:
        """The plan with some values overridden, or None and what is wrong."""
        try:
            return plan_composed(self._layers.compose([override(key, value) for key, value in values.items()]))
        except InvalidConfig as refused:
            return None, tuple(refused.problems)

    def point(
        self, values: Mapping[str, Any], footprint: Counting | None = None, **counting: Unpack[Counting]
    ) -> Point:
        """Check and cost one variation.

        Args:
            values: Override key -> value.
            footprint: Arguments of `cost` for the memory, where they are not those of the operations.
            counting: Arguments of `cost`.
        """
        plan, problems = self.plan(values)
        errors = tuple(problem for problem in problems if problem.severity == "error")
        if plan is None or errors:
            return Point(self.name, values, errors)
        try:
            found = cost(plan, **counting)
            memory = (found if footprint is None else cost(plan, **footprint)).memory
            return Point(self.name, values, (), found.params, found.flops, found.kinds, memory)
        except CostUnknown as unknown:
            return Point(self.name, values, (Problem("cost-unknown", str(unknown)),))


def _name(document: Document) -> str:
    return document.name or "<mapping>"


def override(key: str, value: Any) -> str:
    """A value as an override, such as `layer_pattern="HA"`. JSON is YAML in one line."""
    return f"{key}={json.dumps(value)}"


def sweep(
    sources: Sequence[Source],
    grid: Mapping[str, Sequence[Any]],
    *,
    overrides: Sequence[str] = (),
    **counting: Unpack[Counting],
) -> Iterator[Point]:
    """Every combination of the values of `grid` for every source, the last key fastest, one point at a time.

    Args:
        sources: Preset names, paths, mappings.
        grid: Override key -> values to try.
        overrides: `key=value`, for every point.
        counting: Arguments of `cost`.

    Raises:
        ValueError: more than `MAX_POINTS` points, or an argument `cost` refuses.
        Unreadable: there is no such source. What is invalid, on the other hand, is a point with `problems`.
    """
    count(sources, grid)
    bases = [Base(source, overrides) for source in sources]
    return (
        base.point(dict(zip(grid, values, strict=True)), **counting)
        for base in bases
        for values in itertools.product(*grid.values())
    )


def count(sources: Sequence[Source], grid: Mapping[str, Sequence[Any]]) -> int:
    """Number of points of a sweep.

    Raises:
        ValueError: there are more than `MAX_POINTS`.
    """
    total = len(sources) * math.prod(map(len, grid.values()))
    if total > MAX_POINTS:
        raise ValueError(f"Expected a sweep of at most {MAX_POINTS:,} points, got {total:,}")
    return total


# ---- crossovers -------------------------------------------------------------------------------------------------


def crossovers(points: Sequence[Point], key: str) -> list[Crossover]:
    """Where the cheaper one of two presets becomes the dearer one, along `key`, other swept values being equal.

    Exact: integer costs are compared at every swept value that is valid for both; nothing is interpolated. Every flip
    of every pair is listed, in ascending order of `key`.
    """
    lines: dict[str, dict[str, dict[float, int]]] = {}  # fixed values, as JSON -> preset -> value of key -> FLOPs
    for point in points:
        value = point.values.get(key)
        if point.flops is not None and isinstance(value, (int, float)):
            fixed = json.dumps({name: item for name, item in point.values.items() if name != key})
            lines.setdefault(fixed, {}).setdefault(point.preset, {})[value] = point.flops
    return [
        flip
        for fixed, costs in lines.items()
        for one, other in itertools.combinations(costs, 2)
        for flip in _flips(one, other, costs, key, json.loads(fixed))
    ]


def _flips(
    one: str, other: str, costs: Mapping[str, Mapping[float, int]], key: str, fixed: Mapping[str, Any]
) -> Iterator[Crossover]:
    last: tuple[str, float] | None = None  # the cheaper one so far, and the last value where it was
    for value in sorted(costs[one].keys() & costs[other].keys()):
        if costs[one][value] == costs[other][value]:
            continue
        cheaper, dearer = (one, other) if costs[one][value] < costs[other][value] else (other, one)
        if last is not None and last[0] != cheaper:
            yield Crossover(cheaper, dearer, key, last[1], value, fixed, (costs[cheaper][value], costs[dearer][value]))
        last = (cheaper, value)


# ---- axes in writing --------------------------------------------------------------------------------------------


def parse_axis(text: str) -> tuple[str, tuple[Any, ...]]:
    """An axis as written: `patch_size=4,8,16`, `image_size=112:1792:56` (the stop included), or both mixed.

    Returns:
        The override key, and the values, each once, in the order written.

    Raises:
        ValueError: it is no axis, or has more than `MAX_POINTS` values.
    """
    key, equals, written = text.partition("=")
    if not equals or not key or not written:
        raise ValueError(f"Expected KEY=V1,V2,... or KEY=START:STOP:STEP, got {clip(text)!r}")
    values: list[Any] = []
    for item in _items(written):
        found = _RANGE.fullmatch(item)
        values.extend(_range(item, *found.groups()) if found else [_value(item)])
    return key, tuple({json.dumps(value): value for value in values}.values())


def _items(text: str) -> Iterator[str]:
    """`text` cut at the commas that are in no brackets."""
    depth, start = 0, 0
    for index, char in enumerate(text):
        depth += (char in "[{") - (char in "]}")
        if char == "," and depth == 0:
            yield text[start:index].strip()
            start = index + 1
    yield text[start:].strip()


def _range(text: str, first: str, last: str, by: str | None) -> list[int | float]:
    """Numbers from `first` to `last`; decimal arithmetic, so that 0.1 steps land on the stop."""
    start, stop, step = Decimal(first), Decimal(last), Decimal(by or "1")
    if step <= 0 or stop < start:
        raise ValueError(f"Expected START:STOP:STEP with START <= STOP and STEP > 0, got {text!r}")
    steps = int((stop - start) / step)
    if steps >= MAX_POINTS:
        raise ValueError(f"Expected at most {MAX_POINTS:,} values, got {steps + 1:,} of {text!r}")
    whole = start == int(start) and step == int(step)
    return [int(start + index * step) if whole else float(start + index * step) for index in range(steps + 1)]


def _value(text: str) -> Any:
    try:
        return parse_value(text, "--sweep")
    except Unreadable as refused:
        problem = refused.problems[0]
        raise ValueError(f"{problem.message}{f' ({problem.hint})' if problem.hint else ''}") from None
