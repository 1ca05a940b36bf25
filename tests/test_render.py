"""What is written to a terminal: problems, figures, trees, and that nothing else gets through."""

from __future__ import annotations

import io
from pathlib import Path
from textwrap import dedent

import pytest
from rich.console import Console

from cli import guard, inputs, render, tree
from registry.errors import Problem
from registry.limits import LIMITS
from registry.plan import load

X = render.TIMES


def shown(*problems: Problem, overrides: tuple[str, ...] = (), width: int = 120, terminal: bool = False) -> str:
    """The text of some problems."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=terminal, color_system=None, markup=False, highlight=False
    )
    render.problems(problems, inputs.Files(overrides), console)
    return stream.getvalue()


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file in a folder below the current one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "presets" / "mine.yaml"
    path.parent.mkdir()
    text = """\
        network:
          type: attention
          num_heads: 7
        \tnorm: [rms_norm,\t'x y', 界界]
        """
    path.write_bytes(dedent(text).encode())
    return str(path)


# ---- problems ---------------------------------------------------------------------------------------------------


def test_an_error_with_place_line_caret_and_hint(preset: str) -> None:
    message = "Expected hidden_dim to be divisible by num_heads=7, got 384"
    problem = Problem("not-divisible", message, "try num_heads: 6 or 8", "network.num_heads", preset, 3, 14)
    assert shown(problem) == dedent(
        """\
        error[not-divisible]: Expected hidden_dim to be divisible by num_heads=7, got 384
          --> presets/mine.yaml:3:14   network.num_heads
           3 |   num_heads: 7
             |              ^
          hint: try num_heads: 6 or 8

        """
    )


def test_a_warning_without_hint_and_a_note_without_place(preset: str) -> None:
    warning = Problem("odd", "Expected less", "", "network.type", preset, 2, 9, "warning")
    note = Problem("fact", "Expected nothing", "", "network", severity="note")
    assert shown(warning, note) == dedent(
        """\
        warning[odd]: Expected less
          --> presets/mine.yaml:2:9   network.type
           2 |   type: attention
             |         ^^^^^^^^^

        note[fact]: Expected nothing
          --> network

        """
    )


def test_a_problem_of_nothing_in_particular() -> None:
    problem = Problem("unknown-preset", "Expected a preset", "arch presets lists them")
    assert shown(problem) == "error[unknown-preset]: Expected a preset\n  hint: arch presets lists them\n\n"


def test_an_override_is_quoted() -> None:
    problem = Problem("bad-value", "Expected less", "", "network.mixer.num_heads", "--set")
    assert "  --> --set mixer={a: 1}   network.mixer.num_heads\n" in shown(
        problem, overrides=("x=1", "mixer={a: 1}", "mixer.num=1")
    )
    assert "  --> --set   network.mixer.num_heads\n" in shown(problem)


def test_tabs_wide_characters_and_quotes_keep_the_caret_in_place(preset: str) -> None:
    quoted = shown(Problem("c", "m", "", "p", preset, 4, 19)).splitlines()
    assert quoted[2:4] == [
        "   4 |     norm: [rms_norm,    'x y', 界界]",
        "     |                         ^^^^^",
    ]
    wide = shown(Problem("c", "m", "", "p", preset, 4, 26)).splitlines()
    assert wide[3] == "     |                                ^^^^"


@pytest.mark.parametrize(("line", "column"), [(99, 1), (None, None), (0, 0)])
def test_a_line_that_is_not_there_is_not_shown(preset: str, line: int | None, column: int | None) -> None:
    assert "|" not in shown(Problem("c", "m", "", "p", preset, line, column))


def test_a_column_beyond_the_line_points_to_its_end(preset: str) -> None:
    assert shown(Problem("c", "m", "", "p", preset, 1, 500)).splitlines()[3] == "     |         ^"


def test_a_long_line_is_cut_around_the_caret(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text("a: [" + "1, " * 500 + "bad, " + "2, " * 500 + "]\n")
    text = shown(Problem("c", "m", "", "p", str(path), 1, 1505), width=80)
    line, caret = text.splitlines()[2:4]
    assert len(line) <= 80
    assert line[caret.index("^") : caret.rindex("^") + 1] == "bad"
    assert line.startswith("   1 | …")
    assert line.endswith("…")


def test_a_document_that_is_gone_or_a_pipe_has_no_lines(tmp_path: Path) -> None:
    assert inputs.Files().line(str(tmp_path / "gone.yaml"), 1) is None
    assert inputs.Files().line("/dev/null", 1) is None
    assert inputs.Files().line(None, 1) is None


def test_no_control_sequence_and_no_markup_gets_through(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[31m.yaml"
    path.write_bytes(b"a: \x1b]0;title\x07 [bold]b[/bold] \xe2\x80\xae\xff\n")
    evil = "\x1b[31m [red]x[/red] \u202e \r\n \x9b"
    problem = Problem("c", evil, evil, evil, str(path), 1, 4)
    text = shown(problem)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    assert "\x9b" not in text
    assert "\x07" not in text
    assert r"   1 | a: \x1b]0;title\x07 [bold]b[/bold] \u202e" in text
    assert r"error[c]: \x1b[31m [red]x[/red] \u202e \r\n \x9b" in text


def test_too_many_problems_are_counted() -> None:
    text = shown(*[Problem("c", f"number {index}") for index in range(LIMITS.problems_shown + 3)])
    assert text.count("error[c]") == LIMITS.problems_shown
    assert text.endswith("\nand 3 more\n\n")


def test_prose_is_wrapped_on_a_terminal_only() -> None:
    problem = Problem("code", "Expected " + "word " * 20 + "end", "try " + "this " * 20)
    assert max(map(len, shown(problem).splitlines())) > 100
    lines = shown(problem, width=60, terminal=True).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("    word")
    assert all(line == line.rstrip() for line in lines)


def test_paths_outside_the_current_directory_stay_absolute(
    preset: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert render.relative(preset) == "presets/mine.yaml"
    other = tmp_path_factory.mktemp("other") / "x.yaml"
    other.touch()
    assert render.relative(str(other)) == str(other)
    assert render.relative("<stdin>") == "<stdin>"


def test_github_annotations_are_escaped(preset: str) -> None:
    problem = Problem("a-code", "100 % of a: b, c", "x\ny", "network.norm", preset, 3, 14)
    assert render.github(problem) == (
        "::error file=presets/mine.yaml,line=3,col=14,title=a-code::"
        r"network.norm: 100 %25 of a: b, c (hint: x\ny)"
    )
    note = Problem("a,b:c%", "m", severity="note")
    assert render.github(note) == "::notice title=a%2Cb%3Ac%25::m"
    assert render.github(Problem("c", "m", "", "p", "--set", severity="warning")) == "::warning title=c::p: m"


def test_tally() -> None:
    problems = [Problem("c", "m", severity=severity) for severity in ("error", "note", "error", "warning")]
    assert render.tally(problems) == "2 errors, 1 warning, 1 note"
    assert render.tally([]) == ""


# ---- figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.00 k"),
        (9_994, "9.99 k"),
        (9_995, "10.0 k"),
        (99_949, "99.9 k"),
        (99_950, "100 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (9_584_244_368, "9.58 G"),
        (10**18, "1.00 E"),
        (10**23, "100000 E"),
    ],
)
def test_human(count: int, text: str) -> None:
    assert render.human(count) == text


def test_other_figures() -> None:
    assert render.human(12, "B") == "12 B"
    assert render.human(1_200, "B") == "1.20 kB"
    assert [render.percent(part, 1_000) for part in (0, 1, 5, 1_000)] == ["", "0.1", "0.5", "100.0"]
    assert render.percent(1, 10_000) == "<0.1"
    assert render.percent(1, 0) == ""
    assert [render.plural(count, "error") for count in (0, 1, 1_024)] == ["0 errors", "1 error", "1,024 errors"]


# ---- trees ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indices", "text"),
    [
        ([3], "3"),
        (range(12), "0-11"),
        ([0, 2], "{0,2}"),
        (range(0, 12, 2), "{0,2,…,10}"),
        ([0, 3, 4, 7], "{0,3,4,7}"),
        ([0, 3, 4, 7, 9], "{0,3,4,…,9}"),
    ],
)
def test_spans(indices: list[int], text: str) -> None:
    assert tree.spans(indices) == text


def test_equal_blocks_are_one_row() -> None:
    rows = tree.rows(load("vit5_hybrid").tree(), depth=1)
    blocks = [row for row in rows if row.name.startswith("blocks")]
    assert [(row.name, row.count) for row in blocks] == [("blocks.{0,2,…,10}", 6), ("blocks.{1,3,…,11}", 6)]
    assert rows[0].guide == rows[0].name == ""
    assert rows[-1].guide == "└─ "


def test_rows_add_up() -> None:
    root = load("vit5_hybrid").tree()
    rows = tree.rows(root)
    assert sum(row.times for row in rows) == sum(1 for _ in root.walk())


# ---- encodings --------------------------------------------------------------------------------------------------


def test_symbols_become_ascii_of_the_same_width() -> None:
    guard.tolerate_encodings()
    symbols = "".join(guard.ASCII)
    assert len(symbols.encode("ascii", errors="arch")) == len(symbols)
    assert "é✓".encode("ascii", errors="arch") == rb"\xe9+"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", errors="arch")
