"""Our vit5_hybrid and block-diagonal convolution against the reference's, with the same weights.

    python benchmarks/bench_reference.py [--quick] [--threads N]

Both compute the same function (checked before timing), in float32. `eval` keeps the weights from pass to pass, as in
deployment; `eval, weights changed` touches every kernel before each pass, so that no cached spectrum holds. `train` is
forward and backward in training mode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import harness
import torch
from torch import Tensor, nn

import registry

HOW = (
    "pip install --no-deps nvsubquadratic==0.2.0, whose own requirements are for training on GPUs; "
    "torch, einops and omegaconf are enough"
)
TOLERANCE = 2e-5
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

KERNEL = "block_diagonal_multi_omega_siren_kernel_nd"
MASK = "block_aligned_gaussian_modulation_nd"


# ---- the two sides --------------------------------------------------------------------------------------------------


def ours_net(patch: int) -> nn.Module:
    return registry.build("vit5_hybrid", [f"patch_size={patch}", "max_drop_path_rate=0.0"], seed=0)


def ours_conv(extent: int, dim: int) -> nn.Module:
    kernel = {"type": KERNEL, "mlp_hidden_dim": 32, "num_layers": 3, "embedding_dim": 32, "use_bias": True}
    conv = {"type": "ckconv_nd", "data_dim": 2, "hidden_dim": dim, "grid_type": "double", "fft_padding": "zero"}
    return registry.build({**conv, "kernel": {**kernel, "L_cache": extent}, "mask": MASK}, seed=0)


def reference_net(patch: int) -> nn.Module:
    return instantiate(reference_net_config(patch))


def reference_net_config(patch: int) -> dict[str, Any]:
    """The reference's counterpart of `vit5_hybrid`: same pattern, widths and kernels."""
    dim, registers, grid = 384, 4, 224 // patch
    rows = -(-(grid**2 + 1 + registers) // grid)
    mlp = _call("mlp.MLP", dim=dim, activation="gelu", expansion_factor=4.0, bias=False, dropout_cfg=_dropout())
    block = {
        "sequence_mixer_norm_cfg": _norm(dim),
        "mlp_cfg": mlp,
        "mlp_norm_cfg": _norm(dim),
        "hidden_dim": dim,
        "layer_scale_init": 1e-4,
    }
    hyena = _call(
        "hyena_nd.Hyena",
        global_conv_cfg=_reference_conv(rows, dim),
        short_conv_cfg={
            "__target__": "torch.nn.Conv2d",
            "in_channels": 3 * dim,
            "out_channels": 3 * dim,
            "kernel_size": 3,
            "padding": 1,
            "groups": 3 * dim,
            "bias": False,
        },
        gate_nonlinear_cfg={"__target__": "torch.nn.SiLU"},
        gate_nonlinear_2_cfg={"__target__": "torch.nn.Sigmoid"},
        pixelhyena_norm_cfg=_norm(dim),
        qk_norm_cfg={"__target__": "nvsubquadratic.utils.qk_norm.L2Norm"},
        output_norm_cfg=_norm(dim),
    )
    adapter = _call(
        "vit5_hyena_adapter.ViT5HyenaAdapter",
        inner_mixer_cfg=_call("sequence_mixer.QKVSequenceMixer", hidden_dim=dim, mixer_cfg=hyena),
        grid_w=grid,
    )
    attention = _call(
        "vit5_attention.ViT5Attention",
        hidden_dim=dim,
        num_heads=6,
        num_patches_h=grid,
        num_patches_w=grid,
        num_registers=registers,
        has_cls=True,
        qk_norm=_norm(dim // 6),
    )
    grn = _call("grn.GlobalResponseNorm", dim=dim)
    return {
        "__target__": "nvsubquadratic.networks.vit5_classification.ViT5ClassificationNet",
        "in_channels": 3,
        "num_classes": 1000,
        "hidden_dim": dim,
        "num_blocks": 12,
        "patch_size": patch,
        "image_size": 224,
        "num_registers": registers,
        "norm_cfg": _norm(dim),
        "readout": "cls",
        "layer_pattern": "HA" * 6,
        "layer_types": {
            "H": _call("vit5_residual_block.ViT5ResidualBlock", sequence_mixer_cfg=adapter, grn_cfg=grn, **block),
            "A": _call("vit5_residual_block.ViT5ResidualBlock", sequence_mixer_cfg=attention, **block),
        },
    }


def reference_conv(extent: int, dim: int) -> nn.Module:
    return instantiate(_reference_conv(extent, dim))


def _reference_conv(extent: int, dim: int) -> dict[str, Any]:
    kernel = _call(
        "kernels_nd.BlockDiagonalMultiOmegaSIRENKernelND",
        out_dim=dim,
        data_dim=2,
        mlp_hidden_dim=32,
        num_layers=3,
        embedding_dim=32,
        L_cache=extent,
        use_bias=True,
    )
    return _call(
        "ckconv_nd.CKConvND",
        data_dim=2,
        hidden_dim=dim,
        kernel_cfg=kernel,
        mask_cfg=_call("masks_nd.BlockAlignedGaussianModulationND", data_dim=2, num_channels=dim),
        grid_type="double",
        fft_padding="zero",
        fft_backend="torch_fft",
    )


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"__target__": f"nvsubquadratic.modules.{name}", **arguments}


def _norm(dim: int) -> dict[str, Any]:
    return _call("rms_norm.RMSNorm", dim=dim, eps=1e-6)


def _dropout() -> dict[str, Any]:
    return {"__target__": "torch.nn.Dropout", "p": 0.0}


def instantiate(config: dict[str, Any]) -> nn.Module:
    """Build a module of the reference."""
    from nvsubquadratic import lazy_config
    from omegaconf import OmegaConf

    module: nn.Module = lazy_config.instantiate(OmegaConf.create(config))
    return module


# ---- what is measured -----------------------------------------------------------------------------------------------


Pair = tuple[nn.Module, nn.Module]


def pair(make_ours: Callable[..., nn.Module], make_reference: Callable[..., nn.Module], *args: int) -> Pair:
    """Ours and the reference's, with our weights in both."""
    ours, reference = make_ours(*args), make_reference(*args)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # off the special values of initialisation, so that every branch shows in the output
        for weight in ours.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    reference.load_state_dict(ours.state_dict(), strict=True)
    return ours.to(DEVICE), reference.to(DEVICE)


def output(module: nn.Module, x: Tensor) -> Tensor:
    """Logits of a network, or the signal of a convolution."""
    if "blocks" in dict(module.named_children()):
        logits: Tensor = module({"input": x, "condition": None})["logits"]
        return logits
    signal: Tensor = module(x)
    return signal


def infer(module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        output(module, x)


def train_step(module: nn.Module, x: Tensor) -> None:
    module.zero_grad(set_to_none=True)
    torch.autograd.backward(output(module, x).square().mean())


def change_weights(*modules: nn.Module) -> None:
    """What an optimiser step does to a cached kernel."""
    with torch.no_grad():
        for module in modules:
            for name, weight in module.named_parameters():
                if name.endswith("out_linear.bias"):
                    weight.add_(1e-6)


def gradient_norms(module: nn.Module) -> dict[str, float]:
    return {name: float(p.grad.norm()) for name, p in module.named_parameters() if p.grad is not None}


def agree(ours: nn.Module, reference: nn.Module, x: Tensor) -> str:
    """Relative differences of outputs in evaluation mode and of gradients in training mode."""
    with torch.no_grad():
        expected = output(reference.eval(), x)
        error = float((output(ours.eval(), x) - expected).abs().max() / expected.abs().max())
    for module in (ours, reference):
        train_step(module.train(), x)
    got, wanted = gradient_norms(ours), gradient_norms(reference)
    floor = 1e-6 * max(wanted.values())
    gradient = max(abs(got[name] - norm) / max(norm, floor) for name, norm in wanted.items())
    if error > TOLERANCE:
        raise SystemExit(f"Expected outputs within {TOLERANCE}, got a relative difference of {error:.2e}")
    return f"{error:.1e}, gradient norms {gradient:.1e}"


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def rows_of(label: str, modules: Pair, x: Tensor, rounds: int) -> list[list[str]]:
    """Evaluation with and without changing weights, and training, for one input."""
    ours, reference = modules
    rows = []
    for mode in ("eval", "eval, weights changed", "train"):
        for module in modules:
            module.train(mode == "train")
        step = train_step if mode == "train" else infer
        times = harness.alternate(
            {"ours": partial(step, ours, x), "reference": partial(step, reference, x)},
            rounds,
            prepare=partial(change_weights, ours, reference) if "changed" in mode else None,
            wait=wait,
        )
        rows.append(harness.row(f"{label}, {mode}", times))
    return rows


# ---- peak memory ----------------------------------------------------------------------------------------------------


def memory_call(side: str, what: str, mode: str, size: int, batch: int) -> Callable[[], None]:
    """The first pass of a fresh module: what it keeps, gradients or cached spectra, counts too."""
    if what == "net":
        module = (ours_net if side == "ours" else reference_net)(size)
        x = torch.randn(batch, 224, 224, 3)
    else:
        module = (ours_conv if side == "ours" else reference_conv)(size, 384)
        x = torch.randn(batch, size, size, 384)
    module, x = module.to(DEVICE).train(mode == "train"), x.to(DEVICE)
    return partial(train_step if mode == "train" else infer, module, x)


def memory_on_cuda(*args: Any) -> float:
    call = memory_call(*args)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def memory_row(label: str, *args: Any) -> list[str]:
    measure = memory_on_cuda if DEVICE == "cuda" else lambda *a: harness.peak_memory(memory_call, *a)
    ours, reference = measure("ours", *args), measure("reference", *args)
    return [label, f"{ours:,.0f} MiB", f"{reference:,.0f} MiB", f"{reference / ours:.2f}x"]


def main() -> None:
    quick = harness.options(__doc__ or "").quick
    harness.machine("arch-registry", "nvsubquadratic")
    if harness.peer("nvsubquadratic.lazy_config", HOW) is None:
        return
    rounds = 3 if quick else 5
    torch.manual_seed(0)

    rows, checks = [], []
    for patch, batch in ((16, 1),) if quick else ((16, 1), (16, 8)):
        modules = pair(ours_net, reference_net, patch)
        images = torch.randn(batch, 224, 224, 3, device=DEVICE)
        label = f"vit5_hybrid, patch {patch}, batch {batch}"
        checks.append([label, agree(*modules, images)])
        rows += rows_of(label, modules, images, rounds)
    for extent, batch in ((14, 1), (56, 1)) if quick else ((14, 1), (14, 32), (56, 1), (56, 4)):
        modules = pair(ours_conv, reference_conv, extent, 384)
        signal = torch.randn(batch, extent, extent, 384, device=DEVICE)
        label = f"ckconv 384 x {extent} x {extent}, batch {batch}"
        checks.append([label, agree(*modules, signal)])
        rows += rows_of(label, modules, signal, rounds)
    harness.table("Relative difference, same weights", ["case", "outputs"], checks)
    harness.table("Time, peer: the reference", ["case", *harness.COLUMNS], rows)

    cases = [("net", "eval", 16, 8), ("net", "train", 16, 8), ("conv", "eval", 56, 4), ("conv", "train", 56, 4)]
    memory = [memory_row(f"{w}, {mode}, {s}, batch {b}", w, mode, s, b) for w, mode, s, b in cases[: 2 if quick else 4]]
    harness.table("Peak memory of one pass", ["case", "ours", "reference", "ratio"], memory)


if __name__ == "__main__":
    main()
