"""Remember one result for as long as the tensors it was computed from hold the same values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


class ValueCache(Generic[Result]):
    """A cache of one entry, valid while its inputs are equal in value.

    Values are compared rather than version counters: a write through `.data`, as many weight averagers do, leaves no
    other trace. On a GPU the comparison waits for the device, once per look-up. Copies and pickles start empty.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entry: tuple[Hashable, Tensor, Result] | None = None

    def __reduce__(self) -> tuple[type[ValueCache[Result]], tuple[()]]:
        """Copy and pickle as an empty cache."""
        return type(self), ()

    def get(self, key: Hashable, inputs: Sequence[Tensor], compute: Callable[[], Result]) -> Result:
        """Return the remembered result, or compute and remember it.

        Args:
            key: What else the result depends on.
            inputs: Tensors the result depends on, at least one. `compute` may change them (as a clamp does): they
                are remembered as they are afterwards.
            compute: Makes the result, without gradients.
        """
        entry = self._entry
        if entry is not None and entry[0] == (key, _layout(inputs)) and torch.equal(entry[1], _values(inputs)):
            return entry[2]
        result = compute()
        self._entry = ((key, _layout(inputs)), _values(inputs), result)
        return result


def can_cache(*tensors: Tensor) -> bool:
    """Tell whether comparing and keeping the values of these tensors is possible and harmless now.

    It is not while gradients are recorded, inside a compiler, tracer, function transform or CUDA graph capture
    (which must see the computation itself), or for tensors without values of their own (meta, subclasses).
    """
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or any(type(t) not in (Tensor, torch.nn.Parameter) or t.is_meta for t in tensors)
        or (any(t.is_cuda for t in tensors) and torch.cuda.is_current_stream_capturing())
    )


def _layout(tensors: Sequence[Tensor]) -> Hashable:
    return tuple((tuple(t.shape), t.dtype, t.device) for t in tensors)


def _values(tensors: Sequence[Tensor]) -> Tensor:
    """Return all values in one new tensor, so that one comparison is enough."""
    return torch.cat([t.detach().flatten() for t in tensors])
