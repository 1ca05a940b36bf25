"""From a raw tree to a typed one: every field, slot and rule of every node, all problems in one run.

The walk goes down the tree once. At each node: find the component, check its plain fields with pydantic, fill in what
follows from the parent, resolve the children with the facts they are given, check the rules. A field that fails is left
out and rules that need it stay silent, so that one fault gives one problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined
from typing_extensions import TypedDict

from registry import store
from registry.errors import Problem, clip
from registry.names import did_you_mean
from registry.reader import Path, dotted
from registry.rules import Expr, Rule, Unknown
from registry.schema import Component, Fields, Follows, Slot, fields_of

CODES: dict[str, str] = {
    "bad-value": "A field whose value has the wrong type or is out of bounds.",
    "mismatch": "A written value disagrees with the one it follows from; it may be left out.",
    "missing-field": "A field without a default that nobody wrote.",
    "missing-type": "A component without the name of what it is.",
    "not-a-component": "Something else where a component belongs.",
    "unknown-component": "A name nobody registered.",
    "unknown-field": "A key the component or the preset does not have.",
    "wrong-kind": "A component of a kind that does not fit here.",
}
"""Codes of problems that no rule of a component gives."""


@dataclass(frozen=True)
class Scope:
    """Facts that reach a node.

    Attributes:
        facts: Their values.
        origins: Path of the field that says each of them.
        lost: Facts that are unknown only because what they follow from is at fault, and was reported.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Path] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()


@dataclass
class Found:
    """A problem on its way out.

    Attributes:
        problem: As far as known; the place in the file is added later.
        path: Of the value to fix.
        at_key: The key is wrong, not its value.
        sources: Fields elsewhere that led to it: (what they say, path).
    """

    problem: Problem
    path: Path
    at_key: bool = False
    sources: tuple[tuple[str, Path], ...] = ()


@dataclass(frozen=True)
class Agreement:
    """A written value that follows from `origin`: does it agree?"""

    origin: Path
    path: Path
    got: Any
    expected: Any
    identity: bool
    found: Found | None


