"""Mutation testing of the rules: change one thing in one rule, and some test must notice.

Rules are data, so mutants are made in memory: drop the rule, negate its condition, soften its comparison, forget its
`when`, turn an error into a warning; the same for what follows from the parent and for bounds of fields. A mutant is
killed when a valid config is refused, or an invalid one is not refused as expected.

    python -m tests.mutation            # all schemas: a table and the survivors; exit 1 below 90 %
    python -m tests.mutation siren      # one folder of components
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import registry
from registry import schema
from registry.rules import Divides, Equals, Expr, Require, Rule
from registry.schema import Component, Follows, fields_of
from tests import faults

SURVIVORS: dict[str, str] = {}
"""Mutants known to survive: description -> why that is no gap."""
GOAL = 0.9

Mutant = tuple[str, Callable[[], Any]]


def folders() -> dict[str, list[type[Component]]]:
    """Schemas by component folder."""
    found: dict[str, list[type[Component]]] = {}
    for name in registry.names():
        entry = registry.get(name)
        found.setdefault(entry.source.split(".")[1], []).append(entry.schema)
    return found


# ---- mutants ------------------------------------------------------------------------------------------------------


def softened(text: str) -> Iterator[str]:
    """The expression with one comparison or one constant changed."""
    swaps: dict[type[ast.cmpop], type[ast.cmpop]] = {
        ast.Lt: ast.LtE,
        ast.LtE: ast.Lt,
        ast.Gt: ast.GtE,
        ast.GtE: ast.Gt,
        ast.Eq: ast.NotEq,
        ast.NotEq: ast.Eq,
        ast.In: ast.NotIn,
        ast.NotIn: ast.In,
    }
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in swaps:
            original = node.ops
            node.ops = [swaps[type(original[0])](), *original[1:]]
            yield ast.unparse(tree)
            node.ops = original
        elif isinstance(node, ast.BoolOp):
            operator = node.op
            node.op = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield ast.unparse(tree)
            node.op = operator


def rule_mutants(rule: Rule) -> Iterator[tuple[str, Rule | None]]:
    """Every mutant of one rule; None leaves it out."""
    yield "left out", None
    if rule.severity == "error":
        yield "only a warning", dataclasses.replace(rule, severity="warning")
    if rule.when:
        yield "applies always", dataclasses.replace(rule, when="")
        yield "applies where it should not", dataclasses.replace(rule, when=f"not ({rule.when})")
    if isinstance(rule, Require):
        yield "negated", dataclasses.replace(rule, condition=f"not ({rule.condition})")
        for text in softened(rule.condition):
            yield f"condition {text}", dataclasses.replace(rule, condition=text)
    if isinstance(rule, Equals):
        yield "other value", dataclasses.replace(rule, value=f"({rule.value}) + 1")
    if isinstance(rule, Divides):
        for name in rule.multiples if len(rule.multiples) > 1 else ():
            kept = tuple(other for other in rule.multiples if other != name)
            yield f"forgets {name}", dataclasses.replace(rule, multiples=kept)


@contextmanager
def replaced(holders: list[type[Component]], rule: Rule, mutant: Rule | None) -> Iterator[None]:
    """Every schema that has `rule` with another one in its place, or none."""
    originals = [(holder, holder.rules) for holder in holders]
    for holder in holders:
        new = [mutant if held is rule else held for held in holder.rules]
        holder.rules = tuple(held for held in new if held is not None)
    try:
        yield
    finally:
        for holder, rules in originals:
            holder.rules = rules


@contextmanager
def refollowed(holders: list[type[Component]], name: str, mutant: Follows | None) -> Iterator[None]:
    """Every schema whose field `name` follows, following something else, or nothing."""
    originals = [(holder, fields_of(holder)) for holder in holders]
    for holder, fields in originals:
        follows = {n: mark for n, mark in fields.follows.items() if n != name}
        if mutant is not None:
            follows[name] = mutant
        schema._FIELDS[holder] = dataclasses.replace(fields, follows=follows)
    try:
        yield
    finally:
        for holder, fields in originals:
            schema._FIELDS[holder] = fields


def mutants(schemas: list[type[Component]]) -> Iterator[tuple[str, list[type[Component]], Any]]:
    """(description, schemas concerned, context manager) of every mutant; what is inherited is mutated once."""
    rules: dict[int, tuple[Rule, list[type[Component]]]] = {}
    marks: dict[int, tuple[str, Follows, list[type[Component]]]] = {}
    for holder in schemas:
        for rule in holder.rules:
            rules.setdefault(id(rule), (rule, []))[1].append(holder)
        for field, mark in fields_of(holder).follows.items():
            marks.setdefault(id(mark), (field, mark, []))[2].append(holder)
    for rule, holders in rules.values():
        for what, mutant in rule_mutants(rule):
            yield f"{holders[0].entry.name}: {rule.code} {what}", holders, replaced(holders, rule, mutant)
    for field, mark, holders in marks.values():
        name = holders[0].entry.name
        yield f"{name}: {field} follows nothing", holders, refollowed(holders, field, None)
        other = dataclasses.replace(mark, value=Expr(f"({mark.value.text}, 'mutant')"))
        yield f"{name}: {field} follows something else", holders, refollowed(holders, field, other)


# ---- judges -------------------------------------------------------------------------------------------------------


def verdict(config: Any) -> tuple[tuple[str, str, str], ...]:
    """Problems of a config, as (severity, code, path)."""
    return tuple((p.severity, p.code, p.path) for p in registry.check(config))


def judges(target: type[Component]) -> list[tuple[Any, Any]]:
    """(config, verdict) of everything that speaks of `target`: cases, random draws, the fault table, presets."""
    module = importlib.import_module(target.__module__.replace(".schema", ".cases"))
    configs: list[Any] = [dict(c.config) for c in module.INVALID]
    configs += [c.document for c in module.CASES]
    draw = module.DRAW.get(target.entry.name)
    if draw is not None:
        rng = random.Random(0)
        configs += [draw(rng).document for _ in range(20)]
    names = {target.entry.name, *target.entry.aliases}
    for fault in faults.FAULTS:
        base = faults.BASES[fault.base]
        if isinstance(base, dict) and names & set(_types(base)):
            configs += [faults.changed(base, fault.change)]
            configs += [faults.changed(base, fault.neighbour)] if fault.neighbour else []
    return [(config, verdict(config)) for config in configs]


def _types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node["type"]
        for child in node.values():
            yield from _types(child)
    elif isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for child in node:
            yield from _types(child)


def survives(mutant: Any, cases: list[tuple[Any, Any]]) -> bool:
    """Whether every judge says the same with the mutant in place."""
    with mutant:
        return all(verdict(config) == expected for config, expected in cases)


def main(only: list[str]) -> int:
    """Run, print a line per folder and every survivor."""
    total = killed = 0
    left: list[str] = []
    cases: dict[type[Component], list[tuple[Any, Any]]] = {}
    for folder, schemas in folders().items():
        if only and folder not in only:
            continue
        start, before = time.perf_counter(), (total, killed)
        cases.update({target: judges(target) for target in schemas})
        for description, holders, mutant in mutants(schemas):
            total += 1
            if survives(mutant, [case for holder in holders for case in cases[holder]]):
                left.append(description)
            else:
                killed += 1
        made, dead = total - before[0], killed - before[1]
        if made:
            seconds = time.perf_counter() - start
            sys.stdout.write(f"{folder:16} {dead:4} of {made:4} killed  {dead / made:6.1%}  {seconds:.0f} s\n")
            sys.stdout.flush()
    for description in left:
        sys.stdout.write(f"survived: {description}  {SURVIVORS.get(description, '')}\n")
    explained = sum(description in SURVIVORS for description in left)
    rate = (killed + explained) / max(total, 1)
    sys.stdout.write(f"{killed} of {total} killed, {explained} explained: {rate:.1%}\n")
    return 0 if rate >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
