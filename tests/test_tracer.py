"""The tracer is the judge of every cost rule, so it is judged here: by hand counts, by torch's own counter where that
is right, by tracing each fused operation next to its written-out formula, and by laws (devices agree, batch is linear,
an operation without a rule is an error)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from tests.microops import MICRO, mymm
from tests.tracer import KINDS, RULES, Call, FlopTracer, UnknownOperation, flop_counter_matmul, transform_flops

DEVICES = ("cpu", "meta")


def counted(tracer: FlopTracer) -> dict[str, int]:
    """The kinds that occur."""
    return {kind: number for kind, number in tracer.counts.items() if number}


def trace(function: Callable[..., Any], *args: Any, **options: Any) -> FlopTracer:
    """A tracer that watched one call."""
    with FlopTracer(**options) as tracer:
        function(*args)
    return tracer


def backward_counts(function: Callable[..., Tensor], *leaves: Tensor) -> dict[str, int]:
    """Operations of the derivative of `function` alone, given the gradient of its result."""
    out = function(*leaves)
    grad = torch.ones_like(out)
    with FlopTracer() as tracer:
        torch.autograd.grad(out, leaves, grad)
    return counted(tracer)


def leaf(*shape: int, device: str = "meta", dtype: torch.dtype = torch.float32) -> Tensor:
    """A random tensor that requires a gradient."""
    return torch.randn(*shape, device=device, dtype=dtype, requires_grad=True)


# ------------------------------------------------------------------------------------------- micro-operations


def mymm_rule(call: Call) -> dict[str, int]:
    """2MNK."""
    return {"matmul": 2 * call.result.numel() * call["a"].shape[-1]}


@pytest.mark.parametrize(
    ("name", "device"), [(name, device) for name, micro in MICRO.items() for device in micro.devices]
)
def test_micro_operation(name: str, device: str) -> None:
    micro = MICRO[name]
    tracer = trace(micro.module(device), micro.input(device), rules={"microops.mymm": mymm_rule})
    assert counted(tracer) == micro.counts
    assert tracer.total == sum(micro.counts.values())
    assert tuple(tracer.counts) == KINDS


COMPLEX = torch.complex64
N = 6  # elements of the (2, 3) operands below

POINTWISE: list[tuple[str, Callable[[Tensor, Tensor], Any], dict[str, int]]] = [
    ("add alpha", lambda x, z: torch.add(x, x, alpha=2), {"elementwise": 2 * N}),
    ("add_", lambda x, z: x.clone().add_(1), {"elementwise": N}),
    ("out=", lambda x, z: torch.mul(x, x, out=torch.empty_like(x)), {"elementwise": N}),
    ("broadcast", lambda x, z: x[:, :1] * x[:1], {"elementwise": N}),
    ("clamp", lambda x, z: x.clamp(0, 1), {"elementwise": N}),
    ("compare", lambda x, z: x > 0, {"elementwise": N}),
    ("where", lambda x, z: torch.where(x > 0, x, -1.0), {"elementwise": N}),
    ("masked_fill", lambda x, z: x.masked_fill((x > 0) | (x < -1), 0.0), {"elementwise": 2 * N}),
    ("lerp", lambda x, z: torch.lerp(x, x, 0.5), {"elementwise": 3 * N}),
    ("addcmul", lambda x, z: torch.addcmul(x, x, x, value=2), {"elementwise": 3 * N}),
    ("x ** 3", lambda x, z: x**3, {"elementwise": 2 * N}),
    ("x ** 1", lambda x, z: x**1, {}),
    ("x ** -2", lambda x, z: x**-2, {"elementwise": N, "transcendental": N}),
    ("x ** 0.5", lambda x, z: x**0.5, {"transcendental": N}),
    ("x ** x", lambda x, z: x**x, {"transcendental": N}),
    ("2 ** x", lambda x, z: 2**x, {"transcendental": N}),
    ("1 / x", lambda x, z: x.reciprocal(), {"transcendental": N}),
    ("glu", lambda x, z: F.glu(torch.cat([x, x]), 0), {"elementwise": N, "transcendental": N}),
    ("dropout", lambda x, z: F.dropout(x, 0.1), {"elementwise": 2 * N}),
    ("sum", lambda x, z: x.sum(-1), {"reduction": 4}),
    ("sum of one", lambda x, z: x[:, :1].sum(-1), {}),
    ("amax", lambda x, z: x.amax(0), {"reduction": 3}),
    ("max with index", lambda x, z: x.max(0), {"reduction": 3}),
    ("mean", lambda x, z: x.mean(), {"reduction": N}),
    ("2-norm", lambda x, z: torch.linalg.vector_norm(x, dim=-1), {"reduction": 2 * N}),
    ("1-norm", lambda x, z: torch.linalg.vector_norm(x, 1, dim=-1), {"reduction": 2 * N - 2}),
    ("normalize", lambda x, z: F.normalize(x, dim=-1), {"reduction": 2 * N, "elementwise": 2 + N}),
    ("var", lambda x, z: x.var(-1), {"reduction": 2 * N, "elementwise": 2 * N}),
    ("std", lambda x, z: x.std(-1), {"reduction": 2 * N, "elementwise": 2 * N, "transcendental": 2}),
    ("logsumexp", lambda x, z: x.logsumexp(-1), {"softmax": 4 * N}),
    ("log_softmax", lambda x, z: x.log_softmax(-1), {"softmax": 5 * N - 2}),
    ("rms_norm", lambda x, z: F.rms_norm(x, (3,), x[0]),
     {"reduction": N, "elementwise": 3 * N + 2, "transcendental": 2}),
    ("group_norm", lambda x, z: F.group_norm(x, 3),
     {"reduction": 2 * N, "elementwise": 3 * N + 6, "transcendental": 6}),
    ("embedding", lambda x, z: F.embedding(torch.zeros(2, dtype=torch.long, device=x.device), x), {}),
    ("moves", lambda x, z: F.pad(torch.cat([x.T.contiguous().view(2, 3).flip(0).roll(1)[:, 1:], x], 1), (1, 1)), {}),
    ("fills", lambda x, z: [torch.arange(3), torch.zeros(2), torch.full((2,), 1.0), torch.rand(2), x.double()], {}),
    ("matrix inverse", lambda x, z: torch.linalg.inv(x[:, :2]), {"elementwise": 16}),
    ("matrix-vector", lambda x, z: x @ x[0], {"matmul": 2 * N}),
    ("dot", lambda x, z: torch.dot(x[0], x[0]), {"matmul": 6}),
    ("z + z", lambda x, z: z + z, {"complex": 2 * N}),
    ("z + x", lambda x, z: z + x, {"complex": N}),
    ("z - 1", lambda x, z: z - 1, {"complex": N}),
    ("z * x", lambda x, z: z * x, {"complex": 2 * N}),
    ("z * 1j", lambda x, z: z * 1j, {"complex": 6 * N}),
    ("x * 1j", lambda x, z: x * 1j, {"complex": 2 * N}),
    ("z * conj z", lambda x, z: z * z.conj(), {"complex": 6 * N}),
    ("z / z", lambda x, z: z / z, {"complex": 11 * N}),
    ("z / x", lambda x, z: z / x, {"complex": 2 * N}),
    ("x / z", lambda x, z: x / z, {"complex": 7 * N}),
    ("1 / z", lambda x, z: z.reciprocal(), {"complex": 5 * N}),
    ("-z", lambda x, z: -z, {"complex": 2 * N}),
    ("z ** 3", lambda x, z: z**3, {"complex": 12 * N}),
    ("exp z", lambda x, z: z.exp(), {"complex": 2 * N, "transcendental": 2 * N}),
    ("log z", lambda x, z: z.log(), {"complex": 4 * N, "transcendental": 2 * N}),
    ("|z|", lambda x, z: z.abs(), {"complex": 3 * N, "transcendental": N}),
    ("polar", lambda x, z: torch.polar(x, x), {"complex": 2 * N, "transcendental": 2 * N}),
    ("complex parts", lambda x, z: torch.complex(z.real, torch.view_as_real(z)[..., 1]), {}),
    ("sum z", lambda x, z: z.sum(), {"reduction": 10}),
    ("mean z", lambda x, z: z.mean(), {"reduction": 12}),
]  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "run", "counts"), POINTWISE, ids=[row[0] for row in POINTWISE])
def test_operation(name: str, run: Callable[..., Any], counts: dict[str, int], device: str) -> None:
    x, z = torch.rand(2, 3, device=device) + 1, torch.rand(2, 3, device=device, dtype=COMPLEX)
    assert counted(trace(run, x, z)) == counts


# ------------------------------------------------------------------------------------------------- transforms


def test_transform_flops() -> None:
    assert transform_flops(64, "complex") == 1920
    assert transform_flops(64, "real") == 960
    assert transform_flops(114, "complex") == round(570 * math.log2(114))
    assert transform_flops(1, "real") == 0


def test_transforms_of_a_padded_real_grid() -> None:
    x = torch.empty(5, 6, 8, device="meta")
    tracer = trace(lambda: torch.fft.irfft2(torch.fft.rfft2(x, s=(7, 9), norm="ortho"), s=(7, 9)))
    assert tracer.ffts == {(9, "real"): 2 * 5 * 7, (7, "complex"): 2 * 5 * 5}
    assert tracer.total == 70 * transform_flops(9, "real") + 50 * transform_flops(7, "complex")


def test_transforms_of_a_complex_grid() -> None:
    tracer = trace(torch.fft.fft2, torch.empty(5, 6, 8, device="meta", dtype=COMPLEX))
    assert tracer.ffts == {(8, "complex"): 30, (6, "complex"): 40}


def test_derivative_of_a_transform_is_a_transform_of_the_same_kind() -> None:
    x = leaf(5, 6, 8)
    with FlopTracer() as forward:
        spectrum = torch.fft.rfft2(x)
    with FlopTracer() as backward:
        torch.autograd.grad(spectrum, x, torch.ones_like(spectrum))
    assert backward.ffts == forward.ffts == {(8, "real"): 30, (6, "complex"): 25}
    assert counted(backward) == {"fft": forward.total}


def test_derivative_of_an_inverse_real_transform_doubles_the_inner_columns() -> None:
    z = leaf(5, 6, 5, dtype=COMPLEX)
    signal = torch.fft.irfft2(z, s=(6, 8))
    with FlopTracer() as backward:
        torch.autograd.grad(signal, z, torch.ones_like(signal))
    assert backward.ffts == {(8, "real"): 30, (6, "complex"): 25}
    assert backward.counts["complex"] == 2 * 5 * 6 * 3


# ---------------------------------------------------------------------------------- fused against written out


def written_layer_norm(x: Tensor, g: Tensor, w: Tensor | None, mean: Tensor, rstd: Tensor) -> list[Tensor]:
    """Ba et al. 2016, derivative by the chain rule. x, g (R, D); w (D,); mean, rstd (R, 1)."""
    d = x.shape[-1]
    h, gw = (x - mean) * rstd, g if w is None else g * w
    dx = (gw - gw.sum(-1, keepdim=True) / d - h * ((gw * h).sum(-1, keepdim=True) / d)) * rstd
    return [dx] if w is None else [dx, (g * h).sum(0), g.sum(0)]


def written_gelu_erf(x: Tensor, g: Tensor) -> Tensor:
    """Hendrycks & Gimpel 2016."""
    cdf = 0.5 * (1 + torch.erf(x * math.sqrt(0.5)))
    return g * (cdf + x * (torch.exp(-0.5 * (x * x)) * (1 / math.sqrt(2 * math.pi))))


def written_gelu_tanh(x: Tensor, g: Tensor) -> Tensor:
    """Hendrycks & Gimpel 2016, tanh form."""
    a, k = 0.044715, math.sqrt(2 / math.pi)
    square = x * x
    t = torch.tanh(k * (x + a * (square * x)))
    slope = k * (1 + (3 * a) * square)
    return g * (0.5 * (1 + t) + (0.5 * x) * (1 - t * t) * slope)


def written_silu(x: Tensor, g: Tensor) -> Tensor:
    """Elfwing et al. 2017."""
    s = torch.sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


X, G, W, COLUMN = leaf(5, 8), torch.empty(5, 8, device="meta"), leaf(8), torch.empty(5, 1, device="meta")

WRITTEN: list[tuple[str, Callable[..., Tensor], tuple[Tensor, ...], Callable[[], Any]]] = [
    ("gelu", F.gelu, (X,), lambda: written_gelu_erf(G, G)),
    ("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), (X,), lambda: written_gelu_tanh(G, G)),
    ("silu", F.silu, (X,), lambda: written_silu(G, G)),
    ("sigmoid", torch.sigmoid, (X,), lambda: G * (G * (1 - G))),
    ("tanh", torch.tanh, (X,), lambda: G * (1 - G * G)),
    ("relu", F.relu, (X,), lambda: torch.where(G > 0, G, 0)),
    ("softplus", F.softplus, (X,), lambda: G * torch.sigmoid(G)),
    ("layer_norm", lambda x, w, b: F.layer_norm(x, (8,), w, b), (X, W, leaf(8)),
     lambda: written_layer_norm(G, G, G[0], COLUMN, COLUMN)),
    ("layer_norm, no weight", lambda x: F.layer_norm(x, (8,)), (X,),
     lambda: written_layer_norm(G, G, None, COLUMN, COLUMN)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fused", "leaves", "written"), WRITTEN, ids=[row[0] for row in WRITTEN])
def test_fused_derivative_equals_its_formula(
    name: str, fused: Callable[..., Tensor], leaves: tuple[Tensor, ...], written: Callable[[], Any]
) -> None:
    assert backward_counts(fused, *leaves) == counted(trace(written))


def test_softmax_derivative() -> None:
    assert backward_counts(lambda x: x.softmax(-1), X) == {"softmax": 4 * 40 - 5}
    assert trace(lambda: G * (G - (G * G).sum(-1, keepdim=True))).total == 4 * 40 - 5
    assert backward_counts(lambda x: x.log_softmax(-1), X) == {"softmax": 4 * 40 - 5}
    assert trace(lambda: G - torch.exp(G) * G.sum(-1, keepdim=True)).total == 4 * 40 - 5


def test_glu_derivative() -> None:
    gates = torch.empty(5, 4, device="meta")

    def written(a: Tensor, b: Tensor, g: Tensor) -> list[Tensor]:
        s = torch.sigmoid(b)
        gs = g * s
        return [gs, gs * (1 - s) * a]

    assert backward_counts(F.glu, X) == counted(trace(written, gates, gates, gates))


def test_group_norm_derivative() -> None:
    x, w, b = leaf(5, 8, 3), leaf(8), leaf(8)
    n, r, c = 120, 10, 8
    expected = {"elementwise": 9 * n + 2 * r, "reduction": (2 * n - 2 * r) + 2 * (n - c)}
    assert backward_counts(lambda *leaves: F.group_norm(leaves[0], 2, *leaves[1:]), x, w, b) == expected


@pytest.mark.parametrize("weighted", [False, True])
def test_fused_rms_norm_counts_like_the_unfused_one(weighted: bool) -> None:
    """cpu and meta run the unfused norm; accelerators may not."""
    w = W if weighted else None
    shared = {"input": X, "normalized_shape": [8], "weight": w}
    forward = RULES["_fused_rms_norm"](Call("_fused_rms_norm", {**shared, "eps": 1e-6}, (X, COLUMN)))
    assert forward == counted(trace(lambda: F.rms_norm(X, [8], w)))
    call = Call("_fused_rms_norm_backward", {**shared, "output_mask": [True, weighted]}, (X, w))
    leaves = (X, W) if weighted else (X,)
    assert RULES[call.name](call) == backward_counts(lambda *_: F.rms_norm(X, [8], w), *leaves)


def test_moves_cost_nothing_backward() -> None:
    assert backward_counts(lambda x: F.pad(x[1:, 2].flip(0), (1, 1)), X) == {}


def test_scattered_gradients_are_added() -> None:
    index = torch.zeros(7, dtype=torch.long, device="meta")
    assert backward_counts(lambda w: F.embedding(index, w), X) == {"reduction": 7 * 8}
    assert backward_counts(lambda x: x[index], X) == {"reduction": 7 * 8}
    assert backward_counts(lambda x: x.index_select(0, index), X) == {"reduction": 7 * 8}


# ----------------------------------------------------------------------------------------------- convolutions


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolution_derivative(groups: int, transposed: bool) -> None:
    """Input and weight gradient each repeat the products of the forward pass, whatever the groups."""
    x, bias = leaf(2, 8, 9, 7), leaf(8)
    weight = leaf(8, 8 // groups, 3, 2)
    run = F.conv_transpose2d if transposed else F.conv2d
    with FlopTracer() as forward:
        out = run(x, weight, bias, stride=2, groups=groups)
    with FlopTracer() as backward:
        out.backward(torch.empty_like(out))
    positions = 9 * 7 if transposed else out.shape[2] * out.shape[3]
    assert forward.counts["conv"] == 2 * 2 * positions * 8 * (8 // groups) * 6
    assert forward.counts["bias"] == out.numel()
    assert backward.counts["conv"] == 2 * forward.counts["conv"]
    assert backward.counts["reduction"] == out.numel() - 8


def test_convolution_derivative_skips_what_needs_no_gradient() -> None:
    x, weight = torch.empty(2, 8, 9, device="meta"), leaf(8, 8, 3)
    with FlopTracer() as forward:
        out = F.conv1d(x, weight)
    with FlopTracer() as backward:
        out.backward(torch.empty_like(out))
    assert counted(backward) == counted(forward)


def test_depthwise_backward_of_torchs_counter_is_groups_times_too_high() -> None:
    """Kept as a fact about the comparison: when torch is mended this test says so, and the caveat can go."""
    x, weight = leaf(1, 8, 9, 9), leaf(8, 1, 3, 3)
    with FlopCounterMode(display=False) as theirs, FlopTracer() as ours:
        F.conv2d(x, weight, groups=8).sum().backward()
    forward = ours.matmul // 3
    assert theirs.get_total_flops() == 2 * forward + 8 * forward


# -------------------------------------------------------------------------------------------------- attention


def attention_counts(t: int, s: int, d_qk: int, d_v: int, heads: int) -> dict[str, int]:
    """The rule of section "attention", by hand."""
    scores = heads * t * s
    return {"matmul": 2 * scores * (d_qk + d_v), "elementwise": scores, "softmax": 5 * scores - 2 * heads * t}


ATTENTION: dict[str, tuple[Callable[[str], tuple[Tensor, ...]], dict[str, Any]]] = {
    "plain": (
        lambda d: (leaf(2, 4, 5, 8, device=d), leaf(2, 4, 7, 8, device=d), leaf(2, 4, 7, 8, device=d)),
        {},
    ),
    "wide values": (
        lambda d: (leaf(2, 4, 5, 8, device=d), leaf(2, 4, 7, 8, device=d), leaf(2, 4, 7, 6, device=d)),
        {},
    ),
    "grouped": (
        lambda d: (leaf(2, 4, 5, 8, device=d), leaf(2, 2, 7, 8, device=d), leaf(2, 2, 7, 8, device=d)),
        {"enable_gqa": True},
    ),
    "causal": (
        lambda d: (leaf(2, 4, 7, 8, device=d), leaf(2, 4, 7, 8, device=d), leaf(2, 4, 7, 8, device=d)),
        {"is_causal": True, "scale": 0.5},
    ),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ATTENTION)
def test_attention(name: str, device: str) -> None:
    make, options = ATTENTION[name]
    q, k, v = make(device)
    with FlopTracer() as forward:
        out = F.scaled_dot_product_attention(q, k, v, **options)
    rule = attention_counts(q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1], 8)
    assert counted(forward) == rule
    with FlopTracer() as backward:
        torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    scores = 8 * q.shape[-2] * k.shape[-2]
    assert counted(backward) == {
        "matmul": 2 * rule["matmul"],
        "elementwise": scores,
        "softmax": 4 * scores - 8 * q.shape[-2],
    }


@pytest.mark.parametrize("device", DEVICES)
def test_attention_without_autograd(device: str) -> None:
    q = torch.randn(2, 4, 5, 8, device=device)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context, FlopTracer() as tracer:
            F.scaled_dot_product_attention(q, q, q)
        assert counted(tracer) == attention_counts(5, 5, 8, 8, 8)


@pytest.mark.parametrize("device", DEVICES)
def test_attention_mask_is_added_or_selects(device: str) -> None:
    q, mask = leaf(2, 4, 5, 8, device=device), leaf(1, 1, 5, 5, device=device)
    plain = trace(F.scaled_dot_product_attention, q, q, q)
    assert trace(F.scaled_dot_product_attention, q, q, q, mask.detach() > -9).total == plain.total
    assert trace(F.scaled_dot_product_attention, q, q, q, mask).total == plain.total + 200
    backward = backward_counts(lambda m: F.scaled_dot_product_attention(q.detach(), q.detach(), q.detach(), m), mask)
    assert backward["reduction"] == 200 - 25  # outside a tracer torch splits the operation itself


def test_attention_mask_gradient_as_one_operation() -> None:
    q, mask = torch.empty(2, 4, 5, 8, device="meta"), leaf(1, 1, 5, 5)
    with FlopTracer():
        out = F.scaled_dot_product_attention(q, q, q, mask)
    with FlopTracer() as backward:
        out.backward(torch.empty_like(out))
    assert counted(backward) == {"matmul": 2 * 200 * 8, "softmax": 800 - 40, "reduction": 175}


def test_attention_recomputation_is_a_switch() -> None:
    scores = 200

    def run(recompute: bool) -> FlopTracer:
        q = leaf(2, 4, 5, 8)
        return trace(lambda: F.scaled_dot_product_attention(q, q, q).sum().backward(), recompute_attention=recompute)

    once, again = run(False), run(True)
    extra = {kind: again.counts[kind] - once.counts[kind] for kind in KINDS}
    assert {k: n for k, n in extra.items() if n} == {
        "matmul": 2 * scores * 8, "elementwise": scores, "softmax": 2 * scores,
    }  # fmt: skip


def test_attention_keeps_its_values_and_gradients() -> None:
    make, _ = ATTENTION["wide values"]
    leaves, mask = make("cpu"), torch.rand(5, 7) > 0.3
    mask[:, 0] = True

    def run() -> tuple[Tensor, ...]:
        out = F.scaled_dot_product_attention(*leaves, attn_mask=mask, scale=0.3)
        return out, *torch.autograd.grad(out.square().sum(), leaves)

    expected = run()
    with FlopTracer():
        got = run()
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_attention_backward_alone() -> None:
    """The forward pass ran before the tracer: torch's own cpu kernel is recognised."""
    q = leaf(2, 4, 5, 8, device="cpu")
    counts = backward_counts(lambda q: F.scaled_dot_product_attention(q, q.detach(), q.detach()), q)
    assert counts["matmul"] == 4 * 2 * 200 * 8


