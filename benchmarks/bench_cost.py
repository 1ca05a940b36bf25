"""What counting costs: our closed form against torch's FlopCounterMode and the reference's flop_count.

    python benchmarks/bench_cost.py [--quick] [--threads N]

In process, on the same net: FlopCounterMode runs a forward pass on the meta device, and for training a backward pass.
`first` costs a plan just loaded (loading has run its shapes already), `again` one that has been costed, `new batch`
another batch size each time, for which the shapes run anew. The least CPU time of many calls is what a call takes where
nothing disturbs it. A sweep checks and costs every point; FlopCounterMode is charged one count a point, and nothing for
building the nets. Whole processes: `arch flops` next to a Python that only imports the libraries it needs, and to one
that imports torch, builds the net on meta and counts.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import harness
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import registry
from registry.cost import Cost
from registry.sweep import count, sweep

PRESET = "vit5_hybrid"
HOW = "pip install --no-deps nvsubquadratic==0.2.0, with einops and omegaconf"

SWEEPS: dict[str, tuple[list[str], dict[str, list[int]]]] = {
    "image sizes and widths": ([PRESET], {"image_size": [*range(112, 912, 16)], "hidden_dim": [*range(96, 576, 24)]}),
    "image sizes of attention and Hyena": (
        ["vit5_full_attention", "vit5_full_hyena"],
        {"image_size": [*range(112, 8112, 16)]},
    ),
}
"""What is swept: presets, and values of some keys; 1,000 points each."""

FLOOR = "import pydantic, yaml, typer, rich.console"
COUNTER = f"""
import registry, torch
from torch.utils.flop_counter import FlopCounterMode
net = registry.build({PRESET!r}, device="meta")
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    net(torch.empty(1, 224, 224, 3, device="meta"))
print(counter.get_total_flops())
"""


def count_matmuls(net: nn.Module, images: torch.Tensor) -> int:
    """FLOPs of matrix products and convolutions, by torch."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(images)
    return int(counter.get_total_flops())


def in_process(rounds: int) -> list[list[str]]:
    plan = registry.load(PRESET)
    net = registry.build(plan, device="meta").eval()
    images = torch.empty(1, 224, 224, 3, device="meta")
    expected = registry.cost(plan, convention="matmul").flops
    if (found := count_matmuls(net, images)) != expected:
        raise SystemExit(f"Expected {expected} FLOPs of matrix products, got {found} from FlopCounterMode")
    counter = partial(count_matmuls, net, images)
    fresh = [plan]

    def reload() -> None:
        fresh[0] = registry.load(PRESET)

    rows, batches = [], itertools.count(2)
    for label, ours, prepare in (
        ("totals by kind, first", lambda: registry.cost(fresh[0]).kinds, reload),
        ("totals by kind, again", lambda: registry.cost(plan).kinds, None),
        ("totals by kind, new batch", lambda: registry.cost(plan, batch=next(batches)).kinds, None),
        ("tree of all modules, first", lambda: registry.cost(fresh[0]).to_dict(), reload),
    ):
        times = harness.alternate({"ours": ours, "FCM": counter}, rounds, prepare=prepare)
        rows.append(harness.row(f"{label}, vs FlopCounterMode on meta", times))
    if harness.peer("nvsubquadratic.lazy_config", HOW) is not None:
        from bench_reference import reference_net

        reference = reference_net(16)
        published = registry.cost(plan, convention="nvsubquadratic").flops
        if (found := reference.flop_count()) != published:  # type: ignore[operator]
            raise SystemExit(f"Expected {published} FLOPs by the reference's formulas, got {found} from the reference")
        calls = {
            "ours": lambda: registry.cost(plan, convention="nvsubquadratic").flops,
            "reference": lambda: reference.flop_count(),  # type: ignore[operator]
        }
        rows.append(
            harness.row("the reference's formulas, vs its flop_count (built net)", harness.alternate(calls, rounds))
        )
    return rows


