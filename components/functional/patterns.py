"""Fields and rules of networks whose blocks are all alike, or of several types in a written order. No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry.limits import LIMITS
from registry.rules import Require

Blocks = Annotated[int, Field(strict=True, ge=1, le=LIMITS.blocks)]
"""A number of blocks."""

Pattern = Annotated[str, Field(strict=True, pattern="^[A-Za-z0-9]+$", max_length=LIMITS.blocks)]
"""The types of all blocks in their order, one character each."""


def pattern_rules(example: str) -> tuple[Require, ...]:
    """Either `block`, or `layer_pattern` written in the keys of `layer_types`; `example` is a type of block."""
    return (
        Require(
            "block is not None or layer_pattern is not None or layer_types is not None",
            at="layer_pattern",
            code="no-blocks",
            message="Expected block, or layer_pattern with layer_types, got neither",
            hint=f"give block what every block is, such as a {example}",
            why="the network needs blocks",
        ),
        Require(
            "block is None or layer_pattern is None",
            at="block",
            code="block-or-pattern",
            message="Expected either block or layer_pattern, got both",
            hint="leave one of them out",
            why="each of them says what every block is",
        ),
        Require(
            "(layer_pattern is None) == (layer_types is None)",
            at="layer_types",
            code="pattern-and-types",
            message="Expected layer_pattern and layer_types together, got only one of them",
            hint="give the other one as well",
            why="the pattern is written in the keys of layer_types",
        ),
        Require(
            "all(len(name) == 1 for name in layer_types)",
            at="layer_types",
            when="layer_types is not None",
            code="layer-type-name",
            message="Expected layer types of one character, got {', '.join(sorted(layer_types))}",
            hint="name each layer type by a single letter",
            why="layer_pattern has one character per block",
        ),
        Require(
            "all(char in layer_types for char in layer_pattern)",
            at="layer_pattern",
            when="layer_pattern is not None and layer_types is not None",
            code="unknown-layer-type",
            message="Expected layer_pattern to be written in {', '.join(sorted(layer_types))}, got {layer_pattern}",
            hint="add the missing characters to layer_types, or change the pattern",
            why="every character names a layer type",
        ),
    )
