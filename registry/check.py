"""From a raw tree to a typed one: every field, slot and rule of every node, all problems in one run.

The walk goes down the tree once. At each node: find the component, check its plain fields with pydantic, fill in what
follows from the parent, resolve the children with the facts they are given, check the rules. A field that fails is left
out and rules that need it stay silent, so that one fault gives one problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
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
from registry.recall import Recall
from registry.rules import Expr, Fault, Rule, Unknown, say
from registry.schema import Component, Follows, Slot, fields_of

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


_Roots = tuple[Path, ...]
"""Paths of the written fields that a value comes from, the one to name first."""


@dataclass(eq=False)
class Scope:
    """Facts that reach a node.

    Attributes:
        facts: Their values.
        lost: Facts that are unknown only because what they follow from is at fault, and was reported.
        unused: The node is part of nothing, so that nothing it lacks matters.
        owner: The node that gives some of them, and the slot that says which.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    unused: bool = False
    owner: tuple[_Node, Slot] | None = None
    _origins: dict[str, _Roots] = field(default_factory=dict)

    def origin(self, fact: str) -> _Roots:
        """Where a fact was written. Looked for only when something is wrong, as nobody asks before."""
        if self.owner is None:
            return ()
        node, mark = self.owner
        if fact not in mark.gives:
            return node.scope.origin(fact)
        if fact not in self._origins:
            found = _roots(mark.gives[fact], node.values, node.origin, node.scope.origin) if fact in self.facts else ()
            self._origins[fact] = found
        return self._origins[fact]


