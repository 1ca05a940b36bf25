"""The network that turns a conditioning vector into scales and shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KernelFiLMGenerator(nn.Module):
    """One hidden layer that predicts a scale and a shift for every layer of a kernel network.

    Perez et al. (2018), eq. 2. It starts as the identity, gamma = 1 and beta = 0 for every condition: the
    weights of the last layer are zero, or nearly so, and its bias holds the ones.

    Attributes:
        mlp: Linear(cond_dim, film_hidden_dim), GELU, Linear(film_hidden_dim, 2 * num_film_layers *
            kernel_hidden_dim). The biases are exempt from weight decay.
    """

    def __init__(
        self,
        cond_dim: int,
        kernel_hidden_dim: int,
        num_film_layers: int,
        film_hidden_dim: int = 64,
        no_weight_decay: bool | float = False,
        init_type: str = "identity",
        init_std: float = 1e-4,
    ) -> None:
        """Create the network.

        Args:
            cond_dim: Width of the conditioning vector.
            kernel_hidden_dim: Width of the modulated layers.
            num_film_layers: Number of modulated layers, at least 1.
            film_hidden_dim: Width of the hidden layer.
            no_weight_decay: True exempts the weights from weight decay; a float is the weight decay they ask
                for; False leaves them to the optimiser's default.
            init_type: Last weight: "identity" for zero, "small_random" for N(0, init_std^2).
            init_std: Standard deviation of "small_random".

        Raises:
            ValueError: If `num_film_layers` is below 1 or `init_type` is unknown.
        """
        super().__init__()
        if num_film_layers < 1:
            raise ValueError(f"Expected num_film_layers to be at least 1, got {num_film_layers}")
        if init_type not in ("identity", "small_random"):
            raise ValueError(f"Expected init_type to be identity or small_random, got {init_type!r}")
        self.cond_dim = cond_dim
        self.kernel_hidden_dim = kernel_hidden_dim
        self.num_film_layers = num_film_layers
        first = nn.Linear(cond_dim, film_hidden_dim)
        last = nn.Linear(film_hidden_dim, 2 * num_film_layers * kernel_hidden_dim)
        nn.init.normal_(last.weight, std=init_std if init_type == "small_random" else 0.0)
        with torch.no_grad():
            last.bias.view(num_film_layers, 2, kernel_hidden_dim).copy_(torch.tensor([[1.0], [0.0]]))
        for layer in (first, last):
            _tag(layer, no_weight_decay)
        self.mlp = nn.Sequential(first, nn.GELU(), last)

    def forward(self, conditioning: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Predict scales and shifts.

        Args:
            conditioning: [B, cond_dim].

        Returns:
            `num_film_layers` pairs (gamma, beta), each [B, kernel_hidden_dim].

        Raises:
            ValueError: If `conditioning` is not [B, cond_dim].
        """
        if conditioning.ndim != 2 or conditioning.shape[-1] != self.cond_dim:
            raise ValueError(f"Expected conditioning [B, {self.cond_dim}], got shape {tuple(conditioning.shape)}")
        parts = self.mlp(conditioning).chunk(2 * self.num_film_layers, dim=-1)
        return list(zip(parts[::2], parts[1::2], strict=True))


def _tag(layer: nn.Linear, no_weight_decay: bool | float) -> None:
    """Write the weight-decay wishes on the parameters, where an optimiser can find them."""
    layer.bias._no_weight_decay = True  # type: ignore[attr-defined]
    if isinstance(no_weight_decay, float):
        layer.weight._weight_decay = no_weight_decay  # type: ignore[attr-defined]
    elif no_weight_decay:
        layer.weight._no_weight_decay = True  # type: ignore[attr-defined]
