"""ViT-5: a plain vision transformer with registers, LayerScale, RMS norms and 2-D rotary positions.

Its blocks mix tokens by attention or, on a padded grid, by Hyena; the whole is that of nvsubquadratic 0.2.0.
Sources: vision transformer, Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929; registers, Darcet et
al. 2024, https://arxiv.org/abs/2309.16588; rotary positions, Su et al. 2021,
https://arxiv.org/abs/2104.09864; LayerScale, Touvron et al. 2021, https://arxiv.org/abs/2103.17239.
"""
