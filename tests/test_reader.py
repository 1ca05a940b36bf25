"""The reader on well-formed, surprising and hostile documents; the small ones lie in `corpus/`."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import compose, reader
from registry.errors import InvalidConfig, Problem, Unreadable
from registry.limits import LIMITS
from registry.reader import Mark, parse_value, read_bytes, read_file

CORPUS = Path(__file__).parent / "corpus"
EXPECTED: dict[str, dict[str, Any]] = json.loads((CORPUS / "expected.json").read_text("utf-8"))
ROOT = CORPUS.parent.parent


def refusal(call: Callable[[], Any]) -> Problem:
    """The one problem `call` is refused with."""
    with pytest.raises(Unreadable) as caught:
        call()
    (problem,) = caught.value.problems
    return problem


def load(raw: bytes) -> Any:
    """Read and compose one document."""
    return compose.compose([read_bytes(raw, "f.yaml")]).data


# ---- corpus ----------------------------------------------------------------------------------------------


def test_corpus_is_complete() -> None:
    assert {path.stem for path in CORPUS.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_corpus(name: str) -> None:
    raw = (CORPUS / f"{name}.yaml").read_bytes()
    expected = EXPECTED[name]
    if "code" not in expected:
        data = load(raw)
        assert data == expected.get("data", data)
        assert repr(data) == repr(expected.get("data", data))  # 1 is not 1.0, and not True
        return
    with pytest.raises(InvalidConfig) as caught:
        load(raw)
    problems = caught.value.problems
    first = problems[0]
    assert (first.code, first.line, first.column) == (expected["code"], expected["line"], expected["column"])
    assert len(problems) == expected.get("problems", 1)
    assert first.message.startswith("Expected ")
    assert all(ord(c) >= 32 and c.isprintable() for problem in problems for c in str(problem))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_corpus_without_libyaml(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pure-Python parser gives the same verdict, if not always the same column or wording."""
    monkeypatch.setattr(reader, "_LOADER", yaml.SafeLoader)
    raw = (CORPUS / f"{name}.yaml").read_bytes()
    if name == "tab_after_colon":  # which it does not take for white space
        assert refusal(lambda: load(raw)).code == "yaml-syntax"
    elif name == "lone_surrogate_escape":  # which it lets through
        assert refusal(lambda: load(raw)).code == "unprintable"
    elif "code" in EXPECTED[name]:
        with pytest.raises(InvalidConfig) as caught:
            load(raw)
        assert caught.value.problems[0].code == EXPECTED[name]["code"]
    else:
        data = load(raw)
        assert data == EXPECTED[name].get("data", data)


# ---- large documents -------------------------------------------------------------------------------------


