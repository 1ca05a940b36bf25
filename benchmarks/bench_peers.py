"""What other FLOP counters report for single operations and whole nets, next to the truth, and how long they take.

    python benchmarks/bench_peers.py [--quick] [--threads N]

True is what the tests' tracer counts: written down by hand for the operations; for the nets it runs here, and the
script stops if `registry.cost` differs from it by one. Counters of multiply-adds are doubled (`x2`). In the tables,
`ok` is exact, a number is reported / true, and `-` means that the counter gives none; the reasons follow.

Every count runs in a process of its own. Times are of the forward pass, ours and the peer's alternating in one process:
`again` costs a plan that has been costed, `first` one just loaded, while the peer counts a net that is built; `file`
starts from the preset's name, so that the peer has to build the net. They are processor times, the least of all rounds:
some peers run for seconds, in which other programs show.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import harness
import torch
from harness import Times
from peers import PEERS, Device, Peer, available, flop_counter_mode
from torch import Tensor, nn

import registry
from registry.plan import Plan
from registry.sweep import Point, override, sweep

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))
from tests.harness import arguments
from tests.microops import MICRO
from tests.tracer import FlopTracer

NETS = (
    "vit5_hybrid",
    "vit5_full_attention",
    "vit5_full_hyena",
    "ccnn_classifier",
    "s4d_classifier",
    "hyena_genomics",
)
DEVICES: tuple[Device, ...] = ("cpu", "meta")

SWEPT = ("vit5_full_attention", "vit5_full_hyena")
GRID: dict[str, Sequence[int]] = {
    "image_size": range(112, 497, 16),
    "patch_size": (8, 16),
    "hidden_dim": range(192, 625, 48),
}
"""With two presets, 1,000 points."""


class Attempts:
    """Calls in processes of their own, and why some gave nothing."""

    def __init__(self) -> None:
        self.reasons: dict[str, list[str]] = {}

    def __call__(self, label: str, function: Callable[..., Any], *args: Any) -> Any:
        """What the function returns, or None."""
        try:
            return harness.forked(function, *args)
        except RuntimeError as error:
            self.reasons.setdefault(f"{' '.join(str(error).split()):.160}", []).append(label)
            return None

    def print_reasons(self) -> None:
        for reason, labels in self.reasons.items():
            print(f"\nNo number from {'; '.join(labels)}: {reason}", flush=True)
        self.reasons.clear()


def ratio(found: float | None, true: int) -> str:
    """Reported / true, in three decimals or what it takes to tell it from 0 and 1."""
    if found is None:
        return "-"
    if found in (0, true):
        return "ok" if found else "0"
    short = f"{found / true:.3f}"
    return f"{found / true:.2g}" if short == "0.000" else f"{found / true:.6g}" if short == "1.000" else short


# ---- single operations ----------------------------------------------------------------------------------------------


def count_operation(peer: Peer, name: str, device: Device) -> float:
    return peer.flops(MICRO[name].module(device), MICRO[name].input(device))


def operations(peers: Sequence[Peer], attempt: Attempts) -> None:
    """Every peer on cpu, torch's own counter also on meta."""
    columns: list[tuple[str, Peer, Device]] = [(peer.title, peer, "cpu") for peer in peers]
    columns.insert(1, (f"{PEERS[0].title}, meta", PEERS[0], "meta"))
    rows = []
    for name, micro in MICRO.items():
        found = (attempt(f"{t}, {name}", count_operation, peer, name, device) for t, peer, device in columns)
        rows.append([name, f"{micro.figure:,}", *(ratio(flops, micro.figure) for flops in found)])
    exact = [str(cells.count("ok")) for cells in list(zip(*rows, strict=True))[2:]]
    header = ["reported / true", "true", *(title for title, *_ in columns)]
    harness.table("Single operations", header, [*rows, [f"exact, of {len(MICRO)}", "", *exact]])
    attempt.print_reasons()


# ---- nets -----------------------------------------------------------------------------------------------------------


def built(source: Plan | str, device: Device, overrides: Sequence[str] = ()) -> tuple[nn.Module, Tensor]:
    """A net in evaluation mode and one input."""
    plan = registry.load(source, overrides) if isinstance(source, str) else source
    (x,), _ = arguments(plan, 1, device)
    return registry.build(plan, device=device, seed=0).eval(), x


def count_net(peer: Peer, preset: str, device: Device, train: bool) -> float:
    return peer.flops(*built(preset, device), train=train)


def trace(preset: str, train: bool) -> dict[str, int]:
    net, x = built(preset, "meta")
    with FlopTracer() as tracer:
        out = net(x)
        if train:
            torch.autograd.backward(out, torch.empty_like(out))
    return {kind: count for kind, count in tracer.counts.items() if count}


def true_flops(preset: str, train: bool) -> tuple[int, int]:
    """All operations, and those of matrix products and convolutions, as `registry.cost` says and the tracer agrees."""
    plan, traced = registry.load(preset), harness.forked(trace, preset, train)
    found = registry.cost(plan, mode="train" if train else "forward")
    if {kind: count for kind, count in found.kinds.items() if count} != traced:
        raise SystemExit(f"Expected {traced} of {preset}, got {found.kinds}")
    return found.flops, registry.cost(plan, mode=found.mode, convention="matmul").flops


def both(found: float | None, true: tuple[int, int]) -> str:
    return "-" if found is None else " / ".join(ratio(found, flops) for flops in true)


Reported = dict[tuple[str, str, Device], float | None]


