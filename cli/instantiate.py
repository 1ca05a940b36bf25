"""`arch instantiate`: build a network, try it, save its weights. The only command that imports torch."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import inputs, render
from cli.guard import CheckFailed, Refused
from registry.cost import DTYPE_BYTES
from registry.errors import CostUnknown
from registry.plan import Plan
from registry.schema import InputSpec
from registry.shapes import Batch, Shape

if TYPE_CHECKING:
    import torch

SUFFIX = ".safetensors"


def instantiate(
    preset: str,
    overrides: list[str],
    device: str,
    dtype: str,
    seed: int | None,
    forward: bool,
    batch: int,
    save: Path | None,
    form: str,
) -> None:
    """Build a preset and print what came of it."""
    if save is not None:
        _check_target(save, device)
    plan = inputs.load(preset, overrides)
    if forward and plan.spec is None:
        raise CostUnknown(
            f"Expected {preset} to say what it is fed, got no input: add input: {{shape: [...]}} to the config"
        )
    if device != "meta":
        _check_memory(plan)
    with _waiting(f"building {preset}"):
        import torch  # noqa: F401 (its import is not part of the time to build)

        started = time.perf_counter()
        module = _build(plan, device, dtype, seed)
        seconds = time.perf_counter() - started
    report: dict[str, Any] = {
        "preset": preset,
        "params": sum(parameter.numel() for parameter in module.parameters()),
        "device": device,
        "dtype": dtype,
        "seed": seed,
        "seconds": round(seconds, 3),
        "output_shape": _planned_output(plan),
        "forward_seconds": None,
        "saved": None,
    }
    if report["params"] != plan.params:
        raise CheckFailed(
            f"Expected the module to have {plan.params:,} parameters, as planned, got {report['params']:,}"
        )
    if forward:
        with _waiting("one forward pass"):
            report["forward_seconds"] = round(_try(module, plan, batch, device, dtype, seed), 3)
    if save is not None:
        with _waiting(f"saving {save.name}"):
            _save(module, save, _metadata(plan, preset, dtype, seed))
        report["saved"] = str(save)
    if form == "json":
        render.data(report)
    else:
        _show(report, plan, batch)


@contextlib.contextmanager
def _waiting(what: str) -> Iterator[None]:
    """A spinner on stderr, where somebody is watching."""
    console = render.stderr()
    if not console.is_terminal:
        yield
        return
    with console.status(render.styled(what, " …")):
        yield


def _build(plan: Plan, device: str, dtype: str, seed: int | None) -> torch.nn.Module:
    from registry.build import build

    return build(plan, device=device, dtype=dtype, seed=seed).eval()


def _check_memory(plan: Plan) -> None:
    """Refuse weights that this machine cannot hold, which the system would answer by killing us.

    Raises:
        CheckFailed: they take more than all of the memory. Weights are drawn as float32 on the CPU, wherever they go.
    """
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return
    needed = plan.params * DTYPE_BYTES["float32"]
    if needed > memory:
        raise CheckFailed(
            f"Expected weights of at most {render.human(memory, 'B')}, the memory of this machine, "
            f"got {render.human(needed, 'B')}; --device meta needs none"
        )


def _planned_output(plan: Plan) -> list[int | str] | None:
    shape = plan.tree().output_shape
    labels: list[int | str] | None = None if shape is None else shape.labels
    return labels


# ---- one forward pass -------------------------------------------------------------------------------------------


def _try(module: torch.nn.Module, plan: Plan, batch: int, device: str, dtype: str, seed: int | None) -> float:
    """Feed it random numbers and compare what comes out with the plan; seconds it took.

    Raises:
        CheckFailed: it fails, shapes differ, or a value is not finite.
    """
    import torch

    record = plan.record(batch)
    if record is None or plan.spec is None:
        return 0.0
    generator = torch.Generator().manual_seed(0 if seed is None else seed)

    def fill(value: Any) -> Any:
        """A tensor in place of every shape."""
        if isinstance(value, Shape):
            return torch.randn(tuple(value), generator=generator).to(device=device, dtype=getattr(torch, dtype))
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return type(value)(map(fill, value)) if isinstance(value, (list, tuple)) else value

    args, kwargs = plan.root.inputs(plan.spec, Shape((Batch(batch),)))
    started = time.perf_counter()
    try:
        with torch.no_grad():
            output = module(*fill(args), **fill(kwargs))
        if device == "cuda":
            torch.cuda.synchronize()
    except Exception as error:  # out of memory, an operation this dtype or device does not have, ...
        said = str(error).strip().partition("\n")[0]
        raise CheckFailed(f"Expected one forward pass to work, got {type(error).__name__}: {said}") from error
    seconds = time.perf_counter() - started
    _compare(record.output, output, "the output")
    return seconds


def _compare(planned: Any, got: Any, what: str) -> None:
    """Hold an output against its plan, which has a shape in place of every tensor."""
    if isinstance(planned, Shape):
        _compare_tensor(planned, got, what)
    elif isinstance(planned, dict):
        if not isinstance(got, dict) or got.keys() != planned.keys():
            raise CheckFailed(f"Expected {what} to be a mapping with {', '.join(planned)}, got {_name(got)}")
        for key, value in planned.items():
            _compare(value, got[key], f"{what} {key!r}")
    elif isinstance(planned, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(planned):
            raise CheckFailed(f"Expected {what} to be {len(planned)} values, got {_name(got)}")
        for index, (shape, value) in enumerate(zip(planned, got, strict=True)):
            _compare(shape, value, f"{what} {index}")


def _compare_tensor(planned: Shape, got: Any, what: str) -> None:
    import torch

    if not isinstance(got, torch.Tensor):
        raise CheckFailed(f"Expected {what} to be a tensor, got {_name(got)}")
    if tuple(got.shape) != tuple(planned):
        raise CheckFailed(f"Expected {what} to have shape {tuple(map(int, planned))}, got {tuple(got.shape)}")
    if not got.is_meta and not bool(torch.isfinite(got).all()):
        count = int((~torch.isfinite(got)).sum())
        raise CheckFailed(f"Expected {what} to be finite, got {count:,} of {got.numel():,} values that are not")


def _name(value: Any) -> str:
    """What a value is, in few words."""
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(str, value))}"
    if isinstance(value, (list, tuple)):
        return f"{len(value)} values"
    return type(value).__name__


# ---- saving -----------------------------------------------------------------------------------------------------


def _check_target(target: Path, device: str) -> None:
    """Refuse what cannot be saved before anything is built."""
    if device == "meta":
        raise Refused("Expected --save with --device cpu or cuda, got meta, where there are no weights")
    if target.suffix != SUFFIX:
        raise Refused(f"Expected --save FILE{SUFFIX}, got {target.name}")
    if not target.parent.is_dir():
        raise Refused(f"Expected a folder to save in, got {target.parent}, which does not exist")
    if target.exists() and not target.is_file():
        raise Refused(f"Expected a file to save to, got {target}, which is none")


def _metadata(plan: Plan, preset: str, dtype: str, seed: int | None) -> dict[str, str]:
    """What makes the weights usable on their own; `registry.load(json.loads(metadata["config"]))` is the plan."""
    config = {**plan.root.to_dict(), **_input(plan.spec)}
    said = {"format": "pt", "preset": preset, "config": json.dumps(config), "dtype": dtype}
    return said if seed is None else {**said, "seed": str(seed)}


def _input(spec: InputSpec | None) -> dict[str, Any]:
    if spec is None:
        return {}
    condition = {} if spec.condition is None else {"condition": list(spec.condition)}
    return {"input": {"shape": list(spec.shape), **condition}}


def _save(module: torch.nn.Module, target: Path, metadata: dict[str, str]) -> None:
    """Write the state dict, all of it or nothing: beside the target first, then in its place."""
    from safetensors.torch import save_file

    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        unfinished.touch(exist_ok=False)
        mode = unfinished.stat().st_mode
        save_file(_separate(module.state_dict()), unfinished, metadata)
        unfinished.chmod(mode)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _separate(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous tensors that share no memory, so that tied parameters are saved under each of their names."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in state.items():
        address = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.detach().clone() if address in seen else tensor.detach().contiguous()
        seen.add(address)
    return separate


def _show(report: dict[str, Any], plan: Plan, batch: int) -> None:
    where = f" on {report['device']} as {report['dtype']} in {report['seconds']:.2f} s"
    render.success((report["preset"], "bold"), f" built{where}: {render.plural(report['params'], 'parameter')}")
    if report["forward_seconds"] is not None:
        node = plan.tree(batch)
        shapes = f"{render.shape(node.input_shape)} → {render.shape(node.output_shape)}"
        finite = "" if report["device"] == "meta" else ", finite"
        render.success(f"one forward pass of batch {batch:,}: {shapes}{finite}, {report['forward_seconds']:.2f} s")
    if report["saved"] is not None:
        size = render.human(Path(report["saved"]).stat().st_size, "B")
        render.success(f"saved to {report['saved']} ({size})")
