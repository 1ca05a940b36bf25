"""Everything that reaches a terminal goes through here: problems, figures, tables, JSON.

Text from files and arguments is never markup, and no control character of it is written (`safe`). Prose is wrapped on a
terminal only; in a pipe a message is one line. rich is imported inside functions, so that JSON needs none of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from registry.errors import Problem, clip
from registry.limits import LIMITS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDTH = 120
"""Columns where there is no terminal to ask and COLUMNS is not set."""
LONGEST = 2_000
"""Characters of any one text; more are cut."""
TIMES = "\N{MULTIPLICATION SIGN}"
GAP = 3
"""Cells between two columns of a table."""
LABEL = 48
"""Cells the labels of a tree should have, before columns beside it are left out."""
PROSE = 24
"""Cells that prose should have, before what is beside it is cut; with less than half of them it is cut as well."""
PATIENCE = 1.0
"""Seconds before a bar shows how far it is."""
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan", "hint": "green", "place": "blue"}
PREFIXES = ("", "k", "M", "G", "T", "P", "E")
Item = TypeVar("Item")
_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|[^\s,\[\]{}]+|.""")


class Lines(Protocol):
    """Where the lines that problems point to come from; see `inputs.Files`."""

    def line(self, file: str | None, number: int | None) -> str | None:
        """Line `number` (1-based) of `file`, or None."""

    def override(self, path: str) -> str:
        """The `--set` argument that wrote `path`, or an empty string."""


# ---- where text goes --------------------------------------------------------------------------------------------


def stdout() -> Console:
    """The console for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """The console for complaints and progress."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    from rich.console import Console

    width = shutil.get_terminal_size((WIDTH, 40)).columns
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def data(value: Any) -> None:
    """JSON on stdout, in ASCII, so that it is the same everywhere and harmless to a terminal."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Comma-separated values on stdout: exact numbers, nothing for None, JSON for lists and mappings."""
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([safe(head) for head in header])
    for row in rows:
        writer.writerow([_csv_cell(cell) for cell in row])


def _csv_cell(value: object) -> object:
    if isinstance(value, (bool, list, tuple, dict)):
        return json.dumps(value)
    return safe(value) if isinstance(value, str) else value


def plain(line: str) -> None:
    """One line on stdout as it is, such as a workflow command."""
    sys.stdout.write(safe(line) + "\n")


def safe(text: object) -> str:
    """`text` without control and bidirectional characters, not too long."""
    return clip(text, LONGEST)


def write(console: Console, text: Text, hang: int = 4) -> None:
    """One paragraph: wrapped on a terminal, with `hang` spaces before its further lines."""
    from rich.text import Text

    if not console.is_terminal:
        console.print(text, soft_wrap=True)
        return
    for number, line in enumerate(text.wrap(console, max(console.width - hang, 20))):
        line.rstrip()
        console.print(Text(" " * hang if number else "") + line, soft_wrap=True)


def styled(*pieces: str | tuple[str, str]) -> Text:
    """Text of plain and (text, style) pieces, each made safe."""
    from rich.text import Text

    pairs = [(piece, "") if isinstance(piece, str) else piece for piece in pieces]
    return Text.assemble(*[(safe(text), style) for text, style in pairs])


# ---- sentences --------------------------------------------------------------------------------------------------


def success(*words: str | tuple[str, str]) -> None:
    """What went well, on stdout."""
    write(stdout(), styled(("✓ ", "bold green"), *words), hang=2)


def failure(message: str, hint: str = "") -> None:
    """One sentence about what went wrong, on stderr."""
    console = stderr()
    write(console, styled(("error", STYLES["error"]), f": {message}"))
    if hint:
        write(console, styled(("  hint", STYLES["hint"]), f": {hint}"))


def warning(message: str) -> None:
    """One sentence about what is odd, on stderr."""
    write(stderr(), styled(("warning", STYLES["warning"]), f": {message}"))


# ---- problems ---------------------------------------------------------------------------------------------------


def problems(found: Sequence[Problem], lines: Lines, console: Console) -> None:
    """Every problem with its place, its line and a caret; at most `LIMITS.problems_shown` of them."""
    for problem in found[: LIMITS.problems_shown]:
        _problem(problem, lines, console)
    if len(found) > LIMITS.problems_shown:
        write(console, styled(f"and {len(found) - LIMITS.problems_shown} more"))
        console.print()


