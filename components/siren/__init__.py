"""Sinusoidal networks that generate convolution kernels from coordinates.

Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions" (SIREN, 2020), used as kernel
generators by Romero et al., "CKConv" (2022) and Knigge et al., "CCNN" (2023); the multi-omega, block-diagonal and
learnable-omega variants are those of nvsubquadratic 0.2.0.
"""
