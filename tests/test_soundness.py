"""What the checker accepts can be built and run; whatever it is fed, it answers with problems.

Random networks are put together from the random configs of every component (`DRAW` in the `cases.py`), some of them
with values changed at random. Whatever `registry.check` accepts must build on meta and give the planned shapes: what
torch cannot build or run must have been refused before. Then whole documents are mutilated: values dropped, swapped,
retyped, scaled, keys renamed. Nothing but problems may come out.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch

import registry
from registry.cases import Case
from registry.errors import InvalidConfig
from registry.sources import documents
from tests.faults import BASES, FAULTS, changed
from tests.harness import arguments, plain, shapes_of

Config = dict[str, Any]
COMPOSITIONS, MUTATIONS = 2_000, 5_000
NIGHTLY_COMPOSITIONS, NIGHTLY_MUTATIONS = 20_000, 50_000
CHUNKS = 10
SMALL = [name for name in BASES if name not in ("preset", "preset_ha", "film")]


# ---- random networks ----------------------------------------------------------------------------------------------


@cache
def _draws(kind: str) -> dict[str, Callable[[random.Random], Case]]:
    """The random configs of every component of a kind."""
    found = {}
    for name in registry.names(kind):
        cases = importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))
        if name in cases.DRAW:
            found[name] = cases.DRAW[name]
    return found


_FOLLOWS = {"out_dim", "hidden_dim", "data_dim", "num_channels", "cond_dim", "L_cache", "grid_size", "dim", "d_model"}
_FOLLOWS |= {"in_channels", "out_channels", "normalized_shape", "in_features", "head_dim", "embedding_dim_"}


def _drawn(rng: random.Random, kind: str, keep: tuple[str, ...] = ()) -> Any:
    """A random component of a kind, without what follows from the network."""
    name = rng.choice(sorted(_draws(kind)))
    config = dict(_draws(kind)[name](rng).config)
    return {key: value for key, value in config.items() if key not in _FOLLOWS or key in keep}


def _norm(rng: random.Random) -> Any:
    return rng.choice(["rms_norm", "layer_norm", "l2_norm", "identity", {"type": "rms_norm", "eps": 1e-5}])


def _kernel(rng: random.Random, extent: int | None, film: bool, width: int) -> Config:
    config = _drawn(rng, "kernel")
    config.pop("film", None)
    config.pop("film_after_pos_embed", None)
    if extent is not None:
        config["L_cache"] = extent
    if config.get("num_blocks", 1) > 1:
        blocks = max(b for b in range(1, config["num_blocks"] + 1) if width % b == 0)
        config.update(num_blocks=blocks, embedding_dim=2 * blocks, mlp_hidden_dim=4 * blocks, omega_0_per_block=None)
    if film and "random_fourier" not in config["type"]:
        config["film"] = {"type": "kernel_film_generator", "film_hidden_dim": rng.randint(1, 4)}
    return config


def _hyena(rng: random.Random, rank: int, width: int, extent: int | None = 6, film: bool = False) -> Config:
    """A Hyena mixer over `rank` axes of `width` channels."""
    causal = rank == 1 and rng.random() < 0.5
    circular = not causal and rng.random() < 0.3
    conv: Config = {
        "type": "ckconv_nd",
        "data_dim": rank,
        "kernel": _kernel(rng, extent, film, width),
        "mask": rng.choice(["identity", "gaussian_modulation_nd", "exponential_modulation_nd"]),
        "grid_type": "single" if circular else rng.choice(["double", "single"]),
        "fft_padding": "circular" if circular else "zero",
        "is_causal": causal,
        "use_chunked_fftconv": not circular and rng.random() < 0.3,
    }
    if not causal and rng.random() < 0.2:
        conv.update(fft_padding=[rng.choice(["zero", "circular"]) for _ in range(rank)], grid_type=None)
    size = rng.choice([1, 3, 5])
    short: Any = {"type": f"conv{rank}d", "kernel_size": size, "padding": size // 2, "groups": rng.choice([1, 3])}
    if causal:
        short = {"type": "causal_conv1d", "kernel_size": rng.randint(1, 4), "groups": "depthwise"}
    return {
        "type": "hyena",
        "global_conv": conv,
        "short_conv": rng.choice([short, short, "identity"]),
        "gate_nonlinear": rng.choice(["silu", "identity", "sigmoid"]),
        "gate_nonlinear_2": rng.choice([None, "tanh", "relu"]),
        "pixelhyena_norm": _norm(rng),
        "qk_norm": rng.choice([None, "l2_norm", "rms_norm", {"type": "l2_norm", "dim": 1}]),
        "output_norm": _norm(rng),
    }


def _attention(rng: random.Random, shape: list[int], width: int) -> Config:
    heads = rng.choice([h for h in (1, 2, 4) if width % h == 0])
    rope = (width // heads) % (2 * len(shape)) == 0 and rng.random() < 0.5
    return {
        "type": "attention",
        "num_heads": heads,
        "apply_qk_norm": rng.random() < 0.5,
        "use_rope": rope,
        **({"rope_spatial_dims": shape} if rope else {}),
    }


def _mlp(rng: random.Random) -> Any:
    return rng.choice(["identity", {"type": "mlp", "activation": rng.choice(["gelu", "glu", "swiglu", "relu"])}])


def _state_space(rng: random.Random) -> Config:
    name = rng.choice(["s4", "s4d", "s4d_sequence_mixer"])
    size = "state_dim" if name == "s4d_sequence_mixer" else "d_state"
    return {"type": name, size: 2 * rng.randint(1, 4)}


def _branch(rng: random.Random, slot: str, body: Any) -> Config:
    """A branch and the norm before it."""
    return {slot: body, f"{slot}_norm": "identity" if body == "identity" else _norm(rng)}


def resnet(rng: random.Random) -> Config:
    """A random residual network, dense or classifying, plain or conditioned."""
    rank, width = rng.randint(1, 3), 4 * rng.randint(1, 3)
    shape = [rng.randint(3, 6) for _ in range(rank)]
    channels, out = rng.randint(1, 4), rng.randint(1, 5)
    kind = rng.choice(["plain", "adaln", "cross"])
    bodies = [{"type": "qkv_sequence_mixer", "mixer": _hyena(rng, rank, width, film=kind == "adaln")}]
    if kind != "adaln":
        bodies.append({"type": "qkv_sequence_mixer", "mixer": _attention(rng, shape, width), "qkv_bias": True})
        bodies += [_state_space(rng)] if rank == 1 else ["identity"]
    block: Config = {
        "type": "adaln_zero_residual_block" if kind == "adaln" else "residual_block",
        **_branch(rng, "sequence_mixer", rng.choice(bodies)),
        **_branch(rng, "mlp", _mlp(rng)),
        "dropout": rng.choice(["identity", {"type": "dropout", "p": 0.1}, "drop_path"]),
    }
    if kind == "cross":
        mixer = _attention(rng, shape, width) | {"use_rope": False}
        mixer.pop("rope_spatial_dims", None)
        block |= _branch(rng, "condition_mixer", {"type": "qkv_condition_mixer", "mixer": mixer})
    network = {
        "type": rng.choice(["residual_network", "classification_resnet"]),
        "in_channels": channels,
        "out_channels": out,
        "num_blocks": rng.randint(1, 3),
        "hidden_dim": width,
        "data_dim": rank,
        "in_proj": rng.choice(["linear", {"type": "patchify", "patch_size": 1}]),
        "out_proj": "linear",
        "norm": _norm(rng),
        "block": block,
    }
    if kind != "plain" and rng.random() < 0.5:
        network["condition_in_proj"] = "linear"
    given = {"shape": [*shape, channels], **({"condition": [width]} if kind != "plain" else {})}
    return {"input": given, "network": network}


def vit5(rng: random.Random) -> Config:
    """A random vision transformer; blocks of attention, Hyena and state spaces."""
    width = 8 * rng.randint(1, 3)
    filmed = rng.random() < 0.4

    def block(mixer: Any, **fields: Any) -> Config:
        return {
            "type": "vit5_residual_block",
            **_branch(rng, "sequence_mixer", mixer),
            **_branch(rng, "mlp", _mlp(rng)),
            "layer_scale_init": rng.choice([0.0, 1e-4]),
            "grn": rng.choice([None, "global_response_norm"]),
            **fields,
        }

    inner = {"type": "qkv_sequence_mixer", "mixer": _hyena(rng, 2, width, None, filmed)}
    film = filmed and "film" in inner["mixer"]["global_conv"]["kernel"]
    readouts: list[Any] = ["register_pooling", {"type": "register_compress_concat", "compressed_dim": 2}]
    types = {
        "H": block(
            {"type": "vit5_hyena_adapter", "inner_mixer": inner},
            **({"register_pooling": rng.choice(readouts)} if film else {}),
        ),
        "A": block({"type": "vit5_attention", "num_heads": 2, "qk_norm": rng.choice([None, "rms_norm"])}),
        "S": block(_state_space(rng)),
        "B": block({"type": "qkv_sequence_mixer", "mixer": _hyena(rng, 1, width, None)}),
    }
    pattern = "".join(rng.choice("HASB") for _ in range(rng.randint(1, 4)))
    side = rng.randint(2, 4)
    readout = rng.choice(["cls", "gap", "register_concat"])
    network = {
        "type": "vit5_classification_net",
        "in_channels": rng.randint(1, 3),
        "num_classes": rng.randint(1, 5),
        "hidden_dim": width,
        "patch_size": rng.randint(1, 4),
        "image_size": 0,
        "num_registers": rng.choice([1, 4, 9]),
        "norm": "rms_norm",
        "readout": readout,
        "layer_pattern": pattern,
        "layer_types": {key: types[key] for key in sorted({*pattern})},
        "max_drop_path_rate": rng.choice([0.0, 0.1]),
    }
    network["image_size"] = side * network["patch_size"]
    if readout == "register_concat":
        network["neck_compression_ratio"] = rng.choice([2, 4])
    return {"network": network}


# ---- damage -------------------------------------------------------------------------------------------------------


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


_ODD: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2, 3, 5, 7, 2**20, 2**63, 0.0, 0.5, -1.5, 1e300, float("nan"), "")
_ODD += ("7", "identity", "linear", "rms_norm", "hyena", "zero", "H", "é\x00", [], [1], [2, 2], ["a"], [[]], {})
_ODD += ({"type": "identity"}, {"type": "conv1d", "kernel_size": 2}, {"type": None}, {"type": "nothing"}, {"a": {}})


def _scaled(rng: random.Random, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return rng.choice(_ODD)
    return rng.choice([value + 1, value - 1, value * 2, value * 3, value // 2, -value, value / 2, float(value)])


def mutate(rng: random.Random, document: Config) -> Config:
    """A copy with one piece of damage."""
    result = changed(document, {})
    places = list(_places(result))
    if not places:  # nothing is left to damage
        return result
    path = rng.choice(places)
    parent, key = _at(result, path[:-1]), path[-1]
    damage = rng.choice(["drop", "swap", "retype", "scale", "scale", "rename", "copy", "add"])
    if damage == "drop":
        del parent[key]
    elif damage == "swap":
        other = rng.choice(places)
        parent[key] = changed({"value": _at(result, other)}, {})["value"]
    elif damage == "retype":
        parent[key] = rng.choice(_ODD)
    elif damage == "scale":
        parent[key] = _scaled(rng, parent[key])
    elif damage == "rename" and isinstance(parent, dict):
        parent[rng.choice([str(key) + "s", str(key)[1:], str(key).upper()])] = parent.pop(key)
    elif damage == "copy" and isinstance(parent, dict):
        fault = rng.choice(FAULTS)
        parent[key] = rng.choice(list(fault.change.values()))
        if not isinstance(parent[key], (dict, list, str, int, float, bool, type(None))):
            del parent[key]
    elif damage == "add" and isinstance(parent, dict):
        parent[rng.choice(["type", "dim", "hidden_dim", "film", "block", "padding", "x"])] = rng.choice(_ODD)
    return result


# ---- what must hold -----------------------------------------------------------------------------------------------


def _runs(document: Config) -> None:
    plan = registry.load(document)
    module = registry.build(plan, device="meta").eval()
    if plan.spec is None:
        return
    args, kwargs = arguments(plan, 2, "meta")
    with torch.no_grad():
        output = module(*args, **kwargs)
    record = plan.record(2)
    assert record is not None
    assert plain(record.output) == shapes_of(output)


def _refused(document: Config) -> list[str]:
    problems = registry.check(document)
    for problem in problems:
        assert problem.message.startswith("Expected "), problem
        assert problem.code
    return [str(problem) for problem in problems if problem.severity == "error"]


def _sound(document: Config, whole: bool) -> bool:
    """Refused, or good to run; a document that is whole must not be refused."""
    refused = _refused(document)
    if refused:
        assert not whole, (document, refused)
        return False
    try:
        _runs(document)
    except Exception as error:
        raise AssertionError(f"accepted, but {type(error).__name__}: {error}\n{document}") from error
    return True


def _compositions(seed: str, count: int) -> int:
    rng, accepted = random.Random(seed), 0
    for _ in range(count):
        document = rng.choice([resnet, vit5])(rng)
        damage = rng.choice([0, 0, 1, 1, 2])
        for _ in range(damage):
            document = mutate(rng, document)
        accepted += _sound(document, whole=damage == 0)
    return accepted


def _mutations(seed: str, count: int) -> None:
    rng = random.Random(seed)
    presets = [_flat(name) for name in ("vit5_hybrid", "vit5_hybrid_ha_film", "hyena_genomics", "ccnn_classifier")]
    for i in range(count):
        small = rng.random() < 0.7
        document = BASES[rng.choice(SMALL)] if small else rng.choice(presets)
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            if next(_places(document), None) is None:
                break
            document = mutate(rng, document)
        if not _refused(document) and small and i % 4 == 0 and _is_small(document):
            _sound(document, whole=True)


def _flat(name: str) -> Config:
    """A preset as one mapping, its base presets merged in."""
    try:
        return changed(registry.compose.compose(documents(name), []).data, {})
    except InvalidConfig as error:  # pragma: no cover
        raise AssertionError(name) from error


def _is_small(document: Config) -> bool:
    return all(not isinstance(_at(document, path), int) or _at(document, path) < 512 for path in _places(document))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_accepted_compositions_run(chunk: int) -> None:
    accepted = _compositions(f"composition-{chunk}", COMPOSITIONS // CHUNKS)
    assert accepted >= COMPOSITIONS // CHUNKS // 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_mutations_give_problems(chunk: int) -> None:
    _mutations(f"mutation-{chunk}", MUTATIONS // CHUNKS)


_EXTREME = (1e300, 1e38, 1e30, 1e-30, 1e-300, 0.0, 1.0)


def _extremes(seed: str, count: int) -> None:
    """Documents with one number changed, far or a little: what is accepted builds and runs for real."""
    rng = random.Random(seed)
    for _ in range(count):
        base = BASES[rng.choice(SMALL)]
        numbers = [p for p in _places(base) if type(_at(base, p)) in (int, float)]
        path = rng.choice(numbers)
        document, value = changed(base, {}), _at(base, path)
        new = rng.choice(_EXTREME) if isinstance(value, float) else rng.choice([1, 2, value + 1, 2 * value, value // 2])
        _at(document, path[:-1])[path[-1]] = new
        if _refused(document):
            continue
        plan = registry.load(document)
        if plan.spec is not None and plan.params < 500_000:
            args, kwargs = arguments(plan, 2)
            registry.build(plan, seed=0).train()(*args, **kwargs)


@pytest.mark.parametrize("chunk", range(5))
def test_accepted_numbers_build_and_run(chunk: int) -> None:
    _extremes(f"extreme-{chunk}", 60)


@pytest.mark.nightly
@pytest.mark.parametrize("chunk", range(20))
def test_many_accepted_compositions_run(chunk: int) -> None:
    _compositions(f"nightly-composition-{chunk}", NIGHTLY_COMPOSITIONS // 20)


@pytest.mark.nightly
@pytest.mark.parametrize("chunk", range(50))
def test_many_mutations_give_problems(chunk: int) -> None:
    _mutations(f"nightly-mutation-{chunk}", NIGHTLY_MUTATIONS // 50)
