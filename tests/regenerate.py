"""Write the reviewed snapshots anew: `python -m tests.regenerate`. Read the diff before you keep it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import registry
from registry import compose, reader
from registry.codes import EXAMPLES
from registry.errors import InvalidConfig, Problem

HERE = Path(__file__).parent
MESSAGES = HERE / "snapshots" / "messages.json"
CORPUS = HERE / "corpus"

Messages = dict[str, list[dict[str, Any]]]
"""Problems by where they come from."""


def messages() -> Messages:
    """What is said of every invalid case of every component, of every file of the corpus, of every code of the core."""
    return {**_of_components(), **_of_the_corpus(), **_of_the_core()}


def _of_components() -> Messages:
    found: Messages = {}
    for name in registry.names():
        cases = importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))
        configs = [case.config for case in cases.INVALID] + [case.document for case in cases.CASES if case.warns]
        own = [dict(config) for config in configs if registry.get(config["type"]).name == name]
        for number, config in enumerate(own):
            found[f"{name}-{number}"] = [_row(problem) for problem in registry.check(config)]
    return found


def _of_the_corpus() -> Messages:
    found: Messages = {}
    for path in sorted(CORPUS.glob("*.yaml")):
        try:
            compose.compose([reader.read_bytes(path.read_bytes(), path.name)])
        except InvalidConfig as refused:
            found[path.name] = [_row(problem) for problem in refused.problems[:2]]
    return found


def _of_the_core() -> Messages:
    return {code: [_row(problem) for problem in example.problems] for code, example in sorted(EXAMPLES.items())}


def _row(problem: Problem) -> dict[str, Any]:
    return {key: getattr(problem, key) for key in ("code", "severity", "path", "message", "hint")}


def main() -> None:
    """Write every snapshot."""
    MESSAGES.parent.mkdir(exist_ok=True)
    MESSAGES.write_text(json.dumps(messages(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
