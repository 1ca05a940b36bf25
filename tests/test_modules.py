"""What equal blocks have in common is found once, and is the same as if every block were looked at by itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import registry
from registry.memory import MemoryTape
from registry.modules import Node, count_buffers, count_params, parameter_shapes
from registry.plan import Plan
from registry.shapes import Batch, Shape
from registry.sources import presets

each_preset = pytest.mark.parametrize("name", presets())


def _unshared(plan: Plan, batch: int, width: int) -> Node:
    """The tree of a memory pass in which every call runs."""
    assert plan.spec is not None
    tape = MemoryTape(width)
    args, kwargs = plan.root.inputs(plan.spec, Shape((Batch(batch),)))
    args, kwargs = (tape.feed(value, needs_grad=False) for value in (args, kwargs))
    return Node("", plan.root, (tape.call(plan.root, *args, **kwargs),))


@each_preset
@pytest.mark.parametrize("width", [2, 4])
def test_replayed_calls_keep_what_they_would_keep(name: str, width: int) -> None:
    """Module by module: bytes, and shapes in and out."""
    plan = registry.load(name)
    for one, other in zip(plan.memory_tree(2, width=width).walk(), _unshared(plan, 2, width).walk(), strict=True):
        assert (one.path, one.counts) == (other.path, other.counts)
        assert (one.input_shape, one.output_shape) == (other.input_shape, other.output_shape)


def test_a_call_runs_again_where_its_input_is_kept_already() -> None:
    """The same norm of the same tensor keeps it once; of another tensor, that one too."""
    plan = registry.load("vit5_full_attention")
    attention = next(node for node in plan.memory_tree().walk() if node.path == "blocks.0.sequence_mixer")
    first, second = (child.counts["saved"] for child in attention.children if child.path.endswith("_norm"))
    assert second < first


@each_preset
@pytest.mark.parametrize("mode", ["forward", "train"])
def test_a_folded_tree_unfolds_to_the_whole_one(name: str, mode: Any) -> None:
    """With figures of one module each, and the paths of all."""
    cost = registry.cost(registry.load(name), 2, mode)
    folded = cost.tree(folded=True)
    assert (folded["count"], folded["paths"]) == (1, [""])
    assert _by_path(_unfolded(folded)) == _by_path(cost.tree())
    assert sum(1 for _ in _rows(folded)) <= sum(1 for _ in _rows(cost.tree()))


def _unfolded(row: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in row.items() if key not in ("count", "paths")}
    plain["children"] = [_at(_unfolded(child), path) for child in row["children"] for path in child["paths"]]
    return plain


def _at(row: dict[str, Any], path: str) -> dict[str, Any]:
    """A copy at another path, with all that is below it."""
    children = [_at(child, path + child["path"][len(row["path"]) :]) for child in row["children"]]
    return {**row, "path": path, "children": children}


def _rows(row: dict[str, Any]) -> Any:
    yield row
    for child in row["children"]:
        yield from _rows(child)


def _by_path(root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["path"]: {**row, "children": sorted(child["path"] for child in row["children"])} for row in _rows(root)}


def test_equal_blocks_are_one_module_and_one_entry() -> None:
    cost = registry.cost(registry.load("vit5_hybrid"))
    blocks = [child.module for child in cost.root.children if child.path.startswith("blocks.")]
    assert len(blocks) == 12
    assert len(set(blocks)) == 2
    entries = cost.tree(1, folded=True)["children"]
    assert [(entry["path"], entry["count"]) for entry in entries] == [("blocks.0", 6), ("blocks.1", 6), ("out_norm", 1)]
    assert entries[1]["paths"] == [f"blocks.{i}" for i in range(1, 12, 2)]
    assert not any(entry["children"] for entry in entries)


def test_blocks_that_differ_in_name_only_are_folded() -> None:
    """Every block has a rate of its own, and so is another component."""
    plan = registry.load("vit5_hybrid", ["max_drop_path_rate=0.1", "drop_path_schedule=linear"])
    cost = registry.cost(plan)
    assert len({child.module for child in cost.root.children}) == 13
    assert len(cost.tree(folded=True)["children"]) <= 4


def test_a_tree_belongs_to_who_asked_for_it() -> None:
    cost = registry.cost(registry.load("vit5_hybrid"))
    before = copy.deepcopy(cost.tree())
    for row in _rows(cost.tree()):
        row["kinds"].clear()
        row["children"].clear()
    assert cost.tree() == before


@each_preset
def test_sums_are_those_of_the_modules(name: str) -> None:
    plan = registry.load(name)
    nodes = list(plan.tree().walk())
    shapes = [shape for node in nodes for shape in node.config.parameters().values()]
    buffers = [shape for node in nodes for shape in node.config.buffers().values()]
    assert sorted(parameter_shapes(plan.root).elements()) == sorted(shapes)
    assert count_params(plan.root) == sum(Shape(shape).size for shape in shapes)
    assert count_buffers(plan.root) == sum(Shape(shape).size for shape in buffers)
