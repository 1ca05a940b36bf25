"""Plan -> torch module, bottom-up: children are built first and passed to plain `nn.Module` constructors.

torch is imported inside functions only, so that everything else runs without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from registry.errors import BuildError
from registry.plan import Plan, load
from registry.schema import Component
from registry.sources import Source

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float64", "bfloat16", "float16")
DEVICES = ("cpu", "meta", "cuda")


def build(
    source: Source | Plan,
    overrides: Sequence[str] = (),
    device: str = "cpu",
    dtype: str = "float32",
    seed: int | None = None,
) -> torch.nn.Module:
    """Build a network or component.

    Args:
        source: What `load` takes, or a plan.
        overrides: `key=value`, applied when `source` is not a plan.
        device: `cpu`, `cuda` (or `cuda:1`) or `meta` (shapes without memory).
        dtype: `float32`, `float64`, `bfloat16` or `float16`.
        seed: Seed of the initial weights, the same on every device; None uses and advances torch's global generator.

    Raises:
        InvalidConfig: the source is invalid; nothing was built.
        BuildError: the device or dtype is not to be had.
    """
    import torch

    plan = source if isinstance(source, Plan) else load(source, overrides)
    if dtype not in DTYPES:
        raise BuildError(f"Expected dtype to be one of {', '.join(DTYPES)}, got {dtype!r}")
    if device.partition(":")[0] not in DEVICES:
        raise BuildError(f"Expected device to be one of {', '.join(DEVICES)}, got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BuildError(
            f"Expected device to be cpu or meta on this machine, got {device!r}: torch sees no CUDA device"
        )
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        # Weights are drawn on the CPU, so that a seed means the same weights on every device.
        with torch.device("meta" if device == "meta" else "cpu"):
            module: torch.nn.Module = construct(plan.root)
    return module.to(device=device, dtype=getattr(torch, dtype))


def construct(config: Component) -> Any:
    """The module of `config`, its parts built first; a part `name.0` is an item of the list `name`."""
    parts: dict[str, Any] = {}
    for path, part in config.parts.items():
        name, _, index = path.partition(".")
        built = construct(part)
        if index:
            parts.setdefault(name, []).append(built)
        else:
            parts[name] = built
    return module_class(config)(**config.module_args(), **parts)


def module_class(config: Component) -> Any:
    """The class behind `package.module:Class`; the name comes from our source or a plug-in's, never from a config."""
    module, _, name = config.entry.module.partition(":")
    return getattr(importlib.import_module(module), name)
