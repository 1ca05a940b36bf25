"""The judge of the cost rules: counts every real scalar operation a torch program performs, by kind.

`FlopTracer` watches the operations below autograd, so it sees the forward and the backward pass, on `cpu`, `meta`,
fake and `cuda` tensors alike; it reads shapes only. One FLOP is one real add, subtract, multiply, divide, comparison
or transcendental. An operation without a rule raises `UnknownOperation`: there is no silent zero.

    with FlopTracer() as t:
        module(x).sum().backward()
    t.counts["matmul"], t.total, t.ops["aten.mm"], t.ffts[(64, "real")]

Notation: n output elements, r rows (n / size of the reduced axis), "in" input elements. Counts follow the mathematical
definition, whatever kernel runs it.

========================= ==================================================================================
operation                 count
========================= ==================================================================================
mm, bmm, einsum, addmm    matmul 2MNK (complex 8MNK); the added matrix: bias 1 per element (complex 2)
convolution               conv 2 x out x (C_in/groups) x prod(kernel); transposed: "in" and C_out; bias 1 per output
attention                 matmul 2BHTS(d_qk + d_v), causal not halved; elementwise BHTS for the scale and BHTS for a
                          float mask (a bool mask selects: 0), 2BHTS for dropout; softmax 5n - 2r
fft                       nominal, see `transform_flops`; the normalisation scale is part of it
softmax, log_softmax      softmax 5n - 2r, 5n - r; logsumexp 4in
add, sub, mul, div, neg   elementwise n; add, sub with alpha != 1: 2n; lerp 3n; addcmul, addcdiv 2n (value != 1: 3n)
comparisons, clamp, abs   elementwise n (a clamp with two bounds too)
where, masked_fill, logic 0: they select or combine truth values, no arithmetic on numbers
pow                       integer p: elementwise (p - 1)n, negative p also 1/x; other p: transcendental n
exp, sin, silu, sqrt, 1/x transcendental n (see TRANSCENDENTAL); glu: transcendental n + elementwise n
sum, prod, max            reduction in - out; mean, cumsum, cumprod: in; index_add and the like: source elements
2-norm                    reduction 2in; 1-norm 2in - out; max-norm 2in - out
var                       reduction 2in + elementwise 2in; std: + transcendental r
layer_norm, group_norm    7n + 2r = reduction 2n, elementwise (x - mean, square, x rstd, w, b) 5n + r, transcendental r
rms_norm                  4n + 2r = reduction n, elementwise 3n + r, transcendental r
inverse of m x m          2m^3 per matrix, elementwise (complex matrices: 8m^3, complex)
integers                  like reals (index arithmetic that runs on tensors is arithmetic)
========================= ==================================================================================

Complex numbers (kind complex, per element; a real operand is not promoted): add 2 (with a real operand 1), mul 6 (2),
div 11 (by a real 2, real by complex 7), neg 2, reciprocal 5, exp 2 + 2 transcendental, log 4 + 2, abs 3 + 1, sgn 5 + 1,
angle 1 transcendental, polar 2 + 2, sqrt 7 + 3, ==/!= 2, integer power 6(p - 1). Sums and means of complex numbers are
reductions of twice as many reals. Conjugation is a sign that the next product absorbs: 0.

Backward operations are the derivative as one writes it down, sharing common factors. Most of them arrive as ordinary
operations; the fused ones:

========================= ==================================================================================
sigmoid, tanh             elementwise 3n: g s (1 - s), g (1 - t^2)
silu                      transcendental n, elementwise 5n: g s (1 + x (1 - s))
gelu (erf)                transcendental 2n, elementwise 9n: g (0.5 (1 + erf(c x)) + x k exp(-0.5 x^2))
gelu (tanh)               transcendental n, elementwise 17n, see `tests/test_tracer.py`
relu, clamp-like          elementwise n (the comparison); leaky_relu 2n
softplus                  transcendental n, elementwise n: g sigmoid(x)
glu                       per gate: transcendental 1, elementwise 4
softmax, log_softmax      softmax 4n - r: y (g - sum(g y)), g - exp(y) sum(g)
layer_norm, group_norm    elementwise 8n + 2r (7n + 2r without weight), reduction 2n - 2r; weight: elementwise n,
                          reduction n - D; bias: reduction n - D
rms_norm                  elementwise 7n + 4r (6n + 4r without weight), reduction n - r; weight as above: what autograd
                          makes of the unfused norm, which is what runs on cpu and meta
convolution               conv of the forward pass once for the input, once for the weight; bias: reduction g - C_out
attention                 four products: dV, dP (2BHTS d_v each), dQ, dK (2BHTS d_qk each); softmax 4n - r; scale BHTS;
                          `recompute_attention=True` adds what flash kernels do again: 2BHTS d_qk, BHTS, softmax 2n
fft                       a transform of the same kind: the adjoint of a real transform is a real transform, although
                          torch pads the half spectrum and runs a complex one
embedding, unfold, index  reduction of the gradient's elements, as for reflection and replication padding; select,
                          slice, padding with a constant, view: 0
========================= ==================================================================================

`F.linear` is a product with bias whatever the layout of its input (torch runs a product and an addition where that is
not contiguous). Gradients that meet at a tensor are added, and those additions are counted.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

KINDS = (
    "matmul", "conv", "bias", "fft", "complex", "elementwise", "transcendental", "reduction", "softmax",
)  # fmt: skip

Counts = dict[str, int]
Transforms = Counter[tuple[int, str]]


class UnknownOperation(NotImplementedError):
    """An operation (or its complex form) that no counting rule covers."""


@dataclass(frozen=True)
class Call:
    """One operation that ran.

    Attributes:
        name: the operation without namespace `aten`, overload and in-place underscore: `add`, `mylib.mymm`.
        args: every argument by its schema name, defaults filled in.
        out: what it returned.
    """

    name: str
    args: Mapping[str, Any]
    out: Any

    def __getitem__(self, name: str) -> Any:
        """The argument of that schema name."""
        return self.args[name]

    @property
    def result(self) -> Tensor:
        """The (first) output tensor."""
        out: Tensor = self.out[0] if isinstance(self.out, (tuple, list)) else self.out
        return out

    @property
    def is_complex(self) -> bool:
        """Whether an operand or the result is a complex number."""
        return _is_complex(self.result) or any(_is_complex(value) for value in self.args.values())

    def unknown(self) -> UnknownOperation:
        """The error that says no rule covers this call."""
        shapes = [tuple(v.shape) for v in self.args.values() if isinstance(v, Tensor)]
        return UnknownOperation(
            f"Expected an operation with a counting rule, got {'complex ' * self.is_complex}{self.name} on {shapes}"
        )


Rule = Callable[[Call], Counts]


def _is_complex(value: object) -> bool:
    return value.is_complex() if isinstance(value, Tensor) else isinstance(value, complex)


def _names(text: str) -> list[str]:
    """The words of a table of names."""
    return text.split()


# -------------------------------------------------------------------------------------------- free operations

VIEWS = _names("""
    _conj _neg_view _reshape_alias _unsafe_view alias as_strided chunk detach diagonal expand expand_as flatten imag
    lift lift_fresh movedim narrow permute real reshape resolve_conj resolve_neg select slice split split_with_sizes
    squeeze swapaxes t transpose unbind unflatten unfold unsafe_split unsafe_chunk unsafe_split_with_sizes unsqueeze
    view view_as view_as_complex view_as_real
