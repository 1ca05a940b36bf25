"""Elementary layers: projections, convolutions, activations, dropout, and two tempers of residual branches.

Most are torch.nn's own classes under a registered name. Sources of the rest: LayerScale, Touvron et al.,
"Going deeper with Image Transformers", 2021, https://arxiv.org/abs/2103.17239; DropPath, Huang et al., "Deep
Networks with Stochastic Depth", 2016, https://arxiv.org/abs/1603.09382; the causal convolution is the one of
van den Oord et al., "WaveNet", 2016, https://arxiv.org/abs/1609.03499, section 2.1, undilated by default.
"""
