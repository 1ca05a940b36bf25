"""Kernel generator on random Fourier features: coordinates -> cos, sin of a linear map -> MLP -> kernel values."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.functional.grid import axis_extents, coordinate_grid, full_precision
from components.functional.parameters import exempt_from_weight_decay


class RandomFourierPositionalEmbeddingND(nn.Module):
    """Embed relative positions p as [cos(W p + b), sin(W p + b)] (Tancik et al. 2020, eq. 5).

    W starts as a random projection and is trained like any other parameter.

    Attributes:
        linear: The map W [embedding_dim / 2, data_dim], b [embedding_dim / 2]; exempt from weight decay.
    """

    def __init__(
        self,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0: float,
        use_bias: bool = True,
    ) -> None:
        """Draw W from N(0, (2 pi omega_0)^2); the bias starts at 0.

        Args:
            data_dim: Number of axes D.
            embedding_dim: Width of the embedding, even.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            omega_0: Frequency factor, positive.
            use_bias: Whether the map has a bias.

        Raises:
            ValueError: If the width is odd, or `L_cache` or `omega_0` is not usable.
        """
        super().__init__()
        if embedding_dim % 2:
            raise ValueError(f"Expected an even embedding_dim, got {embedding_dim}")
        if not omega_0 > 0:
            raise ValueError(f"Expected a positive omega_0, got {omega_0}")
        self.L_cache_per_axis = axis_extents(L_cache, data_dim)
        self.omega_0 = float(omega_0)
        self.linear = nn.Linear(data_dim, embedding_dim // 2, bias=use_bias)
        nn.init.normal_(self.linear.weight, 0.0, 2 * math.pi * omega_0)
        if self.linear.bias is not None:
            nn.init.zeros_(self.linear.bias)
        exempt_from_weight_decay(self)

    def forward(self, seq_lens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Embed the positions of all taps of a kernel over `seq_lens` samples.

        Args:
            seq_lens: Samples N per axis.

        Returns:
            Embedding [1, 2 N_1 - 1, ..., 2 N_D - 1, embedding_dim] in the dtype of the weights, and the positions
            [1, 2 N_1 - 1, ..., 2 N_D - 1, D] in float32 or float64.

        Raises:
            ValueError: If `seq_lens` does not have one entry per axis.
        """
        weight, bias = self.linear.weight, self.linear.bias
        grid = coordinate_grid(seq_lens, self.L_cache_per_axis, like=weight)
        with full_precision(grid):
            phases = F.linear(grid, weight.to(grid.dtype), None if bias is None else bias.to(grid.dtype))
        return torch.cat((phases.cos(), phases.sin()), dim=-1).to(weight.dtype), grid


class RandomFourierKernelND(nn.Module):
    """Kernel generator: an MLP on random Fourier features (Tancik et al. 2020).

    Attributes:
        positional_embedding: The Fourier features.
        kernel_network: Linear layers and activations.
        out_linear: Output layer.
    """

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0: float,
        L_cache: int | Sequence[int],
        use_bias: bool,
        nonlinear: nn.Module,
        init_method: Callable[[Tensor, int], None] | None = None,
    ) -> None:
        """Build the layers.

        The output weight shrinks with the number of taps so that the convolution neither grows nor fades with the
        extent.

        Args:
            out_dim: Channels of the kernel.
            data_dim: Number of axes D.
            mlp_hidden_dim: Width M of the hidden layers.
            num_layers: Layers including the embedding, at least 2: num_layers - 1 hidden layers follow it.
            embedding_dim: Width of the embedding, even.
            omega_0: Frequency factor of the features.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            use_bias: Whether the linear maps have biases.
            nonlinear: Activation; copied for every hidden layer after the first.
            init_method: Draws a weight in place, given its number of outputs; None keeps torch's default.

        Raises:
            ValueError: If a size or frequency is out of range.
        """
        super().__init__()
        if num_layers < 2:
            raise ValueError(f"Expected num_layers of at least 2, got {num_layers}")
        self.positional_embedding = RandomFourierPositionalEmbeddingND(
            data_dim, embedding_dim, L_cache, omega_0, use_bias
        )
        layers: list[nn.Module] = []
        for index in range(num_layers - 1):
            width = mlp_hidden_dim if index else embedding_dim
            layers.append(nn.Linear(width, mlp_hidden_dim, bias=use_bias))
            layers.append(copy.deepcopy(nonlinear) if index else nonlinear)
        self.kernel_network = nn.Sequential(*layers)
        self.out_linear = nn.Linear(mlp_hidden_dim, out_dim, bias=use_bias)
        self._initialise(init_method)

    @torch.no_grad()
    def _initialise(self, init_method: Callable[[Tensor, int], None] | None) -> None:
        if init_method is not None:
            hidden = [layer for layer in self.kernel_network if isinstance(layer, nn.Linear)]
            for linear in (*hidden, self.out_linear):
                init_method(linear.weight, linear.out_features)
        self.out_linear.weight.mul_(math.prod(self.positional_embedding.L_cache_per_axis) ** -0.5)

    def forward(self, seq_lens: Sequence[int], conditioning: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Generate the kernel over `seq_lens` samples.

        Args:
            seq_lens: Samples N per axis.
            conditioning: Accepted as by every kernel, not used.

        Returns:
            Kernel [1, 2 N_1 - 1, ..., 2 N_D - 1, out_dim] and the positions of its taps
            [1, 2 N_1 - 1, ..., 2 N_D - 1, D].

        Raises:
            ValueError: If `seq_lens` does not have one entry per axis.
        """
        embedding, grid = self.positional_embedding(seq_lens)
        return self.out_linear(self.kernel_network(embedding)), grid
