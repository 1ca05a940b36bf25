"""`--plot`: how FLOPs grow along a swept value, on logarithmic axes. The only file that imports matplotlib."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import render
from cli.figures import MEANING, unit_name
from cli.guard import Refused
from registry.cost import Counting
from registry.plan import load
from registry.schema import Component
from registry.sweep import Crossover, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette: distinct for colour-blind readers. One a preset."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (8, 2, 1, 2, 1, 2)))
"""One a combination of the other swept values."""
INK, GREY, PALE = "#222222", "#666666", "#E4E4E4"
TICKS = 9
"""Swept values to write below the axis, at most."""
MARKED = 40
"""Points of a line up to which each of them gets a marker."""
NOTES = 10
"""Lines about crossovers, at most."""
STYLE = {
    "font.size": 10.5,
    "font.family": "sans-serif",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "svg.hashsalt": "arch",
}


def require(path: Path) -> None:
    """Refuse what would fail after all the work.

    Raises:
        Refused: matplotlib is not installed, or there is no such format.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise Refused("Expected matplotlib to be installed for --plot, got none: pip install 'arch-registry[plot]'")
    if path.suffix.lower() not in FORMATS:
        raise Refused(f"Expected --plot FILE to end in {', '.join(FORMATS)}, got {path.name!r}")


def describe(preset: str, overrides: Sequence[str], key: str) -> str:
    """What a key means, in the words of its field: `Side of the image in pixels`; empty where that is unknown."""
    try:
        node: Any = load(preset, overrides).root
    except ValueError:
        return ""
    *parents, name = key.removeprefix("network.").split(".")
    for step in parents:
        node = node.get(step) if isinstance(node, Mapping) else getattr(node, step, None)
    field = type(node).model_fields.get(name) if isinstance(node, Component) else None
    return (field.description or "").rstrip(".") if field else ""


def plot(
    points: Sequence[Point], key: str, flips: Sequence[Crossover], path: Path, counting: Counting, meaning: str
) -> None:
    """Draw one line for each preset and each combination of the other swept values.

    Args:
        points: Valid ones.
        key: The horizontal axis; its values must be numbers above zero.
        flips: Crossovers to mark: the first of every pair of lines.
        path: Where to write; the suffix is the format.
        counting: What the figures are.
        meaning: What `key` means, with its unit.

    Raises:
        Refused: the axis has values that are no numbers above zero.
    """
    lines = _lines(points, key)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 5.8), dpi=160, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        rising = sum(line[-1][1] > line[0][1] for line in lines.values()) * 2 >= len(lines)
        _draw(axes, lines)
        _dress(axes, sorted({x for line in lines.values() for x, _ in line}), key, counting, meaning)
        _mark(axes, flips, rising)
        corner = "upper left" if rising else "upper right"
        axes.legend(loc=corner, facecolor="white", edgecolor="none", framealpha=0.9, handlelength=2.6)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


Lines = dict[tuple[str, str], list[tuple[float, int]]]