def bomb(width: int, depth: int) -> str:
    """Aliases of aliases: `width ** depth` values when expanded."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * width) + "]" for i in range(1, depth)]
    return "\n".join(lines)


LARGE: dict[str, tuple[str, str | None]] = {
    "alias_bomb_5x10": (bomb(10, 5), "yaml-anchor"),
    "alias_quadratic_3000": ("a: &a [" + "x, " * 3000 + "]\nb: [" + "*a, " * 3000 + "]", "yaml-anchor"),
    "deep_flow_100": ("a: " + "[" * 100 + "]" * 100, "too-deep"),
    "deep_flow_5000": ("a: " + "[" * 5000 + "]" * 5000, "too-deep"),
    "deep_flow_100k": ("a: " + "[" * 100_000 + "]" * 100_000, "too-deep"),
    "deep_mapping_25k": ("{a: " * 25_000, "too-deep"),
    "deep_dashes_100k": ("- " * 100_000, "too-deep"),
    "deep_block_300": ("".join(" " * i + f"k{i}:\n" for i in range(300)), "too-deep"),
    "deep_block_2000": ("".join(" " * i + f"k{i}:\n" for i in range(2000)), "too-large"),
    "deep_unclosed_1M": ("[" * 1_000_000, "too-large"),
    "wide_9000_keys": ("".join(f"k{i}: 1\n" for i in range(9000)), None),
    "wide_20000_keys": ("".join(f"k{i}: 1\n" for i in range(20_000)), "too-many-nodes"),
    "wide_list": ("a: [" + "1," * 20_000 + "]", "too-many-nodes"),
    "wide_and_deep": ("x: [" + ("{a: " * 30 + "1" + "}" * 30 + ",") * 330 + "]", "too-many-nodes"),
    "long_scalar_200k": ("a: " + "x" * 200_000, "scalar-too-long"),
    "long_scalar_10MB": ("a: " + "x" * 10_000_000, "too-large"),
    "long_folded_text": ("a: >\n" + "  x\n" * 60_000, "scalar-too-long"),
    "long_anchor": ("a: &" + "x" * 200_000 + " 1", "yaml-anchor"),
    "long_tag": ("a: !" + "x" * 200_000 + " 1", "yaml-tag"),
    "huge_int_5000d": ("a: " + "9" * 5000, "scalar-too-long"),
    "huge_int_1M_d": ("a: " + "9" * 1_000_000, "too-large"),
    "huge_hex": ("a: 0x" + "f" * 4000, "yaml-surprise"),
    "huge_hex_1M": ("a: 0x" + "f" * 1_000_000, "too-large"),
    "huge_sexagesimal": ("a: 1" + ":1" * 2000, "yaml-surprise"),
    "huge_sexagesimal_60k": ("a: 1" + ":1" * 30_000, "scalar-too-long"),
    "comments": ("#\n" * 130_000, "empty"),
    "blank_lines": ("\n" * 262_144, "empty"),
    "documents": ("---\n" * 60_000, "yaml-documents"),
    "invisible": ("#" + "\u200b" * 80_000, "unprintable"),
    "floats": ("".join(f"k{i}: 0.{i}e-5\n" for i in range(9900)), None),
    "interp_chain_2000": (
        "k0: 1\n" + "".join(f"k{i}: ${{k{i - 1}}}\n" for i in range(1, 2001)),
        "too-many-references",
    ),
    "interp_unknown_1000": ("".join(f"key{i}: ${{nokey{i}}}\n" for i in range(1000)), "reference-unknown"),
    "interp_cycle_1000": (
        "".join(f"k{i}: ${{k{(i + 1) % 1000}}}\n" for i in range(1000)),
        "reference-cycle",
    ),
    "50MB_scalar": ("a: " + "x" * 50_000_000, "too-large"),
    "50MB_keys": ("".join(f"k{i}: 1\n" for i in range(4_200_000)), "too-large"),
}


@pytest.mark.parametrize("name", LARGE)
def test_large(name: str) -> None:
    """Within the 100 ms we promise, or at least, on a busy machine, not a multiple of it."""
    text, code = LARGE[name]
    raw = text.encode()
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        try:
            load(raw)
            found = None
        except InvalidConfig as error:
            found = error.problems[0].code
        best = min(best, time.process_time() - start)
        assert found == code
        if best < 0.1:
            break
    assert best < 0.4


# ---- places ----------------------------------------------------------------------------------------------

NESTED = """\
summary: Größe 😀 x  # wide characters count as one
network:
  type: vit
  blocks:
  - {mixer: hyena, dims: [1, 2]}
  -   mixer:
        type: attention
      "quoted": 'yes'
  empty:
