"""Random variations of the presets: what a user may change with `--set`, drawn from the schemas.

A draw starts from random sizes, then takes one change after another, each the overrides of one idea: another value of
a field, another component in a slot (from its `cases.py`, or the one at hand under another name), another boundary,
readout, kernel, projection. A change that the rules refuse is left out, so that every draw is a valid network and
all combinations of single changes can be reached. The refused ones are counted: a generator whose changes are mostly
refused tests little.

Only operations count, never numbers: everything runs on meta, where a large image costs no more than a small one.
"""

from __future__ import annotations

import importlib
import random
import shlex
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import registry
from registry.cases import Case
from registry.compose import compose
from registry.errors import InvalidConfig
from registry.plan import Plan, plan_composed
from registry.schema import Component, fields_of
from registry.sources import documents
from registry.sweep import override

Tree = dict[str, Any]
Change = dict[str, Any]
"""Overrides that belong together: dotted key -> value, in order."""


@dataclass(frozen=True)
class Variation:
    """A preset with overrides, which `registry.load` accepts.

    Attributes:
        preset: Name of the preset.
        overrides: As `--set` takes them.
        batch: Number of inputs.
        input_grad: Whether the inputs have gradients.
        tried: Number of changes that were tried on the way.
        kept: Number of those that the rules accepted.
    """

    preset: str
    overrides: tuple[str, ...]
    batch: int = 2
    input_grad: bool = False
    tried: int = 0
    kept: int = 0

    def plan(self) -> Plan:
        """The plan it stands for."""
        return registry.load(self.preset, self.overrides)

    def __str__(self) -> str:
        """The command line that shows it."""
        sets = " ".join(f"--set {shlex.quote(text)}" for text in self.overrides)
        gradient = ", inputs with gradients" * self.input_grad
        return f"arch flops {self.preset} --batch {self.batch} {sets}{gradient}"


def draw(rng: random.Random, preset: str, changes: int | None = None) -> Variation:
    """A random variation of `preset`, of at most `changes` changes (3 to 18) after its random sizes."""
    overrides = _written(_sizes(rng, tree_of(preset)))
    if not _valid(preset, overrides):
        registry.load(preset, overrides)  # which says why the sizes do not fit together
    tried, kept = rng.randint(3, 18) if changes is None else changes, 0
    for _ in range(tried):
        candidate = (*overrides, *_written(_change(rng, tree_of(preset, overrides))))
        if _valid(preset, candidate):
            overrides, kept = candidate, kept + 1
    return Variation(preset, overrides, rng.choice((1, 2, 3)), rng.random() < 0.3, tried, kept)


def smallest(failed: Variation, fails: Callable[[Variation], bool]) -> Variation:
    """A variation that still fails and none of whose overrides can be left out; to be read by a person."""
    while True:
        shorter = (_without(failed, position) for position in reversed(range(len(failed.overrides))))
        candidate = next((variation for variation in shorter if _still(fails, variation)), None)
        if candidate is None:
            return failed
        failed = candidate


def _without(variation: Variation, position: int) -> Variation:
    kept = variation.overrides[:position] + variation.overrides[position + 1 :]
    return Variation(variation.preset, kept, variation.batch, variation.input_grad)


def _still(fails: Callable[[Variation], bool], variation: Variation) -> bool:
    """Whether a variation is valid and fails."""
    try:
        return fails(variation)
    except InvalidConfig:
        return False


def tree_of(preset: str, overrides: Sequence[str] = ()) -> Tree:
    """A preset and overrides as one mapping."""
    data: Tree = compose(_documents(preset), overrides).data
    return data


def _valid(preset: str, overrides: Sequence[str]) -> bool:
    """Whether `registry.load` would accept it; the preset is read once only."""
    try:
        plan, problems = plan_composed(compose(_documents(preset), overrides))
    except InvalidConfig:
        return False
    return plan is not None and not any(problem.severity == "error" for problem in problems)