def _problem(problem: Problem, lines: Lines, console: Console) -> None:
    style = STYLES[problem.severity]
    write(console, styled((f"{problem.severity}[{problem.code}]", style), (f": {problem.message}", "bold")))
    place = _place(problem, lines)
    if place or problem.path:
        path = f"   {problem.path}" if place else problem.path
        write(console, styled(("  --> ", STYLES["place"]), place, (path, "dim")), hang=6)
    _excerpt(problem, lines.line(problem.file, problem.line), console)
    if problem.hint:
        write(console, styled(("  hint", STYLES["hint"]), f": {problem.hint}"))
    console.print()


def _place(problem: Problem, lines: Lines) -> str:
    """`file:line:column`, or the `--set` argument."""
    if problem.file is None:
        return ""
    if problem.file == "--set":
        return f"--set {lines.override(problem.path)}".rstrip()
    numbers = [str(number) for number in (problem.line, problem.column) if number is not None]
    return ":".join([relative(problem.file), *numbers])


def relative(file: str) -> str:
    """A path relative to the current directory when it is inside it."""
    try:
        return str(Path(os.path.abspath(file)).relative_to(Path.cwd())) if os.path.exists(file) else file
    except (OSError, ValueError):
        return file


def _excerpt(problem: Problem, line: str | None, console: Console) -> None:
    """The line that is wrong, and a caret under the value."""
    if line is None:
        return
    number = str(problem.line)
    shown, start, length = _window(line, problem.column, max(console.width - len(number) - 6, 40))
    gutter = " " * (3 + len(number))
    console.print(styled((f"   {number} | ", STYLES["place"]), shown), soft_wrap=True)
    if length:
        caret = (" " * start + "^" * length, STYLES[problem.severity])
        console.print(styled((f"{gutter} | ", STYLES["place"]), caret), soft_wrap=True)


