"""Generate bytes one at a time with the preset `s4d_attention_language`, and show that stepping is the forward pass.

    python examples/generate.py [--tokens 256] [--seed 0]

A state-space block has a step: it carries a state of fixed size, and its cost per token does not depend on how many
came before. Attention has none: this example keeps the keys and values of all past tokens, which grow by one row per
token, up to the 512 positions that the preset has rotary positions for. The weights are random, so the bytes mean
nothing; what is shown is that the logits of the steps equal those of one pass over the whole sequence, and how fast the
steps are.

With only state spaces there is no limit and no cache: `--set layer_pattern=SSSSSSSS`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import registry
from components.functional.rotary import apply_rotary

PRESET, POSITIONS = "s4d_attention_language", 512


class Stepper(Protocol):
    """Mixes one token with those before it."""

    def step(self, x: Tensor) -> Tensor:
        """[B, C] -> [B, C]."""


class StateStepper:
    """A state-space layer and its state."""

    def __init__(self, layer: Any, batch: int) -> None:
        """Start from the zero state; discretise once, as the weights stand still."""
        self.layer = layer
        self.state = layer.default_state(batch)
        self.system = layer.kernel.discretize()

    def step(self, x: Tensor) -> Tensor:
        """[B, C] -> [B, C]."""
        y, self.state = self.layer.step(x, self.state, system=self.system)
        return y  # type: ignore[no-any-return]


class CachedAttention:
    """Causal attention over the keys and values of all tokens so far, each [B, heads, 1, head_dim]."""

    def __init__(self, mixer: Any) -> None:
        """Start with no tokens."""
        self.mixer, self.attention = mixer, mixer.mixer
        if self.attention.apply_qk_norm or not (self.attention.use_rope and self.attention.is_causal):
            raise ValueError("Expected causal attention with rotary positions and without a norm of queries and keys")
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def step(self, x: Tensor) -> Tensor:
        """[B, C] -> [B, C]."""
        position = len(self.keys)
        heads = self.mixer.qkv_proj(x).unflatten(-1, (3, self.attention.num_heads, 1, self.attention.head_dim))
        query, key, value = heads.unbind(1)
        self.keys.append(self._rotate(key, position))
        self.values.append(value)
        keys, values = torch.cat(self.keys, dim=2), torch.cat(self.values, dim=2)
        mixed = F.scaled_dot_product_attention(self._rotate(query, position), keys, values, scale=self.attention.scale)
        return self.mixer.out_proj(mixed.flatten(1))  # type: ignore[no-any-return]

    def _rotate(self, x: Tensor, position: int) -> Tensor:
        if position >= len(self.attention.rope_cos):
            raise ValueError(f"Expected at most {position} tokens, the number of rotary positions")
        cos, sin = self.attention.rope_cos[position], self.attention.rope_sin[position]
        return apply_rotary(x, cos[None], sin[None])


class Recurrence:
    """A residual network that reads one token at a time."""

    def __init__(self, network: Any, batch: int = 1) -> None:
        """Start before the first token."""
        self.network = network
        mixers = [block.sequence_mixer for block in network.blocks]
        self.steppers: list[Stepper] = [
            StateStepper(mixer, batch) if hasattr(mixer, "step") else CachedAttention(mixer) for mixer in mixers
        ]

    def step(self, token: Tensor) -> Tensor:
        """One-hot tokens [B, 256] to the logits of the tokens after them, [B, 256]."""
        x = self.network.in_proj(token)
        for block, stepper in zip(self.network.blocks, self.steppers, strict=True):
            x = x + stepper.step(block.input_norm(x))
            x = x + block.mlp(block.mlp_norm(x))
        return self.network.out_proj(self.network.out_norm(x))  # type: ignore[no-any-return]


def one_hot(tokens: Tensor) -> Tensor:
    """Bytes [...] to [..., 256]."""
    return F.one_hot(tokens, 256).float()


@torch.inference_mode()
def generate(network: nn.Module, prompt: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Read a prompt [B, T], then draw `count` bytes.

    Returns:
        All bytes [B, T + count], and the logits that followed each of them but the last, [B, T + count - 1, 256].
    """
    recurrence, tokens, logits = Recurrence(network, len(prompt)), list(prompt.unbind(1)), []
    for position in range(prompt.shape[1] + count - 1):
        logits.append(recurrence.step(one_hot(tokens[position])))
        if position + 1 == len(tokens):  # the prompt is read
            tokens.append(torch.multinomial(logits[-1].softmax(-1), 1).squeeze(-1))
    return torch.stack(tokens, 1), torch.stack(logits, 1)


@torch.inference_mode()
def disagreement(network: nn.Module, tokens: Tensor, logits: Tensor) -> float:
    """Largest difference between the logits of the steps and those of one pass, relative to the largest logit."""
    # Attention has rotary positions for one length, so the sequence is padded; nothing looks ahead into the padding.
    padded = F.pad(tokens, (0, max(0, POSITIONS - tokens.shape[1])))
    whole = network(one_hot(padded))[:, : logits.shape[1]]
    return float((whole - logits).abs().max() / whole.abs().max())


def main() -> None:
    """Read the arguments, generate, print how fast and how far from the forward pass."""
    parser = argparse.ArgumentParser(description="Bytes, one at a time.")
    parser.add_argument("--tokens", type=int, default=256, help="how many bytes to draw")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the draws")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override of the preset")
    args = parser.parse_args()
    network = registry.build(PRESET, args.set, seed=args.seed).eval()
    torch.manual_seed(args.seed)
    prompt = torch.tensor([list(b"state")])
    start = time.perf_counter()
    tokens, logits = generate(network, prompt, args.tokens)
    seconds = time.perf_counter() - start
    print(f"{logits.shape[1] / seconds:.0f} tokens/s")
    print(f"steps and forward pass differ by {disagreement(network, tokens, logits):.1e}")


if __name__ == "__main__":
    main()
