"""`arch explain CODE`: what is known of a problem code."""

from __future__ import annotations

from typing import Any

from cli import render
from cli.guard import Refused
from registry import store
from registry.check import CODES as CHECK
from registry.compose import CODES as COMPOSE
from registry.discover import CODES as DISCOVER
from registry.errors import clip
from registry.names import did_you_mean
from registry.plan import CODES as PLAN
from registry.reader import CODES as READER
from registry.schema import fields_of
from registry.sources import CODES as SOURCES

CORE = (READER, SOURCES, COMPOSE, CHECK, PLAN, DISCOVER)
"""Codes that no component gives."""


def explain(code: str, form: str) -> None:
    """Print what a code means and which rules of which components give it."""
    known = codes()
    if code not in known:
        hint = did_you_mean(code, known) or "codes stand in brackets after error, warning or note"
        raise Refused(f"Expected the code of a problem, got {clip(code)!r}; {hint}")
    facts = known[code]
    if form == "json":
        render.data(facts)
        return
    render.heading(code, f"  {facts['meaning']}" if facts["meaning"] else "")
    grid = render.grid("left", "left", "prose")
    for rule in facts["rules"]:
        style = render.STYLES[rule["severity"]]
        row = ((rule["severity"], style), (rule["component"], "bold"), rule["statement"])
        grid.add_row(*map(render.styled, row))
        if rule["why"]:
            grid.add_row("", "", render.styled((rule["why"], "dim")))
    if facts["rules"]:
        render.plain("")
        render.show(grid)


def codes() -> dict[str, dict[str, Any]]:
    """Every code: what it means, and the rules that give it."""
    known: dict[str, dict[str, Any]] = {}
    for table in CORE:
        for code, meaning in table.items():
            known[code] = {"code": code, "meaning": meaning, "rules": []}
    for entry in store.entries():
        fields = fields_of(entry.schema)
        rules = [(rule.code, rule.statement, rule.why, rule.severity) for rule in entry.schema.rules]
        rules += [(m.code, _follows(name, m.value.text), m.why, m.severity) for name, m in fields.follows.items()]
        for code, statement, why, severity in rules:
            rule = {"component": entry.name, "statement": statement, "why": why, "severity": severity}
            known.setdefault(code, {"code": code, "meaning": "", "rules": []})["rules"].append(rule)
    return known


def _follows(name: str, expression: str) -> str:
    return f"{name} follows from {'the parent' if name == expression else expression}"
