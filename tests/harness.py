"""From a plan to torch arguments and back: what the contract, golden and preset suites share."""

from __future__ import annotations

from typing import Any

import torch

from registry.plan import Plan
from registry.schema import Component
from registry.shapes import Batch, Shape


def arguments(plan: Plan, batch: int = 2, device: str = "cpu") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Random inputs for the module of `plan`, as its component describes them."""
    assert plan.spec is not None
    args, kwargs = plan.root.inputs(plan.spec, Shape((Batch(batch),)))
    return _tensors(args, device), _tensors(kwargs, device)


def _tensors(value: Any, device: str) -> Any:
    if isinstance(value, Shape):
        return torch.randn(tuple(value), device=device)
    if isinstance(value, dict):
        return {key: _tensors(item, device) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_tensors(item, device) for item in value)
    return value


def shapes_of(value: Any) -> Any:
    """Tensor shapes in the structure of `value`."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        return {key: shapes_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(shapes_of(item) for item in value)
    return value


def plain(value: Any) -> Any:
    """Predicted shapes as plain tuples, in the structure of `value`."""
    if isinstance(value, Shape):
        return tuple(int(extent) for extent in value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    return value


def parameter_shapes(config: Component, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Every parameter the cost rules speak of, by address."""
    found = {f"{prefix}{name}": tuple(shape) for name, shape in config.parameters().items()}
    for name, part in config.parts.items():
        found |= parameter_shapes(part, f"{prefix}{name}.")
    return found
