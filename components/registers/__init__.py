"""Read-outs of register tokens: from R tokens to one conditioning vector.

Sources: registers, Darcet et al., "Vision Transformers Need Registers", 2024,
https://arxiv.org/abs/2309.16588; concatenation of compressed registers, Wang et al., "Mamba-Reg", 2024,
https://arxiv.org/abs/2405.14858.
"""
