"""Hyena in N dimensions: a gated global convolution in place of attention, at O(N log N) cost.

Poli et al., "Hyena Hierarchy: Towards Larger Convolutional Language Models", 2023,
https://arxiv.org/abs/2302.10866, definition 3.1 with order 2, extended to 1, 2 and 3 spatial axes with
normalised, nonlinearly gated projections.
"""
