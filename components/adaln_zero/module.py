"""The AdaLN-Zero block."""

from __future__ import annotations

from torch import Tensor, nn

from components.functional.parameters import exempt_from_weight_decay


class AdaLNZeroResidualBlock(nn.Module):
    """Two residual branches, shifted, scaled and gated by a condition (Peebles and Xie, 2023, section 3.2).

    c = condition_norm(condition), averaged over its positions if it has any;
    (shift_1, scale_1, gate_1, shift_2, scale_2, gate_2) = Linear(SiLU(c));
    x <- x + gate_1 dropout(sequence_mixer(sequence_norm(x) (1 + scale_1) + shift_1, conditioning=c));
    x <- x + gate_2 dropout(mlp(mlp_norm(x) (1 + scale_2) + shift_2)).

    The linear layer starts at zero, so the gates close both branches and the block starts as the identity.
    The parameters of the norms are exempt from weight decay.

    Attributes:
        sequence_mixer: Called as f(x, conditioning=c), mixes positions.
        sequence_norm: Norm before it.
        mlp: Called as f(x), mixes channels.
        mlp_norm: Norm before it.
        condition_norm: Norm of the pooled condition.
        dropout: Ends both branches, before the gate.
        condition_proj: SiLU and Linear(hidden_dim, 6 hidden_dim), zeros at first.
    """

    def __init__(
        self,
        sequence_mixer: nn.Module,
        sequence_norm: nn.Module | None,
        mlp: nn.Module,
        mlp_norm: nn.Module | None,
        condition_norm: nn.Module | None,
        dropout: nn.Module | None,
        hidden_dim: int,
    ) -> None:
        """Create the projection of the condition.

        Args:
            sequence_mixer: ([B, *N, C], conditioning [B, C]) -> [B, *N, C].
            sequence_norm: Norm before the sequence mixer; None for none.
            mlp: [B, *N, C] -> [B, *N, C].
            mlp_norm: Norm before the mlp; None for none.
            condition_norm: Norm of the condition, [B, C] -> [B, C]; None for none.
            dropout: Applied to both branches; None for none.
            hidden_dim: Channels C of input and condition.

        Raises:
            ValueError: If the sequence mixer is `nn.Identity`, which takes no conditioning.
        """
        super().__init__()
        if isinstance(sequence_mixer, nn.Identity):
            raise ValueError("Expected a sequence mixer that takes `conditioning`, got Identity")
        self.hidden_dim = hidden_dim
        self.sequence_mixer = sequence_mixer
        self.sequence_norm = nn.Identity() if sequence_norm is None else sequence_norm
        self.mlp = mlp
        self.mlp_norm = nn.Identity() if mlp_norm is None else mlp_norm
        self.condition_norm = nn.Identity() if condition_norm is None else condition_norm
        self.dropout = nn.Identity() if dropout is None else dropout
        projection = nn.Linear(hidden_dim, 6 * hidden_dim)
        nn.init.zeros_(projection.weight)
        nn.init.zeros_(projection.bias)
        self.condition_proj = nn.Sequential(nn.SiLU(), projection)
        exempt_from_weight_decay(self.sequence_norm, self.mlp_norm, self.condition_norm)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Apply both branches.

        Args:
            x: [B, *N, hidden_dim].
            condition: [B, hidden_dim], or [B, *M, hidden_dim], which is averaged over its positions.

        Returns:
            [B, *N, hidden_dim].

        Raises:
            ValueError: If there is no condition, or its shape is neither of the two.
        """
        pooled = self._pool(condition)
        # One broadcast axis per spatial axis of x: [B, 6 C] -> six of [B, 1, ..., 1, C].
        modulation = self.condition_proj(pooled).view(x.shape[0], *(1,) * (x.ndim - 2), -1)
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = modulation.chunk(6, dim=-1)
        mixed = self.sequence_mixer(self.sequence_norm(x) * (1 + scale_1) + shift_1, conditioning=pooled)
        x = x + gate_1 * self.dropout(mixed)
        mixed = self.mlp(self.mlp_norm(x) * (1 + scale_2) + shift_2)
        out: Tensor = x + gate_2 * self.dropout(mixed)
        return out

    def _pool(self, condition: Tensor | None) -> Tensor:
        """Average a condition over its positions and normalise it: [B, C] or [B, *M, C] -> [B, C]."""
        if condition is None:
            raise ValueError(f"Expected a condition [B, {self.hidden_dim}], got None")
        if condition.ndim < 2 or condition.shape[-1] != self.hidden_dim:
            raise ValueError(
                f"Expected a condition [B, {self.hidden_dim}] or [B, *M, {self.hidden_dim}], "
                f"got shape {tuple(condition.shape)}"
            )
        if condition.ndim > 2:
            condition = condition.flatten(1, -2).mean(1)
        normed: Tensor = self.condition_norm(condition)
        return normed
