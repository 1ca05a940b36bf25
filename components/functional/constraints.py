"""Constraints on parameters that hold at every forward pass."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter


def clamp_in_place(parameter: nn.Parameter, low: float, high: float) -> None:
    """Move a parameter into [low, high], visibly but outside of autograd.

    The clamp is a property of the parameter, not an operation of the forward pass: its gradient is not that of a
    clamp, and its version stays, so that a module may run twice before the backward pass.
    """
    with torch.no_grad(), _unsafe_preserve_version_counter(parameter):
        parameter.copy_(parameter.clamp(low, high))
