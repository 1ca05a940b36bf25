"""Global convolution with a generated kernel as long as the signal, computed through the FFT.

Romero et al., "CKConv: Continuous Kernel Convolution For Sequential Data" (2022); Knigge et al., "Modelling Long
Range Dependencies in N-D: From Task-Specific to a General Purpose CNN" (2023).
"""
