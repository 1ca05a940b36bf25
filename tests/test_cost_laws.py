"""Laws of the counts: what must hold of any network, whatever its numbers are. No torch.

Every law is checked on every preset and on random variations of it (`tests.variations`). That the numbers are right at
all is the matter of `test_contract`, `test_train` and `test_random_networks`.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pytest

import registry
from registry.breakdown import By, breakdown
from registry.cost import CONVENTIONS, DTYPE_BYTES, Cost, Counting
from registry.errors import CostUnknown, InvalidConfig
from registry.plan import Node, Plan
from registry.reader import parse_value
from registry.sources import presets
from registry.sweep import Base, override
from registry.tape import KINDS, Record, nominal_fft
from tests.variations import Place, Variation, draw, places, tree_of

DRAWS, NIGHTLY_DRAWS = 2, 20
WAYS: tuple[Counting, ...] = (
    {},
    {"mode": "train"},
    {"cached_kernels": True},
    {"convention": "mac", "mode": "train"},
    {"convention": "complex-fft"},
)
"""Ways to cost a network."""

Case = tuple[str, str, int]
"""Preset, seed and number of variations of it."""
CASES: list[Any] = [
    *(pytest.param((name, "law", DRAWS), id=name) for name in presets()),
    *(pytest.param((name, "many", NIGHTLY_DRAWS), id=f"{name}-many", marks=pytest.mark.nightly) for name in presets()),
]
each_preset = pytest.mark.parametrize("case", CASES)


@cache
def variations(case: Case) -> tuple[Variation, ...]:
    """The preset itself, and random variations of it."""
    preset, seed, count = case
    rng = random.Random(f"{seed}-{preset}")
    return (Variation(preset, ()), *(draw(rng, preset) for _ in range(count)))


@cache
def plans(case: Case) -> tuple[tuple[Variation, Plan], ...]:
    """Each with its plan."""
    return tuple((variation, variation.plan()) for variation in variations(case))


def kinds(plan: Plan, batch: int = 1, **options: Any) -> Counter[str]:
    """Operations by kind."""
    return Counter(registry.cost(plan, batch, **options).kinds)


def nowhere_more(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether `one` has at most as many operations of every kind as `other`."""
    return all(count <= other.get(kind, 0) for kind, count in one.items())


# ---- sums ---------------------------------------------------------------------------------------------------------


@each_preset
def test_a_tree_adds_up(case: Case) -> None:
    """At every node, for every kind: its own operations and those of its children; so for parameters and figures."""
    for variation, plan in plans(case):
        for way in WAYS:
            found = registry.cost(plan, 2, **way)
            for node in found.root.walk():
                _adds_up(found, node, str(variation))
            assert dict(found.root.counts) == found.kinds


def _adds_up(found: Cost, node: Node, says: str) -> None:
    own = Counter[str]()
    for record in node.records:
        own.update(record.counts)
    below = Counter[str]()
    for child in node.children:
        below.update(child.counts)
    assert own + below == +Counter(node.counts), (node.path, says)
    figures = found.project(own), *(found.project(child.counts) for child in node.children)
    assert sum(figures) == found.project(node.counts), (node.path, says)
    parameters = sum(_size(shape) for shape in node.config.parameters().values())
    assert parameters + sum(child.params for child in node.children) == node.params, (node.path, says)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


@each_preset
@pytest.mark.parametrize("by", ["path", "component", "kind"])
def test_a_breakdown_adds_up(case: Case, by: By) -> None:
    """By path, component or kind, cut at any depth."""
    for variation, plan in plans(case):
        for way in WAYS:
            found = registry.cost(plan, 2, **way)
            for depth in (None, 0, 1, 3):
                shares = breakdown(found, by, depth)
                assert sum(share.flops for share in shares) == found.flops, (str(variation), depth)
                if by != "kind":
                    assert sum(share.params or 0 for share in shares) == found.params, (str(variation), depth)
                if (found.convention, found.unit) == ("all", "flop"):  # else shares of nothing are left out
                    total = Counter[str]()
                    for share in shares:
                        total.update(share.kinds)
                    assert +total == +Counter(found.kinds), (str(variation), depth)


