"""The house: who may import whom, one docstring per package, nothing asserted in shipped code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("registry", "components", "presets", "cli")
MAY_IMPORT = {
    "registry": {"registry"},
    "components": {"components", "registry"},
    "presets": {"presets", "registry"},
    "cli": {"cli", "presets", "registry"},
}
FILES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))
COMPONENT_FILES = {"__init__.py", "schema.py", "cost.py", "module.py", "cases.py"}


def _imports(path: Path) -> list[tuple[str, bool]]:
    """(module, at import time) of every import, those under TYPE_CHECKING left out."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                found.extend((_target(child.module or "", alias.name), top) for alias in child.names)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            else:
                visit(child, top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def _target(module: str, name: str) -> str:
    """What `from module import name` imports: the submodule `name` if there is one, else `module`."""
    base = ROOT.joinpath(*module.split("."))
    submodule = base.joinpath(f"{name}.py").exists() or base.joinpath(name, "__init__.py").exists()
    return f"{module}.{name}" if submodule else module


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=_relative)
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    for module, top in _imports(path):
        head = module.partition(".")[0]
        if head in OURS:
            assert head in MAY_IMPORT[package], f"{package} imports {module}"
        if head == "torch":
            _torch_is_allowed(path, module, top)
        if head in ("rich", "typer"):
            assert package == "cli", module
        if head in ("yaml", "omegaconf"):
            assert _relative(path) in ("registry/reader.py", "registry/compose.py"), module


def _torch_is_allowed(path: Path, module: str, top: bool) -> None:
    parts = path.relative_to(ROOT).parts
    in_module = parts[0] == "components" and (parts[-1] == "module.py" or parts[1] == "functional")
    in_function = not top and (parts == ("registry", "build.py") or parts[0] == "cli")
    assert in_module or in_function, f"{_relative(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=_relative)
def test_no_component_imports_another(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    if parts[0] != "components" or len(parts) < 3:
        return
    for module, _ in _imports(path):
        other = module.split(".")
        if other[0] == "components" and len(other) > 1:
            assert other[1] in (parts[1], "functional"), f"{_relative(path)} imports {module}"


def test_imports_have_no_cycle() -> None:
    graph = {}
    for path in FILES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module for module, _ in _imports(path)}
    graph = {name: {m for m in imports if m in graph and m != name} for name, imports in graph.items()}
    while graph:
        free = {name for name, imports in graph.items() if not imports & graph.keys()}
        assert free, f"cycle among {sorted(graph)}"
        graph = {name: imports for name, imports in graph.items() if name not in free}


def test_component_folders_hold_the_same_five_files() -> None:
    for folder in sorted((ROOT / "components").iterdir()):
        if folder.is_dir() and folder.name not in ("functional", "__pycache__"):
            assert {path.name for path in folder.glob("*.py")} == COMPONENT_FILES, folder.name


@pytest.mark.parametrize("path", FILES, ids=_relative)
def test_no_assert_and_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "no module docstring"
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))


def test_everything_but_building_runs_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import registry\n"
        "plan = registry.load('vit5_hybrid')\n"
        "print(registry.cost(plan).flops, plan.params, len(registry.names()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "22176960"
