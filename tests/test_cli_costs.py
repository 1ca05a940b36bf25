"""`arch flops` with --by, several presets, --sweep and --plot; `arch diff`; `arch solve`."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import render
from cli.main import app
from registry.cost import DTYPE_BYTES, cost
from registry.plan import load
from tests.test_cli import arch, folder, python

__all__ = ["app", "folder"]  # a fixture
X = render.TIMES
PAIR = ("vit5_full_attention", "vit5_full_hyena")


def data(*arguments: str) -> Any:
    """The JSON a command prints."""
    result = arch(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rows(text: str) -> list[dict[str, str]]:
    """CSV as one mapping a row."""
    return list(csv.DictReader(io.StringIO(text)))


# ---- shares -----------------------------------------------------------------------------------------------------


def test_bars_by_component() -> None:
    text = arch("flops", "vit5_hybrid", "--by", "component").stdout
    first = text.splitlines()[5]
    assert first.startswith(f"mlp {X}12 ")
    assert f"60.7   {'█' * 30}   14.2 M" in first
    assert f"rms_norm {X}49" in text
    assert "add up to the whole" in text


def test_bars_by_path_fold_equal_modules() -> None:
    text = arch("flops", "vit5_hybrid", "--by", "path").stdout
    assert f"blocks.{{0,2,…,10}}.mlp {X}6  mlp" in text
    assert "\nvit5_classification_net " in text
    shallow = arch("flops", "vit5_hybrid", "--by", "path", "--depth", "1").stdout
    assert f"blocks.{{1,3,…,11}} {X}6  vit5_residual_block" in shallow
    assert "deeper than 1" in shallow


def test_bars_by_kind() -> None:
    lines = arch("flops", "vit5_hybrid", "--by", "kind").stdout.splitlines()
    assert lines[3].split() == ["operation", "FLOPs", "%"]
    assert lines[5].startswith("matmul ")
    shares = data("flops", "vit5_hybrid", "--by", "kind")["shares"]
    assert sum(share["flops"] for share in shares) == cost(load("vit5_hybrid")).flops


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("by", ["path", "component", "kind"])
def test_bars_fit_a_terminal(by: str, columns: int) -> None:
    text = arch("flops", "vit5_hybrid", "--by", by, columns=columns, color=True).stdout
    plain = "".join(piece.partition("m")[2] if index else piece for index, piece in enumerate(text.split("\x1b[")))
    assert max(map(len, plain.splitlines())) <= columns


def test_a_bar_in_ascii() -> None:
    code = "from cli.main import run; run()"
    result = python(code, "flops", "vit5_hybrid", "--by", "kind", env={"PYTHONIOENCODING": "ascii"})
    assert "#" * 30 in result.stdout
    assert "\\u" not in result.stdout


def test_json_of_one_preset_has_nothing_new() -> None:
    plain = data("flops", "vit5_hybrid", "--depth", "1")
    assert plain == {**cost(load("vit5_hybrid")).to_dict(1), "preset": "vit5_hybrid"}
    assert set(plain["memory"]) == {"param_bytes", "buffer_bytes", "total_bytes"}
    cut = data("flops", "vit5_hybrid", "--depth", "1", "--by", "component")
    assert set(cut) - set(plain) == {"by", "shares"}


# ---- memory and several presets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPE_BYTES)
def test_memory_of_a_dtype(dtype: str) -> None:
    memory = data("flops", "vit5_hybrid", "--dtype", dtype, "--depth", "0")["memory"]
    assert memory["param_bytes"] == 22_176_960 * DTYPE_BYTES[dtype]
    assert f"weights, {dtype}" in arch("flops", "vit5_hybrid", "--dtype", dtype, "--depth", "0").stdout


def test_memory_of_training() -> None:
    """Gradients, the state of the optimizer, and what autograd keeps, which grows with the batch."""
    reports = [
        data("flops", "vit5_hybrid", "--mode", "train", "--batch", str(batch), "--depth", "0") for batch in (1, 2, 3)
    ]
    for report in reports:
        memory, params = report["memory"], report["params"]
        assert memory["total_bytes"] == sum(n for name, n in memory.items() if name != "total_bytes")
        assert memory["grad_bytes"] == memory["param_bytes"] == 4 * params
        assert report["optimizer"].pop("name") == "adamw"
        assert memory["optimizer_bytes"] == sum(report["optimizer"].values())
        assert report["optimizer"]["exp_avg"] == 4 * params
    saved = [report["memory"]["saved_bytes"] for report in reports]
    assert saved[2] - saved[1] == saved[1] - saved[0] > 0
    text = arch("flops", "vit5_hybrid", "--mode", "train", "--optimizer", "sgd_momentum", "--depth", "0").stdout
    assert "optimizer, sgd_momentum" in text
    assert "saved for backward" in text


@pytest.mark.parametrize("optimizer", ["none", "sgd"])
def test_an_optimizer_without_state(optimizer: str) -> None:
    report = data("flops", "vit5_hybrid", "--mode", "train", "--optimizer", optimizer, "--depth", "0")
    assert report["memory"]["optimizer_bytes"] == 0
    assert report["optimizer"] == {"name": optimizer}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--mode", "train", "--optimizer", "adam_w"), "did you mean adamw"),
        (("--optimizer", "adamw"), "Expected --mode train with --optimizer, got forward"),
    ],
)
@pytest.mark.parametrize("command", [("flops",), ("diff", "vit5_full_hyena"), ("solve", "--vary=depth", "--params=1M")])
def test_a_wrong_optimizer(command: tuple[str, ...], arguments: tuple[str, ...], says: str) -> None:
    result = arch(*command, "vit5_hybrid", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_recurrent_state_is_memory_of_a_step() -> None:
    report = data("flops", "s4d_attention_language", "--batch", "3", "--depth", "0")
    assert report["memory"]["state_bytes"] > 0
    assert "recurrent state" in arch("flops", "s4d_attention_language", "--depth", "0").stdout


def test_conventions_are_views_of_the_same_counts() -> None:
    every = {
        name: data("flops", "vit5_full_hyena", "--set", "patch_size=4", "--convention", name, "--depth", "0")
        for name in ("all", "complex-fft", "matmul", "mac")
    }
    assert every["all"]["kinds"]["fft"] == 6_072_869_376  # half of the complex price, which the reference charges
    assert every["complex-fft"]["kinds"]["fft"] == 12_038_049_792
    assert every["complex-fft"]["flops"] - every["all"]["flops"] == 12_038_049_792 - 6_072_869_376
    assert every["mac"]["flops"] * 2 == every["matmul"]["flops"]
    assert every["mac"]["unit"] == "mac"
    assert "MACs" in arch("flops", "vit5_hybrid", "--convention", "mac", "--depth", "0").stdout


def test_several_presets() -> None:
    reports = data("flops", *PAIR, "--depth", "0")
    assert [report["preset"] for report in reports] == list(PAIR)
    assert reports[0] == data("flops", PAIR[0], "--depth", "0")
    lines = arch("flops", *PAIR).stdout.splitlines()
    assert lines[2].split()[:5] == ["preset", "params", "float32", "FLOPs", "ratio"]
    assert lines[4].split()[0] == PAIR[0]
    assert "1.030" in lines[5]
    table = arch("flops", *PAIR, PAIR[0], "--by", "kind").stdout
    assert f"{PAIR[0]} 2" in table
    assert "total" in table
    missing = arch("flops", PAIR[0], "nowhere")
    assert (missing.exit_code, missing.stdout) == (2, "")


def test_csv_is_exact() -> None:
    found = {name: cost(load(name)) for name in PAIR}
    table = rows(arch("flops", *PAIR, "--format", "csv").stdout)
    assert {row["preset"]: int(row["flops"]) for row in table} == {name: one.flops for name, one in found.items()}
    assert [int(row["fft"]) for row in table] == [0, found[PAIR[1]].kinds["fft"]]
    modules = rows(arch("flops", PAIR[0], "--format", "csv").stdout)
    assert sum(int(row["flops"]) for row in modules) == found[PAIR[0]].flops
    assert sum(int(row["params"]) for row in modules) == found[PAIR[0]].params
    assert modules[0]["path"] == ""
    kinds = rows(arch("flops", *PAIR, "--by", "kind", "--format", "csv").stdout)
    assert {row["preset"] for row in kinds} == set(PAIR)
    assert kinds[0]["params"] == ""


def test_the_published_comparison() -> None:
    options = ("--set", "patch_size=4", "--convention", "nvsubquadratic")
    assert [report["flops"] for report in data("flops", *PAIR, *options, "--depth", "0")] == [
        315_601_428_096,
        153_678_406_848,
    ]
    assert "0.487" in arch("flops", *PAIR, *options).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("flops", "vit5_hybrid"),
        ("flops", "vit5_hybrid", "--sweep", "num_classes=1"),
        ("diff", "vit5_hybrid", "vit5_hybrid"),
        ("solve", "vit5_hybrid", "--vary", "num_classes=1", "--flops", "1G"),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments: tuple[str, ...]) -> None:
    for options in (("--convention", "nvsubquadratic", "--unit", "mac"), ("--mode", "train", "--cached-kernels")):
        result = arch(*arguments, *options)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("error: Expected --")


# ---- sweeps -----------------------------------------------------------------------------------------------------


def test_sweep_json() -> None:
    report = data("flops", *PAIR, "--sweep", "image_size=256:288:16", "--sweep", "num_classes=10,100")
    assert (report["batch"], report["convention"]) == (1, "all")
    assert len(report["points"]) == 12
    plan = load(PAIR[1], ["image_size=272", "num_classes=100"])
    (point,) = [
        point
        for point in report["points"]
        if point["preset"] == PAIR[1] and point["values"] == {"image_size": 272, "num_classes": 100}
    ]
    assert (point["params"], point["flops"], point["kinds"]) == (plan.params, cost(plan).flops, cost(plan).kinds)
    assert report["skipped"] == []
    assert [(flip["at"], flip["before"], flip["fixed"]) for flip in report["crossovers"]] == [
        (272, 256, {"num_classes": 10}),
        (272, 256, {"num_classes": 100}),
    ]


def test_sweep_text() -> None:
    text = arch("flops", *PAIR, "--sweep", "image_size=256:288:8").stdout
    assert "vit5_full_hyena costs less than vit5_full_attention from image_size=272 on (more at 256)" in text
    assert "4 of 10 points left out, as they are invalid:" in text
    assert "vit5_full_hyena image_size=264 and 1 point more: [patch-size] Expected image_size" in text
    one = arch("flops", PAIR[0], "--sweep", "patch_size=16").stdout
    assert one.splitlines()[2].split()[:3] == ["patch_size", "params", "FLOPs"]


def test_sweep_csv_and_its_reasons() -> None:
    result = arch("flops", "vit5_hybrid", "--sweep", "patch_size=14,15,16", "--batch", "2", "--format", "csv")
    assert result.exit_code == 0
    table = rows(result.stdout)
    assert [row["patch_size"] for row in table] == ["14", "16"]
    assert int(table[1]["flops"]) == cost(load("vit5_hybrid"), 2).flops
    assert result.stderr.startswith("warning: left out vit5_hybrid patch_size=15: Expected image_size to be divisible")
    assert result.stderr.count("\n") == 1
    lists = arch("flops", "ccnn_classifier", "--sweep", "input.shape=[28,28,1],[14,14,1]", "--format", "csv")
    assert [row["input.shape"] for row in rows(lists.stdout)] == ["[28, 28, 1]", "[14, 14, 1]"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("vit5_hybrid", "--sweep", "patch_size"), 2, "Expected KEY=V1,V2"),
        (("vit5_hybrid", "--sweep", "n=1", "--sweep", "n=2"), 2, "got n twice"),
        (("vit5_hybrid", "--sweep", "n=1:1000", "--sweep", "m=1:1000"), 2, "at most 100,000 points"),
        (("vit5_hybrid", "--sweep", "n=1", "--by", "kind"), 2, "no --by with --sweep"),
        (("vit5_hybrid", "--sweep", "n=1", "--depth", "1"), 2, "no --depth with --sweep"),
        (("vit5_hybrid", "--plot", "a.png"), 2, "--sweep KEY=VALUES with --plot"),
        (("nowhere", "--sweep", "n=1"), 2, "unknown-preset"),
        (("vit5_hybrid", "--sweep", "n=1", "--set", "nonsense"), 2, ""),
        (("vit5_hybrid", "--sweep", "nonsense=1"), 1, ""),
    ],
)
def test_sweeps_that_cannot_be(arguments: tuple[str, ...], code: int, says: str) -> None:
    result = arch("flops", *arguments)
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.output
    if not says:  # the reason is what there is to print
        assert "1 of 1 point left out" in result.stdout


def test_progress_only_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arch("flops", "vit5_hybrid", "--sweep", "num_classes=1:3", color=True).stderr == ""
    monkeypatch.setattr(render, "PATIENCE", -1.0)
    assert arch("flops", "vit5_hybrid", "--sweep", "num_classes=1:3").stderr == ""  # no terminal
    shown = arch("flops", "vit5_hybrid", "--sweep", "num_classes=1:3", "--format", "json", color=True)
    assert "3/3" in shown.stderr
    assert len(json.loads(shown.stdout)["points"]) == 3


# ---- plots ------------------------------------------------------------------------------------------------------


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        file = tmp_path / f"scaling.{suffix}"
        result = arch("flops", *PAIR, "--sweep", "image_size=112:448:112", "--plot", str(file))
        assert result.exit_code == 0, result.output
        assert file.read_bytes().startswith(start)
        assert str(file) in result.stdout
    many = arch("flops", *PAIR, "--sweep", "image_size=256,272", "--sweep", "patch_size=8,16", "--plot", str(file))
    assert many.exit_code == 0


def test_plot_wants_numbers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "a.png"
    result = arch("flops", "vit5_hybrid", "--sweep", "readout=cls,gap", "--plot", str(file))
    assert result.exit_code == 2
    assert "numbers above zero as readout" in result.stderr
    assert not file.exists()
    wrong = arch("flops", "vit5_hybrid", "--sweep", "num_classes=1", "--plot", "a.txt")
    assert wrong.exit_code == 2
    assert "end in .png, .svg, .pdf" in wrong.stderr


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = arch("flops", "vit5_hybrid", "--sweep", "num_classes=1", "--plot", "a.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: Expected matplotlib to be installed for --plot, got none: pip install")
    assert result.stderr.count("\n") == 1


def test_ticks_are_swept_values_that_do_not_touch() -> None:
    from cli.plotting import TICKS, _si, _ticks

    assert _ticks([4, 8, 16]) == [4, 8, 16]
    assert _ticks([100, 101, 400]) == [100, 400] or _ticks([100, 101, 400]) == [101, 400]
    many = _ticks(range(112, 1793, 16))
    assert len(many) <= TICKS
    assert many[-1] == 1792
    assert set(many) <= set(range(112, 1793, 16))
    assert [_si(value) for value in (1, 20e9, 1e12, 5e3)] == ["1", "20 G", "1 T", "5 k"]


# ---- diff -------------------------------------------------------------------------------------------------------


def test_diff_text() -> None:
    result = arch("diff", "vit5_full_hyena", "vit5_hybrid", "--set-b", "num_classes=10")
    assert result.exit_code == 0
    text = result.stdout
    assert text.startswith("vit5_full_hyena → vit5_hybrid num_classes=10\n")
    for piece in ("siren_kernel_nd", "block_diagonal_multi_omega_siren_kernel_nd", "HHHHHHHHHHHH", "weights, float32"):
        assert piece in text, piece
    same = arch("diff", "vit5_hybrid", "vit5_hybrid", "--set", "patch_size=8").stdout
    assert "the configurations are the same" in same


def test_diff_json() -> None:
    left, right = load("vit5_hybrid", ["patch_size=8"]), load("vit5_hybrid", ["patch_size=8", "hidden_dim=192"])
    arguments = ("vit5_hybrid", "vit5_hybrid", "--set", "patch_size=8", "--set-b", "hidden_dim=192")
    found = data("diff", *arguments, "--batch", "2", "--dtype", "bfloat16")
    assert (found["left"], found["right"], found["batch"]) == ("vit5_hybrid", "vit5_hybrid", 2)
    assert {"path": "hidden_dim", "change": "changed", "left": 384, "right": 192} in found["changes"]
    assert found["flops"]["left"] == cost(left, 2).flops
    assert found["flops"]["right"] == cost(right, 2).flops
    assert found["memory"]["param_bytes"]["right"] == 2 * right.params
    assert data("diff", *arguments, "--set-a", "hidden_dim=192")["changes"] == []


def test_diff_of_what_is_invalid() -> None:
    result = arch("diff", "vit5_hybrid", "vit5_hybrid", "--set-b", "patch_size=15")
    assert result.exit_code == 1
    assert "patch-size" in result.stderr
    assert result.stdout == ""


# ---- solve ------------------------------------------------------------------------------------------------------


def test_solve_text() -> None:
    arguments = ("solve", "vit5_hybrid", "--vary", "hidden_dim=336:432:48,375", "--vary", "num_blocks=10,12")
    result = arch(*arguments, "--params", "22M", "--flops", "10G", "--top", "3")
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert text.startswith("vit5_hybrid: near 22.0 M params, 10.0 G FLOPs\n")
    assert "note: layer_pattern follows num_blocks: HA repeated to its length" in text
    assert "8 tried, 6 valid" in text
    assert "2 left out, such as: Expected hidden_dim to obey " in text
    again = text.splitlines()[-1].removeprefix("arch ").split()
    assert json.loads(arch(*again, "--format", "json", "--depth", "0").stdout)["params"] == 22_176_960


def test_solve_json() -> None:
    found = data("solve", "vit5_hybrid", "--vary", "num_classes,hidden_dim=384", "--params", "21.9M", "--top", "2")
    assert found["budget"] == {"params": 21_900_000}
    best = found["candidates"][0]
    assert best["params"] == load("vit5_hybrid", best["set"]).params
    assert abs(best["off_percent"]["params"]) < 0.1
    assert best["pareto"] is True
    assert len(found["candidates"]) == 2


def test_solve_that_finds_nothing() -> None:
    result = arch("solve", "vit5_hybrid", "--vary", "patch_size=8,16", "--params", "1K", "--max")
    assert result.exit_code == 1
    assert "2 tried, 2 valid, 0 within the budget" in result.stdout
    assert "nothing fits" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--vary", "patch_size"), 2, "Expected a budget"),
        (("--params", "1M"), 2, "--vary"),
        (("--vary", "patch_size", "--params", "1X"), 2, "such as 22M, got '1X'"),
        (("--vary", "a,a", "--params", "1M"), 2, ""),
        (("--vary", "a,", "--params", "1M"), 2, "Expected --vary"),
        (("--vary", "patch_size=", "--params", "1M"), 2, "Expected KEY="),
        (("--vary", "patch_size", "--vary", "patch_size=8", "--params", "1M"), 2, "every key once"),
        (("--vary", "readout", "--params", "1M"), 2, "a positive integer as readout"),
        (("--vary", "patch_size", "--params", "1M", "--set", "image_size=17"), 1, "patch-size"),
    ],
)
def test_solves_that_cannot_be(arguments: tuple[str, ...], code: int, says: str) -> None:
    result = arch("solve", "vit5_hybrid", *arguments)
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""
    assert arch("solve", "nowhere", "--vary", "a", "--params", "1M").exit_code == 2