class Checker:
    """Checks one document. Use `component` on the root, then read `found`."""

    def __init__(self) -> None:
        """A checker that has found nothing yet."""
        self._found: list[Found] = []
        self._agreements: list[Agreement] = []

    @property
    def found(self) -> list[Found]:
        """Everything found, with the blame for disagreements settled."""
        return _settle_blame(self._found, self._agreements)

    def report(self, path: Path, code: str, message: str, hint: str = "", **where: Any) -> Found:
        """Note a problem at `path`."""
        severity = where.pop("severity", "error")
        found = Found(Problem(code, message, hint, dotted(path), severity=severity), path, **where)
        self._found.append(found)
        return found

    # ---- one node -------------------------------------------------------------------------------------------

    def component(self, raw: Any, path: Path, kinds: Sequence[str], scope: Scope) -> Component | None:
        """The component described by `raw`, or None when it is too broken to speak of."""
        entry = self._entry(raw, path, kinds)
        if entry is None:
            return None
        schema = entry.schema
        fields = fields_of(schema)
        given: dict[str, Any] = {} if isinstance(raw, str) else {k: v for k, v in raw.items() if k != "type"}
        for name in [name for name in given if name not in schema.model_fields]:
            self.report(
                (*path, name),
                "unknown-field",
                f"Expected a field of {entry.name}, got {clip(name)!r}",
                did_you_mean(str(name), schema.model_fields) or f"fields: {', '.join(schema.model_fields)}",
                at_key=True,
            )
        values = self._plain_fields(schema, fields, {n: v for n, v in given.items() if n in fields.plain}, path)
        failed = {name for name in given if name in fields.plain and name not in values}
        origins: dict[str, Path] = {name: (*path, name) for name in values}
        written = frozenset(values)
        self._follow(schema, fields, values, failed, path, scope, origins)
        self._children(fields, given, values, failed, path, scope, origins)
        names = {**scope.facts, **values, "__written__": written}
        sources = {**scope.origins, **origins}
        for rule in schema.rules:
            self._rule(rule, names, path, sources)
        return self._construct(schema, values, failed, path)

    def _entry(self, raw: Any, path: Path, kinds: Sequence[str]) -> store.Entry | None:
        wanted = _kinds_text(kinds)
        if isinstance(raw, str):
            name: Any = raw
        elif isinstance(raw, dict):
            if "type" not in raw:
                hint = f"add type: one of {_names_text(kinds)}"
                self.report(path, "missing-type", f"Expected {wanted}, got a mapping without type", hint)
                return None
            name = raw["type"]
        else:
            self.report(path, "not-a-component", f"Expected {wanted}, got {clip(_show(raw))}", _example(kinds))
            return None
        at = (*path, "type") if isinstance(raw, dict) else path
        if not isinstance(name, str):
            self.report(at, "not-a-component", f"Expected the name of {wanted}, got {clip(_show(name))}")
            return None
        entry = store.find(name)
        if entry is None:
            hint = did_you_mean(name, store.known_names(kinds) or store.known_names())
            self.report(at, "unknown-component", f"Expected the name of {wanted}, got {clip(name)!r}", hint)
            return None
        if kinds and entry.kind not in kinds:
            message = f"Expected {wanted}, got {entry.name}, which is {_article(entry.kind)}"
            self.report(at, "wrong-kind", message, f"one of {_names_text(kinds)}")
            return None
        return entry

    # ---- plain fields ---------------------------------------------------------------------------------------

    def _plain_fields(
        self, schema: type[Component], fields: Fields, given: dict[str, Any], path: Path
    ) -> dict[str, Any]:
        """The given plain fields that are valid, as pydantic returns them."""
        adapter = _adapter(schema)
        try:
            return adapter.validate_python(given)
        except ValidationError as error:
            details = error.errors(include_url=False)
        bad: dict[str, ErrorDetails] = {}
        for detail in details:
            bad.setdefault(str(detail["loc"][0]), detail)
        for name, detail in bad.items():
            where = (*path, name, *[p for p in detail["loc"][1:] if isinstance(p, int)])
            message, hint = explain(name, detail)
            self.report(where, "bad-value", message, hint)
        return adapter.validate_python({n: v for n, v in given.items() if n not in bad})

    def _follow(
        self,
        schema: type[Component],
        fields: Fields,
        values: dict[str, Any],
        failed: set[str],
        path: Path,
        scope: Scope,
        origins: dict[str, Path],
    ) -> None:
        """Fill in what was left out: from the facts, else the default, else say that it is missing."""
        for name, info in fields.plain.items():
            mark = fields.follows.get(name)
            expected = self._expected(mark, values, scope) if mark else None
            if expected is not None and mark is not None:
                source = _origin(mark.value, scope.origins, origins)
                if name in values:
                    self._agree(mark, name, values[name], expected, path, source)
                elif source is not None and name not in failed:
                    origins[name] = source
                failed.discard(name)
                if name not in values or not mark.keeps:
                    values[name] = expected
            elif name not in values and mark is not None and not scope.lost.isdisjoint(mark.value.names):
                failed.add(name)
            elif name not in values and name not in failed:
                default = info.get_default(call_default_factory=True)
                if default is PydanticUndefined:
                    hint = (info.description or "").rstrip(".")
                    self.report((*path, name), "missing-field", f"Expected {schema.entry.name} to have {name}", hint)
                    failed.add(name)
                else:
                    values[name] = default

    def _expected(self, mark: Follows, values: Mapping[str, Any], scope: Scope) -> Any:
        try:
            return mark.value({**values, **scope.facts})
        except Unknown:
            return None

    def _agree(self, mark: Follows, name: str, got: Any, expected: Any, path: Path, source: Path | None) -> None:
        identity = len(mark.value.names) == 1 and mark.value.text == mark.value.names[0]
        found = None
        if got != expected:
            because = f" ({mark.value.text})" if not identity and mark.value.text.isascii() else ""
            message = f"Expected {name} to be {_show(expected)}{because}, got {_show(got)}"
            hint = f"leave {name} out, or set {name}: {_show(expected)}"
            found = self.report((*path, name), mark.code, message, hint, severity=mark.severity)
            found.sources = ((_show(expected) if identity else mark.value.names[0], source),) if source else ()
        if source is not None and mark.severity == "error":
            self._agreements.append(Agreement(source, (*path, name), got, expected, identity, found))

    # ---- children -------------------------------------------------------------------------------------------

    def _children(
        self,
        fields: Fields,
        given: Mapping[str, Any],
        values: dict[str, Any],
        failed: set[str],
        path: Path,
        scope: Scope,
        origins: dict[str, Path],
    ) -> None:
        for name, mark in fields.slots.items():
            raw = given.get(name, mark.default)
            if raw is ...:
                hint = f"one of {_names_text(mark.kinds)}"
                self.report((*path, name), "missing-field", f"Expected {_kinds_text(mark.kinds)} as {name}", hint)
            elif raw is None and mark.default is None:
                values[name] = None
                continue
            elif mark.many:
                children = self._many(raw, (*path, name), mark, values, scope, origins, failed)
                if children is not None:
                    values[name] = children
                    continue
            else:
                inner = _inner_scope(mark, values, scope, origins, failed)
                child = self.component(raw, (*path, name), mark.kinds, inner)
                if child is not None:
                    values[name] = child
                    continue
            failed.add(name)

    def _many(
        self,
        raw: Any,
        path: Path,
        mark: Slot,
        values: Mapping[str, Any],
        scope: Scope,
        origins: Mapping[str, Path],
        failed: set[str],
    ) -> dict[str, Component] | None:
        if not isinstance(raw, dict) or not raw:
            message = f"Expected a mapping from keys to {_kinds_text(mark.kinds)}, got {clip(_show(raw))}"
            self.report(path, "not-a-component", message)
            return None
        children = {}
        for key, item in raw.items():
            inner = _inner_scope(mark, {**values, "key": key}, scope, origins, failed)
            children[str(key)] = self.component(item, (*path, key), mark.kinds, inner)
        if any(child is None for child in children.values()):
            return None
        return {key: child for key, child in children.items() if child is not None}

    # ---- rules ----------------------------------------------------------------------------------------------

    def _rule(self, rule: Rule, names: Mapping[str, Any], path: Path, origins: Mapping[str, Path]) -> None:
        try:
            faults = list(rule.check(names))
        except (TypeError, AttributeError):  # a child that is too broken for this rule
            return
        for fault in faults:
            at = (*path, *fault.at.split("."))
            if fault.at not in names["__written__"]:  # what follows from elsewhere is fixed where it is written
                at = origins.get(fault.at, at)
            if any(f.path == at and f.problem.code == rule.code for f in self._found):
                continue
            found = self.report(at, rule.code, fault.message, fault.hint, severity=rule.severity)
            elsewhere = [(n, origins[n]) for n in fault.names if n in origins and origins[n][: len(path)] != path]
            found.sources = tuple((f"{n}={_show(names[n])}", source) for n, source in elsewhere if source != at)

    def _construct(self, schema: type[Component], values: dict[str, Any], failed: set[str], path: Path) -> Component:
        component = schema.model_construct(**values)
        if not failed and _has_validators(schema):
            try:
                return schema.model_validate(values)
            except ValidationError as error:
                for detail in error.errors(include_url=False):
                    self.report((*path, *detail["loc"]), "bad-value", detail["msg"])
        return component


