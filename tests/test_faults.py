"""No wrong config gets through: every fault gives one error, where a person would fix it; its neighbours give none."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import torch

import registry
from registry.errors import Problem
from tests.faults import ADAPTER, ATT, BASES, CV, FAULTS, FI, KER, A, Fault, changed
from tests.harness import arguments, plain, shapes_of

NEIGHBOURS = [pytest.param(fault, id=fault.id) for fault in FAULTS if fault.neighbour]


def _errors(document: dict[str, Any]) -> list[Problem]:
    return [problem for problem in registry.check(document) if problem.severity == "error"]


def _runs(document: dict[str, Any]) -> None:
    """It builds on meta, and its forward gives the shapes that were planned."""
    plan = registry.load(document)
    module = registry.build(plan, device="meta").eval()
    if plan.spec is None:
        return
    args, kwargs = arguments(plan, 2, "meta")
    with torch.no_grad():
        output = module(*args, **kwargs)
    record = plan.record(2)
    assert record is not None
    assert plain(record.output) == shapes_of(output)


@pytest.mark.parametrize("name", BASES)
def test_base_is_valid(name: str) -> None:
    assert _errors(BASES[name]) == []
    _runs(BASES[name])


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.id) for fault in FAULTS])
def test_fault_is_one_error_where_it_is_fixed(fault: Fault) -> None:
    errors = _errors(changed(BASES[fault.base], fault.change))
    shown = "\n".join(map(str, errors))
    assert len(errors) == 1, shown
    [error] = errors
    assert error.path in fault.paths, shown
    assert error.code in fault.codes, shown
    assert error.message.startswith("Expected "), shown
    assert all(text in error.message for text in fault.says), shown
    assert len(error.message) < 400


@pytest.mark.parametrize("fault", NEIGHBOURS)
def test_neighbour_is_valid_and_runs(fault: Fault) -> None:
    document = changed(BASES[fault.base], fault.neighbour)
    assert [str(problem) for problem in _errors(document)] == []
    _runs(document)


def test_table() -> None:
    assert len(FAULTS) >= 150
    assert [name for name, count in Counter(fault.id for fault in FAULTS).items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for fault in FAULTS for code in fault.codes)


def _several() -> list[Any]:
    """Pairs of faults in different corners of the network."""
    alone = {fault.id: fault for fault in FAULTS}
    pairs = [
        ("vit5-hidden-dim", "vit5-schedule"),
        ("vit5-hidden-dim", "vit5-film-layers"),
        ("vit5-patch-size-halved", "vit5-mlp-activation"),
        ("vit5-heads", "vit5-mask-channels"),
        ("vit5-registers-9", "vit5-out-norm"),
        ("vit5-kernel-width", "vit5-block-hidden-a"),
        ("vit5-misspelt", "vit5-short-even"),
        ("vit5-grn-dim", "vit5-mlp-dim"),
        ("vit5-drop-path", "vit5-omega-max"),
        ("resnet-hidden", "resnet-block-dropout"),
        ("resnet-in-proj-in", "resnet-target-rank"),
    ]
    return [pytest.param(alone[first], alone[second], id=f"{first}+{second}") for first, second in pairs]


@pytest.mark.parametrize(("first", "second"), _several())
def test_two_faults_are_two_errors(first: Fault, second: Fault) -> None:
    errors = _errors(changed(changed(BASES[first.base], first.change), second.change))
    shown = "\n".join(map(str, errors))
    assert len(errors) == 2, shown
    assert any(error.path in first.paths for error in errors), shown
    assert any(error.path in second.paths for error in errors), shown


# Overrides as people type them: (preset, overrides, path or "" for none, code).
OVERRIDES = [
    ("vit5_hybrid_ha", ["num_registers=8"], "network.num_registers", "square-registers"),
    ("vit5_hybrid_ha", ["num_registers=9"], "", ""),
    ("vit5_full_attention", ["num_registers=5"], "network.num_registers", "square-registers"),
    ("vit5_full_hyena", ["num_registers=5"], "", ""),
    ("vit5_hybrid_ha", ["patch_size=15"], "network.patch_size", "patch-size"),
    ("vit5_hybrid_ha", ["patch_size=32"], "", ""),
    ("vit5_hybrid_ha", ["image_size=200"], "network.patch_size", "patch-size"),
    ("vit5_hybrid_ha", ["image_size=200", "patch_size=20"], "", ""),
    ("vit5_full_attention", ["layer_types.A.sequence_mixer.num_heads=7"], f"{ATT}.num_heads", "heads"),
    ("vit5_full_attention", ["layer_types.A.sequence_mixer.num_heads=32"], "", ""),
    ("vit5_full_hyena_blockdiag", [f"{KER}.num_blocks=7"], f"{KER}.num_blocks", "block-width"),
    ("vit5_hybrid_ha_film", [f"{KER}.embedding_dim=64"], f"{KER}.embedding_dim", "film-width"),
    ("vit5_hybrid_ha_film", [f"{FI}.num_film_layers=2"], f"{FI}.num_film_layers", "mismatch"),
    ("vit5_full_hyena_blockdiag", [f"{KER}.film=1"], f"{KER}.film", "not-a-component"),
    ("vit5_hybrid_ha", ["num_blocks=10"], "network.num_blocks", "pattern-length"),
    ("vit5_hybrid_ha", ["layer_pattern=HAHA", "num_blocks=4"], "", ""),
    ("vit5_full_attention", ["layer_pattern=AAAAAAAAAAAX"], "network.layer_pattern", "unknown-layer-type"),
    ("vit5_hybrid_ha", ["layer_types.A.hidden_dim=128"], f"{A}.hidden_dim", "mismatch"),
    ("vit5_hybrid_ha", ["layer_types.H.sequence_mixer.grid_w=7"], f"{ADAPTER}.grid_w", "mismatch"),
    ("vit5_hybrid_ha", [f"{KER}.L_cache=7"], f"{KER}.L_cache", "extent-differs"),
    ("vit5_hybrid_ha", ["patch_size=abc"], "network.patch_size", "bad-value"),
    ("vit5_full_attention", ["readout=gap"], "", ""),
    ("vit5_full_hyena", ["readout=gap"], "", ""),
    ("vit5_hybrid_ha", ["readout=mean"], "network.readout", "bad-value"),
    ("vit5_full_hyena", ["padding_types=[A]"], "network.padding_types", "grid-width"),
    ("vit5_full_hyena", [f"{CV}.fft_backend=subq_ops"], "", ""),
]


@pytest.mark.parametrize(("preset", "overrides", "path", "code"), OVERRIDES, ids=lambda value: str(value)[-40:])
def test_overrides(preset: str, overrides: list[str], path: str, code: str) -> None:
    errors = [p for p in registry.check(preset, overrides) if p.severity == "error"]
    assert [(error.path, error.code) for error in errors] == ([(path, code)] if path else [])
