"""Costs: exact integer counts by kind, and the conventions that turn them into one figure.

Counts are the data; a convention is a view of them:

* `all`: every real scalar operation, by the counting rules in `tape`; a real FFT costs half of a complex one;
* `complex-fft`: the same with every FFT at the price of a complex one over the whole spectrum, an upper bound;
* `matmul`: matrix products and direct convolutions only, what torch's FlopCounterMode counts;
* `mac`: the multiply-adds of these, half as many: what papers and fvcore, thop, ptflops or torchinfo mean;
* `nvsubquadratic`: the reference library's own `flop_count` formulas, so that published tables can be compared: one
  image, forward only, FFTs charged as complex.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from typing_extensions import TypedDict

from registry.errors import CostUnknown
from registry.folding import folds
from registry.memory import BYTES, SINGLE
from registry.modules import Module, Node, count_buffers, count_params, count_states, parameter_shapes
from registry.optimizers import OPTIMIZERS, state_bytes, unknown
from registry.plan import Plan
from registry.shapes import Batch, Shape
from registry.tape import KINDS, PUBLISHED, Record, Tape, complex_fft

Mode = Literal["forward", "train"]
Convention = Literal["all", "complex-fft", "matmul", "mac", "nvsubquadratic"]
Unit = Literal["flop", "mac"]


class Counting(TypedDict, total=False):
    """What to count and how: keyword arguments of `cost`, and of everything that calls it many times."""

    batch: int
    mode: Mode
    convention: Convention
    unit: Unit
    cached_kernels: bool
    dtype: str
    optimizer: str


CONVENTIONS: Mapping[str, tuple[str, ...]] = {
    "all": KINDS,
    "complex-fft": KINDS,
    "matmul": ("matmul", "conv"),
    "mac": ("matmul", "conv"),
    "nvsubquadratic": (PUBLISHED,),
}
"""Convention -> kinds it adds up."""
DTYPE_BYTES: Mapping[str, int] = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Cost:
    """What one pass over a plan costs.

    Attributes:
        plan: What was costed.
        batch: Number of inputs.
        mode: `forward`, or `train` for forward and backward.
        convention: Which kinds `flops` adds up.
        unit: `flop`, or `mac` (half the FLOPs of the contraction kinds only).
        root: The tree, each node with its counts.
        dtype: Type of parameters and activations, for `memory`.
        optimizer: What trains the parameters, for `memory`: a name of `optimizers.OPTIMIZERS`.
    """

    plan: Plan
    batch: int
    mode: Mode
    convention: Convention
    unit: Unit
    root: Node
    dtype: str = "float32"
    optimizer: str = "adamw"

    @property
    def kinds(self) -> dict[str, int]:
        """Operations by kind, for the whole network, in FLOPs."""
        counts = self.root.counts
        return {kind: counts[kind] for kind in (*KINDS, PUBLISHED) if kind in counts}

    @property
    def flops(self) -> int:
        """The figure of the convention and unit."""
        return self.project(self.root.counts)

    def project(self, counts: Mapping[str, int]) -> int:
        """Counts by kind as one figure of the convention and unit."""
        kinds = CONVENTIONS[self.convention]
        if self.unit == "mac":
            return sum([counts.get(kind, 0) for kind in ("matmul", "conv") if kind in kinds]) // 2
        return sum([count for kind, count in counts.items() if kind in kinds])

    @property
    def params(self) -> int:
        """Number of parameters."""
        return self.plan.params

    @cached_property
    def memory(self) -> dict[str, int]:
        """Bytes that have to be there at once, `total_bytes` their sum.

        In every mode those of parameters (`param_bytes`) and buffers (`buffer_bytes`). In mode `forward` those of the
        recurrent states of `batch` sequences (`state_bytes`), where there are any: what a step needs. In mode `train`
        those of gradients (`grad_bytes`), of the state of the optimizer (`optimizer_bytes`) and of what autograd keeps
        of the forward pass (`saved_bytes`, see `memory`). What an operation needs while it runs comes on top.

        Raises:
            CostUnknown: mode is `train`, and a component does not say what it keeps.
        """
        width = DTYPE_BYTES[self.dtype]
        found = {"param_bytes": self.params * width, "buffer_bytes": count_buffers(self.plan.root) * width}
        if self.mode == "forward" and (states := count_states(self.plan.root)):
            found["state_bytes"] = self.batch * 2 * max(width, SINGLE) * states
        if self.mode == "train":
            found["grad_bytes"] = self.params * width
            found["optimizer_bytes"] = sum(self.optimizer_state.values())
            found["saved_bytes"] = self.saved.counts.get("saved", 0)
        return {**found, "total_bytes": sum(found.values())}

    @cached_property
    def optimizer_state(self) -> dict[str, int]:
        """Bytes of the state of the optimizer, by the name of the state."""
        return state_bytes(self.optimizer, parameter_shapes(self.plan.root), DTYPE_BYTES[self.dtype])

    @cached_property
    def saved(self) -> Node:
        """The tree once more, with the bytes that autograd keeps of the forward pass where they are kept first.

        Raises:
            CostUnknown: a component does not say what it keeps.
        """
        return self.plan.memory_tree(self.batch, width=DTYPE_BYTES[self.dtype])

    @cached_property
    def whole(self) -> Node:
        """The tree with operations and, in mode `train`, kept bytes together: equal modules are equal in both.

        Raises:
            CostUnknown: a component does not say what it keeps.
        """
        if self.mode != "train":
            return self.root
        return Node("", self.root.config, (*self.root.records, *self.saved.records))

    def bytes_of(self, module: Module) -> int:
        """What a module of `whole` has in `memory`, parts included."""
        width, config = DTYPE_BYTES[self.dtype], module.config
        held = (count_params(config) + count_buffers(config)) * width
        if self.mode != "train":
            return held + self.batch * 2 * max(width, SINGLE) * count_states(config)
        optimizer = sum(state_bytes(self.optimizer, parameter_shapes(config), width).values())
        return held + count_params(config) * width + optimizer + module.counts.get("saved", 0)

    def tree(self, depth: int | None = None, *, folded: bool = False) -> dict[str, Any]:
        """The tree as plain data.

        Args:
            depth: Levels below the root; None for all.
            folded: Equal items of a list, such as blocks, are one entry, that of the first of them, with their `count`
                and their `paths`. Its figures are those of one.
        """
        if folded:
            return self._folded([""], self.whole.module, depth)
        return self._unfolded("", self.whole.module, depth, {})

    def _unfolded(
        self, path: str, module: Module, depth: int | None, known: dict[Module, dict[str, Any]]
    ) -> dict[str, Any]:
        """`known` has the entries of modules met before, which are copied for their equals."""
        entry = known.get(module)
        if entry is None:
            entry = known[module] = self._entry(path, module)
        else:
            entry = {**entry, "path": path, "kinds": entry["kinds"].copy(), "children": []}
        if module.parts and (depth is None or depth > 0):
            lead, below = _below(path, depth)
            parts = module.parts.items()
            entry["children"] = [self._unfolded(lead + name, part, below, known) for name, part in parts]
        return entry

    def _folded(self, paths: list[str], module: Module, depth: int | None) -> dict[str, Any]:
        entry = {**self._entry(paths[0], module), "count": len(paths), "paths": paths}
        if module.parts and (depth is None or depth > 0):
            lead, below = _below(paths[0], depth)
            groups = folds(module)
            entry["children"] = [self._folded([lead + name for name in names], part, below) for names, part in groups]
        return entry

    def _entry(self, path: str, module: Module) -> dict[str, Any]:
        return {
            "path": path,
            "type": module.type,
            "kind": module.kind,
            "params": module.params,
            "flops": self.project(module.counts),
            "memory_bytes": self.bytes_of(module),
            "kinds": self._operations(module),
            "children": [],
        }

    def _operations(self, module: Module) -> dict[str, int]:
        """Operations by kind: in mode `train` a module of `whole` has bytes among its counts."""
        if self.mode != "train":
            return dict(module.counts)
        return {kind: count for kind, count in module.counts.items() if kind not in BYTES}

    def to_dict(self, depth: int | None = None, *, folded: bool = False) -> dict[str, Any]:
        """Everything as plain data: the JSON of `arch flops`. See `tree` for the arguments."""
        return {
            "preset": self.plan.name,
            "batch": self.batch,
            "mode": self.mode,
            "convention": self.convention,
            "unit": self.unit,
            "flops": self.flops,
            "params": self.params,
            "kinds": self.kinds,
            "memory": self.memory,
            **({"optimizer": {"name": self.optimizer, **self.optimizer_state}} if self.mode == "train" else {}),
            "tree": self.tree(depth, folded=folded),
        }


def _below(path: str, depth: int | None) -> tuple[str, int | None]:
    """What comes before the names of the parts of the module at `path`, and the levels left for them."""
    return f"{path}." if path else "", None if depth is None else depth - 1


def cost(
    plan: Plan,
    batch: int = 1,
    mode: Mode = "forward",
    *,
    convention: Convention = "all",
    unit: Unit = "flop",
    cached_kernels: bool = False,
    dtype: str = "float32",
    optimizer: str = "adamw",
) -> Cost:
    """Cost of one pass over `plan`, in microseconds and without torch.

    Args:
        plan: From `load`.
        batch: Number of inputs; kernels are generated once whatever it is.
        mode: `forward`, or `train`: forward and backward, see `backward`; the published formulas are forward only.
        convention: A name of `CONVENTIONS`.
        unit: `flop`, or `mac`: one multiply-add of a contraction is one; everything else is none. The convention `mac`
            is always in this unit.
        cached_kernels: Kernels that do not depend on the input exist already (deployment).
        dtype: Type of parameters and activations, for `memory`.
        optimizer: What trains the parameters, for `memory`: a name of `optimizers.OPTIMIZERS`, such as `none`.

    Raises:
        CostUnknown: the plan's input is unknown, a component has no rule for its backward pass, or the reference
            library publishes no formula for it. Never a silent zero.
        ValueError: an argument is out of range, or kernels are cached while training, which changes them.
    """
    if batch < 1:
        raise ValueError(f"Expected batch to be at least 1, got {batch}")
    if convention not in CONVENTIONS:
        raise ValueError(f"Expected convention to be one of {', '.join(CONVENTIONS)}, got {convention!r}")
    if unit not in ("flop", "mac"):
        raise ValueError(f"Expected unit to be flop or mac, got {unit!r}")
    if mode not in ("forward", "train"):
        raise ValueError(f"Expected mode to be forward or train, got {mode!r}")
    if dtype not in DTYPE_BYTES:
        raise ValueError(f"Expected dtype to be one of {', '.join(DTYPE_BYTES)}, got {dtype!r}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(unknown(optimizer))
    if mode == "train" and cached_kernels and convention != "nvsubquadratic":
        raise ValueError("Expected cached_kernels only with mode forward, got train: training changes the kernels")
    if plan.spec is None:
        raise CostUnknown(
            f"Expected {plan.name} to say what it is fed, got no input: add input: {{shape: [...]}} to the config"
        )
    if convention == "nvsubquadratic" and unit == "mac":
        raise ValueError("Expected unit to be flop with convention nvsubquadratic, got mac: its formulas mix both")
    if convention == "nvsubquadratic":
        root = _published(plan, cached_kernels)
        return Cost(plan, 1, mode, convention, unit, root, dtype, optimizer)
    root = plan.tree(batch, cached_kernels=cached_kernels, backward=mode == "train")
    if convention == "complex-fft":
        root = Node("", plan.root, tuple(_complex(record, {}) for record in root.records))
    elif convention == "mac":
        unit = "mac"
    return Cost(plan, batch, mode, convention, unit, root, dtype, optimizer)


def _published(plan: Plan, cached_kernels: bool) -> Node:
    """The tree by the reference's own formulas: one image, forward only, whatever the batch."""
    tape = Tape(cached_kernels=cached_kernels, method="flop_count")
    args, _ = plan.root.inputs(plan.spec, Shape((Batch(1),)))  # type: ignore[arg-type]
    return Node("", plan.root, (tape.call(plan.root, *args),))


def _complex(record: Record, done: dict[int, Record]) -> Record:
    """The same record with its FFTs at the price of complex ones; equal calls go on sharing theirs."""
    if id(record) not in done:
        copy = Record(record.config, record.inputs)
        copy.output, copy.transforms, copy.counts = record.output, record.transforms, record.counts.copy()
        if record.transforms:
            copy.counts["fft"] = sum(count * complex_fft(lengths) for lengths, count in record.transforms.items())
        copy.calls = [(name, _complex(call, done)) for name, call in record.calls]
        done[id(record)] = copy
    return done[id(record)]
