"""Rooflines: bytes and times by hand, totals that are those of the cost, plausible devices, `arch roofline`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import registry
from registry.devices import CEILINGS, WIDTHS, Device, UnknownDevice, devices
from registry.devices import load as load_device
from registry.errors import CostUnknown, InvalidConfig, Unreadable
from registry.roofline import BOUNDS, FUSIONS, TrafficTape, roofline
from registry.shapes import Shape
from registry.sources import presets
from registry.tape import Record
from tests.test_cli import X, arch, python

MLP = {"type": "mlp", "dim": 6, "activation": "gelu", "expansion_factor": 2, "input": {"shape": [5, 6]}}
LINEAR = {"type": "linear", "in_features": 4, "out_features": 3, "input": {"shape": [5, 4]}}
BARE = {"type": "attention", "num_heads": 2, "hidden_dim": 8, "apply_qk_norm": False, "use_rope": False}
DEVICE = """\
title: mine
source: measured
matrix: {float32: 4e12, float16: 16e12}
vector: {float32: 2e12}
bandwidth: 1e12
memory: 1e9
fft: {fraction: 0.5, assumed: false}
"""


def device(**changes: Any) -> Device:
    """A device of round figures."""
    figures = {
        "title": "mine",
        "source": "made up",
        "matrix": {"float32": 4e12, "float16": 16e12},
        "vector": {"float32": 2e12},
        "bandwidth": 1e12,
        "memory": 1e9,
        "fft": {"fraction": 0.5, "assumed": False},
    }
    return Device.model_validate({**figures, **changes})


ENDLESS, NARROW = device(bandwidth=1e40), device(bandwidth=1e6)
"""Devices on which nothing, and on which everything is bound by memory."""


def moved(use: Callable[..., Any], *inputs: Shape, width: int = 4) -> tuple[int, int]:
    """Unfused and fused bytes of operations of one component."""
    tape = TrafficTape(width)
    record = Record(registry.load(LINEAR).root, ())
    tape._open.append(record)
    tape.settle(use(tape, *tape.feed(inputs, needs_grad=False)))
    return record.counts["moved"], record.counts["fused"]


# ---- bytes by hand ----------------------------------------------------------------------------------------------


def test_bytes_of_a_linear_map() -> None:
    once = 4 * (10 * 4 + 10 * 3 + 3 * 4 + 3)
    assert moved(lambda tape, x: tape.linear(x, 3, bias=True), Shape((10, 4))) == (once, once)


def test_bytes_of_a_sum_that_broadcasts() -> None:
    once = 2 * (6 + 3 + 6)
    assert moved(lambda tape, x, y: tape.plus(x, y), Shape((2, 3)), Shape((1, 3)), width=2) == (once, once)


def test_bytes_of_a_transform() -> None:
    """Five samples padded to eight: five frequencies of two numbers."""
    padding, transform = 4 * (2 * 5 + 2 * 8), 4 * (2 * 8 + 2 * 5 * 2)
    fused = 4 * (2 * 5 + 2 * 5 * 2)
    assert moved(lambda tape, x: tape.rfft(x, (8,)), Shape((2, 5))) == (padding + transform, fused)


def test_what_a_component_makes_and_uses_itself_is_not_moved_when_fused() -> None:
    unfused, fused = moved(lambda tape, x: tape.plus(x, tape.pointwise("silu", x)), Shape((7,)))
    assert unfused == 4 * 7 * (2 + 3)
    assert fused == 4 * 7 * 2


def test_a_written_spectrum_is_complex() -> None:
    n = 12
    assert moved(lambda tape, x: tape.complex_multiply(tape.rfft(x, (4,)), Shape((4, 3))), Shape((4, 4)))[0] == (
        4 * 16 + 8 * n + 3 * 8 * n
    )


def test_attention_moves_no_scores() -> None:
    heads = Shape((2, 3, 5, 8))
    _, fused = moved(lambda tape, q, k, v: tape.attention(q, k, v), heads, heads, heads)
    assert fused == 4 * 4 * heads.size


def test_a_fused_mlp_moves_input_output_and_parameters() -> None:
    (part,) = roofline(registry.load(MLP), device(), 3).parts()
    assert part.bytes["fused"] == 4 * (2 * 3 * 5 * 6 + part.params)
    assert part.bytes["unfused"] == 4 * (2 * 3 * 5 * 6 + part.params + 4 * 3 * 5 * 12)


def test_what_one_module_makes_another_reads() -> None:
    """A block of an attention net scales and adds: its input and two branches are read, two sums are written."""
    plan = registry.load("vit5_full_attention")
    block = next(part for part in roofline(plan, device(), 2).parts() if part.name == "blocks.0")
    tokens, width = 201, 384
    assert block.params == 2 * width
    assert block.bytes["fused"] == 4 * ((3 + 2) * 2 * tokens * width + block.params)


def test_a_component_that_does_not_say_what_it_moves_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def bare(config, tape, x):
        tape.transcendental(x.size)
        return x

    monkeypatch.setattr(registry.get("gelu").schema, "forward", bare)
    plan = registry.load({"type": "gelu", "input": {"shape": [3]}})
    with pytest.raises(CostUnknown, match="what it reads and writes, got none for gelu"):
        roofline(plan, device())


# ---- times by hand ----------------------------------------------------------------------------------------------


def test_times_of_a_linear_map() -> None:
    part = roofline(registry.load(LINEAR), device(), 2).total
    assert part.flops == {"matrix": 2 * 10 * 4 * 3, "vector": 10 * 3}
    size = 4 * (10 * 4 + 10 * 3 + 15)
    assert part.bytes == {"unfused": size, "fused": size}
    assert part.time("unfused") == pytest.approx(size / 1e12)
    assert part.bound("unfused") == "memory"
    assert part.intensity("fused") == 270 / size
    busy = roofline(registry.load(LINEAR), ENDLESS, 2).total
    assert busy.time("fused") == pytest.approx(240 / 4e12 + 30 / 2e12)
    assert busy.bound("fused") == "matrix"


def test_ceilings_and_ridges() -> None:
    found = roofline(registry.load(LINEAR), device(), dtype="float16")
    assert found.ceilings == {"matrix": 16e12, "vector": 2e12, "fft": 1e12}
    assert found.ridges == {"matrix": 16, "vector": 2, "fft": 1}
    assert found.total.bytes["fused"] == 2 * (5 * 4 + 5 * 3 + 15)


def test_work_of_one_module_adds_up() -> None:
    """A convolution by transforms has all of it; what takes longest gives the bound its name."""
    plan = registry.load("vit5_full_hyena")
    slow = device(bandwidth=1e40, fft={"fraction": 1e-6})
    for found, bound in ((roofline(plan, ENDLESS), "vector"), (roofline(plan, slow), "fft")):
        part = next(part for part in found.parts("component") if part.type == "ckconv_nd")
        peaks = found.ceilings
        assert part.time("fused") == pytest.approx(sum(count / peaks[unit] for unit, count in part.flops.items()))
        assert bound == "vector" or part.bound("fused") == bound


def test_depthwise_convolutions_are_vector_work() -> None:
    def conv(groups: int, channels: int = 6) -> dict[str, Any]:
        config = {"type": "conv2d", "in_channels": channels, "out_channels": 6, "kernel_size": 3, "groups": groups}
        plan = registry.load({**config, "bias": False, "input": {"shape": [channels, 8, 8]}})
        return dict(roofline(plan, device()).total.flops)

    assert set(conv(6)) == {"vector"}
    assert set(conv(3)) == set(conv(1)) == set(conv(1, channels=1)) == {"matrix"}


@pytest.mark.parametrize("name", presets())
def test_totals_are_those_of_the_cost(name: str) -> None:
    plan = registry.load(name)
    found, cost = roofline(plan, device(), 2), registry.cost(plan, 2)
    assert sum(found.total.flops.values()) == cost.flops
    assert found.total.flops.get("fft", 0) == cost.kinds.get("fft", 0)
    assert found.total.flops["matrix"] <= cost.kinds["matmul"] + cost.kinds.get("conv", 0)
    assert found.total.params == plan.params
    for by in ("path", "component"):
        parts = found.parts(by)
        assert sum(sum(part.flops.values()) for part in parts) == cost.flops
        for way in FUSIONS:
            assert sum(part.bytes[way] for part in parts) == found.total.bytes[way]
            assert sum(part.time(way) for part in parts) == pytest.approx(found.total.time(way))
    for _, part in found.modules:
        assert 0 <= part.bytes["fused"] <= part.bytes["unfused"]
        assert part.time("fused") <= part.time("unfused")
        assert all(count > 0 for count in part.flops.values())
        assert part.bound("fused") in (*BOUNDS, "")


def test_moved_bytes_are_those_of_the_memory_tape() -> None:
    plan = registry.load("vit5_hybrid")
    for dtype, width in (("float32", 4), ("float16", 2)):
        record = plan.memory_record(3, width=width, input_grad=False)
        assert record is not None
        assert roofline(plan, device(), 3, dtype=dtype).total.bytes["unfused"] == record.total["moved"]


def test_everything_is_bound_by_arithmetic_on_endless_bandwidth() -> None:
    plan = registry.load("vit5_full_attention")
    for part in roofline(plan, ENDLESS).parts():
        assert "memory" not in {*part.seconds["unfused"], *part.seconds["fused"]}
    assert roofline(plan, ENDLESS).total.bound("unfused") == "matrix"


def test_everything_is_bound_by_memory_on_a_narrow_bus() -> None:
    for part in roofline(registry.load("vit5_hybrid"), NARROW, 8).parts():
        assert set(part.seconds["fused"]) == {"memory"}
        assert part.time("fused") == pytest.approx(part.bytes["fused"] / 1e6)


@pytest.mark.parametrize("name", ["vit5_full_attention", "vit5_hybrid", "s4_classifier"])
def test_every_input_costs_the_same(name: str) -> None:
    """What does not depend on the batch, kernels and parameters, is there once; the rest is linear in it."""
    plan = registry.load(name)
    for way in FUSIONS:
        sizes = [roofline(plan, device(), batch).total.bytes[way] for batch in (2, 3, 4)]
        assert sizes[1] - sizes[0] == sizes[2] - sizes[1] > 0
        assert sizes[0] > 2 * (sizes[1] - sizes[0])


def test_bigger_batches_are_denser() -> None:
    plan = registry.load("vit5_hybrid")
    for way in FUSIONS:
        densities = [roofline(plan, device(), batch).total.intensity(way) or 0 for batch in (1, 8, 64)]
        assert densities == sorted(densities)


@pytest.mark.parametrize("name", ["vit5_full_hyena", "s4d_classifier"])
def test_cached_kernels_leave_out_work_and_bytes(name: str) -> None:
    plan = registry.load(name)
    full, cached = roofline(plan, device()), roofline(plan, device(), cached_kernels=True)
    assert sum(cached.total.flops.values()) == registry.cost(plan, cached_kernels=True).flops
    assert all(cached.total.bytes[way] < full.total.bytes[way] for way in FUSIONS)


def test_depth_gives_what_is_deeper_to_its_ancestor() -> None:
    found = roofline(registry.load("vit5_hybrid"), device())
    (whole,) = found.parts(depth=0)
    assert (whole.count, whole.name, whole.flops) == (1, "", found.total.flops)
    shallow = {part.name: part for part in found.parts(depth=1)}
    inside = [part for part in found.parts() if part.name.split(".")[:2] == ["blocks", "0"]]
    assert shallow["blocks.0"].time("fused") == pytest.approx(sum(part.time("fused") for part in inside))
    assert shallow["blocks.0"].count == 1
    by_type = {part.name: part for part in found.parts("component", depth=1)}
    assert by_type["vit5_residual_block"].count == 12


def test_what_cannot_be_estimated() -> None:
    with pytest.raises(CostUnknown, match="say what it is fed"):
        roofline(registry.load(BARE), device())
    with pytest.raises(ValueError, match="batch to be at least 1"):
        roofline(registry.load(LINEAR), device(), 0)
    with pytest.raises(ValueError, match=r"a type that mine has rates for, float32, tf32.*, got bfloat16"):
        roofline(registry.load(LINEAR), device(matrix={"float32": 1e12, "tf32": 2e12}), dtype="bfloat16")
    with pytest.raises(ValueError, match="got int8"):
        roofline(registry.load(LINEAR), device(), dtype="int8")


# ---- devices ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", devices())
def test_every_device_is_plausible(name: str) -> None:
    found = load_device(name)
    assert found == devices()[name]
    assert found.assumed or re.search(r"20[12]\d", found.source), "a source has a year"
    rates = found.matrix
    narrow = [rate for rate in (rates.tf32, rates.bfloat16, rates.float16) if rate]
    assert all(rate >= rates.float32 for rate in narrow)
    assert narrow == sorted(narrow)
    assert max(narrow, default=0) <= 16 * rates.float32, "a rate with sparsity"
    assert rates.float32 >= found.vector.float32
    for wide in (rates.float64, found.vector.float64):
        assert wide is None or wide <= rates.float32
    assert 1e10 < found.bandwidth < 1e13
    assert 8e9 <= found.memory < 1e12
    assert found.fft.assumed
    for dtype in found.dtypes:
        assert found.ceilings(dtype)["matrix"] / found.bandwidth > 1


def test_types_of_numbers() -> None:
    h100 = load_device("h100-sxm")
    assert h100.dtypes == list(WIDTHS)
    assert h100.ceilings("bfloat16") == {"matrix": 989.4e12, "vector": 66.9e12, "fft": 66.9e12 / 4}
    assert h100.ceilings("tf32")["matrix"] == 494.7e12
    assert h100.ceilings("float64") == {"matrix": 66.9e12, "vector": 33.5e12, "fft": 33.5e12 / 4}
    assert "bfloat16" not in load_device("v100-sxm2").dtypes


def test_a_device_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(DEVICE)
    assert load_device(str(path)) == device(source="measured")
    path.write_text(DEVICE.replace("fft: {fraction: 0.5, assumed: false}\n", ""))
    assert load_device(str(path)).fft.assumed


def test_an_unknown_device() -> None:
    with pytest.raises(UnknownDevice, match="got 'h100-sxn'; did you mean h100-sxm"):
        load_device("h100-sxn")
    with pytest.raises(UnknownDevice, match=r"got 'abacus'; devices: h100-sxm, .*; a path ends in \.yaml"):
        load_device("abacus")


WRONG = [
    ("bandwidth:", "bandwith:", "unknown-field", "did you mean bandwidth?", "bandwith", 5, 1),
    ("float16", "flaot16", "unknown-field", "did you mean float16", "matrix.flaot16", 3, 25),
    ("float16", "half", "unknown-field", "fields: float32, tf32, float64", "matrix.half", 3, 25),
    ("title: mine", "titel: mine", "unknown-field", "did you mean title?", "titel", 1, 1),
    ("bandwidth: 1e12", "bandwidth: 3.35", "bad-value", "such as 3.35e12", "bandwidth", 5, 12),
    ("bandwidth: 1e12", "bandwidth: fast", "bad-value", "such as 3.35e12", "bandwidth", 5, 12),
    ("bandwidth: 1e12", "bandwidth: '12'", "bad-value", "write bandwidth: 12 without quotes", "bandwidth", 5, 12),
    ("float32: 4e12", "float32: -4e12", "bad-value", "FLOP per second", "matrix.float32", 3, 19),
    ("float32: 4e12", "float32: null", "bad-value", "FLOP per second", "matrix.float32", 3, 19),
    ("float32: 4e12, ", "", "missing-field", "add float32", "matrix.float32", 3, 9),
    ("memory: 1e9\n", "", "missing-field", "add memory (bytes, such as 80e9)", "memory", 1, 1),
    ("{float32: 2e12}", "2e12", "bad-value", "vector has float32, float64", "vector", 4, 9),
    ("fraction: 0.5", "fraction: 5", "bad-value", "share of the vector peak", "fft.fraction", 7, 17),
    ("assumed: false", "assumed: 0", "bad-value", "false if the fraction was measured", "fft.assumed", 7, 31),
    ("source: measured", "source: ''", "bad-value", "where the figures come from", "source", 2, 9),
]


@pytest.mark.parametrize(("old", "new", "code", "hint", "path", "line", "column"), WRONG)
def test_a_faulty_device_is_one_problem_at_its_place(
    old: str, new: str, code: str, hint: str, path: str, line: int, column: int, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(DEVICE.replace(old, new))
    with pytest.raises(InvalidConfig) as caught:
        load_device(str(file))
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == (code, path)
    assert (problem.file, problem.line, problem.column) == (str(file), line, column)
    assert hint in problem.hint
    assert re.match(r"Expected .+, got .+|Expected .+ to have .+", problem.message)
    result = arch("roofline", "vit5_hybrid", "--device", str(file))
    assert result.exit_code == 1
    assert f"mine.yaml:{line}:{column}" in result.stderr
    assert "Traceback" not in result.output


def test_every_fault_is_reported_in_order(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("titel: mine\nmatrix: 5\nvector: {float32: fast}\nbandwidth: 1e12\nmemory: 5\n")
    with pytest.raises(InvalidConfig) as caught:
        load_device(str(file))
    assert [problem.path for problem in caught.value.problems] == [
        "source",
        "titel",
        "matrix",
        "vector.float32",
        "memory",
    ]


@pytest.mark.parametrize("text", ["[" * 50_000, "a: &x 1", "title: !!python/object:os.system x", "", "- 1", "a: \x00"])
def test_a_hostile_device_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(Unreadable):
        load_device(str(file))
    assert arch("roofline", "vit5_hybrid", "--device", str(file)).exit_code == 2


# ---- the commands -----------------------------------------------------------------------------------------------


def data(*arguments: str) -> Any:
    """The JSON a command prints."""
    result = arch(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_text() -> None:
    text = arch("roofline", "vit5_hybrid", "--dtype", "bfloat16", "--batch", "64", "--by", "component").stdout
    lines = text.splitlines()
    assert lines[1] == "estimate: forward pass of batch 64 in bfloat16 on NVIDIA H100 SXM 80 GB"
    assert re.search(r"^matrix +989 TFLOP/s +ridge 295 FLOP/B$", text, flags=re.MULTILINE)
    assert re.search(r"^fft +16.7 TFLOP/s +ridge 4.99 FLOP/B +0.25 of vector, assumed$", text, flags=re.MULTILINE)
    assert re.search(r"^unfused +\d.* memory", text, flags=re.MULTILINE)
    assert re.search(rf"^mlp {X}12 .* memory → matrix +\S+ us ", text, flags=re.MULTILINE)
    assert "an estimate: ceilings are peaks" in lines[-1]


def test_equal_modules_are_one_row() -> None:
    text = arch("roofline", "vit5_hybrid").stdout
    assert f"blocks.{{0,2,…,10}}.mlp {X}6  mlp" in text
    assert f"blocks.{{1,3,…,11}} {X}6  vit5_residual_block" in arch("roofline", "vit5_hybrid", "--depth", "1").stdout


def test_fused_bytes_change_the_order() -> None:
    unfused, fused = (
        arch("roofline", "vit5_hybrid", "--by", "component", "--dtype", "bfloat16", "--batch", "64", *more).stdout
        for more in ([], ["--fused"])
    )
    first = [next(line for line in text.splitlines() if X in line).split()[0] for text in (unfused, fused)]
    assert first == ["rms_norm", "ckconv_nd"]


def test_json_adds_up_and_is_documented() -> None:
    found = data("roofline", "vit5_hybrid", "--batch", "4", "--dtype", "float16", "--device", "l4")
    assert found["estimate"] is True
    assert (found["preset"], found["batch"], found["mode"], found["dtype"]) == ("vit5_hybrid", 4, "forward", "float16")
    assert found["device"].pop("name") == "l4"
    assert Device.model_validate(found["device"]) == load_device("l4")
    assert set(found["ceilings"]) == set(BOUNDS)
    assert set(found["ridges"]) == set(CEILINGS)
    assert found["total"]["flops"]["total"] == registry.cost(registry.load("vit5_hybrid"), 4).flops
    for way in FUSIONS:
        assert sum(part["seconds"][way] for part in found["parts"]) == pytest.approx(found["total"]["seconds"][way])
        assert sum(part["bytes"][way] for part in found["parts"]) == found["total"]["bytes"][way]
    assert all(part["bound"]["fused"] in BOUNDS for part in found["parts"])
    estimate = roofline(registry.load("vit5_hybrid"), load_device("l4"), 4, dtype="float16")
    assert json.loads(json.dumps({**estimate.to_dict(), "preset": "vit5_hybrid"})) == found


def test_csv() -> None:
    text = arch("roofline", "vit5_hybrid", "--by", "component", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(int(row["flops"]) for row in rows) == registry.cost(registry.load("vit5_hybrid")).flops
    assert all(int(row["flops"]) == sum(int(row[unit]) for unit in CEILINGS) for row in rows)
    assert {row["unfused_bound"] for row in rows} <= set(BOUNDS)


def test_devices_are_listed_with_their_sources() -> None:
    text = arch("devices").stdout
    found = data("devices")
    assert [row["name"] for row in found] == list(devices())
    assert all(row["name"] in text and row["source"] in text for row in found)
    assert all(row["fft"]["assumed"] for row in found)
    assert "FFT rates are assumptions" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--device", "h100"], 2, "did you mean h100-sxm or h100-pcie"),
        (["--device", "abacus"], 2, "devices: h100-sxm"),
        (["--device", "nowhere.yaml"], 2, "Expected a readable file"),
        (["--device", "."], 2, "Expected the name of a device"),
        (["--device", "t4", "--dtype", "bfloat16"], 2, "rates for, float32, float16, got bfloat16"),
        (["--mode", "train"], 2, "the bytes that a backward pass moves are not known"),
        (["--set", "patch_size=15"], 1, "Expected image_size to be divisible"),
        (["--batch", "0"], 2, "--batch"),
        (["--by", "kind"], 2, "--by"),
    ],
)
def test_wrong_usage(arguments: list[str], code: int, said: str) -> None:
    result = arch("roofline", "vit5_hybrid", *arguments)
    assert result.exit_code == code, result.output
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not result.stdout


def test_a_network_without_input_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text(json.dumps(BARE))
    result = arch("roofline", str(file))
    assert result.exit_code == 1
    assert "say what it is fed" in result.stderr


def test_weights_that_do_not_fit_are_told(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(DEVICE.replace("1e9", "10e6"))
    result = arch("roofline", "vit5_hybrid", "--device", str(file))
    assert result.exit_code == 0
    assert "Expected weights that the 10.0 MB of mine hold, got 88.7 MB" in result.stderr


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("by", ["path", "component"])
def test_it_fits_a_terminal(by: str, columns: int) -> None:
    text = arch("roofline", "vit5_hybrid", "--by", by, columns=columns, color=True).stdout
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= columns
    assert re.search(r"bound +time +%", plain)


def test_it_needs_no_torch() -> None:
    code = "sys.modules['torch'] = None\nfrom cli.main import run\nrun()"
    result = python(code, "roofline", "s4d_classifier", "--depth", "1")
    assert result.returncode == 0, result.stderr
    assert "estimate" in result.stdout
