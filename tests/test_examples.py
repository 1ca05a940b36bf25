"""The examples run, learn a little on a tiny budget, and step as they say."""

from __future__ import annotations

import sys

import pytest
import torch

import registry
from examples import generate, sequential_digits


def test_digits_are_learnt() -> None:
    smaller = ["hidden_dim=32", "block.dropout.p=0.0", "block.sequence_mixer.dropout=0.0"]
    network, right = sequential_digits.train(steps=60, seed=0, overrides=smaller)
    assert right > 0.2
    assert next(network.parameters()).dtype == torch.float32
    assert len(network.blocks) == 3  # type: ignore[arg-type]


def test_digits_from_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["sequential_digits.py", "--steps", "2", "--seed", "3"])
    sequential_digits.main()
    assert "accuracy on unseen digits: " in capsys.readouterr().out


def test_digits_of_a_seed_are_the_same_again() -> None:
    (first, _), (_, labels) = sequential_digits.digits(1)
    (again, _), _ = sequential_digits.digits(1)
    (other, _), _ = sequential_digits.digits(2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (len(first), len(labels)) == (1347, 450)


@pytest.mark.parametrize("pattern", ["SSSA", "SS"])
def test_generation_steps_as_the_forward_pass(pattern: str) -> None:
    network = registry.build(generate.PRESET, [f"layer_pattern={pattern}"], seed=0).eval()
    tokens, logits = generate.generate(network, torch.tensor([[1, 2, 3], [200, 0, 7]]), 9)
    assert (tokens.shape, logits.shape) == ((2, 12), (2, 11, 256))
    assert generate.disagreement(network, tokens, logits) < 1e-5


def test_attention_ends_where_its_positions_end() -> None:
    network = registry.build(generate.PRESET, ["layer_pattern=SA", "input.shape=[4,256]"], seed=0).eval()
    with pytest.raises(ValueError, match="at most 4 tokens"):
        generate.generate(network, torch.tensor([[1, 2]]), 4)
    normed = ["layer_pattern=A", "layer_types.A.sequence_mixer.mixer.apply_qk_norm=true"]
    with pytest.raises(ValueError, match="without a norm"):
        generate.Recurrence(registry.build(generate.PRESET, normed))


def test_generation_from_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["generate.py", "--tokens", "3", "--set", "layer_pattern=SA"])
    generate.main()
    assert "tokens/s" in capsys.readouterr().out
