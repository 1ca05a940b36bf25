"""Feature-wise linear modulation (FiLM) of a kernel network by a conditioning vector.

Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", 2018,
https://arxiv.org/abs/1709.07871, eq. 2, with one pair of scale and shift per layer of the modulated network.
"""
