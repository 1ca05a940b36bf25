"""Names: their grammar, their natural order, and the nearest one to a misspelt one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

GRAMMAR = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What a registered name looks like: snake case, at most 64 characters."""
ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""What an alias looks like: as a name, capitals allowed."""


def natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key under which `conv2d` comes before `conv10d`."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """At most `count` of `known` that look like `name`, best first."""
    # Of names that differ only in case the first one wins: a canonical name comes before its aliases.
    folded = {candidate.lower().replace("-", "_"): candidate for candidate in reversed(list(known))}
    matches = difflib.get_close_matches(name[:80].lower().replace("-", "_"), list(folded), n=count, cutoff=0.6)
    return [folded[match] for match in matches]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest names, or an empty string."""
    return suggest(nearest(name, known))


def suggest(names: Sequence[str]) -> str:
    """A hint with some names, or an empty string."""
    return f"did you mean {' or '.join(names)}?" if names else ""
