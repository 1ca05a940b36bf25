"""Bytes to plain data: a reader for untrusted YAML that remembers the line and column of everything.

Configuration needs little of YAML, and the rest of it is where documents turn hostile or merely surprising:
tags build objects, aliases explode, `on` means true, `010` means eight, of two equal keys the last one wins,
and 50 KB of `[` kill a composer that recurses in C. So the parser's events are folded in a loop, bounded by
`LIMITS`, and what means different things to different readers is refused with the way to write it instead.

What remains is the JSON-like core of YAML 1.2: mappings with plain names as keys, lists, text, decimal
integers, finite floats, `true`, `false` and `null`.

Every refusal is an `Unreadable` with exactly one `Problem`; its codes are the keys of `CODES`.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml import events

from registry.errors import Problem, Unreadable, clip
from registry.limits import LIMITS

Path = tuple[str | int, ...]
"""Keys and list indices from the root to a value; the root is `()`."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
"""What a key looks like. No dots: they separate keys in paths."""

CODES: dict[str, str] = {
    "unreadable": "The file is missing, is a folder, or may not be read.",
    "too-large": "The document has more bytes than a preset may have.",
    "not-utf8": "The bytes are not UTF-8.",
    "unprintable": "A control, bidirectional, zero-width or other invisible character.",
    "yaml-syntax": "The text is not YAML.",
    "yaml-directive": "A `%YAML` or `%TAG` directive.",
    "yaml-documents": "More than one document in one file.",
    "yaml-tag": "A tag such as `!!python/object` or `!!binary`.",
    "yaml-anchor": "An anchor, `&name`.",
    "yaml-alias": "An alias, `*name`.",
    "yaml-merge": "A merge key, `<<`.",
    "yaml-surprise": "A bare word or number YAML readers disagree about, such as `on`, `010`, `12:30`.",
    "yaml-block": "Block YAML where one value on one line is expected.",
    "bad-key": "A key that is not a plain name.",
    "key-too-long": "A key longer than any name needs.",
    "duplicate-key": "The same key twice in one mapping.",
    "int-too-long": "An integer with more digits than any figure needs.",
    "float-range": "A float that overflows, underflows to zero, or is not finite.",
    "scalar-too-long": "A text longer than a preset needs.",
    "too-deep": "Mappings and lists nested too deeply.",
    "too-many-nodes": "More values than a preset may have.",
    "empty": "A document without content.",
    "not-a-mapping": "A document that is not a mapping of names to values.",
}


class Mark(NamedTuple):
    """A place in a file: 1-based line and column, in characters."""

    line: int
    column: int


@dataclass
class Document:
    """One source as plain data, with the place of everything in it.

    Attributes:
        name: What is shown as the file in problems; empty for a Python mapping.
        text: The decoded text, empty for a Python mapping.
        data: The root mapping, made of dict, list, str, int, float, bool and None only.
        keys: Place of the key (for a list item, of its value), by path.
        values: Place of the value, by path; the root is at `()`.
    """

    name: str
    text: str
    data: dict[str, Any]
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)


def read_file(path: str | os.PathLike[str], name: str | None = None) -> Document:
    """Read a file, at most one byte beyond the size limit.

    Args:
        path: The file.
        name: What problems show as the file; the path itself by default.

    Raises:
        Unreadable: It cannot be opened, or holds no document we accept.
    """
    name = os.fspath(path) if name is None else name
    return read_bytes(read_raw(path, name), name)


