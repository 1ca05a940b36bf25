"""One fault at a random node of a large preset: the right file, line and column, every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import registry
from registry.sources import presets

CHUNKS, EACH = 10, 100
SOURCES = ("vit5_hybrid_ha_film", "vit5_hybrid", "hyena_diffusion", "s4d_attention_language")


def _document(name: str) -> dict[str, Any]:
    """A preset with everything written out, in one file without `extends`."""
    plan = registry.load(name)
    document: dict[str, Any] = {"network": plan.root.to_dict()}
    if plan.spec is not None:
        document["input"] = {"shape": list(plan.spec.shape)}
        if plan.spec.condition is not None:
            document["input"]["condition"] = list(plan.spec.condition)
    return document


DOCUMENTS = {name: _document(name) for name in SOURCES if name in presets()}


def _mappings(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every component of the network."""
    if isinstance(node, dict):
        if "type" in node:
            yield path
        for key, child in node.items():
            yield from _mappings(child, (*path, key))


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def _plant(document: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], str, str]:
    """A copy with one fault, the path it must be reported at, and the key whose line it stands on."""
    text = yaml.safe_dump(document, sort_keys=False)
    broken: dict[str, Any] = yaml.safe_load(text)
    path = rng.choice(list(_mappings(broken)))
    node = _at(broken, path)
    kind = rng.choice(("unknown-field", "unknown-type", "bad-value"))
    numbers = [key for key, value in node.items() if isinstance(value, (int, float)) and key != "type"]
    if kind == "bad-value" and numbers:
        key = rng.choice(numbers)
        node[key] = "zzz_planted"
    elif kind == "unknown-type":
        key = "type"
        node[key] = "zzz_planted"
    else:
        key = "zzz_planted"
        node[key] = 1
    return broken, ".".join(map(str, (*path, key))), key


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_planted_fault_is_found_where_it_stands(chunk: int, tmp_path: Path) -> None:
    rng = random.Random(f"positions-{chunk}")
    for _ in range(EACH):
        broken, path, key = _plant(DOCUMENTS[rng.choice(list(DOCUMENTS))], rng)
        text = yaml.safe_dump(broken, sort_keys=False, indent=rng.choice((2, 3, 4)))
        file = tmp_path / "net.yaml"
        file.write_text(text, encoding="utf-8")
        errors = [p for p in registry.check(str(file)) if p.severity == "error"]
        assert [p.path for p in errors] == [path], "\n".join(map(str, errors))
        [problem] = errors
        assert problem.file == str(file)
        assert problem.line is not None
        assert problem.column is not None
        line = text.splitlines()[problem.line - 1]
        if key == "zzz_planted":
            assert line[problem.column - 1 :].startswith("zzz_planted:")
        else:
            assert line[problem.column - 1 :] == "zzz_planted"
