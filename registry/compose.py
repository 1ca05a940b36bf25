"""Several layers to one tree, knowing who wrote what: presets, what extends them, overrides, references.

Layers come in order, and later ones win:

* mappings merge, key by key; lists, scalars and `null` replace what is there;
* a mapping that names another `type` than the one it lands on replaces it whole, so that no field of the old
  component is left over; `--set mixer.type=attention` does the same;
* a bare name replaces, and a mapping without `type` that lands on one completes it: `norm: rms_norm` and then
  `--set norm.eps=1e-5` is `{type: rms_norm, eps: 1e-5}`;
* `???` asks a later layer for a value; one that is still there at the end is a problem.

After that `${dotted.path}` stands for the scalar at that path, counted from the root. Only as a whole value,
only to a scalar, acyclic, and counted: anything more is how 414 bytes become 319 MB.

Merging is ours. `OmegaConf.merge` keeps the fields of the old `type`, refuses a list where a mapping was,
lets `???` lose to what it should replace, knows no positions, and takes 0.1 ms a value and 125 ms to import.
References are resolved by OmegaConf, after our own checks, on a tree of just the values they touch; so a
document without references never imports it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from registry.errors import InvalidConfig, Problem, Unreadable, clip
from registry.limits import LIMITS
from registry.names import nearest
from registry.reader import LIMITS_HINT, NAME, Document, Path, dotted, parse_value, unprintable

if TYPE_CHECKING:
    from registry.recall import Recall

CODES: dict[str, str] = {
    "not-plain-data": "A Python object in a mapping source that YAML could not have written.",
    "cyclic-data": "A mapping source that contains itself.",
    "bad-override": "An override that is not KEY=VALUE, or whose key leads nowhere.",
    "missing-value": "A placeholder `???` that no layer has filled.",
    "reference-syntax": "A `${` that is not a whole value of the form `${dotted.path}`.",
    "reference-unknown": "A reference to a path that does not exist.",
    "reference-not-scalar": "A reference to a mapping or a list.",
    "reference-cycle": "References that lead back to themselves.",
    "reference-chain": "References to references to references, too many in a row.",
    "too-many-references": "More references than a preset needs.",
}

TOP_LEVEL = frozenset({"summary", "extends", "network", "input"})
"""Keys a preset may have."""
OVERRIDE = "--set"
"""What problems show as the file of an override."""


class Place(NamedTuple):
    """Where something was written; None where there is no such thing, as for a Python mapping."""

    file: str | None
    line: int | None
    column: int | None


@dataclass(frozen=True)
class Override:
    """One `--set`: the path it writes, list indices as integers, and the value."""

    path: Path
    value: Any


@dataclass(frozen=True)
class Composed:
    """The tree that several layers add up to.

    Attributes:
        data: References resolved. From `compose` fresh dicts and lists, the caller's to change.
        documents: The layers that are documents, parents first.
        overrides: The layers on top of them.
        recall: What checking learns of the parts that this tree shares with others.
    """

    data: dict[str, Any]
    documents: tuple[Document, ...]
    overrides: tuple[Override, ...] = ()
    recall: Recall | None = field(default=None, repr=False, compare=False)

    def locate(self, path: Path, key: bool = False) -> Place:
        """Where the last layer that wrote `path`, or else its nearest ancestor, wrote it.

        A document that mentions a mapping wrote it; an override only wrote what is at or below its own path,
        so that a problem of the whole mapping still points into the file.

        Args:
            path: A path in `data`, or below one.
            key: The place of the key rather than of the value.
        """
        for end in range(len(path), -1, -1):
            place = self._writer(path[:end], key)
            if place is not None:
                return place
        return Place(None, None, None)

    def written(self, path: Path) -> bool:
        """Whether `path` is in the tree because some layer wrote it."""
        return self._writer(path, key=False) is not None

    def source_line(self, file: str, line: int) -> str:
        """Line `line` (1-based) of a document by its name, without the line end; empty if there is none."""
        for document in self.documents:
            if document.name == file:
                return "".join(document.text.splitlines()[line - 1 : line])
        return ""

    def _writer(self, path: Path, key: bool) -> Place | None:
        if _find(self.data, path) is _NOTHING:
            return None
        for override in reversed(self.overrides):
            below = path[len(override.path) :]
            if path[: len(override.path)] == override.path and _find(override.value, below) is not _NOTHING:
                return Place(OVERRIDE, None, None)
        for document in reversed(self.documents):
            if _find(document.data, path) is not _NOTHING:
                marks = document.keys if key and path else document.values
                return Place(document.name or None, *marks.get(path, (None, None)))
        # A mapping on the way to an overridden value that no document mentions.
        created = any(override.path[: len(path)] == path for override in self.overrides)
        return Place(OVERRIDE, None, None) if created else None


def compose(
    documents: Sequence[Document], overrides: Sequence[str] = (), top_level: frozenset[str] = TOP_LEVEL
) -> Composed:
    """Merge documents, apply overrides, resolve references.

    Args:
        documents: What a document extends comes before it. They are not changed.
        overrides: `a.b.0.c=value` each, the value as `reader.parse_value` reads it. A key that does not start
            with a top-level key is relative to `network`, unless the tree has a `type`: a single component.
        top_level: Keys a document may start with; those it does start with count as well.

    Raises:
        InvalidConfig: With every problem of the overrides and references.
    """
    composed = Layers(documents, overrides, top_level).compose()
    return replace(composed, data=_copy(composed.data))


class Layers:
    """Documents, and perhaps overrides, merged once to be overridden many times."""

    def __init__(
        self,
        documents: Sequence[Document],
        overrides: Sequence[str] = (),
        top_level: frozenset[str] = TOP_LEVEL,
        recall: Recall | None = None,
    ) -> None:
        """Merge; the first three arguments are those of `compose`. What is wrong is told by `compose`.

        Args:
            documents: What a document extends comes before it.
            overrides: Overrides below those that `compose` adds.
            top_level: Keys a document may start with.
            recall: Handed on to every tree.
        """
        data: Any = {}
        for document in documents:
            data = _merge(data, document.data)
        self._documents = tuple(documents)
        self._top_level = top_level
        self._recall = recall
        self._below = self._override(_Overridden(data, (), ()), overrides)
        self._refers = _refers(self._below.data)

    def compose(self, overrides: Sequence[str] = ()) -> Composed:
        """The tree with overrides on top. It shares parts with others, so that nobody may change it.

        Raises:
            InvalidConfig: With every problem of the overrides and references.
        """
        merged = self._override(self._below, overrides)
        composed = Composed(merged.data, self._documents, merged.overrides, self._recall)
        problems, references = list(merged.problems), {}
        if self._refers or any(_refers(override.value) for override in merged.overrides):
            references = _references(composed, problems)
        if problems:
            raise InvalidConfig(problems)
        if references:
            composed = replace(composed, data=_copy(merged.data), recall=None)
            _resolve(composed.data, references)
        return composed

    def _override(self, below: _Overridden, overrides: Sequence[str]) -> _Overridden:
        data, applied, problems = below.data, list(below.overrides), list(below.problems)
        for text in overrides:
            try:
                override = _read_override(text, data, self._top_level)
            except InvalidConfig as refused:
                problems.extend(refused.problems)
            else:
                applied.append(override)
                data = _merge(data, _as_layer(data, override.path, override.value))
        return _Overridden(data, tuple(applied), tuple(problems))


class _Overridden(NamedTuple):
    """A merged tree, the overrides it has, and what was wrong with others."""

    data: Any
    overrides: tuple[Override, ...]
    problems: tuple[Problem, ...]


# ---- trees -----------------------------------------------------------------------------------------------

_NOTHING = object()
_PLACEHOLDER = "???"

# Recursion is safe: `reader`, `from_mapping` and `_read_override` admit at most `LIMITS.depth` levels.


def _find(tree: Any, path: Path) -> Any:
    """The value at `path`, or `_NOTHING`."""
    for step in path:
        if isinstance(tree, dict):
            tree = tree.get(step, _NOTHING)
        elif isinstance(tree, list) and isinstance(step, int) and 0 <= step < len(tree):
            tree = tree[step]
        else:
            return _NOTHING
    return tree


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(item) for item in tree] if isinstance(tree, list) else tree


def _depth(tree: Any) -> int:
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if items is None else 1 + max(map(_depth, items), default=0)


def _merge(base: Any, layer: Any) -> Any:
    """`layer` over `base`. Changes neither, may share parts of both."""
    if not isinstance(layer, dict):
        return layer
    if isinstance(base, str) and "type" not in layer:
        base = {"type": base}
    if not isinstance(base, dict) or ("type" in base and layer.get("type", base["type"]) != base["type"]):
        return layer
    merged = dict(base)
    for key, value in layer.items():
        merged[key] = _merge(base[key], value) if key in base else value
    return merged


def _scalars(tree: Any) -> Iterator[tuple[Path, Any]]:
    """Every scalar with its path, in document order."""
    pending: list[tuple[Path, Any]] = [((), tree)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending.extend([((*path, key), item) for key, item in reversed(value.items())])
        elif isinstance(value, list):
            pending.extend([((*path, index), value[index]) for index in reversed(range(len(value)))])
        else:
            yield path, value


# ---- overrides -------------------------------------------------------------------------------------------

_INDEX = re.compile(r"0|[1-9][0-9]{0,4}")


_override_value = lru_cache(maxsize=1024)(parse_value)


def _refuse_override(message: str, hint: str = "", key: str = "") -> NoReturn:
    raise InvalidConfig([Problem("bad-override", message, hint, key, OVERRIDE)])


def _read_override(text: str, data: dict[str, Any], top_level: frozenset[str]) -> Override:
    """Parse one override and find the path it writes in `data`."""
    key, equals, written = text.partition("=")
    segments = key.split(".")
    if not equals or not all(NAME.fullmatch(s) or _INDEX.fullmatch(s) for s in segments):
        message = f"Expected an override of the form KEY=VALUE, got {clip(text)!r}"
        _refuse_override(message, "such as network.patch_size=8 or blocks.0.mixer.type=hyena")
    if max(map(len, segments)) > LIMITS.key_chars or len(written) > LIMITS.scalar_chars:
        message = f"Expected names of at most {LIMITS.key_chars} and a value of at most {LIMITS.scalar_chars:,}"
        _refuse_override(f"{message} characters, got {clip(text)!r}", LIMITS_HINT)
    if "type" not in data and segments[0] not in top_level | data.keys():
        segments.insert(0, "network")
    try:
        value = _override_value(written, OVERRIDE)
    except Unreadable as refused:
        problem = refused.problems[0]
        raise InvalidConfig([replace(problem, path=".".join(segments), line=None, column=None)]) from None
    if len(segments) + _depth(value) > LIMITS.depth:
        _refuse_override(f"Expected at most {LIMITS.depth} levels of nesting, got more", LIMITS_HINT, clip(key))
    return Override(_address(data, segments), value)


def _address(data: Any, segments: Sequence[str]) -> Path:
    """The path that `segments` name in `data`, which may lack the end of it."""
    path: Path = ()
    for segment in segments:
        node = _find(data, path)
        if isinstance(node, list):
            if not segment.isdigit() or int(segment) >= len(node):
                message = f"Expected an index below {len(node)} of the list '{dotted(path)}', got '{segment}'"
                _refuse_override(message, "indices count from 0", ".".join(segments))
            path = (*path, int(segment))
        elif segment.isdigit():
            found = "a mapping" if isinstance(node, dict) else "nothing" if node is _NOTHING else "a scalar"
            message = f"Expected a list at '{dotted(path)}' to take index {segment} of, got {found}"
            _refuse_override(message, "a name takes a key of a mapping", ".".join(segments))
        else:
            path = (*path, segment)
    return path


def _as_layer(base: Any, path: Path, value: Any) -> Any:
    """The layer that writes `value` at `path` of `base`. Lists on the way come along whole: they replace."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [
            _merge(item, _as_layer(item, rest, value)) if index == step else item for index, item in enumerate(base)
        ]
    return {step: _as_layer(base.get(step) if isinstance(base, dict) else None, rest, value)}


