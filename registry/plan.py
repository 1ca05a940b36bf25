"""The plan: a validated, immutable network whose every node knows its path, config, and input and output shapes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from registry.backward import BackwardTape
from registry.blame import check_tree
from registry.check import Checker, Found
from registry.compose import TOP_LEVEL, Composed, compose
from registry.errors import ArchError, InvalidConfig, Misfit, Problem, Unreadable, clip
from registry.limits import LIMITS
from registry.modules import Node, count_params
from registry.names import nearest, suggest
from registry.reader import Path, dotted
from registry.replay import ReplayTape
from registry.schema import Component, InputSpec
from registry.shapes import Batch, Constant, Shape
from registry.sources import Source, documents
from registry.tape import Record, Tape

CODES: dict[str, str] = {
    "condition-width": "The condition is not as wide as the network needs it.",
    "missing-condition": "The network needs a condition, and `input` has none.",
    "shape": "The network does not take inputs of the shape it is fed.",
    "too-many-parameters": "A network with more parameters than any machine holds; `arch limits` tells how many.",
}
"""Codes of problems with a whole network."""


@dataclass(frozen=True)
class Plan:
    """A valid network or component, ready to be costed and built.

    Attributes:
        name: Preset name, file or `<mapping>`.
        summary: The preset's summary line.
        root: The config tree, every omitted value filled in.
        spec: Shapes of one input, or None where neither the document nor the component says.
        problems: Warnings and notes; a plan has no errors.
    """

    name: str
    summary: str
    root: Component
    spec: InputSpec | None
    problems: tuple[Problem, ...] = ()
    _records: dict[tuple[int, bool], Record] = field(default_factory=dict, repr=False, compare=False)

    def record(self, batch: int = 1, *, cached_kernels: bool = False) -> Record | None:
        """One forward pass over shapes, or None where the input is unknown. Made once, then remembered."""
        if self.spec is None:
            return None
        key = (batch, cached_kernels)
        if key not in self._records:
            args, kwargs = self.root.inputs(self.spec, Shape((Batch(batch),)))
            self._records[key] = Tape(cached_kernels=cached_kernels).call(self.root, *args, **kwargs)
        return self._records[key]

    def backward_record(self, batch: int = 1, *, input_grad: bool | None = None) -> Record | None:
        """One backward pass over shapes, or None where the input is unknown.

        Args:
            batch: Number of inputs.
            input_grad: Whether inputs have gradients; None: those of networks have none, those of other components,
                which are parts of networks, have.

        Raises:
            CostUnknown: a component has no rule for its backward pass.
        """
        if self.spec is None:
            return None
        args, kwargs = self.root.inputs(self.spec, Shape((Batch(batch),)))
        if not (self.root.entry.kind != "network" if input_grad is None else input_grad):
            args, kwargs = _constant(args), _constant(kwargs)
        return BackwardTape().call(self.root, *args, **kwargs)

    def memory_record(self, batch: int = 1, *, width: int = 4, input_grad: bool | None = None) -> Record | None:
        """The bytes of one forward pass with gradients, see `memory`, or None where the input is unknown.

        Args:
            batch: Number of inputs.
            width: Bytes of one number of parameters and activations.
            input_grad: As for `backward_record`.

        Raises:
            CostUnknown: a component does not say what it keeps.
        """
        if self.spec is None:
            return None
        tape = ReplayTape(width)
        needs_grad = self.root.entry.kind != "network" if input_grad is None else input_grad
        args, kwargs = self.root.inputs(self.spec, Shape((Batch(batch),)))
        return tape.call(self.root, *tape.feed(args, needs_grad=needs_grad), **tape.feed(kwargs, needs_grad=needs_grad))

    def memory_tree(self, batch: int = 1, *, width: int = 4) -> Node:
        """The root node, with the bytes of `memory_record`.

        Raises:
            CostUnknown: a component does not say what it keeps.
        """
        record = self.memory_record(batch, width=width)
        return Node("", self.root, (record,) if record else ())

    def tree(self, batch: int = 1, *, cached_kernels: bool = False, backward: bool = False) -> Node:
        """The root node, with the shapes and operations of one pass where the input is known.

        Args:
            batch: Number of inputs.
            cached_kernels: Kernels that do not depend on the input exist already.
            backward: Add the operations of the backward pass.
        """
        records = [self.record(batch, cached_kernels=cached_kernels)]
        if backward:
            records.append(self.backward_record(batch))
        return Node("", self.root, tuple(record for record in records if record))

    @property
    def params(self) -> int:
        """Number of parameters."""
        return count_params(self.root)


def _constant(value: Any) -> Any:
    """Arguments whose tensors have no gradient."""
    if isinstance(value, Shape):
        return Constant(value)
    if isinstance(value, dict):
        return {key: _constant(item) for key, item in value.items()}
    return tuple(map(_constant, value)) if isinstance(value, tuple) else value


def load(source: Source, overrides: Sequence[str] = ()) -> Plan:
    """Read, check and plan a network.

    Args:
        source: A preset name, a path, or a mapping; a mapping with a top-level `type` is a single component.
        overrides: `key=value`, such as `network.patch_size=8` or, relative to the network, `patch_size=8`.

    Raises:
        InvalidConfig: something is wrong; carries every problem found.
        Unreadable: there is no such source, or it is no YAML we accept.
    """
    plan, problems = _plan(source, overrides)
    if plan is None or any(problem.severity == "error" for problem in problems):
        raise InvalidConfig(problems)
    return plan


def check(source: Source, overrides: Sequence[str] = ()) -> list[Problem]:
    """Every problem of a source, in document order, errors and warnings alike. Never raises for bad content."""
    try:
        return list(_plan(source, overrides)[1])
    except InvalidConfig as error:
        return list(error.problems)


def _plan(source: Source, overrides: Sequence[str]) -> tuple[Plan | None, tuple[Problem, ...]]:
    return plan_composed(compose(documents(source), overrides))


def plan_composed(composed: Composed) -> tuple[Plan | None, tuple[Problem, ...]]:
    """The plan of what several layers add up to, or None if it has errors; and every problem found."""
    data = composed.data
    single = "type" in data or _lacks_only_a_type(data)
    prefix: Path = () if single else ("network",)
    checker = Checker()
    spec = _input(checker, data.get("input"), ("input",))
    raw: Any = {key: value for key, value in data.items() if key != "input"}
    if not single:
        _top_level(checker, data)
        raw = data.get("network")
    root = None
    if raw is not None:
        root, found = check_tree(raw, prefix, composed.recall)
        checker.found += found
    problems = _located(checker, composed)
    if root is None or any(problem.severity == "error" for problem in problems):
        return None, problems
    name = composed.documents[-1].name or "<mapping>"
    summary = data.get("summary") if isinstance(data.get("summary"), str) else ""
    plan = Plan(name, summary or "", root, spec or root.input_spec(), problems)
    problems = (
        *problems,
        *_size_problems(plan, prefix, composed),
        *(_condition_problems(plan, composed) or _shape_problems(plan, dotted(prefix), composed)),
    )
    return replace(plan, problems=problems), problems


def _lacks_only_a_type(data: Mapping[str, Any]) -> bool:
    """Whether the document is meant to be one component, although it does not say which."""
    fields = data.keys() - {"input"}
    return bool(fields) and fields.isdisjoint(TOP_LEVEL) and not any(_misspelt(key, fields) for key in TOP_LEVEL)


def _size_problems(plan: Plan, prefix: Path, composed: Composed) -> list[Problem]:
    """A network that no machine could hold is refused before anybody tries."""
    if plan.params <= LIMITS.params:
        return []
    file, line, column = composed.locate(prefix)
    message = f"Expected at most {LIMITS.params:,} parameters, got {plan.params:,}"
    return [Problem("too-many-parameters", message, "lower the widths", dotted(prefix), file, line, column)]


def _top_level(checker: Checker, data: dict[str, Any]) -> None:
    for key in data:
        if key not in TOP_LEVEL:
            hint = suggest(checker.nearest(key, TOP_LEVEL)) or f"a preset has {', '.join(sorted(TOP_LEVEL))}"
            checker.report((key,), "unknown-field", f"Expected a key of a preset, got {clip(key)!r}", hint, at_key=True)
    for key in ("summary", "extends"):
        if data.get(key) is not None and not isinstance(data[key], str):
            checker.report((key,), "bad-value", f"Expected {key} to be a string, got {clip(data[key])}")
    if data.get("network") is None and not _misspelt("network", data):
        hint = "add network: with a type, or extends: a preset that has one"
        checker.report(("network",), "missing-field", "Expected a preset to have a network", hint)


def _input(checker: Checker, raw: Any, path: Path) -> InputSpec | None:
    """The `input:` section: {shape: [..], condition: [..]}."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        checker.report(path, "bad-value", "Expected input to be a mapping with shape", "input: {shape: [28, 28, 1]}")
        return None
    shapes: dict[str, tuple[int, ...] | None] = {}
    for key, value in raw.items():
        if key not in ("shape", "condition"):
            hint = suggest(checker.nearest(key, ("shape", "condition"))) or "input has shape and condition"
            checker.report(
                (*path, key), "unknown-field", f"Expected a key of input, got {clip(key)!r}", hint, at_key=True
            )
        elif value is None and key == "condition":
            shapes[key] = None
        elif not (isinstance(value, list) and value and all(_is_extent(extent) for extent in value)):
            message = f"Expected input.{key} to be a list of integers >= 1, got {clip(value)}"
            checker.report((*path, key), "bad-value", message, "without the batch axis, channels last")
        else:
            shapes[key] = tuple(value)
    if "shape" not in raw and not _misspelt("shape", raw):
        checker.report((*path, "shape"), "missing-field", "Expected input to have shape", "input: {shape: [28, 28, 1]}")
    shape = shapes.get("shape")
    return InputSpec(shape, shapes.get("condition")) if shape else None


