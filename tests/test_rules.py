"""Rules speak only of names that exist: a misspelt one would make its rule silent for ever."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import pytest

import registry
from registry.rules import Divides, Equals, Expr, Fault, Require, Rule, Unknown, _placeholders, divisors, exact
from registry.schema import fields_of

SCHEMAS = {name: registry.get(name).schema for name in registry.names()}
FACTS = {"__written__", "type"}
FACTS |= {fact for schema in SCHEMAS.values() for mark in fields_of(schema).slots.values() for fact in mark.gives}


def _expressions(rule: Rule) -> Iterator[Expr]:
    for name in ("_when", "_value", "_condition"):
        expr = getattr(rule, name, None)
        if expr is not None:
            yield expr
    if isinstance(rule, Require):
        for text in (rule.message, rule.hint):
            yield from (expr for _, expr in _placeholders(text) if expr is not None)


def _names(rule: Rule) -> set[str]:
    found = {name for expr in _expressions(rule) for name in expr.names}
    if isinstance(rule, Divides):
        found |= {rule.divisor, *rule.multiples}
    if isinstance(rule, Equals):
        found |= {rule.name}
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_rules_speak_of_fields_and_facts(name: str) -> None:
    schema = SCHEMAS[name]
    known = FACTS | set(schema.model_fields)
    for rule in schema.rules:
        assert _names(rule) <= known, f"{rule.code}: {_names(rule) - known}"
        assert rule.why, f"{rule.code} does not say why it exists"
        at = getattr(rule, "at", "") or next(iter(getattr(rule, "multiples", ())), getattr(rule, "name", ""))
        assert at.partition(".")[0] in known, f"{rule.code} blames {at}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_followed_values_speak_of_facts(name: str) -> None:
    fields = fields_of(SCHEMAS[name])
    for field, mark in fields.follows.items():
        assert set(mark.value.names) <= FACTS | set(SCHEMAS[name].model_fields), field
    for field, slot in fields.slots.items():
        for fact, expr in slot.gives.items():
            known = FACTS | set(SCHEMAS[name].model_fields) | {"key"}
            assert set(expr.names) <= known, f"{field} gives {fact}"


class _Watched(dict[str, Any]):
    """Names that notes which of them are asked for."""

    asked: set[str]

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


@pytest.mark.parametrize("name", SCHEMAS)
def test_rules_say_all_that_they_read(name: str) -> None:
    original = Rule.check

    def check(rule: Rule, names: Mapping[str, Any]) -> Sequence[Fault]:
        watched = _Watched(names)
        watched.asked = set()
        faults = original(rule, watched)
        if not faults:  # the words of a fault may read more
            assert watched.asked <= rule.reads, rule
        return faults

    cases = importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))
    with mock.patch.object(Rule, "check", check):
        for case in [*cases.CASES, *cases.INVALID]:
            registry.check(getattr(case, "document", case.config))


def test_exact_is_unknown_where_it_is_no_whole_number() -> None:
    assert Expr("exact(a, b)")({"a": 48, "b": 3}) == 16
    for a, b in ((48, 5), (48, 0)):
        with pytest.raises(Unknown, match="48"):
            exact(a, b)


@pytest.mark.parametrize("number", [1, 2, 12, 97, 360])
def test_divisors(number: int) -> None:
    assert divisors(number) == [d for d in range(1, number + 1) if number % d == 0]