def _inner_scope(
    mark: Slot, values: Mapping[str, Any], scope: Scope, origins: Mapping[str, Path], failed: set[str]
) -> Scope:
    """Facts of a child: those that reached its owner, and those its slot gives."""
    if not mark.gives:
        return scope
    facts, sources = dict(scope.facts), dict(scope.origins)
    names = {**scope.facts, **values}
    at_fault = failed | {name for name in scope.lost if name not in values}
    lost = scope.lost - mark.gives.keys()
    for fact in mark.gives:
        facts.pop(fact, None)
        sources.pop(fact, None)
    for fact, expr in mark.gives.items():
        try:
            facts[fact] = expr(names)
        except (Unknown, TypeError, AttributeError):
            if not at_fault.isdisjoint(expr.names):
                lost |= {fact}
            continue
        source = _origin(expr, origins, scope.origins)
        if source is not None:
            sources[fact] = source
    return Scope(facts, sources, lost)


def _origin(expr: Expr, first: Mapping[str, Path], second: Mapping[str, Path]) -> Path | None:
    for name in expr.names:
        if name in first:
            return first[name]
        if name in second:
            return second[name]
    return None


def _settle_blame(found: list[Found], agreements: list[Agreement]) -> list[Found]:
    """Blame the odd one out: where most written values contradict the one they follow from, that one is wrong.

    The problems of the many become one problem at the origin, and problems that only repeat it are dropped.
    """
    groups: dict[Path, list[Agreement]] = {}
    for agreement in agreements:
        groups.setdefault(agreement.origin, []).append(agreement)
    for origin, group in groups.items():
        wrong = [a for a in group if a.found is not None]
        if len(wrong) < 2 or len(wrong) <= len(group) - len(wrong):
            continue
        implied = {a.got for a in wrong if a.identity}
        if len(implied) > 1:
            continue
        name = str(origin[-1])
        got = next((a.expected for a in wrong if a.identity), None)
        value = next(iter(implied), None)
        wanted = f"{_show(value)}" if implied else "what its parts say"
        tail = f", got {_show(got)}" if got is not None else ""
        problem = replace(
            wrong[0].found.problem,  # type: ignore[union-attr]
            message=f"Expected {name} to be {wanted}, as {len(wrong)} parts below it say{tail}",
            hint=f"set {name}: {_show(value)}" if implied else f"change {name}, or its parts",
            path=dotted(origin),
        )
        drop = {id(a.found) for a in wrong}
        first = next(i for i, f in enumerate(found) if id(f) in drop)
        kept = [f for f in found if id(f) not in drop and all(source != origin for _, source in f.sources)]
        found = [*kept[:first], Found(problem, origin), *kept[first:]]
    return found


