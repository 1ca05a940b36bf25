"""What can be wrong, as data: one `Problem` type, one exception tree, no rendering.

Every fault a user can cause becomes a `Problem`: a stable code, the sentence "Expected X, got Y", a hint, and the
place to fix it. `InvalidConfig` carries all problems of one document. Terminal rendering lives in `cli/render.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document.

    Attributes:
        code: Stable identifier of the rule that was broken, such as `divisible` or `unknown-field`.
        message: One sentence, "Expected ..., got ...".
        hint: What to try, or an empty string.
        path: Dotted path of the value to fix, such as `network.layer_types.H.sequence_mixer.grid_w`.
        file: The file that wrote the value, `--set` for an override, or None for a mapping.
        line: 1-based line in `file`, or None where there is none.
        column: 1-based column in `file`, or None where there is none.
        severity: `error` refuses the document; `warning` and `note` do not.
    """

    code: str
    message: str
    hint: str = ""
    path: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    severity: Severity = "error"

    @property
    def where(self) -> str:
        """`file:line:column`, as far as known, else the path."""
        if self.file is None:
            return self.path or "<config>"
        place = [self.file] + [str(n) for n in (self.line, self.column) if n is not None]
        return ":".join(place)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        path = f" {self.path}:" if self.path and self.file is not None else ""
        return f"{self.where}:{path} {self.message}{hint} [{self.code}]"


class ArchError(Exception):
    """Base of every error this project raises on purpose."""


class InvalidConfig(ArchError, ValueError):
    """A document that breaks at least one rule.

    Attributes:
        problems: Everything found wrong, errors first, in document order.
    """

    shown = 20

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep `problems`; the text shows the first 20."""
        self.problems: Sequence[Problem] = tuple(problems)
        lines = [str(problem) for problem in self.problems[: self.shown]]
        if len(self.problems) > self.shown:
            lines.append(f"and {len(self.problems) - self.shown} more")
        super().__init__("\n".join(lines))


class Misfit(ValueError):
    """The input fits a component but for one of the component's fields.

    Attributes:
        field: Name of the field to fix.
    """

    def __init__(self, field: str, message: str) -> None:
        """Keep the field."""
        self.field = field
        super().__init__(message)


class Unreadable(InvalidConfig):
    """A source that is no YAML document we accept: missing, too large, malformed or hostile."""


class UnknownComponent(ArchError, LookupError):
    """A name nobody registered.

    Attributes:
        name: The name asked for.
        nearest: Registered names that look like it, best first.
    """

    def __init__(self, name: str, nearest: Sequence[str] = ()) -> None:
        """Compose the message from the name and its nearest neighbours."""
        self.name = name
        self.nearest = tuple(nearest)
        hint = f"; did you mean {' or '.join(repr(n) for n in self.nearest)}?" if self.nearest else ""
        super().__init__(f"Expected the name of a registered component, got {clip(name)!r}{hint}")


class RegistrationError(ArchError, TypeError):
    """A component that cannot be registered: bad name, taken name, no cost rule."""


class CostUnknown(ArchError):
    """A figure was asked for that no rule gives. Never a silent zero."""


class BuildError(ArchError, RuntimeError):
    """A valid plan that could not be built here, such as `cuda` on a machine without one."""


def clip(text: object, limit: int = 80) -> str:
    """`text` for a message: control and bidirectional characters escaped, cut to `limit` characters."""
    raw = str(text)
    raw = raw if len(raw) <= limit else raw[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in raw)