# ---- references ------------------------------------------------------------------------------------------

_SEGMENT = r"(?:[A-Za-z_][A-Za-z0-9_-]*|[0-9]+)"
_REFERENCE = re.compile(rf"\$\{{({_SEGMENT}(?:\.{_SEGMENT})*)\}}")


def _refers(tree: Any) -> bool:
    """Whether there may be a reference or a placeholder in a tree."""
    pending = [tree]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if "${" in value or value == _PLACEHOLDER:
                return True
        elif isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return False


def _references(composed: Composed, problems: list[Problem]) -> dict[Path, Path]:
    """Where each reference leads, by its own path; what is wrong is appended to `problems`."""
    references: dict[Path, Path] = {}
    unknown: list[tuple[Path, str]] = []
    count = 0
    for path, value in _scalars(composed.data):
        if value == _PLACEHOLDER:
            message = "Expected a value, got the placeholder ???"
            problems.append(_problem(composed, "missing-value", path, message, "write one, or set it"))
        if not isinstance(value, str) or "${" not in value:
            continue
        count += 1
        if count > LIMITS.references:
            message = f"Expected at most {LIMITS.references:,} references, got more"
            problems.append(_problem(composed, "too-many-references", path, message, LIMITS_HINT))
            return {}
        match = _REFERENCE.fullmatch(value)
        if match is None:
            message = f"Expected ${{dotted.path}} and nothing else as the value, got {clip(value)!r}"
            problems.append(_problem(composed, "reference-syntax", path, message, "write the value out"))
            continue
        target = _target(composed.data, match[1])
        node = _find(composed.data, target)
        if node is _NOTHING:
            unknown.append((path, match[1]))
        elif isinstance(node, (dict, list)):
            kind = "mapping" if isinstance(node, dict) else "list"
            message = f"Expected a reference to a scalar, got {clip(value)}, a {kind}"
            problems.append(_problem(composed, "reference-not-scalar", path, message, "write it out"))
        else:
            references[path] = target
    problems.extend(_unknown(composed, unknown))
    problems.extend(_endless(composed, references))
    return references