# --------------------------------------------------------------------------------------------- whole networks


class Mixed(nn.Module):
    """Every kind of operation in one small net: (B, 3, 8, 8) -> (B, 5)."""

    def __init__(self, device: str | torch.device | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 2, stride=2, device=device)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, device=device)
        self.norm, self.rms = nn.LayerNorm(16, device=device), nn.RMSNorm(16, device=device)
        self.qkv, self.head = nn.Linear(16, 48, device=device), nn.Linear(16, 5, bias=False, device=device)
        self.decay = nn.Parameter(torch.ones(16, 5, dtype=torch.complex64, device=device))

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(F.gelu(self.stem(x)))
        tokens = self.norm(x.flatten(2).transpose(1, 2).contiguous())
        heads = self.qkv(tokens).view(-1, 16, 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*heads.unbind(0)).transpose(1, 2).flatten(2)
        grid = torch.fft.rfft2(mixed.transpose(1, 2).unflatten(2, (4, 4)), s=(6, 8))
        grid = torch.fft.irfft2(grid * torch.exp(self.decay)[:, None], s=(6, 8))[..., :4, :4]
        tokens = self.rms(grid.flatten(2).transpose(1, 2)) + F.silu(tokens).cumsum(1)
        out: Tensor = self.head(F.softmax(tokens, -1).mean(1))
        return out