""")

COPIES = _names("""
    _conj_physical _pin_memory _to_copy cat clone complex conj_physical constant_pad_nd contiguous copy
    diag_embed flip gather im2col index index_copy index_fill index_select masked_fill masked_scatter masked_select
    pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave
    replication_pad1d replication_pad2d replication_pad3d roll scatter select_scatter slice_scatter diagonal_scatter
    stack take tril triu where embedding select_backward slice_backward diagonal_backward positive
""")

FILLS = _names("""
    _efficientzerotensor arange empty empty_like empty_permuted empty_strided eye fill full full_like linspace
    new_empty new_empty_strided new_full new_ones new_zeros ones ones_like scalar_tensor tril_indices triu_indices
    zero zeros zeros_like
""")

RANDOM = _names("""
    bernoulli exponential normal rand rand_like randint randint_like randn randn_like randperm random uniform
""")

LOGIC = _names("""
    __and__ __or__ __xor__ all any bitwise_and bitwise_not bitwise_or bitwise_xor isfinite isinf isnan logical_and
    logical_not logical_or logical_xor nonzero
""")

QUERIES = _names("""
    _assert_async _assert_scalar _assert_tensor_metadata _linalg_check_errors _local_scalar_dense is_same_size item
    prim.device resize set sym_numel sym_size sym_storage_offset sym_stride
