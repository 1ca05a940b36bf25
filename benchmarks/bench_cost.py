"""What counting costs: our closed form against torch's FlopCounterMode and the reference's flop_count.

    python benchmarks/bench_cost.py [--quick] [--threads N]

In process, on the same net: FlopCounterMode runs a forward pass on the meta device. `first` costs a plan just loaded
(loading has run its shapes already), `again` one that has been costed, `new batch` another batch size each time. Whole
processes: `arch flops` next to a Python that only imports the libraries it needs, and to one that imports torch, builds
the net on meta and counts.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from functools import partial

import harness
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import registry

PRESET = "vit5_hybrid"
HOW = "pip install --no-deps nvsubquadratic==0.2.0, with einops and omegaconf"

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
    harness.table("Whole processes", ["case", *harness.COLUMNS[:-1]], processes(3 if quick else 7))


if __name__ == "__main__":
    main()
