"""Random variations of every preset cost what they really cost: parameters, shapes and operations of every kind.

The judges are the built module itself, `tests.tracer` for operations, forward and backward, `tests.autograd` for the
bytes that the backward pass keeps, and torch's own FlopCounterMode for products. There is no tolerance. A failure is
reported as the shortest command line that shows it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import registry
from registry.errors import InvalidConfig
from registry.plan import Plan
from registry.sources import presets
from registry.tape import KINDS
from tests.autograd import saved_bytes
from tests.harness import arguments, parameter_shapes, plain, shapes_of
from tests.tracer import FlopTracer
from tests.variations import Variation, draw, smallest

PER_PRESET, CHUNKS, NIGHTLY_CHUNKS = 10, 2, 10
"""Draws per preset, cut into chunks: 20 presets make 200 draws; nightly as many ten times more."""
KEPT_PER_PRESET = 3
"""Draws per preset whose saved bytes are compared; nightly ten times as many."""


Judge = Callable[[Variation], list[str]]
"""Tells what is wrong with a network."""


def differences(variation: Variation) -> list[str]:
    """Where the plan and the module differ; empty for a network that costs what the plan says."""
    plan = variation.plan()
    module = registry.build(plan, device="meta").eval()
    found = []

    def same(what: str, predicted: object, real: object) -> None:
        if predicted != real:
            found.append(f"{what}: predicted {predicted}, really {real}")

    same("shapes of parameters", parameter_shapes(plan.root), {n: tuple(p.shape) for n, p in module.named_parameters()})
    same("parameters", plan.params, sum(p.numel() for p in module.parameters()))
    record, backward = plan.record(variation.batch), _backward(plan, variation)
    assert record is not None
    forward, both, shape = _traced(plan, module, variation)
    same("shape of the output", plain(record.output), shape)
    same("forward", _counted(Counter(record.total)), forward)
    same("forward and backward", _counted(Counter(record.total) + backward), both)
    products = registry.cost(plan, variation.batch, convention="matmul").flops
    same("products", products, _products(plan, module, variation))
    return found


def kept_differences(variation: Variation) -> list[str]:
    """Whether the plan and autograd differ about the bytes that are kept for the backward pass."""
    plan = variation.plan()
    record = plan.memory_record(variation.batch, input_grad=variation.input_grad)
    assert record is not None
    predicted = record.total.get("saved", 0)
    real = saved_bytes(plan, variation.batch, input_grad=variation.input_grad)
    return [] if predicted == real else [f"saved bytes: predicted {predicted}, really {real}"]


def _backward(plan: Plan, variation: Variation) -> Counter[str]:
    record = plan.backward_record(variation.batch, input_grad=variation.input_grad)
    assert record is not None
    return Counter(record.total)


def _counted(counts: Counter[str]) -> dict[str, int]:
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


def _traced(plan: Plan, module: torch.nn.Module, variation: Variation) -> tuple[dict[str, int], dict[str, int], object]:
    """Operations of a forward pass, of it and a backward pass, and the shape of the output."""
    args, kwargs = arguments(plan, variation.batch, "meta")
    for tensor in _tensors((args, kwargs)):
        tensor.requires_grad_(variation.input_grad)
    with FlopTracer() as tracer:
        output = module(*args, **kwargs)
        forward = _counted(Counter(tracer.counts))
        outputs = [tensor for tensor in _tensors(output) if tensor.requires_grad]
        if outputs:
            torch.autograd.backward(outputs, [torch.empty_like(tensor) for tensor in outputs])
    return forward, _counted(Counter(tracer.counts)), shapes_of(output)


def _products(plan: Plan, module: torch.nn.Module, variation: Variation) -> int:
    """What FlopCounterMode counts."""
    args, kwargs = arguments(plan, variation.batch, "meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*args, **kwargs)
    return int(counter.get_total_flops())


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, tuple, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _verdict(variation: Variation, judge: Judge) -> list[str]:
    """What is wrong with an accepted network; that torch cannot build or run it is wrong, too."""
    try:
        return judge(variation)
    except InvalidConfig:
        raise
    except Exception as error:
        return [f"accepted, but {type(error).__name__}: {error}"]


def _judge(seed: str, preset: str, draws: int, judge: Judge) -> None:
    rng, tried, kept = random.Random(f"{seed}-{preset}"), 0, 0
    for _ in range(draws):
        variation = draw(rng, preset)
        tried, kept = tried + variation.tried, kept + variation.kept
        if _verdict(variation, judge):
            least = smallest(variation, lambda candidate: bool(_verdict(candidate, judge)))
            pytest.fail("\n".join([str(least), *_verdict(least, judge)]), pytrace=False)
    assert kept >= 0.3 * tried, f"the rules accept {kept} of {tried} changes"


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("preset", presets())
def test_variations(preset: str, chunk: int) -> None:
    _judge(f"{chunk}", preset, PER_PRESET // CHUNKS, differences)


@pytest.mark.parametrize("preset", presets())
def test_saved_bytes_of_variations(preset: str) -> None:
    _judge("kept", preset, KEPT_PER_PRESET, kept_differences)


@pytest.mark.nightly
@pytest.mark.parametrize("chunk", range(NIGHTLY_CHUNKS))
@pytest.mark.parametrize("preset", presets())
def test_many_variations(preset: str, chunk: int) -> None:
    _judge(f"nightly-{chunk}", preset, PER_PRESET, differences)
    _judge(f"nightly-kept-{chunk}", preset, KEPT_PER_PRESET, kept_differences)


def test_a_failure_is_told_by_the_shortest_command() -> None:
    """Overrides that do not matter are left out, and so are those that only others needed."""
    heads = "layer_types.A.sequence_mixer.num_heads=4"
    extra = ("num_classes=3", "readout=gap", "hidden_dim=32", heads, "readout=cls")

    def narrow(variation: Variation) -> bool:
        return variation.plan().params < 1_000_000

    found = smallest(Variation("vit5_full_attention", extra), narrow)
    assert found.overrides == ("hidden_dim=32", heads)
    assert str(found) == f"arch flops vit5_full_attention --batch 2 --set hidden_dim=32 --set {heads}"


def _pads(mode: str) -> str:
    conv = {"type": "conv2d", "kernel_size": 5, "dilation": 4, "padding": "same", "padding_mode": mode}
    return json.dumps(conv)


_GENOMICS = "block.sequence_mixer.mixer.global_conv"
_HYENA = "layer_types.H.sequence_mixer.inner_mixer.mixer"
FOUND = (
    # A projection of a condition that no block looks at has no gradient.
    Variation("s4d_classifier", ("input.condition=[128]", "condition_in_proj=linear")),
    # A causal kernel is cut to the taps that it uses before it is cut into chunks.
    Variation("hyena_genomics", ("hidden_dim=264", "num_blocks=1", f"{_GENOMICS}.use_chunked_fftconv=true")),
    # torch pads no axis circularly by more than its extent, nor by reflection by all of it.
    Variation("vit5_full_hyena", ("image_size=32", f"{_HYENA}.short_conv={_pads('circular')}")),
    Variation("vit5_full_hyena", ("image_size=32", f"{_HYENA}.short_conv={_pads('reflect')}")),
)
"""Variations with which something was wrong once."""


_GROUPS = '={"type": "group_norm", "num_groups": 2}'
_MIRRORED = '={"type": "conv2d", "kernel_size": 1, "padding": 0, "padding_mode": "reflect"}'
_CIRCULAR = (f"{_HYENA}.global_conv.fft_padding=circular", f"{_HYENA}.global_conv.grid_type=single")
KEPT_FOUND = (
    # A group norm keeps a copy of what is not dense.
    Variation("vit5_full_attention", ("layer_pattern=A", "num_blocks=1", f"norm{_GROUPS}")),
    *(
        Variation(name, ("num_blocks=1", f"block.sequence_mixer.mixer.qk_norm{_GROUPS}"))
        for name in ("hyena_genomics", "ccnn_classifier", "hyena_pde_3d")
    ),
    # What comes out of padding by reflection is dense, even if no padding is added.
    Variation(
        "vit5_hybrid_ha",
        ("num_blocks=2", "layer_pattern=HA", f"{_HYENA}.short_conv{_MIRRORED}")
        + (f"{_HYENA}.pixelhyena_norm=identity", *_CIRCULAR),
    ),
)
"""Variations whose saved bytes were wrong once."""


@pytest.mark.parametrize("variation", KEPT_FOUND, ids=str)
def test_saved_bytes_that_were_wrong_once(variation: Variation) -> None:
    assert not kept_differences(variation)


@pytest.mark.parametrize("variation", FOUND, ids=str)
def test_what_was_wrong_once(variation: Variation) -> None:
    """Is refused now, or costs what it really costs."""
    try:
        found = _verdict(variation, differences)
    except InvalidConfig:
        return
    assert not found


def test_layer_types_that_no_block_uses_are_left_alone() -> None:
    """Whatever their extents would be."""
    registry.load("vit5_full_attention", [f"{_HYENA}.global_conv.grid_type=single"])
