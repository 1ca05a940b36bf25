"""Residual networks over grids of any rank: projection in, a stack of residual blocks, norm, projection out.

The pre-norm residual arrangement is He et al., "Identity Mappings in Deep Residual Networks", 2016,
https://arxiv.org/abs/1603.05027; the two networks are those of nvsubquadratic 0.2.0.
"""
