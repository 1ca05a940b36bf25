"""Twenty single operations with their counts by hand: the tracer is held to them, and other counters are shown on them.

Every one is a module that takes one tensor, since most counters watch modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTRACTIONS = ("matmul", "conv")


@torch.library.custom_op("microops::mymm", mutates_args=())
def mymm(a: Tensor, b: Tensor) -> Tensor:
    """(M, K) @ (K, N) behind a name that torch does not know."""
    return a @ b


@mymm.register_fake
def _(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[1])


class Operation(nn.Module):
    """`call(layer, x)` as a module; `layer` is None where the operation has no weights."""

    def __init__(self, call: Callable[[Any, Tensor], Any], layer: nn.Module | None) -> None:
        super().__init__()
        self.call, self.layer = call, layer
        self.unused = nn.Parameter(torch.zeros(1))  # some counters refuse a module without parameters

    def forward(self, x: Tensor) -> Any:
        return self.call(self.layer, x)


@dataclass(frozen=True)
class Micro:
    """One operation with its exact counts.

    Attributes:
        call: `call(layer, x)` runs it.
        shape: of x.
        counts: every kind that occurs.
        layer: makes the module that holds its weights.
        dtype: of x.
        devices: where it runs as operations that have rules.
    """

    call: Callable[[Any, Tensor], Any]
    shape: tuple[int, ...]
    counts: dict[str, int]
    layer: Callable[[], nn.Module] | None = None
    dtype: torch.dtype = torch.float32
    devices: tuple[str, ...] = ("cpu", "meta")

    @property
    def figure(self) -> int:
        """What counters are compared by: products of a contraction (without bias and softmax), else everything."""
        products = sum(self.counts.get(kind, 0) for kind in CONTRACTIONS)
        return products or sum(self.counts.values())

    def module(self, device: str) -> Operation:
        return Operation(self.call, self.layer() if self.layer else None).to(device)

    def input(self, device: str) -> Tensor:
        return torch.randn(self.shape, dtype=self.dtype, device=device)


def layer_of_x(layer: nn.Module, x: Tensor) -> Any:
    return layer(x)


# Without bias, which some counters leave out and some take for a multiply-add.
LINEAR = partial(nn.Linear, 256, 256, bias=False)
SCORES, ROWS = 4 * 64 * 64, 4 * 64  # 4 heads, 64 queries and keys
SOFTMAX = {"elementwise": SCORES, "softmax": 5 * SCORES - 2 * ROWS}

MICRO = {
    "linear 64x256->256": Micro(layer_of_x, (64, 256), {"matmul": 8_388_608}, LINEAR),
    "linear on 3-D input": Micro(layer_of_x, (2, 64, 256), {"matmul": 16_777_216}, LINEAR),
    "x @ x.T": Micro(lambda _, x: x @ x.T, (64, 256), {"matmul": 2_097_152}),
    "einsum bhtd,bhsd->bhts": Micro(
        lambda _, x: torch.einsum("bhtd,bhsd->bhts", x, x), (1, 4, 64, 32), {"matmul": 1_048_576}
    ),
    "complex matmul": Micro(lambda _, z: z @ z.T, (64, 256), {"matmul": 8_388_608}, dtype=torch.complex64),
    "sdpa": Micro(
        lambda _, x: F.scaled_dot_product_attention(x, x, x), (1, 4, 64, 32), {"matmul": 2_097_152, **SOFTMAX}
    ),
    # A causal mask is not halved: 1,064,960 of these products fall on or below the diagonal.
    "sdpa causal": Micro(
        lambda _, x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        (1, 4, 64, 32),
        {"matmul": 2_097_152, **SOFTMAX},
    ),
    "nn.MultiheadAttention": Micro(
        lambda layer, x: layer(x, x, x, need_weights=False),
        (1, 64, 128),
        {"matmul": 10_485_760, **SOFTMAX},
        partial(nn.MultiheadAttention, 128, 4, bias=False, batch_first=True),
    ),
    "depthwise conv 3x3": Micro(
        layer_of_x, (1, 32, 16, 16), {"conv": 147_456}, partial(nn.Conv2d, 32, 32, 3, padding=1, groups=32, bias=False)
    ),
    "F.conv2d functional": Micro(
        lambda layer, x: F.conv2d(x, layer[0], padding=1),
        (1, 32, 16, 16),
        {"conv": 4_718_592},
        lambda: nn.ParameterList([torch.randn(32, 32, 3, 3)]),
    ),
    "rfft2 + irfft2": Micro(lambda _, x: torch.fft.irfft2(torch.fft.rfft2(x)), (8, 64, 64), {"fft": 1_996_800}),
    "complex mul": Micro(lambda _, z: z * z, (8, 64, 64), {"complex": 196_608}, dtype=torch.complex64),
    "sin": Micro(lambda _, x: torch.sin(x), (512, 64), {"transcendental": 32_768}),
    "x * x": Micro(lambda _, x: x * x, (512, 64), {"elementwise": 32_768}),
    # A scan needs in - rows = 32,256 additions; the rule is "in", one per element.
    "cumsum": Micro(lambda _, x: torch.cumsum(x, -1), (512, 64), {"reduction": 32_768}),
    "softmax": Micro(lambda _, x: F.softmax(x, -1), (512, 64), {"softmax": 162_816}),
    "layer_norm(64)": Micro(  # 230,400 in all
        layer_of_x,
        (512, 64),
        {"elementwise": 5 * 32_768 + 512, "reduction": 2 * 32_768, "transcendental": 512},
        partial(nn.LayerNorm, 64),
    ),
    "custom op": Micro(lambda _, x: mymm(x, x.T), (64, 256), {"matmul": 2_097_152}),
    "one linear called 3 times": Micro(
        lambda layer, x: layer(layer(layer(x))), (64, 256), {"matmul": 25_165_824}, LINEAR
    ),
    # On cpu the whole layer is one library call, which has no rule. Per step: gates 4 x 64 of two biased products
    # and their sum, 3 sigmoid + 2 tanh, 3 products and 1 sum of the states.
    "LSTM 64->64, T=32": Micro(
        layer_of_x,
        (32, 1, 64),
        {
            "matmul": 2_097_152,
            "bias": 2 * 32 * 256,
            "elementwise": 32 * (256 + 4 * 64),
            "transcendental": 32 * 5 * 64,
        },
        partial(nn.LSTM, 64, 64),
        devices=("meta",),
    ),
}
