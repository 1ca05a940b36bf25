"""`arch flops`: what one pass costs, in total, by kind of operation and by component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli import compare, inputs, render, tree
from cli.figures import cell, counted, kind_columns, memory_labels, refuse, said, unit_name
from registry.breakdown import By, breakdown
from registry.cost import Cost, Counting, cost
from registry.tape import KINDS, PUBLISHED


def flops(
    presets: Sequence[str],
    overrides: list[str],
    counting: Counting,
    depth: int | None,
    by: By | None,
    form: str,
) -> None:
    """Print the cost of a preset, or of several side by side."""
    refuse(counting)
    plans = [inputs.load(preset, overrides) for preset in presets]
    costs = [(preset, cost(plan, **counting)) for preset, plan in zip(presets, plans, strict=True)]
    if form == "json":
        reports = [_report(preset, found, depth, by) for preset, found in costs]
        render.data(reports if len(reports) > 1 else reports[0])
    elif form == "csv":
        _csv(costs, depth, by)
    elif len(costs) == 1:
        _one(*costs[0], counting, depth, by)
    else:
        render.heading("", (said(counting), "dim"))
        render.plain("")
        compare.side_by_side(costs, by, depth)


def _report(preset: str, found: Cost, depth: int | None, by: By | None) -> dict[str, Any]:
    shares = {"by": by, "shares": [share.to_dict() for share in breakdown(found, by, depth)]} if by else {}
    return {**found.to_dict(depth), "preset": preset, **shares}


def _csv(costs: Sequence[tuple[str, Cost]], depth: int | None, by: By | None) -> None:
    """One row a preset, or one a share where `by` says what; a single preset is cut by module."""
    kinds = [kind for kind in (*KINDS, PUBLISHED) if any(kind in found.kinds for _, found in costs)]
    if by is None and len(costs) > 1:
        memory = list(costs[0][1].memory)
        rows = [
            [preset, found.params, found.flops, *[found.kinds.get(kind, 0) for kind in kinds], *found.memory.values()]
            for preset, found in costs
        ]
        render.csv(["preset", "params", "flops", *kinds, *memory], rows)
        return
    shares = [(preset, share) for preset, found in costs for share in breakdown(found, by or "path", depth)]
    render.csv(
        ["preset", by or "path", "type", "count", "params", "flops", *kinds],
        [
            [preset, one.name, one.type, one.count, one.params, one.flops, *[one.kinds.get(kind, 0) for kind in kinds]]
            for preset, one in shares
        ],
    )


def _one(preset: str, found: Cost, counting: Counting, depth: int | None, by: By | None) -> None:
    render.heading(preset, f": {found.plan.summary}" if found.plan.summary else "")
    render.heading("", (said({**counting, "batch": found.batch}), "dim"))
    render.plain("")
    if by:
        compare.bars(found, by, depth)
        return
    _totals(found)
    render.plain("")
    _tree(found, depth)


def _totals(found: Cost) -> None:
    """The figures of the whole network, for people and exactly."""
    grid = render.grid("left", "right", "right", "right")
    grid.add_row(render.styled((unit_name(found.unit), "bold")), *_figure(found.flops))
    for kind, count in counted(found.root.counts, found.convention, found.unit).items():
        grid.add_row(f"  {kind}", *_figure(count), render.styled((f"{render.percent(count, found.flops)} %", "dim")))
    grid.add_row(render.styled(("parameters", "bold")), *_figure(found.params))
    for key, label in memory_labels(found.dtype, found.optimizer).items():
        if found.memory.get(key):
            whole = key == "total_bytes"
            share = "" if whole else f"{render.percent(found.memory[key], found.memory['total_bytes'])} %"
            name = render.styled((label, "bold")) if whole else f"  {label}"
            grid.add_row(name, *_figure(found.memory[key], "B"), render.styled((share, "dim")))
    render.show(grid)


def _figure(count: int, unit: str = "") -> tuple[str, str]:
    return render.human(count, unit), f"{count:,}"


def _tree(found: Cost, depth: int | None) -> None:
    """One row a component, those without operations and parameters left out; equal ones together."""
    rows = tree.rows(found.whole, depth, lambda node: bool(found.project(node.counts) or node.params))
    labels = [render.branch(row.guide, row.name, row.count, row.node.type) for row in rows]
    totals = [found.project(row.node.counts) * row.times for row in rows]
    columns = {
        unit_name(found.unit): [cell(total) for total in totals],
        "%": [render.percent(total, found.flops) for total in totals],
        "params": [cell(row.node.params * row.times) for row in rows],
        "memory": [render.human(found.bytes_of(row.node) * row.times, "B") for row in rows],
    }
    taken = max(label.cell_len for label in labels) + sum(max(map(len, cells)) for cells in columns.values())
    room = render.stdout().width - min(taken, render.LABEL + 24) - render.GAP * len(columns)
    kinds = [counted(row.node.counts, found.convention, found.unit) for row in rows]
    times = [{kind: count * row.times for kind, count in one.items()} for one, row in zip(kinds, rows, strict=True)]
    render.tree_table(labels, {**columns, **kind_columns(times, kinds[0], room)})
    if any(row.count > 1 for row in rows):
        render.footnote(
            f"{render.TIMES}n: n equal modules in one row, with their sum; what the rows below one leave is its own"
        )
