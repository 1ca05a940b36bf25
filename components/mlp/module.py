"""The position-wise perceptron."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from components.functional.parameters import Initializer, initialise


def _glu(x: Tensor) -> Tensor:
    """First half times sigmoid of second half: [..., 2 h] -> [..., h]."""
    value, gate = x.chunk(2, dim=-1)
    return value * gate.sigmoid()


def _swiglu(x: Tensor) -> Tensor:
    """First half through silu, times second half: [..., 2 h] -> [..., h]."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


_GATED = {"glu": _glu, "swiglu": _swiglu}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    **_GATED,
}


class MLP(nn.Module):
    """Linear, activation, dropout, linear, applied to every position by itself.

    Vaswani et al. (2017), eq. 2; the gated activations are those of Shazeer (2020), with the gate of
    `glu` in the second half of the first layer's output and that of `swiglu` in the first half.

    Attributes:
        layer1: dim -> hidden, twice as wide for gated activations.
        layer2: hidden -> dim.
        dropout: The module between activation and second layer.
        hidden_dim: floor(dim * expansion_factor).
    """

    def __init__(
        self,
        dim: int,
        activation: str,
        dropout: nn.Module | None = None,
        expansion_factor: float = 2.0,
        bias: bool = False,
        init_method_in: Initializer | None = None,
        init_method_out: Initializer | None = None,
    ) -> None:
        """Create both layers.

        Args:
            dim: Channels of input and output.
            activation: "relu", "gelu" (exact, erf), "silu", "glu" or "swiglu".
            dropout: Applied to the hidden activations; None for none.
            expansion_factor: Hidden width in multiples of `dim`, rounded down.
            bias: Add biases to both layers.
            init_method_in: Initialises layer1.weight, called with layer1's output width; its bias is then
                zero.
            init_method_out: Initialises layer2.weight, called with `dim`; its bias is then zero.

        Raises:
            ValueError: If the activation is unknown or the hidden width is below 1.
        """
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"Expected activation to be one of {', '.join(_ACTIVATIONS)}, got {activation!r}")
        self.hidden_dim = int(dim * expansion_factor)
        if self.hidden_dim < 1:
            raise ValueError(
                f"Expected a hidden width dim * expansion_factor of at least 1, "
                f"got {dim} * {expansion_factor} = {dim * expansion_factor}"
            )
        self.activation = activation
        width = self.hidden_dim * (2 if activation in _GATED else 1)
        self.layer1 = nn.Linear(dim, width, bias=bias)
        self.layer2 = nn.Linear(self.hidden_dim, dim, bias=bias)
        self.dropout = nn.Identity() if dropout is None else dropout
        initialise(self.layer1, init_method_in, width)
        initialise(self.layer2, init_method_out, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map every position of `x` [..., dim] to [..., dim]."""
        hidden = _ACTIVATIONS[self.activation](self.layer1(x))
        out: Tensor = self.layer2(self.dropout(hidden))
        return out

    def extra_repr(self) -> str:
        """Show the activation in `repr(module)`."""
        return f"activation={self.activation}"
