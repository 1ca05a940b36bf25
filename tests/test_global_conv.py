"""What parity cannot show of the global convolution: causality, history, precision, compilation, the kept spectrum."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from components.fft_conv.module import CKConvND
from components.functional.fft_conv import fft_conv
from components.masks.module import GaussianModulationND
from components.siren.module import LearnableOmegaSIRENKernelND, SIRENPositionalEmbeddingND


def _conv() -> CKConvND:
    torch.manual_seed(0)
    kernel = LearnableOmegaSIRENKernelND(8, 2, 16, 3, 16, 10.0, 5, True)
    return CKConvND(2, 8, kernel, GaussianModulationND(2, 8, 9), "double", "zero").eval()


def _input() -> torch.Tensor:
    return torch.randn(2, 5, 4, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("samples", [1, 2, 6, 7])
def test_causal_is_the_causal_sum_for_any_number_of_taps(samples: int) -> None:
    for taps in range(1, 3 * samples + 2):
        x, k = torch.randn(1, 2, samples).double(), torch.randn(1, 2, taps).double()
        sums = [sum(k[0, :, m] * x[0, :, n - m] for m in range(min(taps, n + 1))) for n in range(samples)]
        torch.testing.assert_close(fft_conv(x, k, ["causal"])[0], torch.stack(sums, -1))


def test_zero_and_circular_are_their_sums() -> None:
    for samples in (1, 2, 5, 6):
        for taps in range(1, 2 * samples + 1):
            x, k = torch.randn(1, 1, samples).double(), torch.randn(1, 1, taps).double()
            padded = nn.functional.pad(x, (taps, taps))
            zero = [
                sum(k[0, 0, m] * padded[0, 0, taps + n + taps // 2 - m] for m in range(taps)) for n in range(samples)
            ]
            torch.testing.assert_close(fft_conv(x, k, ["zero"])[0, 0], torch.stack(zero))
            if taps <= samples:
                circular = [
                    sum(k[0, 0, m] * x[0, 0, (n + (taps - 1) // 2 - m) % samples] for m in range(taps))
                    for n in range(samples)
                ]
                torch.testing.assert_close(fft_conv(x, k, ["circular"])[0, 0], torch.stack(circular))


def test_grid_does_not_depend_on_history() -> None:
    used, fresh = (SIRENPositionalEmbeddingND(2, 6, 4, 1.0) for _ in range(2))
    before = used([4, 4])[1]
    for seq_lens in ([6, 4], [7, 3], [2, 9]):
        assert torch.equal(used(seq_lens)[1], fresh(seq_lens)[1])
    assert torch.equal(used([4, 4])[1], before)
    torch.testing.assert_close(used([7, 4])[1][0, :, 0, 0], torch.linspace(-2, 2, 13))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    conv, x = _conv(), _input()
    out = copy.deepcopy(conv).to(dtype)(x.to(dtype))
    assert out.dtype == dtype
    assert (out.float() - conv(x)).norm() / conv(x).norm() < 0.02
    grid = copy.deepcopy(conv).to(dtype).kernel([5, 4])[1]
    assert grid.dtype == (dtype if dtype == torch.float64 else torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast(dtype: torch.dtype) -> None:
    conv, x = _conv(), _input()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = conv(x.to(dtype))
    assert out.dtype == dtype
    assert (out.float() - conv(x)).norm() / conv(x).norm() < 0.02


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiles_whole_and_clamps_visibly(backend: str) -> None:
    conv, x = _conv(), _input()
    with torch.no_grad():
        conv.mask.std_param[0, 0] = 9.0
        conv.kernel.positional_embedding.omega_0_scale[0] = -3.0
    torch._dynamo.reset()
    out = torch.compile(conv, backend=backend, fullgraph=True)(x)
    assert conv.mask.std_param[0, 0].item() == pytest.approx(conv.mask.max_std)
    assert conv.kernel.positional_embedding.omega_0_scale[0].item() == pytest.approx(0.01)
    torch.testing.assert_close(out, conv(x))


def test_two_forwards_before_one_backward() -> None:
    conv, x = _conv(), _input()
    (conv(x).sum() + conv(2 * x).sum()).backward()


CHANGES = {
    "in place": lambda conv: conv.kernel.out_linear.weight.mul_(2),
    "data": lambda conv: conv.kernel.out_linear.weight.data.mul_(2),
    "mask": lambda conv: conv.mask.std_param.data.mul_(0.9),
    "replaced": lambda conv: setattr(conv.kernel.out_linear, "weight", nn.Parameter(conv.kernel.out_linear.weight * 2)),
    "loaded": lambda conv: conv.load_state_dict({k: v * 0.9 for k, v in conv.state_dict().items()}),
    "dtype": lambda conv: conv.double(),
}


@pytest.mark.parametrize("change", CHANGES)
@torch.no_grad()
def test_kept_spectrum_follows_the_weights(change: str) -> None:
    conv, x = _conv(), _input()
    runs = []
    conv._transform = lambda *args: (runs.append(1), CKConvND._transform(conv, *args))[1]  # type: ignore[method-assign]
    first = conv(x)
    assert torch.equal(conv(x), first)
    assert len(runs) == 1
    CHANGES[change](conv)
    again = conv(x)
    assert len(runs) == 2
    del conv._transform
    torch.testing.assert_close(again, copy.deepcopy(conv)(x))


@torch.no_grad()
def test_kept_spectrum_stays_out_of_copies_and_states() -> None:
    conv = _conv()
    keys = set(conv.state_dict())
    conv(_input())
    assert conv._cache._entry is not None
    assert set(conv.state_dict()) == keys
    for twin in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv)), copy.copy(conv).train()):
        assert twin._cache._entry is None
    assert conv.eval()._cache._entry is None


def test_no_kept_spectrum_with_gradients_conditioning_or_hooks() -> None:
    conv, x = _conv(), _input()
    conv(x)
    assert conv._cache._entry is None
    seen: list[int] = []
    conv.kernel.register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        conv(x)
        conv(x)
    assert len(seen) == 2
