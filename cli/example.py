"""A small valid configuration of any component, found by answering what the checker says is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from registry import store
from registry.errors import InvalidConfig, Problem, Unreadable
from registry.json_schema import value_schema
from registry.plan import Node, Plan, load
from registry.reader import parse_value
from registry.schema import fields_of
from registry.sources import presets
from registry.store import Entry
from registry.tape import KINDS

ROUNDS = 12
"""How often to answer; every round goes one level deeper."""
SMALL = 8
"""A width for examples: even, and divisible by the usual numbers of heads."""


def describe(entry: Entry) -> dict[str, Any] | None:
    """Configuration, parameters and operations of an example, or None where there is none.

    A small one is made up; where that is not possible, the first preset that has such a component gives one.
    """
    plan, config = find(entry)
    node = plan.tree() if plan is not None else None
    preset = ""
    if node is None:
        preset, node = _in_presets(entry)
    if node is None:
        return None
    start = len(node.path) + 1 if node.path else 0
    return {
        "config": node.config.to_dict() if preset else config,
        "preset": preset,
        "path": node.path,
        "parameters": [
            {"name": f"{part.path}.{name}"[start:].removeprefix("."), "shape": list(shape)}
            for part in node.walk()
            for name, shape in part.config.parameters().items()
        ],
        "params": node.params,
        "input_shape": node.input_shape.labels if node.input_shape is not None else [],
        "kinds": {kind: node.counts[kind] for kind in KINDS if kind in node.counts} if node.records else None,
    }


def _in_presets(entry: Entry) -> tuple[str, Node | None]:
    """The first module of this type in a preset, and which one that is."""
    for preset in presets():
        try:
            tree = load(preset).tree()
        except InvalidConfig:
            continue
        for node in tree.walk():
            if node.type == entry.name:
                return preset, node
    return "", None


def find(entry: Entry) -> tuple[Plan | None, dict[str, Any]]:
    """A plan and the configuration it comes from."""
    config: dict[str, Any] = {"type": entry.name}
    for _ in range(ROUNDS):
        try:
            return load(config), config
        except InvalidConfig as refused:
            if not all(_answer(config, problem) for problem in refused.problems if problem.severity == "error"):
                break
    return None, config


def _answer(config: dict[str, Any], problem: Problem) -> bool:
    """Write what `problem` says is missing; whether it could be done."""
    *parents, name = problem.path.split(".")
    if problem.code != "missing-field":
        return False
    node = config
    for step in parents:
        mark = fields_of(store.get(node["type"]).schema).slots.get(step)
        if mark is None or mark.many:
            return False
        child = node.setdefault(step, mark.default)
        node[step] = node = {"type": child} if isinstance(child, str) else child
    schema = store.get(node["type"]).schema
    if name in fields_of(schema).slots:
        slot = fields_of(schema).slots[name]
        known = [entry.name for kind in slot.kinds for entry in store.entries(kind)]
        if slot.many or not known:
            return False
        node[name] = {"type": known[0]}
        return True
    node[name] = _small(value_schema(schema.model_fields[name]))
    return node[name] is not None


def _small(schema: dict[str, Any]) -> Any:
    """A small legal value, or None."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _small(schema["anyOf"][0])
    kind = schema.get("type")
    if kind == "integer":
        return min(max(SMALL, schema.get("minimum", SMALL)), schema.get("maximum", SMALL))
    if kind == "number":
        return float(min(max(1.0, schema.get("minimum", 1.0)), schema.get("maximum", 1.0)))
    if kind == "boolean":
        return False
    if kind == "array" and "items" in schema:
        return [_small(schema["items"])] * schema.get("minItems", 1)
    return None


# ---- fields in words --------------------------------------------------------------------------------------------


def type_of(schema: dict[str, Any]) -> tuple[str, str]:
    """A JSON Schema in words: the type, such as `integer` or `relu | gelu`, and its bounds, such as `1 to 8`."""
    if "anyOf" in schema:
        parts = [type_of(part) for part in schema["anyOf"]]
        return " | ".join(part[0] for part in parts), ", ".join(part[1] for part in parts if part[1])
    if "enum" in schema:
        return " | ".join(yaml(value) for value in schema["enum"]), ""
    if "const" in schema:
        return yaml(schema["const"]), ""
    kind = str(schema.get("type", "any"))
    if kind == "array":
        item, bounds = type_of(schema.get("items", {}))
        return f"list of {item}", bounds
    return kind, _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    signs = (("≥", low), (">", schema.get("exclusiveMinimum")), ("≤", high), ("<", schema.get("exclusiveMaximum")))
    return ", ".join(f"{sign} {bound:,}" for sign, bound in signs if bound is not None)


def yaml(value: Any) -> str:
    """A value as YAML writes it on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(yaml, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not _is_bare(value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _is_bare(text: str) -> bool:
    """Whether a text means itself without quotes, in brackets as well."""
    try:
        return bool(parse_value(f"[{text}]", "") == [text])
    except Unreadable:
        return False
