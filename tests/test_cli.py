"""The commands: what they print, their JSON, their exit codes, and that nothing makes them show a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import render
from cli.main import app
from registry import store
from registry.limits import LIMITS
from registry.plan import load

ROOT = Path(__file__).parents[1]
X = render.TIMES
GOOD = "network: {type: mlp, dim: 6, activation: gelu}\ninput: {shape: [5, 6]}\n"
BAD = dedent(
    """\
    network:
      type: mlp
      dim: 6
      activation: gelo
      expansion_facto: 3
    """
)


def arch(*arguments: str, stdin: str | bytes | None = None, columns: int | None = None, color: bool = False) -> Result:
    """Run a command in this process."""
    env = {"COLUMNS": str(columns) if columns else None, "FORCE_COLOR": "1" if color else None}
    return CliRunner().invoke(app, list(arguments), input=stdin, env=env)


def python(code: str, *arguments: str, cwd: Path = ROOT, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that can import ours in a process of its own."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False, **more)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory with a good and a bad preset."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


# ---- validate ---------------------------------------------------------------------------------------------------


def test_validate_shows_every_problem_and_a_verdict(folder: Path) -> None:
    result = arch("validate", "bad.yaml")
    assert result.exit_code == 1
    assert result.stdout == dedent(
        """\
        error[bad-value]: Expected activation to be one of relu, gelu, silu, glu, swiglu, got 'gelo'
          --> bad.yaml:4:15   network.activation
           4 |   activation: gelo
             |               ^^^^
          hint: did you mean gelu?

        error[unknown-field]: Expected a field of mlp, got 'expansion_facto'
          --> bad.yaml:5:3   network.expansion_facto
           5 |   expansion_facto: 3
             |   ^^^^^^^^^^^^^^^
          hint: did you mean expansion_factor?

        ✗ bad.yaml is invalid (2 errors)
        """
    )
    assert result.stderr == ""


def test_validate_several(folder: Path) -> None:
    result = arch("validate", "good.yaml", "bad.yaml", "nowhere")
    assert result.exit_code == 2  # the worst of the three
    assert result.stdout.startswith("✓ good.yaml is valid (2 components, 144 parameters)\nerror[")
    assert result.stdout.endswith("\n✗ nowhere is invalid (1 error)\n\n3 presets: 1 valid, 2 invalid (3 errors)\n")
    assert arch("validate", "good.yaml", "bad.yaml").exit_code == 1
    assert arch("validate", "good.yaml", "good.yaml").stdout.endswith("\n2 presets: 2 valid\n")


def test_validate_json(folder: Path) -> None:
    result = arch("validate", "good.yaml", "bad.yaml", "nowhere", "--format", "json")
    assert result.exit_code == 2
    good, bad, nowhere = json.loads(result.stdout)
    assert good == {"preset": "good.yaml", "valid": True, "problems": []}
    assert (bad["preset"], bad["valid"], len(bad["problems"])) == ("bad.yaml", False, 2)
    assert bad["problems"][0] == {
        "code": "bad-value",
        "severity": "error",
        "message": "Expected activation to be one of relu, gelu, silu, glu, swiglu, got 'gelo'",
        "hint": "did you mean gelu?",
        "path": "network.activation",
        "file": "bad.yaml",
        "line": 4,
        "column": 15,
    }
    assert nowhere["problems"][0]["code"] == "unknown-preset"


def test_validate_for_github(folder: Path) -> None:
    result = arch("validate", "good.yaml", "bad.yaml", "--format", "github")
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert first.startswith("::error file=bad.yaml,line=4,col=15,title=bad-value::network.activation: Expected")
    assert second.startswith("::error file=bad.yaml,line=5,col=3,title=unknown-field::")


def test_validate_reads_standard_input() -> None:
    assert arch("validate", "-", stdin=GOOD).stdout == "✓ - is valid (2 components, 144 parameters)\n"
    bad = arch("validate", "-", stdin=BAD)
    assert bad.exit_code == 1
    assert "  --> <stdin>:4:15   network.activation\n   4 |   activation: gelo\n" in bad.stdout
    assert arch("flops", "-", "--format", "json", stdin=GOOD).exit_code == 0


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"[" * 50_000, "too-deep"),
        (b"a: " + b"x" * LIMITS.file_bytes, "too-large"),
        (b"a: \xff", "not-utf8"),
        (b"a: \x1b[31m", "unprintable"),
        (b"a: &x 1", "yaml-anchor"),
        (b"a: [", "yaml-syntax"),
        (b"- 1", "not-a-mapping"),
    ],
)
def test_what_is_no_document_is_unreadable(content: bytes, code: str) -> None:
    result = arch("validate", "-", stdin=content)
    assert result.exit_code == 2
    assert f"error[{code}]" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("preset", ["nowhere", "nowhere.yaml", ".", "/", "bad\x1b[31m", "", "/dev/null"])
def test_what_does_not_exist_is_unreadable(folder: Path, preset: str) -> None:
    for command in ("validate", "flops", "inspect", "instantiate"):
        result = arch(command, preset)
        assert result.exit_code == 2, command
        assert "error[" in result.output
        assert "\x1b" not in result.output


def test_overrides(folder: Path) -> None:
    wider = arch("validate", "good.yaml", "--set", "expansion_factor=3")
    assert wider.stdout == "✓ good.yaml is valid (2 components, 216 parameters)\n"
    bad = arch("validate", "good.yaml", "--set", "network.activation=gelo", "--set", "dim=6")
    assert bad.exit_code == 1
    assert "  --> --set network.activation=gelo   network.activation\n" in bad.stdout
    for malformed in ("nonsense", "dim=[", "=3", "activation.x.y"):
        assert arch("validate", "good.yaml", "--set", malformed).exit_code == 2, malformed


def test_problems_of_other_commands_go_to_stderr(folder: Path) -> None:
    for command in ("flops", "inspect", "instantiate"):
        result = arch(command, "bad.yaml", "--format", "json")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "error[bad-value]" in result.stderr
        assert result.stderr.endswith("✗ bad.yaml is invalid (2 errors)\n")


def test_many_problems_are_cut_in_text_and_complete_in_json(folder: Path) -> None:
    fields = "".join(f"  x{index}: 1\n" for index in range(LIMITS.problems_shown + 5))
    (folder / "many.yaml").write_text("network:\n  type: mlp\n  dim: 6\n  activation: gelu\n" + fields)
    text = arch("validate", "many.yaml").stdout
    assert text.count("error[") == LIMITS.problems_shown
    assert "\nand 5 more\n" in text
    (report,) = json.loads(arch("validate", "many.yaml", "--format", "json").stdout)
    assert len(report["problems"]) == LIMITS.problems_shown + 5


# ---- flops and inspect ------------------------------------------------------------------------------------------


def test_flops_text(folder: Path) -> None:
    result = arch("flops", "good.yaml")
    assert result.exit_code == 0
    assert result.stdout == dedent(
        """\
        good.yaml
        forward pass of batch 1, convention all: every scalar operation

        FLOPs               1.50 k  1,500
          matmul            1.44 k  1,440   96.0 %
          transcendental        60     60    4.0 %
        parameters             144    144
        memory               576 B    576
          weights, float32   576 B    576  100.0 %

        component    FLOPs       %   params   memory   matmul   transcendental
        ──────────────────────────────────────────────────────────────────────
        mlp         1.50 k   100.0      144    576 B   1.44 k               60
        """
    )


def test_flops_json(folder: Path) -> None:
    report = json.loads(arch("flops", "good.yaml", "--batch", "3", "--format", "json").stdout)
    assert report["preset"] == "good.yaml"
    assert (report["batch"], report["mode"], report["convention"], report["unit"]) == (3, "forward", "all", "flop")
    assert (report["flops"], report["params"]) == (4_500, 144)
    assert report["kinds"] == {"matmul": 4_320, "transcendental": 180}
    assert report["memory"] == {"param_bytes": 576, "buffer_bytes": 0, "total_bytes": 576}
    assert report["tree"]["type"] == "mlp"
    assert report["tree"]["memory_bytes"] == 576
    assert [child["path"] for child in report["tree"]["children"]] == ["dropout"]
    shallow = json.loads(arch("flops", "good.yaml", "--depth", "0", "--format", "json").stdout)
    assert shallow["tree"]["children"] == []


def test_flops_conventions_and_units(folder: Path) -> None:
    def flops(*options: str) -> int:
        return int(json.loads(arch("flops", "good.yaml", *options, "--format", "json").stdout)["flops"])

    assert flops("--convention", "matmul") == 1_440
    assert flops("--convention", "matmul", "--unit", "mac") == 720
    assert flops("--convention", "nvsubquadratic") == 1_500
    refused = arch("flops", "good.yaml", "--convention", "nvsubquadratic", "--unit", "mac")
    assert refused.exit_code == 2
    assert "MACs" in arch("flops", "good.yaml", "--unit", "mac").stdout


def test_flops_without_input_is_refused(folder: Path) -> None:
    (folder / "conv.yaml").write_text(
        "network: {type: conv1d, in_channels: 2, out_channels: 2, kernel_size: 3, padding: 1}"
    )
    result = arch("flops", "conv.yaml")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Expected ")
    assert "input: {shape: [...]}" in result.stderr
    inspected = arch("inspect", "conv.yaml")
    assert inspected.exit_code == 0
    assert inspected.stdout.endswith("shapes are unknown: add input: {shape: [...]} to the preset\n")
    facts = json.loads(arch("inspect", "conv.yaml", "--format", "json").stdout)
    assert facts["flops"] is facts["input_shape"] is None
    assert arch("instantiate", "conv.yaml", "--forward").exit_code == 1


def test_equal_blocks_are_folded() -> None:
    text = arch("flops", "vit5_hybrid", "--depth", "1", columns=80).stdout
    assert f"├─ blocks.{{0,2,…,10}} {X}6  vit5_residual_block" in text
    assert f"├─ blocks.{{1,3,…,11}} {X}6  vit5_residual_block" in text
    assert text.splitlines()[-1].startswith(f"{X}n: ")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["flops", "inspect", "validate"])
def test_terminals_are_not_overrun(command: str, columns: int) -> None:
    plain = arch(command, "vit5_hybrid", columns=columns, color=True).stdout
    text = "".join(piece.partition("m")[2] if index else piece for index, piece in enumerate(plain.split("\x1b[")))
    assert text.strip()
    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b" not in text


def test_inspect_text(folder: Path) -> None:
    assert arch("inspect", "good.yaml").stdout == dedent(
        f"""\
        good.yaml

        component              input    output   params    FLOPs
        ────────────────────────────────────────────────────────
        mlp                    B{X}5{X}6    B{X}5{X}6       144   1.50 k
        └─ dropout  identity   B{X}5{X}12   B{X}5{X}12
        """
    )


def test_inspect_json(folder: Path) -> None:
    facts = json.loads(arch("inspect", "good.yaml", "--format", "json").stdout)
    children = facts.pop("children")
    config = facts.pop("config")
    assert facts == {
        "path": "",
        "type": "mlp",
        "kind": "channel_mixer",
        "params": 144,
        "flops": 1_500,
        "input_shape": ["B", 5, 6],
        "output_shape": ["B", 5, 6],
    }
    assert config["dim"] == 6
    assert "dropout" not in config
    assert [child["path"] for child in children] == ["dropout"]
    assert json.loads(arch("inspect", "good.yaml", "--depth", "0", "--format", "json").stdout)["children"] == []


# ---- instantiate ------------------------------------------------------------------------------------------------


def test_instantiate_json(folder: Path) -> None:
    report = json.loads(arch("instantiate", "good.yaml", "--device", "meta", "--forward", "--format", "json").stdout)
    assert report["seconds"] >= 0
    assert {key: report[key] for key in ("preset", "params", "device", "dtype", "output_shape")} == {
        "preset": "good.yaml",
        "params": 144,
        "device": "meta",
        "dtype": "float32",
        "output_shape": ["B", 5, 6],
    }


def test_instantiate_saves_weights_that_load_again(folder: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file

    from registry import build

    result = arch(
        "instantiate",
        "good.yaml",
        "--seed",
        "3",
        "--dtype",
        "float64",
        "--forward",
        "--batch",
        "2",
        "--save",
        "w.safetensors",
    )
    assert result.exit_code == 0, result.output
    built, tried, saved = result.stdout.splitlines()
    assert built.startswith("✓ good.yaml built on cpu as float64 in ")
    assert built.endswith(": 144 parameters")
    assert tried.startswith(f"✓ one forward pass of batch 2: B{X}5{X}6 → B{X}5{X}6, finite, ")
    assert saved.startswith("✓ saved to w.safetensors (")
    assert sorted(path.name for path in folder.iterdir()) == ["bad.yaml", "good.yaml", "w.safetensors"]
    with safe_open(folder / "w.safetensors", "pt") as file:
        metadata = file.metadata()
    module = build(json.loads(metadata["config"]), dtype=metadata["dtype"])
    module.load_state_dict(load_file(folder / "w.safetensors"), strict=True)
    again = build("good.yaml", dtype="float64", seed=3).state_dict()
    assert all((again[name] == tensor).all() for name, tensor in module.state_dict().items())


@pytest.mark.parametrize(
    "options",
    [
        ("--save", "w.safetensors", "--device", "meta"),
        ("--save", "nowhere/w.safetensors"),
        ("--save", "w.pt"),
        ("--save", "folder.safetensors"),
        ("--device", "tpu"),
        ("--dtype", "int8"),
        ("--seed", "-1"),
        ("--batch", "0"),
    ],
)
def test_instantiate_refuses_before_it_builds(folder: Path, options: tuple[str, ...]) -> None:
    (folder / "folder.safetensors").mkdir()
    result = arch("instantiate", "good.yaml", *options)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert not (folder / "w.safetensors").exists()


def test_weights_that_do_not_fit_are_refused(folder: Path) -> None:
    huge = ("--set", "dim=1048576", "--set", "input.shape=[1, 1048576]", "--set", "expansion_factor=4.0")
    result = arch("instantiate", "good.yaml", *huge)
    assert result.exit_code == 1
    assert "Expected weights of at most " in result.stderr
    assert "got 35.2 TB" in result.stderr


def test_a_forward_pass_that_fails_is_a_failed_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.mlp.module import MLP

    def fail(*_: object) -> None:
        raise RuntimeError("no such operation\nand more")

    monkeypatch.setattr(MLP, "forward", fail)
    result = arch("instantiate", "good.yaml", "--forward")
    assert result.exit_code == 1
    assert result.stderr == "error: Expected one forward pass to work, got RuntimeError: no such operation\n"


def test_options_name_what_the_core_knows() -> None:
    from registry.build import DEVICES, DTYPES
    from registry.cost import CONVENTIONS

    text = " ".join(arch(command, "--help", columns=200).stdout for command in ("instantiate", "flops"))
    for choices in (("meta", "cpu", "cuda"), DTYPES, CONVENTIONS):
        assert "|".join(choices) in text
    assert set(DEVICES) == {"meta", "cpu", "cuda"}


def test_a_failed_save_leaves_everything_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    (folder / "w.safetensors").write_text("precious")
    result = arch("instantiate", "good.yaml", "--save", "w.safetensors")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert (folder / "w.safetensors").read_text() == "precious"
    assert sorted(path.name for path in folder.iterdir()) == ["bad.yaml", "good.yaml", "w.safetensors"]


def test_tied_parameters_are_saved_under_each_name(tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from torch import nn

    from cli.instantiate import _save

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight
            self.c = nn.Parameter(self.a.weight.detach().T)

    module = Tied()
    _save(module, tmp_path / "tied.safetensors", {})
    Tied().load_state_dict(load_file(tmp_path / "tied.safetensors"), strict=True)


def test_an_output_is_held_against_its_plan() -> None:
    import torch

    from cli.guard import CheckFailed
    from cli.instantiate import _compare
    from registry.shapes import shape

    _compare({"logits": shape(2, 3)}, {"logits": torch.zeros(2, 3)}, "the output")
    _compare((shape(2), None), (torch.zeros(2), None), "the output")
    for planned, got, says in [
        (shape(2, 3), torch.zeros(3, 2), r"the output to have shape \(2, 3\), got \(3, 2\)"),
        ({"logits": shape(2)}, {"logits": torch.full((2,), torch.nan)}, "'logits' to be finite, got 2 of 2"),
        ((shape(2), shape(3)), (torch.zeros(2), torch.zeros(4)), "the output 1 to have shape"),
        ((shape(2), shape(3)), torch.zeros(2), "the output to be 2 values, got Tensor"),
        (shape(2), {"logits": torch.zeros(2)}, "the output to be a tensor, got a mapping with logits"),
        ({"logits": shape(2)}, torch.zeros(2), "the output to be a mapping with logits, got Tensor"),
    ]:
        with pytest.raises(CheckFailed, match=says):
            _compare(planned, got, "the output")


# ---- catalogue --------------------------------------------------------------------------------------------------


def test_list() -> None:
    listed = json.loads(arch("list", "--format", "json").stdout)
    assert [item["name"] for item in listed] == store.names()
    (mlp,) = [item for item in listed if item["name"] == "mlp"]
    assert mlp == {
        "name": "mlp",
        "kind": "channel_mixer",
        "aliases": ["MLP"],
        "summary": "Two-layer perceptron applied to every position by itself.",
    }
    text = arch("list", "channel_mixer").stdout
    assert text == "channel_mixer\n  mlp  Two-layer perceptron applied to every position by itself.\n"
    wrong = arch("list", "chanel_mixer")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith(
        "error: Expected a kind of component, got 'chanel_mixer'; did you mean channel_mixer"
    )


def test_list_warns_of_broken_components(monkeypatch: pytest.MonkeyPatch) -> None:
    from registry import discover
    from registry.errors import Problem

    problem = Problem("broken-component", "Expected components/x to be importable, got E: no", "left out")
    monkeypatch.setattr(discover, "broken", lambda: [problem])
    result = arch("list", "--format", "json")
    assert result.exit_code == 0
    assert result.stderr == "warning: Expected components/x to be importable, got E: no; left out\n"
    assert json.loads(result.stdout)


def test_presets() -> None:
    listed = json.loads(arch("presets", "--format", "json").stdout)
    assert all(set(item) == {"name", "summary"} for item in listed)
    summaries = {item["name"]: item["summary"] for item in listed}
    assert summaries["vit5_hybrid"].startswith("ViT-5-Small")
    assert [line.split()[0] for line in arch("presets").stdout.splitlines()] == list(summaries)


def test_show() -> None:
    facts = json.loads(arch("show", "MLP", "--format", "json").stdout)
    assert (facts["name"], facts["kind"], facts["module"]) == ("mlp", "channel_mixer", "components.mlp.module:MLP")
    fields = {field["name"]: field for field in facts["fields"]}
    assert fields["activation"]["type"] == "relu | gelu | silu | glu | swiglu"
    assert fields["activation"]["required"] is True
    assert fields["dim"]["follows"] == "hidden_dim"
    assert fields["expansion_factor"]["default"] == 2.0
    slots = {slot["name"]: slot for slot in facts["slots"]}
    assert slots["dropout"]["kinds"] == ["dropout", "identity"]
    assert [rule["code"] for rule in facts["rules"]] == ["empty-layer"]
    assert {parameter["name"]: parameter["shape"] for parameter in facts["example"]["parameters"]} == {
        "layer1.weight": [16, 8],
        "layer2.weight": [8, 16],
    }
    assert facts["example"]["kinds"]["matmul"] == 512
    text = arch("show", "mlp").stdout
    for piece in ("Shazeer", "follows hidden_dim", "required", "empty-layer", f"16{X}8", "256 parameters"):
        assert piece in text, piece


def test_show_knows_every_kind() -> None:
    for name in {entry.kind: entry.name for entry in store.entries()}.values():
        result = arch("show", name, "--format", "json")
        assert result.exit_code == 0, (name, result.output)
        example = json.loads(result.stdout)["example"]
        assert example is None or load(example["config"]).params == example["params"] or example["preset"], name


def test_show_unknown() -> None:
    result = arch("show", "mlpp")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: Expected the name of a registered component, got 'mlpp'; did you mean 'mlp'"
    )


def test_limits() -> None:
    assert json.loads(arch("limits", "--format", "json").stdout)["file_bytes"] == LIMITS.file_bytes
    assert "262,144" in arch("limits").stdout


def test_explain() -> None:
    known = json.loads(arch("explain", "empty-layer", "--format", "json").stdout)
    assert known["code"] == "empty-layer"
    assert {
        "component": "mlp",
        "statement": "int(dim * expansion_factor) >= 1",
        "why": "the hidden width is dim x expansion_factor, rounded down",
        "severity": "error",
    } in known["rules"]
    assert arch("explain", "yaml-alias").stdout.startswith("yaml-alias  An alias, `*name`.\n\nwrong\n  type: rms_norm")
    assert "dim follows from hidden_dim" in arch("explain", "mismatch").stdout
    wrong = arch("explain", "mismach")
    assert wrong.exit_code == 2
    assert wrong.stderr == "error: Expected the code of a problem, got 'mismach'; did you mean mismatch?\n"


@pytest.mark.parametrize("code", ["unknown-preset", "unknown-field", "wrong-kind", "shape", "broken-component"])
def test_explain_knows_the_codes_of_the_core(code: str) -> None:
    assert json.loads(arch("explain", code, "--format", "json").stdout)["meaning"]


# ---- usage and failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("validate",),
        ("flops",),
        ("diff", "a"),
        ("flops", "vit5_hybrid", "--batch", "0"),
        ("flops", "vit5_hybrid", "--batch", "many"),
        ("flops", "vit5_hybrid", "--mode", "sideways"),
        ("flops", "vit5_hybrid", "--format", "xml"),
        ("inspect", "vit5_hybrid", "--depth", "-1"),
        ("validate", "--nonsense"),
        ("list", "--format", "github"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = arch(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("  hint: arch") or second.startswith("  hint: root")


def test_help_and_version() -> None:
    assert arch("--version").stdout.startswith("arch ")
    assert arch("--help").exit_code == 0
    assert "validate" in arch("--help").stdout
    assert "validate" in arch().output
    for command in (
        *("validate", "flops", "diff", "solve", "inspect", "instantiate"),
        *("list", "presets", "show", "limits", "explain"),
    ):
        assert arch(command, "--help").exit_code == 0


def test_an_unexpected_error_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by \x1b[31mzero\nand more")

    monkeypatch.setattr("cli.validate.load_plan", fail)
    result = arch("validate", "good.yaml")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: Something went wrong that should not have: ZeroDivisionError: by \\x1b[31mzero\n"
        "  hint: arch --debug COMMAND ... shows where\n"
    )
    assert "Traceback" in arch("--debug", "validate", "good.yaml").stderr


def test_an_interrupt_is_quiet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.validate.load_plan", interrupt)
    result = arch("validate", "good.yaml")
    assert result.exit_code == 130
    assert result.output == ""


def test_python_warnings_are_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warn(*arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("plug-in 'x' is broken\nvery", stacklevel=1)
        return load(*arguments)

    monkeypatch.setattr("cli.validate.load_plan", warn)
    assert arch("validate", "good.yaml").stderr == "warning: plug-in 'x' is broken\n"


def test_colour_only_where_wanted(folder: Path) -> None:
    assert "\x1b[" not in arch("validate", "bad.yaml").stdout
    assert "\x1b[1;31merror" in arch("validate", "bad.yaml", color=True).stdout


# ---- in a process of its own ------------------------------------------------------------------------------------


def test_torch_is_imported_by_instantiate_only() -> None:
    code = """