""")

#: Operations without arithmetic on numbers: they cost bytes, not FLOPs.
FREE = frozenset([*VIEWS, *COPIES, *FILLS, *RANDOM, *LOGIC, *QUERIES])


# --------------------------------------------------------------------------------------- pointwise operations

ELEMENTWISE = _names("""
    abs ceil clamp clamp_max clamp_min copysign eq floor floor_divide fmax fmin fmod frac ge gt heaviside le lt
    maximum minimum ne neg remainder round sgn sign trunc
""")

TRANSCENDENTAL = _names("""
    acos acosh angle asin asinh atan atan2 atanh celu cos cosh digamma elu erf erfc erfinv exp exp2 expm1 gelu
    hardsigmoid hardswish hardtanh hypot leaky_relu lgamma log log10 log1p log2 log_sigmoid_forward logit mish
    reciprocal relu relu6 rsqrt selu sigmoid silu sin sinc sinh softplus sqrt tan tanh xlogy
""")

#: (complex, transcendental) operations per complex element; sqrt by |z|, (|z| +- a) / 2 and two roots.
COMPLEX_POINTWISE = {
    "neg": (2, 0), "reciprocal": (5, 0), "exp": (2, 2), "log": (4, 2), "abs": (3, 1), "sgn": (5, 1),
    "angle": (0, 1), "sqrt": (7, 3), "eq": (2, 0), "ne": (2, 0),
}  # fmt: skip

#: (elementwise, transcendental) operations per element of the gradient; gelu: see `_gelu_backward`.
POINTWISE_BACKWARD = {
    "sigmoid_backward": (3, 0), "tanh_backward": (3, 0), "silu_backward": (5, 1), "softplus_backward": (1, 1),
    "threshold_backward": (1, 0), "hardtanh_backward": (1, 0), "leaky_relu_backward": (2, 0),
}  # fmt: skip


def _pointwise(kind: str) -> Rule:
    """One operation of `kind` per output element; complex numbers by `COMPLEX_POINTWISE`."""

    def rule(call: Call) -> Counts:
        n = call.result.numel()
        if not call.is_complex:
            return {kind: n}
        if call.name not in COMPLEX_POINTWISE:
            raise call.unknown()
        arithmetic, special = COMPLEX_POINTWISE[call.name]
        return {"complex": arithmetic * n, "transcendental": special * n}

    return rule


def _real(rule: Rule) -> Rule:
    """The rule, for real operands only."""

    def checked(call: Call) -> Counts:
        if call.is_complex:
            raise call.unknown()
        return rule(call)

    return checked


def _per_element(**per: int) -> Rule:
    """Fixed numbers of operations per output element, real operands only."""
    return _real(lambda call: {kind: number * call.result.numel() for kind, number in per.items()})


def _add(call: Call) -> Counts:
    """add, sub, rsub: `self +- alpha * other`."""
    n, operands = call.result.numel(), (call["self"], call["other"])
    scaled = call.args.get("alpha", 1) != 1
    if not any(map(_is_complex, operands)):
        return {"elementwise": n * (1 + scaled)}
    return {"complex": n * (sum(map(_is_complex, operands)) + scaled * (1 + _is_complex(call["other"])))}


def _mul(call: Call) -> Counts:
    """Product: 1 per real, 6 per complex, 2 per real-times-complex element."""
    n, factors = call.result.numel(), (_is_complex(call["self"]), _is_complex(call["other"]))
    return {"complex": (6 if all(factors) else 2) * n} if any(factors) else {"elementwise": n}


def _div(call: Call) -> Counts:
    """Quotient a / b: complex by complex = a conj(b) (6), |b|^2 (3), two divisions."""
    n = call.result.numel()
    per = {(True, True): 11, (True, False): 2, (False, True): 7}
    operands = (_is_complex(call["self"]), _is_complex(call["other"]))
    return {"complex": per[operands] * n} if any(operands) else {"elementwise": n}


def _addc(call: Call) -> Counts:
    """addcmul, addcdiv: `self + value * tensor1 (* or /) tensor2`."""
    return {"elementwise": call.result.numel() * (2 + (call["value"] != 1))}


def _power(call: Call) -> Counts:
    """Powers: an integer exponent p is p - 1 products (after one reciprocal if negative)."""
    n, p = call.result.numel(), call["exponent"]
    whole = not isinstance(p, (Tensor, complex)) and float(p).is_integer()
    if call.is_complex:
        if not whole or p < 1 or not isinstance(call["self"], Tensor):
            raise call.unknown()
        return {"complex": 6 * (int(p) - 1) * n}
    if not whole or not isinstance(call["self"], Tensor):
        return {"transcendental": n}
    return {"elementwise": max(abs(int(p)) - 1, 0) * n, "transcendental": n * (p < 0)}


def _polar(call: Call) -> Counts:
    """`abs * (cos, sin)(angle)`."""
    n = call.result.numel()
    return {"complex": 2 * n, "transcendental": 2 * n}


def _gelu_backward(call: Call) -> Counts:
    n = call.result.numel()
    if call["approximate"] == "tanh":
        return {"elementwise": 17 * n, "transcendental": n}
    return {"elementwise": 9 * n, "transcendental": 2 * n}


def _glu_backward(call: Call) -> Counts:
    gates = call["grad_output"].numel()
    return {"elementwise": 4 * gates, "transcendental": gates}


# --------------------------------------------------------------------------------------- products of matrices

#: Operation -> its left factor, whose last axis is contracted.
LEFT_FACTOR = {
    "mm": "self", "bmm": "self", "mv": "self", "dot": "self", "vdot": "self",
    "addmm": "mat1", "baddbmm": "batch1", "addmv": "mat",
}  # fmt: skip


def _product(call: Call) -> Counts:
    """2MNK real operations (8MNK complex), and the added matrix as bias unless beta = 0."""
    n, inner, is_complex = (
        call.result.numel(),
        call[LEFT_FACTOR[call.name]].shape[-1],
        _is_complex(call.result),
    )
    counts = {"matmul": (8 if is_complex else 2) * n * inner}
    if call.args.get("beta", 0) != 0:
        counts["bias"] = n * (1 + is_complex)
    return counts


def _inverse(call: Call) -> Counts:
    """2m^3 per real matrix of m x m, four times that per complex one."""
    matrices = call["A"]
    real = 2 * matrices.numel() * matrices.shape[-1]
    return {"complex": 4 * real} if call.is_complex else {"elementwise": real}


def _convolution_flops(call: Call, output: Tensor) -> int:
    # Each position of the larger side of the sum meets one filter: outputs normally, inputs when transposed.
    positions = call["input"] if call["transposed"] else output
    flops: int = 2 * positions.numel() * math.prod(call["weight"].shape[1:])
    return flops


def _convolution(call: Call) -> Counts:
    """input (N, C_in, *X), weight (C_out, C_in/groups, *K)."""
    bias = call.result.numel() if call["bias"] is not None else 0
    return {"conv": _convolution_flops(call, call.result), "bias": bias}


def _convolution_backward(call: Call) -> Counts:
    grad, (wants_input, wants_weight, wants_bias) = call["grad_output"], call["output_mask"]
    one = _convolution_flops(call, grad)
    bias = grad.numel() - grad.shape[1] if wants_bias else 0
    return {"conv": one * (wants_input + wants_weight), "reduction": bias}


# ------------------------------------------------------------------------------------------------- transforms


def transform_flops(length: int, field: str) -> int:
    """Nominal FLOPs of one 1-D FFT: round(5 L log2 L) if `field` is "complex", half of that if "real"."""
    return round((5.0 if field == "complex" else 2.5) * length * math.log2(length))


def _real_transform(shape: tuple[int, ...], dim: list[int]) -> Transforms:
    """A real N-d transform of a signal of `shape`: real along dim[-1], complex over the L/2 + 1 half spectrum."""
    last = shape[dim[-1]]
    half = math.prod(shape) // last * (last // 2 + 1)
    transforms: Transforms = Counter({(last, "real"): math.prod(shape) // last})
    for axis in dim[:-1]:
        transforms[shape[axis], "complex"] += half // shape[axis]
    return transforms


def _complex_transform(call: Call) -> Transforms:
    """_fft_c2c; as the derivative of a real transform it counts as that transform's adjoint."""
    shape = tuple(call.result.shape)
    node = torch._C._current_autograd_node()
    if node is not None and node.name().startswith("FftR2CBackward"):
        return _real_transform(shape, call["dim"])
    transforms: Transforms = Counter()
    for axis in call["dim"]:
        transforms[shape[axis], "complex"] += math.prod(shape) // shape[axis]
    return transforms


