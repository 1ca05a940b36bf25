"""What every command that counts has in common: what was counted in words, its kinds, and columns for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli import render
from cli.guard import Refused
from registry.cost import CONVENTIONS, Convention, Counting, Unit
from registry.optimizers import OPTIMIZERS, unknown

MEANING: Mapping[str, str] = {
    "all": "every scalar operation",
    "complex-fft": "every scalar operation, FFTs as complex ones",
    "matmul": "matrix products and convolutions only",
    "mac": "multiply-adds of matrix products and convolutions",
    "nvsubquadratic": "the reference library's formulas: one image, forward",
}
"""What each convention counts."""
KIND_WIDTH = 10
"""Cells of the column of a kind, with the space before it; `transcendental` takes some more."""


def refuse(counting: Counting) -> None:
    """Refuse what cannot be counted.

    Raises:
        Refused: multiply-adds of formulas that have none, cached kernels while training, an unknown optimizer.
    """
    if counting["optimizer"] not in OPTIMIZERS:
        raise Refused(unknown(counting["optimizer"]))
    published = counting["convention"] == "nvsubquadratic"
    if published and counting["unit"] == "mac":
        raise Refused("Expected --unit flop with --convention nvsubquadratic, got mac: its formulas give FLOPs only")
    if counting["mode"] == "train" and counting["cached_kernels"] and not published:
        raise Refused("Expected --cached-kernels only with --mode forward, got train: training changes the kernels")


def said(counting: Counting) -> str:
    """What was counted, in words."""
    cached = ", kernels cached" if counting["cached_kernels"] else ""
    means = f"convention {counting['convention']}: {MEANING[counting['convention']]}"
    return f"{counting['mode']} pass of batch {counting['batch']:,}{cached}, {means}"


def memory_labels(dtype: str, optimizer: str) -> dict[str, str]:
    """What to call each entry of `Cost.memory`, the sum first."""
    return {
        "total_bytes": "memory",
        "param_bytes": f"weights, {dtype}",
        "buffer_bytes": "buffers",
        "state_bytes": "recurrent state",
        "grad_bytes": "gradients",
        "optimizer_bytes": f"optimizer, {optimizer}",
        "saved_bytes": "saved for backward",
    }


def unit_name(unit: Unit) -> str:
    """Heading of a column of figures."""
    return "MACs" if unit == "mac" else "FLOPs"


def counted(counts: Mapping[str, int], convention: Convention, unit: Unit) -> dict[str, int]:
    """The kinds that add up to the figure, in its unit."""
    kinds: Sequence[str] = CONVENTIONS[convention]
    if unit == "mac":
        return {kind: counts[kind] // 2 for kind in kinds if kind in ("matmul", "conv") and counts.get(kind)}
    return {kind: counts[kind] for kind in kinds if counts.get(kind)}


def cell(count: int | None) -> str:
    """A figure in a table; nothing for none."""
    return render.human(count) if count else ""


def kind_columns(rows: Sequence[Mapping[str, int]], total: Mapping[str, int], room: int) -> dict[str, list[str]]:
    """Columns of kinds beside a table, the small ones together as `other`, as many as `room` cells hold.

    Args:
        rows: What `counted` gives, one for each row.
        total: The kinds to show, and how large they are.
        room: Free cells.
    """
    columns = {}
    for kinds in _groups(total, room):
        counts = [sum(row.get(kind, 0) for kind in kinds) for row in rows]
        columns[kinds[0] if len(kinds) == 1 else "other"] = [cell(count) for count in counts]
    return columns


def _groups(counts: Mapping[str, int], room: int) -> list[list[str]]:
    """Kinds that get a column, the small ones together in the last, as many as `room` cells hold; or none."""
    places = room // KIND_WIDTH
    if len(counts) < 2 or places < 2:
        return []
    if len(counts) <= places:
        return [[kind] for kind in counts]
    large = sorted(counts, key=lambda kind: -counts[kind])[: places - 1]
    return [[kind] for kind in counts if kind in large] + [[kind for kind in counts if kind not in large]]


def table(columns: Mapping[str, Sequence[str]], left: Sequence[str], kinds: Sequence[Mapping[str, int]] = ()) -> None:
    """Print columns, and columns of `kinds` (what `counted` gives, one for each row) where there is room for them."""
    total: dict[str, int] = {}
    for row in kinds:
        for kind, count in row.items():
            total[kind] = total.get(kind, 0) + count
    taken = sum(max(map(len, (head, *cells))) + render.GAP for head, cells in columns.items())
    shown = {**columns, **kind_columns(kinds, total, render.stdout().width - taken)}
    made = render.table(*shown, right=[head for head in shown if head not in left])
    for cells in zip(*shown.values(), strict=True):
        made.add_row(*[render.styled(text) for text in cells])
    render.show(made)
