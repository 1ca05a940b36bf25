"""Multi-head softmax attention on sequences, images and volumes, with rotary positions and query-key norm.

Sources: Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762, eq. 1; rotary
positions, Su et al., "RoFormer", 2021, https://arxiv.org/abs/2104.09864; normalised queries and keys, Henry
et al., "Query-Key Normalization for Transformers", 2020, https://arxiv.org/abs/2010.04245.
"""
