"""The Hyena mixer as a torch module; see the package docstring for its source."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from components.functional.parameters import exempt_from_weight_decay


class Hyena(nn.Module):
    """Mix positions with a global convolution between two multiplicative gates (Poli et al. 2023, order 2).

    With `*` the global convolution (shortcut included) and every product element by element::

        q, k, v = short_conv([q; k; v])
        z       = pixelhyena_norm(q_norm(q) . gate_1(k_norm(k)))
        y       = output_norm(gate_2(v) . (kernel * z))

    There is no projection here: the queries, keys and values come from the mixer around this module, which
    also projects the output. The result is causal only if both the short and the global convolution are.
    """

    def __init__(
        self,
        global_conv: nn.Module,
        short_conv: nn.Module | None,
        gate_nonlinear: nn.Module,
        pixelhyena_norm: nn.Module | None = None,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
        output_norm: nn.Module | None = None,
        gate_nonlinear_2: nn.Module | None = None,
    ) -> None:
        """Assemble the mixer; every optional child may be None or `nn.Identity` to leave that step out.

        Norms see the channels on the last axis, unless they are `nn.GroupNorm` or carry `channels_first =
        True`.

        Args:
            global_conv: Long convolution, called as `global_conv(z, is_bhl_input=True, **conditioning)` on
                channels-first `z` [B, C, *N]; must keep the shape.
            short_conv: Local convolution over the 3C stacked channels of query, key and value, [B, 3C, *N] to
                the same shape; usually depthwise of width 3.
            gate_nonlinear: First gate, applied to the key.
            pixelhyena_norm: Norm of the gated product; its parameters are exempt from weight decay.
            q_norm: Norm of the query.
            k_norm: Norm of the key. The reference has one only where the first gate is the identity.
            output_norm: Norm of the result; its parameters are exempt from weight decay.
            gate_nonlinear_2: Second gate, applied to the value; None shares the module of the first.
        """
        super().__init__()
        self.global_conv = global_conv
        self.short_conv = _or_identity(short_conv)
        self.gate_nonlinear = gate_nonlinear
        self.gate_nonlinear_2 = gate_nonlinear if gate_nonlinear_2 is None else gate_nonlinear_2
        self.pixelhyena_norm = _or_identity(pixelhyena_norm)
        self.q_norm = _or_identity(q_norm)
        self.k_norm = _or_identity(k_norm)
        self.output_norm = _or_identity(output_norm)
        exempt_from_weight_decay(self.pixelhyena_norm, self.output_norm)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, **conditioning: Any) -> Tensor:
        """Mix the positions of one batch.

        Args:
            query: Shape [B, *N, C] with 1 to 3 spatial axes N.
            key: Same shape as `query`; without a short convolution, any shape that broadcasts to it.
            value: As `key`.
            **conditioning: Passed on to the global convolution only.

        Returns:
            Tensor of shape [B, *N, C].

        Raises:
            ValueError: If there is a short convolution and the three shapes differ, or it changes the shape.
        """
        query, key, value = self._short_conv(query, key, value)
        gated = _normalise(self.q_norm, query) * self.gate_nonlinear(_normalise(self.k_norm, key))
        gated = _normalise(self.pixelhyena_norm, gated)
        mixed = self.global_conv(gated.movedim(-1, 1), is_bhl_input=True, **conditioning).movedim(1, -1)
        # The gate comes first: a product takes the memory layout of its first factor, here channels-last.
        return _normalise(self.output_norm, self.gate_nonlinear_2(value) * mixed)

    def _short_conv(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Convolve the three inputs [B, *N, C] together; shapes are kept."""
        if isinstance(self.short_conv, nn.Identity):
            return query, key, value
        if not query.shape == key.shape == value.shape:
            shapes = f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
            raise ValueError(f"Expected query, key and value of one shape, got {shapes}")
        # Stacking channels-last and viewing the result channels-first keeps torch's fast channels-last
        # convolutions.
        stacked = torch.cat((query, key, value), dim=-1).movedim(-1, 1)
        convolved = self.short_conv(stacked)
        if convolved.shape != stacked.shape:
            shapes = f"{tuple(stacked.shape)}, got {tuple(convolved.shape)}"
            raise ValueError(f"Expected short_conv to keep the shape {shapes}")
        query, key, value = convolved.movedim(1, -1).chunk(3, dim=-1)
        return query, key, value


def _or_identity(module: nn.Module | None) -> nn.Module:
    """Stand in for an absent child."""
    return nn.Identity() if module is None else module


def _normalise(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply `norm` over the channels of `x` [B, *N, C], whichever axis the norm expects them on."""
    if isinstance(norm, nn.GroupNorm) or getattr(norm, "channels_first", False):
        return norm(x.movedim(-1, 1)).movedim(1, -1)  # type: ignore[no-any-return]
    return norm(x)  # type: ignore[no-any-return]
