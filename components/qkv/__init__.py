"""Projections around a mixer: query, key and value from one input, or the last two from a condition.

Source: Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762, section 3.2, with
the mixer left open: attention, Hyena, or anything else that takes a query, a key and a value.
"""