def _problem(composed: Composed, code: str, path: Path, message: str, hint: str = "") -> Problem:
    return Problem(code, message, hint, dotted(path), *composed.locate(path))


def _target(data: Any, text: str) -> Path:
    """The path that the inside of a reference names, digits taken as indices where there is a list."""
    path: Path = ()
    for segment in text.split("."):
        is_index = segment.isdigit() and len(segment) <= 5 and isinstance(_find(data, path), list)
        path = (*path, int(segment) if is_index else segment)
    return path


def _unknown(composed: Composed, unknown: Sequence[tuple[Path, str]]) -> Iterator[Problem]:
    """Problems of references that lead nowhere, with what they may have meant."""
    names = [dotted(path) for path, _ in _scalars(composed.data)] if unknown else []
    for count, (path, text) in enumerate(unknown):
        # Looking for likenesses is slow: only for as many problems as are shown.
        near = _nearest(composed.data, text, names) if count < LIMITS.problems_shown else []
        hint = f"did you mean {' or '.join(near)}?" if near else "count the path from the root of the document"
        message = f"Expected a reference to a value that exists, got {clip('${' + text + '}')}"
        yield _problem(composed, "reference-unknown", path, message, hint)


def _nearest(data: Any, text: str, names: Sequence[str]) -> list[str]:
    """Paths of scalars that end as `text` does, else `text` with its first unknown name put right."""
    tail = [name for name in names if name.endswith("." + text)]
    if tail:
        return tail[:3]
    segments = text.split(".")
    while isinstance(data, dict) and segments[0] in data and len(segments) > 1:
        data = data[segments.pop(0)]
    known = list(data)[:200] if isinstance(data, dict) else []
    head, rest = text[: -len(".".join(segments))], segments[1:]
    return [head + ".".join([name, *rest]) for name in nearest(segments[0], known)]


