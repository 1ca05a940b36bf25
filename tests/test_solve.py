"""Budgets: candidates are valid, exact, ranked, and near."""

from __future__ import annotations

import math
from typing import Any

import pytest

from registry.cost import cost
from registry.errors import InvalidConfig
from registry.plan import load
from registry.solve import Candidate, parse_amount, parse_bytes, period, rank, solve
from registry.sweep import Point, override

BUDGET = {"params": 22_000_000, "flops": 10_000_000_000}


def _dominated(one: Candidate, others: tuple[Candidate, ...]) -> bool:
    far = [abs(distance) for distance in one.distance.values()]
    return any(
        all(abs(a) <= b for a, b in zip(other.distance.values(), far, strict=True))
        and any(abs(a) < b for a, b in zip(other.distance.values(), far, strict=True))
        for other in others
    )


def test_candidates_are_valid_exact_and_ranked() -> None:
    vary = {"hidden_dim": range(240, 481, 48), "num_blocks": [8, 10, 12, 13]}
    found = solve("vit5_hybrid", vary, BUDGET, top=6, batch=2)
    assert (found.tried, found.valid, len(found.candidates)) == (24, 24, 6)
    for one in found.candidates:
        plan = load("vit5_hybrid", [override(key, value) for key, value in one.values.items()])
        assert (one.params, one.flops) == (plan.params, cost(plan, batch=2).flops)
        assert one.values["layer_pattern"] == ("HA" * 7)[: one.values["num_blocks"]]
        assert one.distance["params"] == math.log(plan.params / BUDGET["params"])
        assert one.pareto != _dominated(one, found.candidates)
    order = [(not one.pareto, one.total) for one in found.candidates]
    assert order == sorted(order)
    assert found.notes == ("layer_pattern follows num_blocks: HA repeated to its length",)


def test_only_legal_widths_are_tried_around_the_current_one() -> None:
    found = solve("vit5_full_attention", {"hidden_dim": None}, {"params": 5_000_000}, top=3)
    assert found.tried == found.valid  # multiples of 24: six heads, two axes, pairs
    assert all(one.values["hidden_dim"] % 24 == 0 for one in found.candidates)
    best = min(
        (load("vit5_full_attention", [f"hidden_dim={n}"]).params for n in range(96, 385, 24)),
        key=lambda params: abs(math.log(params / 5_000_000)),
    )
    assert found.candidates[0].params == best


def test_what_breaks_a_rule_is_left_out_and_counted() -> None:
    found = solve("vit5_hybrid", {"patch_size": [14, 15, 16, 17]}, {"flops": 10**10})
    assert (found.tried, found.valid) == (4, 2)
    ((code, message), times), *more = found.refused.items()
    assert (code, times, more) == ("patch-size", 2, [])
    assert message.startswith("Expected image_size to be divisible")
    assert {one.values["patch_size"] for one in found.candidates} == {14, 16}


def test_limits_are_kept() -> None:
    vary = {"hidden_dim": range(192, 481, 24)}
    found = solve("vit5_hybrid", vary, BUDGET, limit=True)
    assert found.candidates
    assert found.fitting < found.valid
    for one in found.candidates:
        assert one.params <= BUDGET["params"]
        assert one.flops <= BUDGET["flops"]
    assert found.candidates[0].values["hidden_dim"] == 360  # 384 has 22.2 M parameters
    assert solve("vit5_hybrid", vary, {"params": 1000}, limit=True).candidates == ()


def test_memory_is_a_limit_of_training() -> None:
    """Operations are then those of one input; the batch and the optimizer are those of the memory."""
    training = {"batch": 64, "mode": "train", "optimizer": "sgd_momentum", "dtype": "bfloat16"}
    limit = 3 * 10**9
    found = solve(
        "vit5_hybrid", {"hidden_dim": range(192, 481, 48)}, {"flops": 10**10, "memory": limit}, top=9, **training
    )
    assert 0 < found.fitting == len(found.candidates) < found.valid == 7
    for one in found.candidates:
        plan = load("vit5_hybrid", [f"hidden_dim={one.values['hidden_dim']}"])
        assert one.flops == cost(plan).flops
        assert one.memory == cost(plan, **training).memory["total_bytes"] <= limit
        assert set(one.distance) == {"flops"}