def read_raw(path: str | os.PathLike[str], name: str | None = None) -> bytes:
    """The bytes of a file, at most one beyond the size limit; for the arguments see `read_file`.

    Raises:
        Unreadable: It cannot be opened.
    """
    try:
        with open(path, "rb") as stream:
            return stream.read(LIMITS.file_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or str(error)
        shown = os.fspath(path) if name is None else name
        _refuse("unreadable", f"Expected a readable file, got: {clip(reason)}", "check its name and permissions", shown)


def read_bytes(raw: bytes, name: str) -> Document:
    """Read a document from bytes.

    Args:
        raw: UTF-8, with or without a byte order mark.
        name: What problems show as the file.

    Raises:
        Unreadable: The bytes are no document we accept.
    """
    text = _decode(raw, name)
    fold = _fold(text, name)
    if fold.root is _NOTHING or fold.root is None:
        message = "Expected a mapping of names to values, got an empty document"
        _refuse("empty", message, "start with, for example, 'network:'", name, Mark(1, 1))
    if type(fold.root) is not dict:
        message = f"Expected a mapping of names to values, got {_kind(fold.root)}"
        hint = "write 'name: value', with a space after the colon"
        _refuse("not-a-mapping", message, hint, name, fold.values[()])
    return Document(name, text, fold.root, fold.keys, fold.values)


def parse_value(text: str, name: str) -> Any:
    """Read one value as an override gives it: a scalar, `null`, `[a, b]` or `{a: b}`; no text at all is None.

    Args:
        text: The value, with the same strictness as a document.
        name: What problems show as the file; lines and columns count from the start of `text`.

    Raises:
        Unreadable: The text is not one value.
    """
    if len(text) > LIMITS.scalar_chars:
        message = f"Expected at most {LIMITS.scalar_chars:,} characters, got {len(text):,}"
        _refuse("scalar-too-long", message, LIMITS_HINT, name)
    _check_characters(text, name, Mark(1, 1))
    root = _fold(text, name, one_line=True).root
    if root is not _NOTHING:
        return root
    if text.strip():
        _refuse("empty", f"Expected a value, got {clip(text)!r}", "quote it if it is text", name, Mark(1, 1))
    return None


def dotted(path: Path) -> str:
    """`path` as people write it: `blocks.0.mixer`."""
    return ".".join(map(str, path))


LIMITS_HINT = "arch limits shows every limit"
_NAME_HINT = "a name has letters, digits, '_' and '-', and starts with a letter or '_'"


# ---- refusing --------------------------------------------------------------------------------------------


def _refuse(
    code: str, message: str, hint: str = "", file: str = "", at: Mark | None = None, path: Path = ()
) -> NoReturn:
    line, column = at or (None, None)
    raise Unreadable([Problem(code, message, hint, dotted(path), file or None, line, column)])


def _kind(value: Any) -> str:
    """What `value` is, in the words of a message."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"the value {clip(value)!r}"


# ---- bytes and characters --------------------------------------------------------------------------------


def _decode(raw: bytes, name: str) -> str:
    """Strict UTF-8 without invisible characters, within the size limit."""
    if len(raw) > LIMITS.file_bytes:
        message = f"Expected at most {LIMITS.file_bytes:,} bytes, got more"
        _refuse("too-large", message, LIMITS_HINT, name, Mark(1, 1))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8-sig")
        message = f"Expected UTF-8, got the byte 0x{error.object[error.start]:02x}"
        _refuse("not-utf8", message, "save the file as UTF-8", name, _mark_at(before, len(before)))
    _check_characters(text, name)
    return text


def unprintable(text: str) -> int | None:
    """Index of the first character that cannot be shown, or None. Line ends and tabs are fine."""
    odd = [c for c in set(text) if not c.isprintable() and c not in "\n\r\t"]
    return min(map(text.index, odd)) if odd else None


def _check_characters(text: str, name: str, at: Mark | None = None) -> None:
    index = unprintable(text)
    if index is not None:
        message = f"Expected printable text, got the character U+{ord(text[index]):04X}"
        hint = "delete it; it cannot be seen"
        _refuse("unprintable", message, hint, name, at or _mark_at(text, index))


def _mark_at(text: str, index: int) -> Mark:
    """The place of the character at `index`."""
    lines = re.split("\r\n|\n|\r", text[:index])
    return Mark(len(lines), len(lines[-1]) + 1)


# ---- plain scalars ---------------------------------------------------------------------------------------

_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}

# Words some YAML reader takes for something else than text, and what to write if that is what is meant.
_MEANT = {
    **dict.fromkeys(("true", "yes", "on", "y"), "true"),
    **dict.fromkeys(("false", "no", "off", "n"), "false"),
    **dict.fromkeys(("null",), "null"),
}

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SURPRISING_NUMBER = re.compile(
    r"""(?P<octal> [-+]?0[0-9_]+)
      | (?P<base> [-+]?0[xXoObB][0-9a-fA-F_]+)
      | (?P<underscores> [-+]?(?=[_.]*[0-9])(?=[0-9.]*_)[0-9_.]+(?:[eE][-+]?[0-9]+)?)
      | (?P<sexagesimal> [-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?)
      | (?P<date> [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s][-+0-9:.TtZz\s]*)?)
      | (?P<infinite> [-+]?\.(?:inf|nan))""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


class _ScalarError(Exception):
    """Why a scalar is refused; the place is the caller's to know."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def _plain(value: str) -> Any:
    """The meaning of an unquoted scalar.

    Raises:
        _ScalarError: It is ambiguous or out of range.
    """
    if value in _WORDS:
        return _WORDS[value]
    if value[0] in "0123456789+-.":
        return _number(value)
    if value.lower() in _MEANT or value == "None":
        meant = _MEANT.get(value.lower(), "null")
        hint = f"write {meant}, or '{value}' in quotes if it is text"
        raise _ScalarError("yaml-surprise", f"Expected true, false, null or text, got {value}", hint)
    return value


def _number(value: str) -> int | float | str:
    """The meaning of an unquoted scalar that starts like a number."""
    if _INT.fullmatch(value):
        digits = len(value.lstrip("+-"))
        if digits > LIMITS.int_digits:
            message = f"Expected at most {LIMITS.int_digits} digits, got {digits:,}"
            raise _ScalarError("int-too-long", message, "quote it if it is text")
        return int(value)
    surprise = _SURPRISING_NUMBER.fullmatch(value)
    if surprise and surprise.lastgroup == "infinite":
        raise _ScalarError("float-range", f"Expected a finite number, got {value}", "quote it if it is text")
    if surprise:
        hint = _fix(value, str(surprise.lastgroup))
        raise _ScalarError("yaml-surprise", f"Expected a decimal number or text, got {clip(value)}", hint)
    return _float(value) if _FLOAT.fullmatch(value) else value


def _fix(value: str, kind: str) -> str:
    """What to write instead of a surprising number."""
    if kind in ("sexagesimal", "date") or len(value) > LIMITS.int_digits:
        return "quote it"
    if kind == "base":
        return "write it in decimal; quote it if it is text"
    plain = value.replace("_", "")
    if kind == "octal":
        sign, digits = "-" if plain[0] == "-" else "", plain.lstrip("+-0") or "0"
        plain = sign + digits
        if not set(digits) & {"8", "9"}:
            plain += f", or {sign}{int(digits, 8)} if it is octal"
    return f"write {plain}; quote it if it is text"


def _float(value: str) -> float:
    number = float(value)
    vanished = number == 0.0 and re.search("[1-9]", re.split("[eE]", value)[0])
    if vanished or not math.isfinite(number):
        message = f"Expected a number a 64-bit float can hold, got {clip(value)}"
        raise _ScalarError("float-range", message, "quote it if it is text")
    return number


# ---- events to tree --------------------------------------------------------------------------------------

_NOTHING = object()
# The pure-Python parser is the fallback where PyYAML was built without libyaml: same events, 10 times slower.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _fold(text: str, name: str, one_line: bool = False) -> _Fold:
    """Fold the events of `text` until the end or the first thing to refuse."""
    fold = _Fold(name, one_line)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            fold.take(event)
    except yaml.YAMLError as error:
        _refuse_syntax(error, text, name)
    return fold


class _Fold:
    """A tree growing event by event. PyYAML's composer, resolver and constructor are never used."""

    def __init__(self, name: str, one_line: bool) -> None:
        self.root: Any = _NOTHING
        self.keys: dict[Path, Mark] = {}
        self.values: dict[Path, Mark] = {}
        self._name = name
        self._one_line = one_line
        self._open: Any = None  # the innermost open mapping or list
        self._path: Path = ()  # and its path
        self._slot: Path | None = None  # path of the key read last, until its value comes
        self._outer: list[tuple[Any, Path]] = []
        self._nodes = 0

    def take(self, event: Any) -> None:
        """Advance by one event."""
        kind = type(event)
        if kind is events.ScalarEvent:
            if event.tag is not None or event.anchor is not None:
                self._refuse_property(event)
            if self._slot is None and type(self._open) is dict:
                self._take_key(event)
            else:
                self._place(event, self._scalar(event))
        elif kind is events.MappingStartEvent:
            self._enter(event, {})
        elif kind is events.SequenceStartEvent:
            self._enter(event, [])
        elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
            self._open, self._path = self._outer.pop()
        elif kind is events.DocumentStartEvent:
            self._start(event)
        elif kind is events.AliasEvent:
            message = f"Expected a value, got the alias *{clip(event.anchor)}"
            hint = "write the value out, or refer to it with ${dotted.path}"
            self._refuse(event, "yaml-alias", message, hint)

    def _start(self, event: Any) -> None:
        if event.version or event.tags:
            self._refuse(event, "yaml-directive", "Expected no % directive, got one", "delete the line")
        if self.root is not _NOTHING:
            message = "Expected one document, got a second one"
            self._refuse(event, "yaml-documents", message, "use one file for each")

    def _enter(self, event: Any, node: dict[str, Any] | list[Any]) -> None:
        """Open a mapping or a list."""
        if event.tag is not None or event.anchor is not None:
            self._refuse_property(event)
        if self._slot is None and type(self._open) is dict:
            self._refuse(event, "bad-key", f"Expected a name as key, got {_kind(node)}", _NAME_HINT)
        if len(self._outer) >= LIMITS.depth:
            message = f"Expected at most {LIMITS.depth} levels of nesting, got more"
            self._refuse(event, "too-deep", message, LIMITS_HINT)
        if self._one_line and not event.flow_style:
            message = f"Expected one value, got {_kind(node)} in block style"
            hint = "quote a text; write {a: b} for a mapping, [a, b] for a list"
            self._refuse(event, "yaml-block", message, hint)
        path = self._place(event, node)
        self._outer.append((self._open, self._path))
        self._open, self._path = node, path

    def _place(self, event: Any, node: Any) -> Path:
        """Put a value where it belongs; its path."""
        self._nodes += 1
        if self._nodes > LIMITS.nodes:
            message = f"Expected at most {LIMITS.nodes:,} values, got more"
            self._refuse(event, "too-many-nodes", message, LIMITS_HINT)
        at = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        path: Path = ()
        if self._slot is not None:
            path, self._slot = self._slot, None
            self._open[path[-1]] = node
        elif self._open is not None:
            path = (*self._path, len(self._open))
            self.keys[path] = at
            self._open.append(node)
        else:
            self.root = node
        self.values[path] = at
        return path

    def _here(self) -> Path:
        """The path of the value that comes next."""
        if type(self._open) is list:
            return (*self._path, len(self._open))
        return self._path if self._slot is None else self._slot

    def _take_key(self, event: Any) -> None:
        key = event.value
        if not NAME.fullmatch(key):
            self._refuse_key(event)
        if len(key) > LIMITS.key_chars:
            message = f"Expected a key of at most {LIMITS.key_chars} characters, got {len(key):,}"
            self._refuse(event, "key-too-long", message, LIMITS_HINT)
        # One letter is a fine name (`N`), and no reader in use takes it for a boolean.
        if not event.style and len(key) > 1 and key.lower() in _MEANT:
            self._refuse(event, "yaml-surprise", f"Expected a name as key, got {key}", f"quote it: '{key}'")
        at = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        path = (*self._path, key)
        if key in self._open:
            first = self.keys[path].line
            message = f"Expected each key once, got '{key}' again; the first is on line {first}"
            self._refuse(event, "duplicate-key", message, "delete one of the two")
        self.keys[path] = at
        self._slot = path

    def _scalar(self, event: Any) -> Any:
        value: str = event.value
        if len(value) > LIMITS.scalar_chars:
            message = f"Expected at most {LIMITS.scalar_chars:,} characters, got {len(value):,}"
            self._refuse(event, "scalar-too-long", message, LIMITS_HINT)
        if event.style:
            if event.style == '"':  # the only style whose escapes can spell what the file itself may not hold
                at = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
                _check_characters(value, self._name, at)
            return value
        try:
            return _plain(value)
        except _ScalarError as refusal:
            self._refuse(event, refusal.code, refusal.message, refusal.hint)

    def _refuse_property(self, event: Any) -> NoReturn:
        if event.anchor is not None:
            message = f"Expected a value, got the anchor &{clip(event.anchor)}"
            self._refuse(event, "yaml-anchor", message, "delete it")
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        message = f"Expected plain data, got the tag {clip(tag)}"
        self._refuse(event, "yaml-tag", message, "delete it; a component is chosen with 'type: name'")

    def _refuse_key(self, event: Any) -> NoReturn:
        key = event.value
        if key == "<<":
            message = "Expected a name as key, got the merge key <<"
            self._refuse(event, "yaml-merge", message, "write the values out, or extend a preset")
        hint = _NAME_HINT
        strange = next((c for c in key if c.isalpha() and not c.isascii()), "")
        if strange:  # it may look like a plain letter
            hint = f"{strange} (U+{ord(strange):04X}) is not one of a-z; {hint}"
        elif all(map(NAME.fullmatch, key.split("."))):
            hint = "a dotted key is for overrides; in a file, nest the mappings"
        self._refuse(event, "bad-key", f"Expected a name as key, got {clip(key)!r}", hint)

    def _refuse(self, event: Any, code: str, message: str, hint: str = "") -> NoReturn:
        at = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        _refuse(code, message, hint, self._name, at, self._here())


def _refuse_syntax(error: yaml.YAMLError, text: str, name: str) -> NoReturn:
    """What the parser says, with a hint for the usual slips."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or "characters that are not YAML"
    at = Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
    lines = text.splitlines()
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    opened = getattr(error, "context_mark", None)
    hint = "quote a text that has special characters"
    if "\t" in line[: len(line) - len(line.lstrip())]:
        hint = "indent with spaces, not tabs"
    elif "mapping values are not allowed" in problem:
        hint = "indent keys of one mapping alike; quote a text that contains ': '"
    elif "cannot start any token" in problem:
        hint = "quote a text that starts with a special character"
    elif opened and "${" in line:
        hint = "inside brackets, quote a reference: '${dotted.path}'"
    elif opened and ("',' or" in problem or "end of stream" in problem):
        hint = f"what is opened on line {opened.line + 1} is not closed"
    _refuse("yaml-syntax", f"Expected YAML, got: {clip(problem)}", hint, name, at)
