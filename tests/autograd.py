"""The judge of saved bytes: what autograd really keeps of a forward pass, without spending any memory.

Modules run on fake CPU tensors, so the operations are those of a CPU (attention is fused, unlike on `meta`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

import registry
from registry.plan import Plan
from tests.harness import arguments


def saved_bytes(plan: Plan, batch: int, *, input_grad: bool, dtype: torch.dtype = torch.float32) -> int:
    """Bytes of the storages that autograd keeps, each once, without those of parameters and buffers."""
    module = registry.build(plan, device="meta").eval()
    args, kwargs = arguments(plan, batch, "meta")
    with FakeTensorMode():
        state = _replace(module, dtype)
        args, kwargs = (_fake(value, dtype, input_grad) for value in (args, kwargs))
        kept: dict[int, torch.UntypedStorage] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage  # held, so that no later storage has its address
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            module(*args, **kwargs)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in state)


def _replace(module: nn.Module, dtype: torch.dtype) -> set[int]:
    """Put fake tensors where the parameters and buffers are; returns the addresses of their storages."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(_empty(parameter, dtype), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = _empty(buffer, dtype)
    return {tensor.untyped_storage()._cdata for tensor in (*module.parameters(), *module.buffers())}


def _empty(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.empty(tensor.shape, dtype=dtype if tensor.is_floating_point() else tensor.dtype, device="cpu")


def _fake(value: Any, dtype: torch.dtype, needs_grad: bool) -> Any:
    if isinstance(value, Tensor):
        return _empty(value, dtype).requires_grad_(needs_grad)
    if isinstance(value, dict):
        return {key: _fake(item, dtype, needs_grad) for key, item in value.items()}
    return tuple(_fake(item, dtype, needs_grad) for item in value) if isinstance(value, tuple) else value
