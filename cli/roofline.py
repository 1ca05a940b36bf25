"""`arch roofline`: what limits each module on a device, as an estimate; `arch devices`: the devices there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from cli import compare, inputs, render
from cli.figures import cell
from cli.guard import Refused
from registry import devices
from registry.breakdown import Share
from registry.devices import CEILINGS, Device
from registry.errors import InvalidConfig
from registry.roofline import FUSIONS, By, Fusion, Part, Roofline, roofline

if TYPE_CHECKING:
    from rich.text import Text

OPTIONAL = ("bytes", "FLOPs", "FLOP/B")
"""Columns to leave out where there is no room, the first one first."""
SHORTEST = 20
"""Cells that labels should have, if they need them, before a column is left out."""
TIMES = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
"""Units of time."""
COARSE = (
    "an estimate: ceilings are peaks, launches cost nothing; unfused: every operation reads and writes memory; "
    "fused: every module reads and writes once; FLOP/B and bound are from one to the other; "
    "each row is what its modules do themselves"
)


def show_roofline(
    preset: str,
    overrides: list[str],
    device: str,
    batch: int,
    mode: str,
    dtype: str,
    cached_kernels: bool,
    by: By,
    depth: int | None,
    fused: bool,
    form: str,
) -> None:
    """Print what bounds every module of a preset."""
    if mode != "forward":
        raise Refused(f"Expected --mode forward, got {mode}: the bytes that a backward pass moves are not known")
    found = _device(device)
    if dtype not in found.dtypes:
        raise Refused(f"Expected --dtype that {device} has rates for, {', '.join(found.dtypes)}, got {dtype}")
    plan = inputs.load(preset, overrides)
    estimate = roofline(plan, found, batch, dtype=dtype, cached_kernels=cached_kernels)
    if estimate.weights > found.memory:
        weights, memory = render.human(estimate.weights, "B"), _rate(found.memory, "B")
        render.warning(f"Expected weights that the {memory} of {found.title} hold, got {weights}")
    if form == "json":
        render.data({**estimate.to_dict(by, depth), "preset": preset, "device": _row(device, found)})
    elif form == "csv":
        _csv(estimate, by, depth)
    else:
        _text(preset, estimate, by, depth, "fused" if fused else "unfused")


def _device(name: str) -> Device:
    """The device of a name or a file; what is wrong with it goes to stderr.

    Raises:
        Refused: there is no such device.
        typer.Exit: the file is invalid or cannot be read.
    """
    try:
        return devices.load(name)
    except InvalidConfig as refused:
        inputs.refuse(name, refused, inputs.Files())
    except devices.UnknownDevice as error:
        raise Refused(str(error)) from None


def _csv(estimate: Roofline, by: By, depth: int | None) -> None:
    figures = ("bytes", "intensity", "bound", "seconds")
    heads = [f"{fusion}_{figure}" for fusion in FUSIONS for figure in figures]
    rows = []
    for part in estimate.parts(by, depth):
        plain = part.to_dict()
        known = [plain[figure][fusion] for fusion in FUSIONS for figure in figures]
        rows.append([part.name, part.type, part.count, part.params, *plain["flops"].values(), *known])
    render.csv([by, "type", "count", "params", "flops", *CEILINGS, *heads], rows)


# ---- for people -------------------------------------------------------------------------------------------------


def _text(preset: str, estimate: Roofline, by: By, depth: int | None, fusion: Fusion) -> None:
    plan = estimate.plan
    render.heading(preset, f": {plan.summary}" if plan.summary else "")
    cached = ", kernels cached" if estimate.cached_kernels else ""
    said = f"forward pass of batch {estimate.batch:,} in {estimate.dtype}{cached} on {estimate.device.title}"
    render.heading("", ("estimate", "bold"), (f": {said}", "dim"))
    render.plain("")
    _ceilings(estimate)
    render.plain("")
    _times(estimate, fusion)
    render.plain("")
    _parts(estimate, by, depth, fusion)
    render.footnote(COARSE)


def _ceilings(estimate: Roofline) -> None:
    """Peaks and ridge points."""
    device = estimate.device
    grid = render.grid("left", "right", "right", "left")
    for unit, peak in estimate.ceilings.items():
        notes = [f"{device.fft.fraction:g} of vector, {'assumed' if device.fft.assumed else 'measured'}"]
        ridge = f"ridge {_digits(estimate.ridges[unit])} FLOP/B"
        grid.add_row(unit, _rate(peak, "FLOP/s"), ridge, render.styled((notes[0] if unit == "fft" else "", "dim")))
    grid.add_row("memory", _rate(device.bandwidth, "B/s"), "", "")
    render.show(grid)
    if device.assumed:
        render.heading("", (f"assumed: {device.source}", "dim"))


def _times(estimate: Roofline, fusion: Fusion) -> None:
    """The whole network without fusion and with it."""
    total = estimate.total
    grid = render.grid("left", "right", "right", "right", "left")
    for way in FUSIONS:
        seconds = total.seconds[way]
        shares = [(bound, render.percent(_tiny(seconds[bound]), _tiny(total.time(way)))) for bound in seconds]
        shares.sort(key=lambda share: -seconds[share[0]])
        grid.add_row(
            render.styled((way, "bold" if way == fusion else "")),
            _time(total.time(way)),
            render.human(total.bytes[way], "B"),
            f"{_digits(total.intensity(way))} FLOP/B",
            render.styled((", ".join(f"{bound} {share} %" for bound, share in shares), "dim")),
        )
    render.show(grid)


def _parts(estimate: Roofline, by: By, depth: int | None, fusion: Fusion) -> None:
    """One row a part, the slowest first; modules that differ in nothing but indices are one row."""
    groups = sorted(_fold(estimate.parts(by, depth), by), key=lambda group: -group[1].time(fusion))
    labels, parts = [label for label, _ in groups], [part for _, part in groups]
    times = [_tiny(part.time(fusion)) for part in parts]
    columns = {
        "FLOPs": [cell(sum(part.flops.values())) for part in parts],
        "bytes": [render.human(part.bytes[fusion], "B") for part in parts],
        "FLOP/B": [_range([_digits(part.intensity(way)) for way in FUSIONS], "-") for part in parts],
        "bound": [_range([part.bound(way) for way in FUSIONS], " → ") for part in parts],
        "time": [_time(part.time(fusion)) for part in parts],
        "%": [render.percent(time, sum(times)) for time in times],
    }
    longest = max((label.cell_len for label in labels), default=0)
    room = _make_room(columns, longest)
    width = compare.BAR if room is None else min(compare.BAR, max(compare.SHORT, room - longest))
    bars = [render.styled((render.bar(time, max(times), width), "cyan")) for time in times]
    made = render.table(compare.HEADS[by], *columns, "", right=[head for head in columns if head != "bound"])
    for label, *cells, drawn in zip(labels, *columns.values(), bars, strict=True):
        made.add_row(label, *cells, drawn)
    if room is not None:
        made.columns[0].max_width = max(room - width, compare.SHORT)
    render.show(made)


def _make_room(columns: dict[str, list[str]], label: int) -> int | None:
    """Leave columns out where there is no room; cells for label and bar then, None where it does not matter.

    Args:
        columns: Cells by heading.
        label: Cells of the longest label.
    """
    console = render.stdout()
    if not console.is_terminal:
        return None
    for drop in (None, *OPTIONAL):
        if drop:
            del columns[drop]
        taken = sum(max(map(len, (head, *cells))) + render.GAP for head, cells in columns.items())
        room = console.width - taken - render.GAP
        if room >= min(label, SHORTEST) + compare.SHORT:
            break
    return room


def _fold(parts: Sequence[Part], by: By) -> list[tuple[Text, Part]]:
    """Parts that differ in nothing but indices together, each group with its label."""
    known = {part.name: part for part in parts}
    shares = [Share(part.name, part.type, part.count, sum(part.flops.values()), part.params, {}) for part in parts]
    groups = compare.fold(shares) if by == "path" else [[share] for share in shares]
    return [(compare.row_label(group, by), reduce(Part.plus, [known[one.name] for one in group])) for group in groups]


def _range(ends: Sequence[str], between: str) -> str:
    """Two ends in few characters."""
    return between.join(dict.fromkeys(filter(None, ends)))


def _rate(peak: float, unit: str) -> str:
    return render.human(round(peak), unit)


def _digits(number: float | None) -> str:
    """A number with three digits at most; nothing for None."""
    return "" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _tiny(seconds: float) -> int:
    """Whole attoseconds, of which shares are computed."""
    return round(seconds * 1e18)


def _time(seconds: float) -> str:
    """Three digits and a unit: `1.20 ms`."""
    unit, size = next((pair for pair in TIMES if seconds >= 0.9995 * pair[1]), TIMES[-1])
    number = seconds / size
    return f"{number:,.{2 if number < 9.995 else 1 if number < 99.95 else 0}f} {unit}"


# ---- the devices ------------------------------------------------------------------------------------------------


def show_devices(form: str) -> None:
    """Print every device with its figures and their source."""
    known = devices.devices()
    if form == "json":
        render.data([_row(name, device) for name, device in known.items()])
        return
    right = ("float32", "bfloat16", "float16", "vector", "memory", "size")
    made = render.table("device", *right, "source", right=right, flexible=("source",))
    for name, device in known.items():
        rates = [getattr(device.matrix, dtype) for dtype in ("float32", "bfloat16", "float16")]
        cells = [render.human(round(rate)) if rate else "" for rate in (*rates, device.vector.float32)]
        sizes = [_rate(device.bandwidth, "B/s"), _rate(device.memory, "B")]
        source = f"{'assumed: ' if device.assumed else ''}{device.source}"
        made.add_row(render.styled((name, "bold")), *cells, *sizes, render.styled((source, "dim")))
    render.show(made)
    render.footnote("FLOP/s of products by type (dense), and of everything else in float32; FFT rates are assumptions")


def _row(name: str, device: Device) -> dict[str, Any]:
    return {"name": name, **device.model_dump()}
