"""Every problem code: what it means, why the rule exists, and two documents, one that gives it and one that does not.

Codes of the core have their pair here. Codes of components have theirs in `cases.py`: an invalid case gives the wrong
document, and the smallest repair of it, or else a valid case, the right one. Nothing is written down twice, and a
component that is added explains itself.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Union

from registry import store
from registry.check import CODES as CHECK
from registry.compose import CODES as COMPOSE
from registry.discover import CODES as DISCOVER
from registry.errors import InvalidConfig, Problem, Severity
from registry.limits import LIMITS
from registry.plan import CODES as PLAN
from registry.plan import check
from registry.reader import CODES as READER
from registry.reader import parse_value, read_bytes
from registry.rules import Require, Rule
from registry.schema import Follows, fields_of
from registry.sources import CODES as SOURCES
from registry.sources import presets
from registry.sweep import CODES as SWEEP

CORE: Mapping[str, str] = {**READER, **SOURCES, **COMPOSE, **CHECK, **PLAN, **DISCOVER, **SWEEP}
"""Codes that no component gives, and what they mean."""

Text = Union[str, bytes, Mapping[str, Any], tuple[str, ...]]
"""A document: YAML, bytes, a mapping, or (preset, override, ...)."""


@dataclass(frozen=True)
class Example:
    """Two documents.

    Attributes:
        wrong: Gives the code, and nothing else.
        right: Is accepted.
        file: Preset whose file `wrong` pretends to be, for what only a file can do wrong.
    """

    wrong: Text
    right: Text
    file: str = ""

    @property
    def problems(self) -> list[Problem]:
        """What `wrong` gives."""
        return judge(self.wrong, self.file)


@dataclass(frozen=True)
class Given:
    """A rule, or a field that follows, and the component it belongs to.

    Attributes:
        component: Registered name.
        statement: The rule in one line.
        said: Pattern of its messages.
    """

    component: str
    statement: str
    said: str = ""


@dataclass
class Meaning:
    """One meaning of a code.

    Attributes:
        code: The code.
        why: One sentence: what it means, or why the rule exists.
        severity: What breaking it means.
        rules: The rules of components that give it; none for most codes of the core.
    """

    code: str
    why: str
    severity: Severity = "error"
    rules: list[Given] = field(default_factory=list)

    def example(self) -> Example | None:
        """A pair of documents, or None where no case has any."""
        return EXAMPLES.get(self.code) if self.code in CORE else _from_cases(self)


def meanings() -> dict[str, list[Meaning]]:
    """Every code, in alphabetical order, with its meanings: rules that give one reason are one meaning."""
    found = {(code, why): Meaning(code, why) for code, why in CORE.items()}
    for entry in store.entries():
        for code, why, severity, given in _given(entry):
            key = (code, why or CORE.get(code, ""))
            found.setdefault(key, Meaning(*key, severity)).rules.append(given)
    by_code: dict[str, list[Meaning]] = {}
    for meaning in sorted(found.values(), key=lambda meaning: meaning.code):
        by_code.setdefault(meaning.code, []).append(meaning)
    return by_code


def judge(text: Text, file: str = "") -> list[Problem]:
    """Every problem of a document of an example."""
    if isinstance(text, tuple):
        return check(text[0], text[1:])
    if isinstance(text, Mapping):
        return check(text)
    raw = text if isinstance(text, bytes) else text.encode()
    try:
        return check(read_bytes(raw, str(presets()[file]) if file else "example.yaml"))
    except InvalidConfig as refused:
        return list(refused.problems)


def _given(entry: store.Entry) -> Iterator[tuple[str, str, Severity, Given]]:
    """(code, why, severity, rule) of a component."""
    for rule in entry.schema.rules:
        yield rule.code, rule.why, rule.severity, Given(entry.name, rule.statement, _said(rule))
    for name, mark in fields_of(entry.schema).follows.items():
        yield mark.code, mark.why, mark.severity, Given(entry.name, _follows(name, mark), rf"Expected {name} to be ")


def _follows(name: str, mark: Follows) -> str:
    return f"{name} follows from {'the parent' if name == mark.value.text else mark.value.text}"


def _said(rule: Rule) -> str:
    """Pattern of the messages of a rule that words them itself."""
    if not isinstance(rule, Require):
        return ""
    return ".*".join(re.escape(piece) for piece in re.split(r"\{.*?\}", rule.message))


# ---- from the cases of components -------------------------------------------------------------------------------


def _from_cases(meaning: Meaning) -> Example | None:
    """The pair of the first case that is wrong in this sense, cases of the component itself before those around it."""
    documents = [document for module in _case_modules() for document in _suspects(module, meaning.code)]
    of_own = [d for d in documents if store.get(d["type"]).name in {given.component for given in meaning.rules}]
    for wrong in (*of_own, *documents):
        named = set(_types(wrong))
        for problem in check(wrong):
            fits = (given for given in meaning.rules if given.component in named)
            if problem.code == meaning.code and any(re.match(given.said, problem.message) for given in fits):
                right = next((right for right in _repairs(wrong, problem) if _accepted(right, problem.code)), None)
                if right is not None:
                    return Example(wrong, right)
    return None


def _case_modules() -> Iterator[ModuleType]:
    """The `cases.py` of every folder; plug-ins need not have one."""
    for package in sorted({entry.source.rpartition(".")[0] for entry in store.entries()}):
        try:
            yield importlib.import_module(f"{package}.cases")
        except ImportError:
            continue


def _suspects(module: ModuleType, code: str) -> list[dict[str, Any]]:
    """Documents of a `cases.py` that give `code`."""
    warned = [case.document for case in module.CASES if code in case.warns]
    return [dict(case.config) for case in module.INVALID if case.code == code] + warned


def _types(tree: Any) -> Iterator[str]:
    """Names of the components in a document."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            entry = store.find(value) if isinstance(value, str) else None
            if entry is not None:
                yield entry.name
            yield from _types(value)


