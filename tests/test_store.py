"""The registry under strain: names, duplicates, threads, broken plug-ins and folders. Nothing is half registered."""

from __future__ import annotations

import importlib.metadata
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import registry
from registry import discover, store
from registry.errors import RegistrationError, UnknownComponent
from registry.names import did_you_mean, natural, nearest
from registry.schema import Component


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    registry.names()
    before = (store._entries, store._aliases, set(discover._done), dict(discover._broken))
    yield
    store._entries, store._aliases = before[:2]
    discover._done.clear()
    discover._done.update(before[2])
    discover._broken.clear()
    discover._broken.update(before[3])
    discover.claims.cache_clear()


def schema(name: str = "Made") -> type[Component]:
    """A fresh component."""

    def forward(self: Any, tape: Any, x: Any) -> Any:
        return x

    return type(name, (Component,), {"forward": forward, "__doc__": "Made for a test.", "__module__": __name__})


def add(name: str, component: type[Component] | None = None, **more: Any) -> type[Component]:
    given = {"kind": "norm", "module": "nowhere:Nothing", **more}
    return registry.register(name, **given)(component or schema())


def tables() -> tuple[dict[str, Any], dict[str, str]]:
    return dict(store._entries), dict(store._aliases)


# ---- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "a1", "snake_case", "x" * 64])
def test_names(name: str) -> None:
    component = add(name)
    assert registry.get(name).schema is component
    assert name in registry.names("norm")
    assert component.entry.name == name


BAD_NAMES = [
    "",
    "A",
    "Camel",
    "1a",
    "_a",
    "a-b",
    "a b",
    "a.b",
    "é",
    "x" * 65,
    "a\n",
    "a\x00",
    "[red]",
    "os.system",
    "__x__",
]


@pytest.mark.parametrize("name", [*BAD_NAMES, None, 3, b"a"])
def test_bad_names(name: Any) -> None:
    before = tables()
    with pytest.raises(RegistrationError, match="Expected a snake-case name"):
        add(name)
    assert tables() == before


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"kind": "Norm"}, "Expected the kind of fresh in snake case"),
        ({"kind": ""}, "Expected the kind of fresh"),
        ({"module": "nowhere"}, "as 'package.module:Class'"),
        ({"module": "a:b:c"}, "as 'package.module:Class'"),
        ({"aliases": ("no good",)}, "Expected an alias of fresh"),
        ({"aliases": ("Good", "1bad")}, "Expected an alias of fresh"),
        ({"aliases": ("rms_norm",)}, "got 'rms_norm', which is rms_norm of components.norms.schema"),
        ({"aliases": ("Fine", "RMSNorm")}, "got 'RMSNorm', which is rms_norm of components.norms.schema"),
        ({"aliases": ("fresh",)}, "Expected the name and aliases of fresh to differ, got 'fresh' twice"),
        ({"aliases": ("Twice", "Twice")}, "Expected the name and aliases of fresh to differ, got 'Twice' twice"),
    ],
)
def test_refused_registrations_leave_nothing_behind(more: dict[str, Any], says: str) -> None:
    before, component = tables(), schema()
    with pytest.raises(RegistrationError) as refused:
        add("fresh", component, **more)
    assert says in str(refused.value)
    assert tables() == before
    assert "entry" not in vars(component)


def test_the_errors_are_of_ours_and_are_type_errors() -> None:
    with pytest.raises(registry.ArchError):
        add("No")
    with pytest.raises(TypeError):
        add("No")


@pytest.mark.parametrize("thing", [object, dict, 3, None, lambda: None, "RMSNorm", Component()])
def test_what_is_no_component_is_refused(thing: Any) -> None:
    before = tables()
    with pytest.raises(RegistrationError, match=r"Expected fresh to be a registry\.Component"):
        registry.register("fresh", kind="norm", module="a:B")(thing)
    assert tables() == before


def test_a_component_without_a_cost_rule_is_refused() -> None:
    class Free(Component):
        """Costs nothing, it says."""

    before = tables()
    with pytest.raises(RegistrationError, match=r"Expected fresh to have a cost rule, got none: define forward"):
        add("fresh", Free)
    assert tables() == before
    with pytest.raises(UnknownComponent):
        registry.get("fresh")


# ---- duplicates -------------------------------------------------------------------------------------------------


def test_the_same_class_again_is_a_no_op() -> None:
    component = add("fresh", aliases=("Fresh",))
    before = tables()
    assert add("fresh", component, aliases=("Fresh",)) is component
    assert tables() == before


def test_a_module_imported_again_is_a_no_op() -> None:
    first = add("fresh", schema("Fresh"))
    entry = registry.get("fresh")
    again = schema("Fresh")  # another class, of the same module and name
    add("fresh", again)
    assert registry.get("fresh") is entry
    assert entry.schema is first
    assert again.entry is entry


