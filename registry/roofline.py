"""Rooflines: what limits each module on a device, its arithmetic or its memory. An estimate, never a measurement.

Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model for multicore architectures",
with a ceiling for each unit that does the work. A call of a module takes

    max(matrix FLOPs / matrix peak + vector FLOPs / vector peak + FFT FLOPs / FFT peak, bytes / bandwidth)

seconds for what it does itself, and modules run one after another. It is bound by memory if the second is larger, else
by the unit that takes longest. Bytes are known within a range:

* `unfused`: every operation but attention reads its operands from memory and writes its result there. PyTorch moves
  less where one of its kernels does several operations, such as a norm, or where a cache helps;
* `fused`: a module reads what others made, and its parameters, once, and writes once what others read. What it makes
  and uses itself never leaves the chip, which few kernels achieve. Of parts of one tensor that it reads, no two are
  taken to be the same.

The intensity, FLOPs a byte, is then a range too, and the verdict is given for both ends. What else is coarse:

* ceilings are peaks of multiply-adds, so that a sum alone, or a sine, takes longer than it is charged here;
* starting a kernel costs nothing here, but some microseconds on a GPU, which small batches consist of;
* FFTs cost their nominal operations, at a fraction of the vector peak that is an assumption unless the device says
  that it was measured (`Device.fft`);
* convolutions of one channel a group do not run on matrix units and are charged as vector work; those of few channels
  a group are charged as matrix work;
* the unused half of causal attention is computed, as everywhere in this package.

Training is left out: the bytes that a backward pass moves are not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, Literal

from registry.cost import cost
from registry.devices import CEILINGS, WIDTHS, Device
from registry.errors import CostUnknown
from registry.memory import SINGLE, Held, MemoryTape, Storage
from registry.plan import Node, Plan
from registry.shapes import Batch, Shape
from registry.tape import KINDS, Record

By = Literal["path", "component"]
Fusion = Literal["unfused", "fused"]

FUSIONS: tuple[Fusion, ...] = ("unfused", "fused")
"""The two ends of what is known of the bytes."""
BOUNDS = (*CEILINGS, "memory")
"""What can limit a module."""
UNIT: Mapping[str, str] = {**dict.fromkeys(KINDS, "vector"), "matmul": "matrix", "conv": "matrix", "fft": "fft"}
"""Kind of operation -> the unit that does it."""


class TrafficTape(MemoryTape):
    """Records three more figures of each component: `unfused` and `fused` bytes, and `depthwise` FLOPs."""

    def __init__(self, width: int, *, cached_kernels: bool = False) -> None:
        """An empty tape for numbers of `width` bytes."""
        super().__init__(width)
        self.cached_kernels = cached_kernels
        self._makers: dict[Storage, Record] = {}
        self._reads: dict[tuple[Record, Storage], int] = {}

    def settle(self, output: Any) -> None:
        """Count what crosses the borders of components, once the pass is over and has returned `output`."""
        leaving = {x.storage for x in _tensors(output)}
        for (reader, storage), size in self._reads.items():
            if self._makers.get(storage) is not reader:
                _add(reader, "fused", size)
                leaving.add(storage)
        for storage, maker in self._makers.items():
            if storage in leaving:
                _add(maker, "fused", storage.bytes)

    def add(self, kind: str, count: int) -> None:
        """Refuse a bare number: what it reads and writes is not known.

        Raises:
            CostUnknown: always; names the component now running.
        """
        name = self._open[-1].config.entry.name
        raise CostUnknown(f"Expected every component to say what it reads and writes, got none for {name}")

    def _new(self, extents: Sequence[int], *sources: Shape, width: int = 0, needs_grad: bool | None = None) -> Held:
        held = [self._held(x) for x in sources]
        output = super()._new(extents, *held, width=width, needs_grad=needs_grad)
        here = self._open[-1]
        self._makers[output.storage] = here
        for x in held:
            read = self._reads.get((here, x.storage), 0) + x.size * x.width
            self._reads[here, x.storage] = min(read, x.storage.bytes)
        return output

    def complex_multiply(self, left: Shape, right: Shape) -> Shape:
        """What a component has written down, a parameter or a cached spectrum, is as wide as two real numbers."""
        return super().complex_multiply(self._complex(left), self._complex(right))

    def _complex(self, x: Shape) -> Shape:
        return x if isinstance(x, Held) else Held.new(x, 2 * max(self.width, SINGLE), x.needs_grad)

    def conv(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """Depthwise if every group has one channel of several."""
        if groups == x[1] > 1:
            self._count("depthwise", 2 * output.size * Shape(kernel).size)
        return super().conv(x, output, kernel, groups=groups, bias=bias)

    def conv_transpose(self, x: Shape, output: Shape, kernel: Sequence[int], *, groups: int = 1, bias: bool) -> Shape:
        """Depthwise if every group has one channel of several."""
        if groups == x[1] > 1:
            self._count("depthwise", 2 * x.size * (output[1] // groups) * Shape(kernel).size)
        return super().conv_transpose(x, output, kernel, groups=groups, bias=bias)


def _tensors(value: Any) -> list[Held]:
    """Tensors in what a component returns."""
    if isinstance(value, Shape):
        return [value] if isinstance(value, Held) else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _add(record: Record, kind: str, count: int) -> None:
    record.counts[kind] = record.counts.get(kind, 0) + count


def traffic(plan: Plan, batch: int, width: int, *, cached_kernels: bool = False) -> Node:
    """The tree of a plan whose input is known, with the counts of a `TrafficTape`; no tensor has a gradient.

    Raises:
        CostUnknown: a component does not say what it reads and writes.
    """
    tape = TrafficTape(width, cached_kernels=cached_kernels)
    args, kwargs = plan.root.inputs(plan.spec, Shape((Batch(batch),)))  # type: ignore[arg-type]
    record = tape.call(plan.root, *tape.feed(args, needs_grad=False), **tape.feed(kwargs, needs_grad=False))
    tape.settle(record.output)
    return Node("", plan.root, (record,))


@dataclass(frozen=True)
class Part:
    """What one or several modules do themselves, and how long that takes.

    Attributes:
        name: Path of the module, or name of the component.
        type: Registered name.
        count: Number of modules.
        params: Their own parameters.
        flops: FLOPs by ceiling, those that are not 0.
        bytes: Bytes moved, by fusion.
        seconds: Estimated seconds by fusion and by what bounds them.
    """

    name: str
    type: str
    count: int
    params: int
    flops: Mapping[str, int]
    bytes: Mapping[Fusion, int]
    seconds: Mapping[Fusion, Mapping[str, float]]

    def time(self, fusion: Fusion) -> float:
        """Estimated seconds."""
        return sum(self.seconds[fusion].values())

    def bound(self, fusion: Fusion) -> str:
        """What bounds most of the time; empty where there is nothing to do."""
        seconds = self.seconds[fusion]
        return max(seconds, key=lambda bound: seconds[bound], default="")

    def intensity(self, fusion: Fusion) -> float | None:
        """FLOPs a byte, None where no byte is moved."""
        return sum(self.flops.values()) / self.bytes[fusion] if self.bytes[fusion] else None

    def plus(self, other: Part) -> Part:
        """The figures of both, under the name of the first."""
        return Part(
            self.name,
            self.type,
            self.count + other.count,
            self.params + other.params,
            _sum(self.flops, other.flops),
            _sum(self.bytes, other.bytes),
            {fusion: _sum(self.seconds[fusion], other.seconds[fusion]) for fusion in FUSIONS},
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "type": self.type,
            "count": self.count,
            "params": self.params,
            "flops": {"total": sum(self.flops.values()), **{unit: self.flops.get(unit, 0) for unit in CEILINGS}},
            "bytes": dict(self.bytes),
            "intensity": {fusion: self.intensity(fusion) for fusion in FUSIONS},
            "bound": {fusion: self.bound(fusion) or None for fusion in FUSIONS},
            "seconds": {fusion: self.time(fusion) for fusion in FUSIONS},
        }


def _sum(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}


@dataclass(frozen=True)
class Roofline:
    """How one forward pass fares on a device.

    Attributes:
        plan: What was estimated.
        device: On what.
        batch: Number of inputs.
        dtype: Type of parameters and activations.
        cached_kernels: Whether kernels that do not depend on the input exist already.
        modules: One part for each module, in the order of the tree, and how deep it is below the root.
    """

    plan: Plan
    device: Device
    batch: int
    dtype: str
    cached_kernels: bool
    modules: tuple[tuple[int, Part], ...]

    @property
    def ceilings(self) -> dict[str, float]:
        """FLOP per second by ceiling."""
        return self.device.ceilings(self.dtype)

    @property
    def ridges(self) -> dict[str, float]:
        """FLOPs a byte from which on work is no longer bound by memory, by ceiling."""
        return {unit: peak / self.device.bandwidth for unit, peak in self.ceilings.items()}

    @property
    def weights(self) -> int:
        """Bytes of the parameters."""
        return self.plan.params * WIDTHS[self.dtype]

    @cached_property
    def total(self) -> Part:
        """The whole network."""
        return reduce(Part.plus, [part for _, part in self.modules])

    def parts(self, by: By = "path", depth: int | None = None) -> list[Part]:
        """Parts that add up to the whole, those that do nothing left out, in order of appearance.

        Args:
            by: `path`: every module, the root's path being ""; `component`: modules of one registered name together.
            depth: Levels below the root; what is deeper counts as its ancestor's.
        """
        found: dict[str, Part] = {}
        owner = self.modules[0][1]
        for level, part in self.modules:
            whole = depth is None or level <= depth
            owner = part if whole else owner
            name = owner.name if by == "path" else owner.type
            own = replace(part, name=name, type=owner.type, count=part.count if whole else 0)
            found[name] = found[name].plus(own) if name in found else own
        return [part for part in found.values() if part.bound("unfused")]

    def to_dict(self, by: By = "path", depth: int | None = None) -> dict[str, Any]:
        """Everything as plain data: the JSON of `arch roofline`."""
        return {
            "preset": self.plan.name,
            "estimate": True,
            "device": self.device.model_dump(),
            "batch": self.batch,
            "mode": "forward",
            "dtype": self.dtype,
            "cached_kernels": self.cached_kernels,
            "weight_bytes": self.weights,
            "ceilings": {**self.ceilings, "memory": self.device.bandwidth},
            "ridges": self.ridges,
            "total": self.total.to_dict(),
            "by": by,
            "parts": [part.to_dict() for part in self.parts(by, depth)],
        }


def roofline(
    plan: Plan, device: Device, batch: int = 1, *, dtype: str = "float32", cached_kernels: bool = False
) -> Roofline:
    """Estimate what bounds each module of `plan` in a forward pass on `device`, see above.

    Args:
        plan: From `load`.
        device: From `devices.load`.
        batch: Number of inputs.
        dtype: Type of parameters and activations, a name of `devices.WIDTHS`.
        cached_kernels: Kernels that do not depend on the input exist already (deployment).

    Raises:
        CostUnknown: the plan's input is unknown, or a component does not say what it reads and writes.
        ValueError: the batch is less than 1, or the device has no figures for the type.
    """
    peaks = {**device.ceilings(dtype), "memory": device.bandwidth}
    work = cost(plan, batch, cached_kernels=cached_kernels).root
    moved = traffic(plan, batch, WIDTHS[dtype], cached_kernels=cached_kernels)
    modules = []
    levels = {"": 0}
    for node, twin in zip(work.walk(), moved.walk(), strict=True):
        levels |= {child.path: levels[node.path] + 1 for child in node.children}
        params = sum(Shape(shape).size for shape in node.config.parameters().values())
        idle = Part(node.path, node.type, 1, params, {}, dict.fromkeys(FUSIONS, 0), {fusion: {} for fusion in FUSIONS})
        calls = [_call(node, *pair, peaks) for pair in zip(node.records, twin.records, strict=True)]
        modules.append((levels[node.path], reduce(Part.plus, calls, idle)))
    return Roofline(plan, device, batch, dtype, cached_kernels, tuple(modules))


def _call(node: Node, work: Record, moved: Record, peaks: Mapping[str, float]) -> Part:
    """One call of a module, as a part of it."""
    depthwise = moved.counts.get("depthwise", 0)
    flops = {"matrix": -depthwise, "vector": depthwise}
    for kind, count in work.counts.items():
        flops[UNIT[kind]] = flops.get(UNIT[kind], 0) + count
    flops = {unit: flops[unit] for unit in CEILINGS if flops.get(unit)}
    sizes: dict[Fusion, int] = {"unfused": moved.counts.get("moved", 0), "fused": moved.counts.get("fused", 0)}
    seconds = {fusion: _seconds(flops, size, peaks) for fusion, size in sizes.items()}
    return Part(node.path, node.type, 0, 0, flops, sizes, seconds)


def _seconds(flops: Mapping[str, int], size: int, peaks: Mapping[str, float]) -> dict[str, float]:
    """Seconds of one call under what bounds it; nothing for nothing."""
    busy = {unit: count / peaks[unit] for unit, count in flops.items()}
    moving, working = size / peaks["memory"], sum(busy.values())
    if not moving and not working:
        return {}
    return {"memory": moving} if moving >= working else {max(busy, key=lambda unit: busy[unit]): working}
