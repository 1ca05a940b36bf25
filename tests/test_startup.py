"""Starting fast: a look-up imports one component folder, a command no more than it needs. Nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

import registry
from cli import main, render
from registry import discover, store
from registry.errors import RegistrationError, UnknownComponent

ROOT = Path(__file__).resolve().parent.parent


def fresh(code: str, *arguments: str) -> Any:
    """What `code` prints as JSON, in a process of its own that has imported nothing of ours."""
    command = [sys.executable, "-c", f"import json, sys\n{code}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FOLDERS = "sorted(m.split('.')[1] for m in sys.modules if m.startswith('components.') and m.endswith('.schema'))"
"""An expression: the component folders that are imported."""


# ---- what is imported -------------------------------------------------------------------------------------------


def test_importing_registry_imports_no_component() -> None:
    assert fresh(f"import registry; print(json.dumps({FOLDERS}))") == []


@pytest.mark.parametrize("name", ["rms_norm", "RMSNorm", "s4_kernel", "vit5_classification_net"])
def test_a_look_up_imports_the_folder_of_the_name_alone(name: str) -> None:
    code = f"import registry; source = registry.get(sys.argv[1]).source; print(json.dumps([source, {FOLDERS}]))"
    source, folders = fresh(code, name)
    assert [source] == [f"components.{folder}.schema" for folder in folders]


@pytest.mark.parametrize("preset", ["vit5_full_attention", "vit5_hybrid", "s4d_classifier"])
def test_a_preset_imports_the_folders_of_its_components_alone(preset: str) -> None:
    code = f"""
import registry
def sources(value):
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = {{registry.get(value["type"]).source}} if isinstance(value, dict) and "type" in value else set()
    return own.union(*map(sources, below))
plan = registry.load(sys.argv[1])
imported = {FOLDERS}
print(json.dumps([imported, sorted(source.split(".")[1] for source in sources(plan.root.to_dict()))]))
"""
    imported, needed = fresh(code, preset)
    assert imported == needed
    assert len(imported) < len(discover.component_folders())


HEAVY = ("torch", "numpy", "omegaconf", "matplotlib", "safetensors")


@pytest.mark.parametrize(
    ("line", "unneeded"),
    [
        ("flops vit5_hybrid --format json", (*HEAVY, "rich.console", "components.s4.schema", "registry.json_schema")),
        ("flops vit5_hybrid", (*HEAVY, "components.s4.schema", "registry.json_schema")),
        ("validate vit5_hybrid", (*HEAVY, "rich.table", "components.s4.schema", "registry.json_schema")),
        ("validate vit5_hybrid --format json", (*HEAVY, "rich.console", "components.s4.schema")),
        ("inspect vit5_hybrid --format json", (*HEAVY, "rich.console", "components.s4.schema")),
        ("presets --format json", (*HEAVY, "components.norms.schema")),
    ],
)
def test_a_command_imports_what_it_needs(line: str, unneeded: tuple[str, ...]) -> None:
    code = """
import io
from cli.main import run
sys.argv = ["arch", *sys.argv[1].split()]
said, sys.stdout = sys.stdout, io.StringIO()
try:
    run()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=said)
"""
    code, modules = fresh(code, line)
    assert code == 0
    assert not set(unneeded) & set(modules)


# ---- the text tells the names -----------------------------------------------------------------------------------


def test_the_text_claims_what_importing_registers() -> None:
    ours = [entry for entry in store.entries() if entry.source.startswith("components.")]
    registered = {name: entry.source.split(".")[1] for entry in ours for name in (entry.name, *entry.aliases)}
    assert {name: folder.name for name, folder in discover.claims().items()} == registered


def test_every_name_and_alias_looked_up_alone_is_the_same_entry() -> None:
    code = f"""
import registry
from registry import discover, store
told = lambda entry: [entry.name, entry.aliases, entry.kind, entry.module, entry.schema.__qualname__, entry.source]
full = {{name: told(entry) for entry in store.entries() for name in (entry.name, *entry.aliases)}}
found = {{}}
for name in full:
    for module in [module for module in sys.modules if module.startswith("components.")]:
        del sys.modules[module]
    store._entries, store._aliases = {{}}, {{}}
    discover._done.clear()
    discover._imported.clear()
    entry = registry.get(name)
    assert entry is entry.schema.entry
    assert [entry.source] == [f"components.{{folder}}.schema" for folder in {FOLDERS}], name
    found[name] = told(entry)
