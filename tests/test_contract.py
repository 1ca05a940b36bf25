"""One contract for every registered component, fed by its `cases.py`.

Every name must have cases; every valid case must load, build, run and cost what it really costs; every invalid case
must give exactly the one problem it was made for.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import registry
from registry.cases import Case, Invalid
from registry.plan import Plan
from registry.tape import KINDS
from tests.harness import arguments, parameter_shapes, plain, shapes_of
from tests.tracer import FlopTracer

DRAWS = 50


def _cases_module(name: str):
    return importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))


def _own(name: str, cases: tuple) -> Iterator:
    return (case for case in cases if registry.get(case.config["type"]).name == name)


def _valid() -> list:
    return [
        pytest.param(case, id=f"{name}-{i}")
        for name in registry.names()
        for i, case in enumerate(_own(name, _cases_module(name).CASES))
    ]


def _invalid() -> list:
    return [
        pytest.param(case, id=f"{name}-{case.code}-{i}")
        for name in registry.names()
        for i, case in enumerate(_own(name, _cases_module(name).INVALID))
    ]


@pytest.mark.parametrize("name", registry.names())
def test_every_name_has_cases(name: str) -> None:
    cases = _cases_module(name)
    assert list(_own(name, cases.CASES)), "no valid case"
    assert name in cases.DRAW or registry.get(name).kind == "initializer", "no random configs"
    assert registry.get(name).summary
    assert registry.get(name).schema.paper or registry.get(name).schema.__doc__


@pytest.mark.parametrize("case", _valid())
def test_valid(case: Case) -> None:
    plan = registry.load(case.document)
    assert sorted({p.code for p in plan.problems}) == sorted(case.warns)
    again = registry.load({**plan.root.to_dict(), **_input(case)})
    assert again.root.to_dict() == plan.root.to_dict(), "a resolved config must load to itself"
    if case.params is not None:
        assert plan.params == case.params
    if plan.root.entry.kind == "initializer":
        return
    module = registry.build(plan, seed=0).eval()
    _check_parameters(plan, module)
    if plan.spec is None:
        return
    _check_run(plan, module, "cpu")
    _check_backward(plan, module)


def _input(case: Case) -> dict:
    return {"input": case.document["input"]} if "input" in case.document else {}


def _check_parameters(plan: Plan, module: nn.Module) -> None:
    real = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert parameter_shapes(plan.root) == real
    assert plan.params == sum(p.numel() for p in module.parameters())


def _check_run(plan: Plan, module: nn.Module, device: str, batch: int = 2) -> None:
    """Output shapes, and operations of every kind, are what the plan says."""
    args, kwargs = arguments(plan, batch, device)
    with torch.no_grad(), FlopTracer() as traced:
        output = module(*args, **kwargs)
    record = plan.record(batch)
    assert record is not None
    assert plain(record.output) == shapes_of(output)
    predicted = {kind: record.total.get(kind, 0) for kind in KINDS if record.total.get(kind)}
    real = {kind: count for kind, count in traced.counts.items() if count}
    assert predicted == real


def _check_backward(plan: Plan, module: nn.Module) -> None:
    args, kwargs = arguments(plan)
    loss = sum(o.float().square().mean() for o in _leaves(module(*args, **kwargs)) if o.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def _leaves(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _leaves(item)


@pytest.mark.parametrize("case", _invalid())
def test_invalid(case: Invalid) -> None:
    problems = registry.check(dict(case.config))
    errors = [(p.code, p.path) for p in problems if p.severity == "error"]
    assert errors == [(case.code, case.path)], "\n".join(map(str, problems))
    problem = next(p for p in problems if p.severity == "error")
    assert problem.message.startswith("Expected ")
    assert case.says in problem.message


@pytest.mark.parametrize("name", [n for n in registry.names() if n in _cases_module(n).DRAW])
def test_random_configs(name: str) -> None:
    """Shapes, parameters and operations of random configs, on meta, against the tracer and FlopCounterMode."""
    rng = random.Random(f"contract-{name}")
    for _ in range(DRAWS):
        case = _cases_module(name).DRAW[name](rng)
        plan = registry.load(case.document)
        module = registry.build(plan, device="meta").eval()
        _check_parameters(plan, module)
        if plan.spec is None:
            continue
        batch = rng.randint(1, 3)
        _check_run(plan, module, "meta", batch)
        args, kwargs = arguments(plan, batch, "meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*args, **kwargs)
        assert registry.cost(plan, batch, convention="matmul").flops == counter.get_total_flops()
