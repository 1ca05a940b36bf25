"""Every preset is valid, costs what it really costs, builds, and runs forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import registry
from registry.sources import presets
from registry.tape import KINDS
from tests.harness import arguments, parameter_shapes, plain, shapes_of
from tests.tracer import FlopTracer

NAMES = list(presets())
SMALL = [name for name in NAMES if not name.startswith("vit5_")]


@pytest.mark.parametrize("name", NAMES)
def test_costs_what_it_really_costs(name: str) -> None:
    """On meta, so that the largest takes no memory: shapes, parameters, every kind of operation."""
    plan = registry.load(name)
    assert not plan.problems
    assert plan.summary
    module = registry.build(plan, device="meta").eval()
    assert parameter_shapes(plan.root) == {key: tuple(p.shape) for key, p in module.named_parameters()}
    args, kwargs = arguments(plan, 2, "meta")
    with torch.no_grad(), FlopTracer() as traced:
        output = module(*args, **kwargs)
    record = plan.record(2)
    assert record is not None
    assert plain(record.output) == shapes_of(output)
    assert {k: n for k, n in traced.counts.items() if n} == {k: record.total[k] for k in KINDS if k in record.total}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*args, **kwargs)
    assert registry.cost(plan, 2, convention="matmul").flops == counter.get_total_flops()


@pytest.mark.parametrize("name", SMALL)
def test_runs_forward_and_backward(name: str) -> None:
    plan = registry.load(name)
    module = registry.build(plan, seed=0)
    args, kwargs = arguments(plan, 1)
    output = module(*args, **kwargs)
    assert torch.isfinite(output).all()
    output.square().mean().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


def test_vit5_hybrid_runs() -> None:
    module = registry.build("vit5_hybrid", seed=0).eval()
    assert sum(p.numel() for p in module.parameters()) == 22_176_960
    with torch.no_grad():
        logits = module(torch.randn(2, 224, 224, 3))
    assert logits.shape == (2, 1000)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("patch_size", [8, 4, 32])
def test_one_override_changes_the_resolution(patch_size: int) -> None:
    plan = registry.load("vit5_hybrid", [f"patch_size={patch_size}"])
    module = registry.build(plan, device="meta").eval()
    with torch.no_grad():
        assert module(torch.empty(1, 224, 224, 3, device="meta")).shape == (1, 1000)


def test_a_seed_fixes_the_weights() -> None:
    first, second = (registry.build("ccnn_classifier", seed=3).state_dict() for _ in range(2))
    other = registry.build("ccnn_classifier", seed=4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
