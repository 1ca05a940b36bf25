"""Where the reference is wrong, ours is right: each test fails on the behaviour it describes.

The behaviours were recorded on nvsubquadratic 0.2.0; every use it gets right is held to parity by test_goldens.py.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

import registry
from components.functional.fft_conv import fft_conv
from tests.harness import arguments

TINY_NET: dict[str, Any] = {
    "network": {
        "type": "vit5_classification_net",
        "in_channels": 3,
        "num_classes": 5,
        "hidden_dim": 16,
        "num_blocks": 4,
        "patch_size": 4,
        "image_size": 16,
        "num_registers": 4,
        "norm": "rms_norm",
        "readout": "cls",
        "layer_pattern": "HAHA",
        "max_drop_path_rate": 0.1,
        "layer_types": registry.load("vit5_hybrid_ha_film").root.to_dict()["layer_types"],
    }
}


def _tiny() -> dict[str, Any]:
    """The FiLM hybrid, shrunk: what follows from the parent is left to follow."""
    net = copy.deepcopy(TINY_NET)
    _forget(net["network"]["layer_types"], set(_FOLLOWING))
    net["network"]["layer_types"]["A"]["sequence_mixer"]["num_heads"] = 2
    return net


_FOLLOWING = (
    *("hidden_dim", "dim", "in_features", "out_features", "in_channels", "out_channels", "num_channels", "out_dim"),
    *("L_cache", "grid_size", "grid_w", "num_patches_h", "num_patches_w", "cond_dim", "num_registers"),
    *("register_start_idx", "has_cls"),
)


def _forget(node: Any, names: set[str]) -> None:
    if isinstance(node, dict):
        for name in names & node.keys():
            del node[name]
        for child in node.values():
            _forget(child, names)


def _kernel(**fields: Any) -> torch.nn.Module:
    config = {
        "type": "siren_kernel_nd",
        "out_dim": 4,
        "data_dim": 2,
        "mlp_hidden_dim": 8,
        "num_layers": 3,
        "embedding_dim": 8,
        "omega_0": 10.0,
        "L_cache": 4,
        "use_bias": True,
    }
    return registry.build({**config, **fields}, seed=0)


def test_grid_growth_does_not_depend_on_history() -> None:
    """Growing 4 -> 6 -> 7 gives the grid that 4 -> 7 gives; growing one axis leaves the other alone."""
    grown, fresh = _kernel(), _kernel()
    grown((6, 4))
    grown((7, 3))
    for lens in ((7, 3), (4, 4), (3, 9), (2, 2)):
        for ours, theirs in zip(grown(lens), fresh(lens), strict=True):
            torch.testing.assert_close(ours, theirs)
    step = 1 / 3
    axis = grown((7, 4))[1][0, :, 0, 0]
    torch.testing.assert_close(axis, torch.arange(-6, 7) * step)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
@pytest.mark.parametrize("preset", ["ccnn_classifier", "hyena_genomics"])
def test_runs_in_other_precisions(preset: str, dtype: str) -> None:
    overrides = ["num_blocks=1"]
    module = registry.build(preset, overrides, dtype=dtype, seed=0).eval()
    reference = registry.build(preset, overrides, seed=0).eval()
    x = arguments(registry.load(preset, overrides), 1)[0][0]
    with torch.no_grad():
        output, expected = module(x.to(getattr(torch, dtype))), reference(x)
    assert output.dtype == getattr(torch, dtype)
    torch.testing.assert_close(output.float(), expected, rtol=0.1, atol=0.1)


def test_runs_under_autocast() -> None:
    module = registry.build(_tiny(), seed=0)
    x = torch.randn(2, 16, 16, 3)
    expected = module.eval()(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(x)
    torch.testing.assert_close(output.float(), expected, rtol=0.1, atol=0.1)
    output.float().square().mean().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in module.parameters())


def test_one_head_with_rotary_positions_trains_and_leaves_its_input_alone() -> None:
    mixer = {"type": "attention", "num_heads": 1, "apply_qk_norm": True, "use_rope": True, "rope_spatial_dims": [6]}
    module = registry.build({"type": "qkv_sequence_mixer", "hidden_dim": 8, "mixer": mixer}, seed=0)
    x = torch.randn(2, 6, 8, requires_grad=True)
    before = x.detach().clone()
    module(x).square().mean().backward()
    torch.testing.assert_close(x.detach(), before)
    assert x.grad is not None


@pytest.mark.parametrize("taps", [1, 5, 6, 7, 8, 12])
def test_causal_convolution_never_sees_the_future(taps: int) -> None:
    """For every kernel length, also beyond N + 1, where the reference wraps around."""
    x, kernel = torch.randn(2, 3, 6, dtype=torch.float64), torch.randn(1, 3, taps, dtype=torch.float64)
    y = fft_conv(x, kernel, ("causal",))
    for n in range(6):
        expected = sum(kernel[0, :, m] * x[:, :, n - m] for m in range(min(taps, n + 1)))
        torch.testing.assert_close(y[:, :, n], expected, rtol=1e-5, atol=1e-5)


def test_causal_backbone_never_sees_the_future() -> None:
    module = registry.build("hyena_genomics", ["num_blocks=2"], seed=0).eval()
    x = torch.randn(1, 64, 4)
    changed = x.clone()
    changed[:, 40:] = torch.randn(1, 24, 4)
    with torch.no_grad():
        before, after = module(x), module(changed)
    torch.testing.assert_close(before[:, :40], after[:, :40], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before[:, 40:], after[:, 40:], atol=1e-2)


@pytest.mark.parametrize("source", ["vit5_hybrid", "ccnn_classifier"])
def test_compiles_in_one_graph(source: str) -> None:
    overrides = ["hidden_dim=96", "layer_pattern=HA", "num_blocks=2"] if source == "vit5_hybrid" else ["num_blocks=1"]
    module = registry.build(source, overrides, seed=0)
    args = arguments(registry.load(source, overrides), 1)[0]
    expected = module.eval()(*args)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*args), expected, rtol=1e-4, atol=1e-5)
    module.train()
    compiled(*args).square().mean().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_the_shipped_film_presets_run() -> None:
    """The reference's own crash on their first forward."""
    module = registry.build(_tiny(), seed=0)
    module(torch.randn(2, 16, 16, 3)).square().mean().backward()
    film = {key: p for key, p in module.named_parameters() if "film_generator" in key}
    assert film
    assert all(p.grad is not None for p in film.values())


def test_modules_copy_and_pickle() -> None:
    module = registry.build(_tiny(), seed=0).eval()
    x = torch.randn(1, 16, 16, 3)
    with torch.no_grad():
        expected = module(x)
        for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            torch.testing.assert_close(other(x), expected)


def test_cached_spectra_follow_the_weights() -> None:
    """Eval may keep kernel spectra while nothing changes, and must not when something does."""
    config = registry.load("ccnn_classifier", ["num_blocks=1"])
    module, fresh = registry.build(config, seed=0).eval(), registry.build(config, seed=0).eval()
    x = torch.randn(1, 28, 28, 1)
    with torch.no_grad():
        first = module(x)
        torch.testing.assert_close(module(x), first)
        for target in (module, fresh):
            for parameter in target.parameters():
                parameter.mul_(1.1)
        changed = module(x)
        torch.testing.assert_close(changed, fresh(x))
        assert not torch.allclose(changed, first)
        smaller = x[:, :20]
        torch.testing.assert_close(module(smaller), fresh(smaller))
        module.load_state_dict(registry.build(config, seed=1).state_dict())
        torch.testing.assert_close(module(x), registry.build(config, seed=1).eval()(x))
