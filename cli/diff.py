"""`arch diff`: what two presets say differently, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli import example, inputs, render
from cli.figures import counted, memory_labels, refuse, said, unit_name
from registry.cost import Counting
from registry.diff import Change, Difference, Figure, diff

LONGEST = 60
"""Characters of one value."""


def diff_presets(left: str, right: str, overrides: tuple[list[str], list[str]], counting: Counting, form: str) -> None:
    """Print what differs."""
    refuse(counting)
    plans = [inputs.load(preset, own) for preset, own in zip((left, right), overrides, strict=True)]
    found = diff(plans[0], plans[1], **counting)
    if form == "json":
        render.data({"left": left, "right": right, **counting, **found.to_dict()})
        return
    names = [" ".join([preset, *own]) for preset, own in zip((left, right), overrides, strict=True)]
    render.heading(names[0], " → ", (names[1], "bold"))
    render.heading("", (said(counting), "dim"))
    render.plain("")
    _changes(found.changes)
    render.plain("")
    _figures(found, counting)


def _changes(changes: Sequence[Change]) -> None:
    """One row for each change; one for all that say the same of fields of one name."""
    if not changes:
        render.heading("", "the configurations are the same")
        return
    groups: dict[Any, list[Change]] = {}
    for change in changes:
        says = (change.path.rpartition(".")[2], change.change, repr(change.left), repr(change.right))
        groups.setdefault(says, []).append(change)
    made = render.table("configuration", "left", "right")
    for first, *rest in groups.values():
        more = (f" and {len(rest)} more", "dim") if rest else ""
        left = "" if first.change == "added" else _value(first.left)
        right = "" if first.change == "removed" else _value(first.right)
        path = first.path or "network"
        made.add_row(render.styled(path, more), render.styled((left, "red")), render.styled((right, "green")))
    render.show(made)


def _value(value: Any) -> str:
    """A value on one line; a component by its name."""
    text = str(value["type"]) if isinstance(value, dict) and "type" in value else example.yaml(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _figures(found: Difference, counting: Counting) -> None:
    convention, unit = counting["convention"], counting["unit"]
    left = counted({kind: figure.left for kind, figure in found.kinds.items()}, convention, unit)
    right = counted({kind: figure.right for kind, figure in found.kinds.items()}, convention, unit)
    made = render.table("", "left", "right", "difference", "%", right=("left", "right", "difference", "%"))
    rows = [(unit_name(unit), found.flops, "")]
    kinds = [kind for kind in found.kinds if kind in left or kind in right]
    rows += [(f"  {kind}", Figure(left.get(kind, 0), right.get(kind, 0)), "") for kind in kinds]
    rows.append(("parameters", found.params, ""))
    for key, label in memory_labels(counting["dtype"], counting["optimizer"]).items():
        if key in found.memory:
            rows.append((label if key == "total_bytes" else f"  {label}", found.memory[key], "B"))
    for label, figure, suffix in rows:
        style = "" if label.startswith(" ") else "bold"
        made.add_row(
            render.styled((label, style)),
            render.human(figure.left, suffix),
            render.human(figure.right, suffix),
            render.styled((signed(figure.difference, suffix), "dim" if not figure.difference else "")),
            _percent(figure),
        )
    render.show(made)


def signed(count: int, unit: str = "") -> str:
    """`+1.20 G`, `-384`, or nothing for none."""
    return f"{'+' if count > 0 else '-'}{render.human(abs(count), unit)}" if count else ""


def _percent(figure: Figure) -> str:
    if not figure.difference or figure.ratio is None:
        return ""
    return f"{100 * (figure.ratio - 1):+.1f}"