"""


def test_places() -> None:
    document = read_bytes(NESTED.encode(), "f.yaml")
    keys, values = document.keys, document.values
    assert values[()] == (1, 1)
    assert keys["summary",] == (1, 1)
    assert values["summary",] == (1, 10)
    assert keys["network",] == (2, 1)
    assert values["network",] == (3, 3)
    assert values["network", "blocks", 0] == keys["network", "blocks", 0] == (5, 5)
    assert keys["network", "blocks", 0, "dims"] == (5, 20)
    assert values["network", "blocks", 0, "dims"] == (5, 26)
    assert values["network", "blocks", 0, "dims", 1] == (5, 30)
    assert values["network", "blocks", 1, "mixer", "type"] == Mark(line=7, column=15)
    assert keys["network", "blocks", 1, "quoted"] == (8, 7)
    assert values["network", "empty"] == (9, 9)
    assert document.data["network"]["blocks"][1] == {"mixer": {"type": "attention"}, "quoted": "yes"}
    assert set(values) - {()} == set(keys)


def test_places_after_a_byte_order_mark_and_crlf() -> None:
    document = read_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: 2\r\n", "f.yaml")
    assert document.values["a",] == (1, 4)
    assert document.values["b", "c"] == (3, 6)


def test_a_planted_fault_is_found_where_it_is() -> None:
    """Any value of a real tree, made ambiguous, is reported at its own line and column."""
    rng = random.Random(0)
    for _ in range(300):
        lines = [f"k{i}:" for i in range(3)]
        fault = rng.randrange(3)
        body = []
        for i, line in enumerate(lines):
            body += [line, f"  - {{x: {'[1, 2, on]' if i == fault else '[1, 2, 3]'}}}"]
        problem = refusal(lambda body=body: read_bytes("\n".join(body).encode(), "f"))  # type: ignore[misc]
        assert (problem.line, problem.column, problem.path) == (2 * fault + 2, 16, f"k{fault}.0.x.2")


# ---- scalars ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("  ", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("8", 8),
        ("1.0", 1.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e-3", -0.0005),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("0.0", 0.0),
        ("0e5", 0.0),
        ("''", ""),
        ("'8'", "8"),
        ('"on"', "on"),
        ("silu", "silu"),
        ("a b", "a b"),
        ("-x", "-x"),
        ("3x3", "3x3"),
        ("[1, 2.5, x, null]", [1, 2.5, "x", None]),
        ("{a: {b: [1]}}", {"a": {"b": [1]}}),
        ("{}", {}),
        ("[]", []),
        ("${network.dim}", "${network.dim}"),
        ("café", "café"),
    ],
)
def test_parse_value(text: str, value: Any) -> None:
    found = parse_value(text, "--set")
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("on", "yaml-surprise"),
        ("Yes", "yaml-surprise"),
        ("N", "yaml-surprise"),
        ("TRUE", "yaml-surprise"),
        ("NULL", "yaml-surprise"),
        ("None", "yaml-surprise"),
        ("007", "yaml-surprise"),
        ("-0x1F", "yaml-surprise"),
        ("1_0.5", "yaml-surprise"),
        ("1:30", "yaml-surprise"),
        ("+.INF", "float-range"),
        ("-1e400", "float-range"),
        ("9" * 19, "int-too-long"),
        ("x" * 4097, "scalar-too-long"),
        ("a: 1", "yaml-block"),
        ("- 1", "yaml-block"),
        ("# text", "empty"),
        ("[1", "yaml-syntax"),
        ("-", "yaml-block"),
        ("8._", "yaml-surprise"),
        ("1\n--- 2", "yaml-documents"),
        ("*x", "yaml-alias"),
        ("!!int 3", "yaml-tag"),
        ("a\x1bb", "unprintable"),
        ("a\udcffb", "unprintable"),
        ("[" * 40, "too-deep"),
    ],
)
def test_parse_value_refuses(text: str, code: str) -> None:
    problem = refusal(lambda: parse_value(text, "--set"))
    assert (problem.code, problem.file) == (code, "--set")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("on", "write true, or 'on' in quotes if it is text"),
        ("Null", "write null, or 'Null' in quotes if it is text"),
        ("010", "write 10, or 8 if it is octal; quote it if it is text"),
        ("-0019", "write -19; quote it if it is text"),
        ("00", "write 0, or 0 if it is octal; quote it if it is text"),
        ("0o10", "write it in decimal; quote it if it is text"),
        ("1_000", "write 1000; quote it if it is text"),
        ("12:30", "quote it"),
        ("0" * 2000, "quote it"),
    ],
)
def test_a_surprise_comes_with_its_fix(text: str, hint: str) -> None:
    assert refusal(lambda: parse_value(text, "x")).hint == hint


def test_a_reference_in_brackets_is_to_be_quoted() -> None:
    assert "quote a reference" in refusal(lambda: read_bytes(b"a: {b: ${c}}", "f")).hint


# ---- laws ------------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=("C", "Z")) | st.sampled_from(" \n\t"), max_size=30)
_INTS = st.integers(-(10**18) + 1, 10**18 - 1)
_SCALARS = st.none() | st.booleans() | _INTS | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
_TREES = st.dictionaries(
    _KEYS,
    st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4)),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(_TREES)
def test_what_json_writes_is_read_back(tree: dict[str, Any]) -> None:
    """JSON is YAML; and a mapping source means the same as the file of it."""
    text = json.dumps(tree, ensure_ascii=False)
    try:
        document = read_bytes(text.encode(), "f")
    except Unreadable as error:  # printable in Python's tables, but not in the parser's
        assert error.problems[0].code in {"yaml-syntax", "unprintable"}  # noqa: PT017 (both outcomes are right)
        return
    assert repr(document.data) == repr(tree)
    assert repr(compose.from_mapping(tree).data) == repr(tree)


# ---- mutation --------------------------------------------------------------------------------------------

SEEDS = [
    NESTED.encode(),
    b"summary: x\nextends: base\nnetwork:\n  type: vit\n  dim: 384\n  rates: [0.1, 1e-3, .5]\n"
    b"  m: {type: a, b: true}\n",
    b"a: |\n  text\n  more\nb: >-\n  folded\nc: 'single'\nd: \"dou\\x62le\"\ne: ~\nf: ${a.b}\n",
    b"network: {type: net, blocks: [{a: 1}, {b: [null, false, -3]}], hidden-dim: 18}\n",
]
TOKENS = [
    *b"&x *x !!t !t << : - ? [ ] { } , # | > ' \" % @ ` ${ } ~ \t \n \r --- ...".split(b" "),
    *b"on yes 010 1_0 .inf 1e999 9:9 \\".split(b" "),
    b"\x00",
    b"\xff",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"\n---\n",
    b"  ",
    b"\n  - ",
    b": ",
    b"2026-01-01",
    b"9" * 19,
    b"[" * 40,
]


def mutate(rng: random.Random) -> bytes:
    """One of the seeds with a few random edits."""
    raw = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(raw) + 1)
        choice = rng.random()
        if choice < 0.3:
            raw[at : at + 1] = bytes([rng.randrange(256)])
        elif choice < 0.5:
            del raw[at : at + rng.randint(1, 8)]
        elif choice < 0.8:
            raw[at:at] = rng.choice(TOKENS)
        else:
            start = rng.randrange(len(raw) + 1)
            raw[at:at] = raw[start : start + rng.randint(1, 30)]
    return bytes(raw)


def fuzz(seed: int, count: int) -> tuple[int, float]:
    """Read `count` mutated documents; how many were accepted, and the slowest in seconds."""
    rng = random.Random(seed)
    accepted, slowest = 0, 0.0
    for _ in range(count):
        raw = mutate(rng)
        start = time.perf_counter()
        try:
            document = read_bytes(raw, "f.yaml")
        except Unreadable as error:
            (problem,) = error.problems
            assert problem.code in reader.CODES, raw
            assert problem.line is not None, raw
            assert problem.column is not None, raw
            assert problem.line <= len(re.split(rb"\r\n|\n|\r", raw)) + 1, raw
        else:
            accepted += 1
            assert_as_pyyaml(document.data, raw)
        slowest = max(slowest, time.perf_counter() - start)
    return accepted, slowest


def assert_as_pyyaml(ours: Any, raw: bytes) -> None:
    """Where both accept, both mean the same, but for the intended differences."""
    try:
        theirs = yaml.load(raw, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError):
        return
    assert same(ours, theirs), (raw, ours, theirs)


FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def same(ours: Any, theirs: Any) -> bool:
    """Equal in value and type. Intended difference: `1e3` and `-.5` are floats, as in YAML 1.2."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, str):
        return FLOAT.fullmatch(theirs) is not None and float(theirs) == ours
    return type(ours) is type(theirs) and bool(ours == theirs)


