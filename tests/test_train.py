"""Forward and backward: what `cost(mode="train")` predicts is what runs, kind by kind.

The modules are in evaluation mode, so that nothing is random or computed again, but with gradients. Gradients of all
outputs arrive; inputs have gradients, except those of networks.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import registry
from registry.cases import Case
from registry.cost import DTYPE_BYTES
from registry.errors import CostUnknown
from registry.plan import Plan
from registry.sources import presets
from registry.tape import KINDS
from tests.harness import arguments, plain, shapes_of
from tests.tracer import FlopTracer

DRAWS = 20
NAMES = [name for name in registry.names() if registry.get(name).kind != "initializer"]


def _cases_module(name: str):
    return importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))


def _valid() -> list:
    return [
        pytest.param(case, id=f"{name}-{i}")
        for name in NAMES
        for i, case in enumerate(c for c in _cases_module(name).CASES if registry.get(c.config["type"]).name == name)
    ]


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


def _train(plan: Plan, batch: int, counter: FlopTracer | FlopCounterMode) -> None:
    """One forward and backward pass on meta, watched by `counter`."""
    module = registry.build(plan, device="meta").eval()
    args, kwargs = arguments(plan, batch, "meta")
    for tensor in _tensors((args, kwargs)):
        tensor.requires_grad_(plan.root.entry.kind != "network")
    with counter:
        outputs = [output for output in _tensors(module(*args, **kwargs)) if output.requires_grad]
        torch.autograd.backward(outputs, [torch.empty_like(output) for output in outputs])


def _check(plan: Plan, batch: int) -> None:
    traced = FlopTracer()
    _train(plan, batch, traced)
    predicted = registry.cost(plan, batch, "train").kinds
    assert {kind: predicted[kind] for kind in KINDS if predicted.get(kind)} == {k: n for k, n in traced.counts.items() if n}


@pytest.mark.parametrize("case", _valid())
def test_every_case(case: Case) -> None:
    plan = registry.load(case.document)
    if plan.spec is not None:
        _check(plan, 2)


@pytest.mark.parametrize("name", NAMES)
def test_random_configs(name: str) -> None:
    rng = random.Random(f"train-{name}")
    for _ in range(DRAWS):
        plan = registry.load(_cases_module(name).DRAW[name](rng).document)
        if plan.spec is not None:
            _check(plan, rng.randint(1, 3))


@pytest.mark.parametrize("name", presets())
def test_every_preset(name: str) -> None:
    _check(registry.load(name), 2)