def _accepted(document: Mapping[str, Any], code: str) -> bool:
    return all(p.severity != "error" and p.code != code for p in check(document))


def _repairs(wrong: Mapping[str, Any], problem: Problem) -> Iterator[dict[str, Any]]:
    """Documents that may be right, the likeliest first: as the hint says, without the field, as a valid case."""
    *parents, name = problem.path.split(".")
    for at, values in re.findall(r"(?:try|set) (\w+): (.+?)(?:,|$)", problem.hint):
        for value in values.split(" or "):
            yield _changed(wrong, [*parents, at], parse_value(value, "hint"))
    yield _changed(wrong, [*parents, name], None)
    own = store.get(wrong["type"])
    module = next(m for m in _case_modules() if m.__name__ == own.source.rpartition(".")[0] + ".cases")
    valid = [case.document for case in module.CASES if store.get(case.config["type"]) is own]
    for case in valid:
        yield from (_changed(wrong, [key], case.get(key)) for key in {**case, **wrong} if key != "type")
    yield from valid


def _changed(tree: Any, path: Sequence[str], value: Any) -> Any:
    """`tree` with `value` at `path`, or without anything there if it is None."""
    key, *rest = path
    if not isinstance(tree, Mapping):
        return tree
    if rest:
        return {**tree, key: _changed(tree.get(key), rest, value)}
    kept = {name: item for name, item in tree.items() if name != key}
    return kept if value is None else {**tree, key: value}


# ---- of the core ------------------------------------------------------------------------------------------------


def _norm(dim: object = 8, more: str = "") -> str:
    """A small document."""
    return f"type: rms_norm\ndim: {dim}\n{more}"


def _cycle() -> dict[str, Any]:
    inside: dict[str, Any] = {"type": "rms_norm"}
    inside["dim"] = inside
    return inside


_MIXER = "type: qkv_sequence_mixer\nhidden_dim: 8\nmixer: "
_ATTENTION = "{type: attention, num_heads: 2, apply_qk_norm: true, use_rope: false}\n"


def _adaln(shape: str) -> str:
    """A mixer that needs a condition."""
    mixer = _MIXER.replace("sequence", "condition") + _ATTENTION
    return f"{mixer}input: {{shape: {shape}}}\n"


def _wide(dim: int) -> str:
    """An MLP with 48 x dim**2 parameters."""
    return f"type: mlp\ndim: {dim}\nactivation: gelu\nexpansion_factor: 24\n"


def _net(network: str = "{type: rms_norm, dim: 8}", more: str = "") -> str:
    """A small preset."""
    return f"network: {network}\n{more}"


def _chain(last: int) -> str:
    """Extents that refer to each other, `last` references in a row."""
    extents = "".join(f"  - ${{input.shape.{i + 1}}}\n" for i in range(last))
    return _norm(8, f"input:\n  shape:\n{extents}  - 8\n")


