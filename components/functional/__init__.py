"""Torch functions that several components share: FFT convolution, coordinate grids, rotary tables."""