def nets(presets: Sequence[str], peers: Sequence[Peer], attempt: Attempts, train: bool = False) -> Reported:
    """Print reported / true, once of all operations and once of matrix products; return what was reported."""
    true = {preset: true_flops(preset, train) for preset in presets}
    found: Reported = {
        (peer.name, preset, device): attempt(f"{peer.name}, {preset}, {device}", count_net, peer, preset, device, train)
        for peer in peers
        for preset in presets
        for device in DEVICES
    }
    rows = [
        [label, "", *(f"{true[preset][i] / 1e9:.4f}" for preset in presets)]
        for i, label in enumerate(("true GFLOP, all operations", "true GFLOP, matrix products"))
    ]
    for peer in peers:
        cells = {
            device: [both(found[peer.name, preset, device], true[preset]) for preset in presets] for device in DEVICES
        }
        if cells["cpu"] == cells["meta"]:
            rows.append([peer.title, "cpu, meta", *cells["cpu"]])
        else:
            rows += [[peer.title, device, *cells[device]] for device in DEVICES if set(cells[device]) != {"-"}]
    title = "forward and backward" if train else "forward"
    harness.table(f"Nets, {title}: reported / true of all / of matrix products", ["", "device", *presets], rows)
    attempt.print_reasons()
    return found


# ---- times ----------------------------------------------------------------------------------------------------------


def time_net(peer: Peer, preset: str, device: Device, stages: Sequence[str], rounds: int) -> list[dict[str, Times]]:
    """Ours and the peer's at each stage: `first`, `again` or `file`."""
    plan = registry.load(preset)
    fresh = [plan]

    def reload() -> None:
        fresh[0] = registry.load(preset)

    count = partial(peer.flops, *built(plan, device))
    calls = {
        "first": (lambda: registry.cost(fresh[0]).kinds, count, reload),
        "again": (lambda: registry.cost(plan).kinds, count, None),
        "file": (lambda: registry.cost(registry.load(preset)).kinds, lambda: peer.flops(*built(preset, device)), None),
    }
    timed = []
    for ours, theirs, prepare in map(calls.__getitem__, stages):
        timed.append(harness.alternate({"ours": ours, "peer": theirs}, rounds, prepare=prepare))
    return timed


def times(title: str, cases: Sequence[tuple[str, Peer, str, Device]], stages: Sequence[str], rounds: int) -> None:
    """One row per case: its label, and the first arguments of `time_net`."""
    rows = []
    for label, *case in cases:
        row = [label]
        for timed in harness.forked(time_net, *case, stages, rounds):
            ours, theirs = timed["ours"].least_cpu, timed["peer"].least_cpu
            row += [harness.duration(ours), harness.duration(theirs), f"{theirs / ours:,.0f}x"]
        rows.append(row)
    header = ["", *(f"{stage}: {column}" for stage in stages for column in ("ours", "peer", "peer / ours"))]
    harness.table(f"{title}: least processor time of {rounds} rounds", header, rows)


def count_point(point: Point) -> int:
    overrides = [override(key, value) for key, value in point.values.items()]
    return flop_counter_mode(*built(point.preset, "meta", overrides))


def time_sweep(rounds: int, samples: int) -> tuple[int, float, float]:
    """Number of valid points; processor time of our sweep, and FlopCounterMode's mean over points drawn at random."""

    def ours() -> list[Point]:
        return list(sweep(SWEPT, GRID, convention="matmul"))

    valid = [point for point in ours() if point.valid]
    seconds = []
    for point in random.Random(0).sample(valid, samples):
        found: list[int] = []
        timed = harness.alternate({"peer": lambda p=point, f=found: f.append(count_point(p))}, 1)
        seconds.append(timed["peer"].least_cpu)
        if set(found) != {point.flops}:
            raise ValueError(f"Expected {point.flops} of {point}, got {found} from FlopCounterMode")
    return len(valid), harness.alternate({"ours": ours}, rounds)["ours"].least_cpu, statistics.mean(seconds)


def sweeps(rounds: int, samples: int) -> None:
    valid, ours, point = harness.forked(time_sweep, rounds, samples)
    peer = point * valid
    label, how = "FlopCounterMode on meta: build and count", f"extrapolated from {samples} points"
    rows = [
        ["ours: check and cost", "measured", harness.duration(ours / valid), harness.duration(ours), ""],
        [label, how, harness.duration(point), harness.duration(peer), f"{peer / ours:,.0f}x"],
    ]
    harness.table(f"Sweep of {valid:,} nets: processor time", ["", "", "per net", "all", "peer / ours"], rows)


def main() -> None:
    quick = harness.options(__doc__ or "").quick
    harness.machine("arch-registry", *(peer.package for peer in PEERS if peer.package))
    peers, attempt = available(), Attempts()
    rounds, presets = (2, NETS[:1]) if quick else (5, NETS)

    operations(peers, attempt)
    found = nets(presets, peers, attempt)
    nets(presets, [peer for peer in peers if peer.train], attempt, train=True)

    preset, judge = NETS[0], PEERS[0]
    counted = [(peer, d) for peer in peers for d in DEVICES if found[peer.name, preset, d] is not None]
    cases = [(f"{peer.name}, {device}", peer, preset, device) for peer, device in counted]
    times(preset, cases, ("first", "again"), rounds)
    judged = [(net, judge, net, DEVICES[1]) for net in presets]
    times(f"{judge.name} on meta", judged, ("first", "again", "file"), rounds)
    sweeps(rounds, 2 if quick else 10)


if __name__ == "__main__":
    main()