EXAMPLES: Mapping[str, Example] = {
    "unreadable": Example(("nowhere.yaml",), ("vit5_hybrid",)),
    "too-large": Example("#" * LIMITS.file_bytes + "\n" + _norm(), _norm()),
    "not-utf8": Example(_net(more="summary: Größe\n").encode("latin-1"), _net(more="summary: Größe\n")),
    "unprintable": Example(_norm(8, "# a\u200bb\n"), _norm(8, "# ab\n")),
    "yaml-syntax": Example("type: rms_norm\ndim: [8\n", _norm()),
    "yaml-directive": Example("%YAML 1.1\n---\n" + _norm(), _norm()),
    "yaml-documents": Example(_norm() + "---\n" + _norm(), _norm()),
    "yaml-tag": Example(_norm("!!python/name:os.system"), _norm()),
    "yaml-anchor": Example(_norm("&width 8"), _norm()),
    "yaml-alias": Example(_norm("*width"), _norm()),
    "yaml-merge": Example(_norm(8, "<<: {eps: 1e-6}\n"), _norm(8, "eps: 1e-6\n")),
    "yaml-surprise": Example(_norm("010"), _norm("10")),
    "yaml-block": Example(("vit5_hybrid", "num_classes=- 10"), ("vit5_hybrid", "num_classes=10")),
    "bad-key": Example("type: rms_norm\n8: dim\n", _norm()),
    "key-too-long": Example(_norm(8, f"{'x' * (LIMITS.key_chars + 1)}: 1\n"), _norm()),
    "duplicate-key": Example(_norm(8, "dim: 16\n"), _norm(16)),
    "int-too-long": Example(_norm("9" * (LIMITS.int_digits + 1)), _norm()),
    "float-range": Example(_norm(8, "eps: 1e999\n"), _norm(8, "eps: 1e-6\n")),
    "scalar-too-long": Example(_norm("x" * (LIMITS.scalar_chars + 1)), _norm()),
    "too-deep": Example(_norm("[" * LIMITS.depth + "8" + "]" * LIMITS.depth), _norm()),
    "too-many-nodes": Example(_norm(f"[{', '.join('8' * LIMITS.nodes)}]"), _norm()),
    "empty": Example("# nothing but a comment\n", _norm()),
    "not-a-mapping": Example("- rms_norm\n", _norm()),
    "not-plain-data": Example({"type": "rms_norm", "dim": {8}}, {"type": "rms_norm", "dim": 8}),
    "cyclic-data": Example(_cycle(), {"type": "rms_norm", "dim": 8}),
    "bad-override": Example(("vit5_hybrid", "num_classes"), ("vit5_hybrid", "num_classes=10")),
    "missing-value": Example(_norm("???"), _norm()),
    "reference-syntax": Example(_norm("${oc.env:WIDTH}"), _norm()),
    "reference-unknown": Example(
        _norm(8, "input: {shape: [5, '${dims}']}\n"), _norm(8, "input: {shape: [5, '${dim}']}\n")
    ),
    "reference-not-scalar": Example(
        _norm(8, "input: {shape: '${dim_list}'}\ndim_list: [5, 8]\n"), _norm(8, "input: {shape: [5, '${dim}']}\n")
    ),
    "reference-cycle": Example(_norm("${dim}"), _norm()),
    "reference-chain": Example(_chain(LIMITS.reference_chain + 1), _chain(LIMITS.reference_chain)),
    "too-many-references": Example(
        _norm(8, "input:\n  shape:\n" + "  - ${dim}\n" * (LIMITS.references + 1)),
        _norm(8, "input: {shape: [5, '${dim}']}\n"),
    ),
    "unknown-preset": Example(("vit5_hybird",), ("vit5_hybrid",)),
    "extends-cycle": Example("extends: vit5_hybrid\n", "extends: vit5_hybrid_ha\n", file="vit5_hybrid"),
    "extends-outside": Example("extends: ../other.yaml\n", "extends: vit5_hybrid\n"),
    "bad-value": Example(_norm("'8'"), _norm()),
    "missing-field": Example("type: rms_norm\n", _norm()),
    "missing-type": Example(_net("{dim: 8}"), _net()),
    "not-a-component": Example(_MIXER + "8\n", _MIXER + _ATTENTION),
    "unknown-component": Example("type: rmsnorm_\ndim: 8\n", _norm()),
    "unknown-field": Example(_norm(8, "epsilon: 1e-6\n"), _norm(8, "eps: 1e-6\n")),
    "wrong-kind": Example(_MIXER + "silu\n", _MIXER + _ATTENTION),
    "mismatch": Example(_MIXER + _ATTENTION.replace("}", ", hidden_dim: 16}"), _MIXER + _ATTENTION),
    "wrong-type": Example(
        "type: rms_norm\nin_features: 8\nout_features: 8\n", "type: linear\nin_features: 8\nout_features: 8\n"
    ),
    "missing-condition": Example(_adaln("[5, 8]"), _adaln("[5, 8], condition: [8]")),
    "condition-width": Example(_adaln("[5, 8], condition: [6]"), _adaln("[5, 8], condition: [8]")),
    "too-many-parameters": Example(_wide(2**20), _wide(8)),
    "shape": Example(_norm(8, "input: {shape: [5, 4]}\n"), _norm(8, "input: {shape: [5, 8]}\n")),
}
"""One pair for each code of the core but those that no document gives by itself: see `WITHOUT_EXAMPLE`."""

WITHOUT_EXAMPLE = frozenset({"broken-component", "cost-unknown"})
"""A component folder is broken, or a valid network is to be counted: neither is a fault of a document."""
