"""`arch explain`: what a problem code means, why it exists, and a document that gives it beside one that does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cli import render
from cli.example import yaml
from cli.guard import Refused
from registry.codes import CORE, Example, Meaning, Text, meanings
from registry.compose import from_mapping
from registry.errors import Unreadable, clip
from registry.names import did_you_mean

LINE = 100
"""Characters of a line of an example."""
LINES = 40
"""Lines of an example."""
FLOW = 72
"""Characters up to which a mapping is written on one line."""


def explain(code: str | None, form: str) -> None:
    """Print what a code means, or every code."""
    known = meanings()
    if code is None:
        _list(known, form)
        return
    if code not in known:
        hint = did_you_mean(code, known) or "arch explain lists them all"
        raise Refused(f"Expected the code of a problem, got {clip(code)!r}; {hint}")
    facts = describe(code, known[code])
    if form == "json":
        render.data(facts)
        return
    render.heading(code, f"  {facts['meaning']}" if facts["meaning"] else "")
    _show_rules(facts)
    for example in facts["examples"]:
        _show_example(example, of_many=len(facts["examples"]) > 1)


def describe(code: str, meant: list[Meaning]) -> dict[str, Any]:
    """What the JSON of one code holds."""
    examples = [(meaning, meaning.example()) for meaning in meant]
    return {
        "code": code,
        "meaning": CORE.get(code, ""),
        "rules": [
            {
                "component": rule.component,
                "statement": rule.statement,
                "why": "" if meaning.why == CORE.get(code) else meaning.why,
                "severity": meaning.severity,
            }
            for meaning in meant
            for rule in meaning.rules
        ],
        "examples": [_example(meaning, example) for meaning, example in examples if example is not None],
    }


def _example(meaning: Meaning, example: Example) -> dict[str, Any]:
    problem = next(problem for problem in example.problems if problem.code == meaning.code)
    return {
        "why": meaning.why,
        "wrong": written(example.wrong),
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint,
        "path": problem.path,
        "right": written(example.right),
    }


def _list(known: Mapping[str, list[Meaning]], form: str) -> None:
    rows = [{"code": code, "meaning": "; ".join(m.why for m in meant)} for code, meant in known.items()]
    if form == "json":
        render.data(rows)
        return
    table = render.table("code", "meaning", flexible=["meaning"])
    for row in rows:
        table.add_row(render.styled((row["code"], "bold")), render.styled(row["meaning"]))
    render.show(table)


def _show_rules(facts: Mapping[str, Any]) -> None:
    """Every rule once, with the components that have it."""
    components: dict[tuple[str, ...], list[str]] = {}
    for rule in facts["rules"]:
        key = (rule["severity"], rule["statement"], rule["why"])
        components.setdefault(key, []).append(rule["component"])
    grid = render.grid("left", "prose")
    for (severity, statement, why), names in components.items():
        grid.add_row(render.styled((severity, render.STYLES[severity])), render.styled(statement))
        if why:
            grid.add_row("", render.styled((why, "dim")))
        grid.add_row("", render.styled(("in ", "dim"), ", ".join(names)))
    if facts["rules"]:
        render.plain("")
        render.show(grid)


def _show_example(example: Mapping[str, Any], of_many: bool) -> None:
    for side in ("wrong", "right"):
        render.plain("")
        render.heading(side, (f"  {example['why']}" if of_many and side == "wrong" else "", "dim"))
        for line in example[side].splitlines():
            render.plain(f"  {line}")
        if side == "wrong":
            style = render.STYLES[example["severity"]]
            path = f"{example['path']}: " if example["path"] else ""
            render.write(render.stdout(), render.styled((example["severity"], style), f": {path}{example['message']}"))
            if example["hint"]:
                render.write(render.stdout(), render.styled(("  hint", render.STYLES["hint"]), f": {example['hint']}"))


# ---- documents --------------------------------------------------------------------------------------------------


def written(text: Text) -> str:
    """A document as a person would write it: YAML, a command, or Python. Shortened."""
    if isinstance(text, tuple):
        return " --set ".join(["arch validate " + text[0], *(f"'{override}'" for override in text[1:])])
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if isinstance(text, Mapping):
        text = "\n".join(block(text)) if _is_plain(text) else repr(text)
    lines = text.splitlines()
    more = [f"... {len(lines) - LINES:,} more lines"] if len(lines) > LINES else []
    return "\n".join([clip(line, LINE) for line in lines[:LINES]] + more)


def block(tree: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """The lines of a mapping in YAML; small mappings inside it on one line."""
    for key, value in tree.items():
        flow = yaml(value)
        if isinstance(value, Mapping) and len(flow) > FLOW:
            yield f"{indent}{key}:"
            yield from block(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {flow}"


def _is_plain(tree: Any) -> bool:
    """Whether YAML can write it; what contains itself or a set, it cannot."""
    try:
        from_mapping(tree)
    except Unreadable:
        return False
    return True
