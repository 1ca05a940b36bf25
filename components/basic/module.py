"""The elementary layers torch.nn does not have: a causal 1-D convolution, LayerScale and DropPath.

`linear`, `conv2d`, `silu` and the other names of this folder are torch.nn's classes, used as they are.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from components.functional.residual import DropPath, LayerScale

__all__ = ["CausalConv1D", "DropPath", "LayerScale"]


class CausalConv1D(nn.Conv1d):
    """1-D convolution whose output at position t sees only inputs at positions <= t.

    The input is padded with (kernel_size - 1) * dilation zeros on the left and none on the right, so that
    with stride 1 the length is kept (van den Oord et al., "WaveNet", 2016, section 2.1). Parameters are those
    of `nn.Conv1d`: `weight` [out_channels, in_channels / groups, kernel_size] and `bias` [out_channels].
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        is_causal: bool = True,
    ) -> None:
        """Create the filters.

        Args:
            in_channels: Channels of the input.
            out_channels: Channels of the output.
            kernel_size: Number of taps.
            stride: Distance between output positions, in samples.
            padding: Padding on both sides; must be 0 when the layer is causal, which pads by itself.
            dilation: Distance between taps, in samples.
            groups: Number of independent groups of channels.
            bias: Add a learnable bias to every output channel.
            padding_mode: As in `nn.Conv1d`; only "zeros" when the layer is causal.
            is_causal: False gives a plain `nn.Conv1d`.

        Raises:
            ValueError: If the layer is causal and `padding` or `padding_mode` asks for padding on the right.
        """
        if is_causal and (padding != 0 or padding_mode != "zeros"):
            raise ValueError(
                f"Expected padding=0 and padding_mode='zeros' in a causal convolution, "
                f"got padding={padding!r} and padding_mode={padding_mode!r}"
            )
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        self.is_causal = is_causal
        self.left_padding = (kernel_size - 1) * dilation if is_causal else 0

    def forward(self, input: Tensor) -> Tensor:
        """Convolve along the last axis.

        Args:
            input: [B, in_channels, N], or [in_channels, N] for a single sample.

        Returns:
            [B, out_channels, ceil(N / stride)] when causal, else the shape of `nn.Conv1d`.
        """
        if self.left_padding:
            input = F.pad(input, (self.left_padding, 0))
        return super().forward(input)
