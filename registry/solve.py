"""Budgets: the valid variations of a preset that come nearest to a number of parameters, of operations or of bytes.

Every candidate is checked by the same rules and costed by the same code as a preset; nothing is estimated.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from typing_extensions import Unpack

from registry.cost import Counting
from registry.errors import InvalidConfig, clip
from registry.plan import Plan
from registry.rules import divisors
from registry.sources import Source
from registry.sweep import Base, Point, count

BUDGETS = frozenset(("params", "flops", "memory"))
"""What there may be a budget of."""
TRIES = 800
"""Points of the first search where no range is written."""
SPAN = 4
"""How far from the current value to look where no range is written: from a quarter to four times it."""
PATTERNS: Mapping[str, str] = {"num_blocks": "layer_pattern"}
"""Keys whose value is the length of a pattern beside them; the pattern's period is repeated to fit."""

Track = Callable[[Iterable[Point], int], Iterable[Point]]
"""Passes points on and may show how many of the total there have been."""


@dataclass(frozen=True)
class Candidate:
    """A valid variation.

    Attributes:
        values: Every override that makes it, those that follow from a varied key included.
        params: Number of parameters.
        flops: The figure of the convention.
        memory: Bytes that have to be there at once, `total_bytes` of `Cost.memory`.
        distance: Of each budget to come near to: ln(value / target); 0.01 is about 1 % over.
        pareto: No other candidate is nearer to one budget without being farther from another.
    """

    values: Mapping[str, Any]
    params: int
    flops: int
    memory: int
    distance: Mapping[str, float]
    pareto: bool = False

    @property
    def total(self) -> float:
        """Distance from all budgets together."""
        return math.hypot(*self.distance.values())


@dataclass(frozen=True)
class Solution:
    """What a search found.

    Attributes:
        candidates: The nearest ones, Pareto-best first, then by distance.
        tried: Points looked at.
        valid: Those that pass every rule.
        fitting: Those of them that are within the budgets that are limits.
        refused: Why the others are invalid: (code, message of the first one) -> how many.
        notes: What was done that was not asked for, in sentences.
    """

    candidates: tuple[Candidate, ...]
    tried: int
    valid: int
    fitting: int
    refused: Mapping[tuple[str, str], int]
    notes: tuple[str, ...]


def solve(
    source: Source,
    vary: Mapping[str, Sequence[Any] | None],
    budget: Mapping[str, int],
    *,
    limit: bool = False,
    top: int = 10,
    overrides: Sequence[str] = (),
    track: Track = lambda points, total: points,
    **counting: Unpack[Counting],
) -> Solution:
    """Search for the valid variations of `source` that are nearest to `budget`.

    Args:
        source: A preset name, a path, or a mapping.
        vary: Override key -> values to try, or None to look around the current value, an integer: at legal steps
            from a quarter to four times it, coarsely first, then at every step near the best.
        budget: `params` and `flops`, either or both: what to come near to. `memory`: bytes never to exceed, and what
            to come near to if it is the only budget. Then `counting` speaks of the memory, such as that of training
            with a batch of 64, and FLOPs are those of one input in one forward pass.
        limit: The budgets are limits: what exceeds one is left out.
        top: Number of candidates to return.
        overrides: `key=value`, for every point.
        track: Shows progress.
        counting: Arguments of `cost`.

    Raises:
        ValueError: an empty budget, a key without a current integer, or too many points.
        InvalidConfig: the preset itself is invalid.
        Unreadable: there is no such preset.
    """
    if not vary or not budget or not budget.keys() <= BUDGETS or min(budget.values()) < 1:
        raise ValueError(f"Expected keys to vary and a budget of params, flops or memory, got {vary} and {budget}")
    base = Base(source, overrides)
    plan, problems = base.plan({})
    if plan is None:
        raise InvalidConfig(problems)
    footprint: Counting | None = counting if "memory" in budget else None
    operations: Counting = {**counting, "batch": 1, "mode": "forward"} if footprint else counting
    search = _Search(base, plan, track, operations, footprint)
    steps = {key: search.step(key) for key, values in vary.items() if values is None}
    free = TRIES / math.prod(len(values) for values in vary.values() if values is not None)
    share = max(3, int(max(free, 1) ** (1 / max(len(steps), 1))))
    search.run({key: _around(search.current(key), steps[key], share) if v is None else v for key, v in vary.items()})
    best = rank(search.found, budget, limit=limit, top=1)
    if best and steps:
        around = {key: [best[0].values[key] + n * steps[key] for n in range(-4, 5)] for key in steps}
        near = {key: [value for value in values if value > 0] for key, values in around.items()}
        search.run({key: near.get(key, [best[0].values[key]]) for key in vary})
    fitting = len(rank(search.found, budget, limit=limit))
    ranked = tuple(rank(search.found, budget, limit=limit, top=top))
    return Solution(ranked, len(search.seen), len(search.found), fitting, _reasons(search.invalid), tuple(search.notes))


