"""Devices: peak rates as data, for `roofline`. Ours are in `devices.yaml`; a file of the same fields is one's own.

>>> load("h100-sxm").ceilings("bfloat16")
>>> load("my_device.yaml").bandwidth
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from registry.check import explain
from registry.errors import ArchError, InvalidConfig, Problem, clip
from registry.names import did_you_mean, nearest
from registry.reader import Document, Path, dotted, read_file

Dtype = Literal["float32", "tf32", "float64", "bfloat16", "float16"]
"""Types of numbers; `tf32` is float32 everywhere but in products."""
WIDTHS: Mapping[str, int] = {"float32": 4, "tf32": 4, "float64": 8, "bfloat16": 2, "float16": 2}
"""Type -> bytes of one number in memory."""
CEILINGS = ("matrix", "vector", "fft")
"""Units that work is done on, each with a peak of its own."""
FFT_FRACTION = 0.25
"""Fraction of the vector peak that transforms are taken to reach where nobody has measured it: an assumption."""

# Below a million it is not a peak rate but one in other units, such as 3.35 for 3.35e12.
Rate = Annotated[float, Field(ge=1e6)]


class UnknownDevice(ArchError, LookupError):
    """A name that no device has."""


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Matrix(_Fields):
    """Dense peak rates of products, multiply-adds counted as two."""

    float32: Rate = Field(description="FLOP per second without TensorFloat-32, such as 66.9e12")
    tf32: Optional[Rate] = Field(default=None, description="FLOP per second with TensorFloat-32, such as 494.7e12")
    float64: Optional[Rate] = Field(default=None, description="FLOP per second, such as 66.9e12")
    bfloat16: Optional[Rate] = Field(default=None, description="FLOP per second, such as 989.4e12")
    float16: Optional[Rate] = Field(default=None, description="FLOP per second, such as 989.4e12")


class Vector(_Fields):
    """Peak rates of everything else, outside tensor cores."""

    float32: Rate = Field(description="FLOP per second, such as 66.9e12")
    float64: Optional[Rate] = Field(default=None, description="FLOP per second, such as 33.5e12")


class Fft(_Fields):
    """How fast transforms are."""

    fraction: Annotated[float, Field(gt=0, le=1)] = Field(default=FFT_FRACTION, description="share of the vector peak")
    assumed: bool = Field(default=True, description="false if the fraction was measured")


class Device(_Fields):
    """What a device does at best."""

    title: Annotated[str, Field(min_length=1, max_length=100)] = Field(description="what it is called")
    source: Annotated[str, Field(min_length=1, max_length=300)] = Field(description="where the figures come from")
    assumed: bool = Field(default=False, description="true if they are those of no real device")
    matrix: Matrix = Field(description="rates of products by type")
    vector: Vector = Field(description="rates of everything else by type")
    bandwidth: Rate = Field(description="bytes per second, such as 3.35e12")
    memory: Rate = Field(description="bytes, such as 80e9")
    fft: Fft = Field(default=Fft(), description="rate of transforms")

    @property
    def dtypes(self) -> list[str]:
        """Types that it has all the ceilings for."""
        return [dtype for dtype in WIDTHS if None not in self._rates(dtype)]

    def ceilings(self, dtype: str) -> dict[str, float]:
        """FLOP per second by ceiling, for work on numbers of a type.

        Elementwise work and transforms of numbers narrower than float32 are done in float32, as in PyTorch.

        Raises:
            ValueError: it has no figures for that type.
        """
        matrix, vector = self._rates(dtype) if dtype in WIDTHS else (None, None)
        if matrix is None or vector is None:
            known = ", ".join(self.dtypes)
            raise ValueError(f"Expected a type that {clip(self.title)} has rates for, {known}, got {clip(dtype)}")
        return {"matrix": matrix, "vector": vector, "fft": vector * self.fft.fraction}

    def _rates(self, dtype: str) -> tuple[float | None, float | None]:
        """Rates of products and of everything else, None where unknown."""
        return getattr(self.matrix, dtype), self.vector.float64 if dtype == "float64" else self.vector.float32


_SECTIONS: Mapping[Path, type[_Fields]] = {(): Device, ("matrix",): Matrix, ("vector",): Vector, ("fft",): Fft}


def load(source: str) -> Device:
    """The device of a name of ours, or the one that a YAML file describes.

    Raises:
        UnknownDevice: there is no such name.
        Unreadable: the file cannot be read, or is no YAML we accept.
        InvalidConfig: it does not describe a device; carries every problem.
    """
    table = _table()
    if source in table.data:
        return _device(table, (source,))
    if source.endswith((".yaml", ".yml")) or "/" in source or os.sep in source or os.path.isfile(source):
        return _device(read_file(source), ())
    hint = did_you_mean(source, table.data) or f"devices: {', '.join(table.data)}; a path ends in .yaml"
    raise UnknownDevice(f"Expected the name of a device or a path, got {clip(source)!r}; {hint}")


def devices() -> dict[str, Device]:
    """Every device of ours by name."""
    table = _table()
    return {name: _device(table, (name,)) for name in table.data}


@cache
def _table() -> Document:
    return read_file(FilePath(__file__).with_name("devices.yaml"))


def _device(document: Document, at: Path) -> Device:
    """What is at `at`.

    Raises:
        InvalidConfig: it is no device.
    """
    data: Any = document.data
    for key in at:
        data = data[key]
    try:
        return Device.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    unknown = [_path(detail) for detail in details if detail["type"] == "extra_forbidden"]
    found = [_problem(detail, document, at) for detail in details if not _is_misspelt(detail, unknown)]
    raise InvalidConfig(sorted(found, key=lambda problem: (problem.line or 0, problem.column or 0)))


def _path(detail: ErrorDetails) -> Path:
    return tuple(detail["loc"])


def _is_misspelt(detail: ErrorDetails, unknown: Iterable[Path]) -> bool:
    """Whether what is missing is there, misspelt: that is reported already."""
    *owner, name = _path(detail)
    beside = [str(path[-1]) for path in unknown if path[:-1] == tuple(owner)]
    return detail["type"] == "missing" and bool(nearest(str(name), beside))


def _problem(detail: ErrorDetails, document: Document, at: Path) -> Problem:
    """What pydantic tells of one field, in the words of this house, with its place."""
    inside = _path(detail)
    path, owner, name = at + inside, inside[:-1], str(inside[-1])
    known = _SECTIONS[owner].model_fields
    mark = document.values.get(path)
    if detail["type"] == "extra_forbidden":
        what, mark = dotted(owner) or "a device", document.keys.get(path)
        code, message = "unknown-field", f"Expected a field of {what}, got {clip(name)!r}"
        hint = did_you_mean(name, known) or f"fields: {', '.join(known)}"
    elif detail["type"] == "missing":
        code, message = "missing-field", f"Expected {dotted(owner) or 'a device'} to have {name}"
        hint, mark = f"add {name} ({known[name].description})", document.values.get(at + owner)
    elif detail["type"] in ("model_type", "model_attributes_type"):
        code, message = "bad-value", f"Expected {name} to be a mapping, got {clip(detail['input'])}"
        hint = f"{name} has {', '.join(_SECTIONS[inside].model_fields)}"
    else:
        code, (_, message, hint) = "bad-value", explain(name, [detail])
        hint = hint if hint.startswith("write") else f"{name}: {known[name].description}"
    line, column = mark or (None, None)
    return Problem(code, message, hint, dotted(path), document.name, line, column)
