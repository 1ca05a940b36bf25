"""State spaces: what autograd keeps of their kernels, convolutions and layers, and what their recurrences carry.

The judge of kept bytes is `tests.autograd`, that of states the module's own `default_state`.
"""

from __future__ import annotations

import importlib
import itertools
import random
from typing import Any

import pytest
import torch

import registry
from registry.cases import Case
from registry.errors import CostUnknown
from registry.memory import MemoryTape
from registry.plan import Plan
from registry.shapes import Shape
from tests.autograd import saved_bytes

NAMES = ("s4_kernel", "s4", "s4d_kernel", "s4d", "s4d_sequence_mixer")
PRESETS = ("s4_classifier", "s4d_classifier", "s4d_attention_language")
DRAWS = 30
DTYPES = {2: torch.bfloat16, 4: torch.float32, 8: torch.float64}
SMALL: dict[str, Any] = {"d_model": 3, "d_state": 4, "init": "diag-lin"}


def cases(name: str) -> Any:
    """The module of cases of a component."""
    return importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))


def valid() -> list[Any]:
    """Every case of every component, by its name."""
    return [
        pytest.param(case, id=f"{name}-{i}")
        for name in NAMES
        for i, case in enumerate(c for c in cases(name).CASES if registry.get(c.config["type"]).name == name)
    ]


def check(plan: Plan, batch: int, input_grad: bool, width: int = 4) -> None:
    """Saved bytes are predicted; all that is kept was read or written before."""
    record = plan.memory_record(batch, width=width, input_grad=input_grad)
    assert record is not None
    assert record.total["saved"] == saved_bytes(plan, batch, input_grad=input_grad, dtype=DTYPES[width])
    assert record.total["moved"] > record.total["saved"]


@pytest.mark.parametrize("case", valid())
def test_every_case(case: Case) -> None:
    plan = registry.load(case.document)
    if plan.spec is not None:
        check(plan, 2, input_grad=True)
        check(plan, 1, input_grad=False)


@pytest.mark.parametrize("name", NAMES)
def test_random_configs(name: str) -> None:
    """In half, single and double precision: systems are of double precision all the same."""
    rng = random.Random(f"state-space-memory-{name}")
    for _ in range(DRAWS):
        plan = registry.load(cases(name).DRAW[name](rng).document)
        check(plan, rng.randint(1, 3), rng.random() < 0.5, rng.choice([2, 4, 8]))


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str) -> None:
    check(registry.load(name), 3, input_grad=False)


@pytest.mark.parametrize("width", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (3, 1), (2, 3, 5), (1, 3, 5)], ids=str)
def test_transposed_layers_copy_what_they_project(shape: tuple[int, ...], width: int) -> None:
    """Several transposed sequences are no matrix of rows; one sequence, or one sample of each, is."""
    for batch, gate in itertools.product((1, 2), (1, 2)):
        plan = registry.load(
            {"type": "s4d", **SMALL, "transposed": True, "gate": gate, "input": {"shape": list(shape)}}
        )
        check(plan, batch, input_grad=True, width=width)


@pytest.mark.parametrize("length", [1, 2, 4, 5])
@pytest.mark.parametrize(
    "options",
    [
        {"disc": "bilinear"},
        {"disc": "bilinear", "bandlimit": 0.5, "dt_tie": False},
        {"disc": "zoh", "bandlimit": 0.5},
        {"disc": "dss", "l_max": 5, "n_ssm": 1},
    ],
    ids=str,
)
def test_short_kernels(options: dict[str, Any], length: int) -> None:
    """A kernel of one sample does not need A; a band limit compares what needs no gradient."""
    plan = registry.load({"type": "s4d_kernel", **SMALL, **options, "input": {"shape": [length]}})
    for width in DTYPES:
        check(plan, 1, input_grad=False, width=width)


@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_say_what_they_keep(name: str) -> None:
    """Nor are they taken to keep nothing."""
    sizes = {"in_features": 3, "state_dim": 4} if name == "s4d_sequence_mixer" else SMALL
    config: Any = registry.load({"type": name, **sizes}).root
    tape, state = MemoryTape(), config.state_shape(Shape((2,)))
    first = 5 if name.endswith("kernel") else tape.feed(Shape((2, 5, 3)), needs_grad=True)
    with pytest.raises(CostUnknown, match="what it keeps for its backward pass, got none for s4"):
        tape.call(config, first, tape.feed(state, needs_grad=False))


@pytest.mark.parametrize("name", NAMES)
def test_states(name: str) -> None:
    """Of every case: the bytes of `default_state`, and none where the layer refuses to have one."""
    for case in cases(name).CASES:
        plan = registry.load(case.document)
        config: Any = plan.root
        for width, dtype in DTYPES.items():
            module = registry.build(plan, device="meta").to(dtype)
            if getattr(module, "bidirectional", False):
                assert config.state() == {}
                assert config.state_bytes(3, width=width) == 0
            else:
                state = module.default_state(3)
                assert config.state() == {"state": tuple(state.shape[1:])}
                assert config.state_bytes(3, width=width) == state.nbytes