def _misspelt(key: str, given: Collection[Any]) -> bool:
    """Whether a key that is not there is one that is, misspelt: that one is reported already."""
    return key not in given and bool(nearest(key, map(str, given)))


def _is_extent(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2**40


def _located(checker: Checker, composed: Composed) -> tuple[Problem, ...]:
    """What the checker found, each with its file, line and column, in document order, errors first."""
    located = []
    for found in checker.found:
        file, line, column = composed.locate(found.path, key=found.at_key)
        message = found.problem.message + _origins(found, composed)
        located.append(replace(found.problem, message=message, file=file, line=line, column=column))
    rank = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(located, key=lambda p: (rank[p.severity], p.file or "", p.line or 0, p.column or 0)))


def _origins(found: Found, composed: Composed) -> str:
    """Where the other numbers of a message come from: "; 384 comes from network.hidden_dim, vit5_hybrid.yaml:4"."""
    texts = []
    for what, source in {path: (what, path) for what, path in found.sources}.values():
        file, line, _ = composed.locate(source)
        place = f", {os.path.basename(file)}{f':{line}' if line else ''}" if file else ""
        texts.append(f"{what} comes from {dotted(source)}{place}")
    return f"; {', '.join(texts)}" if texts else ""


def _condition_problems(plan: Plan, composed: Composed) -> list[Problem]:
    """A network that needs a condition is fed one, and one of the right width."""
    wanted = plan.root.condition_dim
    if plan.spec is None or wanted is None or (plan.spec.condition or (None,))[-1] == wanted:
        return []
    condition = plan.spec.condition
    got = "none" if condition is None else f"a condition of shape {list(condition)}"
    file, line, column = composed.locate(("input", "condition"))
    message = f"Expected input.condition of width {wanted}, got {got}"
    hint = f"input: {{shape: {list(plan.spec.shape)}, condition: [{wanted}]}}"
    code = "missing-condition" if condition is None else "condition-width"
    return [Problem(code, message, hint, "input.condition", file, line, column)]


