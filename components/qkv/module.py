"""Projections around a mixer. All data is channels last, [B, *N, C]."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from components.functional.parameters import Initializer, initialise


class QKVSequenceMixer(nn.Module):
    """Project the input to query, key and value, mix, project back (Vaswani et al., 2017, section 3.2.2).

    Attributes:
        mixer: Called as mixer(query, key, value, **kwargs), all [B, *N, hidden_dim].
        qkv_proj: Linear(hidden_dim, 3 hidden_dim), rows in the order query, key, value.
        out_proj: Linear(hidden_dim, hidden_dim).
    """

    def __init__(
        self,
        hidden_dim: int,
        mixer: nn.Module,
        qkv_bias: bool = False,
        out_proj_bias: bool = False,
        init_method_in: Initializer | None = None,
        init_method_out: Initializer | None = None,
    ) -> None:
        """Create the projections.

        Args:
            hidden_dim: Channels of the input, of the output, and of query, key and value.
            mixer: Mixes query, key and value.
            qkv_bias: Add a bias to `qkv_proj`.
            out_proj_bias: Add a bias to `out_proj`.
            init_method_in: Initialises qkv_proj.weight, called with `hidden_dim`; its bias is then zero.
            init_method_out: Initialises out_proj.weight, called with `hidden_dim`; its bias is then zero.
        """
        super().__init__()
        self.hidden_dim = hidden_dim
        self.mixer = mixer
        self.qkv_proj = nn.Linear(hidden_dim, 3 * hidden_dim, bias=qkv_bias)
        self.out_proj = nn.Linear(hidden_dim, hidden_dim, bias=out_proj_bias)
        initialise(self.qkv_proj, init_method_in, hidden_dim)
        initialise(self.out_proj, init_method_out, hidden_dim)

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Mix the positions of `x`.

        Args:
            x: [B, *N, hidden_dim].
            **kwargs: Handed to the mixer, for instance `conditioning`.

        Returns:
            [B, *N, hidden_dim].

        Raises:
            ValueError: If the last axis of `x` is not `hidden_dim` long.
        """
        _expect_width(x, "input", self.hidden_dim)
        query, key, value = self.qkv_proj(x).chunk(3, dim=-1)
        mixed = self.mixer(query, key, value, **kwargs)
        out: Tensor = self.out_proj(mixed.contiguous())  # dense, the bias is added by the product itself
        return out


class QKVConditionMixer(nn.Module):
    """Project the input to queries and the condition to keys and values, mix, project back: cross mixing.

    Vaswani et al. (2017), section 3.2.3 ("encoder-decoder attention"). No biases.

    Attributes:
        mixer: Called as mixer(query, key, value, **kwargs).
        kv_proj: Linear(hidden_dim, 2 hidden_dim), rows in the order key, value.
        q_proj: Linear(hidden_dim, hidden_dim).
        out_proj: Linear(hidden_dim, hidden_dim).
    """

    def __init__(
        self,
        hidden_dim: int,
        mixer: nn.Module,
        init_method_in: Initializer | None = None,
        init_method_out: Initializer | None = None,
    ) -> None:
        """Create the projections.

        Args:
            hidden_dim: Channels of the input, of the condition and of the output.
            mixer: Mixes query, key and value.
            init_method_in: Initialises q_proj.weight and kv_proj.weight, called with `hidden_dim`.
            init_method_out: Initialises out_proj.weight, called with `hidden_dim`.
        """
        super().__init__()
        self.hidden_dim = hidden_dim
        self.mixer = mixer
        self.kv_proj = nn.Linear(hidden_dim, 2 * hidden_dim, bias=False)
        self.q_proj = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.out_proj = nn.Linear(hidden_dim, hidden_dim, bias=False)
        initialise(self.kv_proj, init_method_in, hidden_dim)
        initialise(self.q_proj, init_method_in, hidden_dim)
        initialise(self.out_proj, init_method_out, hidden_dim)

    def forward(self, x: Tensor, condition: Tensor, **kwargs: Any) -> Tensor:
        """Let every position of `x` read from the condition.

        Args:
            x: [B, *N, hidden_dim], at least one spatial axis.
            condition: [B, hidden_dim], read as a single position, or [B, *M, hidden_dim] of the rank of `x`.
            **kwargs: Handed to the mixer.

        Returns:
            [B, *N, hidden_dim].

        Raises:
            ValueError: If a rank or a width is wrong.
        """
        if x.ndim < 3:
            raise ValueError(f"Expected an input [B, *N, {self.hidden_dim}], got shape {tuple(x.shape)}")
        if condition.ndim == 2:
            condition = condition.view(condition.shape[0], *(1,) * (x.ndim - 2), condition.shape[1])
        if condition.ndim != x.ndim:
            raise ValueError(f"Expected a condition of 2 or {x.ndim} axes, got shape {tuple(condition.shape)}")
        _expect_width(x, "input", self.hidden_dim)
        _expect_width(condition, "condition", self.hidden_dim)
        key, value = self.kv_proj(condition).chunk(2, dim=-1)
        out: Tensor = self.out_proj(self.mixer(self.q_proj(x), key, value, **kwargs))
        return out


def _expect_width(x: Tensor, name: str, width: int) -> None:
    if x.shape[-1] != width:
        raise ValueError(f"Expected {name} [..., {width}], got shape {tuple(x.shape)}")
