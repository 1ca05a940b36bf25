"""Identities that state-space kernels and layers must satisfy, for every initialisation and discretisation."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import registry
from components.functional import ssm_common, ssm_init
from components.functional.ssm_kernel import StateSpaceKernel, positive, stored
from components.functional.ssm_layer import StateSpaceLayer
from components.s4.module import S4, S4Kernel
from components.s4d.module import S4D, S4DKernel, S4DSequenceMixer
from registry.shapes import Shape
from registry.tape import Tape
from tests.tracer import FlopTracer

FEATURES, STATES, LENGTH, BATCH = 4, 8, 13, 2
DIAGONAL = [(S4DKernel, init, disc) for init in ssm_common.INITS for disc in ("zoh", "bilinear", "dss")]
LOW_RANK = [(S4Kernel, init, "bilinear") for init in ssm_common.INITS]
EVERY_KERNEL = pytest.mark.parametrize(("kind", "init", "disc"), DIAGONAL + LOW_RANK)
BOTH_LAYERS = pytest.mark.parametrize("kind", [S4, S4D])


def error(actual: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest expected value."""
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def make_kernel(kind: type[StateSpaceKernel], init: str = "legs", disc: str | None = None, **options: Any) -> Any:
    torch.manual_seed(0)
    options.setdefault("rank", 2)
    options.setdefault("d_state", STATES)
    return kind(FEATURES, options.pop("l_max", LENGTH), init=init, disc=disc, **options)