def test_memory_alone_is_filled() -> None:
    found = solve("vit5_hybrid", {"hidden_dim": range(192, 481, 48)}, {"memory": 120 * 10**6}, top=2)
    sizes = [cost(load("vit5_hybrid", [f"hidden_dim={n}"])).memory["total_bytes"] for n in range(192, 481, 48)]
    assert found.candidates[0].memory == max(size for size in sizes if size <= 120 * 10**6)


def test_searching_looks_closer_near_the_best() -> None:
    mlp = {"network": {"type": "mlp", "activation": "gelu", "dim": 500}, "input": {"shape": [1, 500]}}
    found = solve(mlp, {"dim": None}, {"params": 4 * 500**2}, top=1)
    assert (found.valid, found.candidates) == (1, found.candidates)  # the input fixes the width
    widths = solve("ccnn_classifier", {"hidden_dim": None, "num_blocks": [1, 2]}, {"params": 100_000}, top=1)
    assert widths.tried < 2 * 241 + 9
    best = min(
        (abs(math.log(load("ccnn_classifier", [f"hidden_dim={n}", f"num_blocks={b}"]).params / 1e5)), n, b)
        for n in range(60, 130)
        for b in (1, 2)
    )
    assert (widths.candidates[0].values["hidden_dim"], widths.candidates[0].values["num_blocks"]) == best[1:]


def test_progress_sees_every_point() -> None:
    seen = []

    def track(points: Any, total: int) -> Any:
        for point in points:
            seen.append((point.values["patch_size"], total))
            yield point

    solve("vit5_hybrid", {"patch_size": [8, 16]}, {"flops": 10**10}, track=track)
    assert seen == [(8, 2), (16, 2)]


def test_wrong_arguments() -> None:
    for vary, budget in (({}, BUDGET), ({"dim": None}, {}), ({"dim": None}, {"params": 0}), ({"dim": None}, {"x": 1})):
        with pytest.raises(ValueError, match="Expected keys to vary and a budget"):
            solve("vit5_hybrid", vary, budget)
    for key in ("readout", "nowhere", "layer_types.H"):
        with pytest.raises(ValueError, match=f"Expected a positive integer as {key}"):
            solve("vit5_hybrid", {key: None}, BUDGET)
    with pytest.raises(InvalidConfig, match="patch-size"):
        solve("vit5_hybrid", {"hidden_dim": None}, BUDGET, overrides=["patch_size=15"])


def test_ranking() -> None:
    points = [
        Point("n", {"k": 1}, params=100, flops=150),
        Point("n", {"k": 2}, params=110, flops=110),
        Point("n", {"k": 3}, params=111, flops=111),
        Point("n", {"k": 4}, params=0, flops=100),
    ]
    found = rank(points, {"params": 100, "flops": 100})
    assert [(one.values["k"], one.pareto) for one in found] == [(2, True), (1, True), (4, True), (3, False)]
    assert [one.values["k"] for one in rank(points, {"flops": 110}, limit=True)] == [2, 4]


@pytest.mark.parametrize(
    ("pattern", "piece"), [("HAHAHA", "HA"), ("HAHAH", "HA"), ("HHHAHHHA", "HHHA"), ("A", "A"), ("HHA", "HHA")]
)
def test_periods(pattern: str, piece: str) -> None:
    assert period(pattern) == piece


@pytest.mark.parametrize(
    ("text", "amount"),
    [("22M", 22_000_000), ("1.5g", 1_500_000_000), ("10 K", 10_000), ("4000", 4000), ("2T", 2 * 10**12), ("0.5K", 500)],
)
def test_amounts(text: str, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize("text", ["", "M", "22X", "-1M", "0", "1e9", "0.1", "1,000", "9" * 30])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="Expected a number with K, M, G or T"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("16GB", 16 * 10**9), ("16 GiB", 16 * 2**30), ("1.5g", 15 * 10**8), ("512MiB", 2**29), ("7B", 7), ("80", 80)],
)
def test_bytes(text: str, amount: int) -> None:
    assert parse_bytes(text) == amount


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "16GiBs", "16PB", "0.1B"])
def test_what_is_no_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="Expected a number of bytes, such as 16GB"):
        parse_bytes(text)
