"""Optimizer state: equal, to the byte and by name, to what torch's optimizers hold after one step.

Those that torch does not have are held to figures written out by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

import pytest
import torch
from torch import nn, optim
from torch.optim import Optimizer

import registry
from registry.cost import DTYPE_BYTES
from registry.optimizers import OPTIMIZERS, state_bytes

Make = Callable[..., list[Optimizer]]
Shapes = list[tuple[int, ...]]

ODD: Shapes = [
    *[(), (), (1,), (7,), (7,), (1, 1), (3, 5), (5, 3), (3, 5), (1, 9), (9, 1)],
    *[(2, 3, 5), (1, 1, 4), (4, 1, 1), (2, 3, 4, 5), (1, 3, 1, 7), (2, 1, 2, 1, 3), (64, 65)],
]
SMALL_NETS = {
    "hyena_pde_3d": [],
    "s4d_classifier": ["num_blocks=1"],
    "vit5_hybrid": ["num_blocks=2", "layer_pattern=HA", "hidden_dim=48", "num_classes=10"],
}


def one(kind: str, **options: object) -> Make:
    """One optimizer of torch for all parameters."""
    return lambda parameters, **path: [getattr(optim, kind)(parameters, lr=1e-3, **options, **path)]


def muon(parameters: Sequence[nn.Parameter]) -> list[Optimizer]:
    """Muon for matrices, AdamW for all others."""
    if not hasattr(optim, "Muon"):
        pytest.skip("torch.optim.Muon came with torch 2.9")
    matrices = [parameter for parameter in parameters if parameter.ndim == 2]
    others = [parameter for parameter in parameters if parameter.ndim != 2]
    return [kind(some) for kind, some in ((optim.Muon, matrices), (optim.AdamW, others)) if some]


TORCH: dict[str, Make] = {
    "none": lambda parameters: [],
    "sgd": one("SGD"),
    "sgd_momentum": one("SGD", momentum=0.9),
    "adam": one("Adam"),
    "adamw": one("AdamW"),
    "adamw_amsgrad": one("AdamW", amsgrad=True),
    "adamax": one("Adamax"),
    "nadam": one("NAdam"),
    "radam": one("RAdam"),
    "rmsprop": one("RMSprop"),
    "rmsprop_momentum": one("RMSprop", momentum=0.9),
    "rmsprop_centered": one("RMSprop", momentum=0.9, centered=True),
    "adagrad": one("Adagrad"),
    "adadelta": one("Adadelta"),
    "rprop": one("Rprop"),
    "asgd": one("ASGD"),
    "adafactor": one("Adafactor"),
    "muon": muon,
}
"""Name -> the optimizers of torch it stands for."""
READS_VALUES = ("rprop", "asgd", "adafactor")
"""Those that cannot step on the meta device, because they look at values."""
FUSED = ("sgd", "sgd_momentum", "adam", "adamw", "adamw_amsgrad", "adagrad")
"""Those that have a fused kernel on the CPU."""
BY_HAND: dict[str, list[tuple[Shapes, int, dict[str, int]]]] = {
    # One momentum in the type of the parameter: 15 + 1 + 4 elements.
    "lion": [
        ([(3, 5), (), (4,)], 4, {"exp_avg": 80}),
        ([(3, 5), (), (4,)], 2, {"exp_avg": 40}),
    ],
    "lamb": [
        ([(3, 5), (), (4,)], 4, {"exp_avg": 80, "exp_avg_sq": 80}),
        ([(3, 5), (), (4,)], 8, {"exp_avg": 160, "exp_avg_sq": 160}),
    ],
    "adamw8bit": [
        # 4,095 elements: one too few, float32 whatever the parameter is.
        ([(4095,)], 2, {"state1": 16380, "state2": 16380}),
        # 4,096 elements: 16 blocks of 256, and the two tables of 256 float32.
        ([(64, 64)], 2, {"state1": 4096, "state2": 4096, "absmax1": 64, "absmax2": 64, "qmap1": 1024, "qmap2": 1024}),
        # One element more is one block more.
        ([(17, 241)], 4, {"state1": 4097, "state2": 4097, "absmax1": 68, "absmax2": 68, "qmap1": 1024, "qmap2": 1024}),
        # Two large ones share the tables; 10 small elements are 40 bytes: 4,096 + 5,000 + 40, 4 x (16 + 20).
        (
            [(4096,), (5000,), (10,)],
            4,
            {"state1": 9136, "state2": 9136, "absmax1": 144, "absmax2": 144, "qmap1": 1024, "qmap2": 1024},
        ),
    ],
}


def held(optimizers: Iterable[Optimizer]) -> dict[str, int]:
    """Bytes of the tensors in the state of `optimizers`, by name."""
    found: Counter[str] = Counter()
    for optimizer in optimizers:
        for state in optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    found[name] += value.numel() * value.element_size()
    return dict(found)


def stepped(make: Make, parameters: Sequence[nn.Parameter]) -> dict[str, int]:
    """Bytes of state after one step in which every parameter has a gradient."""
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizers = make(parameters)
    for optimizer in optimizers:
        optimizer.step()
    return held(optimizers)


def tensors(shapes: Shapes, dtype: torch.dtype) -> list[nn.Parameter]:
    """Parameters of ones."""
    return [nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]


@lru_cache
def net(preset: str, device: str) -> tuple[Shapes, tuple[nn.Parameter, ...]]:
    """Shapes of the parameters by the plan, without torch; and the parameters of the module."""
    overrides = SMALL_NETS[preset] if device == "cpu" else []
    plan = registry.load(preset, overrides)
    shapes = [shape for node in plan.tree().walk() for shape in node.config.parameters().values()]
    return shapes, tuple(registry.build(plan, device=device).parameters())


# ---- the judge: torch -------------------------------------------------------------------------------------------


def test_every_optimizer_is_judged_once() -> None:
    assert sorted([*TORCH, *BY_HAND]) == sorted(OPTIMIZERS)


@pytest.mark.parametrize("dtype", DTYPE_BYTES)
@pytest.mark.parametrize("name", TORCH)
def test_odd_shapes(name: str, dtype: str) -> None:
    found = stepped(TORCH[name], tensors(ODD, getattr(torch, dtype)))
    assert state_bytes(name, ODD, DTYPE_BYTES[dtype]) == found


@pytest.mark.parametrize("shape", sorted(set(ODD)), ids=str)
@pytest.mark.parametrize("name", TORCH)
def test_one_parameter(name: str, shape: tuple[int, ...]) -> None:
    assert state_bytes(name, [shape], 4) == stepped(TORCH[name], tensors([shape], torch.float32))


@pytest.mark.parametrize("preset", SMALL_NETS)
@pytest.mark.parametrize("name", TORCH)
def test_small_networks(name: str, preset: str) -> None:
    shapes, parameters = net(preset, "cpu")
    assert state_bytes(name, shapes, 4) == stepped(TORCH[name], parameters)


@pytest.mark.parametrize("preset", ["vit5_hybrid", "s4_classifier"])
@pytest.mark.parametrize("name", [name for name in TORCH if name not in READS_VALUES])
def test_whole_networks(name: str, preset: str) -> None:
    shapes, parameters = net(preset, "meta")
    assert state_bytes(name, shapes, 4) == stepped(TORCH[name], parameters)


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, "foreach") for name in TORCH if name not in ("none", "muon")] + [(name, "fused") for name in FUSED],
)
def test_every_path_keeps_the_same(name: str, path: str) -> None:
    found = stepped(partial(TORCH[name], **{path: True}), tensors(ODD, torch.bfloat16))
    assert state_bytes(name, ODD, 2) == found


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", TORCH)
def test_master_copies(name: str, dtype: str) -> None:
    copies = [nn.Parameter(half.detach().float()) for half in tensors(ODD, getattr(torch, dtype))]
    master = sum(copy.numel() * copy.element_size() for copy in copies)
    found = {"master": master, **stepped(TORCH[name], copies)}
    assert state_bytes(name, ODD, DTYPE_BYTES[dtype], master=True) == found


# ---- those that torch does not have -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shapes", "width", "expected"),
    [(name, *case) for name, cases in BY_HAND.items() for case in cases],
)
def test_figures_written_by_hand(name: str, shapes: Shapes, width: int, expected: dict[str, int]) -> None:
    assert state_bytes(name, shapes, width) == expected


# ---- the function -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_order_and_grouping_of_parameters_do_not_matter(name: str) -> None:
    found = state_bytes(name, ODD, 4)
    assert state_bytes(name, Counter(ODD), 4) == state_bytes(name, reversed(ODD), 4) == found
    assert state_bytes(name, Counter(ODD * 3), 4) == state_bytes(name, ODD * 3, 4)
    assert state_bytes(name, [], 4) == {}


@pytest.mark.parametrize("width", [4, 8])
def test_full_precision_needs_no_copy(width: int) -> None:
    assert state_bytes("adamw", ODD, width, master=True) == state_bytes("adamw", ODD, width)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_says_where_it_is_from(name: str) -> None:
    source = OPTIMIZERS[name].source
    assert source
    assert ("torch.optim." in source) == (name in TORCH and name != "none")


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=r"Expected optimizer to be one of none, sgd, .*, got 'adam_w'; .*\badamw\b"):
        state_bytes("adam_w", ODD, 4)
    with pytest.raises(ValueError, match=r"got 'zzz'$"):
        state_bytes("zzz", ODD, 4)
