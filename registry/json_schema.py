"""One JSON Schema (draft 2020-12) of preset documents, for editors: completion, hover text, and squiggles as you type.

It says what a schema can say: names, fields, types, bounds, kinds. Rules across fields, widths that must agree and
shapes are for `registry.check`; here they are text to read. Where `check` is content, so is the schema.

Definitions, under `#/$defs/`:

* `rms_norm`: the mapping that configures a component, everything required in place;
* `rms_norm.partial`: the same for a document that `extends` another, which writes only what it changes;
* `kind.norm-identity`: what fits a slot of these kinds, a bare name or a mapping with `type`;
* `kind.norm-identity.partial`: the same, and a mapping without `type` that changes some fields of what is there;
* `kind.norm-identity.names`: the values `type` may have there;
* `reference`: `${dotted.path}`, which may stand for any scalar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from registry.rules import Rule
from registry.schema import Component, Slot, fields_of
from registry.store import Entry, entries

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""

PARTIAL = ".partial"
_ANY: tuple[str, ...] = ()  # the network itself may be a component of any kind
_NULL: Schema = {"type": "null"}


def json_schema() -> Schema:
    """The JSON Schema of preset documents, over every registered component."""
    found = entries()
    components = {entry.name: _component(entry) for entry in found}
    definitions = {"reference": _REFERENCE, **components}
    definitions |= {entry.name + PARTIAL: _partial_component(entry) for entry in found}
    for kinds in {_ANY, *(mark.kinds for entry in found for mark in fields_of(entry.schema).slots.values())}:
        definitions[f"{_key(kinds)}.names"] = _names(_fitting(kinds))
        definitions[_key(kinds)] = _kind(kinds)
        definitions[_key(kinds) + PARTIAL] = _partial_kind(kinds, components)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Preset",
        "description": "A neural network, or what it changes in the one it extends.",
        "type": "object",
        "properties": {
            "summary": {"description": "One line about the network.", "type": ["string", "null"]},
            "extends": {
                "description": "A preset, or a YAML file beside or below this one, that this document changes.",
                "type": ["string", "null"],
            },
            "network": {"description": "The network: a mapping with `type`."},
            "input": {"description": "What the network is fed, where it does not say so itself."},
        },
        "additionalProperties": False,
        "if": {"properties": {"extends": {"type": "string"}}, "required": ["extends"]},
        "then": {"properties": {"network": _ref(_key(_ANY) + PARTIAL), "input": _input()}},
        "else": {"properties": {"network": _ref(_key(_ANY)), "input": _input("shape")}, "required": ["network"]},
        "$defs": dict(sorted(definitions.items())),
    }


def value_schema(info: FieldInfo) -> Schema:
    """The JSON Schema of a plain field's value; `{}`, anything, where JSON Schema has no words for its type."""
    marked = (info.annotation, *info.metadata)
    annotated: Any = Annotated.__class_getitem__(marked) if info.metadata else info.annotation  # type: ignore[attr-defined]
    try:
        schema = TypeAdapter(annotated).json_schema()
    except PydanticInvalidForJsonSchema:
        return {}
    return {} if "$defs" in schema else schema


# ---- components -------------------------------------------------------------------------------------------------


def _component(entry: Entry) -> Schema:
    """The mapping that configures `entry`."""
    schema, slots = entry.schema, fields_of(entry.schema).slots
    properties: Schema = {"type": {"description": entry.summary, "enum": _all_names(entry)}}
    for name, info in schema.model_fields.items():
        value = _slot(slots[name]) if name in slots else _with_reference(value_schema(info))
        properties[name] = {**_about(schema, name), **value}
    return _mapping(entry, properties, required=["type", *_required(schema)])


def _partial_component(entry: Entry) -> Schema:
    """Some fields of `entry`, its children partial as well."""
    slots = fields_of(entry.schema).slots
    properties = {name: _ref(f"{entry.name}/properties/{name}") for name in ("type", *entry.schema.model_fields)}
    for name, mark in slots.items():
        properties[name] = {**_about(entry.schema, name), **_slot(mark, PARTIAL)}
    return _mapping(entry, properties)