def _shape_problems(plan: Plan, prefix: str, composed: Composed) -> list[Problem]:
    """Run the shapes once: what no rule foresaw is still refused before anything is built."""
    at: Path = ("input", "shape") if composed.written(("input", "shape")) else (prefix,) if prefix else ()
    try:
        plan.record()
    except ArchError as error:
        message = str(error)
    except Misfit as error:
        at, message = (*filter(None, (prefix,)), error.field), str(error)
    except ValueError as error:  # a component refuses what arrives: "Expected ..., got ..."
        message = str(error)
    except (IndexError, TypeError, ZeroDivisionError, KeyError) as error:
        message = f"Expected the network to take its input, got {type(error).__name__}: {clip(error)}"
    else:
        return []
    file, line, column = composed.locate(at)
    message = message.replace("'B'", "B")  # the batch axis in a list of extents
    return [Problem("shape", message, _fed(plan.spec), dotted(at), file, line, column)]


def _fed(spec: InputSpec | None) -> str:
    """What the network is fed, as a hint."""
    if spec is None:  # pragma: no cover (then nothing runs)
        return ""
    condition = f" and a condition of shape {list(spec.condition)}" if spec.condition else ""
    return f"without the batch axis it is fed an input of shape {list(spec.shape)}{condition}"


__all__ = ["Node", "Plan", "Unreadable", "check", "count_params", "load"]