# ---- words ------------------------------------------------------------------------------------------------------


def _kinds_text(kinds: Sequence[str]) -> str:
    return " or ".join(_article(kind) for kind in kinds) if kinds else "a component"


def _article(kind: str) -> str:
    words = kind.replace("_", " ")
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _names_text(kinds: Sequence[str]) -> str:
    names = [entry.name for kind in kinds for entry in store.entries(kind)] or store.names()
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _example(kinds: Sequence[str]) -> str:
    names = [entry.name for kind in kinds for entry in store.entries(kind)]
    return f"write a name such as {names[0]}, or a mapping with type: {names[0]}" if names else ""


def _show(value: Any) -> str:
    """A value as YAML would write it, short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(clip(value))
    if isinstance(value, dict):
        return f"a mapping of {len(value)} keys"
    if isinstance(value, (list, tuple)):
        return "[" + clip(", ".join(_show(item) for item in value[:9]), 70) + "]"
    if isinstance(value, Component):
        return value.entry.name
    return clip(value)


_EXPECTED = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "none_required": "null",
}


def explain(name: str, detail: ErrorDetails) -> tuple[str, str]:
    """A pydantic error as "Expected X, got Y" and a hint."""
    kind, got, context = detail["type"], detail["input"], detail.get("ctx", {})
    where = name + "".join(f"[{part}]" for part in detail["loc"][1:] if isinstance(part, int))
    hint = ""
    if kind in _EXPECTED:
        wanted = _EXPECTED[kind]
        hint = _cast_hint(name, kind, got)
    elif kind == "literal_error":
        legal = str(context.get("expected", ""))
        wanted = (
            legal.replace("'", "") if " or " not in legal else "one of " + legal.replace("'", "").replace(" or ", ", ")
        )
        hint = did_you_mean(str(got), legal.replace("'", "").replace(" or ", ", ").split(", "))
    elif kind in ("greater_than_equal", "greater_than", "less_than_equal", "less_than"):
        sign = {"greater_than_equal": ">=", "greater_than": ">", "less_than_equal": "<=", "less_than": "<"}[kind]
        limit = next(iter(context.values()))
        wanted = f"{sign} {limit}"
        hint = f"try {name}: {limit}" if sign in (">=", "<=") and not isinstance(got, (list, tuple)) else ""
    elif kind in ("too_short", "too_long"):
        bound = context.get("min_length", context.get("max_length"))
        wanted = f"{'at least' if kind == 'too_short' else 'at most'} {bound} items"
    elif kind in ("string_too_long", "string_too_short", "string_pattern_mismatch"):
        wanted = f"a string matching {context.get('pattern')}" if "pattern" in context else "a string of legal length"
    else:
        wanted = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"Expected {where} to be {wanted}, got {_show(got)}", hint


def _cast_hint(name: str, kind: str, got: Any) -> str:
    if (
        isinstance(got, str)
        and kind.startswith(("int", "float"))
        and got.strip().lstrip("-").replace(".", "", 1).isdigit()
    ):
        return f"write {name}: {got.strip()} without quotes"
    if isinstance(got, float) and got.is_integer() and kind.startswith("int"):
        return f"write {name}: {int(got)}"
    return ""


# ---- pydantic ---------------------------------------------------------------------------------------------------


@cache
def _adapter(schema: type[Component]) -> TypeAdapter[dict[str, Any]]:
    """Validates any subset of the plain fields of `schema`, strictly."""
    plain = fields_of(schema).plain
    hints = {name: _annotated(info) for name, info in plain.items()}
    record = TypedDict(f"{schema.__name__}Fields", hints, total=False)  # type: ignore[misc]
    setattr(record, "__pydantic_config__", ConfigDict(strict=True, allow_inf_nan=False))  # noqa: B010 (mypy)
    adapter: TypeAdapter[Any] = TypeAdapter(record)
    return adapter


def _annotated(info: FieldInfo) -> Any:
    return Annotated.__class_getitem__((info.annotation, *info.metadata)) if info.metadata else info.annotation  # type: ignore[attr-defined]


@cache
def _has_validators(schema: type[Component]) -> bool:
    decorators = schema.__pydantic_decorators__
    return bool(decorators.field_validators or decorators.model_validators or decorators.validators)