def _mapping(entry: Entry, properties: Schema, required: Sequence[str] = ()) -> Schema:
    return {
        "title": entry.name,
        "description": _describe(entry),
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _required(schema: type[Component]) -> list[str]:
    """Fields and slots that must be written: no default, and nothing they follow from."""
    fields = fields_of(schema)
    return [n for n, info in schema.model_fields.items() if info.is_required() and n not in fields.follows]


def _slot(mark: Slot, form: str = "") -> Schema:
    value = _ref(_key(mark.kinds) + form)
    if mark.many:
        value = {"type": "object", "minProperties": 0 if form else 1, "additionalProperties": value}
    return {"anyOf": [value, _NULL]} if mark.default is None else value


# ---- kinds ------------------------------------------------------------------------------------------------------


def _kind(kinds: tuple[str, ...], form: str = "", untyped: Schema | None = None) -> Schema:
    """What fits a slot of `kinds`; `untyped` is what a mapping without `type` must be, where it may be at all."""
    fitting = _fitting(kinds)
    mapping: Schema = {
        "type": "object",
        "properties": {"type": {"anyOf": [_ref(f"{_key(kinds)}.names"), _ref("reference")]}},
        # Not oneOf: with a condition on `type`, errors and completion are those of one component.
        "allOf": [{"if": _typed(_all_names(entry)), "then": _ref(entry.name + form)} for entry in fitting],
    }
    if untyped is None:
        mapping["required"] = ["type"]
    else:
        mapping |= {"if": {"required": ["type"]}, "else": untyped}
    bare = [entry for entry in fitting if not _required(entry.schema)]
    # Editors show the errors of the first option that fits best: a misspelt name gets the list of names.
    return {"anyOf": [*([_names(bare)] if bare else []), mapping, _ref("reference")]}


def _partial_kind(kinds: tuple[str, ...], components: Mapping[str, Schema]) -> Schema:
    """What fits a slot of `kinds`, or changes what is there."""
    untyped: Schema = {"properties": _union(kinds or ("network",), components)}
    if kinds:
        untyped["additionalProperties"] = False
    else:  # completion offers the fields of networks, but every other component may stand here
        untyped["propertyNames"] = {"enum": sorted(_union(_ANY, components))}
    return _kind(kinds, PARTIAL, untyped)


def _union(kinds: tuple[str, ...], components: Mapping[str, Schema]) -> Schema:
    """Every field of every component of `kinds`: its schema where all agree on it, else any of theirs."""
    found: dict[str, list[tuple[Schema, Schema]]] = {}
    for entry in _fitting(kinds):
        for name, schema in components[entry.name]["properties"].items():
            value = {key: part for key, part in schema.items() if key not in ("default", "description")}
            known = found.setdefault(name, [])
            if name != "type" and value not in [other for other, _ in known]:
                known.append((value, _ref(f"{entry.name}{PARTIAL}/properties/{name}")))
    unions = {name: [ref for _, ref in known] for name, known in found.items() if known}
    return {name: refs[0] if len(refs) == 1 else {"anyOf": refs} for name, refs in sorted(unions.items())}


def _typed(names: Sequence[str]) -> Schema:
    return {"properties": {"type": {"enum": names}}, "required": ["type"]}


def _fitting(kinds: tuple[str, ...]) -> list[Entry]:
    return [entry for entry in entries() if not kinds or entry.kind in kinds]


def _names(of: Iterable[Entry]) -> Schema:
    """Names and aliases of some entries; the summaries are for editors that show them in completion."""
    named = [(name, entry.summary) for entry in of for name in _all_names(entry)]
    return {
        "type": "string",
        "enum": [name for name, _ in named],
        "enumDescriptions": [summary for _, summary in named],
    }


def _all_names(entry: Entry) -> list[str]:
    return [entry.name, *entry.aliases]


def _key(kinds: tuple[str, ...]) -> str:
    return f"kind.{'-'.join(kinds) or 'any'}"


def _ref(definition: str) -> Schema:
    return {"$ref": f"#/$defs/{definition}"}


# ---- values -----------------------------------------------------------------------------------------------------

_REFERENCE: Schema = {
    "description": "The scalar at this path, counted from the root of the document.",
    "type": "string",
    "pattern": r"^\$\{[A-Za-z0-9_.-]+\}$",
}


def _with_reference(value: Schema) -> Schema:
    """`value`, with a reference allowed in the place of every scalar: itself, or an item of a list."""
    if not value:
        return value
    options = [_with_reference_items(option) for option in value.get("anyOf", [value])]
    if any(option.get("type") != "array" for option in options):
        options.append(_ref("reference"))
    return options[0] if len(options) == 1 else {"anyOf": options}


def _with_reference_items(value: Schema) -> Schema:
    return {**value, "items": _with_reference(value["items"])} if "items" in value else value


def _input(*required: str) -> Schema:
    """The `input` section."""
    extents = {"type": "array", "minItems": 1, "items": _with_reference({"type": "integer", "minimum": 1})}
    properties = {
        "shape": {"description": "Shape of one input, without the batch axis, channels last.", **extents},
        "condition": {"description": "Shape of one conditioning input.", "anyOf": [extents, _NULL]},
    }
    mapping = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return {"anyOf": [mapping, _NULL]}


# ---- words ------------------------------------------------------------------------------------------------------


def _describe(entry: Entry) -> str:
    """Summary, paper and rules of a component."""
    paper = entry.schema.paper and f"Paper: {entry.schema.paper}"
    rules = "\n".join(f"- {_state(rule)}" for rule in entry.schema.rules)
    return "\n\n".join(filter(None, (entry.summary, paper, rules and f"Rules:\n{rules}")))


def _state(rule: Rule) -> str:
    severity = "" if rule.severity == "error" else f" ({rule.severity})"
    return f"{rule.statement}{severity}{f': {rule.why}' if rule.why else ''}"


def _about(schema: type[Component], name: str) -> Schema:
    """Description and default of a field or slot; the description lists the rules that mention it."""
    info, fields = schema.model_fields[name], fields_of(schema)
    follows = fields.follows.get(name)
    lines = [info.description or "", f"Follows from `{follows.value.text}`; may be left out." if follows else ""]
    lines += [f"Rule: {r.statement}" for r in schema.rules if re.search(rf"\b{name}\b", r.statement)]
    about: Schema = {"description": "\n\n".join(filter(None, lines))}
    if name in fields.slots and not info.is_required():
        about["default"] = fields.slots[name].default
    elif not info.is_required():
        about["default"] = to_jsonable_python(info.get_default(call_default_factory=True))
    return {key: value for key, value in about.items() if value != ""}