print(json.dumps([full, found]))
"""
    full, found = fresh(code)
    assert full == found
    assert len(full) > 100


def test_every_expression_of_every_folder_compiles() -> None:
    """Even if that is left until it is used."""
    code = """
import gc
import registry
from registry.rules import Expr
registry.names()
print(json.dumps([list(thing.names) for thing in gc.get_objects() if isinstance(thing, Expr)]))
"""
    assert len(fresh(code)) > 200


@pytest.mark.parametrize(
    ("name", "nearest"), [("s4_kernl", "s4_kernel"), ("RMSNrom", "RMSNorm"), ("patchfy", "patchify")]
)
def test_a_misspelt_name_is_compared_with_those_of_every_folder(name: str, nearest: str) -> None:
    code = """
import registry
try:
    registry.get(sys.argv[1])
except registry.UnknownComponent as unknown:
    print(json.dumps([unknown.nearest, registry.check({"type": sys.argv[1]})[0].hint]))
"""
    names, hint = fresh(code, name)
    assert nearest in names
    assert nearest in hint


def test_our_names_are_taken_before_their_folder_is_imported() -> None:
    code = """
import registry
class Thief(registry.Component):
    def forward(self, tape, x):
        return x
said = []
for name, aliases in (("rms_norm", ()), ("mine", ("Hyena",)), ("mine", ())):
    try:
        registry.register(name, kind="norm", module="nowhere:Nothing", aliases=aliases)(Thief)
    except registry.ArchError as error:
        said.append(str(error))
print(json.dumps([said, registry.get("rms_norm").source, registry.get("mine").schema is Thief]))
"""
    said, source, mine = fresh(code)
    assert said == [
        "Expected a free name, got 'rms_norm', which is rms_norm of components.norms.schema",
        "Expected a free name, got 'Hyena', which is hyena of components.hyena.schema",
    ]
    assert source == "components.norms.schema"
    assert mine


# ---- threads ----------------------------------------------------------------------------------------------------


def test_many_threads_look_up_first() -> None:
    """Each thread its own order, so that every folder is wanted by several while it is imported."""
    code = """
import random, threading
import registry
from registry import discover
names = [*discover.claims(), "no_such_name"]
gate, seen, raised = threading.Barrier(8), [{} for _ in range(8)], []
def look(number):
    order = random.Random(number).sample(names, len(names))
    gate.wait()
    for name in order:
        try:
            seen[number][name] = id(registry.get(name))
        except registry.UnknownComponent as unknown:
            seen[number][name] = unknown.name
        except BaseException as error:
            raised.append(repr(error))