class Spy:
    seen = set()
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "safetensors"):
            Spy.seen.add(name)
sys.meta_path.insert(0, Spy())
from cli.main import run
for line in sys.argv[1:]:
    sys.argv = ["arch", *line.split()]
    try:
        run()
    except SystemExit as end:
        if end.code:
            sys.exit(f"{line}: {end.code}")
sys.exit(",".join(Spy.seen) or 0)
"""
    commands = [
        "validate vit5_hybrid",
        "flops vit5_hybrid",
        "flops vit5_hybrid --sweep patch_size=8,16",
        "diff vit5_hybrid vit5_full_hyena",
        "solve vit5_hybrid --vary patch_size=8,16 --params 22M",
        "inspect vit5_hybrid",
        "list",
        "presets",
        "show mlp",
        "limits",
        "explain mismatch",
    ]
    result = python(code, *commands)
    assert (result.returncode, result.stderr) == (0, "")


def test_other_projects_packages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "__init__.py").write_text("raise SystemExit('imported')")
    code = f"sys.path.insert(0, {str(tmp_path)!r}); from cli.main import run; run()"
    for arguments in (["list"], ["nonsense"]):
        result = python(code, *arguments)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith("error: Expected the package registry in ")
        assert result.stderr.count("\n") == 1


def test_python_dash_m_and_a_reader_that_goes_away() -> None:
    command = f"{sys.executable} -m cli list --format json | head -c 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("[", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "cli", "limits", "--format", "json"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("error: Expected ")
    assert result.stderr.endswith("got: No space left on device\n")
    assert result.stderr.count("\n") == 1


def test_a_terminal_that_is_not_unicode() -> None:
    code = "from cli.main import run; run()"
    result = python(code, "flops", "vit5_hybrid", "--depth", "1", env={"PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert "|- blocks.{0,2,~,10} x6  vit5_residual_block" in result.stdout
