"""Other FLOP counters behind one face: a module and one tensor in, the number they report out.

Every one is used as its documentation shows. They patch torch, hang hooks on modules and some never take them off
again, so `report` gives each count a process of its own.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import harness
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Device = Literal["cpu", "meta"]
Count = Callable[[nn.Module, Tensor], Any]

os.environ.setdefault("DS_ACCELERATOR", "cpu")  # before DeepSpeed looks for one, and says so


@dataclass(frozen=True)
class Peer:
    """One counter.

    Attributes:
        name: What it is called in tables.
        module: What to import.
        how: How to get it.
        count: Forward pass: (module, input) -> what it reports.
        macs: Whether it counts multiply-adds, whatever it calls them: doubled in every table.
        train: The same of forward and backward pass, where it has one.
        package: Its distribution, where it is not part of torch.
    """

    name: str
    module: str
    how: str
    count: Count
    macs: bool = False
    train: Count | None = None
    package: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} x2" if self.macs else self.name

    def flops(self, net: nn.Module, x: Tensor, train: bool = False) -> float:
        """What it reports, as FLOPs.

        Raises:
            ValueError: it gives no number.
        """
        count = self.train if train else self.count
        found = count(net, x) if count else None
        if found is None:
            raise ValueError(f"Expected a number, got None from {self.name}")
        return float(found) * (2 if self.macs else 1)


def available() -> list[Peer]:
    """The peers that import; of the others one sentence each is printed."""
    importlib.import_module("torch._dynamo")  # dispatch modes import it at their first use: once, not in every process
    imported: dict[str, bool] = {}
    for peer in PEERS:
        if peer.module not in imported:
            imported[peer.module] = harness.peer(peer.module, peer.how) is not None
    return [peer for peer in PEERS if imported[peer.module]]


# ---- adapters -------------------------------------------------------------------------------------------------------


def flop_counter_mode(net: nn.Module, x: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(x)
    return int(counter.get_total_flops())


def flop_counter_mode_train(net: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        out = net(x)
        torch.autograd.backward(out, torch.empty_like(out))
    return int(counter.get_total_flops())


def profiler(net: nn.Module, x: Tensor) -> int:
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.no_grad(), torch.profiler.profile(activities=activities, with_flops=True, record_shapes=True) as profile:
        net(x)
    return sum(event.flops for event in profile.key_averages())


def fvcore(net: nn.Module, x: Tensor) -> Any:
    from fvcore.nn import FlopCountAnalysis

    return FlopCountAnalysis(net, x).total()


def calflops(net: nn.Module, x: Tensor, train: bool = False) -> Any:
    from calflops import calculate_flops

    return calculate_flops(net, args=[x], include_backPropagation=train, print_results=False, output_as_string=False)[0]


def ptflops(net: nn.Module, x: Tensor, backend: str) -> Any:
    from ptflops import get_model_complexity_info

    # By name: of a positional argument it takes the first axis for a batch, and divides some of its counts by that.
    named = {next(iter(inspect.signature(net.forward).parameters)): x}
    return get_model_complexity_info(
        net, (1,), input_constructor=lambda _: named, as_strings=False, print_per_layer_stat=False, backend=backend
    )[0]


def thop(net: nn.Module, x: Tensor) -> Any:
    from thop import profile

    return profile(net, inputs=(x,), verbose=False)[0]


def torchinfo(net: nn.Module, x: Tensor) -> Any:
    from torchinfo import summary

    return summary(
        net, input_data=[x], device=x.device, mode="train" if net.training else "eval", verbose=0
    ).total_mult_adds


def deepspeed(net: nn.Module, x: Tensor) -> Any:
    from deepspeed.profiling.flops_profiler import FlopsProfiler

    profiling = FlopsProfiler(net)
    profiling.start_profile()
    try:
        with torch.no_grad():
            net(x)
        return profiling.get_total_flops()
    finally:
        profiling.end_profile()


TORCH = "it comes with torch"

PEERS = (
    Peer("FlopCounterMode", "torch.utils.flop_counter", TORCH, flop_counter_mode, train=flop_counter_mode_train),
    Peer("torch.profiler", "torch.profiler", TORCH, profiler),
    Peer("fvcore", "fvcore.nn", "pip install fvcore", fvcore, macs=True, package="fvcore"),
    Peer(
        "DeepSpeed",
        "deepspeed.profiling.flops_profiler",
        "DS_BUILD_OPS=0 pip install --no-deps deepspeed, with einops, hjson, msgpack, ninja, psutil and py-cpuinfo",
        deepspeed,
        package="deepspeed",
    ),
    Peer(
        "calflops",
        "calflops",
        "pip install calflops, with transformers, accelerate and huggingface-hub",
        calflops,
        train=partial(calflops, train=True),
        package="calflops",
    ),
    Peer(
        "ptflops, pytorch",
        "ptflops",
        "pip install ptflops",
        partial(ptflops, backend="pytorch"),
        macs=True,
        package="ptflops",
    ),
    Peer("ptflops, aten", "ptflops", "pip install ptflops", partial(ptflops, backend="aten"), macs=True),
    Peer("thop", "thop", "pip install thop", thop, macs=True, package="thop"),
    Peer("torchinfo", "torchinfo", "pip install torchinfo", torchinfo, macs=True, package="torchinfo"),
)
