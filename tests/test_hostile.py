"""Hostile input through the command line, in processes with little memory: one clear answer, whatever is read.

The corpus goes through in a few runs of many files; what once killed a reader of YAML runs on its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_reader import CORPUS, EXPECTED, LARGE, ROOT

MEMORY = 2 * 1024**3
"""Bytes of address space."""
SECONDS = 3.0
"""Of processor time, for one hostile file: start of the interpreter included."""
CANARY = "canary-5ecre7"
ENVIRONMENT = {**os.environ, "PATH_CANARY": CANARY, "HOME": f"/nowhere/{CANARY}", "COLUMNS": "120"}
KILLERS = (
    "deep_flow_100k",
    "deep_mapping_25k",
    "deep_dashes_100k",
    "deep_unclosed_1M",
    "alias_bomb_5x10",
    "alias_quadratic_3000",
    "wide_20000_keys",
    "huge_hex",
    "50MB_keys",
)
"""Documents that ended another reader's process, or filled its memory, or took it a minute."""


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


Done = subprocess.CompletedProcess[bytes]


def arch(*arguments: str, stdin: bytes = b"", cwd: Path = ROOT, program: str = "") -> Done:
    """Run the command line in a process of its own, `program` before it."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{program}\nfrom cli.main import run; run()"
    command = [sys.executable, "-c", start, *arguments]
    done = subprocess.run(
        command, input=stdin, cwd=cwd, env=ENVIRONMENT, capture_output=True, timeout=60, check=False, preexec_fn=_limits
    )
    assert done.returncode in (0, 1, 2), done.stderr.decode()
    output = done.stdout + done.stderr
    assert b"Traceback" not in output
    assert CANARY.encode() not in output
    assert all(c.isprintable() or c == "\n" for c in output.decode()), "control characters"
    return done


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The large documents as files."""
    folder = tmp_path_factory.mktemp("large")
    for name, (text, _) in LARGE.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


MANY = {
    "fields": "type: vit5_classification_net\n" + "".join(f"k{i}: 1\n" for i in range(9000)),
    "long_fields": "type: s4\n" + "".join(f"{'hidden_dimension_of_x' * 2}{i}: 1\n" for i in range(5000)),
    "keys": "network: {type: rms_norm, dim: 8}\n" + "".join(f"networ{i}: 1\n" for i in range(9000)),
    "input": "network: {type: rms_norm, dim: 8}\ninput:\n" + "".join(f"  shap{i}: 1\n" for i in range(9000)),
    "types": "type: vit5_classification_net\nlayer_types:\n"
    + "".join(f"  k{i}: {{type: mlpp}}\n" for i in range(4500)),
    "items": "type: position_embedding_nd\nmax_dim_lengths: [" + "a, " * 9000 + "a]\n",
}
"""Documents with thousands of faults. Each was a matter of seconds once."""


