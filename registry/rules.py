"""Rules as data: small declarative objects that check, explain, suggest and document themselves.

A rule speaks of *names*: fields of its component, resolved children, and facts that the parent passes down
(`hidden_dim`, `data_dim`, ...). It is written once, beside the fields, as a Python expression in our own source (never
in a config), and that one text drives the check, the message, the hint, `arch show` and the documentation.

A name that is unknown (a field that failed its own check, a fact nobody gave) makes the rule silent: one fault gives
one problem, not a cascade.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from registry.errors import Severity


class Unknown(Exception):
    """An expression needs a name that has no value here."""


def exact(number: int, divisor: int) -> int:
    """`number / divisor` where that is a whole number; elsewhere unknown, as a rule of its own says so."""
    if divisor < 1 or number % divisor:
        raise Unknown(f"{number} / {divisor}")
    return number // divisor


HELPERS: dict[str, Any] = {
    "__builtins__": {},
    "all": all,
    "any": any,
    "ceil": math.ceil,
    "exact": exact,
    "int": int,
    "isinstance": isinstance,
    "isqrt": math.isqrt,
    "len": len,
    "max": max,
    "min": min,
    "prod": math.prod,
    "round": round,
    "set": set,
    "sorted": sorted,
    "str": str,
    "sum": sum,
    "tuple": tuple,
    "zip": zip,
}


class Expr:
    """A trusted expression over names, such as `max(1, num_layers - 1) + film_after_pos_embed`.

    Attributes:
        text: The expression as written.
        names: The free names it reads, in order of appearance.
        unique: The same as a set.
        of: Its value for a mapping of names; `KeyError` when one of them has none.
    """

    __slots__ = ("names", "of", "text", "unique")

    def __init__(self, text: str) -> None:
        """Keep `text`. It is compiled at its first use: of hundreds of expressions a run needs a few dozen."""
        self.text = text

    def __getattr__(self, name: str) -> Any:
        """Fill the slots that are empty until then; a syntax error is a bug of ours and raises `SyntaxError`."""
        if name not in ("names", "of", "unique"):
            raise AttributeError(name)
        self.names, self.of = _compiled(self.text)
        self.unique = frozenset(self.names)
        return getattr(self, name)

    def __call__(self, names: Mapping[str, Any]) -> Any:
        """Value of the expression; raises `Unknown` when a name has none."""
        try:
            return self.of(names)
        except KeyError as error:
            raise Unknown(error.args[0]) from None

    def __repr__(self) -> str:
        return f"Expr({self.text!r})"


@cache
def _compiled(text: str) -> tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Any]]:
    """The free names of an expression, and the function of a mapping of names that it is."""
    found = [node for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)]
    bound = {node.id for node in found if isinstance(node.ctx, ast.Store)}
    free = (node.id for node in found if isinstance(node.ctx, ast.Load))
    names = tuple(dict.fromkeys(name for name in free if name not in bound and name not in HELPERS))
    # Every name is looked up, even one that this time is not needed: a rule that cannot be told is silent.
    lines = ["def of(names_):", *(f"    {name} = names_[{name!r}]" for name in names), f"    return ({text})"]
    made: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
    exec("\n".join(lines), HELPERS, made)
    return names, made["of"]


@dataclass(frozen=True)
class Fault:
    """A broken rule: which field to blame, what to say, what to try."""

    at: str
    message: str
    hint: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """What every rule has.

    Attributes:
        code: Stable identifier, kebab-case.
        when: Expression that must be true for the rule to apply, or empty.
        why: One sentence for people: why the rule exists.
        severity: What breaking it means.
    """

    code: str = field(kw_only=True)
    when: str = field(default="", kw_only=True)
    why: str = field(default="", kw_only=True)
    severity: Severity = field(default="error", kw_only=True)

    def __post_init__(self) -> None:
        """Compile the condition once."""
        object.__setattr__(self, "_when", Expr(self.when) if self.when else None)

    def check(self, names: Mapping[str, Any]) -> Sequence[Fault]:
        """Every fault of this rule, given the values of all known names."""
        condition: Expr | None = self._when  # type: ignore[attr-defined]
        try:
            return self._faults(names) if condition is None or condition.of(names) else ()
        except (Unknown, KeyError):
            return ()

    def _faults(self, names: Mapping[str, Any]) -> Sequence[Fault]:
        raise NotImplementedError(f"{type(self).__name__} must say what breaks it")  # pragma: no cover

    @property
    def reads(self) -> frozenset[str]:
        """Every name on whose value it depends whether the rule is broken."""
        condition: Expr | None = self._when  # type: ignore[attr-defined]
        return self._reads() | (condition.unique if condition else frozenset())

    def _reads(self) -> frozenset[str]:
        raise NotImplementedError(f"{type(self).__name__} must say what it reads")  # pragma: no cover

    @property
    def statement(self) -> str:
        """The rule in one line, for `arch show` and the JSON Schema."""
        return f"{self._statement()}{f' when {self.when}' if self.when else ''}"

    def _statement(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} must state itself")  # pragma: no cover


@dataclass(frozen=True)
class Divides(Rule):
    """`divisor` divides each of `multiples`.

    Blames the divisor when it breaks several multiples or when the only one broken came from the parent
    (see `inherited` in `check`), else the multiple.
    """

    divisor: str
    multiples: tuple[str, ...]
    at: str = ""

    def _faults(self, names: Mapping[str, Any]) -> Sequence[Fault]:
        if self.divisor not in names:
            raise Unknown(self.divisor)
        divisor = names[self.divisor]
        known = {name: names[name] for name in self.multiples if name in names}
        broken = {name: value for name, value in known.items() if divisor and value % divisor}
        if not broken:
            return ()
        written = names.get("__written__", ())
        blame = self.at or (next(iter(broken)) if len(broken) == 1 and next(iter(broken)) in written else self.divisor)
        if self.divisor not in written and any(name in written for name in broken) and not self.at:
            blame = next(name for name in broken if name in written)
        got = " and ".join(f"{name}={value}" for name, value in broken.items())
        message = f"Expected {' and '.join(broken)} to be divisible by {self.divisor}={divisor}, got {got}"
        if blame == self.divisor:
            legal = _near(divisors(math.gcd(*known.values())), divisor)
        else:
            value = broken[blame] if blame in broken else next(iter(broken.values()))
            below, above = value // divisor * divisor, -(-value // divisor) * divisor
            legal = " or ".join(str(v) for v in (below, above) if v > 0)
        return (Fault(blame, message, f"try {blame}: {legal}", (self.divisor, *broken)),)

    def _reads(self) -> frozenset[str]:
        return frozenset((self.divisor, *self.multiples))

    def _statement(self) -> str:
        return f"{self.divisor} divides {', '.join(self.multiples)}"


@dataclass(frozen=True)
class Equals(Rule):
    """`name` equals the value of `value`, an expression over the other names."""

    name: str
    value: str

    def __post_init__(self) -> None:
        """Compile the condition and the value."""
        super().__post_init__()
        object.__setattr__(self, "_value", Expr(self.value))

    def _faults(self, names: Mapping[str, Any]) -> Sequence[Fault]:
        expression: Expr = self._value  # type: ignore[attr-defined]
        expected = expression.of(names)
        if self.name not in names:
            raise Unknown(self.name)
        got = names[self.name]
        if got == expected:
            return ()
        because = "" if self.value == str(expected) else f" (= {self.value})"
        message = f"Expected {self.name} to be {say(expected)}{because}, got {say(got)}"
        return (Fault(self.name, message, f"set {self.name}: {say(expected)}", expression.names),)

    def _reads(self) -> frozenset[str]:
        expression: Expr = self._value  # type: ignore[attr-defined]
        return expression.unique | {self.name}

    def _statement(self) -> str:
        return f"{self.name} = {self.value}"


@dataclass(frozen=True)
class Require(Rule):
    """`condition` holds; blame `at` when it does not.

    Attributes:
        condition: Expression over names.
        at: Field to blame.
        message: "Expected ..., got ..." with `{name}` and `{expression}` placeholders; generated when empty.
        hint: What to try, same placeholders.
    """

    condition: str
    at: str
    message: str = ""
    hint: str = ""

    def __post_init__(self) -> None:
        """Compile the condition and the placeholders."""
        super().__post_init__()
        object.__setattr__(self, "_condition", Expr(self.condition))
        for text in (self.message, self.hint):
            _placeholders(text)

    def _faults(self, names: Mapping[str, Any]) -> Sequence[Fault]:
        condition: Expr = self._condition  # type: ignore[attr-defined]
        if condition.of(names):
            return ()
        message = self.message
        if message:
            message = fill(message, names)
        else:
            got = ", ".join(f"{name}={say(names[name])}" for name in condition.names)
            message = f"Expected {self.condition}, got {got}"
        return (Fault(self.at, message, fill(self.hint, names, digits=17), condition.names),)

    def _reads(self) -> frozenset[str]:
        condition: Expr = self._condition  # type: ignore[attr-defined]
        return condition.unique

    def _statement(self) -> str:
        return self.condition


@cache
def _placeholders(text: str) -> list[tuple[str, Expr | None]]:
    """`text` cut into literal pieces, each followed by the expression in the braces after it."""
    pieces: list[tuple[str, Expr | None]] = []
    rest = text
    while "{" in rest:
        literal, _, rest = rest.partition("{")
        expression, _, rest = rest.partition("}")
        pieces.append((literal, Expr(expression)))
    return [*pieces, (rest, None)]


def fill(text: str, names: Mapping[str, Any], digits: int = 6) -> str:
    """`text` with every `{expression}` replaced by its value, floats rounded to `digits` digits."""
    if "{" not in text:
        return text
    pieces = _placeholders(text)
    return "".join(literal + ("" if expr is None else say(expr(names), digits)) for literal, expr in pieces)


def say(value: Any, digits: int = 6) -> str:
    """A value in a sentence: as YAML writes it, floats rounded to `digits` digits, strings without quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return repr(float(f"{value:.{digits}g}"))
    if isinstance(value, (list, tuple)):
        more = ", ..." if len(value) > 9 else ""
        return f"[{', '.join(say(item, digits) for item in value[:9])}{more}]"
    return str(value)


def divisors(number: int) -> list[int]:
    """Every positive divisor of `number`, ascending."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def _near(legal: list[int], value: int, count: int = 3) -> str:
    """The `count` legal values nearest to `value`, ascending, as text."""
    nearest = sorted(sorted(legal, key=lambda v: (abs(v - value), v))[:count])
    return " or ".join(str(v) for v in nearest)
