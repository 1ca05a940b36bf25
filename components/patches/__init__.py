"""Patches and positions: strided convolution in, transposed convolution out, learned tables per axis.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, https://arxiv.org/abs/2010.11929, section
3.1, eq. 1; the tables are the 2-D-aware position embedding of its appendix D.4, in one to three dimensions.
"""
