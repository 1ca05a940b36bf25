"""Forward and backward: what `cost(mode="train")` predicts is what runs, kind by kind.

The modules are in evaluation mode, so that nothing is random or computed again, but with gradients. Gradients of all
outputs arrive.
"""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import registry
from registry.cases import Case
from registry.errors import CostUnknown
from registry.plan import Plan
from registry.sources import presets
from registry.tape import KINDS
from tests.harness import arguments
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


def _train(plan: Plan, batch: int, counter: FlopTracer | FlopCounterMode, input_grad: bool) -> None:
    """One forward and backward pass on meta, watched by `counter`."""
    module = registry.build(plan, device="meta").eval()
    args, kwargs = arguments(plan, batch, "meta")
    for tensor in _tensors((args, kwargs)):
        tensor.requires_grad_(input_grad)
    with counter:
        outputs = [output for output in _tensors(module(*args, **kwargs)) if output.requires_grad]
        torch.autograd.backward(outputs, [torch.empty_like(output) for output in outputs])


def _check(plan: Plan, batch: int, input_grad: bool) -> None:
    traced = FlopTracer()
    _train(plan, batch, traced, input_grad)
    forward, backward = plan.record(batch), plan.backward_record(batch, input_grad=input_grad)
    assert forward is not None
    assert backward is not None
    predicted = Counter(forward.total) + Counter(backward.total)
    assert predicted == +Counter(traced.counts)
    assert backward.output == forward.output


@pytest.mark.parametrize("case", _valid())
def test_every_case(case: Case) -> None:
    plan = registry.load(case.document)
    if plan.spec is not None:
        _check(plan, 2, input_grad=True)


@pytest.mark.parametrize("name", NAMES)
def test_random_configs(name: str) -> None:
    """Of inputs with gradients, and of inputs without."""
    rng = random.Random(f"train-{name}")
    for _ in range(DRAWS):
        plan = registry.load(_cases_module(name).DRAW[name](rng).document)
        if plan.spec is not None:
            _check(plan, rng.randint(1, 3), input_grad=rng.random() < 0.6)


@pytest.mark.parametrize("name", presets())
def test_every_preset(name: str) -> None:
    """Whose inputs have no gradients."""
    plan = registry.load(name)
    _check(plan, 2, input_grad=False)
    cost, forward = registry.cost(plan, 2, "train"), plan.record(2)
    backward = plan.backward_record(2)
    assert forward is not None
    assert backward is not None
    assert cost.kinds == {k: n for k in KINDS if (n := forward.total.get(k, 0) + backward.total.get(k, 0))}
    assert cost.memory["grad_bytes"] == cost.memory["param_bytes"] == 4 * plan.params


@pytest.mark.parametrize(
    "config",
    [
        {"type": "mlp", "dim": 8, "activation": "swiglu", "bias": True},
        {"type": "patchify", "in_features": 3, "out_features": 8, "data_dim": 2, "patch_size": 2},
        {"type": "unpatchify", "in_features": 8, "out_features": 3, "data_dim": 1, "patch_size": 4},
        {"type": "conv3d", "in_channels": 3, "out_channels": 4, "kernel_size": 3},
        {"type": "kernel_film_generator", "cond_dim": 4, "kernel_hidden_dim": 8, "num_film_layers": 2},
        {"type": "siren_kernel_nd", "data_dim": 2, "out_dim": 6, "mlp_hidden_dim": 8, "num_layers": 3}
        | {"embedding_dim": 8, "omega_0": 10.0, "L_cache": 5, "use_bias": True, "hidden_omega_0": 1.0},
        {"type": "s4d_sequence_mixer", "in_features": 6, "state_dim": 8, "input": {"shape": [9, 6]}},
    ],
    ids=lambda config: config["type"],
)
def test_products_are_those_of_torchs_flop_counter(config: dict) -> None:
    """Where it is right: with one group, and without attention."""
    if config["type"] == "conv3d":
        config = {**config, "input": {"shape": [3, 5, 5, 5]}}
    elif config["type"] in ("patchify", "unpatchify"):
        config = {**config, "input": {"shape": [*[8] * config["data_dim"], config["in_features"]]}}
    plan, counter = registry.load(config), FlopCounterMode(display=False)
    _train(plan, 3, counter, input_grad=True)
    assert registry.cost(plan, 3, "train", convention="matmul").flops == counter.get_total_flops()


def test_a_component_without_a_rule_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = registry.load("ccnn_classifier")
    schema = registry.get("gelu").schema

    def bare(config, tape, x):
        tape.transcendental(x.size)
        return x

    monkeypatch.setattr(schema, "forward", bare)
    plan = registry.load({"type": "gelu", "input": {"shape": [3]}})
    assert registry.cost(plan).flops == 3
    with pytest.raises(CostUnknown, match="backward pass, got none for gelu"):
        registry.cost(plan, mode="train")


def test_kernels_are_not_cached_while_training() -> None:
    with pytest.raises(ValueError, match="Expected cached_kernels only with mode forward, got train"):
        registry.cost(registry.load("vit5_hybrid"), mode="train", cached_kernels=True)


def test_published_figures_are_of_the_forward_pass() -> None:
    plan = registry.load("vit5_hybrid")
    found = [registry.cost(plan, mode=mode, convention="nvsubquadratic").flops for mode in ("forward", "train")]
    assert found[0] == found[1]


def test_the_tree_adds_up() -> None:
    """A node holds its own operations and those of its children, forward and backward."""
    root = registry.cost(registry.load("vit5_hybrid"), mode="train").root
    for node in root.walk():
        own = Counter[str]()
        for record in node.records:
            own.update(record.counts)
        for child in node.children:
            own.update(child.counts)
        assert own == Counter(node.counts), node.path
