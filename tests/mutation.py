"""Mutation testing of the rules: change one thing in one rule, and some test must notice.

Rules are data, so mutants are made in memory: drop the rule, negate its condition, soften its comparison, forget its
`when`, turn an error into a warning; the same for what follows from the parent and what is given to the children. A
mutant is killed when a valid config is refused, or an invalid one is not refused as expected.

    python -m tests.mutation            # all schemas: a table and the survivors; exit 1 below 98 %
    python -m tests.mutation siren      # one folder of components
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest import mock

import registry
from registry import schema
from registry.rules import Divides, Equals, Expr, Fault, Require, Rule, Unknown
from registry.schema import Component, Follows, Slot, fields_of
from tests import faults

_NOWHERE = "no component of ours has a slot for it, so that nothing says its width or its rank"
SURVIVORS: dict[str, str] = {
    "layer_scale: dim follows nothing": _NOWHERE,
    "layer_scale: dim follows something else": _NOWHERE,
    "position_embedding_nd: embedding_dim follows nothing": _NOWHERE,
    "position_embedding_nd: embedding_dim follows something else": _NOWHERE,
    "position_embedding_nd: data_dim follows nothing": _NOWHERE,
    "qkv_condition_mixer: mixer is not given seq_shape": "no network of ours knows both its grid and a condition",
    "vit5_residual_block: unused-conditioning at register_pooling applies always": "without register_pooling there is "
    "no name to put in the message, and the rule says nothing",
}
"""Mutants known to survive: description -> why that is no gap."""
GOAL = 0.98

DRAWS = 20
"""Random configs of every component."""
_ALWAYS = "applies always"
_SILENT = (Unknown, TypeError, AttributeError, ValueError, LookupError, ArithmeticError)
"""What the checker takes for "the rule cannot say"."""


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
        elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            number = node.value
            node.value = number + 1
            yield ast.unparse(tree)
            node.value = number


def rule_mutants(rule: Rule) -> Iterator[tuple[str, Rule | None]]:
    """Every mutant of one rule; None leaves it out."""
    yield "left out", None
    if rule.severity == "error":
        yield "only a warning", dataclasses.replace(rule, severity="warning")
    if rule.when:
        yield _ALWAYS, dataclasses.replace(rule, when="")
        yield "applies where it should not", dataclasses.replace(rule, when=f"not ({rule.when})")
    if isinstance(rule, Require):
        yield "negated", dataclasses.replace(rule, condition=f"not ({rule.condition})")
        for text in softened(rule.condition):
            yield f"now {text}", dataclasses.replace(rule, condition=text)
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
def remarked(holders: list[type[Component]], name: str, mutant: Follows | Slot | None) -> Iterator[None]:
    """Every schema with field `name`, following something else or nothing, or giving something else."""
    originals = [(holder, fields_of(holder)) for holder in holders]
    for holder, fields in originals:
        kind = "slots" if name in fields.slots else "follows"
        marks = {n: mutant if n == name else mark for n, mark in getattr(fields, kind).items()}
        kept: Any = {n: mark for n, mark in marks.items() if mark is not None}
        schema._FIELDS[holder] = dataclasses.replace(fields, **{kind: kept})
    try:
        yield
    finally:
        for holder, fields in originals:
            schema._FIELDS[holder] = fields


@dataclass(frozen=True)
class Mutant:
    """One changed thing.

    Attributes:
        description: For people.
        applied: Context manager in which it is changed.
        names: Names of the components that have it.
        rules: The rule and what takes its place, if it is a rule.
    """

    description: str
    applied: Callable[[], AbstractContextManager[None]]
    names: frozenset[str]
    rules: tuple[Rule, Rule | None] | None = None

    def readers(self, everybody: list[Judge]) -> list[Judge]:
        """Judges that write one of the components, quick ones first."""
        return sorted((j for j in everybody if self.names & j.types), key=lambda judge: len(str(judge.config)))


def mutants(schemas: list[type[Component]]) -> Iterator[Mutant]:
    """Every mutant of some schemas; what is inherited is mutated once."""
    rules: dict[int, tuple[Rule, list[type[Component]]]] = {}
    marks: dict[int, tuple[str, Follows | Slot, list[type[Component]]]] = {}
    for holder in schemas:
        for rule in holder.rules:
            rules.setdefault(id(rule), (rule, []))[1].append(holder)
        held: dict[str, Follows | Slot] = {**fields_of(holder).follows, **fields_of(holder).slots}
        for name, mark in held.items():
            marks.setdefault(id(mark), (name, mark, []))[2].append(holder)
    for rule, holders in rules.values():
        label = f"{holders[0].entry.name}: {rule.code} at {rule.at}" if isinstance(rule, Require) else ""
        for what, mutant in rule_mutants(rule):
            applied = partial(replaced, holders, rule, mutant)
            said = f"{label or f'{holders[0].entry.name}: {rule.code}'} {what}"
            yield Mutant(said, applied, _names(holders), (rule, mutant))
    for name, mark, holders in marks.values():
        for what, changed in _mark_mutants(mark):
            said = f"{holders[0].entry.name}: {name} {what}"
            yield Mutant(said, partial(remarked, holders, name, changed), _names(holders))


def _mark_mutants(mark: Follows | Slot) -> Iterator[tuple[str, Follows | Slot | None]]:
    if isinstance(mark, Follows):
        yield "follows nothing", None
        yield "follows something else", dataclasses.replace(mark, value=_other(mark.value))
    else:
        for fact, value in mark.gives.items():
            others = {name: expression for name, expression in mark.gives.items() if name != fact}
            yield f"is not given {fact}", dataclasses.replace(mark, gives=others)
            yield f"is given another {fact}", dataclasses.replace(mark, gives={**others, fact: _other(value)})
        if mark.when is not None:
            yield "counts although it is not used", dataclasses.replace(mark, when=None)


def _other(value: Expr) -> Expr:
    return Expr(f"({value.text}, 'mutant')")


def _names(holders: list[type[Component]]) -> frozenset[str]:
    return frozenset(name for holder in holders for name in (holder.entry.name, *holder.entry.aliases))


# ---- judges -------------------------------------------------------------------------------------------------------


@dataclass
class Judge:
    """A document, and what is said of it."""

    config: Any
    verdict: tuple[tuple[str, str, str], ...] = ()

    @property
    def types(self) -> set[str]:
        """Names of the components it writes."""
        return set(_types(self.config))


@dataclass
class Evaluations:
    """What every rule has been asked while the judges gave their verdicts.

    A mutant that answers all of it as the rule does cannot change a verdict, so that nobody need be asked again.

    Attributes:
        asked: By rule and by the values it reads: all names, and the judges of whom it was asked.
    """

    asked: dict[int, dict[Any, tuple[dict[str, Any], list[Judge]]]] = field(default_factory=dict)
    _reads: dict[int, set[str]] = field(default_factory=dict)

    @contextmanager
    def recording(self, judge: Judge) -> Iterator[None]:
        """Note what is asked for `judge`."""
        original = Rule.check

        def check(rule: Rule, names: Mapping[str, Any]) -> Iterator[Fault]:
            known = self.asked.setdefault(id(rule), {})
            reads = self._reads.setdefault(id(rule), {"__written__", *re.findall(r"\w+", repr(rule))})
            values = {name: _key(names[name], reads) for name in sorted(reads) if name in names}
            judges = known.setdefault(tuple(values.items()), (dict(names), []))[1]
            if not judges or judges[-1] is not judge:
                judges.append(judge)
            return original(rule, names)

        with mock.patch.object(Rule, "check", check):
            yield

    def telling(self, rule: Rule, mutant: Rule | None) -> list[Judge]:
        """Judges of whom `mutant` says something else than `rule`, quick ones first."""
        found = {}
        for names, judges in self.asked.get(id(rule), {}).values():
            if _answer(rule, names) != _answer(mutant, names):
                found.update({id(judge): judge for judge in judges})
        return sorted(found.values(), key=lambda judge: len(str(judge.config)))

    def excuse(self, mutant: Mutant) -> str:
        """Why it is no gap that nobody noticed `mutant`, or nothing."""
        guard = mutant.rules and mutant.description.endswith(_ALWAYS) and self.only_guards(mutant.rules[0])
        return "elsewhere the condition has no value, and the rule nothing to say" if guard else ""

    def only_guards(self, rule: Rule) -> bool:
        """Whether `when` says no more than where the condition has a value, such as "it is not null"."""
        outside = [names for names, _ in self.asked.get(id(rule), {}).values() if not _applies(rule, names)]
        return bool(outside) and not any(_speaks(rule, names) for names in outside)


def _applies(rule: Rule, names: Mapping[str, Any]) -> bool:
    try:
        return bool(Expr(rule.when)(names))
    except _SILENT:
        return True


def _speaks(rule: Rule, names: Mapping[str, Any]) -> bool:
    """Whether the rule without `when` can tell if it holds."""
    if isinstance(rule, Divides) and names.keys().isdisjoint(rule.multiples):
        return False
    try:
        list(rule._faults(names))
    except _SILENT:
        return False
    return True


def _key(value: Any, reads: set[str]) -> Any:
    """What tells one value from another; of what is written, only what the rule reads."""
    if isinstance(value, frozenset):
        return value & reads
    return id(value) if isinstance(value, (Component, Mapping)) else repr(value)


def _answer(rule: Rule | None, names: Mapping[str, Any]) -> Any:
    """What a rule has against some values: severity and fields; nothing, where it cannot say."""
    try:
        return [(rule.severity, fault.at) for fault in rule.check(names)] if rule else []
    except _SILENT:
        return []


def verdict(config: Any) -> tuple[tuple[str, str, str], ...]:
    """Problems of a config, as (severity, code, path). A mutant may let through what the rest cannot bear."""
    try:
        return tuple((p.severity, p.code, p.path) for p in registry.check(config))
    except Exception as crash:
        return (("crash", type(crash).__name__, ""),)


def documents() -> Iterator[Any]:
    """Everything that rules are tried on: cases, random draws, the fault table."""
    for name in registry.names():
        module = importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))
        cases = [dict(case.config) for case in module.INVALID] + [case.document for case in module.CASES]
        yield from (case for case in cases if registry.get(case["type"]).name == name)
        if name in module.DRAW:
            rng = random.Random(0)
            yield from (module.DRAW[name](rng).document for _ in range(DRAWS))
    for fault in faults.FAULTS:
        base = faults.BASES[fault.base]
        yield from (faults.changed(base, change) for change in (fault.change, fault.neighbour) if change)


def judges(schemas: list[type[Component]]) -> tuple[list[Judge], Evaluations]:
    """Every document that writes one of `schemas`, or may have it from a preset, with its verdict."""
    names, evaluations = _names(schemas), Evaluations()
    found = [judge for judge in map(Judge, documents()) if "extends" in judge.config or names & judge.types]
    for judge in found:
        with evaluations.recording(judge):
            judge.verdict = verdict(judge.config)
    return found, evaluations


def _types(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for child in node.values():
            yield from _types(child)
    elif isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for child in node:
            yield from _types(child)


def main(only: list[str]) -> int:
    """Run, print a line per folder and every survivor."""
    total = killed = 0
    left: dict[str, str] = {}
    chosen = {folder: schemas for folder, schemas in folders().items() if folder in only or not only}
    everybody, evaluations = judges([schema for schemas in chosen.values() for schema in schemas])
    for folder, schemas in chosen.items():
        start, before = time.perf_counter(), (total, killed)
        for mutant in mutants(schemas):
            total += 1
            asked = evaluations.telling(*mutant.rules) if mutant.rules else mutant.readers(everybody)
            with mutant.applied():
                dead = any(verdict(judge.config) != judge.verdict for judge in asked)
            killed += dead
            if not dead:
                left[mutant.description] = SURVIVORS.get(mutant.description, evaluations.excuse(mutant))
        made, deaths = total - before[0], killed - before[1]
        if made:
            seconds = time.perf_counter() - start
            sys.stdout.write(f"{folder:16} {deaths:4} of {made:4} killed  {deaths / made:6.1%}  {seconds:.0f} s\n")
            sys.stdout.flush()
    for description, reason in left.items():
        sys.stdout.write(f"survived: {description}{': ' if reason else ''}{reason}\n")
    explained = sum(bool(reason) for reason in left.values())
    rate = (killed + explained) / max(total, 1)
    sys.stdout.write(f"{killed} of {total} killed, {explained} explained: {rate:.1%}\n")
    return 0 if rate >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
