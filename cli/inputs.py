"""What a user names on the command line: a preset, a path, or `-` for standard input; and the lines of those files."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from typing import NoReturn

import typer

from cli import render
from cli.guard import FAILED, USAGE
from registry import compose, reader
from registry.errors import InvalidConfig, Unreadable
from registry.limits import LIMITS
from registry.plan import Plan
from registry.plan import load as load_plan
from registry.sources import Source

STDIN = "<stdin>"
"""What problems show as the file of a document from standard input."""


@dataclass
class Files:
    """Lines of the files that problems point into, each read once and no further than a document may be long.

    Attributes:
        overrides: The `--set` arguments, which problems may point to as well.
    """

    overrides: tuple[str, ...] = ()
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def line(self, file: str | None, number: int | None) -> str | None:
        """Line `number` (1-based) of `file`, or None where there is none."""
        if file is None or number is None:
            return None
        if file not in self._lines:
            self._lines[file] = _read(file)
        lines = self._lines[file]
        return lines[number - 1] if 0 < number <= len(lines) else None

    def keep(self, file: str, raw: bytes) -> None:
        """Remember a document that cannot be read twice."""
        self._lines[file] = _split(raw)

    def override(self, path: str) -> str:
        """The last `--set` argument that wrote `path`, or an empty string."""
        for text in reversed(self.overrides):
            key = text.partition("=")[0]
            if any(f"{path}.".startswith(f"{prefix}{key}.") for prefix in ("", "network.")):
                return text
        return ""


def _read(file: str) -> list[str]:
    if not os.path.isfile(file):  # a pipe cannot be read twice
        return []
    try:
        with open(file, "rb") as stream:
            return _split(stream.read(LIMITS.file_bytes))
    except (OSError, ValueError):
        return []


def _split(raw: bytes) -> list[str]:
    """Lines as the reader counts them."""
    return re.split("\r\n|\n|\r", raw.decode("utf-8-sig", errors="replace"))


def source(preset: str, files: Files) -> Source:
    """What `registry.load` takes: the argument itself, or the document on standard input.

    Raises:
        Unreadable: standard input holds no document we accept.
    """
    if preset != "-":
        return preset
    raw = sys.stdin.buffer.read(LIMITS.file_bytes + 1)
    files.keep(STDIN, raw)
    return reader.read_bytes(raw, STDIN)


def load(preset: str, overrides: list[str]) -> Plan:
    """The plan of a preset. What is wrong with it goes to stderr.

    Raises:
        typer.Exit: it is invalid or cannot be read.
    """
    files = Files(tuple(overrides))
    try:
        plan = load_plan(source(preset, files), overrides)
    except InvalidConfig as refused:
        refuse(preset, refused, files)
    if plan.problems:
        render.problems(plan.problems, files, render.stderr())
    return plan


def refuse(preset: str, refused: InvalidConfig, files: Files) -> NoReturn:
    """Show on stderr what is wrong with a preset, and leave.

    Raises:
        typer.Exit: always.
    """
    console = render.stderr()
    render.problems(refused.problems, files, console)
    render.verdict(preset, refused.problems, console)
    raise typer.Exit(exit_code(refused))


def exit_code(refused: InvalidConfig) -> int:
    """2 when there is nothing to judge (no such source, not YAML, a malformed `--set`), else 1."""
    malformed = any(
        problem.file == compose.OVERRIDE and (problem.code in reader.CODES or problem.code == "bad-override")
        for problem in refused.problems
    )
    return USAGE if malformed or isinstance(refused, Unreadable) else FAILED
