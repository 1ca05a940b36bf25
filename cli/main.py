"""`arch`: the commands and their options. What a command does is in the file of its name, imported when it runs.

Exit codes: 0 fine, 1 the preset is invalid or a check failed, 2 wrong usage or unreadable input.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from cli.guard import INTERRUPTED, Guarded, flush, tolerate_encodings

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
    presets: Annotated[
        list[str], typer.Argument(metavar="PRESET...", help="Names of presets, paths of YAML files, or -.")
    ],
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
    preset: Preset,
    overrides: Overrides = None,
    batch: Batch = 1,
    mode: Annotated[Literal["forward", "train"], typer.Option(help="What to count.")] = "forward",
    convention: Annotated[
        Literal["all", "matmul", "nvsubquadratic"],
        typer.Option(help="Every operation, matrix products only, or the reference library's formulas."),
    ] = "all",
    unit: Annotated[Literal["flop", "mac"], typer.Option(help="Operations, or multiply-adds.")] = "flop",
    depth: Depth = None,
    cached_kernels: Annotated[
        bool, typer.Option("--cached-kernels", help="Kernels that do not depend on the input exist already.")
    ] = False,
    form: Form = "text",
) -> None:
    """Count operations and parameters, by component and by kind."""
    from cli.flops import flops

    flops(preset, overrides or [], batch, mode, convention, unit, depth, cached_kernels, form)


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
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code of a problem, such as mismatch.")],
    form: Form = "text",
) -> None:
    """Explain the code of a problem."""
    from cli.explain import explain

    explain(code, form)


def run() -> None:
    """Entry point of `arch` and of `python -m cli`."""
    tolerate_encodings()
    try:
        app(prog_name="arch")
    except KeyboardInterrupt:
        code: str | int | None = INTERRUPTED
    except SystemExit as end:
        code = end.code
    sys.exit(flush() or code)
