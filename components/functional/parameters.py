"""Optimiser hints carried by parameters.

A training script reads `_no_weight_decay`, `_weight_decay` and `_lr_scale` from each parameter when it builds
its parameter groups. The hints survive `deepcopy`, not `state_dict`.
"""

from __future__ import annotations

from torch import nn


def exempt_from_weight_decay(*modules: nn.Module | None) -> None:
    """Tag every parameter of the given modules with `_no_weight_decay = True`; None is skipped."""
    for module in modules:
        for parameter in module.parameters() if module is not None else ():
            parameter._no_weight_decay = True  # type: ignore[attr-defined]