def mixed_counts(batch: int, device: str, backward: bool) -> dict[str, int]:
    x = torch.rand(batch, 3, 8, 8, device=device)
    net = Mixed(device)
    return trace(lambda: net(x).sum().backward() if backward else net(x)).counts


@pytest.mark.parametrize("backward", [False, True])
def test_cpu_meta_and_fake_tensors_agree(backward: bool) -> None:
    with FakeTensorMode():
        fake = mixed_counts(2, "cpu", backward)
    assert mixed_counts(2, "cpu", backward) == mixed_counts(2, "meta", backward) == fake
    assert all(fake.values())


@pytest.mark.parametrize("backward", [False, True])
def test_counts_are_affine_in_the_batch(backward: bool) -> None:
    one, two, five = (mixed_counts(batch, "meta", backward) for batch in (1, 2, 5))
    assert {kind: five[kind] - one[kind] for kind in KINDS} == {kind: 4 * (two[kind] - one[kind]) for kind in KINDS}


def test_counts_are_linear_in_the_batch_without_per_batch_work() -> None:
    net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3)).to("meta")
    one, many = (trace(net, torch.empty(b, 8, device="meta")).counts for b in (1, 7))
    assert many == {kind: 7 * number for kind, number in one.items()}


def mlp() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, 8)), torch.rand(2, 5, 8)


