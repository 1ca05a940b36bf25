"""Differences of two plans: in what they say, and in what they cost."""

from __future__ import annotations

import pytest

from registry.cost import cost
from registry.diff import changes, diff
from registry.errors import CostUnknown
from registry.plan import load


def test_a_plan_does_not_differ_from_itself() -> None:
    found = diff(load("vit5_hybrid"), load("vit5_hybrid"))
    assert found.changes == ()
    assert found.params.difference == found.flops.difference == 0
    assert found.flops.ratio == 1


def test_one_override_and_what_follows_from_it() -> None:
    left, right = load("vit5_full_attention"), load("vit5_full_attention", ["patch_size=8"])
    found = diff(left, right, batch=2)
    said = {change.path: (change.change, change.left, change.right) for change in found.changes}
    assert said["patch_size"] == ("changed", 16, 8)
    assert said["layer_types.A.sequence_mixer.num_patches_h"] == ("changed", 14, 28)
    assert found.params.difference == right.params - left.params
    assert found.flops.left == cost(left, batch=2).flops
    assert found.flops.right == cost(right, batch=2).flops
    assert sum(figure.difference for figure in found.kinds.values()) == found.flops.difference
    assert found.memory["param_bytes"].right == 4 * right.params


def test_components_of_another_type_are_one_change() -> None:
    found = diff(load("vit5_full_hyena"), load("vit5_hybrid"))
    kernel = "layer_types.H.sequence_mixer.inner_mixer.mixer.global_conv.kernel"
    (change,) = [change for change in found.changes if change.path.startswith(kernel)]
    assert change.path == kernel
    assert (change.left["type"], change.right["type"]) == (
        "siren_kernel_nd",
        "block_diagonal_multi_omega_siren_kernel_nd",
    )
    assert found.kinds["softmax"].left == 0
    assert found.kinds["softmax"].ratio is None
    whole = diff(load("ccnn_classifier"), load("vit5_hybrid"))
    assert [change.path for change in whole.changes] == [""]


def test_what_one_side_does_not_have() -> None:
    left, right = {"type": "a", "x": 1, "y": {"k": 1}}, {"type": "a", "y": {}, "z": None}
    found = [change.to_dict() for change in changes(left, right)]
    assert found == [
        {"path": "x", "change": "removed", "left": 1, "right": None},
        {"path": "y.k", "change": "removed", "left": 1, "right": None},
        {"path": "z", "change": "added", "left": None, "right": None},
    ]


def test_as_plain_data() -> None:
    found = diff(load("vit5_hybrid"), load("vit5_hybrid", ["num_classes=10"]), dtype="float16").to_dict()
    assert found["changes"] == [{"path": "num_classes", "change": "changed", "left": 1000, "right": 10}]
    assert found["params"]["difference"] == -990 * 384
    assert found["memory"]["param_bytes"]["difference"] == -2 * 990 * 384
    assert set(found["flops"]) == {"left", "right", "difference", "ratio"}


def test_what_cannot_be_costed() -> None:
    conv = load({"type": "conv1d", "in_channels": 2, "out_channels": 2, "kernel_size": 3, "padding": 1})
    with pytest.raises(CostUnknown, match="input"):
        diff(conv, conv)
