"""What a component's `cases.py` holds: configs that must work, configs that must be refused, and random ones.

One contract suite feeds on them for every registered name. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A valid config and what to feed it.

    Attributes:
        config: A mapping with `type`, as `registry.load` takes it.
        shape: `input.shape` (without batch), or None where the component implies it.
        condition: `input.condition`, or None.
        params: Parameter count known from elsewhere, with its source in `source`; None where there is none.
        source: Where the figures come from.
        warns: Codes of warnings it gives.
    """

    config: Mapping[str, Any]
    shape: tuple[int, ...] | None = None
    condition: tuple[int, ...] | None = None
    params: int | None = None
    source: str = ""
    warns: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The mapping to load: the config with its `input` section."""
        document = dict(self.config)
        if self.shape is not None:
            document["input"] = {"shape": list(self.shape)}
            if self.condition is not None:
                document["input"]["condition"] = list(self.condition)
        return document


@dataclass(frozen=True)
class Invalid:
    """A config with one fault: it must give exactly one error, with this code at this path."""

    config: Mapping[str, Any]
    code: str
    path: str
    says: str = field(default="")


def width(rng: Any, step: int = 1, low: int = 1, high: int = 6) -> int:
    """A random small width: a multiple of `step`."""
    return step * int(rng.randint(low, high))
