"""`arch solve`: the valid variations of a preset that are nearest to a budget."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from cli import inputs, render
from cli.figures import cell, refuse, said, table, unit_name
from cli.guard import FAILED, Refused
from cli.sweep import parse_grid, written
from registry.cost import Counting
from registry.errors import InvalidConfig, Unreadable
from registry.reader import parse_value
from registry.solve import Candidate, Solution, parse_amount, parse_bytes, solve
from registry.sweep import Point, override


def solve_budget(
    preset: str,
    vary: Sequence[str],
    budget: Mapping[str, str | None],
    limit: bool,
    top: int,
    overrides: list[str],
    counting: Counting,
    form: str,
) -> None:
    """Print the nearest candidates."""
    refuse(counting)
    targets = _targets(budget)
    found = _search(preset, _varied(vary), targets, limit, top, overrides, counting)
    if form == "json":
        render.data(_report(preset, found, targets, limit, overrides, counting))
    else:
        _text(preset, found, targets, limit, overrides, counting)
    if not found.candidates:
        raise typer.Exit(FAILED)


def _targets(budget: Mapping[str, str | None]) -> dict[str, int]:
    try:
        targets = {
            name: (parse_bytes if name == "memory" else parse_amount)(text)
            for name, text in budget.items()
            if text is not None
        }
    except ValueError as error:
        raise Refused(str(error)) from None
    if not targets:
        raise Refused("Expected a budget, --params, --flops or --memory, got none")
    return targets


def _varied(texts: Sequence[str]) -> dict[str, Sequence[Any] | None]:
    """`hidden_dim,num_blocks`, `hidden_dim=192:768:64`, or bare keys before one with values: `num_blocks,dim=64,96`."""
    varied: dict[str, Sequence[Any] | None] = {}
    for text in texts:
        keys, equals, values = text.partition("=")
        *bare, last = keys.split(",")
        axes = {**dict.fromkeys(bare), **(parse_grid([f"{last}={values}"], "--vary") if equals else {last: None})}
        for key, axis in axes.items():
            if not key or key in varied:
                raise Refused(f"Expected --vary KEY,KEY or KEY=START:STOP:STEP, every key once, got {text!r}")
            varied[key] = axis
    return varied


def _search(
    preset: str,
    vary: Mapping[str, Sequence[Any] | None],
    targets: Mapping[str, int],
    limit: bool,
    top: int,
    overrides: list[str],
    counting: Counting,
) -> Solution:
    def track(points: Iterable[Point], total: int) -> Iterable[Point]:
        return render.progress(points, total, "solve")

    files = inputs.Files(tuple(overrides))
    try:
        source = inputs.source(preset, files)
        return solve(source, vary, targets, limit=limit, top=top, overrides=overrides, track=track, **counting)
    except InvalidConfig as refused:
        inputs.refuse(preset, refused, files)
    except ValueError as error:
        raise Refused(str(error)) from None


# ---- output -----------------------------------------------------------------------------------------------------


def _text(
    preset: str,
    found: Solution,
    targets: Mapping[str, int],
    limit: bool,
    overrides: Sequence[str],
    counting: Counting,
) -> None:
    render.heading(preset, f": {_wanted(targets, limit, counting)}")
    if "memory" in targets:
        render.heading("", (_said(counting), "dim"))
    else:
        render.heading("", (said(counting), "dim"))
    for note in found.notes:
        render.heading("", (f"note: {note}", "cyan"))
    fitting = f", {found.fitting:,} within the budget" if limit or "memory" in targets else ""
    render.heading("", (f"{found.tried:,} tried, {found.valid:,} valid{fitting}", "dim"))
    for (code, message), times in sorted(found.refused.items(), key=lambda item: -item[1]):
        render.heading("", (f"  {times:,} left out, such as: {message} [{code}]", "dim"))
    if not found.candidates:
        render.plain("")
        render.heading("", "nothing fits: vary more keys, give wider ranges, or raise the budget")
        return
    render.plain("")
    best = found.candidates[0]
    columns = {"": ["*" if one.pareto else "" for one in found.candidates]}
    columns |= {key: [_short(one.values[key]) for one in found.candidates] for key in best.values}
    for name, head in _names(counting).items():
        figures = [_figure(one, name) for one in found.candidates]
        columns[head] = [render.human(figure, "B") if name == "memory" else cell(figure) for figure in figures]
        if name in targets:
            off = _OFF[name]
            columns[off] = [f"{_off(one, name, targets):+.1f} %" for one in found.candidates]
    table(columns, [""])
    render.footnote("*: no other one shown is nearer to one budget without being farther from the other")
    render.plain(f"arch flops {preset} {' '.join(f'--set {shlex.quote(text)}' for text in _sets(best, overrides))}")


_OFF = {"params": "off", "flops": "off ", "memory": "off  "}
"""Headings of the columns that say by how much a candidate misses a budget; no two columns have one heading."""


def _wanted(targets: Mapping[str, int], limit: bool, counting: Counting) -> str:
    """The budget in words."""
    near = [f"{render.human(n)} {_names(counting)[name]}" for name, n in targets.items() if name != "memory"]
    words = [f"{'at most' if limit else 'near'} {', '.join(near)}"] if near else []
    if "memory" in targets:
        words.append(f"at most {render.human(targets['memory'], 'B')} of memory")
    return ", ".join(words)


def _said(counting: Counting) -> str:
    """What was counted where memory has a budget: operations of one input, bytes of what the options say."""
    operations: Counting = {**counting, "batch": 1, "mode": "forward"}
    training = f", trained by {counting['optimizer']}" if counting["mode"] == "train" else ""
    memory = f"memory of a {counting['mode']} pass of batch {counting['batch']:,} in {counting['dtype']}{training}"
    return f"{said(operations)}; {memory}"


def _names(counting: Counting) -> dict[str, str]:
    return {"params": "params", "flops": unit_name(counting["unit"]), "memory": "memory"}


def _figure(one: Candidate, name: str) -> int:
    return {"params": one.params, "flops": one.flops, "memory": one.memory}[name]


def _short(value: Any) -> str:
    text = written(value)
    return text if len(text) <= 16 else f"{text[:6]}…{len(text)}"


def _off(one: Candidate, name: str, targets: Mapping[str, int]) -> float:
    """By how many percent a candidate misses a target."""
    return 100 * (_figure(one, name) / targets[name] - 1)


def _sets(one: Candidate, overrides: Sequence[str]) -> list[str]:
    """Overrides that make a candidate."""
    return [*overrides, *[_set(key, value) for key, value in one.values.items()]]


def _set(key: str, value: Any) -> str:
    """An override as people write it: text without quotes, where that is the same."""
    try:
        bare = isinstance(value, str) and parse_value(value, "--vary") == value
    except Unreadable:
        bare = False
    return f"{key}={value}" if bare else override(key, value)


def _report(
    preset: str,
    found: Solution,
    targets: Mapping[str, int],
    limit: bool,
    overrides: Sequence[str],
    counting: Counting,
) -> dict[str, Any]:
    return {
        "preset": preset,
        **counting,
        "budget": dict(targets),
        "limit": limit,
        "tried": found.tried,
        "valid": found.valid,
        "fitting": found.fitting,
        "refused": [
            {"code": code, "message": message, "count": times} for (code, message), times in found.refused.items()
        ],
        "notes": list(found.notes),
        "candidates": [
            {
                "values": dict(one.values),
                "set": _sets(one, overrides),
                "params": one.params,
                "flops": one.flops,
                "memory_bytes": one.memory,
                "off_percent": {name: round(_off(one, name, targets), 3) for name in targets},
                "pareto": one.pareto,
            }
            for one in found.candidates
        ],
    }