class _Node:
    """A component while it is being checked.

    Attributes:
        schema: What it is.
        fields: The fields of that.
        path: Where it is.
        scope: The facts that reach it.
        given: What is written, perhaps `type` included.
        values: Plain fields, then children, that are valid.
        failed: Fields that are not.
        written: Plain fields whose written value is valid.
        followed: Fields that have the value that follows: the expression, and how many fields got theirs before.
        names: Every name a rule may speak of: facts, then values.
    """

    __slots__ = ("failed", "fields", "followed", "given", "names", "path", "schema", "scope", "values", "written")

    def __init__(self, schema: type[Component], path: Path, scope: Scope, given: Mapping[Any, Any]) -> None:
        """Nothing of `given` has been looked at."""
        self.schema = schema
        self.fields = fields_of(schema)
        self.path = path
        self.scope = scope
        self.given = given
        self.values: dict[str, Any] = {}
        self.failed: set[str] = set()
        self.written: frozenset[str] = frozenset()
        self.followed: dict[str, tuple[Expr, int]] = {}
        self.names: dict[str, Any] = {}

    def origin(self, name: str, until: float = math.inf) -> _Roots:
        """Where the value of a plain field was written, as far as known when `until` fields had followed."""
        expr, before = self.followed.get(name, (None, math.inf))
        roots: _Roots = ()
        if expr is not None and before < until:
            own = partial(self.origin, until=before)
            roots = _roots(expr, self.scope.facts, self.scope.origin, own)
        return roots or (((*self.path, name),) if name in self.written else ())


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
        left_out: Fields that nobody wrote and that follow from what is at fault elsewhere.
        visited: Path and schema of every node.
    """

    def __init__(
        self, edits: Mapping[Path, Any] | None = None, kept: Collection[Path] = (), recall: Recall | None = None
    ) -> None:
        """A checker that has found nothing yet.

        Args:
            edits: Values to check in place of the written ones, by path.
            kept: Fields whose written value stands for everything below, although it contradicts what it follows from.
            recall: What other checks learnt of trees that share parts with this one.
        """
        self.found: list[Found] = []
        self.left_out: list[Path] = []
        self.visited: list[tuple[Path, type[Component]]] = []
        self._misspelt: dict[Path, Path] = {}
        self._at_fault: set[Path] = set()
        self._edits: dict[Path, dict[Any, Any]] = {}
        self._kept = kept
        self._recall = recall
        for at, value in (edits or {}).items():
            self._edits.setdefault(at[:-1], {})[at[-1]] = value
        # Nodes that are not as they are written, or have such a node below them.
        self._changed = {at[:end] for at in (*(edits or ()), *kept) for end in range(len(at))}

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
        if self._recall is None or path in self._changed:
            return self._component(raw, path, kinds, scope)
        part = self._recall.part(raw, path, kinds)
        component = part.find(scope)
        if component is not None:
            self.visited += part.nodes
            return component
        before, found = len(self.visited), len(self.found) + len(self.left_out)
        component = self._component(raw, path, kinds, scope)
        if component is not None and len(self.found) + len(self.left_out) == found:
            part.keep(scope, component, self.visited[before:])
        return component

    def _component(self, raw: Any, path: Path, kinds: tuple[str, ...], scope: Scope) -> Component | None:
        entry = _named(raw)
        if entry is None or (kinds and entry.kind not in kinds):
            self._no_entry(raw, path, kinds)
            return None
        schema = entry.schema
        self.visited.append((path, schema))
        node = _Node(schema, path, scope, _NOTHING_WRITTEN if isinstance(raw, str) else raw)
        if path in self._edits:
            node.given = {key: self._edits[path].get(key, value) for key, value in node.given.items()}
        if not node.fields.keys.issuperset(node.given) and not self._known_fields(entry, node, kinds):
            return None
        if node.given:
            self._plain_fields(node)
        self._follow(node)
        names = node.names = {**scope.facts, **node.values}
        self._children(node)
        names["__written__"] = node.written
        for rule in schema.rules:
            try:
                faults = rule.check(names)
            except _SILENT:  # about a child that is at fault
                continue
            if faults:
                self._broken(rule, faults, node)
        return self._construct(node)

    def _known_fields(self, entry: store.Entry, node: _Node, kinds: tuple[str, ...]) -> bool:
        """Report keys that are no fields. False where the type is what is wrong."""
        node.given = given = {key: value for key, value in node.given.items() if key != "type"}
        unknown = [name for name in given if name not in node.fields.keys]
        meant = _other_types(entry, kinds, given) if len(unknown) > 1 else []
        if meant:
            message = f"Expected the type of a component with {clip(', '.join(unknown))}, got {entry.name}"
            self.report((*node.path, "type"), "wrong-type", message, f"did you mean {' or '.join(meant[:3])}?")
            return False
        for name in unknown:
            self._unknown_field(entry, given, name, node.path)
        return True

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

    def _no_entry(self, raw: Any, path: Path, kinds: tuple[str, ...]) -> None:
        """Report why `raw` is no component that fits."""
        wanted = _kinds_text(kinds)
        if isinstance(raw, str):
            name: Any = raw
        elif isinstance(raw, dict):
            if "type" not in raw:
                meant = [key for key in nearest("type", map(str, raw)) if isinstance(raw.get(key), str)]
                if meant and store.find(raw[meant[0]]):
                    message = f"Expected type, got {clip(meant[0])!r}"
                    self.report((*path, meant[0]), "unknown-field", message, "did you mean type?", at_key=True)
                    return
                hint = f"add type: one of {_names_text(kinds)}"
                self.report(path, "missing-type", f"Expected {wanted}, got a mapping without type", hint)
                return
            name = raw["type"]
        else:
            self.report(path, "not-a-component", f"Expected {wanted}, got {clip(show(raw))}", _example(kinds))
            return
        at = (*path, "type") if isinstance(raw, dict) else path
        if not isinstance(name, str):
            self.report(at, "not-a-component", f"Expected the name of {wanted}, got {clip(show(name))}")
            return
        entry = store.find(name)
        if entry is None:
            hint = suggest(self.nearest(name, store.known_names(kinds) or store.known_names()))
            hint = hint or f"one of {_names_text(kinds)}"
            self.report(at, "unknown-component", f"Expected the name of {wanted}, got {clip(name)!r}", hint)
        else:
            message = f"Expected {wanted}, got {entry.name}, which is {_article(entry.kind)}"
            self.report(at, "wrong-kind", message, f"one of {_names_text(kinds)}")

    # ---- plain fields ---------------------------------------------------------------------------------------

    def _plain_fields(self, node: _Node) -> None:
        """Take the given plain fields that are valid, as pydantic returns them; it ignores what is none."""
        schema, fields, given = node.schema, node.fields, node.given
        validate = _validator(schema)
        try:
            node.values = validate(given)
        except ValidationError as error:
            bad: dict[str, list[ErrorDetails]] = {}
            for detail in error.errors(include_url=False):
                bad.setdefault(str(detail["loc"][0]), []).append(detail)
            for name, told in bad.items():
                at, message, hint = explain(name, told)
                meaning = _description(fields.plain[name])
                hint = hint or (f"{name}: {meaning}" if meaning else f"arch show {schema.entry.name} has its fields")
                self.report((*node.path, name, *at), "bad-value", message, hint)
            node.failed.update(bad)
            node.values = validate({n: v for n, v in given.items() if n not in bad})
        node.written = frozenset(node.values)

    def _follow(self, node: _Node) -> None:
        """Fill in what was left out: from the facts, else the default, else say that it is missing."""
        values, failed, fields = node.values, node.failed, node.fields
        for name in fields.plain:
            if name in fields.follows and self._followed(node, name, fields.follows[name]):
                continue
            if name in values or name in failed:
                continue
            if name in fields.defaults:
                values[name] = fields.defaults[name]
                continue
            meaning = _description(fields.plain[name])
            hint = f"add {name}{f' ({meaning})' if meaning else ''}"
            message = f"Expected {node.schema.entry.name} to have {name}"
            self.report((*node.path, name), "missing-field", message, hint)
            failed.add(name)

    def _followed(self, node: _Node, name: str, mark: Follows) -> bool:
        """Whether something is known of what field `name` follows from; then it has its value, or is given up."""
        values, failed, scope = node.values, node.failed, node.scope
        expected = _expected(mark, values, scope.facts)
        if expected is not None:
            agrees = name in values and self._agree(node, name, mark, expected)
            if not (agrees or (*node.path, name) in self._kept):
                values[name] = expected
            if name in failed:
                failed.remove(name)
            elif values[name] == expected:
                node.followed[name] = mark.value, len(node.followed)
            return True
        if name in values or (scope.lost | failed).isdisjoint(mark.value.names):
            return False
        if not scope.unused:
            self.left_out.append((*node.path, name))
        failed.add(name)
        return True

    def _agree(self, node: _Node, name: str, mark: Follows, expected: Any) -> bool:
        """Whether the written value of `name` agrees with the expected one; if not, that is reported."""
        got, facts = node.values[name], node.scope.facts
        if mark.agrees(got, expected, node.values, facts):
            return True
        identity = mark.value.names[:1] == (mark.value.text,)
        plain = not identity and " if " not in mark.value.text
        because = f" (= {mark.value.text})" if plain else ""
        message = f"Expected {name} to be {show(expected)}{because}, got {show(got)}"
        hint = f"leave {name} out, or set {name}: {show(expected)}"
        found = self.report((*node.path, name), mark.code, message, hint, severity=mark.severity_given(facts))
        roots = _roots(mark.value, facts, node.scope.origin, node.origin)
        found.follows, found.roots = True, roots
        if roots:
            found.sources = ((show(expected) if identity else mark.value.names[0], roots[0]),)
            found.says, found.due = (got, expected) if identity else (None, None)
        return False

    # ---- children -------------------------------------------------------------------------------------------

    def _children(self, node: _Node) -> None:
        for name, mark in node.fields.slots.items():
            raw = node.given.get(name, mark.default)
            child: Component | dict[str, Component] | None = None
            if raw is None and mark.default is None:
                node.values[name] = node.names[name] = None
                continue
            if raw is ...:
                hint = f"one of {_names_text(mark.kinds)}"
                self.report((*node.path, name), "missing-field", f"Expected {_kinds_text(mark.kinds)} as {name}", hint)
            elif mark.many:
                child = self._many(node, (*node.path, name), mark, raw)
            else:
                child = self.component(raw, (*node.path, name), mark.kinds, _inner_scope(node, mark, node.names))
            if child is None:
                node.failed.add(name)
            else:
                node.values[name] = node.names[name] = child

    def _many(self, node: _Node, path: Path, mark: Slot, raw: Any) -> dict[str, Component] | None:
        """The components in a slot that holds several by key; None when one of them is too broken to speak of."""
        if not isinstance(raw, dict) or not raw:
            message = f"Expected a mapping from keys to {_kinds_text(mark.kinds)}, got {clip(show(raw))}"
            self.report(path, "not-a-component", message)
            return None
        children = {}
        for key, item in raw.items():
            inner = _inner_scope(node, mark, {**node.names, "key": key})
            children[str(key)] = self.component(item, (*path, key), mark.kinds, inner)
        whole = {key: child for key, child in children.items() if child is not None}
        return whole if len(whole) == len(children) else None

    # ---- rules ----------------------------------------------------------------------------------------------

    def _broken(self, rule: Rule, faults: Sequence[Fault], node: _Node) -> None:
        """Report what broke a rule."""
        path, known = node.path, dict(node.names)
        for fault in faults:
            # Rules further down are silent about what is at fault.
            node.names.pop(fault.at.partition(".")[0], None)
            origins = {name: node.origin(name) or node.scope.origin(name) for name in (fault.at, *fault.names)}
            # What follows from elsewhere is fixed where it is written.
            at = (origins[fault.at] or ((*path, *fault.at.split(".")),))[0]
            found = self.report(at, rule.code, fault.message, fault.hint, severity=rule.severity)
            found.own = at[: len(path)] == path
            found.roots = tuple(root for name in (fault.at, *fault.names) for root in origins[name])
            elsewhere = [(n, origins[n][0]) for n in fault.names if origins[n] and origins[n][0][: len(path)] != path]
            found.sources = tuple((f"{n}={show(known[n])}", source) for n, source in elsewhere if source != at)

    def _construct(self, node: _Node) -> Component:
        schema, values = node.schema, node.values
        component = schema.trusted(values)
        if node.failed:
            for name in node.failed:  # has no value, not even its default, so that rules about it stay silent
                component.__dict__.pop(name, None)
        elif _has_validators(schema):
            try:
                return schema.model_validate(values)
            except ValidationError as error:
                for detail in error.errors(include_url=False):
                    self.report((*node.path, *detail["loc"]), "bad-value", detail["msg"])
        return component


_NOTHING_WRITTEN: Mapping[Any, Any] = {}
_SILENT = (Unknown, TypeError, AttributeError, ValueError, LookupError, ArithmeticError)
"""What an expression raises when a name has no value, or values do not go together, as a rule says."""


def _named(raw: Any) -> store.Entry | None:
    """The entry of the component that `raw` names, or None."""
    name = raw.get("type") if isinstance(raw, dict) else raw
    return store.find(name) if isinstance(name, str) else None


def _expected(mark: Follows, values: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    """The value that follows, from facts alone where they suffice; None where nothing is known."""
    try:
        return mark.value.of(facts if facts.keys() >= mark.value.unique else {**values, **facts})
    except (Unknown, KeyError):
        return None


def _inner_scope(node: _Node, mark: Slot, names: Mapping[str, Any]) -> Scope:
    """Facts of a child: those that reached its owner, and those its slot gives."""
    scope = node.scope
    if not mark.gives:
        return scope
    facts = dict(scope.facts)
    lost = scope.lost - mark.gives.keys() if scope.lost else scope.lost
    if mark.when is not None and not _applies(mark.when, names):
        for fact in mark.gives:
            facts.pop(fact, None)
        return Scope(facts, lost | mark.gives.keys(), True, (node, mark))
    for fact, expr in mark.gives.items():
        try:
            facts[fact] = expr.of(names)
        except _SILENT:
            facts.pop(fact, None)
            # Either a name has no value because it is at fault, or the values do not go together, as a rule says.
            at_fault = node.failed | (scope.lost - node.values.keys())
            if names.keys() >= expr.unique or not at_fault.isdisjoint(expr.unique):
                lost |= {fact}
    return Scope(facts, lost, scope.unused, (node, mark))


def _applies(condition: Expr, names: Mapping[str, Any]) -> bool:
    try:
        return bool(condition(names))
    except (Unknown, TypeError, AttributeError):
        return True


def _other_types(entry: store.Entry, kinds: tuple[str, ...], given: Mapping[Any, Any]) -> list[str]:
    """Names of components that have all the given fields and fit where `entry` stands."""
    fitting = [other for kind in kinds for other in store.entries(kind)] or store.entries()
    return [other.name for other in fitting if other is not entry and given.keys() <= other.schema.model_fields.keys()]


_Origin = Callable[[str], _Roots]
"""Where the value of a name was written."""


def _roots(expr: Expr, names: Container[str], origin: _Origin, otherwise: _Origin) -> _Roots:
    """The written fields that an expression's value comes from, in the order of its names.

    Args:
        expr: The expression.
        names: Names whose origin `origin` knows.
        origin: Where those come from.
        otherwise: Where the others come from.
    """
    found = [(origin if name in names else otherwise)(name) for name in expr.names]
    return tuple(dict.fromkeys(root for roots in found for root in roots))


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
def _validator(schema: type[Component]) -> Callable[[Mapping[Any, Any]], dict[str, Any]]:
    """Validates any subset of the plain fields of `schema`, strictly; other keys are left out."""
    plain = fields_of(schema).plain
    hints = {name: _annotated(info) for name, info in plain.items()}
    record = TypedDict(f"{schema.__name__}Fields", hints, total=False)  # type: ignore[misc]
    setattr(record, "__pydantic_config__", ConfigDict(strict=True, allow_inf_nan=False))  # noqa: B010 (mypy)
    adapter: TypeAdapter[Any] = TypeAdapter(record)
    return adapter.validator.validate_python


def _annotated(info: FieldInfo) -> Any:
    annotated: Any = Annotated
    parts = (info.annotation, *info.metadata)
    return annotated[parts] if info.metadata else info.annotation


@cache
def _has_validators(schema: type[Component]) -> bool:
    decorators = schema.__pydantic_decorators__
    return bool(decorators.field_validators or decorators.model_validators or decorators.validators)