def _answers(paths: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    done = arch("validate", *map(str, paths), "--format", "json")
    assert done.returncode == 2
    for path, verdict in zip(paths, json.loads(done.stdout), strict=True):
        assert verdict["preset"] == str(path)
        yield path.stem, verdict


def _check(name: str, verdict: dict[str, Any], code: str | None) -> None:
    assert not verdict["valid"]
    first = verdict["problems"][0]
    assert first["message"].startswith("Expected ")
    assert first["severity"] == "error"
    if code is not None:
        assert first["code"] == code, name
        assert first["line"] >= 1
        assert first["column"] >= 1
    assert len(json.dumps(first)) < 2_000


def test_the_corpus_in_one_run() -> None:
    for name, verdict in _answers([CORPUS / f"{name}.yaml" for name in sorted(EXPECTED)]):
        expected = EXPECTED[name]
        _check(name, verdict, expected.get("code"))
        if "code" in expected:
            assert len(verdict["problems"]) == expected.get("problems", 1), name


def test_large_documents_in_one_run(large: Path) -> None:
    for name, verdict in _answers([large / f"{name}.yaml" for name in LARGE]):
        _check(name, verdict, LARGE[name][1])


@pytest.mark.parametrize("name", MANY)
def test_thousands_of_faults(name: str, tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text(MANY[name])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = arch("validate", "many.yaml", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) < 130, "twenty problems, and a count of the others"
    assert after.ru_utime - before.ru_utime < SECONDS


def test_the_corpus_as_text() -> None:
    """Every file gets its verdict, and no line of it controls the terminal."""
    paths = [str(CORPUS / f"{name}.yaml") for name in sorted(EXPECTED)]
    done = arch("validate", *paths)
    assert done.returncode == 2
    text = done.stdout.decode()
    assert all(Path(path).name in text for path in paths)
    assert f"{len(paths)} presets: {len(paths)} invalid" in text
    assert max(map(len, text.splitlines())) < 4_000


@pytest.mark.parametrize("name", KILLERS)
def test_what_killed_others(name: str, large: Path) -> None:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = arch("validate", str(large / f"{name}.yaml"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 2
    text = done.stdout.decode()
    assert text.count("error[") == 1
    assert f"error[{LARGE[name][1]}]" in text
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < SECONDS
    assert time.monotonic() - start < 20 * SECONDS  # other work may share the machine


HOOK = """
import os, sys
opened, loaded = [], []
def hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        opened.append(os.fsdecode(args[0]))
    elif event == "import":
        loaded.append(args[0])
    elif event.split(".")[0] in ("subprocess", "socket", "os.system", "pty", "ctypes", "shutil") or event == "os.exec":
        os.write(2, f"EVENT {event}\\n".encode())
from cli import inputs, validate  # start-up is over
import registry, rich.console, rich.text, omegaconf
registry.names()
from registry import sources
sources.presets()
from cli.main import app
validate.validate(["vit5_hybrid"], ["num_classes=${network.patch_size}"], "text")
validate.validate(sys.argv[2:3], [], "text")
sys.addaudithook(hook)
import atexit
def tell():
    mine = [f for f in opened if not f.startswith((sys.prefix, sys.base_prefix, "/usr/lib", "/proc"))]
    code = [f for f in mine if f.endswith((".py", ".pyc"))]
    data = sorted({f for f in mine if not f.endswith((".py", ".pyc"))})
    os.write(2, ("OPENED " + "|".join(data) + "\\n").encode())
    os.write(2, ("LOADED " + "|".join(sorted(set(loaded))) + "\\n").encode())
atexit.register(tell)
"""


def test_nothing_but_the_documents_is_opened_and_nothing_is_imported() -> None:
    """After start-up and one run, an audit hook sees every further file, module, process and socket."""
    paths = [str(CORPUS / f"{name}.yaml") for name in sorted(EXPECTED)]
    done = arch("validate", *paths, program=HOOK)
    lines = done.stderr.decode().splitlines()
    told = dict(line.split(" ", 1) for line in lines if line.startswith(("OPENED", "LOADED")))
    assert "EVENT" not in done.stderr.decode()
    assert set(told["OPENED"].split("|")) <= {*paths, "/dev/null"}
    for module in told["LOADED"].split("|"):
        assert not module.startswith(("os", "posix", "subprocess", "pathlib", "torch", "eval", "builtins")), module


# ---- streams and files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["raw_escape", "nul_byte", "non_utf8", "py_object_apply", "interp_env", "empty"])
def test_standard_input(name: str) -> None:
    done = arch("validate", "-", stdin=(CORPUS / f"{name}.yaml").read_bytes())
    text = done.stdout.decode()
    assert done.returncode in (1, 2)
    assert f"error[{EXPECTED[name]['code']}]" in text
    assert "<stdin>:1:" in text


def test_an_endless_standard_input_is_not_read_to_the_end() -> None:
    command = [sys.executable, "-m", "cli", "validate", "-"]
    with open("/dev/zero", "rb") as endless:
        done = subprocess.run(
            command, stdin=endless, cwd=ROOT, capture_output=True, timeout=60, check=False, preexec_fn=_limits
        )
    assert done.returncode == 2
    assert b"too-large" in done.stdout


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "empty.yaml").write_bytes(b"")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    closed = tmp_path / "closed.yaml"
    closed.write_text("type: rms_norm\ndim: 8\n")
    closed.chmod(0)
    names = ["binary", "empty", "folder", "loop", "missing", "closed"]
    done = arch("validate", *[f"{name}.yaml" for name in names], "--format", "json", cwd=tmp_path)
    found = {v["preset"][:-5]: [p["code"] for p in v["problems"]] for v in json.loads(done.stdout)}
    if os.geteuid() == 0:  # may read everything
        found["closed"] = found["closed"] or ["unreadable"]
    unreadable = ["unreadable"]
    assert found.pop("binary") in (["unprintable"], ["not-utf8"])
    assert found.pop("empty") == ["empty"]
    assert found == dict.fromkeys(["folder", "loop", "missing", "closed"], unreadable)
    assert done.returncode == 2


@pytest.mark.parametrize("command", ["explain", "schema", "list"])
def test_a_reader_that_goes_away(command: str) -> None:
    """`arch ... | head -1` ends quietly."""
    with subprocess.Popen(
        [sys.executable, "-m", "cli", command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read().decode()
    assert "Traceback" not in complaint
    assert "BrokenPipe" not in complaint
    assert process.returncode in (0, 1, 2)


ODD = ["\x1b[2J", "[red]x[/red]", "[/oops]", "a" * 100_000, "\u202egnp.exe", "$(reboot)", "${oc.env:HOME}", "\udcff"]


def test_odd_names_on_the_command_line() -> None:
    done = arch("validate", *ODD, "--set", "network.[/oops]=1", "--format", "text")
    assert done.returncode == 2
    assert done.stdout.decode().count("error[") == len(ODD)
    assert max(map(len, done.stdout.decode().splitlines())) < 4_000


VALUES = ["[" * 4000, "{a: " * 1000, "&a 1", "!!python/name:os.system", "9" * 4000, "\x1b]0;x\x07", "x" * 5000]


def test_overrides() -> None:
    sets = [argument for value in VALUES for argument in ("--set", f"patch_size={value}")]
    done = arch("validate", "vit5_hybrid", *sets, "--format", "json")
    (verdict,) = json.loads(done.stdout)
    assert done.returncode == 2
    assert len(verdict["problems"]) == len(VALUES)


def test_names_in_a_document_never_reach_an_import(tmp_path: Path) -> None:
    """A component is chosen by a registered name, whatever else the name looks like."""
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path('ran').write_text('x')\n")
    for number, name in enumerate(("evil", "evil:Evil", "os.system", "components.basic.module:Linear", "__import__")):
        (tmp_path / f"{number}.yaml").write_text(f"network: {{type: '{name}', dim: 8}}\n")
    done = arch("validate", *[f"{n}.yaml" for n in range(5)], "--format", "json", cwd=tmp_path)
    assert {p["code"] for v in json.loads(done.stdout) for p in v["problems"]} == {"unknown-component"}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden_dim", 10**12), ("num_blocks", 10**9), ("hidden_dim", 2**20), ("image_size", 10**15), ("patch_size", 0)],
)
def test_exhaustion_is_refused_before_anything_is_built(field: str, value: int) -> None:
    done = arch("validate", "vit5_hybrid", "--set", f"{field}={value}", "--format", "json")
    (verdict,) = json.loads(done.stdout)
    assert not verdict["valid"]
    assert 1 <= len(verdict["problems"]) <= 3
