"""Shares of one cost as bars, and several costs side by side."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from cli import render
from cli.figures import cell, counted, table, unit_name
from cli.tree import spans
from registry.breakdown import By, Share, breakdown
from registry.cost import Cost

if TYPE_CHECKING:
    from rich.text import Text

BAR, SHORT = 30, 8
"""Cells of the longest bar, where there is room for it and where there is not."""
FIGURES = 34
"""Cells of the columns beside the label and the bar."""
HEADS = {"path": "module", "component": "component", "kind": "operation"}
"""Heading of the first column, by what a cost is cut into."""
_INDEX = re.compile(r"(?<=\.)\d+(?=\.|$)")


def bars(found: Cost, by: By, depth: int | None) -> None:
    """One row a share, the largest first; modules that differ in nothing but indices are one row."""
    shares = breakdown(found, by, depth)
    groups = fold(shares) if by == "path" else [[share] for share in shares]
    groups.sort(key=lambda group: -group[0].flops * len(group))
    flops = [sum(one.flops for one in group) for group in groups]
    labels = [row_label(group, by) for group in groups]
    width = _bar_width(max((label.cell_len for label in labels), default=0))
    unit = unit_name(found.unit)
    made = render.table(HEADS[by], unit, "%", "", *([] if by == "kind" else ["params"]), right=(unit, "%", "params"))
    for label, group, count in zip(labels, groups, flops, strict=True):
        params = [] if by == "kind" else [cell(sum(one.params or 0 for one in group))]
        drawn = render.styled((render.bar(count, max(flops), width), "cyan"))
        made.add_row(label, cell(count), render.percent(count, found.flops), drawn, *params)
    if render.stdout().is_terminal:
        made.columns[0].max_width = max(render.stdout().width - FIGURES - width, SHORT)
    render.show(made)
    if by != "kind":
        below = f", and all that is deeper than {depth}" if depth is not None and by == "path" else ""
        render.footnote(f"each row is what its modules do themselves{below}; the rows add up to the whole")


def _bar_width(label: int) -> int:
    """Cells for the longest bar beside labels as long as `label`."""
    console = render.stdout()
    return min(BAR, max(SHORT, console.width - FIGURES - label)) if console.is_terminal else BAR


def fold(shares: Sequence[Share]) -> list[list[Share]]:
    """Shares of modules that differ in nothing but the indices in their paths, together."""
    groups: dict[tuple[object, ...], list[Share]] = {}
    for share in shares:
        key = (_INDEX.sub("*", share.name), share.type, share.flops, share.params)
        groups.setdefault(key, []).append(share)
    return list(groups.values())


def row_label(group: Sequence[Share], by: By) -> Text:
    """What to call a group of equal shares: path or component, how many, of what type."""
    count = sum(one.count for one in group)
    many = f" {render.TIMES}{count}" if count > 1 else ""
    kind = f"  {group[0].type}" if by == "path" and group[0].name else ""
    return render.styled(_label(group), (many, "cyan"), (kind, "dim"))


def _label(group: Sequence[Share]) -> str:
    """The path of a group, its indices in few characters where only one of them varies."""
    first = group[0]
    indices = [[int(index) for index in _INDEX.findall(share.name)] for share in group]
    varying = [place for place, values in enumerate(zip(*indices, strict=True)) if len(set(values)) > 1]
    if not varying:
        return first.name or first.type
    written = {
        place: spans(sorted(values[place] for values in indices)) if len(varying) == 1 else "*" for place in varying
    }
    places = iter(range(len(indices[0])))
    return _INDEX.sub(lambda match: written.get(next(places), match[0]), first.name)


def side_by_side(costs: Sequence[tuple[str, Cost]], by: By | None, depth: int | None) -> None:
    """Several presets: one row each, or one column each where `by` says what the rows are."""
    if by is None:
        _totals(costs)
        return
    shares = [{share.name: share for share in breakdown(found, by, depth)} for _, found in costs]
    names = dict.fromkeys(name for one in shares for name in one)
    size = {name: max(one[name].flops for one in shares if name in one) for name in names}
    columns = {HEADS[by]: [name or "(root)" for name in sorted(names, key=lambda name: -size[name])]}
    for (preset, _), one in zip(costs, shares, strict=True):
        figures = [one[name].flops if name in one else 0 for name in sorted(names, key=lambda name: -size[name])]
        columns[_free(preset, columns)] = [*map(cell, figures)]
    columns[HEADS[by]].append("total")
    for head, (_, found) in zip(list(columns)[1:], costs, strict=True):
        columns[head].append(cell(found.flops))
    table(columns, [HEADS[by]])


def _free(name: str, taken: Container[str]) -> str:
    """`name`, or with a number where a column has it already."""
    return name if name not in taken else next(f"{name} {n}" for n in range(2, 10**6) if f"{name} {n}" not in taken)


def _memory(costs: Sequence[Cost]) -> dict[str, list[str]]:
    """The bytes of the weights, and those of training."""
    keys = {costs[0].dtype: "param_bytes", **({"memory": "total_bytes"} if costs[0].mode == "train" else {})}
    return {head: [render.human(found.memory[key], "B") for found in costs] for head, key in keys.items()}


def _totals(costs: Sequence[tuple[str, Cost]]) -> None:
    first = costs[0][1]
    columns = {
        "preset": [preset for preset, _ in costs],
        "params": [cell(found.params) for _, found in costs],
        **_memory([found for _, found in costs]),
        unit_name(first.unit): [cell(found.flops) for _, found in costs],
        "ratio": [f"{found.flops / first.flops:.3f}" if first.flops else "" for _, found in costs],
    }
    table(columns, ["preset"], [counted(found.kinds, found.convention, found.unit) for _, found in costs])
    render.footnote(f"ratio: {unit_name(first.unit)} over those of {costs[0][0]}")
