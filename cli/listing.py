"""`arch list`, `arch presets`, `arch show`, `arch limits`, `arch schema`: what there is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cli import example, render
from cli.guard import Refused
from registry import discover, reader, sources, store
from registry.errors import Unreadable, clip
from registry.json_schema import json_schema, value_schema
from registry.limits import LIMITS
from registry.names import did_you_mean
from registry.rules import Rule
from registry.schema import Component, Slot, fields_of
from registry.store import Entry

if TYPE_CHECKING:
    from rich.text import Text

SHOWN_PARAMETERS = 16
"""Parameters of the example that `arch show` prints; JSON has all."""


# ---- the catalogue ----------------------------------------------------------------------------------------------


def components(kind: str | None, form: str) -> None:
    """Print every registered component, or those of one kind."""
    for problem in discover.broken():
        render.warning(f"{problem.message}; {problem.hint}")
    known = store.kinds()
    if kind is not None and kind not in known:
        hint = did_you_mean(kind, known) or f"kinds: {', '.join(known)}"
        raise Refused(f"Expected a kind of component, got {clip(kind)!r}; {hint}")
    entries = store.entries(kind)
    if form == "json":
        render.data([_row(entry) for entry in entries])
        return
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.kind, []).append(entry)
    for index, name in enumerate(sorted(groups)):
        if index:
            render.plain("")
        render.heading(name)
        grid = render.grid("left", "prose")
        for entry in groups[name]:
            grid.add_row(entry.name, render.styled((entry.summary, "dim")))
        render.show(grid, indent=2)


def _row(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "kind": entry.kind, "aliases": list(entry.aliases), "summary": entry.summary}


def presets(form: str) -> None:
    """Print every preset with its summary."""
    found = {}
    for name, path in sources.presets().items():
        try:
            summary = reader.read_file(path).data.get("summary")
        except Unreadable as error:
            render.warning(str(error))
            summary = None
        found[name] = summary if isinstance(summary, str) else ""
    if form == "json":
        render.data([{"name": name, "summary": summary} for name, summary in found.items()])
        return
    grid = render.grid("left", "prose")
    for name, summary in found.items():
        grid.add_row(render.styled((name, "bold")), render.styled((summary, "dim")))
    render.show(grid)


def limits(form: str) -> None:
    """Print what a document may cost."""
    if form == "json":
        render.data(asdict(LIMITS))
        return
    grid = render.grid("left", "right")
    for name, value in asdict(LIMITS).items():
        grid.add_row(render.styled(name), f"{value:,}")
    render.show(grid)


def schema() -> None:
    """Print the JSON Schema of presets."""
    render.data(json_schema())


# ---- one component ----------------------------------------------------------------------------------------------


def show(name: str, form: str) -> None:
    """Print everything that is known of one component.

    Raises:
        UnknownComponent: nobody registered it.
    """
    entry = store.get(name)
    facts = describe(entry)
    if form == "json":
        render.data(facts)
        return
    render.heading(entry.name, f"  {entry.kind}", (f"  {entry.module}", "dim"))
    for paragraph in facts["description"].split("\n\n"):
        render.plain("")
        render.heading("", " ".join(paragraph.split()))
    about = render.grid("left", "prose")
    for label, text in (("paper", facts["paper"]), ("aliases", ", ".join(entry.aliases))):
        if text:
            about.add_row(render.styled((label, "bold")), render.styled(text))
    if about.row_count:
        render.plain("")
        render.show(about)
    _show_fields(facts)
    _show_slots(facts)
    _show_rules(facts)
    _show_example(facts["example"])


def describe(entry: Entry) -> dict[str, Any]:
    """Everything that is known of one component, as plain data: the JSON of `arch show`."""
    schema = entry.schema
    fields = fields_of(schema)
    return {
        **_row(entry),
        "description": inspect.getdoc(schema) or "",
        "module": entry.module,
        "source": entry.source,
        "paper": schema.paper,
        "fields": [_field(schema, name) for name in fields.plain],
        "slots": [_slot(schema, name, mark) for name, mark in fields.slots.items()],
        "rules": [_rule(rule) for rule in schema.rules],
        "example": example.describe(entry),
    }


def _field(schema: type[Component], name: str) -> dict[str, Any]:
    info = schema.model_fields[name]
    mark = fields_of(schema).follows.get(name)
    kind, bounds = example.type_of(value_schema(info))
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    return {
        "name": name,
        "type": kind,
        "bounds": bounds,
        "required": info.is_required() and mark is None,
        "default": list(default) if isinstance(default, tuple) else default,
        "follows": mark.value.text if mark else None,
        "description": info.description or "",
    }


def _slot(schema: type[Component], name: str, mark: Slot) -> dict[str, Any]:
    return {
        "name": name,
        "kinds": list(mark.kinds),
        "many": mark.many,
        "required": mark.default is ...,
        "default": None if mark.default is ... else mark.default,
        "gives": {fact: expression.text for fact, expression in mark.gives.items()},
        "description": schema.model_fields[name].description or "",
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {"code": rule.code, "statement": rule.statement, "why": rule.why, "severity": rule.severity}


def _show_fields(facts: Mapping[str, Any]) -> None:
    grid = render.grid("left", "prose")
    for field in facts["fields"]:
        kind = f"{field['type']}{', ' if field['bounds'] else ''}{field['bounds']}"
        grid.add_row(render.styled((field["name"], "bold")), _meaning(kind, _default(field), field["description"]))
    _section("fields", grid)


def _default(field: Mapping[str, Any]) -> tuple[str, str]:
    if field["follows"]:
        return f"follows {_from(field['name'], field['follows'])}", "cyan"
    return _written(field)


def _from(name: str, expression: str) -> str:
    """What a value follows from, in words."""
    return "the parent's" if name == expression else expression


def _written(field: Mapping[str, Any]) -> tuple[str, str]:
    return ("required", "yellow") if field["required"] else (f"default {example.yaml(field['default'])}", "cyan")


def _show_slots(facts: Mapping[str, Any]) -> None:
    grid = render.grid("left", "prose")
    for slot in facts["slots"]:
        kinds = " or ".join(slot["kinds"])
        kind = f"mapping of {kinds}" if slot["many"] else kinds
        grid.add_row(render.styled((slot["name"], "bold")), _meaning(kind, _written(slot), slot["description"]))
    _section("parts", grid)


def _meaning(kind: str, default: tuple[str, str], description: str) -> Text:
    return render.styled(kind, ", ", default, (f"  {description}" if description else "", "dim"))


def _show_rules(facts: Mapping[str, Any]) -> None:
    grid = render.grid("left", "prose")
    for rule in facts["rules"]:
        grid.add_row(render.styled((rule["code"], render.STYLES[rule["severity"]])), render.styled(rule["statement"]))
        if rule["why"]:
            grid.add_row("", render.styled((rule["why"], "dim")))
    _section("rules", grid)


def _section(title: str, grid: render.Table) -> None:
    """A titled block, unless it is empty."""
    if grid.row_count:
        render.plain("")
        render.heading(title)
        render.show(grid, indent=2)


def _show_example(facts: Mapping[str, Any] | None) -> None:
    """A small configuration, its parameters and its operations."""
    if facts is None:
        return
    render.plain("")
    of_preset = f"{facts['path']} of {facts['preset']}" if facts["path"] else facts["preset"]
    render.heading("example", f"  {of_preset if facts['preset'] else example.yaml(facts['config'])}")
    shapes = facts["parameters"]
    grid = render.grid("left", "left")
    for parameter in shapes[:SHOWN_PARAMETERS]:
        grid.add_row(render.styled(parameter["name"]), render.extents(parameter["shape"]) or "scalar")
    render.show(grid, indent=2)
    if len(shapes) > SHOWN_PARAMETERS:
        render.plain(f"  and {len(shapes) - SHOWN_PARAMETERS:,} more")
    render.plain(f"  {render.plural(facts['params'], 'parameter')}")
    if facts["kinds"] is not None:
        kinds = ", ".join(f"{render.human(count)} {kind}" for kind, count in facts["kinds"].items()) or "none"
        shape = render.extents(facts["input_shape"])
        render.write(render.stdout(), render.styled(f"  FLOPs{f' for {shape}' if shape else ''}: {kinds}"))
