"""Reference numbers as fixtures: constructor arguments, state, inputs, outputs of nvsubquadratic 0.2.0 (JSON + npz)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "golden" / "nvsubquadratic"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def read(name: str) -> dict[str, Any]:
    """The fixture, its arrays as tensors."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return _tensors(json.loads((FOLDER / f"{name}.json").read_text()), arrays)


def _tensors(value: Any, arrays: Any) -> Any:
    if isinstance(value, dict):
        if "$array" in value:
            return torch.from_numpy(np.ascontiguousarray(arrays[value["$array"]])).reshape(value["shape"])
        return {key: _tensors(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_tensors(item, arrays) for item in value]
    return value


def config(fixture: dict[str, Any]) -> dict[str, Any]:
    """The fixture's constructor call as one of our configs."""
    return {"type": _name(fixture["target"]), **_fields(fixture["kwargs"])}


def _fields(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key.removesuffix("_cfg"): _value(key, value) for key, value in kwargs.items()}


def _value(key: str, value: Any) -> Any:
    if isinstance(value, dict) and "__target__" in value:
        fields = {k: v for k, v in value.items() if k != "__target__"}
        return {"type": _name(value["__target__"]), **_fields(fields)}
    if isinstance(value, dict):
        return {k: _value(k, v) for k, v in value.items()}
    if key.startswith("init_") and isinstance(value, str) and key != "init_type":
        return _initializer(value)
    return value


def _initializer(text: str) -> Any:
    """`partial(wang_init,(),{'num_layers': 6})` -> {type: wang_init, num_layers: 6}."""
    match = re.fullmatch(r"partial\((\w+?)_?,\(\),(\{.*\})\)", text)
    if match:
        return {"type": match[1], **json.loads(match[2].replace("'", '"'))}
    return "trunc_normal" if text.startswith("trunc_normal") else text


def _name(target: str) -> str:
    return target.rpartition(".")[2]


def objective(output: Any) -> torch.Tensor:
    """What the recorded gradients are gradients of: sum(out * linspace(-1, 1)) over every floating output."""
    found = [leaf for leaf in leaves(output) if leaf.requires_grad]
    return sum(((leaf * torch.linspace(-1, 1, leaf.numel()).view_as(leaf)).sum() for leaf in found), torch.zeros(()))


def leaves(value: Any) -> list[torch.Tensor]:
    """Every tensor in a nested output, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [leaf for item in items for leaf in leaves(item)]
