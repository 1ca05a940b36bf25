"""The wheel holds what users need: four packages, presets, type markers; no tests."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel built from a copy of the tree, so that the checkout stays clean."""
    work = tmp_path_factory.mktemp("wheel")
    copy = work / "tree"
    copy.mkdir()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        target = copy / name
        if (ROOT / name).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(work), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(work.glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_wheel_is_complete(wheel: set[str]) -> None:
    for package in ("registry", "components", "presets", "cli"):
        assert f"{package}/__init__.py" in wheel
        assert f"{package}/py.typed" in wheel
    presets = {f"presets/{path.name}" for path in (ROOT / "presets").glob("*.yaml")}
    assert presets
    assert presets <= wheel
    assert "registry/devices.yaml" in wheel
    shipped = {str(p.relative_to(ROOT)) for p in (ROOT / "components").rglob("*.py")}
    assert shipped <= wheel


def test_wheel_has_nothing_else(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"registry", "components", "presets", "cli"}


def test_wheel_has_the_command(wheel: set[str]) -> None:
    assert any(name.endswith("entry_points.txt") for name in wheel)
