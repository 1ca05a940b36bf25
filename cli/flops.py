"""`arch flops`: what one pass costs, in total, by kind of operation and by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli import inputs, render, tree
from registry.cost import CONVENTIONS, Convention, Cost, Mode, Unit, cost
from registry.plan import Node

MEANING: Mapping[str, str] = {
    "all": "every scalar operation",
    "matmul": "matrix products and convolutions only",
    "nvsubquadratic": "the reference library's formulas: one image, forward",
}
"""What each convention counts."""
KIND_WIDTH = 10
"""Cells of one column of figures, with the space before it."""


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
    plan = inputs.load(preset, overrides)
    found = cost(plan, batch, mode, convention=convention, unit=unit, cached_kernels=cached_kernels)
    if form == "json":
        render.data({**found.to_dict(depth), "preset": preset})
        return
    render.heading(preset, f": {plan.summary}" if plan.summary else "")
    render.plain("")
    _totals(found)
    render.plain("")
    _tree(found, depth)


def _totals(found: Cost) -> None:
    """The figures of the whole network, for people and exactly."""
    name = "MACs" if found.unit == "mac" else "FLOPs"
    grid = render.grid("left", "right", "right", "prose")
    said = f"{found.convention}: {MEANING[found.convention]}"
    grid.add_row(name, *_figure(found.flops), render.styled((said, "dim")))
    for kind, count in _kinds(found, found.root.counts).items():
        share = f"{render.percent(count, found.flops)} %"
        grid.add_row(f"  {kind}", *_figure(count), render.styled((share, "dim")))
    memory = found.memory
    grid.add_row("parameters", *_figure(found.params))
    grid.add_row("  memory", *_figure(memory["param_bytes"], "B"), render.styled(("at float32", "dim")))
    if memory["buffer_bytes"]:
        grid.add_row("buffers", *_figure(memory["buffer_bytes"], "B"), render.styled(("at float32", "dim")))
    grid.add_row("pass", render.styled(found.mode), render.styled(f"batch {found.batch:,}"))
    render.show(grid)


def _figure(count: int, unit: str = "") -> tuple[str, str]:
    return render.human(count, unit), f"{count:,}"


def _kinds(found: Cost, counts: Mapping[str, int]) -> dict[str, int]:
    """The kinds that add up to the figure, in its unit."""
    kinds: Sequence[str] = CONVENTIONS[found.convention]
    if found.unit == "mac":
        return {kind: counts[kind] // 2 for kind in kinds if kind in ("matmul", "conv") and counts.get(kind)}
    return {kind: counts[kind] for kind in kinds if counts.get(kind)}


def _tree(found: Cost, depth: int | None) -> None:
    def counts(node: Node) -> bool:
        return bool(found.project(node.counts) or node.params)

    rows = tree.rows(found.root, depth, counts)
    console = render.stdout()
    labels = [render.branch(row.guide, row.name, row.count, row.node.type) for row in rows]
    width = min(max(label.cell_len for label in labels), console.width // 2 + 4)
    kinds = _columns(found, console.width - width - 3 * KIND_WIDTH)
    name = "MACs" if found.unit == "mac" else "FLOPs"
    rest = "other" if kinds and set(kinds) != set(_kinds(found, found.root.counts)) else ""
    figures = [name, "%", "params", *kinds, *([rest] if rest else [])]
    table = render.table("component", *figures, right=figures)
    for row, label in zip(rows, labels):
        total = found.project(row.node.counts) * row.times
        split = {kind: count * row.times for kind, count in _kinds(found, row.node.counts).items()}
        cells = [split.pop(kind, 0) for kind in kinds] + ([sum(split.values())] if rest else [])
        table.add_row(
            label,
            _cell(total),
            render.percent(total, found.flops) if total else "",
            _cell(row.node.params * row.times),
            *[render.styled((_cell(cell), "dim")) for cell in cells],
        )
    render.show(table, console)
    if any(row.count > 1 for row in rows):
        render.write(console, render.styled(("\n×n: n equal modules in one row, which gives their sum", "dim")))


def _cell(count: int) -> str:
    return render.human(count) if count else ""


def _columns(found: Cost, room: int) -> list[str]:
    """The kinds with most operations that have room for a column each; one place is kept for all others."""
    kinds = _kinds(found, found.root.counts)
    places = room // KIND_WIDTH
    if len(kinds) < 2 or places < 2:
        return []
    if len(kinds) > places:
        largest = sorted(kinds, key=lambda kind: -kinds[kind])[: places - 1]
        return [kind for kind in kinds if kind in largest]
    return list(kinds)
