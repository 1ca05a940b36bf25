"""Registry, schemas, rules, costs: everything about a network that needs no torch.

>>> plan = registry.load("vit5_hybrid", overrides=["patch_size=8"])
>>> registry.cost(plan).flops
>>> module = registry.build(plan)
"""

from __future__ import annotations

from registry.build import build
from registry.cost import cost
from registry.errors import ArchError, InvalidConfig, Problem, UnknownComponent
from registry.plan import Plan, check, load
from registry.schema import Component
from registry.store import Entry, get, names, register

__all__ = [
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
