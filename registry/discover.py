"""Finding components: every folder of `components/` with a `schema.py`, and entry points. There is no central list.

Importing a folder is slow, reading it is not: the decorators in the text of `schema.py` tell which names it registers,
so that looking up a name imports one folder. What the text does not tell is found by importing everything.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
import warnings
from functools import cache
from pathlib import Path

from registry.errors import Problem

GROUP = "arch.components"
"""Entry-point group of third-party components: each entry names a module whose import registers them."""

CODES: dict[str, str] = {"broken-component": "A component folder that cannot be imported; all others work."}
"""Codes of problems with finding components."""

_REGISTER = re.compile(r"\n@(?:\w+\.)*register\(")
_NAME = re.compile(r'(?<!kind=)"(\w+)"')

_lock = threading.RLock()
_done: set[str] = set()
_imported: set[str] = set()  # names of the folders that are
_broken: dict[str, Problem] = {}


def component(name: str) -> None:
    """Import the folder whose text says that it registers `name`, if one does. When this returns, that has happened.

    There is no lock of ours on the way, which could stand across those of Python's own import: several threads wait
    for one folder there, and a folder may look up names while it is imported.
    """
    if name in _imported or "components" in _done:
        return
    folder = claims().get(name)
    if folder is None:
        return
    begun = f"components.{folder.name}.schema" in sys.modules  # perhaps not done: by another thread, or further up here
    _load(folder)
    if not begun:
        _imported.update(claimed for claimed, by in claims().items() if by is folder)


def components() -> None:
    """Import every `components/*/schema.py` once. A broken folder is one problem (see `broken`), all others work."""
    if "components" in _done:
        return
    for folder in component_folders():
        _load(folder)
    _done.add("components")


@cache
def claims() -> dict[str, Path]:
    """Which folder registers a name or alias, by the text of all folders.

    Empty where two folders claim one name: the first of them in alphabetical order gets it, so all are imported in
    that order.
    """
    found: dict[str, Path] = {}
    for folder in component_folders():
        for registered in _REGISTER.split(_text(folder / "schema.py"))[1:]:
            for name in _NAME.findall(registered.partition("\nclass ")[0]):
                if found.setdefault(name, folder) is not folder:
                    return {}
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # its import will say so
        return ""


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


def _load(folder: Path) -> None:
    if folder.name in _broken:
        return
    try:
        importlib.import_module(f"components.{folder.name}.schema")
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