@pytest.mark.parametrize("more", [{"kind": "mask"}, {"module": "else:Where"}, {"aliases": ("Other",)}])
def test_the_same_class_registered_otherwise_is_an_error(more: dict[str, Any]) -> None:
    component = add("fresh")
    before = tables()
    with pytest.raises(RegistrationError, match="Expected a free name, got 'fresh'"):
        add("fresh", component, **more)
    assert tables() == before


def test_another_class_is_an_error_that_names_the_holder() -> None:
    before = tables()
    with pytest.raises(RegistrationError) as refused:
        add("rms_norm", schema("Other"))
    assert str(refused.value) == "Expected a free name, got 'rms_norm', which is rms_norm of components.norms.schema"
    assert tables() == before
    assert registry.get("rms_norm").source == "components.norms.schema"


def test_a_name_that_is_an_alias_is_taken() -> None:
    add("fresh", schema("Fresh"), aliases=("fresh_alias",))
    with pytest.raises(RegistrationError, match="got 'fresh_alias', which is fresh of"):
        add("fresh_alias", schema("Other"))


# ---- look-ups ---------------------------------------------------------------------------------------------------


def test_aliases_lead_to_the_one_entry() -> None:
    for name in registry.names():
        entry = registry.get(name)
        assert all(registry.get(alias) is entry for alias in entry.aliases)
        assert entry.name == name
        assert not set(entry.aliases) & set(registry.names())


@pytest.mark.parametrize(
    ("name", "nearest_name"),
    [("rms_nrom", "rms_norm"), ("RMSNOrm", "rms_norm"), ("hyenna", "hyena"), ("conv-2d", "conv2d"), ("MLPP", "mlp")],
)
def test_did_you_mean(name: str, nearest_name: str) -> None:
    with pytest.raises(UnknownComponent) as unknown:
        registry.get(name)
    assert registry.get(unknown.value.nearest[0]).name == nearest_name
    assert "did you mean" in str(unknown.value)
    assert isinstance(unknown.value, LookupError)


@pytest.mark.parametrize("name", ["zzzzzzzz", "", "\x1b[31m" * 100, "x" * 10_000])
def test_nothing_is_near(name: str) -> None:
    with pytest.raises(UnknownComponent) as unknown:
        registry.get(name)
    assert unknown.value.nearest == ()
    assert len(str(unknown.value)) < 500
    assert str(unknown.value).isprintable()


def test_the_canonical_name_is_suggested_rather_than_an_alias() -> None:
    assert nearest("dropou", ["dropout", "Dropout"]) == ["dropout"]
    assert did_you_mean("dropou", ["dropout", "Dropout"]) == "did you mean dropout?"
    assert did_you_mean("qqq", ["dropout"]) == ""


def test_natural_order() -> None:
    for name in ("conv10d", "conv9d"):
        add(name, schema(name), kind="linear")
    listed = registry.names()
    assert listed == sorted(listed, key=natural)
    assert listed.index("conv3d") < listed.index("conv9d") < listed.index("conv10d")
    assert sorted(["a10", "a9", "a", "b1"], key=natural) == ["a", "a9", "a10", "b1"]


def test_kinds() -> None:
    assert store.kinds() == sorted({registry.get(name).kind for name in registry.names()})
    assert registry.names("no_such_kind") == []


def test_the_public_face() -> None:
    assert sorted(registry.__all__) == [
        "ArchError",
        "Component",
        "Entry",
        "InvalidConfig",
        "Plan",
        "Problem",
        "UnknownComponent",
        "build",
        "check",
        "cost",
        "get",
        "load",
        "names",
        "register",
    ]
    assert len(registry.__all__) <= 15
    assert all(getattr(registry, name) is not None for name in registry.__all__)


# ---- threads ----------------------------------------------------------------------------------------------------


def _together(jobs: list[Callable[[], None]]) -> list[BaseException]:
    """Run all jobs at once; what they raised."""
    raised: list[BaseException] = []
    gate = threading.Barrier(len(jobs))

    def run(job: Callable[[], None]) -> None:
        gate.wait()
        try:
            job()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_threads_that_register_and_threads_that_read() -> None:
    """8 x 500 registrations; meanwhile two threads iterate over everything."""
    made = [[schema(f"T{thread}X{i}") for i in range(500)] for thread in range(8)]
    done = threading.Event()

    def write(thread: int) -> Callable[[], None]:
        def job() -> None:
            for i, component in enumerate(made[thread]):
                add(f"t{thread}_{i}", component, aliases=(f"T{thread}X{i}",))

        return job

    def read() -> None:
        while not done.is_set():
            for entry in list(store._entries.values())[:200]:
                assert registry.get(entry.name) is entry
            assert len(registry.names("norm")) >= 5

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    raised = _together([write(thread) for thread in range(8)])
    done.set()
    for reader in readers:
        reader.join()
    assert not raised
    assert sum(name.startswith("t") and "_" in name and name[1].isdigit() for name in registry.names()) == 4000
    assert registry.get("T7X499").name == "t7_499"