def random_state(n: int = STATES // 2) -> Tensor:
    return torch.randn(BATCH, FEATURES, n, dtype=torch.complex128)


def run_steps(module: Any, inputs: Tensor, state: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    """Step over inputs [B, H, L]; outputs stacked along the last axis."""
    outputs = []
    for u in inputs.unbind(-1):
        y, state = module.step(u, state, **options)
        outputs.append(y)
    return torch.stack(outputs, dim=-1), state


def convolve(kernel: Tensor, u: Tensor) -> Tensor:
    """Causal convolution by its definition: kernel [C, H, L], u [B, H, L] -> [B, C, H, L]."""
    lags = torch.arange(u.shape[-1])[:, None] - torch.arange(u.shape[-1])
    toeplitz = kernel[..., lags.clamp(min=0)] * (lags >= 0)
    return torch.einsum("chtj,bhj->bcht", toeplitz, u)


@EVERY_KERNEL
def test_identities_in_double_precision(kind: type[StateSpaceKernel], init: str, disc: str) -> None:
    kernel = make_kernel(kind, init, disc, channels=2).double()
    u, start = torch.randn(BATCH, FEATURES, LENGTH).double(), random_state()
    K, K_state = kernel(LENGTH, state=start)
    assert K.shape == (2, FEATURES, LENGTH)
    assert K_state.shape == (BATCH, 2, FEATURES, LENGTH)

    stepped, final = run_steps(kernel, u, start)
    assert error(convolve(K, u) + K_state, stepped) < 1e-9
    assert error(kernel.forward_state(u, start), final) < 1e-9

    from_zero, _ = run_steps(kernel, u, kernel.default_state(BATCH))
    assert error(convolve(K, u), from_zero) < 1e-9

    full = torch.cat([start, start.conj()], dim=-1)
    assert torch.equal(kernel(LENGTH, state=full)[1], K_state)
    full_final = kernel.forward_state(u, full)
    assert torch.equal(full_final[..., : STATES // 2], kernel.forward_state(u, start))
    assert torch.equal(full_final[..., STATES // 2 :], full_final[..., : STATES // 2].conj())
    stepped_full, _ = run_steps(kernel, u, full)
    assert torch.equal(stepped_full, stepped)

    kernel.double_length()
    doubled, _ = kernel()
    assert doubled.shape[-1] == 2 * LENGTH
    assert error(doubled[..., :LENGTH], K) < 1e-9
    middle = kernel.forward_state(torch.eye(LENGTH).double()[0].expand(BATCH, FEATURES, -1), 0 * start)
    assert error(kernel(LENGTH, state=middle)[1][0], doubled[..., LENGTH:]) < 1e-9


@EVERY_KERNEL
def test_identities_in_single_precision(kind: type[StateSpaceKernel], init: str, disc: str) -> None:
    kernel = make_kernel(kind, init, disc)
    u, start = torch.randn(BATCH, FEATURES, LENGTH), random_state().to(torch.complex64)
    K, K_state = kernel(LENGTH, state=start)
    stepped, final = run_steps(kernel, u, start)
    assert K.dtype == stepped.dtype == torch.float32
    assert final.dtype == torch.complex64
    assert error(convolve(K, u) + K_state, stepped) < 1e-5
    assert error(kernel.forward_state(u, start), final) < 1e-5
    exact, _ = copy.deepcopy(kernel).double()(LENGTH)
    assert error(K, exact) < 2e-6


@EVERY_KERNEL
def test_rate_scales_the_step_exactly(kind: type[StateSpaceKernel], init: str, disc: str) -> None:
    kernel = make_kernel(kind, init, disc).double()
    fast, _ = kernel(LENGTH, rate=2.0)
    with torch.no_grad():
        kernel.inv_dt += math.log(2)
    if disc == "dss":
        kernel.normalised_length /= 2
    assert error(fast, kernel(LENGTH)[0]) < 1e-9


@pytest.mark.parametrize("disc", ["zoh", "dss"])
def test_zero_order_hold_is_exact_for_held_inputs(disc: str) -> None:
    kernel = make_kernel(S4DKernel, "legs", disc).double()
    u = torch.randn(BATCH, FEATURES, LENGTH).double()
    fine = convolve(kernel(2 * LENGTH)[0], u.repeat_interleave(2, dim=-1))
    assert error(convolve(kernel(LENGTH, rate=2.0)[0], u), fine[..., 1::2]) < 1e-9


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 31, 32, 33, 100])
@pytest.mark.parametrize("kind", [S4Kernel, S4DKernel])
def test_kernel_and_state_equal_the_dense_system(kind: type[StateSpaceKernel], length: int) -> None:
    kernel = make_kernel(kind, "legt", "bilinear", channels=3, n_ssm=2).double()
    u, start = torch.randn(BATCH, FEATURES, length).double(), random_state()
    eigenvalues, dt = kernel.eigenvalues(), kernel.steps()[..., None]
    pair = lambda z: torch.cat([z, z.conj()], dim=-1)  # noqa: E731
    A = torch.diag_embed(pair(eigenvalues))
    if kind is S4Kernel:
        for row in torch.view_as_complex(kernel.P):
            P = pair(row).repeat(FEATURES // 2, 1)
            A = A - P[:, :, None] * P[:, None, :].conj()
    B, C = (pair(z) for z in kernel.coefficients())
    eye = torch.eye(STATES, dtype=A.dtype)
    dA = torch.linalg.solve(eye - dt / 2 * A, eye + dt / 2 * A)
    dB = torch.linalg.solve(eye - dt / 2 * A, (dt * B[..., None]))[..., 0]
    powers = torch.stack([torch.linalg.matrix_power(dA, k) for k in range(length + 1)])
    expected = torch.einsum("chn,lhnm,hm->chl", C, powers[:-1], dB).real
    K, K_state = kernel(length, state=start)
    assert error(K, expected) < 1e-10
    assert error(K_state, torch.einsum("chn,lhnm,bhm->bchl", C, powers[1:], pair(start)).real) < 1e-10
    final = torch.einsum("hnm,bhm->bhn", powers[length], pair(start))
    final = final + torch.einsum("lhnm,hm,bhl->bhn", powers[:-1], dB, u.flip(-1).to(dB))
    assert error(kernel.forward_state(u, pair(start)), final) < 1e-10


@pytest.mark.parametrize("disc", ["zoh", "bilinear", "dss"])
def test_diagonal_kernel_equals_the_vandermonde_sum(disc: str) -> None:
    kernel = make_kernel(S4DKernel, "diag-inv", disc, dt_tie=False).double()
    dt, eigenvalues, (B, C) = kernel.steps(), kernel.eigenvalues(), kernel.coefficients()
    w = dt * eigenvalues
    held = B * (w.exp() - 1) / eigenvalues
    regular = ((w * LENGTH).exp() - 1) * eigenvalues
    log_A, dB, factor = {
        "zoh": (w, held, 2),
        "bilinear": (torch.log((1 + w / 2) / (1 - w / 2)), B * dt / (1 - w / 2), 2),
        "dss": (w, B * (w.exp() - 1) * regular.conj() / (regular.abs() ** 2 + 1e-7), 1),
    }[disc]
    table = torch.exp(log_A[..., None] * torch.arange(40))
    expected = factor * torch.einsum("chn,hn,hnl->chl", C, dB, table).real
    assert error(kernel(40)[0], expected) < 1e-10


@pytest.mark.parametrize("dt_tie", [True, False])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_rank_padding_changes_nothing(rank: int, dt_tie: bool) -> None:
    wide = make_kernel(S4Kernel, rank=rank, dt_tie=dt_tie)
    narrow = make_kernel(S4Kernel, rank=1, dt_tie=dt_tie)
    assert error(wide(LENGTH)[0], narrow(LENGTH)[0]) < 1e-6


@pytest.mark.parametrize(
    ("kind", "init", "tolerance"),
    [(S4Kernel, "legs", 2e-6), (S4DKernel, "legs", 2e-6), (S4DKernel, "fourier", 1e-5), (S4Kernel, "fourier", 1e-5)],
)
def test_single_precision_error_does_not_grow_with_length(
    kind: type[StateSpaceKernel], init: str, tolerance: float
) -> None:
    kernel = make_kernel(kind, init, d_state=64)
    with torch.no_grad():
        assert error(kernel(16384)[0], copy.deepcopy(kernel).double()(16384)[0]) < tolerance


class LargestTensor(TorchDispatchMode):
    """Records the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("kind", [S4Kernel, S4DKernel])
def test_no_tensor_of_size_features_states_length(kind: type[StateSpaceKernel]) -> None:
    kernel, length = make_kernel(kind, d_state=16), 4096
    with LargestTensor() as largest:
        K, _ = kernel(length)
        K.sum().backward()
        kernel.forward_state(torch.randn(1, FEATURES, length), kernel.default_state(1))
    assert largest.elements <= 2 * FEATURES * length


@pytest.mark.parametrize(
    ("kind", "disc"), [(S4Kernel, None), (S4DKernel, "zoh"), (S4DKernel, "bilinear"), (S4DKernel, "dss")]
)
def test_gradients_are_those_of_finite_differences(kind: type[StateSpaceKernel], disc: str | None) -> None:
    kernel = make_kernel(kind, "dplr-lin", disc).double()
    names, values = zip(*kernel.named_parameters(), strict=True)
    u, start = torch.randn(1, FEATURES, 5).double(), random_state()[:1]

    def outputs(*parameters: Tensor) -> tuple[Tensor, ...]:
        arguments = dict(zip(names, parameters, strict=True))
        K, K_state = torch.func.functional_call(kernel, arguments, (5, start))
        return K, K_state

    assert torch.autograd.gradcheck(outputs, values)
    start.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: torch.view_as_real(kernel.forward_state(u, s)), start)
    kernel.forward_state(u, start).abs().sum().backward()
    assert kernel.inv_dt.grad.abs().sum() > 0


@pytest.mark.parametrize("transform", ssm_common.TRANSFORMS)
def test_transforms_and_their_inverses(transform: str) -> None:
    value = torch.tensor([1e-3, 0.1, 0.9], dtype=torch.float64)
    offset = 1e-4 if transform == "relu" else 0.0
    assert error(positive(stored(value, transform), transform), value + offset) < 1e-12
    for kind in (S4Kernel, S4DKernel):
        kernel = make_kernel(kind, "legs", dt_transform=transform, real_transform=transform)
        assert torch.isfinite(kernel(LENGTH)[0]).all()
        assert float(kernel.steps().detach().max()) < 0.1 + 2e-4


@pytest.mark.parametrize("transform", ["none", "exp", "relu", "softplus"])
def test_imaginary_transforms_agree_at_the_start(transform: str) -> None:
    plain = make_kernel(S4DKernel)
    other = make_kernel(S4DKernel, imag_transform=transform)
    assert error(other.eigenvalues(), plain.eigenvalues()) < 1e-4
    # Large frequencies do not overflow the inverse of softplus.
    assert torch.isfinite(make_kernel(S4DKernel, imag_transform=transform, d_state=64).A_imag).all()


def test_dt_options() -> None:
    slow, fast = make_kernel(S4DKernel), make_kernel(S4DKernel, dt_fast=True)
    assert error(fast(LENGTH)[0], slow(LENGTH)[0]) < 1e-5
    assert make_kernel(S4DKernel, dt_tie=False).inv_dt.shape == (FEATURES, STATES // 2)
    spaced = make_kernel(S4DKernel, deterministic=True, dt_min=0.01, dt_max=0.1).steps().detach().flatten()
    assert error(spaced, torch.logspace(-2, -1, FEATURES).double()) < 1e-6
    drawn = S4DKernel(2000, d_state=2, init="diag-lin", dt_min=0.01, dt_max=0.1, n_ssm=1).steps().detach().log10()
    assert -2 <= float(drawn.min()) < -1.99
    assert -1.01 < float(drawn.max()) <= -1
    assert abs(float(drawn.mean()) + 1.5) < 0.03


def test_hippo_matrices_are_diagonalised() -> None:
    for measure, rank in (("legs", 1), ("legt", 2), ("fourier", 1)):
        for n in (2, 4, 8, 64):
            A, B, _P = ssm_init.hippo_matrices(measure, n)
            sets = ssm_init.hippo_states(measure, n, rank, B_clip=None)
            pair = lambda z: torch.cat([z, z.conj()], dim=-1)  # noqa: E731
            low_rank = torch.einsum("ri,rj->ij", pair(sets.P[:, 0]), pair(sets.P[:, 0]).conj())
            rebuilt = torch.diag(pair(sets.eigenvalues[0])) - low_rank
            # The transfer function B^T (z - A)^-1 B does not depend on the basis.
            z = torch.eye(n, dtype=torch.complex128) * (1 + 2j)
            dense = B.to(z) @ torch.linalg.solve(z - A, B.to(z))
            modal = pair(sets.B[0]).conj() @ torch.linalg.solve(z - rebuilt, pair(sets.B[0]))
            assert abs(complex(dense - modal)) < 1e-8 * abs(complex(dense))
            clipped = ssm_init.hippo_states(measure, n, rank)
            assert float(clipped.B.imag.abs().max()) <= 2


def test_hippo_tables_have_the_published_values() -> None:
    A, B, P = ssm_init.hippo_matrices("legs", 3)
    expected = [[-1, 0, 0], [-math.sqrt(3), -2, 0], [-math.sqrt(5), -math.sqrt(15), -3]]
    assert torch.allclose(A, torch.tensor(expected, dtype=torch.float64))
    assert torch.allclose(B.square(), torch.tensor([1.0, 3.0, 5.0]).double())
    assert torch.allclose(P.square(), torch.tensor([[0.5, 1.5, 2.5]]).double())
    legs = ssm_init.initial_sets("legs", 8)
    frequencies = torch.tensor([-19.85741, -5.35421, -1.95779, -0.42749], dtype=torch.float64)
    assert torch.allclose(legs.eigenvalues[0].imag, frequencies, atol=1e-5)
    assert torch.allclose(legs.eigenvalues[0].real, torch.tensor(-0.5).double())
    fourier = ssm_init.initial_sets("fourier", 8).eigenvalues[0].imag / -math.pi
    assert torch.allclose(fourier, torch.tensor([3.0, 2.0, 1.0, 0.0]).double())
    inverse = ssm_init.initial_sets("diag-inv", 8).eigenvalues[0].imag
    assert torch.allclose(inverse, -8 / math.pi * (8 / torch.tensor([1.0, 3.0, 5.0, 7.0]).double() - 1))


def test_combined_initialisations_share_the_sets() -> None:
    sets = ssm_init.initial_sets("all", 8, sets=8)
    for position, part in enumerate(ssm_common.COMBINED_INITS["all"]):
        alone = ssm_init.initial_sets(part, 8, sets=2)
        assert torch.equal(sets.eigenvalues[2 * position : 2 * position + 2], alone.eigenvalues)
    with pytest.raises(ValueError, match="multiple of 4"):
        ssm_init.initial_sets("all", 8, sets=6)
    hippo, legs = ssm_init.initial_sets("dplr-legs", 8), ssm_init.initial_sets("legs", 8)
    assert torch.equal(hippo.P, legs.P)
    assert torch.equal(hippo.B, legs.B)


def test_initial_options_act() -> None:
    base = ssm_init.initial_sets("diag-lin", 8)
    options = ssm_init.DiagonalOptions(real_scale=2.0, imag_scale=0.5, B_scale=0.7)
    scaled = ssm_init.initial_sets("diag-lin", 8, options=options)
    assert torch.allclose(scaled.eigenvalues.real, 2 * base.eigenvalues.real)
    assert torch.allclose(scaled.eigenvalues.imag, 0.5 * base.eigenvalues.imag)
    assert torch.allclose(scaled.B, 0.7 * base.B)
    for name in ssm_common.INPUT_INITS:
        B = ssm_init.initial_sets("diag-lin", 8, options=ssm_init.DiagonalOptions(B_init=name)).B
        assert name == "random" or torch.allclose(B.abs(), torch.ones(1).double())
    normal = ssm_init.initial_sets("diag-lin", 8, options=ssm_init.DiagonalOptions(normalize=True))
    assert float((2 * (normal.B / normal.eigenvalues).abs().square()).sum()) == pytest.approx(1)
    torch.manual_seed(0)
    drawn = ssm_init.initial_sets("diag-lin", 8, options=ssm_init.DiagonalOptions(real_random=True, imag_random=True))
    assert float(drawn.eigenvalues.real.min()) > -1
    assert float(drawn.eigenvalues.imag.min()) > -4 * math.pi


def make_layer(kind: type[StateSpaceLayer], **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(FEATURES, STATES, LENGTH, **options).eval()


LAYER_OPTIONS: list[dict[str, Any]] = [
    {},
    {"activation": "gelu", "mult_activation": "gelu", "final_act": "gelu"},
    {"activation": None, "final_act": "identity"},
    {"activation": "glu"},
    {"activation": "silu", "mult_activation": "tanh", "final_act": "relu"},
    {"activation": "relu", "final_act": "sigmoid"},
    {"final_act": None},
    {"final_act": "none", "channels": 2},
    {"final_act": None, "gate": 2},
    {"channels": 2, "swap_channels": True},
    {"gate": 1},
    {"gate": 3},
    {"gate": 4, "channels": 2},
    {"gate": 2, "channels": 2},
    {"n_ssm": 2, "dt_tie": False, "rank": 2, "init": "hippo"},
    {"dropout": 0.5},
    {"dropout": 0.5, "tie_dropout": True},
]


@BOTH_LAYERS
@pytest.mark.parametrize("options", LAYER_OPTIONS, ids=str)
def test_layer_steps_and_chunks_equal_the_whole(kind: type[StateSpaceLayer], options: dict[str, Any]) -> None:
    layer = make_layer(kind, **options).double()
    x, start = torch.randn(BATCH, 3 * LENGTH, FEATURES).double(), random_state()
    whole, final = layer(x, state=start)
    assert whole.shape == (BATCH, 3 * LENGTH, layer.output_features)
    stepped, stepped_final = run_steps(layer, x.mT, start)
    assert error(stepped.mT, whole) < 1e-9
    assert error(stepped_final, final) < 1e-9
    chunks, state = [], start
    for chunk in x.split([LENGTH + 3, 1, 2 * LENGTH - 4], dim=1):
        y, state = layer(chunk, state=state)
        chunks.append(y)
    assert error(torch.cat(chunks, dim=1), whole) < 1e-9
    assert error(state, final) < 1e-9
    assert error(layer.forward_state(x, start), final) < 1e-9
    assert error(layer(x), layer(x, state=layer.default_state(BATCH))[0]) < 1e-9


@BOTH_LAYERS
def test_layer_in_single_precision(kind: type[StateSpaceLayer]) -> None:
    layer = make_layer(kind, activation="gelu", mult_activation="gelu", final_act="gelu")
    x = torch.randn(BATCH, LENGTH, FEATURES)
    system = layer.kernel.discretize()
    stepped, _ = run_steps(layer, x.mT, layer.default_state(BATCH), system=system)
    assert error(stepped.mT, layer(x)) < 1e-5


@BOTH_LAYERS
def test_layer_computes_what_it_says(kind: type[StateSpaceLayer]) -> None:
    layer = make_layer(kind, gate=2, channels=2, dropout=0.1).double()
    x = torch.randn(BATCH, LENGTH, FEATURES).double()
    kernel, _ = layer.kernel(LENGTH)
    y = convolve(kernel, x.mT) + layer.D[..., None] * x.mT[:, None]
    y = nn.functional.gelu(y.flatten(1, 2).mT)
    gate = nn.functional.gelu(nn.functional.linear(x, layer.input_gate[0].weight, layer.input_gate[0].bias))
    expected = nn.functional.glu(layer.output_linear(y * gate))
    assert error(layer(x), expected) < 1e-12


@BOTH_LAYERS
def test_bidirectional_layers_look_both_ways(kind: type[StateSpaceLayer]) -> None:
    layer = make_layer(kind, bidirectional=True, activation=None, final_act=None, channels=2).double()
    x = torch.randn(BATCH, LENGTH, FEATURES).double()
    back, ahead = layer.kernel(LENGTH)[0].chunk(2)
    shifted = nn.functional.pad(x.flip(1), (0, 0, 1, 0))[:, :-1]
    expected = convolve(back, x.mT) + convolve(ahead, shifted.mT).flip(-1) + layer.D[..., None] * x.mT[:, None]
    assert error(layer(x), expected.flatten(1, 2).mT) < 1e-12
    with pytest.raises(ValueError, match="bidirectional"):
        layer.default_state(1)
    with pytest.raises(ValueError, match="bidirectional"):
        layer.step(x[:, 0], random_state())
    with pytest.raises(ValueError, match="bidirectional"):
        layer(x, state=random_state())


@BOTH_LAYERS
def test_lengths_transposition_and_leading_axes(kind: type[StateSpaceLayer]) -> None:
    layer, transposed = make_layer(kind), make_layer(kind, transposed=True)
    x = torch.randn(BATCH, LENGTH, FEATURES)
    cut = x.clone()
    cut[1, 5:] = 0
    for lengths in ([LENGTH, 5], torch.tensor([LENGTH, 5])):
        assert torch.equal(layer(x, lengths=lengths), layer(cut))
    assert torch.equal(layer(x, lengths=LENGTH), layer(x))
    assert torch.equal(layer(x, lengths=5), layer(x * (torch.arange(LENGTH) < 5)[:, None]))
    with pytest.raises(ValueError, match="one length or 2"):
        layer(x, lengths=[1, 2, 3])
    assert torch.equal(transposed(x.mT), layer(x).mT)
    assert (
        error(
            transposed.forward_state(x.mT, transposed.default_state(BATCH)),
            layer.forward_state(x, layer.default_state(BATCH)),
        )
        < 1e-6
    )
    assert error(layer(x[0]), layer(x)[0]) < 1e-6
    y, state = layer(x[:, None], state=layer.default_state(BATCH, 1))
    assert error(y[:, 0], layer(x)) < 1e-6
    assert state.shape == (BATCH, 1, FEATURES, STATES // 2)
    assert torch.equal(layer(x, conditioning=torch.randn(BATCH, 7)), layer(x))


def test_dropout_is_tied_along_time() -> None:
    x = torch.randn(BATCH, 50, FEATURES)
    tied = make_layer(S4D, dropout=0.5, tie_dropout=True, final_act=None, activation=None).train()
    zeros = tied(x) == 0
    assert torch.equal(zeros.any(1), zeros.all(1))
    assert zeros.any()
    free = make_layer(S4D, dropout=0.5, final_act=None, activation=None).train()
    zeros = free(x) == 0
    assert zeros.any(1).all()
    assert not zeros.all(1).any()
    assert not (free.eval()(x) == 0).any()


def lrnnx_names(layer: Any) -> dict[str, Tensor]:
    """The layer's state under the names of the reference: kernel parameters twice."""
    state = layer.state_dict()
    named = {name.removeprefix("kernel."): value for name, value in state.items()}
    doubled = {f"layer.{name}": value for name, value in state.items() if name.startswith("kernel.")}
    return {**named, **doubled}


@BOTH_LAYERS
def test_reference_checkpoints_load(kind: type[StateSpaceLayer]) -> None:
    source, target = make_layer(kind, gate=2), kind(FEATURES, STATES, LENGTH, gate=2)
    target.load_state_dict(lrnnx_names(source), strict=True)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value)
    nn.Sequential(target).load_state_dict({f"0.{name}": value for name, value in lrnnx_names(source).items()})
    broken = {**lrnnx_names(source), "layer.kernel.A_real": torch.zeros(FEATURES, STATES // 2)}
    with pytest.raises(ValueError, match="equal"):
        target.load_state_dict(broken)
    with pytest.raises(RuntimeError, match="Unexpected"):
        target.load_state_dict({**source.state_dict(), "layer.other": torch.zeros(1)})


def test_truncated_output_maps_are_restored() -> None:
    source = make_layer(S4, channels=2).double()
    C = torch.view_as_complex(source.kernel.C.detach())
    system = source.kernel.discretize()
    moved = torch.eye(STATES // 2, dtype=C.dtype)[:, None].expand(-1, FEATURES, -1)
    # C~ = C (1 - A^L), as a real functional: its value on e_j and i e_j gives Re and -Im of component j.
    for _ in range(LENGTH):
        moved = system.transition(moved)
    turned = 1j * torch.eye(STATES // 2, dtype=C.dtype)[:, None].expand(-1, FEATURES, -1)
    for _ in range(LENGTH):
        turned = system.transition(turned)
    value = lambda rows: torch.einsum("chn,jhn->chj", C, rows).real  # noqa: E731
    truncated = C - torch.complex(value(moved), -value(turned))
    state = lrnnx_names(source)
    state["C"] = state["layer.kernel.C"] = torch.view_as_real(truncated.resolve_conj())
    state["layer.kernel.l_kernel"] = torch.tensor(LENGTH)
    target = make_layer(S4, channels=2).double()
    target.load_state_dict(state, strict=True)
    assert error(target.kernel.C, source.kernel.C) < 1e-9


@pytest.mark.parametrize("kind", [S4Kernel, S4DKernel])
def test_kernels_share_the_parameters_of_a_parent(kind: type[StateSpaceKernel]) -> None:
    parent = make_kernel(kind, n_ssm=2, dt_transform="softplus")
    names = ("inv_dt", "A_real", "A_imag", "B", "C", *(("P",) if kind is S4Kernel else ()))
    config: dict[str, Any] = {name: getattr(parent, name) for name in names}
    config |= {"N": STATES, "H": FEATURES, "channels": 1, "rank": 2, "repeat": 2, "dt_fast": False}
    config |= {"real_transform": "exp", "imag_transform": "none", "dt_transform": "softplus", "is_real": False}
    child = kind(d_model=FEATURES, l_max=LENGTH, channels=1, param_config=config)
    assert child.C is parent.C
    assert torch.equal(child(LENGTH)[0], parent(LENGTH)[0])
    assert torch.equal(
        kind(FEATURES, LENGTH, 1, {name: config[name].detach() for name in names} | {"dt_transform": "softplus"})()[0],
        child()[0],
    )
    for bad in ({"H": 5}, {"N": 6}, {"colour": 1}, {"inv_dt": None}, {"C": torch.zeros(1, 3, 4, 2)}):
        with pytest.raises(ValueError, match="Expected"):
            kind(FEATURES, LENGTH, 1, {**config, **bad})
    with pytest.raises(ValueError, match="beside"):
        kind(FEATURES, LENGTH, 1, config, init="legs")


INVALID: list[tuple[type[nn.Module], dict[str, Any], str]] = [
    (S4DKernel, {"d_state": 7}, "even"),
    (S4DKernel, {"d_state": 0}, "even"),
    (S4DKernel, {"n_ssm": 3}, "divide"),
    (S4DKernel, {"init": "lin"}, "initialisation"),
    (S4DKernel, {"init": "diag-foo"}, "initialisation"),
    (S4DKernel, {"init": "hippo", "n_ssm": 1}, "multiple of 2"),
    (S4DKernel, {"init": "all", "n_ssm": 2}, "multiple of 4"),
    (S4Kernel, {"init": "legt"}, "rank >= 2"),
    (S4Kernel, {"rank": 0}, "rank"),
    (S4Kernel, {"disc": "zoh"}, "disc"),
    (S4Kernel, {"bandlimit": 0.5}, "bandlimit"),
    (S4DKernel, {"disc": "async"}, "disc"),
    (S4DKernel, {"disc": "dss"}, "l_max"),
    (S4DKernel, {"dt_min": 0.1, "dt_max": 0.1}, "dt_min"),
    (S4DKernel, {"dt_min": 0.0}, "dt_min"),
    (S4DKernel, {"dt_transform": "log"}, "dt_transform"),
    (S4DKernel, {"imag_transform": "sigmoid"}, "below 1"),
    (S4DKernel, {"init": "diag-lin", "B_init": "ones"}, "B_init"),
    (S4DKernel, {"rnak": 2}, "'rank'"),
    (S4DKernel, {"channels": 0}, "channels"),
    (S4DKernel, {"l_max": 0}, "l_max"),
    (S4D, {"activation": "swish"}, "activation"),
    (S4D, {"mult_activation": "glu"}, "mult_activation"),
    (S4D, {"final_act": "nonsense"}, "final_act"),
    (S4D, {"dropout": 1.0}, "dropout"),
    (S4D, {"gate": 0}, "gate"),
    (S4D, {"postact": "glu"}, "postact"),
    (S4DSequenceMixer, {"state_dim": 3}, "even"),
    (S4DSequenceMixer, {"dt_min": 0.2}, "dt_min"),
    (S4DSequenceMixer, {"in_features": 0}, "in_features"),
]


@pytest.mark.parametrize(("kind", "options", "message"), INVALID)
def test_wrong_options_are_refused(kind: type[nn.Module], options: dict[str, Any], message: str) -> None:
    size = "in_features" if kind is S4DSequenceMixer else "d_model"
    with pytest.raises(ValueError, match=message):
        kind(**{size: FEATURES, **options})


def test_wrong_inputs_are_refused() -> None:
    kernel, layer, mixer = make_kernel(S4DKernel, l_max=None), make_layer(S4D), S4DSequenceMixer(FEATURES, STATES)
    for call in (
        lambda: kernel(),
        lambda: kernel(0),
        lambda: kernel(5, rate=0.0),
        lambda: kernel(5, state=torch.zeros(BATCH, FEATURES, 4)),
        lambda: kernel(5, state=random_state(3)),
        lambda: layer(torch.zeros(BATCH, LENGTH, FEATURES + 1)),
        lambda: layer(torch.zeros(FEATURES)),
        lambda: layer(torch.zeros(BATCH, 0, FEATURES)),
        lambda: layer.step(torch.zeros(BATCH, 3), layer.default_state(BATCH)),
        lambda: mixer(torch.zeros(BATCH, LENGTH, 3)),
    ):
        with pytest.raises(ValueError, match="Expected"):
            call()


def make_module(kind: type[nn.Module]) -> Any:
    torch.manual_seed(0)
    return kind(FEATURES, STATES)


EVERY_MIXER = pytest.mark.parametrize("kind", [S4, S4D, S4DSequenceMixer])


@EVERY_MIXER
def test_devices_precisions_and_copies(kind: type[nn.Module]) -> None:
    module, x = make_module(kind), torch.randn(BATCH, LENGTH, FEATURES)
    y = module(x)
    for clone in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(clone(x), y)
    for dtype in (torch.bfloat16, torch.float16):
        low = copy.deepcopy(module).to(dtype)
        assert low(x.to(dtype)).dtype == dtype
        assert torch.isfinite(low(x.to(dtype))).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        K, _ = module.kernel(LENGTH)
        assert error(module(x).float(), y) < 0.05
    assert torch.equal(K, module.kernel(LENGTH)[0])
    with torch.device("meta"):
        empty = make_module(kind)
        out, state = empty(torch.empty(BATCH, LENGTH, FEATURES), state=empty.default_state(BATCH))
    assert out.shape == y.shape
    assert out.is_meta
    assert state.shape == (BATCH, FEATURES, STATES // 2)
    filled = empty.to_empty(device="cpu")
    filled.load_state_dict(module.state_dict())
    assert torch.equal(filled(x), y)
    torch.manual_seed(0)
    filled.kernel.reset_parameters()
    for name, parameter in filled.kernel.named_parameters():
        assert torch.equal(parameter, module.kernel.get_parameter(name))
    assert all(parameter._no_weight_decay for parameter in module.kernel.parameters())


@EVERY_MIXER
def test_compiles_into_one_graph(kind: type[nn.Module]) -> None:
    module, x = make_module(kind), torch.randn(BATCH, LENGTH, FEATURES)
    state = module.default_state(BATCH)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert error(compiled(x), module(x)) < 1e-6
    assert error(compiled(x, state=state)[0], module(x)) < 1e-6
    compiled(x).sum().backward()
    step = torch.compile(module.step, fullgraph=True, backend="aot_eager")
    assert error(step(x[:, 0], state)[0], module.step(x[:, 0], state)[0]) < 1e-6


@pytest.mark.parametrize("transposed", [False, True])
def test_sequence_mixer(transposed: bool) -> None:
    torch.manual_seed(0)
    mixer = S4DSequenceMixer(FEATURES, STATES, transposed=transposed).double()
    k = mixer.kernel
    x, start = torch.randn(BATCH, 2 * LENGTH, FEATURES).double(), random_state()
    A = torch.complex(-k.log_a_real.exp(), k.A_imag)
    dtA = k.log_dt.exp()[:, None] * A
    table = torch.exp(dtA[..., None] * torch.arange(2 * LENGTH))
    expected = 2 * torch.einsum("hn,hnl->hl", torch.view_as_complex(k.C) * (dtA.exp() - 1) / A, table).real
    flip = (lambda t: t.mT) if transposed else (lambda t: t)
    assert error(flip(mixer(flip(x))), convolve(expected[None], x.mT)[:, 0].mT) < 1e-10
    whole, final = mixer(flip(x), state=start)
    stepped, stepped_final = run_steps(mixer, x.mT, start)
    assert error(stepped.mT, flip(whole)) < 1e-9
    assert error(stepped_final, final) < 1e-9
    first, state = mixer(flip(x[:, :5]), state=start)
    second, state = mixer(flip(x[:, 5:]), state=state)
    assert error(torch.cat([flip(first), flip(second)], dim=1), flip(whole)) < 1e-9
    assert error(mixer.forward_state(flip(x), start), state) < 1e-9
    complex_state = {**mixer.state_dict(), "kernel.C": torch.view_as_complex(k.C.detach())}
    mixer.load_state_dict(complex_state)
    assert torch.equal(flip(mixer(flip(x), conditioning=x)), flip(mixer(flip(x))))


SCHEMAS = {"s4_kernel": S4Kernel, "s4": S4, "s4d_kernel": S4DKernel, "s4d": S4D, "s4d_sequence_mixer": S4DSequenceMixer}
COSTED: list[dict[str, Any]] = [
    {"type": "s4", "d_model": FEATURES, "rank": 2, "channels": 2, "gate": 2},
    {"type": "s4", "d_model": FEATURES, "dt_tie": False, "activation": "glu", "final_act": None},
    {"type": "s4d", "d_model": FEATURES, "disc": "zoh", "channels": 2},
    {"type": "s4d", "d_model": FEATURES, "disc": "bilinear", "transposed": True},
    {"type": "s4d", "d_model": FEATURES, "disc": "dss", "bandlimit": 0.5},
    {"type": "s4d_sequence_mixer", "in_features": FEATURES},
    {"type": "s4d_sequence_mixer", "in_features": FEATURES, "transposed": True},
]


def costed(config: dict[str, Any]) -> tuple[Any, Any]:
    """A mixer's config and module; states and lengths as in the rest of this file."""
    size = {"state_dim": STATES} if "in_features" in config else {"d_state": STATES, "l_max": LENGTH}
    plan = registry.load({**config, **size})
    return plan.root, registry.build(plan, seed=0).eval()


@pytest.mark.parametrize("length", [1, 5, 16, 37])
@pytest.mark.parametrize("config", COSTED, ids=str)
def test_costs_of_chunks(config: dict[str, Any], length: int) -> None:
    schema, mixer = costed(config)
    shape = (FEATURES, length) if mixer.transposed else (length, FEATURES)
    with torch.no_grad(), FlopTracer() as traced:
        y, state = mixer(torch.randn(BATCH, *shape), state=mixer.default_state(BATCH))
    record = Tape().call(schema, Shape((BATCH, *shape)), schema.state_shape(Shape((BATCH,))))
    assert record.total == {kind: count for kind, count in traced.counts.items() if count}
    assert record.output == (tuple(y.shape), tuple(state.shape))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("config", COSTED, ids=str)
def test_costs_of_steps(config: dict[str, Any], prepared: bool) -> None:
    schema, mixer = costed(config)
    u, state = torch.randn(BATCH, FEATURES), mixer.default_state(BATCH)
    system = mixer.kernel.discretize() if prepared else None
    with torch.no_grad(), FlopTracer() as traced:
        y, state = mixer.step(u, state, system=system)
    tape = Tape(method="step", cached_kernels=prepared)
    record = tape.call(schema, Shape((BATCH, FEATURES)), schema.state_shape(Shape((BATCH,))))
    assert record.total == {kind: count for kind, count in traced.counts.items() if count}
    assert record.output == (tuple(y.shape), tuple(state.shape))
    assert schema.state_bytes(BATCH) == state.numel() * state.element_size()


@pytest.mark.parametrize("name", ["s4_kernel", "s4d_kernel"])
def test_costs_of_final_states(name: str) -> None:
    plan = registry.load({"type": name, "d_model": FEATURES, "d_state": STATES})
    kernel = registry.build(plan, seed=0)
    for length in (1, 7, 8, 33):
        u, state = torch.randn(BATCH, FEATURES, length), kernel.default_state(BATCH)
        with torch.no_grad(), FlopTracer() as traced:
            kernel.forward_state(u, state)
        record = Tape(method="forward_state").call(plan.root, Shape(u.shape), Shape(state.shape))
        assert record.total == {kind: count for kind, count in traced.counts.items() if count}


def test_cached_kernels_leave_the_convolution() -> None:
    plan = registry.load({"type": "s4d", "d_model": FEATURES, "l_max": 64})
    full, cached = registry.cost(plan, 2), registry.cost(plan, 2, cached_kernels=True)
    assert cached.flops < full.flops
    kernel = registry.load({"type": "s4d_kernel", "d_model": FEATURES, "l_max": 64})
    spectrum = FEATURES * round(2.5 * 128 * 7)
    assert full.flops - cached.flops == registry.cost(kernel).flops + spectrum


BLOCK: dict[str, Any] = {
    "type": "residual_block",
    "sequence_mixer_norm": "rms_norm",
    "mlp_norm": "rms_norm",
    "mlp": {"type": "mlp", "activation": "gelu"},
    "dropout": "identity",
}


def network(mixer: dict[str, Any] | str, **fields: Any) -> dict[str, Any]:
    """A classifier of sequences, or of grids, around one kind of block."""
    config = {
        "type": "classification_resnet",
        "in_channels": 3,
        "out_channels": 5,
        "num_blocks": 2,
        "hidden_dim": 8,
        "data_dim": 1,
        "in_proj": "linear",
        "out_proj": "linear",
        "norm": "rms_norm",
        "block": {**BLOCK, "sequence_mixer": mixer},
    }
    return {"network": {**config, **fields}, "input": {"shape": [20, 3]}}


@pytest.mark.parametrize("mixer", ["s4", "s4d", "s4d_sequence_mixer", {"type": "s4", "channels": 2, "gate": 3}])
def test_state_spaces_stand_in_networks(mixer: dict[str, Any] | str) -> None:
    plan = registry.load(network(mixer))
    module = registry.build(plan, seed=0).eval()
    with torch.no_grad(), FlopTracer() as traced:
        logits = module(torch.randn(BATCH, 20, 3))
    assert logits.shape == (BATCH, 5)
    assert registry.cost(plan, BATCH).flops == traced.total


@pytest.mark.parametrize("mixer", ["s4", "s4d", "s4d_sequence_mixer"])
def test_state_spaces_stand_in_conditioned_blocks(mixer: str) -> None:
    norms = dict.fromkeys(("sequence_mixer_norm", "mlp_norm"), "rms_norm")
    mlp = {"type": "mlp", "activation": "gelu"}
    block = {"type": "adaln_zero_residual_block", "hidden_dim": 8, "sequence_mixer": mixer, "mlp": mlp, **norms}
    plan = registry.load({**block, "input": {"shape": [20, 8], "condition": [8]}})
    module = registry.build(plan, seed=0).eval()
    with torch.no_grad(), FlopTracer() as traced:
        y = module(torch.randn(BATCH, 20, 8), torch.randn(BATCH, 8))
    assert y.shape == (BATCH, 20, 8)
    assert registry.cost(plan, BATCH).flops == traced.total


@pytest.mark.parametrize(
    ("mixer", "fields", "code", "path"),
    [
        ({"type": "s4d", "transposed": True}, {}, "transposed", "transposed"),
        ({"type": "s4d_sequence_mixer", "transposed": True}, {}, "transposed", "transposed"),
        ({"type": "s4d", "final_act": None, "channels": 2}, {}, "output-width", "final_act"),
        ({"type": "s4", "final_act": "none", "gate": 2}, {}, "output-width", "final_act"),
        ({"type": "s4"}, {"data_dim": 2}, "sequence-rank", "type"),
        ({"type": "s4d_sequence_mixer"}, {"data_dim": 2}, "sequence-rank", "type"),
        ({"type": "s4", "d_model": 9}, {}, "mismatch", "d_model"),
        ({"type": "s4", "n_ssm": 3}, {}, "divisible", "n_ssm"),
        ({"type": "s4", "init": "all", "n_ssm": 2}, {}, "init-sets", "n_ssm"),
    ],
    ids=str,
)
def test_faults_inside_networks(mixer: dict[str, Any], fields: dict[str, Any], code: str, path: str) -> None:
    problems = registry.check(network(mixer, **fields))
    assert [(p.code, p.path) for p in problems] == [(code, f"network.block.sequence_mixer.{path}")]


@pytest.mark.parametrize("name", SCHEMAS)
def test_configs_and_modules_have_the_same_defaults(name: str) -> None:
    size = "in_features" if name == "s4d_sequence_mixer" else "d_model"
    built = registry.build({"type": name, size: FEATURES}, seed=0)
    torch.manual_seed(0)
    direct = SCHEMAS[name](**{size: FEATURES})
    assert type(built) is type(direct)
    assert repr(built) == repr(direct)
    for (key, value), (other_key, other) in zip(built.state_dict().items(), direct.state_dict().items(), strict=True):
        assert key == other_key
        assert torch.equal(value, other)