@cache
def _documents(preset: str) -> tuple[Any, ...]:
    return tuple(documents(preset))


def _written(change: Change) -> tuple[str, ...]:
    return tuple(override(key, value) for key, value in change.items())


# ---- places ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A component as it is written in a tree.

    Attributes:
        path: Dotted key of the component.
        config: What is written: `type` and fields.
        owner: The component that holds it, or None.
    """

    path: str
    config: Tree
    owner: Place | None

    @property
    def schema(self) -> type[Component]:
        """The schema of its type."""
        return registry.get(self.config["type"]).schema

    @property
    def name(self) -> str:
        """Registered name."""
        return registry.get(self.config["type"]).name


def places(tree: Tree, unused: bool = False) -> list[Place]:
    """Every component of the network, the network first; layer types that no block uses only if asked for."""
    return list(_places("network", tree["network"], None, unused))


def _places(path: str, config: Any, owner: Place | None, unused: bool) -> Iterator[Place]:
    place = Place(path, {"type": config} if isinstance(config, str) else config, owner)
    yield place
    for name, mark in fields_of(place.schema).slots.items():
        child = place.config.get(name)
        if child is None or "initializer" in mark.kinds:
            continue
        if not mark.many:
            yield from _places(f"{path}.{name}", child, place, unused)
            continue
        used = child if unused else set(place.config.get("layer_pattern") or child) & set(child)
        for key in sorted(used):
            yield from _places(f"{path}.{name}.{key}", child[key], place, unused)


def _named(tree: Tree, *names: str) -> list[Place]:
    return [place for place in places(tree) if place.name in names]


# ---- sizes, with which every draw starts ----------------------------------------------------------------------------

_WIDTHS = (8, 16, 16, 24, 32, 48, 144, 264)


def _sizes(rng: random.Random, tree: Tree) -> Change:
    """Few blocks, and random widths and extents that fit together."""
    network, width = tree["network"], rng.choice(_WIDTHS)
    change: Change = {"hidden_dim": width}
    if network["type"] == "vit5_classification_net":
        change |= {**_image(rng), **_pattern(rng, network), "num_classes": rng.randint(1, 12)}
        change["in_channels"] = rng.randint(1, 4)
    elif network.get("layer_pattern"):
        change |= _pattern(rng, network)
    else:
        change["num_blocks"] = _depth(rng)
    if "input" in tree:
        if tree["input"].get("condition"):
            change["input.condition"] = [width]
        change |= _channels(rng, tree) | _extents(rng, tree)
    for place in places(tree, unused=True):
        if place.name in ("vit5_attention", "attention"):
            change[f"{place.path}.num_heads"] = rng.choice((1, 2))
        if "num_layers" in place.config and "mlp_hidden_dim" in place.config:
            change |= _kernel_widths(rng, place)
    return change


def _depth(rng: random.Random) -> int:
    return rng.choice((1, 1, 1, 2, 2))


def _image(rng: random.Random) -> Change:
    side, patch = rng.choice((2, 3, 4, 5, 7, 14)), rng.choice((1, 2, 3, 4, 16))
    return {"patch_size": patch, "image_size": side * patch}


def _pattern(rng: random.Random, network: Tree) -> Change:
    """Another order of the layer types; every one of them is met by some draw."""
    pattern = "".join(rng.choice(sorted(network["layer_types"])) for _ in range(_depth(rng)))
    return {"layer_pattern": pattern, "num_blocks": len(pattern)}


def _channels(rng: random.Random, tree: Tree) -> Change:
    shape, channels = tree["input"]["shape"], rng.randint(1, 5)
    return {
        "input.shape": [*shape[:-1], channels],
        "in_channels": channels,
        "out_channels": rng.randint(1, 6),
    }


def _extents(rng: random.Random, tree: Tree) -> Change:
    """Other extents of the input, and of what is written to fit them."""
    rank = len(tree["input"]["shape"]) - 1
    extents = [rng.choice({1: (4, 9, 16, 33, 96), 2: (4, 6, 9), 3: (4, 6)}[rank]) for _ in range(rank)]
    change: Change = {f"input.shape.{axis}": extent for axis, extent in enumerate(extents)}
    for place in places(tree, unused=True):
        if "L_cache" in place.config:
            change[f"{place.path}.L_cache"] = rng.choice((max(extents), [max(n, 3) for n in extents], 5))
        if place.config.get("rope_spatial_dims"):
            change[f"{place.path}.rope_spatial_dims"] = extents
    return change


def _kernel_widths(rng: random.Random, place: Place) -> Change:
    blocks = rng.choice((1, 2, 4, 8))
    width = 2 * blocks * rng.choice((1, 2, 3))
    embedding = width if place.config.get("film_after_pos_embed") else rng.choice((width, 2 * blocks, 4 * blocks))
    change: Change = {"mlp_hidden_dim": width, "embedding_dim": embedding}
    if "num_blocks" in place.config:
        change["num_blocks"] = blocks
    if "omega_0_per_row" in place.config:
        change["omega_0_per_row"] = [1.0 + row for row in range(change["embedding_dim"])]
    return {f"{place.path}.{key}": value for key, value in change.items()}


# ---- one change -----------------------------------------------------------------------------------------------------


def _change(rng: random.Random, tree: Tree) -> Change:
    """One change of any sort; ideas that the network offers no place for are drawn again."""
    while True:
        change = rng.choices(list(_IDEAS), list(_IDEAS.values()))[0](rng, tree)
        if change:
            return change


def _fields(rng: random.Random, tree: Tree) -> Change:
    """Other values of one to three plain fields of one component; components with many fields are taken more often."""
    choices = {place.path: (place, _choices(rng, place)) for place in places(tree)}
    place, found = choices[rng.choices(list(choices), [len(values) for _, values in choices.values()])[0]]
    names = rng.sample(sorted(found), min(len(found), rng.choice((1, 1, 2, 3))))
    return _under(place, {name: rng.choice(found[name]) for name in names})


def _choices(rng: random.Random, place: Place) -> dict[str, list[Any]]:
    """For each plain field that may be another value: those values. Fields without any effect are mostly left out."""
    fields, found = fields_of(place.schema), {}
    inert = rng.random() < 0.1
    for name, info in fields.plain.items():
        if name in fields.follows or name in _OTHERS or (name in _INERT and not inert):
            continue
        current = place.config.get(name, fields.defaults.get(name, ...))
        values = [value for value in _values(name, info.annotation) if value != current]
        if values:
            found[name] = values
    return found


def _values(name: str, annotation: Any) -> list[Any]:
    """What a field may be: every option of an enumeration, some numbers."""
    if annotation is type(None):
        return [None]
    if annotation is bool:
        return [False, True]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    found = list(_NUMBERS.get(name, ()))
    if get_origin(annotation) in (Union, types.UnionType):
        for option in get_args(annotation):
            found += [value for value in _values("", option) if value not in found]
    return found


def _slot(rng: random.Random, tree: Tree) -> Change:
    """Another component in one slot."""
    place = rng.choice(places(tree))
    slots = fields_of(place.schema).slots
    names = [name for name, mark in slots.items() if not mark.many and "initializer" not in mark.kinds]
    if not names:
        return {}
    name = rng.choice(names)
    current = place.config.get(name)
    return {f"{place.path}.{name}": _component(rng, slots[name].kinds, slots[name].default is None, current)}


def _component(rng: random.Random, kinds: Sequence[str], optional: bool, current: Any) -> Any:
    """A component of some kinds: a random one, or the current one under another name as far as its fields go."""
    names = [name for kind in kinds for name in registry.names(kind)]
    if optional and rng.random() < 0.3:
        return None
    name = rng.choice(names)
    config = _random_config(rng, name)
    if isinstance(current, dict):
        schema = registry.get(name).schema
        followers = fields_of(schema).follows
        kept = followers if rng.random() < 0.5 else schema.model_fields
        config |= {key: value for key, value in current.items() if key in kept}
    return config


def _random_config(rng: random.Random, name: str) -> Tree:
    """A random component of its `cases.py`, without what follows from the network."""
    return _free(_draws(name)(rng).config) if _draws(name) else {"type": name}


def _free(config: Any) -> Any:
    """A config without the fields that follow from its owner."""
    if not isinstance(config, dict) or "type" not in config:
        return config
    followers = fields_of(registry.get(config["type"]).schema).follows
    return {key: _free(value) for key, value in config.items() if key not in followers}


@cache
def _draws(name: str) -> Callable[[random.Random], Case] | None:
    module = importlib.import_module(registry.get(name).source.replace(".schema", ".cases"))
    found: Callable[[random.Random], Case] | None = module.DRAW.get(name)
    return found


# ---- ideas: fields that change together -----------------------------------------------------------------------------


def _under(place: Place, change: Change) -> Change:
    return {f"{place.path}.{key}": value for key, value in change.items()}


def _another_image(rng: random.Random, tree: Tree) -> Change:
    return _image(rng) if tree["network"]["type"] == "vit5_classification_net" else _extents(rng, tree)


def _another_width(rng: random.Random, tree: Tree) -> Change:
    change: Change = {"hidden_dim": rng.choice(_WIDTHS)}
    if tree.get("input", {}).get("condition"):
        change["input.condition"] = [change["hidden_dim"]]
    return change


def _another_depth(rng: random.Random, tree: Tree) -> Change:
    network = tree["network"]
    if network.get("layer_types"):
        return _pattern(rng, network)
    return {"num_blocks": _depth(rng)}


def _readout(rng: random.Random, tree: Tree) -> Change:
    if "readout" not in tree["network"]:
        return {}
    return {
        "readout": rng.choice(("cls", "gap", "register_concat")),
        "neck_compression_ratio": rng.choice((1, 2, 4)),
        "num_registers": rng.choice((1, 4, 9, 2, 3)),
    }


def _padding_types(rng: random.Random, tree: Tree) -> Change:
    """Which blocks see the padding, and registers that make some."""
    network = tree["network"]
    if "readout" not in network or not network.get("layer_types"):
        return {}
    keys = sorted(network["layer_types"])
    chosen = [key for key in keys if rng.random() < 0.5]
    return {"padding_types": rng.choice((None, chosen)), "num_registers": rng.choice((0, 1, 4, 9))}


def _layer_types(rng: random.Random, tree: Tree) -> Change:
    """Blocks of two types in some order, one of them with another mixer or without an MLP; or one block for all."""
    network = tree["network"]
    types = network.get("layer_types")
    if types and rng.random() < 0.3:
        block = types[rng.choice(sorted(set(network["layer_pattern"])))]
        return {"layer_pattern": None, "layer_types": None, "block": block, "num_blocks": _depth(rng)}
    kinds = ("sequence_mixer", "identity")
    block = types[rng.choice(sorted(types))] if types else network["block"]
    other = {**block, "sequence_mixer": _component(rng, kinds, False, block.get("sequence_mixer"))}
    if rng.random() < 0.5:
        other = {**block, "mlp": "identity", "mlp_norm": "identity"}
    pattern = "".join(rng.choice("XY") for _ in range(_depth(rng)))
    found = {"layer_types": {"X": block, "Y": other}, "layer_pattern": pattern, "num_blocks": len(pattern)}
    return found if types else {"block": None, **found}


def _film(rng: random.Random, tree: Tree) -> Change:
    """FiLM of every kernel on or off, and what it is conditioned on."""
    kernels = [place for place in places(tree) if "film" in place.schema.model_fields]
    if not kernels:
        return {}
    on = rng.random() < 0.7
    change: Change = {}
    for kernel in kernels:
        generator = {"type": "kernel_film_generator", "film_hidden_dim": rng.randint(1, 9)}
        embedded = on and rng.random() < 0.5
        change |= _under(kernel, {"film": generator if on else None, "film_after_pos_embed": embedded})
        if embedded:
            change |= _under(kernel, {"mlp_hidden_dim": 16, "embedding_dim": 16})
    for block in _named(tree, "vit5_residual_block"):
        if any(kernel.path.startswith(f"{block.path}.") for kernel in kernels):
            compressed = {"type": "register_compress_concat", "compressed_dim": rng.randint(1, 4)}
            change |= _under(block, {"register_pooling": rng.choice(("register_pooling", compressed)) if on else None})
    if on and "readout" in tree["network"]:
        change["num_registers"] = rng.choice((1, 4, 9))
    return change


def _boundary(rng: random.Random, tree: Tree) -> Change:
    """Boundaries and reach of a global convolution."""
    convs = _named(tree, "ckconv_nd")
    if not convs:
        return {}
    conv = rng.choice(convs)
    rank = conv.config.get("data_dim") or tree["network"].get("data_dim", 2)
    padding: Any = rng.choice(("zero", "zero", "circular", [rng.choice(("zero", "circular")) for _ in range(rank)]))
    reach = "single" if padding == "circular" else rng.choice(("double", "single"))
    grid = None if isinstance(padding, list) else reach
    chunked = padding != "circular" and rng.random() < 0.5
    causal = rank == 1 and padding == "zero" and rng.random() < 0.5
    change = {"fft_padding": padding, "grid_type": grid, "use_chunked_fftconv": chunked, "is_causal": causal}
    if not causal or conv.owner is None:
        return _under(conv, change)
    size = rng.randint(1, 4)
    local = {"type": "causal_conv1d", "kernel_size": size, "groups": rng.choice((1, 3, "depthwise")), "bias": size > 2}
    return {**_under(conv, change), **_under(conv.owner, {"short_conv": local})}


def _short_conv(rng: random.Random, tree: Tree) -> Change:
    """A local convolution that keeps the size of the grid."""
    mixers = _named(tree, "hyena")
    if not mixers:
        return {}
    mixer = rng.choice(mixers)
    rank = tree["network"].get("data_dim", 2)
    sizes = [rng.choice((1, 3, 5)) for _ in range(rank)]
    dilation = rng.choice((1, 1, 2))
    spread: list[int] = [dilation * (size // 2) for size in sizes]
    conv = {
        "type": f"conv{rank}d",
        "kernel_size": sizes,
        "padding": rng.choice((spread, "same")),
        "dilation": dilation,
        "groups": rng.choice((1, 2, 3, "depthwise")),
        "bias": rng.random() < 0.5,
        "padding_mode": rng.choice(("zeros", "zeros", "circular", "replicate")),
    }
    return _under(mixer, {"short_conv": rng.choice((conv, conv, "identity"))})


def _kernel(rng: random.Random, tree: Tree) -> Change:
    """Another type of kernel, of the same widths or of others."""
    convs = _named(tree, "ckconv_nd")
    if not convs:
        return {}
    conv = rng.choice(convs)
    current = conv.config["kernel"]
    name = rng.choice(registry.names("kernel"))
    fields = registry.get(name).schema.model_fields
    kept = {key: value for key, value in current.items() if key in fields}
    new = _random_config(rng, name)
    new.pop("omega_0_per_block", None)
    config = {**new, **kept, "type": name}
    place = Place(f"{conv.path}.kernel", config, conv)
    widths = _kernel_widths(rng, place)
    return {place.path: {**config, **{key.rpartition(".")[2]: value for key, value in widths.items()}}}


def _mask(rng: random.Random, tree: Tree) -> Change:
    convs = _named(tree, "ckconv_nd")
    if not convs:
        return {}
    return _under(rng.choice(convs), {"mask": rng.choice(("identity", *registry.names("mask")))})


def _state_space(rng: random.Random, tree: Tree) -> Change:
    """A random state space instead of another mixer of sequences."""
    mixers = [place for place in places(tree) if place.path.endswith(".sequence_mixer")]
    if not mixers:
        return {}
    name = rng.choice(("s4", "s4d", "s4d", "s4d_sequence_mixer"))
    config = _random_config(rng, name) | {"transposed": False}
    if config.get("final_act", "glu") in (None, "none"):
        config["final_act"] = "identity"
    return {rng.choice(mixers).path: config}


def _projections(rng: random.Random, tree: Tree) -> Change:
    """How a residual network comes in and out: linear, patches that may overlap, or nothing."""
    network = tree["network"]
    if "in_proj" not in network:
        return {}
    dense, width = network["type"] == "residual_network", network["hidden_dim"]
    patch, stride, bias = rng.randint(1, 3), rng.choice((None, 1, 2)), rng.random() < 0.5
    patches = {"patch_size": patch, "stride": stride, "bias": bias}
    way = rng.choice(("linear", "patches", "identity"))
    if way == "identity":
        shape = [*tree["input"]["shape"][:-1], width]
        ends = {"out_proj": "identity", "out_channels": width} if rng.random() < 0.5 else {}
        return {"in_proj": "identity", "in_channels": width, "input.shape": shape, **ends}
    if way == "linear":
        return {"in_proj": {"type": "linear", "bias": bias}, "out_proj": {"type": "linear", "bias": not bias}}
    return {
        "in_proj": {"type": "patchify", **patches},
        "out_proj": {"type": "unpatchify", **patches} if dense else "linear",
    }


def _condition(rng: random.Random, tree: Tree) -> Change:
    """A condition: one vector or a grid of them, projected or not; and blocks that attend to it or are scaled by it."""
    network = tree["network"]
    if "in_proj" not in network:
        return {}
    width, rank = network["hidden_dim"], network["data_dim"]
    grid = [rng.randint(1, 4) for _ in range(rank)]
    change: Change = {
        "input.condition": rng.choice(([width], [*grid, width])),
        "condition_in_proj": rng.choice((None, "linear", {"type": "linear", "bias": False}, "identity")),
    }
    attention = {"type": "attention", "num_heads": rng.choice((1, 2, 4)), "apply_qk_norm": rng.random() < 0.5}
    attention |= {"use_rope": False}
    mixer = {"type": "qkv_condition_mixer", "mixer": attention}
    for block in _named(tree, "residual_block"):
        norm = rng.choice(("identity", "rms_norm", "layer_norm"))
        change |= _under(block, {"condition_mixer": mixer, "condition_mixer_norm": norm})
    for block in _named(tree, "adaln_zero_residual_block"):
        change["input.condition"] = [width]
        change |= _under(block, {"condition_norm": rng.choice(("identity", "rms_norm", "layer_norm", "l2_norm"))})
    return change


def _conditioned_blocks(rng: random.Random, tree: Tree) -> Change:
    """Residual blocks as AdaLN-Zero blocks, and back."""
    blocks = _named(tree, "residual_block", "adaln_zero_residual_block")
    if not blocks:
        return {}
    block = rng.choice(blocks)
    adaln = block.name == "residual_block"
    name = "adaln_zero_residual_block" if adaln else "residual_block"
    fields = registry.get(name).schema.model_fields
    kept = {key: value for key, value in block.config.items() if key in fields}
    change: Change = {block.path: {**kept, "type": name}}
    return {**change, "input.condition": [tree["network"]["hidden_dim"]]} if adaln else change


def _norm_and_branch(rng: random.Random, tree: Tree) -> Change:
    """A branch of a block off, with its norm; or on, with one."""
    blocks = _named(tree, "residual_block", "adaln_zero_residual_block", "vit5_residual_block")
    if not blocks:
        return {}
    block = rng.choice(blocks)
    branch = rng.choice(("mlp", "mlp", "mlp", "mlp", "sequence_mixer"))
    if branch == "sequence_mixer" or rng.random() < 0.3:
        return _under(block, {branch: "identity", f"{branch}_norm": "identity"})
    norm = _component(rng, ("norm",), False, None)
    return _under(block, {"mlp": _random_config(rng, "mlp"), "mlp_norm": norm})


_IDEAS: dict[Callable[[random.Random, Tree], Change], int] = {
    _fields: 16,
    _slot: 6,
    _another_image: 1,
    _another_width: 1,
    _another_depth: 1,
    _readout: 1,
    _padding_types: 1,
    _layer_types: 1,
    _film: 2,
    _boundary: 3,
    _short_conv: 1,
    _kernel: 3,
    _mask: 1,
    _state_space: 1,
    _projections: 1,
    _condition: 1,
    _conditioned_blocks: 1,
    _norm_and_branch: 2,
}
"""Kinds of change, and how often each is drawn."""

_OTHERS = frozenset(
    ("image_size", "data_dim", "layer_pattern", "in_channels", "kernel_size", "padding", "hidden_dim")
    + ("omega_0_per_row", "fft_padding", "fft_backend", "backend")
)
"""Fields that only change together with others; and those without any effect."""

_INERT = frozenset(
    ("apply_lr_scale", "attn_dropout", "B_clip", "B_init", "deterministic", "drop_path_schedule", "drop_prob", "eps")
    + ("dropout", "hidden_omega_0", "imag_random", "init_extent", "init_type", "max_drop_path_rate", "no_weight_decay")
    + ("normalize", "omega_0", "omega_0_extent", "omega_0_max", "omega_0_min", "omega_0_scale_init", "p", "real_random")
    + ("reg_init", "rope_base", "scale_omega_0", "schedule", "tie_dropout", "use_quack", "weight_init")
)
"""Fields that change numbers, and no count."""

_NUMBERS: dict[str, tuple[Any, ...]] = {
    "bandlimit": (0.5, None),
    "channels": (1, 2, 3),
    "compressed_dim": (1, 2, 5),
    "d_state": (2, 4, 16),
    "dilation": (1, 2),
    "dim": (-1, 1, -2, 2),
    "dropout": (0.0, 0.1),
    "embedding_dim": (4, 8, 16, 32),
    "eps": (0.0, 1e-5),
    "expansion_factor": (0.5, 1.0, 1.3, 2.7, 4.0),
    "film_hidden_dim": (1, 5, 16),
    "gate": (1, 2, 3, None),
    "groups": (1, 2, 3, "depthwise"),
    "hidden_omega_0": (1.0, 5.0),
    "init_extent": (1.0, 0.5, None),
    "l_max": (4, 16, None),
    "layer_scale_init": (0.0, 1e-4),
    "max_drop_path_rate": (0.0, 0.2),
    "mlp_hidden_dim": (4, 8, 16, 24, 32),
    "n_ssm": (1, 2, 4, None),
    "neck_compression_ratio": (1, 2, 4, None),
    "num_blocks": (1, 2, 3, 4, 8),
    "num_classes": (1, 10, 1000),
    "num_groups": (1, 2, 4),
    "num_heads": (1, 2, 3, 4),
    "num_layers": (2, 3, 4, 6),
    "num_registers": (0, 1, 2, 4, 9, 16),
    "omega_0": (1.0, 30.0),
    "omega_0_extent": (5, 15, None),
    "omega_0_max": (8.0, 20.0),
    "omega_0_min": (0.5, 1.0),
    "omega_0_scale_init": (0.5, 1.0),
    "out_channels": (1, 3, 10),
    "p": (0.0, 0.2),
    "padding_types": (["H"], ["A"], []),
    "patch_size": (1, 2, 3),
    "rank": (1, 2, 3),
    "rope_base": (100.0, 10000.0),
    "scale": (0.5, None),
    "state_dim": (2, 4, 16),
    "stride": (1, 2, 3, None),
    "target_size": (1, 2, 3, None),
}
"""Values of numeric fields; `padding_types` are keys."""