@each_preset
def test_a_tree_of_any_depth_has_the_same_root(case: Case) -> None:
    for _, plan in plans(case):
        found = registry.cost(plan, 2, "train")
        whole = found.tree()
        for depth in range(6):
            cut = found.tree(depth)
            assert {**cut, "children": []} == {**whole, "children": []}
            assert _levels(cut) <= depth


def _levels(row: Mapping[str, Any]) -> int:
    return max((1 + _levels(child) for child in row["children"]), default=0)


@each_preset
def test_transforms_are_counted_once(case: Case) -> None:
    """The FLOPs of transforms are those of the transforms by length."""
    for _, plan in plans(case):
        for record in _records(plan):
            lines = sum(number * nominal_fft(*transform) for transform, number in record.ffts.items())
            assert lines == record.counts.get("fft", 0)


def _records(plan: Plan) -> Iterator[Record]:
    return _all([plan.record(2), plan.record(2, cached_kernels=True), plan.backward_record(2)])


def _all(records: Sequence[Record | None]) -> Iterator[Record]:
    """These calls and all that they made, as often as they were made."""
    pending = list(records)
    while pending:
        record = pending.pop()
        assert record is not None
        yield record
        pending += [call for _, call in record.calls]


# ---- blocks -------------------------------------------------------------------------------------------------------


def repeated(variation: Variation, count: int) -> Variation:
    """The network with `count` blocks, all like its first one."""
    pattern = tree_of(variation.preset, variation.overrides)["network"].get("layer_pattern")
    blocks = [override("num_blocks", count)]
    if pattern:
        blocks.append(override("layer_pattern", pattern[0] * count))
    return Variation(variation.preset, (*variation.overrides, *blocks))


@each_preset
@pytest.mark.parametrize("mode", ["forward", "train"])
def test_equal_blocks_cost_the_same(case: Case, mode: str) -> None:
    """n blocks cost base + n x block, for every kind, and have as many parameters; twelve are twelve times one."""
    for variation in variations(case):
        found = {count: _with_parameters(repeated(variation, count).plan(), mode) for count in (1, 2, 3, 12)}
        block = _minus(found[2], found[1])
        assert all(count >= 0 for count in block.values()), str(variation)
        base = _minus(found[1], block)
        for count, cost in found.items():
            assert cost == _plus(base, block, count), (str(variation), count)


def _with_parameters(plan: Plan, mode: Any) -> dict[str, int]:
    return {"params": plan.params, **dict.fromkeys(KINDS, 0), **registry.cost(plan, 3, mode).kinds}


