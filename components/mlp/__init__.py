"""Position-wise two-layer perceptron, plain or gated.

Sources: Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762, eq. 2; gated
variants, Shazeer, "GLU Variants Improve Transformer", 2020, https://arxiv.org/abs/2002.05202.
"""
