"""The pre-norm residual block."""

from __future__ import annotations

from torch import Tensor, nn

from components.functional.parameters import exempt_from_weight_decay


def _or_identity(module: nn.Module | None) -> nn.Module:
    return nn.Identity() if module is None else module


class ResidualBlock(nn.Module):
    """Three residual branches, each x + dropout(f(norm(x))): positions, condition, channels.

    A branch whose f is None or `nn.Identity` is left out altogether. The parameters of the norms are exempt
    from weight decay.

    Attributes:
        sequence_mixer: Called as f(x), mixes positions; `input_norm` precedes it.
        condition_mixer: Called as f(x, condition); `condition_mixer_norm` precedes it.
        mlp: Called as f(x), mixes channels; `mlp_norm` precedes it.
        dropout: Ends every branch.
    """

    def __init__(
        self,
        sequence_mixer: nn.Module | None,
        input_norm: nn.Module | None,
        condition_mixer: nn.Module | None = None,
        condition_mixer_norm: nn.Module | None = None,
        mlp: nn.Module | None = None,
        mlp_norm: nn.Module | None = None,
        dropout: nn.Module | None = None,
    ) -> None:
        """Store the children; None stands for `nn.Identity`.

        Args:
            sequence_mixer: [B, *N, C] -> [B, *N, C].
            input_norm: Norm before the sequence mixer.
            condition_mixer: ([B, *N, C], condition) -> [B, *N, C].
            condition_mixer_norm: Norm before the condition mixer.
            mlp: [B, *N, C] -> [B, *N, C].
            mlp_norm: Norm before the mlp.
            dropout: Applied to every branch.

        Raises:
            ValueError: If a norm is given for a branch that is left out.
        """
        super().__init__()
        self.sequence_mixer = _or_identity(sequence_mixer)
        self.input_norm = _or_identity(input_norm)
        self.condition_mixer = _or_identity(condition_mixer)
        self.condition_mixer_norm = _or_identity(condition_mixer_norm)
        self.mlp = _or_identity(mlp)
        self.mlp_norm = _or_identity(mlp_norm)
        self.dropout = _or_identity(dropout)
        pairs = {
            "sequence_mixer": (self.sequence_mixer, self.input_norm),
            "condition_mixer": (self.condition_mixer, self.condition_mixer_norm),
            "mlp": (self.mlp, self.mlp_norm),
        }
        for name, (branch, norm) in pairs.items():
            if isinstance(branch, nn.Identity) and not isinstance(norm, nn.Identity):
                raise ValueError(f"Expected no norm where {name} is the identity, got {type(norm).__name__}")
            exempt_from_weight_decay(norm)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Apply the branches one after the other.

        Args:
            x: [B, *N, C].
            condition: What the condition mixer accepts, [B, C] or [B, *M, C]; unused without a condition
                mixer.

        Returns:
            [B, *N, C].

        Raises:
            ValueError: If there is a condition mixer but no condition.
        """
        if not isinstance(self.sequence_mixer, nn.Identity):
            x = x + self.dropout(self.sequence_mixer(self.input_norm(x)))
        if not isinstance(self.condition_mixer, nn.Identity):
            if condition is None:
                raise ValueError("Expected a condition for the condition mixer, got None")
            x = x + self.dropout(self.condition_mixer(self.condition_mixer_norm(x), condition))
        if not isinstance(self.mlp, nn.Identity):
            x = x + self.dropout(self.mlp(self.mlp_norm(x)))
        return x
