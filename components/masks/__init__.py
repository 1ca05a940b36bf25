"""Windows that confine a generated kernel: its values fade with the distance from the centre.

Romero et al., "FlexConv: Continuous Kernel Convolutions with Differentiable Kernel Sizes" (2022), eq. 4 (Gaussian);
Poli et al., "Hyena Hierarchy" (2023), section 3.3 (exponential).
"""