TRANSFORMS: dict[str, Callable[[Call], Transforms]] = {
    "_fft_r2c": lambda call: _real_transform(tuple(call["self"].shape), call["dim"]),
    "_fft_c2r": lambda call: _real_transform(tuple(call.result.shape), call["dim"]),
    "_fft_c2c": _complex_transform,
}


# ------------------------------------------------------------------------------------- reductions and softmax


def _reduced(call: Call) -> Counts:
    """in - out; `max(a, b)` is the elementwise maximum."""
    if isinstance(call.args.get("other"), Tensor):
        return {"elementwise": call.result.numel()}
    source = call["self"]
    return {"reduction": (source.numel() - call.result.numel()) * (1 + _is_complex(source))}


def _every_input(call: Call) -> Counts:
    """mean, cumsum: one per input element."""
    source = call["self"]
    return {"reduction": source.numel() * (1 + _is_complex(source))}


def _source(name: str) -> Rule:
    """Scattered additions: one per element of the argument `name`."""
    return lambda call: {"reduction": call[name].numel() * (1 + _is_complex(call[name]))}


def _index_put(call: Call) -> Counts:
    """Plain assignment moves data; accumulation adds every value."""
    return {"reduction": call["values"].numel() * (1 + call.is_complex)} if call["accumulate"] else {}


