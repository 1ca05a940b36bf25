"""Residual block with adaptive normalisation that starts as the identity (AdaLN-Zero).

Source: Peebles and Xie, "Scalable Diffusion Models with Transformers", 2023,
https://arxiv.org/abs/2212.09748, section 3.2 and figure 3.
"""
