"""Merging layers, overrides, references, and knowing who wrote what."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from registry import compose as module
from registry.compose import Composed, Place, compose, from_mapping
from registry.errors import InvalidConfig, Problem, Unreadable
from registry.limits import LIMITS
from registry.reader import Document, read_bytes

ROOT = Path(__file__).parent.parent


def doc(text: str, name: str = "f.yaml") -> Document:
    return read_bytes(text.encode(), name)


def merged(*texts: str, sets: Sequence[str] = ()) -> dict[str, Any]:
    """The data of several layers."""
    return compose([doc(text, f"{i}.yaml") for i, text in enumerate(texts)], sets).data


def refused(call: Callable[[], Any]) -> list[Problem]:
    """The problems `call` is refused with."""
    with pytest.raises(InvalidConfig) as caught:
        call()
    return list(caught.value.problems)


# ---- merging ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "layer", "expected"),
    [
        ("a: {x: 1, y: 2}", "a: {y: 3, z: 4}", {"a": {"x": 1, "y": 3, "z": 4}}),
        ("a: {b: {c: {x: 1}}}", "a: {b: {c: {y: 2}}}", {"a": {"b": {"c": {"x": 1, "y": 2}}}}),
        ("a: [1, 2, 3]", "a: [4]", {"a": [4]}),
        ("a: [{x: 1}]", "a: [{y: 1}]", {"a": [{"y": 1}]}),
        ("a: {x: 1}", "a: [1]", {"a": [1]}),
        ("a: [1]", "a: {x: 1}", {"a": {"x": 1}}),
        ("a: {x: 1}", "a:", {"a": None}),
        ("a:", "a: {x: 1}", {"a": {"x": 1}}),
        ("a: {x: 1}", "a: {}", {"a": {"x": 1}}),
        ("a: {x: 1}", "b: 2", {"a": {"x": 1}, "b": 2}),
        ("a: {type: m, x: 1}", "a: {type: m, y: 2}", {"a": {"type": "m", "x": 1, "y": 2}}),
        ("a: {type: m, x: 1}", "a: {y: 2}", {"a": {"type": "m", "x": 1, "y": 2}}),
        ("a: {type: m, x: 1}", "a: {type: k, y: 2}", {"a": {"type": "k", "y": 2}}),
        ("a: {type: m, b: {type: p, q: 1}}", "a: {b: {type: r}}", {"a": {"type": "m", "b": {"type": "r"}}}),
        ("a: {x: 1}", "a: {type: k}", {"a": {"x": 1, "type": "k"}}),
        ("a: {type: m, x: 1}", "a: silu", {"a": "silu"}),
        ("a: silu", "a: {type: m, x: 1}", {"a": {"type": "m", "x": 1}}),
        ("a: rms_norm", "a: {eps: 1}", {"a": {"type": "rms_norm", "eps": 1}}),
        ("a: ???", "a: 3", {"a": 3}),
        ("type: m\nx: 1", "type: k\ny: 2", {"type": "k", "y": 2}),
    ],
)
def test_merge(base: str, layer: str, expected: dict[str, Any]) -> None:
    found = merged(base, layer)
    assert found == expected
    assert list(found) == list(expected)


def test_three_layers() -> None:
    assert merged("a: {type: m, x: 1}", "a: {type: k, y: 2}", "a: {x: 3}") == {"a": {"type": "k", "y": 2, "x": 3}}


def test_documents_are_not_changed_and_not_shared() -> None:
    documents = [doc("a: {b: [1, {c: 2}]}\nd: ${a.b.0}"), doc("a: {x: 1}")]
    before = json.dumps([document.data for document in documents])
    composed = compose(documents, ["a.b.1.c=9"])
    composed.data["a"]["b"][1]["c"] = 7
    composed.data["a"]["b"].append(8)
    assert json.dumps([document.data for document in documents]) == before


# ---- overrides -------------------------------------------------------------------------------------------

NET = "summary: s\nnetwork:\n  type: vit\n  dim: 8\n  norm: rms\n  blocks: [{type: b, x: 1}, {type: b, x: 2}]\n"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("network.dim=16", "network.dim", 16),
        ("dim=16", "network.dim", 16),
        ("summary=other", "summary", "other"),
        ("summary=a=b", "summary", "a=b"),
        ("input.shape=[28, 28, 1]", "input.shape", [28, 28, 1]),
        ("dim=", "network.dim", None),
        ("dim=null", "network.dim", None),
        ("dim=1e-3", "network.dim", 0.001),
        ("blocks.1.x=5", "network.blocks", [{"type": "b", "x": 1}, {"type": "b", "x": 5}]),
        ("blocks.0.type=c", "network.blocks", [{"type": "c"}, {"type": "b", "x": 2}]),
        ("blocks.0=null", "network.blocks", [None, {"type": "b", "x": 2}]),
        ("blocks.0={x: 3}", "network.blocks.0", {"type": "b", "x": 3}),
        ("blocks=[]", "network.blocks", []),
        ("norm=silu", "network.norm", "silu"),
        ("norm.eps=1", "network.norm", {"type": "rms", "eps": 1}),
        ("norm={type: l2}", "network.norm", {"type": "l2"}),
        ("film.mlp.dim=4", "network.film", {"mlp": {"dim": 4}}),
        ("network.type=resnet", "network", {"type": "resnet"}),
        ("norm=${network.type}", "network.norm", "vit"),
    ],
)
def test_override(override: str, path: str, value: Any) -> None:
    found: Any = merged(NET, sets=[override])
    for step in path.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]
    assert found == value


def test_overrides_apply_in_order() -> None:
    assert merged(NET, sets=["dim=1", "film={a: 1}", "film.b=2", "dim=3"])["network"]["film"] == {
        "a": 1,
        "b": 2,
    }
    assert merged(NET, sets=["dim=1", "dim=3"])["network"]["dim"] == 3
    assert merged("a: [{x: 1}]", sets=["a.0.x=2", "a.0.y=3"]) == {"a": [{"x": 2, "y": 3}]}


def test_a_key_that_the_document_has_is_a_top_level_key() -> None:
    assert merged("misplaced: 1\nnetwork: {}", sets=["misplaced=2"]) == {"misplaced": 2, "network": {}}
    assert compose([doc("network: {}")], ["extra=2"], top_level=frozenset({"extra"})).data["extra"] == 2


def test_overrides_of_a_single_component_are_taken_as_they_are() -> None:
    assert merged("type: mlp\ndim: 3", sets=["dim=4", "network.x=1"]) == {
        "type": "mlp",
        "dim": 4,
        "network": {"x": 1},
    }


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("dim", "bad-override"),
        ("", "bad-override"),
        ("=3", "bad-override"),
        (".dim=3", "bad-override"),
        ("dim.=3", "bad-override"),
        ("a..b=3", "bad-override"),
        (" dim=3", "bad-override"),
        ("dim =3", "bad-override"),
        ("+dim=3", "bad-override"),
        ("~dim=3", "bad-override"),
        ("blocks[0].x=3", "bad-override"),
        ("d\u0456m=3", "bad-override"),
        ("\x1b[2J=3", "bad-override"),
        ("__import__('os')=3", "bad-override"),
        ("k" * 65 + "=3", "bad-override"),
        ("dim=" + "x" * 5000, "bad-override"),
        (".".join("a" * 40) + "=1", "bad-override"),
        ("blocks.2.x=3", "bad-override"),
        ("blocks.x=3", "bad-override"),
        ("blocks.-1.x=3", "bad-override"),
        ("blocks.01.x=3", "bad-override"),
        ("blocks.99999999999.x=3", "bad-override"),
        ("dim.0=3", "bad-override"),
        ("film.0=3", "bad-override"),
        ("network.0=3", "bad-override"),
        ("0=3", "bad-override"),
        (".".join("a" * 20) + "=" + "[" * 20 + "]" * 20, "bad-override"),
        ("dim=on", "yaml-surprise"),
        ("dim=010", "yaml-surprise"),
        ("dim=!!python/name:os.system", "yaml-tag"),
        ("dim=[1", "yaml-syntax"),
        ("dim=a: 1", "yaml-block"),
        ("dim=\u202e", "unprintable"),
        ("dim=${oc.env:HOME}", "reference-syntax"),
        ("dim=${nope}", "reference-unknown"),
    ],
)
def test_bad_override(override: str, code: str) -> None:
    (problem,) = refused(lambda: merged(NET, sets=[override]))
    assert (problem.code, problem.file, problem.line) == (code, "--set", None)
    assert str(problem).isprintable()


def test_a_bad_value_names_its_key() -> None:
    (problem,) = refused(lambda: merged(NET, sets=["dim=on"]))
    assert problem.path == "network.dim"


def test_all_problems_are_collected() -> None:
    problems = refused(lambda: merged(NET + "  x: ${nope}\n  y: ???\n", sets=["dim", "dim=on", "dim=9"]))
    assert [p.code for p in problems] == [
        "bad-override",
        "yaml-surprise",
        "missing-value",
        "reference-unknown",
    ]


# ---- references ------------------------------------------------------------------------------------------


def test_references_become_the_value() -> None:
    text = """