def test_mutated_documents() -> None:
    accepted, slowest = fuzz(seed=0, count=20_000)
    assert accepted > 500  # the mutations are not all nonsense
    assert slowest < 0.5


def test_mutated_documents_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_LOADER", yaml.SafeLoader)
    fuzz(seed=0, count=500)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1, 11))
def test_mutated_documents_nightly(seed: int) -> None:
    fuzz(seed, count=200_000)


def test_plain_scalars_mean_what_pyyaml_means() -> None:
    """Short texts of the characters numbers are made of: refused, or as PyYAML, or an intended difference."""
    rng = random.Random(0)
    accepted = 0
    for _ in range(20_000):
        text = "".join(rng.choice("00112789..--++__::eExonaT") for _ in range(rng.randint(1, 6)))
        try:
            ours = read_bytes(b"a: " + text.encode(), "f").data
        except Unreadable:
            continue
        accepted += 1
        assert_as_pyyaml(ours, b"a: " + text.encode())
    assert accepted > 5_000


# ---- files -----------------------------------------------------------------------------------------------


def test_read_file(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text("a: 1\n", "utf-8")
    assert read_file(path).data == {"a": 1}
    assert read_file(path).name == str(path)
    assert read_file(str(path), name="net").name == "net"


@pytest.mark.parametrize("path", ["missing.yaml", ".", "a\0b", "x" * 5000])
def test_unreadable_files(path: str) -> None:
    problem = refusal(lambda: read_file(path, "shown"))
    assert (problem.code, problem.file) == ("unreadable", "shown")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs an endless file")
def test_an_endless_file_is_not_read_to_the_end() -> None:
    assert refusal(lambda: read_file("/dev/zero")).code == "too-large"


def test_the_largest_file_is_accepted() -> None:
    head = b"a: 1\n#"
    raw = head + b"x" * (LIMITS.file_bytes - len(head))
    assert read_bytes(raw, "f").data == {"a": 1}
    assert refusal(lambda: read_bytes(raw + b"x", "f")).code == "too-large"


# ---- codes and side effects ------------------------------------------------------------------------------


def test_every_code_is_documented_and_provoked() -> None:
    source = Path(reader.__file__).read_text("utf-8")
    used = set(re.findall(r'(?:_refuse|_ScalarError)\(\s*(?:event, )?"([a-z0-9-]+)"', source))
    assert used == set(reader.CODES)
    seen = {row["code"] for row in EXPECTED.values() if "code" in row}
    seen |= {code for _, code in LARGE.values() if code} | {"unreadable", "yaml-block"}
    assert set(reader.CODES) <= seen


AUDIT = """
import json, os, sys
from pathlib import Path
from registry.compose import compose
from registry.errors import InvalidConfig, clip
from registry.reader import read_bytes

def run(raw):
    try:
        return repr(compose([read_bytes(raw, "f")]).data)
    except InvalidConfig as error:
        return str(error)

sources = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.yaml"))]
run(b"a: ${b}\\nb: 1\\n"), clip(chr(27))  # loads OmegaConf and the codecs once
names = "import open exec compile os.system os.exec os.listdir subprocess.Popen socket.connect ctypes.dlopen"
seen = []
def hook(event, args):
    if event in names.split():
        seen.append((event, repr(args)[:200]))
sys.addaudithook(hook)
output = "".join(map(run, sources))
assert not seen, seen
assert os.environ["ARCH_CANARY"] not in output and os.environ["PATH"] not in output
print("clean", len(sources))
"""


def test_documents_cause_no_side_effects() -> None:
    """No file is opened, nothing imported or run, no environment variable read into the output."""
    env = {"PATH": "/planted/canary/path", "HOME": "/planted/home", "ARCH_CANARY": "/planted/home"}
    command = [sys.executable, "-c", AUDIT, str(CORPUS)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"clean {len(EXPECTED)}\n", done.stderr
