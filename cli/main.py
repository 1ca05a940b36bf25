"""`arch`: the commands and their options. What a command does is in the file of its name, imported when it runs.

Exit codes: 0 fine, 1 the preset is invalid or a check failed, 2 wrong usage or unreadable input.
"""

from __future__ import annotations

import copy
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from cli.guard import INTERRUPTED, Guarded, Refused, flush, tolerate_encodings

if TYPE_CHECKING:
    from registry.cost import Counting

app = typer.Typer(
    name="arch",
    cls=Guarded,
    help="Validate, inspect, cost and build neural networks described in YAML.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Form = Annotated[Literal["text", "json"], typer.Option("--format", help="For people, or for programs.")]
Overrides = Annotated[
    Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Override a value, such as patch_size=8.")
]
Preset = Annotated[
    str, typer.Argument(metavar="PRESET", help="Name of a preset, path of a YAML file, or - for standard input.")
]
Depth = Annotated[Optional[int], typer.Option(min=0, help="Levels of the tree to show; all by default.")]
Batch = Annotated[int, typer.Option(min=1, help="Number of inputs.")]
Presets = Annotated[list[str], typer.Argument(metavar="PRESET...", help="Names of presets, paths of YAML files, or -.")]
Mode = Annotated[Literal["forward", "train"], typer.Option(help="What to count.")]
Convention = Annotated[
    Literal["all", "complex-fft", "matmul", "mac", "nvsubquadratic"],
    typer.Option(help="Every operation, with FFTs as complex ones, products only, their MACs, or published formulas."),
]
Unit = Annotated[Literal["flop", "mac"], typer.Option(help="Operations, or multiply-adds.")]
CachedKernels = Annotated[
    bool, typer.Option("--cached-kernels", help="Kernels that do not depend on the input exist already.")
]
Dtype = Annotated[
    Literal["float32", "float64", "bfloat16", "float16"],
    typer.Option(help="Type of weights and activations, for their bytes."),
]
Optimizer = Annotated[
    Optional[str], typer.Option(metavar="NAME", help="With --mode train: what trains, for its bytes; default adamw.")
]


def _counting(
    batch: int,
    mode: Mode,
    convention: Convention,
    unit: Unit,
    cached_kernels: bool,
    dtype: Dtype,
    optimizer: Optional[str],
) -> Counting:
    """The options of what to count, together."""
    if optimizer is not None and mode != "train":
        raise Refused(f"Expected --mode train with --optimizer, got {mode}: only training has one")
    return {
        "batch": batch,
        "mode": mode,
        "convention": convention,
        "unit": "mac" if convention == "mac" else unit,
        "cached_kernels": cached_kernels,
        "dtype": dtype,
        "optimizer": optimizer or "adamw",
    }


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("arch-registry")
    except PackageNotFoundError:
        number = "(not installed)"
    sys.stdout.write(f"arch {number}\n")
    raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Validate, inspect, cost and build neural networks described in YAML."""


@app.command()
def validate(
    presets: Presets,
    overrides: Overrides = None,
    form: Annotated[
        Literal["text", "json", "github"], typer.Option("--format", help="For people, programs, or GitHub Actions.")
    ] = "text",
) -> None:
    """Check presets and point at everything that is wrong."""
    from cli.validate import validate

    raise typer.Exit(validate(presets, overrides or [], form))


@app.command()
def flops(
    presets: Presets,
    overrides: Overrides = None,
    batch: Batch = 1,
    mode: Mode = "forward",
    convention: Convention = "all",
    unit: Unit = "flop",
    depth: Depth = None,
    cached_kernels: CachedKernels = False,
    by: Annotated[
        Optional[Literal["path", "component", "kind"]],
        typer.Option(help="Bars by module, by registered component, or by kind of operation."),
    ] = None,
    dtype: Dtype = "float32",
    optimizer: Optimizer = None,
    sweep: Annotated[
        Optional[list[str]],
        typer.Option(metavar="KEY=VALUES", help="Try each value: patch_size=4,8,16 or image_size=112:1792:56."),
    ] = None,
    plot: Annotated[
        Optional[Path], typer.Option(metavar="FILE.png", help="With --sweep: draw the first swept key against FLOPs.")
    ] = None,
    form: Annotated[
        Literal["text", "json", "csv"], typer.Option("--format", help="For people, programs, or spreadsheets.")
    ] = "text",
) -> None:
    """Count operations, parameters and bytes: by component and kind, of several presets, over many sizes."""
    counting = _counting(batch, mode, convention, unit, cached_kernels, dtype, optimizer)
    if sweep:
        from cli.sweep import sweep_flops

        if by is not None or depth is not None:
            raise Refused(f"Expected no --{'by' if by else 'depth'} with --sweep: a point is one row")
        sweep_flops(presets, overrides or [], sweep, counting, plot, form)
        return
    if plot is not None:
        raise Refused("Expected --sweep KEY=VALUES with --plot, got none")
    from cli.flops import flops

    flops(presets, overrides or [], counting, depth, by, form)


@app.command()
def diff(
    left: Annotated[str, typer.Argument(metavar="LEFT", help="Name of a preset, or path of a YAML file.")],
    right: Annotated[str, typer.Argument(metavar="RIGHT", help="The one to compare it with; may be the same.")],
    overrides: Overrides = None,
    only_left: Annotated[
        Optional[list[str]], typer.Option("--set-a", metavar="KEY=VALUE", help="Override a value of LEFT only.")
    ] = None,
    only_right: Annotated[
        Optional[list[str]], typer.Option("--set-b", metavar="KEY=VALUE", help="Override a value of RIGHT only.")
    ] = None,
    batch: Batch = 1,
    mode: Mode = "forward",
    convention: Convention = "all",
    unit: Unit = "flop",
    cached_kernels: CachedKernels = False,
    dtype: Dtype = "float32",
    optimizer: Optimizer = None,
    form: Form = "text",
) -> None:
    """Show what two presets say differently, and what that does to their cost."""
    from cli.diff import diff_presets

    counting = _counting(batch, mode, convention, unit, cached_kernels, dtype, optimizer)
    shared = overrides or []
    own = ([*shared, *(only_left or [])], [*shared, *(only_right or [])])
    diff_presets(left, right, own, counting, form)


@app.command()
def solve(
    preset: Preset,
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="KEY,KEY", help="Integers to change: hidden_dim,num_blocks around what they are, or KEY=192:768:64."
        ),
    ],
    params: Annotated[
        Optional[str], typer.Option(metavar="NUMBER", help="Parameters to come near to, such as 22M.")
    ] = None,
    flops: Annotated[
        Optional[str], typer.Option(metavar="NUMBER", help="Operations to come near to, such as 10G.")
    ] = None,
    memory: Annotated[
        Optional[str],
        typer.Option(
            metavar="BYTES", help="Most memory a pass may take, such as 16GB; FLOPs are then those of one input."
        ),
    ] = None,
    limit: Annotated[bool, typer.Option("--max", help="The budgets are limits: never exceed them.")] = False,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Number of candidates to show.")] = 10,
    overrides: Overrides = None,
    batch: Batch = 1,
    mode: Mode = "forward",
    convention: Convention = "all",
    unit: Unit = "flop",
    cached_kernels: CachedKernels = False,
    dtype: Dtype = "float32",
    optimizer: Optimizer = None,
    form: Form = "text",
) -> None:
    """Find the valid variations of a preset that come nearest to a budget of parameters, operations and memory."""
    from cli.solve import solve_budget

    counting = _counting(batch, mode, convention, unit, cached_kernels, dtype, optimizer)
    budget = {"params": params, "flops": flops, "memory": memory}
    solve_budget(preset, vary, budget, limit, top, overrides or [], counting, form)


@app.command()
def roofline(
    preset: Preset,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Name of a device (arch devices), or path of a YAML file.")
    ] = "h100-sxm",
    overrides: Overrides = None,
    batch: Batch = 1,
    mode: Mode = "forward",
    dtype: Annotated[
        Literal["float32", "tf32", "float64", "bfloat16", "float16"],
        typer.Option(help="Type of weights and activations; tf32: float32 with products on tensor cores."),
    ] = "float32",
    cached_kernels: CachedKernels = False,
    by: Annotated[Literal["path", "component"], typer.Option(help="By module, or by registered component.")] = "path",
    depth: Depth = None,
    fused: Annotated[
        bool, typer.Option("--fused", help="Time the bytes of modules that are each fused, not of single operations.")
    ] = False,
    form: Annotated[
        Literal["text", "json", "csv"], typer.Option("--format", help="For people, programs, or spreadsheets.")
    ] = "text",
) -> None:
    """Estimate what limits each module on a device: its arithmetic, its FFTs or its memory."""
    from cli.roofline import show_roofline

    show_roofline(preset, overrides or [], device, batch, mode, dtype, cached_kernels, by, depth, fused, form)


@app.command()
def devices(form: Form = "text") -> None:
    """List the devices that rooflines are known of, with the source of their figures."""
    from cli.roofline import show_devices

    show_devices(form)


@app.command()
def inspect(preset: Preset, overrides: Overrides = None, depth: Depth = None, form: Form = "text") -> None:
    """Show the tree of components with types, shapes and parameters."""
    from cli.inspect import inspect

    inspect(preset, overrides or [], depth, form)


@app.command()
def instantiate(
    preset: Preset,
    overrides: Overrides = None,
    device: Annotated[Literal["meta", "cpu", "cuda"], typer.Option(help="meta: shapes without memory.")] = "cpu",
    dtype: Annotated[
        Literal["float32", "float64", "bfloat16", "float16"], typer.Option(help="Type of the weights.")
    ] = "float32",
    seed: Annotated[
        Optional[int], typer.Option(min=0, max=2**32 - 1, help="Seed of the weights and of the inputs.")
    ] = None,
    forward: Annotated[bool, typer.Option("--forward", help="Run one forward pass on random inputs.")] = False,
    batch: Batch = 1,
    save: Annotated[
        Optional[Path], typer.Option(metavar="FILE.safetensors", help="Save weights and configuration.")
    ] = None,
    form: Form = "text",
) -> None:
    """Build the network, try it, save its weights."""
    from cli.instantiate import instantiate

    instantiate(preset, overrides or [], device, dtype, seed, forward, batch, save, form)


@app.command("list")
def list_(
    kind: Annotated[Optional[str], typer.Argument(metavar="[KIND]", help="Only components of this kind.")] = None,
    form: Form = "text",
) -> None:
    """List every component by kind."""
    from cli.listing import components

    components(kind, form)


@app.command()
def presets(form: Form = "text") -> None:
    """List every preset."""
    from cli.listing import presets

    presets(form)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or alias of a component.")], form: Form = "text"
) -> None:
    """Show one component: fields, parts, rules, cost, paper."""
    from cli.listing import show

    show(name, form)


@app.command()
def limits(form: Form = "text") -> None:
    """Show what a document may cost."""
    from cli.listing import limits

    limits(form)


@app.command()
def explain(
    code: Annotated[
        Optional[str], typer.Argument(metavar="[CODE]", help="Code of a problem, such as mismatch; all by default.")
    ] = None,
    form: Form = "text",
) -> None:
    """Explain the code of a problem, with an example."""
    from cli.explain import explain

    explain(code, form)


@app.command()
def schema() -> None:
    """Print the JSON Schema of presets, for editors."""
    from cli.listing import schema

    schema()


def run() -> None:
    """Entry point of `arch` and of `python -m cli`."""
    gc.set_threshold(50_000)  # what imports leave behind is no garbage: look for some less often, and not at the end
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # no search through every installed package
    tolerate_encodings()
    try:
        _app_with(*sys.argv[1:2])(prog_name="arch")
    except KeyboardInterrupt:
        code: str | int | None = INTERRUPTED
    except SystemExit as end:
        code = end.code
    code = flush() or code
    gc.freeze()
    sys.exit(code)


def _app_with(name: str = "") -> typer.Typer:
    """`app` with the command of that name alone, as typer reads the options of all there are; all if none has it."""
    only = copy.copy(app)
    commands = {info.name or getattr(info.callback, "__name__", ""): info for info in app.registered_commands}
    only.registered_commands = [commands[name]] if name in commands else app.registered_commands
    return only