def _norm(call: Call) -> Counts:
    """Vector norms of order 1, 2 and infinity; a complex 2-norm squares and adds both parts."""
    order = float(call.args["ord"] if "ord" in call.args else (2 if call["p"] is None else call["p"]))
    source = call["self"]
    if order == 2:
        return {"reduction": 2 * source.numel() * (1 + _is_complex(source))}
    if abs(order) not in (1.0, math.inf) or _is_complex(source):
        raise call.unknown()
    return {"reduction": 2 * source.numel() - call.result.numel()}


def _variance(call: Call) -> Counts:
    """var, std and their *_mean forms; torch's r is the number of results."""
    n, r = call["self"].numel(), call.result.numel()
    return {"reduction": 2 * n, "elementwise": 2 * n, "transcendental": r * call.name.startswith("std")}


def _softmax(elements: int, rows: int) -> Rule:
    """`elements` x n - `rows` x r, r the number of slices along `dim`."""

    def rule(call: Call) -> Counts:
        n = call.result.numel()
        return {"softmax": elements * n - rows * n // call.result.shape[call["dim"]]}

    return rule


def _logsumexp(call: Call) -> Counts:
    return {"softmax": 4 * call["self"].numel()}


# ---------------------------------------------------------------------------------------------- normalisation


def _groups(call: Call) -> int:
    """Number of groups normalised together: r."""
    if "group" in call.args:
        return int(call["N"] * call["group"])
    return int(call["input"].numel() // math.prod(call["normalized_shape"]))


def _centred_norm(call: Call) -> Counts:
    """layer_norm, group_norm: mean; subtract, square, mean; eps, rsqrt; times rstd, weight, bias."""
    n, r = call.result.numel(), _groups(call)
    affine = sum(call[name] is not None for name in ("weight", "bias"))
    return {"reduction": 2 * n, "elementwise": (3 + affine) * n + r, "transcendental": r}


def _centred_norm_backward(call: Call) -> Counts:
    """h = (x - mean) rstd, dx = rstd (g w - mean(g w) - h mean(g w h)), dw = sum(g h), db = sum(g)."""
    wants_input, wants_weight, wants_bias = call["output_mask"]
    n, r = call["input"].numel(), _groups(call)
    counts: Counter[str] = Counter(elementwise=2 * n * (wants_input or wants_weight))
    if wants_input:
        counts.update(elementwise=(5 + (call["weight"] is not None)) * n + 2 * r, reduction=2 * n - 2 * r)
    width = call["weight"].numel() if call["weight"] is not None else 0
    counts.update(elementwise=n * wants_weight, reduction=(n - width) * (wants_weight + wants_bias))
    return counts


def _rms_norm(call: Call) -> Counts:
    n, r = call.result.numel(), _groups(call)
    return {"reduction": n, "elementwise": (2 + (call["weight"] is not None)) * n + r, "transcendental": r}


def _rms_norm_backward(call: Call) -> Counts:
    """What autograd makes of x * rsqrt(mean(x^2) + eps) * w, so that a fused kernel counts like the unfused norm."""
    wants_input, wants_weight = call["output_mask"]
    n, r = call["input"].numel(), _groups(call)
    counts: Counter[str] = Counter()
    if wants_input:
        counts.update(elementwise=(6 + (call["weight"] is not None)) * n + 4 * r, reduction=n - r)
    if wants_weight:
        counts.update(elementwise=n, reduction=n - call["weight"].numel())
    return counts


# --------------------------------------------------------------------------- attention and linear, made uniform


def _attention(call: Call) -> Counts:
    """query (B, H, T, d_qk), key (B, H, S, d_qk), value (B, H, S, d_v); fewer key heads count as repeated."""
    query, value = call["query"], call["value"]
    rows = math.prod(query.shape[:-1])
    scores = rows * value.shape[-2]
    mask = next((m for m in (call.args.get("attn_mask"), call.args.get("attn_bias")) if m is not None), None)
    extra = (mask is not None and mask.dtype != torch.bool) + 2 * (call.args.get("dropout_p", 0.0) > 0)
    return {
        "matmul": 2 * scores * (query.shape[-1] + value.shape[-1]),
        "elementwise": (1 + extra) * scores,
        "softmax": 5 * scores - 2 * rows,
    }


def _attention_gradient(call: Call, needs: tuple[bool, bool, bool, bool] = (True, True, True, False)) -> Counts:
    """The gradients of query, key, value and mask that `needs` asks for."""
    query, value, mask = call["query"], call["value"], call.args.get("attn_mask")
    rows = math.prod(query.shape[:-1])
    scores = rows * value.shape[-2]
    counts: Counter[str] = Counter(matmul=2 * scores * value.shape[-1] * needs[2])
    if needs[0] or needs[1] or needs[3]:
        counts.update(matmul=2 * scores * value.shape[-1], softmax=4 * scores - rows)
        counts.update(elementwise=scores * (needs[0] or needs[1]))
        counts.update(matmul=2 * scores * query.shape[-1] * (needs[0] + needs[1]))
    if needs[3] and mask is not None:
        counts.update(reduction=scores - mask.numel())
    counts.update(elementwise=2 * scores * (call.args.get("dropout_p", 0.0) > 0))
    return counts


def _attention_recomputation(call: Call) -> Counts:
    """The scores and weights that a kernel which stored only log-sum-exp computes again: exp(scale q k - lse)."""
    scores = math.prod(call["query"].shape[:-1]) * call["value"].shape[-2]
    return {"matmul": 2 * scores * call["query"].shape[-1], "elementwise": scores, "softmax": 2 * scores}


class _Attention(torch.autograd.Function):
    """Attention as one operation, forward and backward, on every device.

    Left alone torch runs one of several kernels by device, shapes and mask, or a dozen smaller operations (on `meta`).
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, options: Any) -> Tensor:
        ctx.save_for_backward(query, key, value, mask)
        ctx.options = options
        with torch._C._AutoDispatchBelowAutograd():  # the tracer sees the undivided operation
            out: Tensor = torch.ops.aten.scaled_dot_product_attention.default(query, key, value, mask, **options)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        names = ("query", "key", "value", "attn_mask")
        call = Call("attention", dict(zip(names, ctx.saved_tensors, strict=True)) | ctx.options, grad)
        needs = ctx.needs_input_grad[:4]
        for tracer in _ACTIVE:
            counts = Counter(_attention_gradient(call, needs))
            if tracer.recompute_attention and any(needs):
                counts.update(_attention_recomputation(call))
            tracer.record("aten.scaled_dot_product_attention_backward", counts)
        with _disable_current_modes(), torch.enable_grad():
            leaves = [
                None if x is None else x.detach().requires_grad_(need)
                for x, need in zip(ctx.saved_tensors, needs, strict=True)
            ]
            if leaves[3] is not None and leaves[3].dtype == torch.bool:  # the composite kernel only adds masks
                leaves[3] = torch.zeros_like(leaves[3], dtype=grad.dtype).masked_fill(~leaves[3], -math.inf)
            out, _ = torch.ops.aten._scaled_dot_product_attention_math(*leaves, **ctx.options)
            wanted = [x for x in leaves if x is not None and x.requires_grad]
            grads = iter(torch.autograd.grad(out, wanted, grad))
        return (*(next(grads) if need else None for need in needs), None)


def _attention_kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    options = {"dropout_p": dropout_p, "is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
    return _Attention.apply(query, key, value, attn_mask, options)  # type: ignore[no-untyped-call]


def _linear_kernel(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input (*, K), weight (N, K), bias (N,) -> (*, N), with the bias as part of the product."""
    if bias is None:
        return torch.matmul(input, weight.t())
    rows = input.reshape(-1, input.shape[-1])
    return torch.addmm(bias, rows, weight.t()).view(*input.shape[:-1], weight.shape[0])


# ---------------------------------------------------------------------------------------------- all the rules

_ATTENTION_KERNELS = ("flash", "efficient", "cudnn", "fused")

RULES: dict[str, Rule] = {
    **{name: _pointwise("elementwise") for name in ELEMENTWISE},
    **{name: _pointwise("transcendental") for name in TRANSCENDENTAL},
    **{name: _per_element(elementwise=e, transcendental=t) for name, (e, t) in POINTWISE_BACKWARD.items()},
    **dict.fromkeys(LEFT_FACTOR, _product),
    **dict.fromkeys(("add", "sub", "rsub"), _add),
    "mul": _mul,
    "div": _div,
    "lerp": _per_element(elementwise=3),
    "addcmul": _real(_addc),
    "addcdiv": _real(_addc),
    "pow": _power,
    "polar": _polar,
    "glu": _per_element(elementwise=1, transcendental=1),
    "glu_backward": _glu_backward,
    "gelu_backward": _gelu_backward,
    "native_dropout": _per_element(elementwise=2),
    "native_dropout_backward": _per_element(elementwise=2),
    "linalg_inv_ex": _inverse,
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    **dict.fromkeys(("sum", "nansum"), _reduced),
    **dict.fromkeys(("prod", "amax", "amin", "max", "min", "argmax", "argmin"), _real(_reduced)),
    **dict.fromkeys(("mean", "cumsum"), _every_input),
    "cumprod": _real(_every_input),
    **dict.fromkeys(("index_add", "_index_add"), _source("source")),
    "scatter_add": _source("src"),
    **{f"reflection_pad{axes}d_backward": _source("grad_output") for axes in (1, 2, 3)},
    **{f"replication_pad{axes}d_backward": _source("grad_output") for axes in (1, 2, 3)},
    "embedding_dense_backward": _source("grad_output"),
    "unfold_backward": _source("grad_in"),
    "col2im": _source("self"),
    **dict.fromkeys(("index_put", "_index_put_impl", "_unsafe_index_put"), _index_put),
    **dict.fromkeys(("linalg_vector_norm", "norm"), _norm),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), _real(_variance)),
    **dict.fromkeys(("_softmax", "_safe_softmax"), _softmax(5, 2)),
    "_log_softmax": _softmax(5, 1),
    **dict.fromkeys(("_softmax_backward_data", "_log_softmax_backward_data"), _softmax(4, 1)),
    "logsumexp": _real(_logsumexp),
    **dict.fromkeys(("native_layer_norm", "native_group_norm"), _centred_norm),
    **dict.fromkeys(("native_layer_norm_backward", "native_group_norm_backward"), _centred_norm_backward),
    "_fused_rms_norm": _rms_norm,
    "_fused_rms_norm_backward": _rms_norm_backward,
    "scaled_dot_product_attention": _attention,
    **{f"_scaled_dot_product_{kernel}_attention": _attention for kernel in _ATTENTION_KERNELS},
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
}

