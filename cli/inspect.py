"""`arch inspect`: the tree of components with types, shapes and parameters."""

from __future__ import annotations

from typing import Any

from cli import inputs, render, tree
from registry.plan import Node
from registry.schema import fields_of


def inspect(preset: str, overrides: list[str], depth: int | None, form: str) -> None:
    """Print the components of a preset."""
    plan = inputs.load(preset, overrides)
    root = plan.tree()
    if form == "json":
        render.data(to_dict(root, depth))
        return
    render.heading(preset, f": {plan.summary}" if plan.summary else "")
    render.plain("")
    _show(root, depth)


def to_dict(node: Node, depth: int | None = None) -> dict[str, Any]:
    """A node as plain data; `flops` by convention `all`, null where the input is unknown."""
    below = None if depth is None else depth - 1
    return {
        "path": node.path,
        "type": node.type,
        "kind": node.kind,
        "params": node.params,
        "flops": sum(node.counts.values()) if node.records else None,
        "input_shape": _labels(node.input_shape),
        "output_shape": _labels(node.output_shape),
        "config": own_fields(node),
        "children": [to_dict(child, below) for child in node.children] if depth != 0 else [],
    }


def own_fields(node: Node) -> dict[str, Any]:
    """The plain fields of a component, those of its children left out."""
    plain = fields_of(type(node.config)).plain
    return {name: value for name, value in node.config.to_dict().items() if name in plain}


def _labels(shape: Any) -> list[int | str] | None:
    labels: list[int | str] | None = None if shape is None else shape.labels
    return labels


def _show(root: Node, depth: int | None) -> None:
    rows = tree.rows(root, depth)
    flops = [sum(row.node.counts.values()) * row.times for row in rows]
    columns = {
        "input": [render.shape(row.node.input_shape) for row in rows],
        "output": [render.shape(row.node.output_shape) for row in rows],
        "params": [render.human(row.node.params * row.times) if row.node.params else "" for row in rows],
        "FLOPs": [render.human(count) if count else "" for count in flops],
    }
    if not root.records:
        columns = {"params": columns["params"]}
    labels = [render.branch(row.guide, row.name, row.count, row.node.type) for row in rows]
    render.tree_table(labels, columns, left=("input", "output"), optional=("input", "FLOPs"))
    if any(row.count > 1 for row in rows):
        render.footnote(f"{render.TIMES}n: n equal modules in one row, with the sum of their parameters and FLOPs")
    if not root.records:
        render.footnote("shapes are unknown: add input: {shape: [...]} to the preset")
