"""Sweeps: every point equals a plan of its own, nothing invalid is silent, order flips where the integers say."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import registry
from registry import sweep as module
from registry.blame import check_tree
from registry.breakdown import By, breakdown
from registry.check import Scope
from registry.compose import compose
from registry.cost import CONVENTIONS, DTYPE_BYTES, cost
from registry.errors import InvalidConfig, Problem, Unreadable
from registry.plan import Plan, load, plan_composed
from registry.recall import ROOM, Part, Recall
from registry.sources import documents
from registry.sweep import Base, Point, count, crossovers, override, parse_axis, sweep
from tests.faults import BASES, FAULTS, changed

MLP: dict[str, Any] = {"network": {"type": "mlp", "dim": 6, "activation": "gelu"}, "input": {"shape": [5, 6]}}


# ---- points -----------------------------------------------------------------------------------------------------


def test_a_point_is_what_a_plan_of_its_own_costs() -> None:
    grid = {"patch_size": [8, 16], "image_size": [112, 224, 230]}
    points = list(sweep(["vit5_hybrid", "vit5_full_attention"], grid, overrides=["num_registers=9"], batch=3))
    assert len(points) == 12
    assert [tuple(point.values.values()) for point in points[:6]] == list(itertools.product(*grid.values()))
    for point in points:
        assert dict(point.values).keys() == grid.keys()
        if point.values["image_size"] == 230:
            assert not point.valid
            assert point.flops is point.params is point.kinds is None
            assert [problem.code for problem in point.problems] == ["patch-size"]
            continue
        plan = load(point.preset, ["num_registers=9", *[f"{key}={value}" for key, value in point.values.items()]])
        found = cost(plan, batch=3)
        assert (point.params, point.flops, point.kinds) == (found.params, found.flops, found.kinds)


def test_mappings_files_and_conventions(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("network: {type: mlp, dim: 6, activation: gelu}\ninput: {shape: [5, 6]}\n")
    points = list(
        sweep([MLP, tmp_path / "net.yaml"], {"expansion_factor": [1.0, 2.0]}, convention="matmul", unit="mac")
    )
    assert [point.flops for point in points] == [360, 720, 360, 720]
    assert [point.preset for point in points] == ["<mapping>"] * 2 + [str(tmp_path / "net.yaml")] * 2


def test_files_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    points = sweep(["vit5_hybrid"], {"num_classes": [10, 20, 30]})
    monkeypatch.setattr(module, "documents", None)
    monkeypatch.setattr("registry.sources.read_file", None)
    monkeypatch.setattr("registry.sources.read_raw", None)
    assert [point.valid for point in points] == [True] * 3


def test_every_kind_of_value_can_be_swept() -> None:
    values: list[Any] = ["gelu", "swiglu", "gelo", None, 3, {"a": [1]}, "x: y", True]
    points = list(sweep([MLP], {"activation": values}))
    assert [point.valid for point in points] == [True, True] + [False] * 6
    assert [point.values["activation"] for point in points] == values
    (norm,) = sweep(["vit5_full_attention"], {"layer_types.A.mlp": [{"type": "mlp", "activation": "relu"}]})
    assert norm.valid


def test_what_cannot_be_counted_is_a_problem_of_its_point() -> None:
    conv = {"network": {"type": "conv1d", "in_channels": 2, "out_channels": 2, "kernel_size": 3}}
    (point,) = sweep([conv], {"padding": [1]})
    assert [problem.code for problem in point.problems] == ["cost-unknown"]
    assert "input" in point.problems[0].message
    (override_,) = sweep([MLP], {"a b": [1]})
    assert [problem.code for problem in override_.problems] == ["bad-override"]


def test_wrong_arguments_are_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="at most 100,000 points, got 1,000,000"):
        sweep([MLP], {"a": range(1000), "b": range(1000)})
    assert count([MLP, MLP], {"a": [1, 2], "b": [3, 4, 5]}) == 12
    with pytest.raises(Unreadable):
        sweep(["nowhere"], {"a": [1]})
    with pytest.raises(ValueError, match="batch"):
        list(sweep([MLP], {"dim": [6]}, batch=0))
    assert list(sweep([MLP], {"dim": []})) == []


def test_a_base_is_not_changed_by_its_variations() -> None:
    base = Base("vit5_hybrid")
    before = base.point({})
    base.point({"hidden_dim": 192, "layer_types.H.mlp.expansion_factor": 2.0})
    assert base.point({}) == before
    assert before.flops == cost(load("vit5_hybrid")).flops


# ---- what points share ------------------------------------------------------------------------------------------

PRESETS = ("vit5_full_attention", "vit5_full_hyena", "vit5_hybrid", "vit5_hybrid_ha_film", "s4d_attention_language")
VALUES: list[Any] = [1, 2, 4, 7, 8, 12, 14, 16, 64, 192, 384, 390, 0, -1, True, False, 1.0, 0.5, None]
VALUES += ["gelu", "rms_norm", "identity", "H", "HA", "a b", [1, 2], [], {"type": "rms_norm"}, {"type": "silu", "x": 1}]
VALUES += ["???", "${network.hidden_dim}", "${network.nothing}"]


def _alone(source: Any, values: dict[str, Any]) -> tuple[Plan | None, tuple[Problem, ...]]:
    """The same point, from the files, by nothing that other points have seen."""
    overrides = [override(key, value) for key, value in values.items()]
    try:
        return plan_composed(compose(documents(source), overrides))
    except InvalidConfig as refused:
        return None, tuple(refused.problems)


def _same(base: Base, source: Any, values: dict[str, Any], *, costs: bool = True) -> bool:
    """Whether a point is what it would be alone, to the last word and operation; whether it is valid."""
    (mine, said), (plan, problems) = base.plan(values), _alone(source, values)
    assert said == problems, values
    assert (mine is None) == (plan is None)
    if mine is None or plan is None:
        return False
    assert repr(mine.root.to_dict()) == repr(plan.root.to_dict()), values
    assert (mine.name, mine.summary, mine.spec) == (plan.name, plan.summary, plan.spec)
    if costs and plan.spec is not None and not any(problem.severity == "error" for problem in problems):
        assert cost(mine).to_dict() == cost(plan).to_dict(), values
    return True


def _keys(config: Any, path: str = "") -> Iterator[str]:
    """Every key that can be overridden, and some that are misspelt."""
    for key, value in config.items() if isinstance(config, dict) else ():
        yield f"{path}{key}"
        yield from _keys(value, f"{path}{key}.")
    if path.count(".") == 2:
        yield f"{path}misspelt"


@pytest.mark.parametrize("preset", PRESETS)
def test_points_of_one_base_do_not_see_each_other(preset: str) -> None:
    rng = random.Random(f"points-{preset}")
    base, keys = Base(preset), list(_keys(load(preset).root.to_dict()))
    axes = [key for key in keys if "." not in key]
    valid = 0
    for round_ in range(100):
        chosen = rng.sample(keys, rng.choice((0, 1, 1, 2))) + rng.sample(axes, rng.choice((0, 1, 2)))
        valid += _same(base, preset, {key: rng.choice(VALUES) for key in chosen}, costs=round_ % 4 == 0)
    assert valid >= 5


@pytest.mark.parametrize("preset", PRESETS)
def test_points_of_a_grid_do_not_see_each_other(preset: str) -> None:
    base = Base(preset, ["network.hidden_dim=96"])
    grid = {"network.hidden_dim": [48, 96, 100, 144], "image_size": [112, 224, 230], "patch_size": [8, 16]}
    for number, values in enumerate(itertools.product(*grid.values())):
        _same(base, preset, dict(zip(grid, values, strict=True)), costs=number % 5 == 0)


def test_equal_values_of_different_types_are_not_the_same() -> None:
    net = {"network": {"type": "mlp", "dim": 6, "activation": "gelu", "dropout": {"type": "dropout", "p": 0.0}}}
    base = Base(net)
    for values in [{"bias": True}, {"bias": 1}, {"dim": 6.0}, {"dim": 6}, {"dim": True}, {"expansion_factor": 1}] * 3:
        _same(base, net, values)


def test_what_is_right_is_remembered_and_what_is_not_is_looked_at_again() -> None:
    raw: Any = compose(documents("vit5_hybrid")).data["network"]
    recall = Recall()
    roots: list[Any] = [check_tree({**raw, "num_classes": n}, ("network",), recall)[0] for n in (10, 20, 30, 40)]
    blocks = [root.layer_types for root in roots]
    assert blocks[3]["H"] is blocks[2]["H"]
    assert blocks[3]["H"] == blocks[0]["H"]
    warned = {**raw, "patch_size": 8}
    found = [check_tree(warned, ("network",), recall)[1] for _ in range(4)]
    assert [[each.problem.code for each in one] for one in found] == [["omega-extent"]] * 4


def test_a_part_under_other_facts_is_another() -> None:
    entry = registry.get("rms_norm")
    part, component, nodes = Part("rms_norm", ("norm",)), entry.schema(dim=1), [((), entry.schema)]
    scope = Scope({"hidden_dim": 1, "elsewhere": 2})
    for _ in range(2):
        assert part.find(scope) is None
        part.keep(scope, component, nodes)
    assert part.find(Scope({"elsewhere": 3, "hidden_dim": 1})) is component
    others: list[Any] = [True, 1.0, 2, None, [1]]
    for other in [*(Scope({"hidden_dim": value}) for value in others), Scope({}), Scope({}, frozenset({"hidden_dim"}))]:
        assert part.find(other) is None
    assert part.find(Scope(scope.facts, unused=True)) is None
    unequal = Scope({"hidden_dim": [1]})
    part.keep(unequal, component, nodes)
    assert part.find(unequal) is None


@pytest.mark.parametrize("name", BASES)
def test_who_is_to_blame_does_not_depend_on_other_checks(name: str) -> None:
    for fault in [fault for fault in FAULTS if fault.base == name][::2]:
        raw, recall = changed(BASES[name], fault.change), Recall()
        raw = raw.get("network", raw)
        _, found = check_tree(raw, ("network",))
        for _ in range(3):
            assert check_tree(raw, ("network",), recall)[1] == found, fault.id


def test_what_is_remembered_is_bounded() -> None:
    norm: Any = {"type": "rms_norm"}
    raw: Any = {"type": "mlp", "activation": "gelu"}
    recall = Recall()
    for dim in range(1, 3 * ROOM):
        block = {"type": "vit5_residual_block", "hidden_dim": dim, "mlp": raw, "mlp_norm": norm}
        root: Any = check_tree(block, (), recall)[0]
        assert root.mlp.dim == root.mlp_norm.dim == dim
    part = recall.part(raw, ("mlp",), ("channel_mixer", "identity"))
    assert part.nodes
    assert len(part._known) <= ROOM


def test_values_are_not_shared_with_whoever_asks_for_them() -> None:
    first = compose(documents("vit5_hybrid"), ["padding_types=[A]", "norm={type: rms_norm}"]).data
    first["network"]["padding_types"].append("H")
    first["network"]["norm"]["dim"] = 7
    second = compose(documents("vit5_hybrid"), ["padding_types=[A]", "norm={type: rms_norm}"]).data
    assert second["network"]["padding_types"] == ["A"]
    assert second["network"]["norm"] == {"type": "rms_norm"}


# ---- crossovers -------------------------------------------------------------------------------------------------


def test_the_crossover_of_hyena_and_attention() -> None:
    points = list(sweep(["vit5_full_attention", "vit5_full_hyena"], {"image_size": range(208, 305, 16)}))
    (flip,) = crossovers(points, "image_size")
    assert (flip.cheaper, flip.dearer) == ("vit5_full_hyena", "vit5_full_attention")
    assert (flip.before, flip.at, dict(flip.fixed)) == (256, 272, {})  # 17 x 17 patches
    costs = {(point.preset, point.values["image_size"]): point.flops or 0 for point in points}
    assert flip.flops == (costs["vit5_full_hyena", 272], costs["vit5_full_attention", 272])
    assert costs["vit5_full_hyena", 256] > costs["vit5_full_attention", 256]


def _points(preset: str, flops: dict[Any, int | None], **fixed: Any) -> list[Point]:
    return [Point(preset, {"n": n, **fixed}, flops=value) for n, value in flops.items()]


def test_crossovers_compare_exactly_and_skip_what_is_missing() -> None:
    big = 10**30
    one = _points("one", {3: big, 1: big, 2: None, 4: big, 5: big, 6: 1})
    other = _points("other", {1: big + 1, 2: 0, 3: big, 4: big - 1, 5: big, 6: 2, 7: 0})
    found = [(flip.cheaper, flip.before, flip.at) for flip in crossovers([*one, *other], "n")]
    assert found == [("other", 1, 4), ("one", 4, 6)]
    assert crossovers(one, "n") == []
    assert crossovers([*_points("one", {"a": 1, "b": 3}), *_points("other", {"a": 2, "b": 2})], "n") == []


def test_crossovers_keep_other_values_apart() -> None:
    points = [*_points("a", {1: 1, 2: 9}, p=4), *_points("b", {1: 5, 2: 5}, p=4)]
    points += [*_points("a", {1: 1, 2: 2}, p=8), *_points("b", {1: 5, 2: 5}, p=8)]
    assert [(flip.at, dict(flip.fixed)) for flip in crossovers(points, "n")] == [(2, {"p": 4})]


# ---- axes in writing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("patch_size=4,8,16", (4, 8, 16)),
        ("image_size=112:224:56", (112, 168, 224)),
        ("image_size=112:200:56", (112, 168)),
        ("n=1:4", (1, 2, 3, 4)),
        ("n=1,10:30:10,100", (1, 10, 20, 30, 100)),
        ("n=1:3,2,3", (1, 2, 3)),
        ("lr=0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("lr=1e-3,1e-4", (1e-3, 1e-4)),
        ("a.b.0=gelu, silu", ("gelu", "silu")),
        ("norm=rms_norm,{type: rms_norm, eps: 1e-5},null", ("rms_norm", {"type": "rms_norm", "eps": 1e-5}, None)),
        ("shape=[28, 28],[32, 32]", ([28, 28], [32, 32])),
        ("x=true", (True,)),
        ("n=-2:2:2", (-2, 0, 2)),
    ],
)
def test_axes(text: str, values: tuple[Any, ...]) -> None:
    assert parse_axis(text) == (text.partition("=")[0], values)


@pytest.mark.parametrize(
    "text", ["", "n", "=1", "n=", "n=5:1", "n=1:5:0", "n=1:5:-1", "n=1:10000000", "n=[1", "n=*a", "n=a:b: d"]
)
def test_what_is_no_axis(text: str) -> None:
    with pytest.raises(ValueError, match=r"^Expected "):
        parse_axis(text)


def test_overrides_read_back_as_they_were() -> None:
    for value in (
        1,
        -1,
        0.1,
        1e-12,
        1e22,
        "a",
        "1",
        "true",
        "a, b",
        "é\n",
        None,
        True,
        [1, "x"],
        {"type": "a", "b": [1.5]},
    ):
        (point,) = sweep([MLP], {"note": [value]})
        assert [problem.code for problem in point.problems] in (["unknown-field"], ["unprintable"]), override(
            "k", value
        )


# ---- breakdowns and memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("by", ["path", "component", "kind"])
@pytest.mark.parametrize("depth", [None, 0, 1, 2])
def test_shares_add_up(convention: Any, by: By, depth: int | None) -> None:
    found = cost(load("vit5_hybrid"), convention=convention)
    shares = breakdown(found, by, depth)
    assert sum(share.flops for share in shares) == found.flops
    if by != "kind":
        assert sum(share.params or 0 for share in shares) == found.params
    if convention == "all":
        for kind, count in found.kinds.items():
            assert sum(share.kinds.get(kind, 0) for share in shares) == count
    assert len({share.name for share in shares}) == len(shares)


@pytest.mark.parametrize("by", ["path", "component", "kind"])
def test_multiply_adds_and_backward_passes_add_up(by: By) -> None:
    plan = load("vit5_hybrid")
    for found in (cost(plan, unit="mac"), cost(plan, 2, "train")):
        assert sum(share.flops for share in breakdown(found, by)) == found.flops


def test_memory_by_dtype() -> None:
    plan = load("vit5_hybrid")
    single = cost(plan).memory
    for dtype, width in DTYPE_BYTES.items():
        memory = cost(plan, dtype=dtype).memory
        assert memory["param_bytes"] == plan.params * width
        assert memory["buffer_bytes"] * 4 == single["buffer_bytes"] * width
    with pytest.raises(ValueError, match="dtype"):
        cost(plan, dtype="int8")


def test_the_published_comparison() -> None:
    points = sweep(["vit5_full_attention", "vit5_full_hyena"], {"patch_size": [4]}, convention="nvsubquadratic")
    assert [point.flops for point in points] == [315_601_428_096, 153_678_406_848]


def test_the_public_face_stays_small() -> None:
    assert len(registry.__all__) <= 15
