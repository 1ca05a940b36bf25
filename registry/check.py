"""From a raw tree to a typed one: every field, slot and rule of every node, all problems in one run.

The walk goes down the tree once. At each node: find the component, check its plain fields with pydantic, fill in what
follows from the parent, resolve the children with the facts they are given, check the rules. A field that fails is left
out and rules that need it stay silent, so that one fault gives one problem.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from registry import store
from registry.errors import Problem, clip
from registry.limits import LIMITS
from registry.names import did_you_mean, nearest, suggest
from registry.reader import Path, dotted
from registry.rules import Expr, Rule, Unknown, say
from registry.schema import Component, Fields, Follows, Slot, fields_of

CODES: dict[str, str] = {
    "bad-value": "A field whose value has the wrong type or is out of bounds.",
    "mismatch": "A written value disagrees with the one it follows from; it may be left out.",
    "missing-field": "A field without a default that nobody wrote.",
    "missing-type": "A component without the name of what it is.",
    "not-a-component": "Something else where a component belongs.",
    "unknown-component": "A name nobody registered.",
    "unknown-field": "A key the component or the preset does not have.",
    "wrong-type": "A component with fields that only another one has.",
    "wrong-kind": "A component of a kind that does not fit here.",
}
"""Codes of problems that no rule of a component gives."""


@dataclass(frozen=True)
class Scope:
    """Facts that reach a node.

    Attributes:
        facts: Their values.
        origins: Paths of the fields that say each of them, the one to name first.
        lost: Facts that are unknown only because what they follow from is at fault, and was reported.
        unused: The node is part of nothing, so that nothing it lacks matters.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    unused: bool = False


@dataclass
class Found:
    """A problem on its way out.

    Attributes:
        problem: As far as known; the place in the file is added later.
        path: Of the value to fix.
        at_key: The key is wrong, not its value.
        sources: Fields elsewhere that led to it: (what they say, path).
        roots: Every written field that led to it.
        says: The value, where it repeats a fact.
        due: The value of that fact.
        follows: The value contradicts what it follows from.
        own: The fault is in the component that has the value, not in one that the value led to.
    """

    problem: Problem
    path: Path
    at_key: bool = False
    sources: tuple[tuple[str, Path], ...] = ()
    roots: tuple[Path, ...] = ()
    says: Any = None
    due: Any = None
    follows: bool = False
    own: bool = True

    @property
    def is_error(self) -> bool:
        """Whether it refuses the document."""
        return self.problem.severity == "error"


