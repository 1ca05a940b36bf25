"""Pre-norm residual block: mix positions, mix in a condition, mix channels.

Sources: He et al., "Identity Mappings in Deep Residual Networks", 2016, https://arxiv.org/abs/1603.05027; the
norm before every branch, Xiong et al. 2020, https://arxiv.org/abs/2002.04745; the three branches are those of
the transformer decoder, Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.1.
"""
