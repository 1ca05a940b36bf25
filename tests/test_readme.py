"""The README tells the truth: its Python runs, its commands exist, its outputs and figures are today's.

`python -m tests.test_readme` writes today's outputs and figures into it.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import registry
from cli.main import app
from registry.sources import presets

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def _arch(command: str) -> tuple[int, str]:
    words = shlex.split(command, comments=True)[1:]
    result = CliRunner().invoke(app, words[: words.index(">")] if ">" in words else words)
    return result.exit_code, result.output


def _commands(text: str) -> list[str]:
    """Every `arch` line of the README's shell blocks."""
    blocks = re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("arch ")]


def preset_rows() -> str:
    """The table of presets."""
    rows = []
    for name in presets():
        plan = registry.load(name)
        gflops = registry.cost(plan).flops / 1e9
        rows.append(f"| `{name}` | {plan.params:,} | {gflops:.2f} | {plan.summary} |")
    return "\n".join(rows)


def shown_output(text: str) -> tuple[str, str]:
    """The example of a refusal: what the README shows, and what the command says."""
    match = re.search(r"```\n\$ (arch validate examples/broken\.yaml)\n(.*?)```", text, flags=re.DOTALL)
    assert match
    return match[2], _arch(match[1])[1]


def test_python_blocks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("command", _commands(README.read_text(encoding="utf-8")))
def test_commands_work(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_net.yaml").write_text("extends: ccnn_classifier\nnetwork: {num_blocks: 2}\n")
    if "instantiate" in command:
        command = command.replace("vit5_hybrid", "ccnn_classifier")
    code, output = _arch(command)
    assert code == (1 if "patch_size=15" in command else 0), output
    assert output


def test_refusal_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown, real = shown_output(README.read_text(encoding="utf-8"))
    assert shown == real


def test_preset_table_is_todays() -> None:
    assert preset_rows() in README.read_text(encoding="utf-8")


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    shown, real = shown_output(text)
    text = text.replace(shown, real)
    table = r"(\| preset \|.*?\n\|---.*?\n)(?:\|.*\n)*"
    text = re.sub(table, lambda match: match[1] + preset_rows() + "\n", text)
    README.write_text(text, encoding="utf-8")