class Checker:
    """Checks one document. Use `component` on the root, then read `found`.

    Attributes:
        found: Everything found, in the order of the walk; at most one error per path.
        schemas: Schema of every node, by path.
        left_out: Fields that nobody wrote and that follow from what is at fault elsewhere.
    """

    def __init__(self, edits: Mapping[Path, Any] | None = None, kept: Collection[Path] = ()) -> None:
        """A checker that has found nothing yet.

        Args:
            edits: Values to check in place of the written ones, by path.
            kept: Fields whose written value stands for everything below, although it contradicts what it follows from.
        """
        self.found: list[Found] = []
        self.schemas: dict[Path, type[Component]] = {}
        self.left_out: list[Path] = []
        self._misspelt: dict[Path, Path] = {}
        self._at_fault: set[Path] = set()
        self._edits = edits or {}
        self._kept = kept

    @property
    def errors(self) -> list[Found]:
        """What refuses the document."""
        return [found for found in self.found if found.is_error]

    def report(self, path: Path, code: str, message: str, hint: str = "", **where: Any) -> Found:
        """Note a problem at `path`; of several errors about one value, the first is enough."""
        severity = where.pop("severity", "error")
        path = self._as_written(path)
        found = Found(Problem(code, message, hint, dotted(path), severity=severity), path, **where)
        if not (found.is_error and path in self._at_fault):
            self.found.append(found)
        if found.is_error:
            self._at_fault.add(path)
        return found

    def nearest(self, name: object, known: Iterable[str]) -> list[str]:
        """Names that look like `name`. Looking for them is slow: only for as many problems as people read."""
        return nearest(str(name), known) if len(self.found) < LIMITS.problems_shown else []

    def _as_written(self, path: Path) -> Path:
        """The path with every misspelt key as the document has it."""
        for end in range(1, len(path) + 1) if self._misspelt else ():
            if path[:end] in self._misspelt:
                path = (*self._misspelt[path[:end]], *path[end:])
        return path

    # ---- one node -------------------------------------------------------------------------------------------

    def component(self, raw: Any, path: Path, kinds: tuple[str, ...], scope: Scope) -> Component | None:
        """The component described by `raw`, or None when it is too broken to speak of."""
        entry = self._entry(raw, path, kinds)
        if entry is None:
            return None
        schema = entry.schema
        fields = fields_of(schema)
        self.schemas[path] = schema
        given = {} if isinstance(raw, str) else {k: v for k, v in raw.items() if k != "type"}
        if self._edits:
            given = {k: self._edits.get((*path, k), v) for k, v in given.items()}
        unknown = [name for name in given if name not in fields.names]
        meant = _other_types(entry, kinds, given) if len(unknown) > 1 else []
        if meant:
            message = f"Expected the type of a component with {clip(', '.join(unknown))}, got {entry.name}"
            at = path if isinstance(raw, str) else (*path, "type")
            self.report(at, "wrong-type", message, f"did you mean {' or '.join(meant[:3])}?")
            return None
        for name in unknown:
            self._unknown_field(entry, given, name, path)
        values = self._plain_fields(schema, fields, {n: v for n, v in given.items() if n in fields.plain}, path)
        failed = {name for name in given if name in fields.plain and name not in values}
        origins: dict[str, tuple[Path, ...]] = {name: ((*path, name),) for name in values}
        written = frozenset(values)
        self._follow(schema, fields, values, failed, path, scope, origins)
        self._children(fields, given, values, failed, path, scope, origins)
        names = {**scope.facts, **values, "__written__": written}
        sources = {**scope.origins, **origins}
        for rule in schema.rules:
            self._rule(rule, names, path, sources)
        return self._construct(schema, values, failed, path)

    def _unknown_field(self, entry: store.Entry, given: dict[Any, Any], name: Any, path: Path) -> None:
        """Report a key that is no field. Its value counts for the field it was meant to be, if that is not written."""
        known = entry.schema.model_fields
        meant = self.nearest(name, known)
        found = self.report(
            (*path, name),
            "unknown-field",
            f"Expected a field of {entry.name}, got {clip(name)!r}",
            suggest(meant) or f"fields: {', '.join(known) or 'none'}",
            at_key=True,
        )
        if meant and meant[0] not in given:
            given[meant[0]] = given[name]
            right: Path = (*path, meant[0])
            self._misspelt[right] = found.path

    def _entry(self, raw: Any, path: Path, kinds: tuple[str, ...]) -> store.Entry | None:
        wanted = _kinds_text(kinds)
        if isinstance(raw, str):
            name: Any = raw
        elif isinstance(raw, dict):
            if "type" not in raw:
                meant = [key for key in nearest("type", map(str, raw)) if isinstance(raw.get(key), str)]
                if meant and store.find(raw[meant[0]]):
                    message = f"Expected type, got {clip(meant[0])!r}"
                    self.report((*path, meant[0]), "unknown-field", message, "did you mean type?", at_key=True)
                    return None
                hint = f"add type: one of {_names_text(kinds)}"
                self.report(path, "missing-type", f"Expected {wanted}, got a mapping without type", hint)
                return None
            name = raw["type"]
        else:
            self.report(path, "not-a-component", f"Expected {wanted}, got {clip(show(raw))}", _example(kinds))
            return None
        at = (*path, "type") if isinstance(raw, dict) else path
        if not isinstance(name, str):
            self.report(at, "not-a-component", f"Expected the name of {wanted}, got {clip(show(name))}")
            return None
        entry = store.find(name)
        if entry is None:
            hint = suggest(self.nearest(name, store.known_names(kinds) or store.known_names()))
            hint = hint or f"one of {_names_text(kinds)}"
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
        if not given:
            return {}
        adapter = _adapter(schema).validator
        try:
            return adapter.validate_python(given)  # type: ignore[no-any-return]
        except ValidationError as error:
            details = error.errors(include_url=False)
        bad: dict[str, list[ErrorDetails]] = {}
        for detail in details:
            bad.setdefault(str(detail["loc"][0]), []).append(detail)
        for name, told in bad.items():
            at, message, hint = explain(name, told)
            meaning = _description(fields.plain[name])
            hint = hint or (f"{name}: {meaning}" if meaning else f"arch show {schema.entry.name} has its fields")
            self.report((*path, name, *at), "bad-value", message, hint)
        return adapter.validate_python({n: v for n, v in given.items() if n not in bad})  # type: ignore[no-any-return]

    def _follow(
        self,
        schema: type[Component],
        fields: Fields,
        values: dict[str, Any],
        failed: set[str],
        path: Path,
        scope: Scope,
        origins: dict[str, tuple[Path, ...]],
    ) -> None:
        """Fill in what was left out: from the facts, else the default, else say that it is missing."""
        for name, info in fields.plain.items():
            mark = fields.follows.get(name)
            expected = self._expected(mark, values, scope) if mark else None
            if expected is not None and mark is not None:
                roots = _roots(mark.value, (scope.facts, scope.origins), (values, origins))
                agrees = name in values and self._agree(mark, name, values, expected, path, scope, roots)
                if not agrees and (*path, name) not in self._kept:
                    values[name] = expected
                if roots and name not in failed and values[name] == expected:
                    origins[name] = roots
                failed.discard(name)
            elif name not in values and mark is not None and not (scope.lost | failed).isdisjoint(mark.value.names):
                if not scope.unused:
                    self.left_out.append((*path, name))
                failed.add(name)
            elif name not in values and name not in failed:
                if name in fields.defaults:
                    values[name] = fields.defaults[name]
                    continue
                meaning = _description(info)
                hint = f"add {name}{f' ({meaning})' if meaning else ''}"
                self.report((*path, name), "missing-field", f"Expected {schema.entry.name} to have {name}", hint)
                failed.add(name)

    def _expected(self, mark: Follows, values: Mapping[str, Any], scope: Scope) -> Any:
        try:
            return mark.value(scope.facts if scope.facts.keys() >= mark.value.unique else {**values, **scope.facts})
        except Unknown:
            return None

    def _agree(
        self,
        mark: Follows,
        name: str,
        values: Mapping[str, Any],
        expected: Any,
        path: Path,
        scope: Scope,
        roots: tuple[Path, ...],
    ) -> bool:
        """Whether the written value of `name` agrees with the expected one; if not, that is reported."""
        got = values[name]
        if mark.agrees(got, expected, {**values, **scope.facts}):
            return True
        identity = mark.value.names[:1] == (mark.value.text,)
        plain = not identity and " if " not in mark.value.text
        because = f" (= {mark.value.text})" if plain else ""
        message = f"Expected {name} to be {show(expected)}{because}, got {show(got)}"
        hint = f"leave {name} out, or set {name}: {show(expected)}"
        found = self.report((*path, name), mark.code, message, hint, severity=mark.severity_given(scope.facts))
        found.follows, found.roots = True, roots
        if roots:
            found.sources = ((show(expected) if identity else mark.value.names[0], roots[0]),)
            found.says, found.due = (got, expected) if identity else (None, None)
        return False

    # ---- children -------------------------------------------------------------------------------------------

    def _children(
        self,
        fields: Fields,
        given: Mapping[str, Any],
        values: dict[str, Any],
        failed: set[str],
        path: Path,
        scope: Scope,
        origins: dict[str, tuple[Path, ...]],
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
        origins: Mapping[str, tuple[Path, ...]],
        failed: set[str],
    ) -> dict[str, Component] | None:
        if not isinstance(raw, dict) or not raw:
            message = f"Expected a mapping from keys to {_kinds_text(mark.kinds)}, got {clip(show(raw))}"
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

    def _rule(self, rule: Rule, names: dict[str, Any], path: Path, origins: Mapping[str, tuple[Path, ...]]) -> None:
        try:
            faults = list(rule.check(names))
        except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError):  # about a child that is at fault
            return
        known = dict(names) if faults else {}
        for fault in faults:
            names.pop(fault.at.partition(".")[0], None)  # rules further down are silent about what is at fault
            # What follows from elsewhere is fixed where it is written.
            at = origins.get(fault.at, ((*path, *fault.at.split(".")),))[0]
            found = self.report(at, rule.code, fault.message, fault.hint, severity=rule.severity)
            found.own = at[: len(path)] == path
            found.roots = tuple(root for name in (fault.at, *fault.names) for root in origins.get(name, ()))
            elsewhere = [(n, origins[n][0]) for n in fault.names if n in origins and origins[n][0][: len(path)] != path]
            found.sources = tuple((f"{n}={show(known[n])}", source) for n, source in elsewhere if source != at)

    def _construct(self, schema: type[Component], values: dict[str, Any], failed: set[str], path: Path) -> Component:
        component = schema.trusted(values)
        for name in failed:  # has no value, not even its default, so that rules about it stay silent
            component.__dict__.pop(name, None)
        if not failed and _has_validators(schema):
            try:
                return schema.model_validate(values)
            except ValidationError as error:
                for detail in error.errors(include_url=False):
                    self.report((*path, *detail["loc"]), "bad-value", detail["msg"])
        return component