def _minus(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {kind: count - other[kind] for kind, count in one.items()}


def _plus(base: Mapping[str, int], part: Mapping[str, int], times: int) -> dict[str, int]:
    return {kind: count + times * part[kind] for kind, count in base.items()}


@pytest.mark.parametrize("name", ["vit5_hybrid", "vit5_hybrid_ha_film", "s4d_attention_language"])
def test_the_order_of_blocks_costs_nothing(name: str) -> None:
    """Forward, a pattern costs what its letters cost."""
    first, second = sorted(set(tree_of(name)["network"]["layer_pattern"]))

    def cost(pattern: str) -> Counter[str]:
        return kinds(registry.load(name, [f"layer_pattern={pattern}", f"num_blocks={len(pattern)}"]))

    one, other, both = cost(first), cost(second), cost(first + second)
    assert both == cost(second + first)
    base = _minus(one + other, both)
    assert all(count >= 0 for count in base.values())
    letters = {first: _minus(one, base), second: _minus(other, base)}
    for pattern in (first * 2 + second, second + first * 3 + second, first + second * 4):
        expected = Counter(base)
        for letter in pattern:
            expected.update(letters[letter])
        assert +expected == cost(pattern)


# ---- batch, cached kernels ----------------------------------------------------------------------------------------


def _lines(plan: Plan, **options: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Fixed part and part per sample of every kind, checked to be all there is."""
    full = {batch: _every_kind(plan, batch, **options) for batch in (1, 2, 3, 64, 10**15 + 1)}
    sample = _minus(full[2], full[1])
    fixed = _minus(full[1], sample)
    for batch, found in full.items():
        assert found == _plus(fixed, sample, batch), batch
    return fixed, sample


def _every_kind(plan: Plan, batch: int, **options: Any) -> dict[str, int]:
    return {**dict.fromkeys(KINDS, 0), **registry.cost(plan, batch, **options).kinds}


@each_preset
def test_costs_are_linear_in_the_batch(case: Case) -> None:
    """For every kind and to the last digit: a fixed part, which generates kernels, and as much for each sample."""
    for variation, plan in plans(case):
        fixed, sample = _lines(plan)
        assert all(count >= 0 for count in (*fixed.values(), *sample.values())), str(variation)
        _lines(plan, mode="train")
        cached, cached_sample = _lines(plan, cached_kernels=True)
        assert cached_sample == sample, str(variation)
        if not _conditioned(plan) and not _compares_samples(plan):
            assert not any(cached.values()), str(variation)  # nothing but kernels is shared by the samples
        if not _generates(plan) and not _compares_samples(plan):
            assert not any(fixed.values()), str(variation)


def _conditioned(plan: Plan) -> bool:
    """Whether a kernel depends on the input."""
    return any(node.kind == "film" for node in plan.tree().walk())


def _generates(plan: Plan) -> bool:
    """Whether some convolution generates its kernel."""
    return any(node.kind == "global_conv" or node.type.startswith("s4") for node in plan.tree().walk())


def _compares_samples(plan: Plan) -> bool:
    """Whether a norm runs along the batch, which takes one operation per channel whatever the batch is."""
    norms = (node for node in plan.tree().walk() if node.type == "l2_norm" and node.input_shape)
    return any(node.config.dim in (0, -len(node.input_shape)) for node in norms)  # type: ignore[attr-defined]


@each_preset
def test_cached_kernels_cost_less(case: Case) -> None:
    """Of no kind more, and nothing less in a network without kernels."""
    for variation, plan in plans(case):
        full, cached = kinds(plan, 2), kinds(plan, 2, cached_kernels=True)
        assert nowhere_more(cached, full), str(variation)
        if not _generates(plan):
            assert cached == full, str(variation)
        elif not _conditioned(plan):
            assert cached["fft"] < full["fft"], str(variation)


# ---- forward and backward -----------------------------------------------------------------------------------------


@each_preset
def test_the_backward_pass_only_adds(case: Case) -> None:
    for variation, plan in plans(case):
        assert nowhere_more(kinds(plan, 2), kinds(plan, 2, mode="train")), str(variation)
        for record in _records(plan):
            assert all(count > 0 for count in record.counts.values()), (record.config.entry.name, str(variation))


@pytest.mark.parametrize("name", presets())
def test_products_have_at_most_two_gradients(name: str) -> None:
    """Every product and convolution of a preset is met once or twice on the way back, every transform once."""
    plan = registry.load(name)
    forward, both = kinds(plan, 2), kinds(plan, 2, mode="train")
    for kind in ("matmul", "conv"):
        assert 2 * forward[kind] <= both[kind] <= 3 * forward[kind]
    assert both["fft"] == 2 * forward["fft"]
    assert both["bias"] == forward["bias"]


# ---- growth -------------------------------------------------------------------------------------------------------

GROWING = {
    "compressed_dim", "d_state", "embedding_dim", "expansion_factor", "film_hidden_dim", "hidden_dim",
    "mlp_hidden_dim", "num_classes", "num_layers", "out_channels", "rank", "state_dim",
}  # fmt: skip
"""Fields that make a network larger."""


def _doublings(variation: Variation) -> Iterator[tuple[str, Variation]]:
    """The network with one size doubled; whatever depends on it is not adapted, so that some are refused."""
    tree = tree_of(variation.preset, variation.overrides)
    network, condition = tree["network"], tree.get("input", {}).get("condition")
    for place in places(tree):
        for field in sorted(GROWING & place.config.keys()):
            if place.config[field] is not None and not (field == "hidden_dim" and place.owner):
                doubled = {f"{place.path}.{field}": 2 * place.config[field]}
                yield field, _more(variation, doubled | _along(place, field, condition))
    if "image_size" in network:
        yield "tokens", _more(variation, {"image_size": 2 * network["image_size"]})
        yield "tokens", _more(variation, {"num_registers": 4 * network["num_registers"]})
    for axis, extent in enumerate(tree.get("input", {}).get("shape", [])[:-1]):
        yield "tokens", _more(variation, {f"input.shape.{axis}": 2 * extent})
    count = network["num_blocks"] if "num_blocks" in network else len(network["layer_pattern"])
    pattern = {"layer_pattern": 2 * network["layer_pattern"]} if network.get("layer_pattern") else {}
    yield "blocks", _more(variation, {"num_blocks": 2 * count, **pattern})


def _along(place: Place, field: str, condition: list[int] | None) -> dict[str, Any]:
    """What grows with a field: the condition with the width, and the layers that FiLM modulates with the embedding."""
    if not place.owner and field == "hidden_dim" and condition:
        return {"input.condition": [*condition[:-1], 2 * condition[-1]]}
    if field in ("mlp_hidden_dim", "embedding_dim") and place.config.get("film_after_pos_embed"):
        both = 2 * place.config["mlp_hidden_dim"]
        return {f"{place.path}.{name}": both for name in ("mlp_hidden_dim", "embedding_dim")}
    return {}


def _more(variation: Variation, values: Mapping[str, Any]) -> Variation:
    written = (override(key, value) for key, value in values.items())
    return Variation(variation.preset, (*variation.overrides, *written))


@each_preset
def test_larger_networks_cost_more(case: Case) -> None:
    """Twice the width, tokens, depth or blocks: of no kind fewer operations, forward or backward, nor parameters."""
    tried, accepted = 0, Counter[str]()
    for variation, plan in plans(case):
        before = [kinds(plan, 2, mode=mode) for mode in ("forward", "train")]
        for size, larger in _doublings(variation):
            tried += 1
            try:
                grown = larger.plan()
            except InvalidConfig:
                continue
            accepted[size] += 1
            assert plan.params <= grown.params, str(larger)
            for mode, small in zip(("forward", "train"), before, strict=True):
                large = kinds(grown, 2, mode=mode)
                assert nowhere_more(small, large), (mode, str(larger))
                if size in ("tokens", "blocks", "hidden_dim") and not variation.overrides:
                    assert small.total() < large.total(), (mode, str(larger))
    assert {"tokens", "blocks", "hidden_dim"} <= accepted.keys()
    assert accepted.total() >= tried / 2, f"{accepted.total()} of {tried}"


# ---- conventions, units, types of number ----------------------------------------------------------------------------


@each_preset
@pytest.mark.parametrize("mode", ["forward", "train"])
def test_conventions_are_views_of_one_count(case: Case, mode: Any) -> None:
    """The counts are the same in every convention; a figure is a sum of some of them, a multiply-add half of two."""
    for variation, plan in plans(case):
        everything = registry.cost(plan, 2, mode)
        products = registry.cost(plan, 2, mode, convention="matmul")
        halves = registry.cost(plan, 2, mode, convention="mac")
        assert everything.kinds == products.kinds == halves.kinds, str(variation)
        assert everything.kinds.keys() <= set(KINDS)
        assert everything.flops == sum(everything.kinds.values())
        assert products.flops == sum(everything.kinds.get(kind, 0) for kind in ("matmul", "conv"))
        assert 2 * halves.flops == products.flops <= everything.flops
        for convention in ("all", "matmul", "mac"):
            assert registry.cost(plan, 2, mode, convention=convention, unit="mac").flops == halves.flops


@each_preset
@pytest.mark.parametrize("mode", ["forward", "train"])
def test_complex_transforms_cost_more_than_real_ones(case: Case, mode: Any) -> None:
    """Twice as much or a little less, because the half spectrum has one line more than half; nothing else changes."""
    for variation, plan in plans(case):
        real, whole = kinds(plan, 2, mode=mode), kinds(plan, 2, mode=mode, convention="complex-fft")
        assert {**real, "fft": 0} == {**whole, "fft": 0}, str(variation)
        assert real["fft"] <= whole["fft"] <= 2 * real["fft"] + _rounding(plan, mode), str(variation)


def _rounding(plan: Plan, mode: str) -> int:
    """How much the prices of real transforms, each rounded, may be below half of those of complex ones."""
    records = [plan.record(2), plan.backward_record(2)][: 1 + (mode == "train")]
    return sum(sum(record.ffts.values()) for record in _all(records))


@each_preset
def test_published_figures_are_of_one_image(case: Case) -> None:
    """Whatever the batch and the mode; and never more with cached kernels."""
    for variation, plan in plans(case):
        try:
            found = registry.cost(plan, convention="nvsubquadratic")
        except CostUnknown:
            continue
        assert found.kinds.keys() == {"published"}
        assert found.flops == registry.cost(plan, 7, "train", convention="nvsubquadratic").flops, str(variation)
        assert registry.cost(plan, convention="nvsubquadratic", cached_kernels=True).flops <= found.flops


@each_preset
def test_the_type_of_number_changes_bytes_only(case: Case) -> None:
    for _, plan in plans(case):
        single = registry.cost(plan, 2, "train")
        for dtype, width in DTYPE_BYTES.items():
            found = registry.cost(plan, 2, "train", dtype=dtype)
            assert (found.kinds, found.flops, found.params) == (single.kinds, single.flops, single.params)
            for name in ("param_bytes", "buffer_bytes", "grad_bytes"):
                assert 4 * found.memory[name] == width * single.memory[name]


# ---- the same by other ways -----------------------------------------------------------------------------------------


@each_preset
def test_a_point_of_a_sweep_is_a_plan_of_its_own(case: Case) -> None:
    """Whatever the last override of a variation is, sweeping it gives the cost of the variation."""
    for variation, plan in plans(case):
        overrides = variation.overrides or ("num_blocks=" + str(plan.root.num_blocks),)  # type: ignore[attr-defined]
        key, _, value = overrides[-1].partition("=")
        base = Base(variation.preset, overrides[:-1])
        for way in WAYS[1:3]:
            point = base.point({key: parse_value(value, key)}, batch=3, **way)
            found = registry.cost(plan, 3, **way)
            assert (point.flops, point.params, point.kinds) == (found.flops, found.params, found.kinds), str(variation)


@each_preset
def test_a_network_written_down_and_read_costs_the_same(case: Case) -> None:
    for variation, plan in plans(case):
        assert plan.spec is not None
        given = {"shape": plan.spec.shape, "condition": plan.spec.condition}
        again = registry.load(json.loads(json.dumps({"network": plan.root.to_dict(), "input": given})))
        for mode in ("forward", "train"):
            before, after = registry.cost(plan, 2, mode), registry.cost(again, 2, mode)
            assert before.tree() == after.tree(), str(variation)
            assert before.memory == after.memory
            written = before.to_dict()
            assert json.loads(json.dumps(written)) == written


@each_preset
def test_counts_are_integers(case: Case) -> None:
    """Python's own, of any size: nothing is rounded, and no batch extent or truth value is left among them."""
    for variation, plan in plans(case):
        for way in WAYS:
            found = registry.cost(plan, 2, **way)
            numbers = [found.flops, found.params, found.batch, *found.kinds.values(), *found.memory.values()]
            for node in found.root.walk():
                numbers += [node.params, *node.counts.values()]
            assert {type(number) for number in numbers} == {int}, str(variation)
        for record in _records(plan):
            lengths = [length for length, _ in record.ffts]
            numbers = [*record.counts.values(), *record.total.values(), *record.ffts.values(), *lengths]
            assert {type(number) for number in numbers} <= {int}, (record.config.entry.name, str(variation))


def test_every_convention_is_named_here() -> None:
    """A new one needs laws of its own."""
    assert set(CONVENTIONS) == {"all", "complex-fft", "matmul", "mac", "nvsubquadratic"}