threads = [threading.Thread(target=look, args=(number,), daemon=True) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
print(json.dumps([raised, [one == seen[0] for one in seen], len(seen[0]) == len(names), len(discover.broken())]))
"""
    raised, equal, complete, broken = fresh(code)
    assert raised == []
    assert all(equal)
    assert complete
    assert broken == 0


def test_a_folder_that_looks_up_others_while_it_is_imported(tmp_path: Path) -> None:
    """Two threads come from opposite ends of a chain of folders, and one imports a folder by itself."""
    for number in range(4):
        base = f"registry.get('link_{number + 1}').schema" if number < 3 else "registry.Component"
        text = (
            f"import time\nimport registry\ntime.sleep(0.02)\nBase = {base}\n"
            f'\n@registry.register("link_{number}", kind="norm", module="nowhere:Nothing")\nclass Link(Base):\n'
            "    def forward(self, tape, x):\n        return x\n"
        )
        (tmp_path / f"link_{number}").mkdir()
        (tmp_path / f"link_{number}" / "schema.py").write_text(text)
    code = """
import importlib, threading
import components
components.__path__.append(sys.argv[1])
import registry
from registry import discover
gate, raised = threading.Barrier(4), []
jobs = [lambda: registry.get("link_0"), lambda: registry.get("link_3"), lambda: registry.names(),
        lambda: importlib.import_module("components.link_1.schema")]
def run(job):
    gate.wait()
    try:
        job()
    except BaseException as error:
        raised.append(repr(error))
threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
lines = [cls.__module__ for cls in registry.get("link_0").schema.__mro__ if "link" in cls.__module__]
print(json.dumps([raised, [thread.is_alive() for thread in threads], len(discover.broken()), lines]))
"""
    raised, alive, broken, lines = fresh(code, str(tmp_path))
    assert raised == []
    assert not any(alive)
    assert broken == 0
    assert lines == [f"components.link_{number}.schema" for number in range(4)]


# ---- folders that are not as ours -------------------------------------------------------------------------------

GOOD = """
from registry import Component, register
@register("{name}", kind="norm", module="nowhere:Nothing", aliases=("{alias}",))
class {alias}(Component):
    "Fine."
    def forward(self, tape, x):
        return x
"""
LOOP = """
from registry import Component, register
for name in ("looped", "looped_too"):
    @register(name, kind="norm", module="nowhere:Nothing")
    class Looped(Component):
        def forward(self, tape, x):
            return x
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes component folders that stand in the place of ours, of which nothing is known yet."""
    import components

    registry.names()
    before = store._entries, store._aliases, set(discover._done), set(discover._imported), dict(discover._broken)
    monkeypatch.setattr(components, "__path__", [str(tmp_path)])
    monkeypatch.setattr(discover, "component_folders", lambda: sorted(p for p in tmp_path.iterdir() if p.is_dir()))
    discover._done.clear()
    discover.claims.cache_clear()

    def make(name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "schema.py").write_text(text)
        discover.claims.cache_clear()

    yield make
    store._entries, store._aliases = before[:2]
    for known, kept in zip((discover._done, discover._imported), before[2:4], strict=True):
        known.clear()
        known.update(kept)
    discover._broken.clear()
    discover._broken.update(before[4])
    discover.claims.cache_clear()
    for folder in tmp_path.iterdir():
        for module in (f"components.{folder.name}", f"components.{folder.name}.schema"):
            sys.modules.pop(module, None)


def imported(*folders: str) -> list[str]:
    """Which of some folders are imported."""
    return [folder for folder in folders if f"components.{folder}.schema" in sys.modules]


def test_a_broken_folder_spoils_no_look_up_and_is_told_of(folders: Callable[[str, str], None]) -> None:
    folders("a_bad", GOOD.format(name="of_bad", alias="OfBad") + "raise RuntimeError('at the end')\n")
    folders("b_bad", "def broken(:\n" + GOOD.format(name="of_worse", alias="OfWorse"))
    folders("c_good", GOOD.format(name="of_good", alias="OfGood"))
    assert registry.get("OfGood").name == "of_good"
    assert imported("a_bad", "b_bad", "c_good") == ["c_good"]
    assert registry.get("of_bad").name == "of_bad"  # it was registered before the end
    with pytest.raises(UnknownComponent):
        registry.get("of_worse")
    assert [problem.path for problem in discover.broken()] == ["components.a_bad", "components.b_bad"]
    assert [problem.line for problem in discover.broken()] == [None, 1]


def test_names_that_the_text_does_not_tell_are_found(folders: Callable[[str, str], None]) -> None:
    folders("a_loop", LOOP)
    folders("b_good", GOOD.format(name="of_good", alias="OfGood"))
    assert "looped" not in discover.claims()
    assert registry.get("of_good").name == "of_good"
    assert imported("a_loop", "b_good") == ["b_good"]
    assert registry.get("looped").source == "components.a_loop.schema"


def test_text_that_tells_more_than_is_registered(folders: Callable[[str, str], None]) -> None:
    folders("a_text", f"TEXT = '''{GOOD.format(name='quoted', alias='Quoted')}'''\n")
    folders("b_good", GOOD.format(name="of_good", alias="OfGood"))
    assert "quoted" in discover.claims()
    with pytest.raises(UnknownComponent):
        registry.get("quoted")
    assert registry.get("of_good").name == "of_good"


def test_of_two_folders_with_one_name_the_first_one_has_it(folders: Callable[[str, str], None]) -> None:
    folders("a_first", GOOD.format(name="twice", alias="OfFirst"))
    folders("b_second", GOOD.format(name="of_second", alias="twice"))
    with pytest.raises(UnknownComponent):  # although its folder is the only one that claims it
        registry.get("of_second")
    assert registry.get("twice").source == "components.a_first.schema"
    (problem,) = discover.broken()
    assert problem.path == "components.b_second"
    assert "Expected a free name, got 'twice'" in problem.message


def test_a_folder_that_cannot_be_read(folders: Callable[[str, str], None], tmp_path: Path) -> None:
    (tmp_path / "a_void" / "schema.py").mkdir(parents=True)
    folders("b_good", GOOD.format(name="of_good", alias="OfGood"))
    assert registry.get("of_good").name == "of_good"


def test_a_name_of_a_folder_that_is_there_already_is_taken(folders: Callable[[str, str], None]) -> None:
    folders("a_good", GOOD.format(name="of_good", alias="OfGood"))
    with pytest.raises(RegistrationError, match="got 'OfGood', which is of_good of "):
        registry.register("other", kind="norm", module="nowhere:Nothing", aliases=("OfGood",))(
            type("Other", (registry.Component,), {"forward": lambda self, tape, x: x, "__module__": __name__})
        )
    assert imported("a_good") == ["a_good"]


# ---- the command line -------------------------------------------------------------------------------------------


def test_only_the_command_that_is_run_is_prepared() -> None:
    every = list(main.app.registered_commands)
    for name in ("flops", "list", "validate"):
        (info,) = main._app_with(name).registered_commands
        assert info in every
    for name in ("", "list_", "nonsense", "--help", "--debug"):
        assert main._app_with(name).registered_commands == every
    assert main.app.registered_commands == every


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--help"], 0, "validate"),
        (["flops", "--help"], 0, "--sweep"),
        (["--debug", "limits"], 0, "nodes"),
        (["list", "nrom"], 2, "did you mean norm?"),
        (["flopz"], 2, "No such command"),
        (["flops", "vit5_hybrid", "--nonsense"], 2, "arch flops --help shows the usage"),
    ],
)
def test_the_whole_command_line_is_there(arguments: list[str], code: int, says: str) -> None:
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert says in done.stdout + done.stderr


# ---- tables, which are laid out here because rich takes long for it ---------------------------------------------


def laid_out(table: render.Table, room: int | None) -> list[str]:
    return [line.plain for line in table.lines(Console(width=room or 80), room)]


def figures() -> render.Table:
    table = render.table("name", "size", "what it is", right=["size"], flexible=["what it is"])
    table.add_row("one", "1", "a number without which there would be none")
    table.add_row("界界", "1,000", render.styled(("more", "dim"), " of them"))
    table.add_row("empty")
    return table


def test_a_table_is_as_wide_as_it_needs_to_be() -> None:
    assert laid_out(figures(), None) == [
        "name     size   what it is",
        "─" * 58,
        "one         1   a number without which there would be none",
        "界界    1,000   more of them",
        "empty",
    ]
    assert laid_out(figures(), 58) == laid_out(figures(), None)


def test_prose_is_wrapped_and_the_rest_is_cut() -> None:
    assert laid_out(figures(), 41)[2:5] == [
        "one         1   a number without which",
        "                there would be none",
        "界界    1,000   more of them",
    ]
    for room in range(9, 60):
        lines = laid_out(figures(), room)
        assert max(map(cell_len, lines)) <= room
        assert all(line == line.rstrip() for line in lines)
    assert laid_out(figures(), 24)[2] == "one         1   a numbe…"


def test_a_column_may_be_limited_and_a_table_empty() -> None:
    table = figures()
    table.columns[0].max_width = 3
    assert [line[:3].rstrip() for line in laid_out(table, None)] == ["na…", "───", "one", "界…", "em…"]
    assert laid_out(render.grid("left", "prose"), 80) == []
    assert render.grid("left").row_count == 0
    assert table.row_count == 3