#: Kernels' own derivatives, met when the forward pass ran outside any tracer.
ATTENTION_BACKWARD = frozenset(
    [
        *(f"_scaled_dot_product_{kernel}_attention_backward" for kernel in _ATTENTION_KERNELS),
        "_scaled_dot_product_flash_attention_for_cpu_backward",
        "_scaled_dot_product_fused_attention_overrideable_backward",
    ]
)


# ------------------------------------------------------------------------------------------------- the tracer

_ACTIVE: list[FlopTracer] = []
_OVERRIDES = contextlib.ExitStack()


def _install_overrides() -> None:
    """Gives linear and attention one shape, whatever the device and the layout, until `_OVERRIDES` closes."""
    library = _OVERRIDES.enter_context(torch.library._scoped_library("aten", "IMPL"))
    for key in ("AutogradCPU", "AutogradMeta", "AutogradCUDA"):
        library.impl("scaled_dot_product_attention", _attention_kernel, key)
        library.impl("linear", _linear_kernel, key)


def _base_name(func: Any) -> str:
    name = str(func.overloadpacket)
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return name.removeprefix("aten.")


def _bind(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Every argument by its schema name."""
    bound = {}
    for position, argument in enumerate(func._schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        bound[argument.name] = args[position] if position < len(args) else kwargs.get(argument.name, default)
    return bound


class FlopTracer:
    """Counts the real scalar operations that run while it is active. Tracers may be nested; each counts for itself.

    While a tracer is active attention runs as one operation; values and gradients stay the same up to rounding (with
    attention dropout the gradient is that of another draw).

    Args:
        rules: more rules by operation, for example `{"mylib.mymm": lambda call: {"matmul": ...}}`; they win.
        recompute_attention: count the work that flash kernels repeat in the backward pass (hardware FLOPs).

    Attributes:
        counts: operations by kind; every kind of `KINDS` is there.
        by_op: operations by name and kind, for finding where two counts part.
        ops: number of calls by name, the free ones included: `aten.mm`, `aten.add_`, `mylib.mymm`.
        ffts: number of 1-D transforms by (length, "real" or "complex").

    Raises:
        UnknownOperation: from the traced code, at the first operation without a rule.
    """

    def __init__(self, rules: Mapping[str, Rule] | None = None, *, recompute_attention: bool = False) -> None:
        self.counts: Counts = dict.fromkeys(KINDS, 0)
        self.by_op: dict[str, Counter[str]] = {}
        self.ops: Counter[str] = Counter()
        self.ffts: Transforms = Counter()
        self.recompute_attention = recompute_attention
        self._rules = {**RULES, **(rules or {})}
        self._mode = _CountingMode(self)

    @property
    def total(self) -> int:
        """All operations."""
        return sum(self.counts.values())

    @property
    def matmul(self) -> int:
        """Contractions only, what `torch.utils.flop_counter.FlopCounterMode` counts: matmul + conv."""
        return self.counts["matmul"] + self.counts["conv"]

    @property
    def merged(self) -> Counts:
        """`counts` with bias folded into elementwise: the same whether a bias is written as one or as an addition."""
        merged = dict(self.counts)
        merged["elementwise"] += merged.pop("bias")
        return merged

    def record(self, name: str, counts: Mapping[str, int]) -> None:
        """Adds one call of the operation `name`."""
        self.ops[name] += 1
        self.by_op.setdefault(name, Counter()).update(counts)
        for kind, number in counts.items():
            self.counts[kind] += number

    def has_rule(self, name: str) -> bool:
        """Whether the operation of this base name can be counted."""
        return name in FREE or name in self._rules or name in TRANSFORMS or name in ATTENTION_BACKWARD

    def count(self, call: Call) -> Counts:
        """Operations of one call, by kind; notes its transforms in `ffts`."""
        if call.name in self._rules:
            return self._rules[call.name](call)
        if call.name in TRANSFORMS:
            transforms = TRANSFORMS[call.name](call)
            self.ffts.update(transforms)
            return {"fft": sum(number * transform_flops(*key) for key, number in transforms.items())}
        if call.name in ATTENTION_BACKWARD:
            counts = Counter(_attention_gradient(call))
            if self.recompute_attention:
                counts.update(_attention_recomputation(call))
            return counts
        return {}

    def __enter__(self) -> FlopTracer:
        """Starts counting."""
        if not _ACTIVE:
            _install_overrides()
        _ACTIVE.append(self)
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops counting."""
        self._mode.__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        _ACTIVE.remove(self)
        if not _ACTIVE:
            _OVERRIDES.close()


class _CountingMode(TorchDispatchMode):
    """Hands every operation below autograd to its tracer."""

    def __init__(self, tracer: FlopTracer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracer = tracer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, _base_name(func)
        if not self.tracer.has_rule(name):
            # In inference mode composite operations (linear, rms_norm) arrive whole.
            with self:
                out = (_linear_kernel if name == "linear" else func.decompose)(*args, **kwargs)
            if out is NotImplemented:
                raise Call(name, _bind(func, args, kwargs), torch.empty(0)).unknown()
            return out
        out = func(*args, **kwargs)
        self.tracer.record(str(func.overloadpacket), self.tracer.count(Call(name, _bind(func, args, kwargs), out)))
        return out


def flop_counter_matmul(module: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
    """Forward FLOPs that torch's own `FlopCounterMode` reports on `meta`: to be compared with `FlopTracer.matmul`.

    The module is copied to `meta`, tensors among the arguments are moved there; the given ones stay as they are.
    Known differences: `FlopCounterMode` counts a complex product as a real one (4 times too low), and (torch <= 2.13)
    its weight gradient of a grouped convolution is `groups` times too high, which is why this helper runs no backward.
    """
    if isinstance(module, nn.Module):
        module = copy.deepcopy(module).to("meta")
    args, kwargs = tree_map(lambda x: x.to("meta") if isinstance(x, Tensor) else x, (args, kwargs))
    with FlopCounterMode(display=False) as counter:
        module(*args, **kwargs)
    return int(counter.get_total_flops())
