"""Where documents come from: preset names, paths, mappings; and the chain of presets a document extends.

Presets live in the `presets` package and in packages named by entry points of group `arch.presets`. Both are found by
name at run time: nothing here imports them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Union

from registry.compose import from_mapping
from registry.errors import Problem, Unreadable, clip
from registry.limits import LIMITS
from registry.names import did_you_mean, natural
from registry.reader import Document, read_bytes, read_file, read_raw

GROUP = "arch.presets"
"""Entry-point group of third-party presets: each entry names a package that holds `*.yaml` files."""

CODES: dict[str, str] = {
    "unknown-preset": "Neither a preset nor a file of this name.",
    "extends-cycle": "Presets that extend each other in a circle, or too many in a chain.",
    "extends-outside": "A preset that extends a file outside its own folder.",
}
"""Codes of problems with finding a document."""

Source = Union[str, "os.PathLike[str]", Mapping[str, Any], Document]
"""A preset name, a path, a mapping, or a document already read."""


def presets() -> dict[str, Path]:
    """Every known preset: name -> file, ours first, each group in natural order."""
    found = _folder("presets")
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        for name, path in _folder(point.value.partition(":")[0]).items():
            found.setdefault(name, path)
    return found


def _folder(package: str) -> dict[str, Path]:
    files = [path for root in _roots(package) for path in Path(root).glob("*.yaml")]
    return {path.stem: path for path in sorted(files, key=lambda path: natural(path.stem))}


def _roots(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec else []


@cache
def _own_roots() -> list[str]:
    return _roots("presets")


def _own(name: str) -> Path | None:
    """The file of a preset of ours, looked for by its name alone."""
    file = f"{name}.yaml"
    return next((Path(root, file) for root in reversed(_own_roots()) if file in os.listdir(root)), None)


@lru_cache(maxsize=64)
def _parsed(raw: bytes, name: str) -> Document:
    """A preset is parsed once, as long as its file says the same: others extend it."""
    return read_bytes(raw, name)


def _read_preset(path: Path) -> Document:
    """Read the file of a preset.

    Raises:
        Unreadable: It cannot be opened, or holds no document we accept.
    """
    return _parsed(read_raw(path), os.fspath(path))


def documents(source: Source) -> list[Document]:
    """The document of `source` and the ones it extends, the furthest ancestor first.

    Raises:
        Unreadable: there is no such source, one of the chain is malformed, or the chain is a cycle or too long.
    """
    document = _open(source)
    chain = [document]
    seen = {_identity(document)}
    while isinstance(chain[0].data, dict) and isinstance(chain[0].data.get("extends"), str):
        child = chain[0]
        parent = _parent(child)
        if _identity(parent) in seen or len(chain) >= LIMITS.extends_chain:
            what = (
                "a preset that does not extend itself"
                if _identity(parent) in seen
                else (f"at most {LIMITS.extends_chain} presets in a chain")
            )
            message = f"Expected {what}, got {_name(child)}"
            hint = "extend another preset, or none"
            raise Unreadable([_at_extends(child, "extends-cycle", message, hint)])
        seen.add(_identity(parent))
        chain.insert(0, parent)
    return chain


def _open(source: Source) -> Document:
    if isinstance(source, Document):
        return source
    if isinstance(source, Mapping):
        return from_mapping(source)
    text = os.fspath(source)
    if _is_path(text):
        return read_file(text)
    return _read_preset(_preset(text))


def _is_path(text: str) -> bool:
    return text.endswith((".yaml", ".yml")) or os.sep in text or "/" in text or os.path.isfile(text)


def _preset(name: str) -> Path:
    path, hint = _find(name)
    if path is None:
        message = f"Expected the name of a preset or a path, got {clip(name)!r}"
        raise Unreadable([Problem("unknown-preset", message, hint)])
    return path


def _find(name: str) -> tuple[Path | None, str]:
    """The file of a preset, or a hint. Installed packages are searched only for a name that is not ours."""
    own = _own(name)
    if own is not None:
        return own, ""
    known = presets()
    if name in known:
        return known[name], ""
    return None, did_you_mean(name, known) or "arch presets lists them; a path ends in .yaml"


def _parent(child: Document) -> Document:
    """The document that `child` extends: a preset, or a file beside or below it."""
    name = child.data["extends"]
    if not name.endswith((".yaml", ".yml")):
        path, hint = _find(name)
        if path is not None:
            return _read_preset(path)
        message = f"Expected the name of a preset, got {clip(name)!r}"
        raise Unreadable([_at_extends(child, "unknown-preset", message, hint)])
    relative = PurePosixPath(name)
    folder = Path(child.name).parent
    if relative.is_absolute() or ".." in relative.parts:
        message = f"Expected a preset, or a file beside or below this one, got {clip(name)!r}"
        raise Unreadable([_at_extends(child, "extends-outside", message, "put the two files in one folder")])
    if not (folder / relative).is_file():
        hint = "the path counts from the folder of this file"
        raise Unreadable([_at_extends(child, "unknown-preset", f"Expected a file, got {clip(name)!r}", hint)])
    return read_file(folder / relative)


def _identity(document: Document) -> str:
    return os.path.realpath(document.name) if os.path.exists(document.name) else f"<{id(document)}>"


def _name(document: Document) -> str:
    return clip(repr(document.data.get("extends")))


def _at_extends(document: Document, code: str, message: str, hint: str = "") -> Problem:
    mark = document.values.get(("extends",))
    line, column = (mark.line, mark.column) if mark else (None, None)
    return Problem(code, message, hint, "extends", document.name or None, line, column)