def convnet() -> tuple[nn.Module, Tensor]:
    layers = [
        nn.Conv1d(4, 8, 3),
        nn.ReLU(),
        nn.Conv1d(8, 8, 3, groups=4, dilation=2),
        nn.ConvTranspose1d(8, 2, 4, 2),
    ]
    return nn.Sequential(*layers), torch.rand(2, 4, 20)


class SelfAttention(nn.Module):
    """Two heads of attention: (B, T, 8) -> (B, T, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*heads.unbind(0), is_causal=True)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


def attention_net() -> tuple[nn.Module, Tensor]:
    return SelfAttention(), torch.rand(2, 5, 8)


@pytest.mark.parametrize("make", [mlp, convnet, attention_net])
def test_forward_contractions_equal_torchs_counter(make: Callable[[], tuple[nn.Module, Tensor]]) -> None:
    net, x = make()
    expected = flop_counter_matmul(net, x)
    assert trace(net, x).matmul == expected > 0
    assert next(net.parameters()).device.type == x.device.type == "cpu"
    with torch.inference_mode():
        assert trace(net, x).matmul == expected


@pytest.mark.parametrize("make", [mlp, attention_net])
def test_training_contractions_equal_torchs_counter(make: Callable[[], tuple[nn.Module, Tensor]]) -> None:
    net, x = make()
    net, x = net.to("meta"), x.to("meta")
    with FlopCounterMode(display=False) as theirs:
        net(x).sum().backward()
    assert trace(lambda: net(x).sum().backward()).matmul == theirs.get_total_flops()


def test_flop_counter_matmul_takes_functions() -> None:
    assert flop_counter_matmul(torch.mm, torch.rand(2, 3), mat2=torch.rand(3, 4)) == 48


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("inference", [False, True])
def test_bias_does_not_depend_on_the_layout(device: str, inference: bool) -> None:
    layer, x = nn.Linear(8, 4, device=device), torch.randn(5, 3, 8, device=device)
    with torch.inference_mode(inference):
        plain, strided, row = trace(layer, x), trace(layer, x.transpose(0, 1)), trace(layer, x[0, 0])
    assert counted(plain) == counted(strided) == {"matmul": 2 * 15 * 8 * 4, "bias": 60}
    assert counted(row) == {"matmul": 2 * 8 * 4, "bias": 4}
    assert plain.merged["elementwise"] == 60
    assert plain.total == sum(plain.merged.values())


def test_linear_keeps_its_values_and_gradients() -> None:
    layer, x = nn.Linear(8, 4), leaf(5, 3, 8, device="cpu")

    def run() -> tuple[Tensor, ...]:
        out = layer(x.transpose(0, 1))
        return out, *torch.autograd.grad(out.square().sum(), (x, *layer.parameters()))

    expected = run()
    with FlopTracer():
        got = run()
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_checkpointing_repeats_the_forward_pass() -> None:
    net, x = nn.Linear(8, 8, bias=False, device="meta"), leaf(3, 8)
    plain = trace(lambda: net(x).sin().sum().backward())
    again = trace(lambda: checkpoint(lambda y: net(y).sin(), x, use_reentrant=False).sum().backward())
    assert again.matmul == plain.matmul + 2 * 3 * 8 * 8


# ------------------------------------------------------------------------------------------ the tracer itself


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (lambda x: torch.sort(x), "sort"),
        (lambda x: torch.linalg.svd(x), "_linalg_svd"),
        (lambda x: torch.linalg.vector_norm(x, 3), "linalg_vector_norm"),
        (lambda x: torch.tanh(x + 1j), "complex tanh"),
        (lambda x: (x + 1j) ** 0.5 * (x + 1j) ** 1.5, "complex pow"),
        (lambda x: mymm(x, x), "microops.mymm"),
        (lambda x: F.max_pool1d(x, 2).sum().backward(), "max_pool"),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_unknown_operation_is_an_error(run: Callable[[Tensor], Any], name: str, inference: bool) -> None:
    x = torch.rand(4, 4)
    with torch.inference_mode(inference), pytest.raises(UnknownOperation, match=name), FlopTracer():
        run(x)


def test_unknown_operation_in_the_backward_pass_is_an_error() -> None:
    x = leaf(3, 4)
    y = F.hardswish(x).sum()
    with pytest.raises(UnknownOperation, match="hardswish_backward"), FlopTracer():
        y.backward()


def test_the_lstm_of_cpu_is_named_not_skipped() -> None:
    with pytest.raises(UnknownOperation, match="mkldnn_rnn_layer"), FlopTracer():
        nn.LSTM(4, 4)(torch.rand(3, 1, 4))


def test_own_rules_win() -> None:
    x = torch.rand(4, 4)
    assert trace(torch.sin, x, rules={"sin": lambda call: {"elementwise": 5 * call.result.numel()}}).total == 80
    with pytest.raises(KeyError):
        trace(torch.sin, x, rules={"sin": lambda call: {"typo": 1}})


def test_ops_and_by_op() -> None:
    tracer = trace(lambda x: x.sin().add_(1).view(-1) + 1, torch.rand(2, 3))
    assert tracer.ops == {"aten.sin": 1, "aten.add_": 1, "aten.view": 1, "aten.add": 1}
    assert tracer.by_op["aten.sin"] == {"transcendental": 6}
    assert sum((Counter(by) for by in tracer.by_op.values()), Counter()) == Counter(counted(tracer))


def test_nested_tracers_count_alike() -> None:
    q = leaf(1, 2, 3, 4)
    with FlopTracer() as outer:
        q.sin()
        with FlopTracer() as inner:
            F.scaled_dot_product_attention(q, q, q).sum().backward()
    assert inner.total > 0
    assert outer.total == inner.total + 24


def test_nothing_is_counted_outside() -> None:
    x = torch.rand(2, 3)
    tracer = trace(torch.sin, x)
    torch.sin(x)
    assert tracer.total == 6


@pytest.fixture(autouse=True)
def _clean_gradients() -> Iterator[None]:
    """Leaves shared by tests hold no gradient: accumulation would be counted."""
    yield
    for shared in (X, W):
        shared.grad = None