a: ${b.0.c-d}
b: [{c-d: 7}, "${e}"]
e: ${f.keys}
f: {keys: 0.5, items: true, null_: null, text: 'x y'}
g: {h: '${f.items}', i: '${f.null_}', j: "${f.text}"}
"""
    assert merged(text) == {
        "a": 7,
        "b": [{"c-d": 7}, 0.5],
        "e": 0.5,
        "f": {"keys": 0.5, "items": True, "null_": None, "text": "x y"},
        "g": {"h": True, "i": None, "j": "x y"},
    }


def test_references_see_the_last_layer() -> None:
    assert merged("a: 1\nb: ${a}", "a: 2")["b"] == 2
    assert merged("a: 1\nb: ${a}", sets=["a=3"])["b"] == 3
    assert merged("a: 1\nb: ${a}", "b: 5")["b"] == 5


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("${", "reference-syntax"),
        ("${}", "reference-syntax"),
        ("${b", "reference-syntax"),
        ("x${b}", "reference-syntax"),
        ("${b}${b}", "reference-syntax"),
        ("${b} ", "reference-syntax"),
        ("${${b}}", "reference-syntax"),
        ("${.b}", "reference-syntax"),
        ("${b.}", "reference-syntax"),
        ("${b[0]}", "reference-syntax"),
        ("${ b}", "reference-syntax"),
        ("\\${b}", "reference-syntax"),
        ("$${b}", "reference-syntax"),
        ("${b}\n", "reference-syntax"),
        ("${oc.env:HOME}", "reference-syntax"),
        ("${oc.select:b}", "reference-syntax"),
        ("${eval:'1'}", "reference-syntax"),
        ("${b.c}", "reference-unknown"),
        ("${c.5}", "reference-unknown"),
        ("${c.x}", "reference-unknown"),
        ("${c.99999999999999999999}", "reference-unknown"),
        ("${b.__class__}", "reference-unknown"),
        ("${c}", "reference-not-scalar"),
        ("${d}", "reference-not-scalar"),
        ("${a}", "reference-cycle"),
    ],
)
def test_bad_reference(value: str, code: str) -> None:
    text = json.dumps({"b": 1, "c": [1], "d": {"e": 1}, "a": value}, indent=1)
    (problem,) = refused(lambda: merged(text))
    assert (problem.code, problem.path, problem.line, problem.column) == (code, "a", 9, 7)


def test_dollars_that_are_no_references_are_text() -> None:
    assert merged("a: $5 {b} $(c) $d } {") == {"a": "$5 {b} $(c) $d } {"}


def test_unknown_references_are_put_right() -> None:
    def hint(value: str) -> str:
        return refused(lambda: merged(f"network: {{hidden_dim: 8, a: {{b: 1}}}}\nx: '{value}'"))[0].hint

    assert hint("${network.hiden_dim}") == "did you mean network.hidden_dim?"
    assert hint("${hidden_dim}") == "did you mean network.hidden_dim?"
    assert hint("${netwrk.hidden_dims}") == "did you mean network.hidden_dims?"
    assert hint("${network.hidden_dim.x}") == "count the path from the root of the document"
    assert hint("${zzz}") == "count the path from the root of the document"


def test_a_cycle_is_one_problem() -> None:
    text = "a: ${b}\nb: ${c}\nc: ${a}\nd: ${a}\ne: ${d}\nf: ${g}\ng: ${f}\n"
    problems = refused(lambda: merged(text))
    assert [(p.code, p.path) for p in problems] == [("reference-cycle", "a"), ("reference-cycle", "f")]


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_chains_have_a_limit(order: str) -> None:
    def chain(length: int) -> dict[str, Any]:
        lines = [f"k{i}: ${{k{i + 1}}}" for i in range(length)]
        if order != "forward":
            lines.reverse() if order == "backward" else random.Random(0).shuffle(lines)
        return merged("\n".join([*lines, f"k{length}: 5"]))

    assert set(chain(LIMITS.reference_chain).values()) == {5}
    (problem,) = refused(lambda: chain(LIMITS.reference_chain + 3))
    assert (problem.code, problem.path) == ("reference-chain", "k2")


def test_references_have_a_limit() -> None:
    lines = ["a: 1"] + [f"k{i}: ${{a}}" for i in range(LIMITS.references)]
    assert len(merged("\n".join(lines))) == LIMITS.references + 1
    (problem,) = refused(lambda: merged("\n".join([*lines, "last: ${a}"])))
    assert (problem.code, problem.path) == ("too-many-references", "last")


def test_references_resolve_as_omegaconf_does() -> None:
    """On random trees with random acyclic references, the whole-tree resolution of OmegaConf agrees."""
    from omegaconf import OmegaConf

    rng = random.Random(0)
    for _ in range(30):
        paths: list[str] = []
        data: dict[str, Any] = {name: {"items": []} for name in "abc"}
        for i in range(rng.randint(3, 12)):
            value = rng.choice([1, 2.5, True, None, "text"])
            if paths and rng.random() < 0.5:
                value = "${" + rng.choice(paths) + "}"
            name = rng.choice("abc")
            if rng.random() < 0.3:
                paths.append(f"{name}.items.{len(data[name]['items'])}")
                data[name]["items"].append(value)
            else:
                paths.append(f"{name}.v{i}")
                data[name][f"v{i}"] = value
        expected = OmegaConf.to_container(OmegaConf.create(data), resolve=True)
        assert compose([from_mapping(data)]).data == expected


# ---- who wrote what --------------------------------------------------------------------------------------


def layered() -> Composed:
    base = "summary: base\nnetwork:\n  type: vit\n  dim: 8\n  norm: rms\n  mixer:\n    type: m\n    x: 1\n"
    child = "extends: base\nnetwork:\n  depth: 4\n  mixer:\n    type: k\n"
    child += "  blocks: [{a: 1}, {a: '${network.dim}'}]\n"
    return compose([doc(base, "base.yaml"), doc(child, "child.yaml")], ["dim=9", "norm.eps=1", "blocks.0.a=2"])


@pytest.mark.parametrize(
    ("path", "place", "key_place"),
    [
        (("summary",), ("base.yaml", 1, 10), ("base.yaml", 1, 1)),
        (("network",), ("child.yaml", 3, 3), ("child.yaml", 2, 1)),
        (("network", "type"), ("base.yaml", 3, 9), ("base.yaml", 3, 3)),
        (("network", "depth"), ("child.yaml", 3, 10), ("child.yaml", 3, 3)),
        (("network", "dim"), ("--set", None, None), ("--set", None, None)),
        (("network", "mixer", "type"), ("child.yaml", 5, 11), ("child.yaml", 5, 5)),
        (("network", "mixer", "x"), ("child.yaml", 5, 5), ("child.yaml", 4, 3)),
        (("network", "norm"), ("base.yaml", 5, 9), ("base.yaml", 5, 3)),
        (("network", "norm", "type"), ("base.yaml", 5, 9), ("base.yaml", 5, 3)),
        (("network", "norm", "eps"), ("--set", None, None), ("--set", None, None)),
        (("network", "blocks", 0, "a"), ("--set", None, None), ("--set", None, None)),
        (("network", "blocks", 0), ("child.yaml", 6, 12), ("child.yaml", 6, 12)),
        (("network", "blocks", 1, "a"), ("child.yaml", 6, 24), ("child.yaml", 6, 21)),
        (("network", "blocks", 7, "a"), ("child.yaml", 6, 11), ("child.yaml", 6, 3)),
        (("network", "nothing", "here"), ("child.yaml", 3, 3), ("child.yaml", 2, 1)),
        (("nowhere",), ("child.yaml", 1, 1), ("child.yaml", 1, 1)),
        ((), ("child.yaml", 1, 1), ("child.yaml", 1, 1)),
    ],
)
def test_locate(path: tuple[str | int, ...], place: Place, key_place: Place) -> None:
    composed = layered()
    assert composed.locate(path) == place
    assert composed.locate(path, key=True) == key_place


def test_written() -> None:
    composed = layered()
    assert composed.written(("network", "dim"))
    assert composed.written(("network", "blocks", 1, "a"))
    assert composed.written(("network", "norm", "eps"))
    assert not composed.written(("network", "mixer", "x"))  # gone with the type it belonged to
    assert not composed.written(("network", "norm", "type"))  # filled in
    assert not composed.written(("network", "nothing"))


def test_an_override_wrote_the_mappings_it_made() -> None:
    composed = compose([doc("network: {}")], ["film.mlp.dim=4", "gone=1", "gone=null"])
    assert composed.locate(("network", "film", "mlp")).file == "--set"
    assert composed.locate(("network", "film", "mlp", "width")).file == "--set"
    assert composed.locate(("network",)).file == "f.yaml"
    assert composed.locate(("network", "gone")).file == "--set"


def test_nothing_is_nowhere() -> None:
    assert compose([]).data == {}
    assert compose([]).locate(("a",)) == (None, None, None)


def test_source_line() -> None:
    composed = layered()
    assert composed.source_line("base.yaml", 4) == "  dim: 8"
    assert composed.source_line("child.yaml", 99) == ""
    assert composed.source_line("--set", 1) == ""


# ---- Python mappings -------------------------------------------------------------------------------------


def test_a_mapping_is_copied() -> None:
    inner = [1, {"x": None}]
    source = MappingProxyType(OrderedDict(a=inner, b=inner))
    document = from_mapping(source)
    assert document.data == {"a": [1, {"x": None}], "b": [1, {"x": None}]}
    assert type(document.data) is dict
    inner.append(2)
    assert document.data["a"] == document.data["b"] == [1, {"x": None}]
    composed = compose([document], ["a.0=5"])
    assert inner[0] == 1
    assert composed.locate(("b",)) == (None, None, None)
    assert composed.locate(("a", 0)) == ("--set", None, None)
    assert composed.written(("b", 0))


class Text(str):
    """A subclass could do anything."""


CYCLE: dict[str, Any] = {"a": []}
CYCLE["a"].append(CYCLE)
DEEP: list[Any] = []
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("data", "code", "path"),
    [
        ([], "not-a-mapping", ""),
        ("x", "not-a-mapping", ""),
        ({"a": {1: 2}}, "bad-key", "a"),
        ({"a b": 2}, "bad-key", ""),
        ({Text("a"): 2}, "bad-key", ""),
        ({"k" * 65: 2}, "key-too-long", ""),
        ({"a": (1, 2)}, "not-plain-data", "a"),
        ({"a": [{1}]}, "not-plain-data", "a.0"),
        ({"a": Decimal(1)}, "not-plain-data", "a"),
        ({"a": Text("x")}, "not-plain-data", "a"),
        ({"a": b"x"}, "not-plain-data", "a"),
        ({"a": len}, "not-plain-data", "a"),
        ({"a": 10**18}, "int-too-long", "a"),
        ({"a": 10**5000}, "int-too-long", "a"),
        ({"a": float("nan")}, "float-range", "a"),
        ({"a": -float("inf")}, "float-range", "a"),
        ({"a": "x" * 5000}, "scalar-too-long", "a"),
        ({"a": "\x1b[2J"}, "unprintable", "a"),
        ({"a": "\ud800"}, "unprintable", "a"),
        (CYCLE, "cyclic-data", "a.0"),
        ({"a": DEEP}, "too-deep", "a" + ".0" * 31),
        ({"a": [0] * 10_000}, "too-many-nodes", "a.9998"),
    ],
)
def test_bad_mapping(data: Any, code: str, path: str) -> None:
    with pytest.raises(Unreadable) as caught:
        from_mapping(data)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path, problem.file) == (code, path, None)


# ---- codes and imports -----------------------------------------------------------------------------------


def test_every_code_is_documented() -> None:
    source = Path(module.__file__).read_text("utf-8")
    used = set(re.findall(r'(?:_problem\(composed, |Problem\(|_refuse_data\()"([a-z-]+)"', source))
    reader_codes = {
        "not-a-mapping",
        "too-many-nodes",
        "too-deep",
        "bad-key",
        "key-too-long",
        "scalar-too-long",
        "unprintable",
    }
    assert used - reader_codes - {"int-too-long", "float-range"} == set(module.CODES)


def test_omegaconf_is_loaded_only_for_references() -> None:
    """Importing it costs more than everything else together."""
    code = (
        "import sys\n"
        "from registry.compose import compose\n"
        "from registry.reader import read_bytes\n"
        "two = [read_bytes(b'a: {b: 1}', 'f'), read_bytes(b'a: {c: 2}', 'g')]\n"
        "compose(two, ['a.d=3'])\n"
        "assert 'omegaconf' not in sys.modules and 'torch' not in sys.modules\n"
        "compose(two, ['a.d=${a.b}'])\n"
        "assert 'omegaconf' in sys.modules and 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
