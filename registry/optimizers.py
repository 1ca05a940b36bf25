"""Optimizer state: the exact bytes an optimizer keeps beside the parameters, from their shapes alone.

An optimizer is data: the tensors it keeps for each parameter tensor, and how many elements of what width each has.
What is counted are the tensors that exist after the first step in which every parameter has a gradient, under the
names that the optimizer gives them; a caching allocator rounds each up to its own block size. Those of `torch.optim`
are in the type of the parameter; its counters are float32 scalars, on the plain, `foreach` and `fused` paths alike
(float64 if that is torch's default type, which is not assumed here).

`lion`, `lamb` and `adamw8bit` are not in torch: their figures are those of the papers and of the code named, read and
computed by hand, not measured.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from registry.names import did_you_mean

Dims = tuple[int, ...]

MASTER_WIDTH = 4
"""Bytes of one element of a master copy: float32."""
BLOCK = 256
"""Elements of a parameter that share one scale in 8-bit states; the paper has 2,048, bitsandbytes now 256."""
SMALLEST_8BIT = 4096
"""Parameters of fewer elements keep float32 states instead of 8-bit ones."""


@dataclass(frozen=True)
class States:
    """Tensors of one size that an optimizer keeps for each parameter tensor.

    Attributes:
        names: Their keys in the state of the optimizer.
        elements: Shape of the parameter -> number of elements of each; 0 where none is kept.
        width: Bytes of one element; None: those of the parameter.
        shared: Whether all parameters share one such tensor.
    """

    names: tuple[str, ...]
    elements: Callable[[Dims], int]
    width: int | None = None
    shared: bool = False


@dataclass(frozen=True)
class Optimizer:
    """What an optimizer keeps.

    Attributes:
        source: The paper, and the class whose state it is.
        states: The tensors, in the order they are shown.
    """

    source: str
    states: tuple[States, ...] = ()


def _scalar(shape: Dims) -> int:
    return 1


def _of_matrices(shape: Dims) -> int:
    return math.prod(shape) if len(shape) == 2 else 0


def _of_others(shape: Dims) -> int:
    return 0 if len(shape) == 2 else math.prod(shape)


def _scalar_of_others(shape: Dims) -> int:
    return int(len(shape) != 2)


def _rows(shape: Dims) -> int:
    """(*, R, C) -> (*, R, 1)."""
    return math.prod(shape[:-1]) if len(shape) > 1 else 0


def _columns(shape: Dims) -> int:
    """(*, R, C) -> (*, 1, C)."""
    return math.prod(shape[:-2]) * shape[-1] if len(shape) > 1 else 0


def _of_vectors(shape: Dims) -> int:
    return 0 if len(shape) > 1 else math.prod(shape)


def _of_small(shape: Dims) -> int:
    size = math.prod(shape)
    return size if size < SMALLEST_8BIT else 0


def _of_large(shape: Dims) -> int:
    size = math.prod(shape)
    return size if size >= SMALLEST_8BIT else 0


def _blocks(shape: Dims) -> int:
    return -(-_of_large(shape) // BLOCK)


def _table(shape: Dims) -> int:
    """The 256 values that a byte stands for."""
    return 256 if _of_large(shape) else 0


def _like(*names: str) -> States:
    """States of the shape and type of the parameter."""
    return States(names, math.prod)


def _scalars(*names: str) -> States:
    """One float32 for each parameter tensor."""
    return States(names, _scalar, 4)


_STEP = _scalars("step")
_ADAM = (_like("exp_avg", "exp_avg_sq"), _STEP)

OPTIMIZERS: Mapping[str, Optimizer] = {
    "none": Optimizer("no training, no state"),
    "sgd": Optimizer("Robbins & Monro 1951; torch.optim.SGD, which keeps nothing without momentum"),
    "sgd_momentum": Optimizer("Polyak 1964; torch.optim.SGD(momentum=...)", (_like("momentum_buffer"),)),
    "adam": Optimizer("Kingma & Ba 2015, arXiv:1412.6980; torch.optim.Adam", _ADAM),
    "adamw": Optimizer("Loshchilov & Hutter 2019, arXiv:1711.05101; torch.optim.AdamW", _ADAM),
    "adamw_amsgrad": Optimizer(
        "Reddi et al. 2018, arXiv:1904.09237; torch.optim.AdamW(amsgrad=True)",
        (_like("exp_avg", "exp_avg_sq", "max_exp_avg_sq"), _STEP),
    ),
    "adamax": Optimizer(
        "Kingma & Ba 2015, arXiv:1412.6980, section 7.1; torch.optim.Adamax",
        (_like("exp_avg", "exp_inf"), _STEP),
    ),
    "nadam": Optimizer(
        "Dozat 2016; torch.optim.NAdam", (_like("exp_avg", "exp_avg_sq"), _scalars("mu_product", "step"))
    ),
    "radam": Optimizer("Liu et al. 2020, arXiv:1908.03265; torch.optim.RAdam", _ADAM),
    "rmsprop": Optimizer("Tieleman & Hinton 2012, lecture 6.5; torch.optim.RMSprop", (_like("square_avg"), _STEP)),
    "rmsprop_momentum": Optimizer(
        "Tieleman & Hinton 2012, lecture 6.5; torch.optim.RMSprop(momentum=...)",
        (_like("square_avg", "momentum_buffer"), _STEP),
    ),
    "rmsprop_centered": Optimizer(
        "Graves 2013, arXiv:1308.0850, section 4.2; torch.optim.RMSprop(momentum=..., centered=True)",
        (_like("square_avg", "grad_avg", "momentum_buffer"), _STEP),
    ),
    "adagrad": Optimizer("Duchi et al. 2011; torch.optim.Adagrad", (_like("sum"), _STEP)),
    "adadelta": Optimizer(
        "Zeiler 2012, arXiv:1212.5701; torch.optim.Adadelta", (_like("square_avg", "acc_delta"), _STEP)
    ),
    "rprop": Optimizer("Riedmiller & Braun 1993; torch.optim.Rprop", (_like("prev", "step_size"), _STEP)),
    "asgd": Optimizer("Polyak & Juditsky 1992; torch.optim.ASGD", (_like("ax"), _scalars("eta", "mu", "step"))),
    # The last two axes are factored; earlier ones are a batch of matrices, so that a convolution's saves little.
    "adafactor": Optimizer(
        "Shazeer & Stern 2018, arXiv:1804.04235, algorithms 4 and 5, no momentum; torch.optim.Adafactor",
        (States(("row_var",), _rows), States(("col_var",), _columns), States(("variance",), _of_vectors), _STEP),
    ),
    # Shapes do not tell a hidden matrix from an embedding or a readout: every matrix is given to Muon here.
    "muon": Optimizer(
        "Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982; torch.optim.Muon for 2-d parameters, torch.optim.AdamW "
        "for all others",
        (
            States(("momentum_buffer",), _of_matrices),
            States(("exp_avg", "exp_avg_sq"), _of_others),
            States(("step",), _scalar_of_others, 4),
        ),
    ),
    "lion": Optimizer("Chen et al. 2023, arXiv:2302.06675, algorithm 2: one momentum, no counter", (_like("exp_avg"),)),
    "lamb": Optimizer(
        "You et al. 2020, arXiv:1904.00962, algorithm 2: two moments; the step is a number, not a tensor",
        (_like("exp_avg", "exp_avg_sq"),),
    ),
    "adamw8bit": Optimizer(
        "Dettmers et al. 2022, arXiv:2110.02861; bitsandbytes.optim.AdamW8bit 0.50: bytes with one float32 scale for "
        "each block of 256, two tables for all; float32 below 4,096 elements",
        (
            States(("state1", "state2"), _of_large, 1),
            States(("absmax1", "absmax2"), _blocks, 4),
            States(("qmap1", "qmap2"), _table, 4, shared=True),
            States(("state1", "state2"), _of_small, 4),
        ),
    ),
}
"""Name -> what the optimizer keeps."""


def state_bytes(optimizer: str, parameters: Iterable[Dims], width: int, *, master: bool = False) -> dict[str, int]:
    """Bytes an optimizer keeps beside the parameters, by state; states of no bytes are left out.

    Args:
        optimizer: A name of `OPTIMIZERS`.
        parameters: Shapes of the parameters that are trained, each as often as there are tensors of it; or a mapping
            from shape to how often. A tensor that several modules share is one.
        width: Bytes of one element of a parameter.
        master: Whether parameters narrower than float32 have a float32 copy, `master`, which is what the optimizer
            then steps, as in mixed precision training (Micikevicius et al. 2018, arXiv:1710.03740).

    Raises:
        ValueError: there is no such optimizer.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(unknown(optimizer))
    shapes = Counter(parameters)  # nets repeat few shapes; of a mapping, its counts
    found: Counter[str] = Counter()
    if master and width < MASTER_WIDTH:
        width = MASTER_WIDTH
        found["master"] = sum(math.prod(shape) * count for shape, count in shapes.items()) * MASTER_WIDTH
    for states in OPTIMIZERS[optimizer].states:
        if states.shared:
            elements = max(map(states.elements, shapes), default=0)
        else:
            elements = sum([states.elements(shape) * count for shape, count in shapes.items()])
        for name in states.names:
            found[name] += elements * (width if states.width is None else states.width)
    return {name: size for name, size in found.items() if size}


def unknown(optimizer: str) -> str:
    """What is wrong with a name that no optimizer has."""
    hint = did_you_mean(optimizer, OPTIMIZERS)
    message = f"Expected optimizer to be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}"
    return f"{message}; {hint}" if hint else message
