"""What checking costs: configs per second, sweeps, and the time to the first error against building.

    python benchmarks/bench_validate.py [--quick] [--threads N]

The peer of a check is what a user has without one: building the net, ours on the meta device and the reference's on the
CPU, and for faults that building does not notice, running it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import harness
import torch

import registry
from registry.compose import compose
from registry.sources import documents
from registry.sweep import count, sweep

PRESET = "vit5_hybrid"
HOW = "pip install --no-deps nvsubquadratic==0.2.0, with einops and omegaconf"
KERNEL = "layer_types.H.sequence_mixer.inner_mixer.mixer.global_conv.kernel"


def mapping(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A preset as one plain mapping, read and merged."""
    data = compose(documents(PRESET), overrides).data
    return {key: value for key, value in data.items() if key != "extends"}


def expect(problems: int, source: str | Mapping[str, Any], overrides: Sequence[str] = ()) -> None:
    found = registry.check(source, overrides)
    if bool(found) != bool(problems):
        raise SystemExit(f"Expected {problems} problems, got {found}")


def checks(rounds: int) -> list[list[str]]:
    """Checking a valid preset, from a mapping and from its files, against building it."""
    plain = mapping()
    expect(0, plain)
    expect(0, PRESET)
    calls: dict[str, harness.Thunk] = {
        "check": partial(registry.check, plain),
        "check files": partial(registry.check, PRESET),
        "build": partial(registry.build, PRESET, device="meta"),
    }
    times = harness.alternate(calls, rounds)
    return [
        harness.row("check a mapping, vs building on meta", {"ours": times["check"], "build": times["build"]}),
        harness.row("read and check the files, vs the same", {"ours": times["check files"], "build": times["build"]}),
    ]


def check_all(sources: Sequence[Mapping[str, Any]]) -> None:
    for source in sources:
        registry.check(source)


def throughput(rounds: int) -> list[list[str]]:
    """Different valid and invalid configs, one after the other."""
    widths, patches, patterns = (192, 384, 768, 390), (8, 14, 16, 32, 15), ("HA" * 6, "HHHA" * 3, "A" * 12)
    sources = [
        mapping([f"hidden_dim={w}", f"patch_size={p}", f"layer_pattern={pattern}"])
        for w, p, pattern in itertools.product(widths, patches, patterns)
    ]
    small = [{"type": "rms_norm", "dim": dim} for dim in range(-10, 50)]
    rows = []
    for label, found in ((f"variants of {PRESET}", sources), ("single components (rms_norm)", small)):
        invalid = sum(bool(registry.check(source)) for source in found)
        times = harness.alternate({"check": partial(check_all, found)}, rounds)["check"]
        rate = len(found) / times.median
        rows.append([label, str(len(found)), str(invalid), f"{rate:,.0f} / s"])
    return rows


def invalid(rounds: int) -> list[list[str]]:
    """Invalid variants of a preset: what a check costs that has to find out who is to blame."""
    rows = []
    for override in ("hidden_dim=390", "patch_size=15", "layer_pattern=HAHX", f"{KERNEL}.num_blocks=7"):
        problems = registry.check(PRESET, [override])
        expect(len(problems), PRESET, [override])
        times = harness.alternate({"check": partial(registry.check, PRESET, [override])}, rounds)["check"]
        rows.append([override.rpartition(".")[2], str(len(problems)), harness.duration(times.least_cpu)])
    return rows


def sweeps(rounds: int, sizes: int) -> list[list[str]]:
    """Grids in which every point is checked by every rule and costed."""
    grid = {
        "image_size": range(112, 112 + 16 * sizes, 16),
        "patch_size": (8, 16),
        "hidden_dim": range(192, 192 + 48 * 10, 48),
    }
    rows = []
    for presets in (("vit5_full_attention", "vit5_full_hyena"), (PRESET,)):

        def run(presets: Sequence[str] = presets) -> int:
            return sum(point.valid for point in sweep(presets, grid))

        points, valid = count(presets, grid), run()
        took = harness.alternate({"sweep": run}, rounds)["sweep"].least_cpu
        each = harness.duration(took / points)
        rows.append([", ".join(presets), str(points), str(valid), harness.duration(took), each])
    return rows


def first_error(rounds: int) -> list[list[str]]:
    """A fault that the reference notices while building, and one that it only meets in the first forward pass."""
    if harness.peer("nvsubquadratic.lazy_config", HOW) is None:
        return []
    import bench_reference

    def build(fault: Callable[[dict[str, Any]], None], forward: bool) -> None:
        config = deepcopy(bench_reference.reference_net_config(16))
        fault(config)
        with contextlib.suppress(Exception):
            net = bench_reference.instantiate(config)
            if forward:
                bench_reference.infer(net, torch.zeros(1, 224, 224, 3))
            raise SystemExit("Expected the reference to fail, got a result")

    def blocks(config: dict[str, Any]) -> None:
        mixer = config["layer_types"]["H"]["sequence_mixer_cfg"]["inner_mixer_cfg"]["mixer_cfg"]
        mixer["global_conv_cfg"]["kernel_cfg"]["num_blocks"] = 7

    def registers(config: dict[str, Any]) -> None:
        config["num_registers"] = 8

    rows = []
    for label, override, fault, forward in (
        ("num_blocks=7 does not divide the kernel", f"{KERNEL}.num_blocks=7", blocks, False),
        ("num_registers=8 is no square", "num_registers=8", registers, True),
    ):
        expect(1, PRESET, [override])
        ours = partial(registry.check, PRESET, [override])
        calls: dict[str, harness.Thunk] = {"ours": ours, "reference": partial(build, fault, forward)}
        where = "building and running" if forward else "building"
        rows.append(harness.row(f"{label}: all problems, vs {where} the reference", harness.alternate(calls, rounds)))
    return rows


def main() -> None:
    quick = harness.options(__doc__ or "").quick
    harness.machine("arch-registry", "nvsubquadratic", "pydantic")
    rounds = 3 if quick else 9
    harness.table(f"A valid {PRESET}", ["case", *harness.COLUMNS], checks(rounds))
    harness.table("Throughput", ["configs", "number", "invalid", "rate"], throughput(rounds))
    harness.table(f"Invalid {PRESET}, least CPU time", ["override", "problems", "time"], invalid(rounds))
    header = ["sweep of sizes, patches and widths", "points", "valid", "CPU time", "a point"]
    harness.table("Sweeps, checked and costed, least CPU time", header, sweeps(rounds, 5 if quick else 25))
    if rows := first_error(3 if quick else 5):
        harness.table("Time to the first error, in process", ["case", *harness.COLUMNS], rows)


if __name__ == "__main__":
    main()
