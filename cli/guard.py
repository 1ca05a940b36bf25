"""No tracebacks: whatever goes wrong becomes one sentence on stderr and an exit code.

Nothing of `registry` is imported at the top: whether that package is ours is the first thing to find out.
"""

from __future__ import annotations

import codecs
import importlib.util
import os
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
ASCII = {"✓": "+", "✗": "x", "\N{MULTIPLICATION SIGN}": "x", "…": "~", "→": ">", "≥": ">", "≤": "<"} | dict(
    zip("│├└─╭╮╰╯▏▎▍▌▋▊▉█", "||`-....   #####", strict=True)
)
"""What our symbols become on a terminal that has none, each as wide as before."""


class Guarded(TyperGroup):
    """The command group, with every way out of it under control."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run and exit; wrong usage is told in two lines."""
        stranger = _stranger()
        if stranger:  # `render` would import the wrong `registry`
            sys.stderr.write(f"error: {stranger}\n")
            sys.exit(USAGE)
        alone = extra.get("standalone_mode", True)
        extra["standalone_mode"] = False
        if not alone:
            return super().main(*args, **extra)
        try:
            code = super().main(*args, **extra)
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


def _stranger() -> str:
    """What to say if Python would import another package than the one beside this one; nothing is imported for it."""
    home = Path(__file__).resolve().parents[1]
    for name in SIBLINGS:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            found = f"{str(origin.parent)!a}" if origin else "none"
            return (
                f"Expected the package {name} in {str(home)!a}, got {found}: "
                "install arch-registry in an environment of its own, and start arch elsewhere"
            )
    return ""


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
    if isinstance(error, OSError) and error.strerror:
        file = f" {error.filename}" if error.filename else ""
        render.failure(f"Expected to read or write{file}, got: {error.strerror}")
        return FAILED
    said = str(error).strip().partition("\n")[0]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    render.failure(f"Something went wrong that should not have: {what}", "arch --debug COMMAND ... shows where")
    return FAILED


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a Python warning, such as that of a broken plug-in, as one line."""
    from cli import render

    render.warning(str(message).partition("\n")[0])


# ---- streams ----------------------------------------------------------------------------------------------------


def tolerate_encodings() -> None:
    """Never fail on a terminal that is not Unicode: our few symbols become ASCII, other characters are escaped."""
    codecs.register_error("arch", _to_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="arch")


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(ASCII.get(c) or c.encode("unicode_escape").decode("ascii") for c in text), error.end


def flush() -> int:
    """Write out what is left; the exit code of failing to. A reader that has gone is no failure."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # The interpreter flushes once more at exit, and would complain in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: Expected to write to standard output, got: {error.strerror}\n")
            return FAILED
    return 0
