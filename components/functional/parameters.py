"""Initial values of parameters, and the optimiser hints they carry.

A training script reads `_no_weight_decay`, `_weight_decay` and `_lr_scale` from each parameter when it builds
its parameter groups. The hints are plain attributes: they are in no `state_dict`, and torch drops them in `deepcopy`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Initializer = Callable[[Tensor, int], None]
"""Fills a weight in place, given the width the layer is scaled by."""


def initialise(layer: nn.Linear, init: Initializer | None, dim: int) -> None:
    """Apply `init(weight, dim)` and zero the bias; None keeps torch's default."""
    if init is None:
        return
    init(layer.weight, dim)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def exempt_from_weight_decay(*modules: nn.Module | None) -> None:
    """Tag every parameter of the given modules with `_no_weight_decay = True`; None is skipped."""
    for module in modules:
        for parameter in module.parameters() if module is not None else ():
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