def _endless(composed: Composed, references: Mapping[Path, Path]) -> Iterator[Problem]:
    """One problem for each cycle, and one for each place where a chain gets too long."""
    length: dict[Path, float] = {}  # references to follow from here to a value; infinite into a cycle
    for start in references:
        trail: dict[Path, None] = {}  # an ordered set
        at = start
        while at in references and at not in length and at not in trail:
            trail[at] = None
            at = references[at]
        steps = length.get(at, 0.0)
        if at in trail:
            steps = math.inf
            message = f"Expected a reference that ends at a value, got one that leads back to {dotted(at)}"
            yield _problem(composed, "reference-cycle", at, message, "write the value out at one of them")
        for path in reversed(trail):
            steps += 1
            length[path] = steps
            if steps == LIMITS.reference_chain + 1:
                message = f"Expected at most {LIMITS.reference_chain} references in a row, got more"
                yield _problem(composed, "reference-chain", path, message, "refer to the value itself")


def _resolve(data: dict[str, Any], references: Mapping[Path, Path]) -> None:
    """Put the value in the place of each reference. All have been checked."""
    from omegaconf import OmegaConf

    touched: dict[str, Any] = {}  # lists become mappings with their indices as keys, and can have gaps
    for path in (*references, *references.values()):
        node = touched
        for step in path[:-1]:
            node = node.setdefault(str(step), {})
        node[str(path[-1])] = _find(data, path)
    resolved = OmegaConf.to_container(OmegaConf.create(touched), resolve=True)
    for path in references:
        _find(data, path[:-1])[path[-1]] = _find(resolved, tuple(map(str, path)))