def _lines(points: Sequence[Point], key: str) -> Lines:
    """(preset, the other values) -> (value, FLOPs), ascending."""
    lines: Lines = {}
    for point in points:
        value = point.values[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise Refused(f"Expected numbers above zero as {key}, the first swept key, to plot them, got {value!r}")
        rest = ", ".join(f"{name}={item}" for name, item in point.values.items() if name != key)
        if point.flops:  # nothing has no logarithm
            lines.setdefault((point.preset, rest), []).append((value, point.flops))
    return {label: sorted(line) for label, line in lines.items()}


def _draw(axes: Axes, lines: Lines) -> None:
    presets = list(dict.fromkeys(preset for preset, _ in lines))
    rests = list(dict.fromkeys(rest for _, rest in lines))
    for (preset, rest), line in lines.items():
        axes.plot(
            [x for x, _ in line],
            [y for _, y in line],
            color=COLOURS[presets.index(preset) % len(COLOURS)],
            linestyle=DASHES[rests.index(rest) % len(DASHES)],
            linewidth=2,
            marker="o" if len(line) <= MARKED else "",
            markersize=4,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=f"{preset}, {rest}" if rest else preset,
            solid_capstyle="round",
        )


def _mark(axes: Axes, flips: Sequence[Crossover], rising: bool) -> None:
    """A ring at the first crossover of every pair of lines, and in the empty corner what they mean."""
    pairs: dict[Any, Crossover] = {}
    for flip in flips:
        pairs.setdefault((frozenset((flip.cheaper, flip.dearer)), repr(flip.fixed)), flip)
    rings: dict[Any, list[Crossover]] = {}
    for flip in pairs.values():
        rings.setdefault((flip.at, repr(flip.fixed)), []).append(flip)
    notes = []
    for number, ring in enumerate(rings.values(), 1):
        x, y = ring[0].at, ring[0].flops[0]
        axes.plot([x], [y], marker="o", markersize=12, color="none", markeredgecolor=INK, markeredgewidth=1.3)
        label = f"{number}  " if len(rings) > 1 else ""
        if label:
            axes.annotate(str(number), (x, y), (0, -17), textcoords="offset points", ha="center", va="center")
        at = ", ".join([f"{ring[0].key} = {x}", *[f"{key} = {value}" for key, value in ring[0].fixed.items()]])
        notes.append(f"{label}from {at} on:")
        notes += [f"{flip.cheaper} costs less than {flip.dearer}" for flip in ring]
    if len(notes) > NOTES:
        notes = [*notes[:NOTES], "…"]
    if notes:
        _note(axes, "\n".join(notes), next(iter(rings.values()))[0] if len(rings) == 1 else None, rising)


def _note(axes: Axes, text: str, at: Crossover | None, rising: bool) -> None:
    """Words in the lower corner that the lines leave empty, with a line to the only ring there is."""
    axes.annotate(
        text,
        xy=(at.at, at.flops[0]) if at else (0.5, 0.5),
        xytext=(0.985 if rising else 0.015, 0.035),
        xycoords="data" if at else "axes fraction",
        textcoords="axes fraction",
        ha="right" if rising else "left",
        va="bottom",
        multialignment="left",
        fontsize=9.5,
        linespacing=1.45,
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.9, "shrinkB": 7} if at else None,
        bbox={"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": PALE},
    )


def _dress(axes: Axes, values: Sequence[float], key: str, counting: Counting, meaning: str) -> None:
    """Axes, grid, words."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    unit = unit_name(counting["unit"])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_ticks(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low, high = axes.get_ylim()
    # Less than two decades get more than their powers of ten.
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 500 * low else (1.0, 2.0, 5.0), numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _si(value)))
    axes.set_xlabel(f"{key}: {meaning[:1].lower()}{meaning[1:]}" if meaning else key, labelpad=8)
    axes.set_ylabel(f"{unit} of one {counting['mode']} pass, batch {counting['batch']:,}", labelpad=8)
    axes.set_title(f"{unit} by {key}", loc="left", fontsize=14, fontweight="bold", pad=26)
    convention = counting["convention"]
    said = f"counting {MEANING[convention]} (convention {convention}); both axes logarithmic"
    axes.text(0, 1.025, said, transform=axes.transAxes, fontsize=10, color=GREY)
    axes.grid(True, color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _si(value: float) -> str:
    """A tick: `20 G`."""
    return render.human(round(value)).replace(".00", "").replace(".0 ", " ")


def _ticks(values: Sequence[float]) -> list[float]:
    """Some of the swept values, evenly spaced on the axis and not too close, the last one among them."""
    wanted = list(values)
    if len(values) > TICKS:
        ratio = (values[-1] / values[0]) ** (1 / (TICKS - 1))
        goals = [values[0] * ratio**index for index in range(TICKS)]
        wanted = sorted({min(values, key=lambda value: abs(value / goal - 1)) for goal in goals})
    apart = (values[-1] / values[0]) ** 0.04
    shown = [wanted.pop()]
    while wanted:
        value = wanted.pop()
        if shown[-1] >= value * apart:
            shown.append(value)
    return shown[::-1]
