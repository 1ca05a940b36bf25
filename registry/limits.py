"""Budgets for untrusted documents: one frozen record, shown by `arch limits`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a document may cost us. A document over a limit is refused before it is looked at further."""

    file_bytes: int = 256 * 1024
    depth: int = 32
    nodes: int = 10_000
    scalar_chars: int = 4_096
    key_chars: int = 64
    int_digits: int = 18
    references: int = 1_000
    reference_chain: int = 16
    extends_chain: int = 16
    problems_shown: int = 20
    dim: int = 2**20
    blocks: int = 4_096
    heads: int = 1_024
    params: int = 10**13


LIMITS = Limits()
