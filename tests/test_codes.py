"""`arch explain`: every code has a meaning and, taken from data, a wrong document and a right one."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

import registry
from cli import explain
from registry.codes import CORE, EXAMPLES, WITHOUT_EXAMPLE, Example, Meaning, judge, meanings
from registry.errors import Problem
from tests.test_cli import arch

ROOT = Path(__file__).parents[1]
MEANINGS = meanings()
EVERY = [pytest.param(m, id=f"{code}-{i}") for code, meant in MEANINGS.items() for i, m in enumerate(meant)]


def codes(problems: list[Problem], severity: str) -> list[str]:
    return [problem.code for problem in problems if problem.severity == severity]


@pytest.mark.parametrize("meaning", EVERY)
def test_the_wrong_example_gives_the_code_and_the_right_one_is_accepted(meaning: Meaning, tmp_path: Path) -> None:
    assert meaning.why, "a rule without a reason"
    if meaning.code in WITHOUT_EXAMPLE:
        return
    example = meaning.example()
    assert example is not None, f"no case of {', '.join(sorted({rule.component for rule in meaning.rules}))}"
    (problem,) = [p for p in example.problems if p.severity == "error"] or [
        p for p in example.problems if p.code == meaning.code
    ]
    assert problem.code == meaning.code
    right = judge(example.right)
    assert not codes(right, "error")
    assert meaning.code not in {p.code for p in right}
    _as_shown(example, meaning, tmp_path)


def _as_shown(example: Example, meaning: Meaning, folder: Path) -> None:
    """What is written out is YAML that says the same."""
    for side, found in ((example.wrong, example.problems), (example.right, judge(example.right))):
        text = explain.written(side)
        if not isinstance(side, dict) or "more lines" in text or "…" in text or text.startswith("{"):
            continue
        path = folder / "shown.yaml"
        path.write_text(text, encoding="utf-8")
        shown = registry.check(path)
        assert [(p.code, p.path) for p in shown] == [(p.code, p.path) for p in found], text


def test_every_code_of_the_core_has_an_example() -> None:
    assert set(EXAMPLES) == set(CORE) - WITHOUT_EXAMPLE


def test_every_code_in_the_source_is_explained() -> None:
    """Codes are literals: the first argument of `Problem`, of what reports one, or `code=`."""
    found = set()
    for path in (ROOT / "registry").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                literals = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                literals += [key.value.value for key in node.keywords if isinstance(key.value, ast.Constant)]
                name = ast.unparse(node.func).rpartition(".")[2]
                if name in ("Problem", "report", "_refuse", "_problem", "_refuse_data", "_refuse_override"):
                    texts = [text for text in literals if isinstance(text, str)]
                    found |= {text for text in texts if re.fullmatch("[a-z]+-[a-z-]+", text)}
    assert len(found) > 20
    assert found <= set(MEANINGS)


def test_codes_are_kebab_case() -> None:
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", code) for code in MEANINGS)


def test_the_list_has_one_line_per_code() -> None:
    listed = json.loads(arch("explain", "--format", "json").stdout)
    assert [row["code"] for row in listed] == sorted(MEANINGS)
    assert all(row["meaning"] for row in listed)
    assert len(arch("explain").stdout.splitlines()) == len(MEANINGS) + 2


def test_the_json_of_one_code() -> None:
    known = json.loads(arch("explain", "divisible", "--format", "json").stdout)
    assert {rule["component"] for rule in known["rules"]} > {"attention", "conv2d", "s4"}
    assert {example["why"] for example in known["examples"]} == {rule["why"] for rule in known["rules"]}
    example = known["examples"][0]
    assert set(example) == {"why", "wrong", "right", "severity", "message", "hint", "path"}
    assert example["wrong"].splitlines()[0] == "type: attention"


@pytest.mark.parametrize(
    "code", ["too-large", "too-many-nodes", "scalar-too-long", "unprintable", "not-utf8", "cyclic-data"]
)
def test_examples_are_short_and_printable(code: str) -> None:
    text = arch("explain", code).stdout
    assert len(text) < 5_000
    assert all(c.isprintable() or c == "\n" for c in text)


def test_a_component_without_cases_is_explained_without_example() -> None:
    assert Meaning("nobody-gives-this", "never").example() is None
