"""Normalisation layers, over channels, heads, groups or space.

Sources: RMSNorm, Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467, eq. 4; LayerNorm, Ba et al. 2016,
https://arxiv.org/abs/1607.06450; GroupNorm, Wu and He 2018, https://arxiv.org/abs/1803.08494; L2 norm of
queries and keys, Henry et al. 2020, https://arxiv.org/abs/2010.04245; GlobalResponseNorm, Woo et al.,
"ConvNeXt V2", 2023, https://arxiv.org/abs/2301.00808. LayerNorm and GroupNorm are torch.nn's classes.
"""
