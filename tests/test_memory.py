"""Saved activations: what `plan.memory_record` predicts is what autograd keeps, as integers."""

from __future__ import annotations

import importlib
import random

import pytest
import torch

import registry
from registry.cases import Case
from registry.errors import CostUnknown
from registry.plan import Plan
from registry.sources import presets
from tests.autograd import saved_bytes

DRAWS = 10
NAMES = [name for name in registry.names() if registry.get(name).kind != "initializer"]


def _cases_module(name: str):
    return importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))


def _valid() -> list:
    return [
        pytest.param(case, id=f"{name}-{i}")
        for name in NAMES
        for i, case in enumerate(c for c in _cases_module(name).CASES if registry.get(c.config["type"]).name == name)
    ]


def _check(plan: Plan, batch: int, input_grad: bool, width: int = 4) -> None:
    record = plan.memory_record(batch, width=width, input_grad=input_grad)
    assert record is not None
    if width == 2 and plan.root.entry.kind == "mask":
        return  # windows of coordinates, which are never in half precision
    dtype = {2: torch.bfloat16, 4: torch.float32, 8: torch.float64}[width]
    assert record.total.get("saved", 0) == saved_bytes(plan, batch, input_grad=input_grad, dtype=dtype)


@pytest.mark.parametrize("case", _valid())
def test_every_case(case: Case) -> None:
    plan = registry.load(case.document)
    if plan.spec is not None:
        for input_grad in (True, False):
            _check(plan, 2, input_grad)


@pytest.mark.parametrize("name", NAMES)
def test_random_configs(name: str) -> None:
    """Of one or several samples, with gradients of the inputs and without, in half, single and double precision."""
    rng = random.Random(f"memory-{name}")
    for _ in range(DRAWS):
        plan = registry.load(_cases_module(name).DRAW[name](rng).document)
        if plan.spec is not None:
            _check(plan, rng.randint(1, 3), rng.random() < 0.5, rng.choice([2, 4, 8]))


@pytest.mark.parametrize("name", presets())
def test_every_preset(name: str) -> None:
    _check(registry.load(name), 2, input_grad=False)


def test_a_component_that_does_not_say_what_it_keeps_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def bare(config, tape, x):
        tape.transcendental(x.size)
        return x

    monkeypatch.setattr(registry.get("gelu").schema, "forward", bare)
    plan = registry.load({"type": "gelu", "input": {"shape": [3]}})
    with pytest.raises(CostUnknown, match="what it keeps for its backward pass, got none for gelu"):
        plan.memory_record()