def _reasons(invalid: Sequence[Point]) -> dict[tuple[str, str], int]:
    """The first problem of every invalid point, those of one code together under the first message."""
    first = [point.problems[0] for point in invalid]
    messages: dict[str, str] = {}
    for problem in first:
        messages.setdefault(problem.code, problem.message)
    codes = [problem.code for problem in first]
    return {(code, message): codes.count(code) for code, message in messages.items()}


class _Search:
    """Points of one preset, each looked at once."""

    def __init__(
        self, base: Base, plan: Plan, track: Track, counting: Counting, footprint: Counting | None = None
    ) -> None:
        self.base = base
        self.config = plan.root.to_dict()
        self.track = track
        self.counting = counting
        self.footprint = footprint
        self.seen: set[str] = set()
        self.found: list[Point] = []
        self.invalid: list[Point] = []
        self.notes: dict[str, None] = {}

    def current(self, key: str) -> int:
        """The integer a key has now."""
        value = _at(self.config, key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            what = f"a positive integer as {clip(key)}, to look around it"
            raise ValueError(f"Expected {what}, got {clip(value)}: give a range, such as {clip(key)}=192:768:64")
        return value

    def step(self, key: str) -> int:
        """The smallest divisor of the current value by which it alone can be changed; 1 if there is none."""
        value = self.current(key)
        if value * SPAN <= 64:  # so few that all can be tried: other varied keys may make them legal
            return 1
        for step in divisors(value)[:-1]:
            if any(self.base.plan(self.complete({key: other}))[0] for other in (value - step, value + step)):
                return step
        return 1

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values`, and the patterns that must follow them."""
        completed = dict(values)
        for key, value in values.items():
            head, _, name = key.rpartition(".")
            follower = f"{head}.{PATTERNS.get(name, '')}".lstrip(".")
            pattern = _at(self.config, follower) if name in PATTERNS and follower not in values else None
            if isinstance(pattern, str) and pattern and isinstance(value, int) and value > 0:
                repeated = period(pattern)
                completed[follower] = (repeated * -(-value // len(repeated)))[:value]
                self.notes[f"{follower} follows {key}: {repeated} repeated to its length"] = None
        return completed

    def run(self, grid: Mapping[str, Sequence[Any]]) -> None:
        """Check and cost every combination that has not been seen."""
        count([self.base.name], grid)
        fresh = {}
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            if repr(point) not in self.seen:
                fresh[repr(point)] = point
        self.seen.update(fresh)
        points = (self.base.point(self.complete(v), self.footprint, **self.counting) for v in fresh.values())
        for one in self.track(points, len(fresh)):
            (self.found if one.valid else self.invalid).append(one)


def _at(config: Any, key: str) -> Any:
    """The value of a dotted key, relative to the network, or None."""
    for step in key.removeprefix("network.").split("."):
        if isinstance(config, list) and step.isdigit() and int(step) < len(config):
            config = config[int(step)]
        elif isinstance(config, dict):
            config = config.get(step)
        else:
            return None
    return config


def _around(value: int, step: int, most: int) -> list[int]:
    """At most `most` multiples of `step` from `value` / SPAN to `value` x SPAN, evenly in ratio, `value` among them."""
    low, high = max(1, -(-value // (SPAN * step))), max(1, SPAN * value // step)
    legal = [step * n for n in range(low, high + 1)]
    if len(legal) <= most:
        return legal
    ratio = (high / low) ** (1 / (most - 1))
    return sorted({value} | {step * round(low * ratio**index) for index in range(most - 1)})


def period(pattern: str) -> str:
    """The shortest piece that gives `pattern` when repeated and cut: `HA` for `HAHAH`."""
    sizes = range(1, len(pattern) + 1)
    return next(pattern[:n] for n in sizes if (pattern[:n] * -(-len(pattern) // n))[: len(pattern)] == pattern)


# ---- ranking ----------------------------------------------------------------------------------------------------


def rank(
    points: Iterable[Point], budget: Mapping[str, int], *, limit: bool = False, top: int | None = None
) -> list[Candidate]:
    """The `top` valid points nearest to the budget in log distance, those no other one dominates first."""
    limits = budget if limit else {name: bound for name, bound in budget.items() if name == "memory"}
    targets = {name: target for name, target in budget.items() if name != "memory"} or budget
    fitting = (p for p in points if p.valid and all(_figures(p)[name] <= bound for name, bound in limits.items()))
    candidates = [_candidate(point, targets) for point in fitting]
    candidates.sort(key=lambda one: one.total)
    front: list[Candidate] = []
    marked: list[Candidate] = []
    for one in candidates[:top]:
        # A candidate that dominates another is nearer in total, so it came before.
        pareto = not any(_dominates(better, one) for better in front)
        one = replace(one, pareto=pareto)
        marked.append(one)
        if pareto:
            front.append(one)
    return sorted(marked, key=lambda one: not one.pareto)


def _candidate(point: Point, targets: Mapping[str, int]) -> Candidate:
    got = _figures(point)
    # A network may have no parameters at all: as far away as can be.
    distance = {name: math.log(got[name] / target) if got[name] else -math.inf for name, target in targets.items()}
    return Candidate(point.values, got["params"], got["flops"], got["memory"], distance)


def _figures(point: Point) -> dict[str, int]:
    """What budgets are about."""
    memory = (point.memory or {}).get("total_bytes", 0)
    return {"params": point.params or 0, "flops": point.flops or 0, "memory": memory}


def _dominates(one: Candidate, other: Candidate) -> bool:
    pairs = [(abs(one.distance[name]), abs(other.distance[name])) for name in one.distance]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


# ---- budgets in writing -----------------------------------------------------------------------------------------

_AMOUNT = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([KMGT]?)(i?B)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_amount(text: str) -> int:
    """A number with a suffix K, M, G or T (thousands): `22M`, `1.5G`, `4000`.

    Raises:
        ValueError: it is none, or is not at least 1.
    """
    return _parse(text, "a number with K, M, G or T, such as 22M", of_bytes=False)


def parse_bytes(text: str) -> int:
    """A number of bytes: `16GB` and `16G` are thousands, `16GiB` is 16 x 1024^3.

    Raises:
        ValueError: it is none, or is not at least 1.
    """
    return _parse(text, "a number of bytes, such as 16GB or 15GiB", of_bytes=True)


def _parse(text: str, what: str, *, of_bytes: bool) -> int:
    match = _AMOUNT.fullmatch(text.strip())
    amount = 0
    if match and (of_bytes or not match[3]):
        step = 1024 if (match[3] or "").lower().startswith("i") else 1000
        amount = int(Decimal(match[1]) * step ** _POWERS[match[2].upper()])
    if amount < 1:
        raise ValueError(f"Expected {what}, got {clip(text)!r}")
    return amount
