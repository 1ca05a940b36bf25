"""`Component`: the pydantic base of every config, and the three kinds of field it may have.

* a plain field: a strict, bounded pydantic field;
* `follows("expression")`: a value that follows from the parent (`hidden_dim`, `num_channels`, `L_cache`, ...). It may
  be omitted; if written, it must agree;
* `slot("kind", ...)`: a child component of one of the named kinds. A slot says which facts it gives its child.

Facts flow down the tree: a slot inherits every fact that reached its owner, except those it gives anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from registry.errors import Severity
from registry.limits import LIMITS
from registry.rules import Expr, Rule, Unknown
from registry.shapes import Shape

if TYPE_CHECKING:
    from registry.store import Entry
    from registry.tape import Tape

Dim = Annotated[int, Field(strict=True, ge=1, le=LIMITS.dim)]
"""A width or an extent: 1 to 2**20."""
Count = Annotated[int, Field(strict=True, ge=0, le=LIMITS.dim)]
"""A number of things that may be none."""
Heads = Annotated[int, Field(strict=True, ge=1, le=LIMITS.heads)]
"""A number of attention heads."""
Rank = Annotated[int, Field(strict=True, ge=1, le=3)]
"""A number of spatial axes: 1, 2 or 3."""
Number = Annotated[float, Field(ge=-1e38, le=1e38)]
"""A number that single precision can hold, as the next two."""
Positive = Annotated[float, Field(gt=0, le=1e38)]
"""A number above zero."""
NonNegative = Annotated[float, Field(ge=0, le=1e38)]
"""A number, zero or above."""
Probability = Annotated[float, Field(ge=0, le=1)]
"""A probability."""
Dims = Annotated[tuple[Dim, ...], Field(strict=False, min_length=1, max_length=8)]
"""One extent per axis, written as a list."""


@dataclass(frozen=True)
class Follows:
    """Marks a field whose value follows from facts: the expression, and what disagreeing means."""

    value: Expr
    code: str
    why: str
    also: Expr | None = None
    binding: str = ""

    def agrees(self, got: Any, expected: Any, values: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """Whether a written value says the same; a list of equal extents says the same as one extent."""
        if got == expected or (isinstance(got, tuple) and set(got) == {expected}):
            return True
        try:
            return self.also is not None and bool(got == self.also({**values, **facts}))
        except Unknown:
            return False

    @property
    def reads(self) -> frozenset[str]:
        """Every name on whose value it depends what is expected."""
        return self.value.unique | (self.also.unique if self.also else frozenset())

    @property
    def severity(self) -> Severity:
        """What disagreeing means where only this component and its parent are known."""
        return "warning" if self.binding else "error"

    def severity_given(self, facts: Mapping[str, Any]) -> Severity:
        """What disagreeing means, given the facts that reach the component."""
        return "error" if self.binding in facts else self.severity


@dataclass(frozen=True)
class Slot:
    """Marks a field that holds a child component.

    Attributes:
        kinds: Kinds of component the slot accepts.
        gives: Facts the child receives, as expressions over the owner's names.
        at: Name of the module attribute (and so of the parameters), when not the field's name.
        when: Where false, the child is not used: nothing is given to it, and rules about what it would get are silent.
        many: The slot is a mapping from keys to children, such as `layer_types`.
        default: Raw value used when nothing is written: a registered name, None, or `...` for "must be written".
    """

    kinds: tuple[str, ...]
    gives: Mapping[str, Expr]
    at: str
    many: bool
    default: Any
    when: Expr | None = None

    @property
    def reads(self) -> frozenset[str]:
        """Every name on whose value it depends what the child is given."""
        return frozenset().union(*(expr.unique for expr in (*self.gives.values(), self.when) if expr))


def follows(
    expression: str,
    description: str = "",
    *,
    default: Any = ...,
    code: str = "mismatch",
    why: str = "",
    also: str = "",
    binding: str = "",
) -> Any:
    """A field whose value follows from facts; omitted, it is filled in; written, it must agree.

    Args:
        expression: Over the facts that reach the component, such as `"hidden_dim"` or `"3 * hidden_dim"`.
        description: What the field means.
        default: Value when neither the document nor the facts say anything; `...`: that is an error.
        code: Stable code of the problem when written and facts disagree.
        why: Why it must agree.
        also: Another value that agrees, as an expression.
        binding: A fact without which disagreeing is only a warning; the value that follows wins in any case.
    """
    mark = Follows(Expr(expression), code, why, Expr(also) if also else None, binding)
    info = Field(default, description=description, json_schema_extra={"x-follows": expression})
    return _carry(info, mark)


def slot(
    *kinds: str,
    default: Any = ...,
    gives: Mapping[str, str] | None = None,
    at: str = "",
    many: bool = False,
    when: str = "",
    description: str = "",
) -> Any:
    """A child component of one of `kinds`; see `Slot` for the arguments."""
    facts = {name: Expr(text) for name, text in (gives or {}).items()}
    mark = Slot(kinds, facts, at, many, default, Expr(when) if when else None)
    extra: dict[str, Any] = {"x-kinds": list(kinds)}
    if isinstance(default, str):
        info = Field(default_factory=_default_child(default), description=description, json_schema_extra=extra)
    else:
        info = Field(default, description=description, json_schema_extra=extra)
    return _carry(info, mark)


def _default_child(name: str) -> Callable[[], Component]:
    """Factory of the component a slot holds when nothing is written."""
    return lambda: lookup(name)()


def _no_store(name: str) -> type[Component]:
    raise LookupError(f"Expected the registry to be imported before {name} is looked up")


lookup: Callable[[str], type[Component]] = _no_store
"""Schema of a registered name; the store puts itself here when it is imported."""


def _carry(info: Any, mark: Follows | Slot) -> Any:
    """Attach our mark to a pydantic field; pydantic keeps metadata it does not know."""
    info.metadata.append(mark)
    return info


@dataclass(frozen=True)
class InputSpec:
    """What a network is fed, without the batch axis.

    Attributes:
        shape: Shape of one input, channels last, such as (224, 224, 3).
        condition: Shape of one conditioning input, or None.
    """

    shape: tuple[int, ...]
    condition: tuple[int, ...] | None = None


_C = TypeVar("_C", bound="Component")
# The slots of a pydantic model. Set through their descriptors they pass by its `__setattr__`, in half the time that
# `object.__setattr__` takes.
_SET_DICT, _SET_FIELDS_SET, _SET_EXTRA, _SET_PRIVATE = (
    BaseModel.__dict__[f"__{name}__"].__set__
    for name in ("dict", "pydantic_fields_set", "pydantic_extra", "pydantic_private")
)


class Component(BaseModel):
    """Base of every component's config: strict, frozen, nothing unknown, only finite numbers.

    A subclass declares fields, `rules`, and three torch-free descriptions of its module:
    `parameters` (names and shapes of its own parameters), `forward` (the module's forward over shapes, recording
    operations on a `Tape`) and, where the reference library publishes one, `flop_count`.
    """

    # Validators of whole components are built at their first use, which most never see: a checker validates fields.
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=(), defer_build=True
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    paper: ClassVar[str] = ""
    entry: ClassVar[Entry]

    # ---- what its module is made of -------------------------------------------------------------------------

    @cached_property
    def parts(self) -> dict[str, Component]:
        """Child modules by module path below this one, in the order the module builds them.

        The default is one part per filled slot, under the slot's attribute name. `name.0`, `name.1`, ... is a list.
        """
        parts: dict[str, Component] = {}
        for name, mark in fields_of(type(self)).slots.items():
            child = getattr(self, name)
            if isinstance(child, Component):
                parts[mark.at or name] = child
        return parts

    def module_args(self) -> dict[str, Any]:
        """Keyword arguments of the module besides its parts: every plain field, and None for an empty slot."""
        slots = fields_of(type(self)).slots
        args = {name: getattr(self, name) for name in type(self).model_fields if name not in slots}
        args.update({mark.at or name: None for name, mark in slots.items() if getattr(self, name) is None})
        return args

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Own parameters (not those of the parts): name below this module -> shape."""
        return {}

    def buffers(self) -> Mapping[str, tuple[int, ...]]:
        """Own buffers, persistent or not: name -> shape."""
        return {}

    def state(self) -> Mapping[str, tuple[int, ...]]:
        """Recurrent state of one sequence, that of the parts: name -> shape, of complex numbers.

        A component that overrides this speaks for its parts too.
        """
        return {f"{at}.{name}": shape for at, part in self.parts.items() for name, shape in part.state().items()}

    def state_bytes(self, batch: int = 1, *, width: int = 4) -> int:
        """Bytes of the recurrent states of `batch` sequences; 0 where there is no recurrence.

        Args:
            batch: Number of sequences.
            width: Bytes of one number of parameters. States are complex, of at least single precision.
        """
        return batch * 2 * max(width, 4) * sum(Shape(shape).size for shape in self.state().values())

    # ---- what it does ---------------------------------------------------------------------------------------

    def input_spec(self) -> InputSpec | None:
        """The input this component implies by itself, or None."""
        return None

    def inputs(self, spec: InputSpec, batch: Shape) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of `forward` for inputs of `spec`: `Shape` where the module takes a tensor.

        Args:
            spec: Shapes without batch.
            batch: The batch axis, to be put first.
        """
        return (batch + Shape(spec.shape),), {}

    def forward(self, tape: Tape, *args: Any, **kwargs: Any) -> Any:
        """The module's forward over shapes: returns output shapes and records operations on `tape`."""
        raise NotImplementedError(f"{type(self).__name__} has no cost rule")  # pragma: no cover

    @property
    def takes_conditioning(self) -> bool:
        """Whether some part below makes use of a conditioning vector."""
        return any(part.takes_conditioning for part in self.parts.values())

    @property
    def accepts_conditioning(self) -> bool:
        """Whether the module's forward may be called with `conditioning=` at all."""
        return True

    @property
    def condition_dim(self) -> int | None:
        """Width of the condition that the module's forward must be given, or None where it needs none."""
        return None

    def with_values(self: _C, **values: Any) -> _C:
        """A copy with some fields replaced; the values are trusted."""
        return self.trusted({**{n: getattr(self, n) for n in type(self).model_fields}, **values})

    @classmethod
    def trusted(cls: type[_C], values: dict[str, Any]) -> _C:
        """A component of values that were checked before: `model_construct` without its second look at every field."""
        component = object.__new__(cls)
        _SET_DICT(component, values)
        _SET_FIELDS_SET(component, set(values))
        _SET_EXTRA(component, None)
        _SET_PRIVATE(component, None)
        return component

    def to_dict(self) -> dict[str, Any]:
        """The config as plain data, `type` first, such as a preset writes it.

        A layer type that no block uses keeps what was written and is not filled in.
        """
        fields = {n: _plain(getattr(self, n)) for n in type(self).model_fields if n in self.__dict__}
        return {"type": type(self).entry.name, **fields}


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Fields:
    """A schema sorted by what its fields are.

    Attributes:
        plain: Every field but the slots.
        follows: Those of them whose value follows from facts.
        slots: Children, each after the ones its facts mention.
        keys: What may be written: the names of all fields, and `type`.
        defaults: Values of plain fields that may be left out.
    """

    plain: Mapping[str, FieldInfo]
    follows: Mapping[str, Follows]
    slots: Mapping[str, Slot]
    keys: frozenset[str]
    defaults: Mapping[str, Any]