def _inner_scope(
    mark: Slot,
    values: Mapping[str, Any],
    scope: Scope,
    origins: Mapping[str, tuple[Path, ...]],
    failed: set[str],
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
    if not _applies(mark.when, names):
        return Scope(facts, sources, lost | mark.gives.keys(), unused=True)
    for fact, expr in mark.gives.items():
        try:
            facts[fact] = expr(names)
        except (Unknown, TypeError, AttributeError, ValueError, LookupError, ArithmeticError):
            # Either a name has no value because it is at fault, or the values do not go together, as a rule says.
            if not at_fault.isdisjoint(expr.names) or all(name in names for name in expr.names):
                lost |= {fact}
            continue
        roots = _roots(expr, (values, origins), (scope.facts, scope.origins))
        if roots:
            sources[fact] = roots
    return Scope(facts, sources, lost, scope.unused)


def _applies(condition: Expr | None, names: Mapping[str, Any]) -> bool:
    try:
        return condition is None or bool(condition(names))
    except (Unknown, TypeError, AttributeError):
        return True


def _other_types(entry: store.Entry, kinds: tuple[str, ...], given: Mapping[Any, Any]) -> list[str]:
    """Names of components that have all the given fields and fit where `entry` stands."""
    fitting = [other for kind in kinds for other in store.entries(kind)] or store.entries()
    return [other.name for other in fitting if other is not entry and given.keys() <= other.schema.model_fields.keys()]


_Known = tuple[Mapping[str, Any], Mapping[str, tuple[Path, ...]]]
"""Values of names, and where they come from."""


def _roots(expr: Expr, first: _Known, second: _Known) -> tuple[Path, ...]:
    """The written fields that an expression's value comes from, in the order of its names."""
    sources = ((first if name in first[0] else second)[1].get(name, ()) for name in expr.names)
    return tuple(dict.fromkeys(root for roots in sources for root in roots))


# ---- words ------------------------------------------------------------------------------------------------------


def _description(info: FieldInfo) -> str:
    return (info.description or "").rstrip(".")


@cache
def _kinds_text(kinds: tuple[str, ...]) -> str:
    return " or ".join(_article(kind) for kind in kinds) if kinds else "a component"


def _article(kind: str) -> str:
    words = kind.replace("_", " ")
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _names_text(kinds: tuple[str, ...]) -> str:
    names = [entry.name for kind in kinds for entry in store.entries(kind)] or store.names()
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _example(kinds: tuple[str, ...]) -> str:
    names = [entry.name for kind in kinds for entry in store.entries(kind)]
    return f"write a name such as {names[0]}, or a mapping with type: {names[0]}" if names else ""


def show(value: Any) -> str:
    """A value as YAML would write it, short."""
    if isinstance(value, str):
        return repr(clip(value))
    if isinstance(value, dict):
        return f"a mapping of {len(value)} keys"
    if isinstance(value, (list, tuple)):
        return "[" + clip(", ".join(show(item) for item in value[:9]), 70) + "]"
    if isinstance(value, Component):
        return value.entry.name
    return clip(say(value, digits=17))


_TYPES = {
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
    "none_required": "null",
}
_SIGNS = {"greater_than_equal": ">=", "greater_than": ">", "less_than_equal": "<=", "less_than": "<"}


def explain(name: str, told: Sequence[ErrorDetails]) -> tuple[tuple[int, ...], str, str]:
    """What pydantic tells of one field: list indices below it, "Expected X, got Y", a hint.

    Of a union it tells one error for each alternative; where the value has the type of one of them, that one counts.
    """
    fitting = [detail for detail in told if _indices(detail) or detail["type"] not in (*_TYPES, "literal_error")]
    told = fitting[:1] or told
    at, got = _indices(told[0]), told[0]["input"]
    said = [_wanted(name, detail) for detail in told]
    first, *others = dict.fromkeys(text for text, _ in said)
    wanted = " or ".join([first, *(other.removeprefix("be ") for other in others)])
    where = name + "".join(f"[{index}]" for index in at)
    return at, f"Expected {where} to {wanted}, got {show(got)}", next((hint for _, hint in said if hint), "")


def _indices(detail: ErrorDetails) -> tuple[int, ...]:
    return tuple(part for part in detail["loc"] if isinstance(part, int))


def _wanted(name: str, detail: ErrorDetails) -> tuple[str, str]:
    """What was expected, to follow "Expected x to", and a hint."""
    kind, got, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _TYPES or kind == "finite_number":
        return f"be {_TYPES.get(kind, 'a finite number')}", _cast_hint(name, kind, got)
    if kind == "literal_error":
        legal = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
        few = ", ".join(legal[:12]) + (", ..." if len(legal) > 12 else "")
        every = f"one of {', '.join(legal)}" if len(legal) > 12 else ""
        return f"be {'one of ' if len(legal) > 1 else ''}{few}", did_you_mean(str(got), legal) or every
    if kind in _SIGNS:
        limit = next(iter(context.values()))
        closed = _SIGNS[kind] in (">=", "<=") and not _indices(detail)
        return f"be {_SIGNS[kind]} {say(limit)}", f"try {name}: {say(limit)}" if closed else ""
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length", context.get("max_length"))
        return f"have {'at least' if kind == 'too_short' else 'at most'} {bound} item{'s' * (bound != 1)}", ""
    if "pattern" in context:
        return f"match {context['pattern']}", ""
    if kind in ("string_too_long", "string_too_short"):
        bound = context.get("min_length", context.get("max_length"))
        return f"have {'at least' if kind == 'string_too_short' else 'at most'} {bound} characters", ""
    return f"be {detail['msg'].removeprefix('Input should be ').removeprefix('Value error, ')}", ""


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
    annotated: Any = Annotated
    parts = (info.annotation, *info.metadata)
    return annotated[parts] if info.metadata else info.annotation


@cache
def _has_validators(schema: type[Component]) -> bool:
    decorators = schema.__pydantic_decorators__
    return bool(decorators.field_validators or decorators.model_validators or decorators.validators)
