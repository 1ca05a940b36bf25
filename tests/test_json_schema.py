"""The JSON Schema of presets says what `registry.check` says, as far as a schema can say it."""

from __future__ import annotations

import copy
import importlib
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import registry
from cli.main import app
from registry import json_schema as module
from registry import reader, sources
from registry.cases import Case, Invalid
from registry.compose import compose
from registry.json_schema import json_schema

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

SAYABLE = {"bad-value", "missing-type", "not-a-component", "unknown-component", "unknown-field", "wrong-kind"}
"""Codes of problems that JSON Schema has words for."""


def errors(document: Any) -> list[str]:
    """What is wrong with a document, as it would be written in JSON."""
    return [error.message for error in VALIDATOR.iter_errors(json.loads(json.dumps(document)))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_command_prints_it() -> None:
    printed = CliRunner().invoke(app, ["schema"]).stdout
    assert printed == json.dumps(json_schema(), indent=2) + "\n"


def test_every_reference_leads_somewhere() -> None:
    def refs(node: Any) -> set[str]:
        items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = {node["$ref"]} if isinstance(node, dict) and "$ref" in node else set()
        return own.union(*map(refs, items))

    for ref in refs(SCHEMA):
        node: Any = SCHEMA
        for step in ref.removeprefix("#/").split("/"):
            node = node[step]


def test_it_is_the_same_every_time() -> None:
    assert json.dumps(json_schema()) == json.dumps(SCHEMA)


def test_it_has_what_editors_show() -> None:
    entry = registry.get("mlp")
    mlp = SCHEMA["$defs"]["mlp"]
    assert mlp["title"] == "mlp"
    for text in (entry.summary, entry.schema.paper, *(rule.statement for rule in entry.schema.rules)):
        assert text in mlp["description"]
    assert mlp["properties"]["type"]["enum"] == ["mlp", "MLP"]
    assert "Follows from `hidden_dim`" in mlp["properties"]["dim"]["description"]
    assert mlp["properties"]["expansion_factor"]["default"] == 2.0
    assert mlp["properties"]["dropout"]["default"] == "identity"
    assert mlp["required"] == ["type", "activation"]


# ---- presets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sources.presets().values(), ids=lambda path: path.stem)
def test_every_preset_validates(path: Any) -> None:
    assert errors(reader.read_file(path).data) == []


@pytest.mark.parametrize("name", sources.presets())
def test_every_composed_preset_validates_without_extends(name: str) -> None:
    document = compose(sources.documents(name)).data
    document.pop("extends", None)
    assert errors(document) == []
    assert errors({"network": registry.load(name).root.to_dict()}) == []


# ---- cases ------------------------------------------------------------------------------------------------------


def _cases(kind: str) -> list[Any]:
    modules = sorted({registry.get(name).source.replace(".schema", ".cases") for name in registry.names()})
    return [
        pytest.param(case, id=f"{case.config['type']}-{i}")
        for name in modules
        for i, case in enumerate(getattr(importlib.import_module(name), kind))
    ]


def _document(config: Any) -> dict[str, Any]:
    """A preset whose network is `config`, an `input` section in its place."""
    network = {key: value for key, value in config.items() if key != "input"}
    return {"network": network, **({"input": config["input"]} if "input" in config else {})}


def _proper(tree: Any, key: str = "") -> Any:
    """`fft_padding` in its proper spelling: the check forgives capitals and blanks, the schema proposes none."""
    if isinstance(tree, dict):
        return {name: _proper(value, name) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_proper(item, key) for item in tree]
    return tree.strip().lower() if key == "fft_padding" and isinstance(tree, str) else tree


def _integers(tree: Any) -> Any:
    """The tree with every 8.0 as 8: to JSON Schema they are the same number, to the check they are not."""
    if isinstance(tree, dict):
        return {name: _integers(value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_integers(item) for item in tree]
    return int(tree) if isinstance(tree, float) and tree.is_integer() else tree


@pytest.mark.parametrize("case", _cases("CASES"))
def test_every_valid_case_validates(case: Case) -> None:
    document = _document(_proper(case.document))
    assert errors(document) == []
    assert errors({"extends": "base", **document}) == []
    assert errors({"network": registry.load(case.document).root.to_dict()}) == []


@pytest.mark.parametrize("case", _cases("INVALID"))
def test_every_invalid_case_that_a_schema_can_refuse_is_refused(case: Invalid) -> None:
    document = _document(_integers(case.config))
    if {problem.code for problem in registry.check(document)} & SAYABLE:
        assert errors(document)


# ---- documents --------------------------------------------------------------------------------------------------

MLP: dict[str, Any] = {"type": "mlp", "dim": 6, "activation": "gelu"}
BLOCK: dict[str, Any] = {
    "type": "vit5_residual_block",
    "sequence_mixer": {"type": "vit5_attention", "num_heads": 2, "qk_norm": "rms_norm"},
    "sequence_mixer_norm": "rms_norm",
    "mlp": MLP,
    "mlp_norm": {"type": "rms_norm", "eps": 1e-5},
}
NET: dict[str, Any] = {
    "type": "vit5_classification_net",
    "in_channels": 3,
    "num_classes": 10,
    "hidden_dim": 6,
    "image_size": 8,
    "patch_size": 4,
    "num_registers": 4,
    "readout": "cls",
    "norm": "rms_norm",
    "layer_pattern": "AA",
    "layer_types": {"A": BLOCK},
}
DELETE = object()


def _net(path: str, value: Any) -> dict[str, Any]:
    """A preset of `NET` with the value at a dotted path replaced."""
    document = {"network": copy.deepcopy(NET)}
    *steps, last = path.split(".")
    node: Any = document
    for step in steps:
        node = node[step]
    if value is DELETE:
        del node[last]
    else:
        node[last] = value
    return document


A = "network.layer_types.A"

VALID = {
    "itself": ("summary", "a network"),
    "no summary": ("summary", None),
    "alias as type": ("network.type", "ViT5ClassificationNet"),
    "alias below": (f"{A}.mlp.type", "MLP"),
    "alias as bare name": ("network.norm", "RMSNorm"),
    "bare name": (f"{A}.mlp_norm", "layer_norm"),
    "other kind allowed": (f"{A}.mlp", "identity"),
    "empty optional slot": (f"{A}.grn", None),
    "empty many slot": ("network.layer_types", None),
    "optional field": (f"{A}.sequence_mixer.scale", None),
    "what follows, left out": (f"{A}.mlp.dim", DELETE),
    "integer for a number": (f"{A}.mlp.expansion_factor", 4),
    "reference to an integer": (f"{A}.mlp.dim", "${network.hidden_dim}"),
    "reference to a name": (f"{A}.mlp.activation", "${network.layer_types.B-2.mlp.activation}"),
    "reference for a component": ("network.norm", "${network.layer_types.A.sequence_mixer_norm}"),
    "reference for a type": (f"{A}.mlp_norm.type", "${network.norm}"),
    "input": ("input", {"shape": [8, "${network.image_size}", 3], "condition": None}),
    "no input": ("input", None),
}

REFUSED = {
    "wrong enum": ("network.readout", "clss"),
    "wrong enum, deep": (f"{A}.mlp.activation", "gelo"),
    "unknown field": (f"{A}.mlp.expansion", 2.0),
    "unknown top-level key": ("netwrk", {}),
    "unknown component": ("network.type", "vit6"),
    "unknown bare name": ("network.norm", "rms_nrom"),
    "wrong kind": ("network.norm", MLP),
    "wrong kind, bare": ("network.norm", "gelu"),
    "wrong kind in many": (A, MLP),
    "a bare name that needs fields": (f"{A}.mlp", "mlp"),
    "below the range": ("network.hidden_dim", 0),
    "above the range": ("network.max_drop_path_rate", 1.5),
    "an integer in quotes": ("network.hidden_dim", "6"),
    "a boolean for an integer": ("network.hidden_dim", True),
    "a fraction for an integer": ("network.hidden_dim", 6.5),
    "missing type": ("network.type", DELETE),
    "missing type, deep": (f"{A}.mlp.type", DELETE),
    "missing field": ("network.num_classes", DELETE),
    "missing slot": (f"{A}.mlp_norm", DELETE),
    "missing network": ("network", DELETE),
    "no network": ("network", None),
    "null for a slot that needs something": ("network.norm", None),
    "a list for a component": ("network.norm", ["rms_norm"]),
    "many, not a mapping": ("network.layer_types", BLOCK),
    "many, but none": ("network.layer_types", {}),
    "not a reference": (f"{A}.mlp.dim", "2 * ${network.hidden_dim}"),
    "a reference for a list": ("input", {"shape": "${network.image_size}"}),
    "input without shape": ("input", {}),
    "input of no extent": ("input", {"shape": [8, 0, 3]}),
    "unknown key of input": ("input", {"shape": [8, 8, 3], "batch": 2}),
}


@pytest.mark.parametrize("change", VALID.values(), ids=VALID)
def test_valid(change: tuple[str, Any]) -> None:
    assert errors(_net(*change)) == []


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_refused(change: tuple[str, Any]) -> None:
    assert errors(_net(*change))


# ---- documents that extend another ------------------------------------------------------------------------------

PARTIAL_VALID = {
    "nothing": {},
    "some fields": {"network": {"patch_size": 8, "hidden_dim": "${network.patch_size}"}},
    "some fields of a named type": {"network": {"type": "vit5_classification_net", "patch_size": 8}},
    "deep": {"network": {"layer_types": {"H": {"mlp": {"expansion_factor": 2.0}}}}},
    "deep, half typed": {"network": {"layer_types": {"H": {"sequence_mixer": {"type": "vit5_attention"}}}}},
    "a field of some component": {"network": {"block": {"sequence_mixer": {"num_heads": 4}}}},
    "a network of another kind": {"network": {"expansion_factor": 2.0}},
    "a bare name": {"network": {"norm": "layer_norm"}},
    "what completes a bare name": {"network": {"norm": {"eps": 1e-5}}},
    "nothing in a slot": {"network": {"block": None}},
    "part of input": {"input": {"condition": [6]}},
}

PARTIAL_REFUSED = {
    "unknown field": {"network": {"patchsize": 8}},
    "unknown field, deep": {"network": {"layer_types": {"H": {"mlp": {"expansion": 2.0}}}}},
    "unknown field of a named type": {"network": {"norm": {"type": "rms_norm", "std": 0.1}}},
    "wrong type": {"network": {"patch_size": "8"}},
    "out of range, deep": {"network": {"layer_types": {"H": {"mlp": {"dim": 0}}}}},
    "wrong kind": {"network": {"norm": "gelu"}},
    "wrong kind of a named type": {"network": {"norm": {"type": "gelu"}}},
    "no network": {"network": None},
}


@pytest.mark.parametrize("change", PARTIAL_VALID.values(), ids=PARTIAL_VALID)
def test_partial_valid(change: dict[str, Any]) -> None:
    assert errors({"extends": "base", **change}) == []


@pytest.mark.parametrize("change", PARTIAL_REFUSED.values(), ids=PARTIAL_REFUSED)
def test_partial_refused(change: dict[str, Any]) -> None:
    assert errors({"extends": "base", **change})


def test_extends_null_extends_nothing() -> None:
    assert errors({"extends": None, "network": {"patch_size": 8}})


# ---- plug-ins ---------------------------------------------------------------------------------------------------


def test_a_field_without_a_schema_takes_anything() -> None:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

    field = FieldInfo.from_annotation(Callable[[int], int])  # type: ignore[arg-type]
    assert module.value_schema(field) == {}
