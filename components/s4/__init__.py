"""S4, structured state spaces with a diagonal plus low-rank state matrix.

Gu, Goel and Re, "Efficiently Modeling Long Sequences with Structured State Spaces" (2022).
"""
