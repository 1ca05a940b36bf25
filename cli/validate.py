"""`arch validate`: every problem of some presets, and a verdict on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cli import inputs, render
from registry.errors import InvalidConfig, Problem
from registry.plan import Node, Plan
from registry.plan import load as load_plan


@dataclass(frozen=True)
class Verdict:
    """What came of one preset.

    Attributes:
        preset: As the user wrote it.
        plan: Its plan, or None when it is invalid.
        problems: Everything found.
        code: Exit code on its own.
        files: Where the lines of the problems are.
    """

    preset: str
    plan: Plan | None
    problems: Sequence[Problem]
    code: int
    files: inputs.Files

    def to_dict(self) -> dict[str, Any]:
        """One item of the JSON."""
        found = [asdict(problem) for problem in self.problems]
        keys = ("code", "severity", "message", "hint", "path", "file", "line", "column")
        problems = [{key: problem[key] for key in keys} for problem in found]
        return {"preset": self.preset, "valid": self.plan is not None, "problems": problems}


def judge(preset: str, overrides: list[str]) -> Verdict:
    """Check one preset; never raises for bad content."""
    files = inputs.Files(tuple(overrides))
    try:
        plan = load_plan(inputs.source(preset, files), overrides)
    except InvalidConfig as refused:
        return Verdict(preset, None, refused.problems, inputs.exit_code(refused), files)
    return Verdict(preset, plan, plan.problems, 0, files)


def validate(presets: list[str], overrides: list[str], form: str) -> int:
    """Check presets and print what is wrong; the exit code."""
    verdicts = []
    for preset in presets:
        verdict = judge(preset, overrides)
        verdicts.append(verdict)
        if form == "text":
            _show(verdict)
        elif form == "github":
            for problem in verdict.problems:
                render.plain(render.github(problem))
    if form == "json":
        render.data([verdict.to_dict() for verdict in verdicts])
    elif form == "text" and len(verdicts) > 1:
        _summary(verdicts)
    return max(verdict.code for verdict in verdicts)


def _show(verdict: Verdict) -> None:
    console = render.stdout()
    render.problems(verdict.problems, verdict.files, console)
    if verdict.plan is None:
        render.verdict(verdict.preset, verdict.problems, console)
        return
    components = sum(1 for _ in Node("", verdict.plan.root, ()).walk())
    said = [render.plural(components, "component"), render.plural(verdict.plan.params, "parameter")]
    if verdict.problems:
        said.append(render.tally(verdict.problems))
    render.success((verdict.preset, "bold"), f" is valid ({', '.join(said)})")


def _summary(verdicts: Sequence[Verdict]) -> None:
    valid = sum(verdict.plan is not None for verdict in verdicts)
    said = [f"{valid:,} valid"] if valid else []
    if valid < len(verdicts):
        said.append(f"{len(verdicts) - valid:,} invalid")
    found = render.tally(problem for verdict in verdicts for problem in verdict.problems)
    text = f"{render.plural(len(verdicts), 'preset')}: {', '.join(said)}{f' ({found})' if found else ''}"
    console = render.stdout()
    console.print()
    render.write(console, render.styled((text, "bold")))
