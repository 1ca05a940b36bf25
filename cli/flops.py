"""`arch flops`: what one pass costs, in total, by kind of operation and by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli import inputs, render, tree
from cli.guard import Refused
from registry.cost import CONVENTIONS, Convention, Cost, Mode, Unit, cost

MEANING: Mapping[str, str] = {
    "all": "every scalar operation",
    "matmul": "matrix products and convolutions only",
    "nvsubquadratic": "the reference library's formulas: one image, forward",
}
"""What each convention counts."""
KIND_WIDTH = 10
"""Cells of the column of a kind, with the space before it; `transcendental` takes some more."""


def flops(
    preset: str,
    overrides: list[str],
    batch: int,
    mode: Mode,
    convention: Convention,
    unit: Unit,
    depth: int | None,
    cached_kernels: bool,
    form: str,
) -> None:
    """Print the cost of a preset."""
    if convention == "nvsubquadratic" and unit == "mac":
        raise Refused("Expected --unit flop with --convention nvsubquadratic, got mac: its formulas give FLOPs only")
    plan = inputs.load(preset, overrides)
    found = cost(plan, batch, mode, convention=convention, unit=unit, cached_kernels=cached_kernels)
    if form == "json":
        render.data({**found.to_dict(depth), "preset": preset})
        return
    render.heading(preset, f": {plan.summary}" if plan.summary else "")
    said = f"{found.mode} pass of batch {found.batch:,}, convention {convention}: {MEANING[convention]}"
    render.heading("", (said, "dim"))
    render.plain("")
    _totals(found)
    render.plain("")
    _tree(found, depth)


def _totals(found: Cost) -> None:
    """The figures of the whole network, for people and exactly."""
    grid = render.grid("left", "right", "right", "right")
    grid.add_row(render.styled((_unit(found), "bold")), *_figure(found.flops))
    for kind, count in _kinds(found, found.root.counts).items():
        grid.add_row(f"  {kind}", *_figure(count), render.styled((f"{render.percent(count, found.flops)} %", "dim")))
    grid.add_row(render.styled(("parameters", "bold")), *_figure(found.params))
    for label, key in (("  weights, float32", "param_bytes"), ("  buffers, float32", "buffer_bytes")):
        if found.memory[key]:
            grid.add_row(label, *_figure(found.memory[key], "B"))
    render.show(grid)


def _unit(found: Cost) -> str:
    return "MACs" if found.unit == "mac" else "FLOPs"


def _figure(count: int, unit: str = "") -> tuple[str, str]:
    return render.human(count, unit), f"{count:,}"


def _kinds(found: Cost, counts: Mapping[str, int]) -> dict[str, int]:
    """The kinds that add up to the figure, in its unit."""
    kinds: Sequence[str] = CONVENTIONS[found.convention]
    if found.unit == "mac":
        return {kind: counts[kind] // 2 for kind in kinds if kind in ("matmul", "conv") and counts.get(kind)}
    return {kind: counts[kind] for kind in kinds if counts.get(kind)}


def _tree(found: Cost, depth: int | None) -> None:
    """One row a component, those without operations and parameters left out; equal ones together."""
    rows = tree.rows(found.root, depth, lambda node: bool(found.project(node.counts) or node.params))
    labels = [render.branch(row.guide, row.name, row.count, row.node.type) for row in rows]
    totals = [found.project(row.node.counts) * row.times for row in rows]
    columns = {
        _unit(found): [_cell(total) for total in totals],
        "%": [render.percent(total, found.flops) for total in totals],
        "params": [_cell(row.node.params * row.times) for row in rows],
    }
    taken = max(label.cell_len for label in labels) + sum(max(map(len, cells)) for cells in columns.values())
    room = render.stdout().width - min(taken, render.LABEL + 24) - render.GAP * len(columns)
    for kinds in _groups(_kinds(found, found.root.counts), room):
        counts = [sum(_kinds(found, row.node.counts).get(kind, 0) for kind in kinds) * row.times for row in rows]
        columns[kinds[0] if len(kinds) == 1 else "other"] = [_cell(count) for count in counts]
    render.tree_table(labels, columns)
    if any(row.count > 1 for row in rows):
        render.footnote(
            f"{render.TIMES}n: n equal modules in one row, with their sum; what the rows below one leave is its own"
        )


def _cell(count: int) -> str:
    return render.human(count) if count else ""


def _groups(counts: Mapping[str, int], room: int) -> list[list[str]]:
    """Kinds that get a column, the small ones together in the last, as many as `room` cells hold; or none."""
    places = room // KIND_WIDTH
    if len(counts) < 2 or places < 2:
        return []
    if len(counts) <= places:
        return [[kind] for kind in counts]
    large = sorted(counts, key=lambda kind: -counts[kind])[: places - 1]
    return [[kind] for kind in counts if kind in large] + [[kind for kind in counts if kind not in large]]
