"""Weight initialisers as values: the usual distributions, and those of deep residual networks.

Sources: xavier, Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
networks", 2010; kaiming, He et al. 2015, https://arxiv.org/abs/1502.01852; orthogonal, Saxe et al. 2014,
https://arxiv.org/abs/1312.6120; small_init, Nguyen and Salazar, "Transformers without Tears", 2019,
https://arxiv.org/abs/1910.05895; wang_init, Wang and Komatsuzaki, "Mesh-Transformer-JAX", 2021.
"""