def count_training(net: nn.Module, images: torch.Tensor) -> int:
    """The same for a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        net(images).sum().backward()
    return int(counter.get_total_flops())


def least_times(rounds: int) -> list[list[str]]:
    """Rows of what a call takes at best, next to the best of FlopCounterMode."""
    plan, batches = registry.load(PRESET), itertools.count(2)
    net = registry.build(plan, device="meta").eval()
    images = torch.empty(1, 224, 224, 3, device="meta")
    forward = least({"": partial(count_matmuls, net, images)}, rounds)[""]
    training = least({"": partial(count_training, net, images)}, rounds)[""]

    def new(**options: Any) -> Cost:
        return registry.cost(plan, batch=next(batches), **options)

    forwards = {
        "totals by kind, again": lambda: registry.cost(plan).kinds,
        "totals by kind, new batch": lambda: new().kinds,
        "tree, equal blocks folded, again": lambda: registry.cost(plan).to_dict(folded=True),
        "tree, equal blocks folded, new batch": lambda: new().to_dict(folded=True),
        "tree of all modules, again": lambda: registry.cost(plan).to_dict(),
        "tree of all modules, new batch": lambda: new().to_dict(),
    }
    trainings = {
        "training, totals by kind, new batch": lambda: new(mode="train").kinds,
        "training, saved activations, new batch": lambda: plan.memory_record(next(batches)),
        "training, tree of all modules, new batch": lambda: new(mode="train").to_dict(),
    }
    peers = {**dict.fromkeys(forwards, forward), **dict.fromkeys(trainings, training)}
    times = least({**forwards, **trainings}, 20 * rounds)
    rows = [least_row(label, seconds, peers[label]) for label, seconds in times.items()]
    for label, (presets, grid) in SWEEPS.items():
        points = count(presets, grid)
        seconds = least({label: partial(sweep_all, presets, grid)}, max(1, rounds // 5))[label]
        rows.append(least_row(f"sweep, {points:,} points: {label}", seconds, points * forward))
    return rows


def sweep_all(presets: Sequence[str], grid: Mapping[str, Sequence[int]]) -> None:
    """Check and cost every point."""
    if invalid := [point for point in sweep(presets, grid) if not point.valid]:
        raise SystemExit(f"Expected only valid points, got {invalid[0]}")


def least(calls: Mapping[str, harness.Thunk], rounds: int) -> dict[str, float]:
    """Least CPU seconds of each call."""
    return {name: times.least_cpu for name, times in harness.alternate(calls, rounds).items()}


def least_row(label: str, ours: float, peer: float) -> list[str]:
    return [label, harness.duration(ours), harness.duration(peer), f"{peer / ours:,.0f}x"]


def processes(rounds: int) -> list[list[str]]:
    run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
    flops = partial(run, [sys.executable, "-m", "cli", "flops", PRESET, "--format", "json"])
    ours_and = {
        "only its libraries' imports": partial(run, [sys.executable, "-c", FLOOR]),
        "only import torch": partial(run, [sys.executable, "-c", "import torch"]),
        "torch, build on meta, FlopCounterMode": partial(run, [sys.executable, "-c", COUNTER]),
    }
    times = harness.alternate({"ours": flops, **ours_and}, rounds)
    return [
        harness.row(f"arch flops {PRESET}, vs {name}", {"ours": times["ours"], name: times[name]})[:-1]
        for name in ours_and
    ]


def main() -> None:
    quick = harness.options(__doc__ or "").quick
    harness.machine("arch-registry", "nvsubquadratic", "pydantic", "typer")
    rounds = 5 if quick else 15
    harness.table(f"In process, {PRESET}", ["case", *harness.COLUMNS], in_process(rounds))
    header = ["case", "ours", "FlopCounterMode on meta", "ratio"]
    harness.table(f"Least CPU time, {PRESET}", header, least_times(rounds))
    harness.table("Whole processes", ["case", *harness.COLUMNS[:-1]], processes(3 if quick else 7))


if __name__ == "__main__":
    main()
