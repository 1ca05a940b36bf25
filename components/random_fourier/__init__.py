"""Random Fourier features of coordinates, and a network on top of them that generates convolution kernels.

Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains" (2020).
"""
