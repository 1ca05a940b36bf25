"""S4D, structured state spaces with a diagonal state matrix.

Gu, Gupta, Goel and Re, "On the Parameterization and Initialization of Diagonal State Space Models" (2022).
"""
