"""`arch flops --sweep`: presets at many sizes, what is invalid among them, and where their order flips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from cli import inputs, render
from cli.figures import cell, counted, refuse, said, table, unit_name
from cli.guard import Refused
from registry.cost import Counting
from registry.errors import InvalidConfig, Unreadable
from registry.sweep import Crossover, Point, count, crossovers, override, parse_axis, sweep
from registry.tape import KINDS, PUBLISHED


def sweep_flops(
    presets: Sequence[str], overrides: list[str], axes: Sequence[str], counting: Counting, plot: Path | None, form: str
) -> None:
    """Print the cost of every point of a grid; plot it."""
    refuse(counting)
    grid = parse_grid(axes, "--sweep")
    if plot is not None:
        from cli import plotting

        plotting.require(plot)
    points = _points(presets, grid, overrides, counting)
    key = next(iter(grid))
    valid = [point for point in points if point.valid]
    flips = crossovers(valid, key)
    if plot is not None and valid:
        plotting.plot(valid, key, flips, plot, counting, plotting.describe(presets[0], overrides, key))
    _PRINT[form](points, flips, grid, counting)
    if plot is not None and valid and form == "text":
        render.plain("")
        render.success(str(plot))
    if not valid:
        raise typer.Exit(inputs.exit_code(InvalidConfig([problem for point in points for problem in point.problems])))


def parse_grid(axes: Sequence[str], option: str) -> dict[str, tuple[Any, ...]]:
    """The axes as written on the command line.

    Raises:
        Refused: one is malformed, or written twice.
    """
    grid: dict[str, tuple[Any, ...]] = {}
    for text in axes:
        try:
            key, values = parse_axis(text)
        except ValueError as error:
            raise Refused(f"{error}, as {option}") from None
        if key in grid:
            raise Refused(f"Expected every key once as {option}, got {key} twice")
        grid[key] = values
    return grid


def _points(
    presets: Sequence[str], grid: Mapping[str, Sequence[Any]], overrides: list[str], counting: Counting
) -> list[Point]:
    files = inputs.Files(tuple(overrides))
    try:
        sources = [inputs.source(preset, files) for preset in presets]
        total = count(sources, grid)
        return [*render.progress(sweep(sources, grid, overrides=overrides, **counting), total, "sweep")]
    except Unreadable as refused:
        inputs.refuse(", ".join(presets), refused, files)
    except ValueError as error:
        raise Refused(str(error)) from None


# ---- output -----------------------------------------------------------------------------------------------------


def _text(points: Sequence[Point], flips: Sequence[Crossover], grid: Mapping[str, Any], counting: Counting) -> None:
    valid = [point for point in points if point.valid]
    render.heading("", (said(counting), "dim"))
    if valid:
        render.plain("")
        columns = {"preset": [point.preset for point in valid]} if len({p.preset for p in points}) > 1 else {}
        columns |= {key: [written(point.values[key]) for point in valid] for key in grid}
        columns["params"] = [cell(point.params) for point in valid]
        columns[unit_name(counting["unit"])] = [cell(point.flops) for point in valid]
        kinds = [counted(point.kinds or {}, counting["convention"], counting["unit"]) for point in valid]
        table(columns, ["preset"], kinds)
    if flips:
        render.plain("")
        for flip in flips:
            render.heading(said_flip(flip), f": {render.human(flip.flops[0])} < {render.human(flip.flops[1])}")
    skipped(points)


def said_flip(flip: Crossover) -> str:
    """A crossover in words."""
    fixed = "".join(f", {key}={written(value)}" for key, value in flip.fixed.items())
    return f"{flip.cheaper} costs less than {flip.dearer} from {flip.key}={flip.at} on{fixed} (more at {flip.before})"


def skipped(points: Sequence[Point]) -> None:
    """What is invalid, alike ones together, each with a reason."""
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if not point.valid:
            groups.setdefault((point.preset, point.problems[0].code), []).append(point)
    if not groups:
        return
    console = render.stdout()
    render.plain("")
    left_out = sum(map(len, groups.values()))
    render.heading(f"{left_out:,} of {render.plural(len(points), 'point')} left out", (", as they are invalid:", "dim"))
    for (preset, code), group in groups.items():
        at = " ".join(f"{key}={written(value)}" for key, value in group[0].values.items())
        more = f" and {render.plural(len(group) - 1, 'point')} more" if len(group) > 1 else ""
        reason = (f"[{code}] {group[0].problems[0].message}", "yellow")
        render.write(console, render.styled(f"  {preset} {at}{more}: ", reason))


def written(value: Any) -> str:
    """A swept value as one writes it."""
    return value if isinstance(value, str) else override("", value).removeprefix("=")


def _json(points: Sequence[Point], flips: Sequence[Crossover], grid: Mapping[str, Any], counting: Counting) -> None:
    render.data(
        {
            **{name: counting[name] for name in ("batch", "mode", "convention", "unit")},
            "points": [
                {
                    "preset": point.preset,
                    "values": dict(point.values),
                    "params": point.params,
                    "flops": point.flops,
                    "kinds": dict(point.kinds or {}),
                }
                for point in points
                if point.valid
            ],
            "skipped": [
                {
                    "preset": point.preset,
                    "values": dict(point.values),
                    "problems": [
                        {"code": problem.code, "message": problem.message, "hint": problem.hint, "path": problem.path}
                        for problem in point.problems
                    ],
                }
                for point in points
                if not point.valid
            ],
            "crossovers": [
                {
                    "cheaper": flip.cheaper,
                    "dearer": flip.dearer,
                    "key": flip.key,
                    "before": flip.before,
                    "at": flip.at,
                    "fixed": dict(flip.fixed),
                    "flops": {"cheaper": flip.flops[0], "dearer": flip.flops[1]},
                }
                for flip in flips
            ],
        }
    )


def _csv(points: Sequence[Point], flips: Sequence[Crossover], grid: Mapping[str, Any], counting: Counting) -> None:
    """Valid points on stdout; reasons of the others on stderr, one line each."""
    valid = [point for point in points if point.valid]
    kinds = [kind for kind in (*KINDS, PUBLISHED) if any(kind in (point.kinds or {}) for point in valid)]
    rows = [
        [p.preset, *p.values.values(), p.params, p.flops, *[(p.kinds or {}).get(kind, 0) for kind in kinds]]
        for p in valid
    ]
    render.csv(["preset", *grid, "params", "flops", *kinds], rows)
    for point in points:
        if not point.valid:
            at = " ".join(f"{key}={written(value)}" for key, value in point.values.items())
            render.warning(f"left out {point.preset} {at}: {point.problems[0].message} [{point.problems[0].code}]")


_PRINT = {"text": _text, "json": _json, "csv": _csv}