# ---- Python mappings -------------------------------------------------------------------------------------


def from_mapping(data: Mapping[str, Any]) -> Document:
    """A document from a Python mapping: copied, and held to the limits of a file. Nothing in it has a place.

    Args:
        data: Nested mappings and lists of str, int, float, bool and None.

    Raises:
        Unreadable: It holds anything else, contains itself, or is over a limit.
    """
    if not isinstance(data, Mapping):
        message = f"Expected a mapping of names to values, got {clip(type(data).__name__)}"
        _refuse_data("not-a-mapping", message, ())
    return Document("", "", _Plain().copy(data, (), ()))


class _Plain:
    """A bounded copy of plain data."""

    def __init__(self) -> None:
        self._nodes = 0

    def copy(self, value: Any, path: Path, around: tuple[int, ...]) -> Any:
        """`value` made of fresh dicts and lists; `around` is the `id` of every container it is in."""
        self._nodes += 1
        if self._nodes > LIMITS.nodes:
            _refuse_data("too-many-nodes", f"Expected at most {LIMITS.nodes:,} values, got more", path)
        if not isinstance(value, (Mapping, list)):
            _check_scalar(value, path)
            return value
        if id(value) in around:
            _refuse_data("cyclic-data", f"Expected a tree, got a {type(value).__name__} inside itself", path)
        if len(around) >= LIMITS.depth:
            _refuse_data("too-deep", f"Expected at most {LIMITS.depth} levels of nesting, got more", path)
        around = (*around, id(value))
        if isinstance(value, list):
            return [self.copy(item, (*path, index), around) for index, item in enumerate(value)]
        return {_name(key, path): self.copy(item, (*path, key), around) for key, item in value.items()}


_DATA_HINTS = {
    "bad-key": "keys are strings of letters, digits, '_' and '-', and start with a letter or '_'",
    "cyclic-data": "write its values out where they are needed",
    "float-range": "leave the field out, or give a finite one",
    "not-a-mapping": "such as {'type': 'rms_norm', 'dim': 8}",
    "not-plain-data": "a tuple or an array as a list, anything else as a number or a string",
    "unprintable": "delete it; it cannot be seen",
}


def _refuse_data(code: str, message: str, path: Path) -> NoReturn:
    raise Unreadable([Problem(code, message, _DATA_HINTS.get(code, LIMITS_HINT), dotted(path))])


def _name(key: Any, path: Path) -> str:
    """`key`, if a file could have it."""
    if type(key) is not str or not NAME.fullmatch(key):
        _refuse_data("bad-key", f"Expected a name as key, got {clip(repr(key))}", path)
    if len(key) > LIMITS.key_chars:
        _refuse_data("key-too-long", f"Expected a key of at most {LIMITS.key_chars} characters, got {clip(key)}", path)
    return key


def _check_scalar(value: Any, path: Path) -> None:
    """Hold a Python scalar to what a file could have."""
    if value is None or type(value) is bool:
        return
    if type(value) is str:
        if len(value) > LIMITS.scalar_chars:
            message = f"Expected at most {LIMITS.scalar_chars:,} characters, got {len(value):,}"
            _refuse_data("scalar-too-long", message, path)
        odd = unprintable(value)
        if odd is not None:
            _refuse_data("unprintable", f"Expected printable text, got the character U+{ord(value[odd]):04X}", path)
    elif type(value) is int:
        if abs(value) >= 10**LIMITS.int_digits:
            _refuse_data("int-too-long", f"Expected at most {LIMITS.int_digits} digits, got more", path)
    elif type(value) is not float:
        message = f"Expected a dict, list, str, int, float, bool or None, got {clip(type(value).__name__)}"
        _refuse_data("not-plain-data", message, path)
    elif not math.isfinite(value):
        _refuse_data("float-range", f"Expected a finite number, got {value}", path)