def _window(line: str, column: int | None, room: int) -> tuple[str, int, int]:
    """The part of `line` to show in `room` cells, and where in it the carets start and how many there are."""
    from rich.cells import cell_len, set_cell_size

    at = min(column or 1, len(line) + 1) - 1
    token = _TOKEN.match(line, at)
    before = _visible(line[:at])
    value = _visible(token[0]) if token else ""
    value = value.removesuffix(":") if len(value) > 1 else value
    shown = _visible(line)
    start, length = cell_len(before), min(max(cell_len(value), 1), room // 2) if column else 0
    if cell_len(shown) > room and start + length > room - 1:
        # Far to the right: show the value with some of what is before it.
        cut = max(len(before) - room // 3, 0)
        shown, start = "…" + shown[cut:], cell_len(before[cut:]) + 1
    if cell_len(shown) > room:
        shown = set_cell_size(shown, room - 1).rstrip() + "…"
    return shown, start, length


def _visible(text: str) -> str:
    """Tabs as four spaces, other control characters escaped; the same for a line and for the start of it."""
    return "    ".join(clip(piece, len(piece) + 1) for piece in text.split("\t"))


def verdict(preset: str, found: Sequence[Problem], console: Console) -> None:
    """The line that sums up an invalid preset."""
    write(console, styled(("✗ ", STYLES["error"]), (preset, "bold"), f" is invalid ({tally(found)})"), hang=2)


def tally(found: Iterable[Problem]) -> str:
    """`2 errors, 1 warning`."""
    severities = [problem.severity for problem in found]
    counts = [(severities.count(severity), severity) for severity in ("error", "warning", "note")]
    return ", ".join(plural(count, severity) for count, severity in counts if count)


def github(problem: Problem) -> str:
    """A problem as a workflow command, which GitHub shows beside the line in a pull request."""
    level = "notice" if problem.severity == "note" else problem.severity
    known = {
        "file": relative(problem.file) if problem.file not in (None, "--set") else None,
        "line": problem.line,
        "col": problem.column,
        "title": problem.code,
    }
    properties = ",".join(f"{key}={_escape(value, True)}" for key, value in known.items() if value is not None)
    path = f"{problem.path}: " if problem.path else ""
    hint = f" (hint: {problem.hint})" if problem.hint else ""
    return f"::{level} {properties}::{_escape(f'{path}{problem.message}{hint}', False)}"


def _escape(value: object, is_property: bool) -> str:
    text = safe(value).replace("%", "%25")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text


# ---- progress ---------------------------------------------------------------------------------------------------


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Pass `items` on; a bar on stderr, if that is a terminal, once it has taken longer than `PATIENCE`."""
    console = stderr()
    if not console.is_terminal:
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(what, total=total)
    start, shown = time.monotonic(), False
    try:
        for done, item in enumerate(items, 1):
            yield item
            if not shown and time.monotonic() - start > PATIENCE:
                bar.start()
                shown = True
            if shown:
                bar.update(task, completed=done)
    finally:
        if shown:
            bar.stop()


# ---- figures ----------------------------------------------------------------------------------------------------


def plural(count: int, noun: str) -> str:
    """`1 error`, `2 errors`, `1,024 errors`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def human(count: int, unit: str = "") -> str:
    """Three digits and an SI prefix: `9.21 G`."""
    number, step = float(count), 0
    # 999.5 would be written 1000.
    while number >= 999.5 and step < len(PREFIXES) - 1:
        number, step = number / 1000, step + 1
    if step == 0:
        return f"{count} {unit}".rstrip()
    digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{digits}f} {PREFIXES[step]}{unit}"


def percent(part: int, whole: int) -> str:
    """A share with one digit, without the sign; nothing for none."""
    if not part or not whole:
        return ""
    share = 100 * part / whole
    return f"{share:.1f}" if share >= 0.1 else "<0.1"


def bar(part: int, whole: int, width: int) -> str:
    """A bar as long as the share, in eighths of a cell; nothing only for nothing."""
    eighths = max(round(8 * width * part / whole), 1) if part > 0 and whole > 0 else 0
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def shape(value: Any) -> str:
    """A planned shape: `BxHxWxC` with proper signs, or nothing."""
    return extents(value.labels) if value is not None else ""


def extents(labels: Iterable[object]) -> str:
    """The extents of a shape as people write them."""
    return TIMES.join(map(str, labels))


# ---- tables -----------------------------------------------------------------------------------------------------


@dataclass
class Column:
    """A column of a `Table`.

    Attributes:
        right: Of figures: aligned to the right.
        folds: Of prose: wrapped where there is no room for it on one line, instead of cut.
        max_width: Cells it may have, None for any number.
        cells: Its heading, if the table has a head, and what the rows hold.
    """

    right: bool = False
    folds: bool = False
    max_width: int | None = None
    cells: list[Text] = field(default_factory=list)


class Table:
    """Rows of text in columns, each as wide as it needs to be where there is room for it.

    The tables of rich can do more; to lay out one of these takes them longer than it takes to check and cost a network.
    """

    def __init__(self, columns: Sequence[Column], gap: int, has_head: bool) -> None:
        """Make a table without rows; where it has a head, the headings are the first cells of the columns."""
        self.columns = columns
        self.row_count = 0
        self._gap = gap
        self._has_head = has_head

    def add_row(self, *cells: str | Text) -> None:
        """Add a row of a cell for each column; the last ones may be left out."""
        missing = len(self.columns) - len(cells)
        for column, cell in zip(self.columns, (*cells, *[""] * missing), strict=True):
            column.cells.append(styled(cell) if isinstance(cell, str) else cell)
        self.row_count += 1

    def lines(self, console: Console, room: int | None) -> Iterator[Text]:
        """The table line by line, without spaces at their ends.

        Args:
            console: Where they are printed.
            room: Cells that a line may take; None for any number.
        """
        widths = self._widths(room)
        for index, row in enumerate(zip(*(column.cells for column in self.columns), strict=True)):
            pieces = [_fold(*piece, console) for piece in zip(row, self.columns, widths, strict=True)]
            for cells in zip_longest(*pieces):
                yield self._line(cells, widths)
            if index == 0 and self._has_head:
                yield styled(("─" * (sum(widths) + self._gap * (len(widths) - 1)), "dim"))

    def _line(self, cells: Sequence[Text | None], widths: Sequence[int]) -> Text:
        from rich.text import Text

        line, start, end = Text(), 0, 0
        for cell, column, width in zip(cells, self.columns, widths, strict=True):
            if cell:
                at = start + (width - cell.cell_len if column.right else 0)
                line.append(" " * (at - end)).append_text(cell)
                end = at + cell.cell_len
            start += width + self._gap
        line.rstrip()
        return line

    def _widths(self, room: int | None) -> list[int]:
        """Cells for each column: what it needs; less where there is no room, prose first, then the widest."""
        widths = [max((cell.cell_len for cell in column.cells), default=0) for column in self.columns]
        widths = [min(width, column.max_width or width) for width, column in zip(widths, self.columns, strict=True)]
        excess = 0 if room is None else sum(widths) + self._gap * (len(widths) - 1) - room
        prose = [index for index, column in enumerate(self.columns) if column.folds]
        for shrinking, least in ((prose, PROSE), (range(len(widths)), 1)):
            while excess > 0 and any(widths[index] > least for index in shrinking):
                widths[max(shrinking, key=widths.__getitem__)] -= 1
                excess -= 1
        return widths


def _fold(cell: Text, column: Column, width: int, console: Console) -> Sequence[Text]:
    """A cell as lines of at most `width`."""
    if cell.cell_len <= width:
        return [cell]
    if column.folds and width >= PROSE // 2:
        return list(cell.wrap(console, width, overflow="fold"))
    cut = cell.copy()
    cut.truncate(width, overflow="ellipsis")
    return [cut]


def table(*columns: str, right: Iterable[str] = (), flexible: Iterable[str] = ()) -> Table:
    """A table without lines but one below its head.

    Args:
        columns: Headings.
        right: Those of figures.
        flexible: Those of prose, which may be wrapped; others stay on one line.
    """
    made = [Column(head in right, head in flexible, cells=[styled((head, "bold"))]) for head in columns]
    return Table(made, GAP, has_head=True)


def grid(*justify: str) -> Table:
    """A table without head and lines; one column for each of `left`, `right` and `prose` (which is wrapped)."""
    return Table([Column(how == "right", how == "prose") for how in justify], 2, has_head=False)


def branch(guide: str, name: str, count: int, kind: str) -> Text:
    """The first cell of a row of a tree: guide, name, how many, type."""
    many = f" {TIMES}{count}" if count > 1 else ""
    if not name:
        return styled((kind, "bold"))
    return styled((guide, "dim"), name, (many, "cyan"), ("" if name == kind else f"  {kind}", "dim"))


def tree_table(
    labels: Sequence[Text], columns: Mapping[str, Sequence[str]], left: Sequence[str] = (), optional: Sequence[str] = ()
) -> None:
    """Print a tree with columns beside it.

    Args:
        labels: First cells, from `branch`.
        columns: The other cells by heading, one for each label.
        left: Headings of columns that are no figures.
        optional: Headings of columns to leave out where there is no room, the first one first.
    """
    console = stdout()
    shown = dict(columns)
    natural = max(len("component"), *(label.cell_len for label in labels))
    room = natural
    for drop in [None, *optional]:
        if drop:
            shown.pop(drop, None)
        widths = [max(len(head), *map(len, cells)) + GAP for head, cells in shown.items()]
        room = console.width - sum(widths)
        if not console.is_terminal or room >= min(natural, LABEL):
            break
    made = table("component", *shown, right=[head for head in shown if head not in left])
    if console.is_terminal:
        made.columns[0].max_width = max(min(natural, room), 10)
    for label, *cells in zip(labels, *shown.values(), strict=True):
        made.add_row(label, *cells)
    show(made, console)


def show(table: Table, console: Console | None = None, indent: int = 0) -> None:
    """Print a table; in a pipe it is as wide as it needs to be."""
    from rich.text import Text

    console = console or stdout()
    room = console.width - indent if console.is_terminal else None
    lines = [Text(" " * indent).append_text(line) for line in table.lines(console, room)]
    if lines:
        console.print(Text("\n").join(lines), soft_wrap=True)


def heading(text: str, *more: str | tuple[str, str]) -> None:
    """A bold line, and words after it."""
    write(stdout(), styled((text, "bold"), *more), hang=0)


def footnote(text: str) -> None:
    """A line below a table, with a blank one between."""
    plain("")
    heading("", (text, "dim"))
