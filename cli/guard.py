"""No tracebacks: whatever goes wrong becomes one sentence on stderr and an exit code.

Nothing of `registry` is imported at the top: whether that package is ours is the first thing to find out.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

SIBLINGS = ("registry", "components", "presets")
"""Packages that must lie beside this one. The names are generic, so another project may have put its own in the way."""
FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes, besides 0."""


class Guarded(TyperGroup):
    """The command group, with every way out of it under control."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run and exit; wrong usage is told in two lines."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        try:
            code = super().main(*args, standalone_mode=False, **extra)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except Exception as error:
            # Typer's own usage errors know their sentence and exit code; which class they are depends on its version.
            if not hasattr(error, "format_message"):
                raise
            code = _usage(error)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a failure becomes `typer.Exit`."""
        with warnings.catch_warnings():
            try:
                _refuse_strangers()
                warnings.showwarning = _warn
                return super().invoke(ctx)
            except (typer.Exit, typer.Abort, KeyboardInterrupt, BrokenPipeError):
                raise
            except Exception as error:
                if hasattr(error, "format_message"):
                    raise
                if ctx.params.get("debug"):
                    traceback.print_exc()
                raise typer.Exit(_fail(error)) from None


class Refused(Exception):
    """Wrong usage that only a command can see, such as an unknown kind. One sentence."""


class CheckFailed(Exception):
    """A check that a command was asked to make did not hold. One sentence."""


def _refuse_strangers() -> None:
    """Make sure that the packages beside this one are the ones Python would import. Nothing is imported for it."""
    home = Path(__file__).resolve().parents[1]
    for name in SIBLINGS:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            found = str(origin.parent) if origin else "none"
            raise Refused(
                f"Expected the package {name} in {home}, got {found}: "
                "install arch-registry in an environment of its own, and start arch elsewhere"
            )


def _usage(error: Any) -> int:
    from cli import render

    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    if message:  # without arguments typer has shown the help already
        hint = f"{context.command_path} --help shows the usage" if context else ""
        render.failure(message, hint)
    return int(getattr(error, "exit_code", USAGE))


def _fail(error: Exception) -> int:
    """Say what happened; the exit code."""
    from cli import render

    if isinstance(error, Refused):
        render.failure(str(error))
        return USAGE
    if isinstance(error, CheckFailed):
        render.failure(str(error))
        return FAILED
    from registry.errors import ArchError, BuildError, UnknownComponent

    if isinstance(error, ArchError):
        render.failure(str(error))
        return USAGE if isinstance(error, (UnknownComponent, BuildError)) else FAILED
    said = str(error).strip().partition("\n")[0]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    render.failure(f"Something went wrong that should not have: {what}", "arch --debug COMMAND ... shows where")
    return FAILED


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a Python warning, such as that of a broken plug-in, as one line."""
    from cli import render

    render.warning(str(message).partition("\n")[0])