def test_of_threads_that_want_one_name_one_wins() -> None:
    for round_number in range(50):
        name, components = f"one_{round_number}", [schema(f"Of{i}") for i in range(8)]
        raised = _together([lambda c=c, n=name: add(n, c) and None for c in components])  # type: ignore[misc]
        assert len(raised) == 7
        assert all(isinstance(error, RegistrationError) for error in raised)
        assert registry.get(name).schema in components


def test_the_first_look_up_by_many_threads_at_once() -> None:
    discover._done.clear()
    raised = _together([lambda: registry.names() and None for _ in range(8)])  # type: ignore[func-returns-value]
    assert not raised
    assert discover._done == {"components", "entry_points"}


# ---- plug-ins ---------------------------------------------------------------------------------------------------


class Point:
    """An installed entry point."""

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name, self.value, self.load = name, f"{name}.components", load


def _plug_in(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    discover._done.discard("entry_points")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == discover.GROUP else ())


def _raise(error: BaseException) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def test_a_plug_in_adds_components(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug_in(monkeypatch, Point("good", lambda: add("from_afar", aliases=("FromAfar",))))
    assert registry.get("FromAfar").name == "from_afar"
    assert "from_afar" in registry.names("norm")
    assert registry.load({"type": "from_afar"}).params == 0


def test_our_own_names_never_import_a_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    _plug_in(monkeypatch, Point("evil", _raise(AssertionError("was imported"))))
    registry.get("rms_norm")
    registry.load("vit5_hybrid")
    assert "entry_points" not in discover._done


@pytest.mark.parametrize(
    "error",
    [ImportError("no such module"), SyntaxError("bad\nsyntax"), ValueError("\x1b[31m"), RegistrationError("taken")],
)
def test_a_broken_plug_in_costs_one_warning(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    _plug_in(monkeypatch, Point("bad", _raise(error)), Point("good", lambda: add("from_afar")))
    with pytest.warns(UserWarning, match=r"^Component plug-in 'bad' \(bad\.components\) is broken: ") as caught:
        assert "from_afar" in registry.names()
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    registry.names()  # and no second one


def test_a_plug_in_that_takes_our_name_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = registry.get("rms_norm")
    _plug_in(monkeypatch, Point("thief", lambda: add("rms_norm", schema("Thief"))))
    with pytest.warns(UserWarning, match="Expected a free name, got 'rms_norm'"):
        registry.names()
    assert registry.get("rms_norm") is ours


# ---- component folders ------------------------------------------------------------------------------------------

GOOD = """
from registry import Component, register
@register("{name}", kind="norm", module="nowhere:Nothing")
class Good(Component):
    "Fine."
    def forward(self, tape, x):
        return x
"""
BROKEN = {
    "syntax": "def broken(:\n",
    "missing": "import no_such_module_anywhere\n",
    "raises": "raise RuntimeError('at import')\n",
    "no_cost": GOOD.replace("forward", "forwards"),
    "thief": GOOD.replace("{name}", "rms_norm"),
    "empty_name": GOOD.replace("{name}", ""),
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Adds component folders to those there are, as another part of the namespace."""
    import components

    monkeypatch.setattr(components, "__path__", [*components.__path__, str(tmp_path)])
    monkeypatch.setattr(discover, "component_folders", lambda: sorted(p for p in tmp_path.iterdir() if p.is_dir()))
    discover._done.discard("components")
    discover.claims.cache_clear()

    def make(name: str, text: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text('"""Made for a test."""\n')
        (folder / "schema.py").write_text(text)
        for module in (f"components.{name}", f"components.{name}.schema"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        return folder

    return make


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_folder_is_one_problem_and_spoils_nothing_else(
    fault: str, folders: Callable[[str, str], Path]
) -> None:
    folders("before", GOOD.format(name="good_before"))
    folders(f"broken_{fault}", BROKEN[fault])
    folders("then", GOOD.format(name="good_then"))
    before = set(store._entries)
    assert {"good_before", "good_then"} <= set(registry.names())
    assert set(store._entries) - before == {"good_before", "good_then"}
    (problem,) = discover.broken()
    assert problem.code == "broken-component"
    assert problem.path == f"components.broken_{fault}"
    assert problem.message.startswith(f"Expected components/broken_{fault} to be importable, got ")
    assert problem.file is not None
    assert problem.file.endswith(f"broken_{fault}/schema.py")
    assert problem.line == (1 if fault == "syntax" else None)
    assert registry.load("vit5_hybrid").params > 10**6
    assert registry.get("rms_norm").source == "components.norms.schema"


def test_every_real_folder_is_found_and_none_is_broken() -> None:
    assert discover.broken() == []
    folders = {folder.name for folder in discover.component_folders()}
    assert {registry.get(name).source.split(".")[1] for name in registry.names()} == folders
    assert isinstance(sys.modules["components.norms.schema"], types.ModuleType)
