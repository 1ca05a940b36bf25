"""Finding components: every folder of `components/` with a `schema.py`, and entry points. There is no central list."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import warnings
from pathlib import Path

from registry.errors import Problem

GROUP = "arch.components"
"""Entry-point group of third-party components: each entry names a module whose import registers them."""

CODES: dict[str, str] = {"broken-component": "A component folder that cannot be imported; all others work."}
"""Codes of problems with finding components."""

_lock = threading.RLock()
_done: set[str] = set()
_broken: dict[str, Problem] = {}


def components() -> None:
    """Import every `components/*/schema.py` once. A broken folder is one problem (see `broken`), all others work."""
    if "components" in _done:
        return
    with _lock:
        if "components" in _done:
            return
        for folder in component_folders():
            _load(f"components.{folder.name}.schema", folder)
        _done.add("components")


def component_folders() -> list[Path]:
    """The folders that hold a component, in alphabetical order."""
    spec = importlib.util.find_spec("components")
    roots = list(spec.submodule_search_locations or ()) if spec else []
    return sorted(path.parent for root in roots for path in Path(root).glob("*/schema.py"))


def entry_points() -> None:
    """Import third-party components once. A broken one costs one warning."""
    if "entry_points" in _done:
        return
    with _lock:
        if "entry_points" in _done:
            return
        from importlib.metadata import entry_points as installed

        for point in installed(group=GROUP):
            try:
                point.load()
            except Exception as error:
                warnings.warn(
                    f"Component plug-in {point.name!r} ({point.value}) is broken: {_say(error)}", stacklevel=2
                )
        _done.add("entry_points")


def broken() -> list[Problem]:
    """One problem for each component folder that could not be imported."""
    components()
    return list(_broken.values())


def _load(module: str, folder: Path) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        file = folder / "schema.py"
        line = error.lineno if isinstance(error, SyntaxError) else None
        _broken[folder.name] = Problem(
            code="broken-component",
            message=f"Expected components/{folder.name} to be importable, got {_say(error)}",
            hint="its components are left out; all others work",
            path=f"components.{folder.name}",
            file=str(error.filename or file) if isinstance(error, SyntaxError) else str(file),
            line=line,
        )


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