_FIELDS: dict[type[Component], Fields] = {}


def fields_of(schema: type[Component]) -> Fields:
    """The fields of `schema`: plain (follows included), which of them follow, and slots in order of need.

    A slot whose facts mention another slot comes after it.
    """
    if schema not in _FIELDS:
        marks = {
            name: next((m for m in info.metadata if isinstance(m, (Follows, Slot))), None)
            for name, info in schema.model_fields.items()
        }
        slots = {name: mark for name, mark in marks.items() if isinstance(mark, Slot)}
        plain = {name: info for name, info in schema.model_fields.items() if name not in slots}
        _FIELDS[schema] = Fields(
            plain=plain,
            follows={name: mark for name, mark in marks.items() if isinstance(mark, Follows)},
            slots=dict(sorted(slots.items(), key=lambda item: _depth(item[0], slots))),
            keys=frozenset((*schema.model_fields, "type")),
            defaults={n: i.get_default(call_default_factory=True) for n, i in plain.items() if not i.is_required()},
        )
    return _FIELDS[schema]


def _depth(name: str, slots: Mapping[str, Slot]) -> int:
    """How many slots must be resolved before `name`."""
    needs = {n for expr in slots[name].gives.values() for n in expr.names if n in slots and n != name}
    return max((1 + _depth(n, slots) for n in needs), default=0)
