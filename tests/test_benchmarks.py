"""The parts of `benchmarks/` that a wrong figure could come from: truth, ratios, and processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.microops import MICRO

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
FORKED = """
import os, time, harness

def answer(function, *args):
    try:
        return harness.forked(function, *args, seconds=2)
    except RuntimeError as error:
        return str(error)

print(answer(pow, 2, 3), answer(print, "dropped"), answer(int, "a")[:10], answer(os._exit, 1), answer(time.sleep, 60))
"""


@pytest.fixture
def bench_peers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_peers

    return bench_peers


def test_ratios_tell_exact_and_nothing_from_nearly_so(bench_peers) -> None:
    found = [bench_peers.ratio(flops, 10**6) for flops in (None, 0, 122, 250_000, 1_000_050, 10**6, 2 * 10**6)]
    assert found == ["-", "0", "0.00012", "0.250", "1.00005", "ok", "2.000"]


def test_torch_counts_products_only(bench_peers) -> None:
    torch_counter = bench_peers.PEERS[0]

    def count(name: str, device: str) -> float:
        return torch_counter.flops(MICRO[name].module(device), MICRO[name].input(device))

    assert count("linear on 3-D input", "cpu") == MICRO["linear on 3-D input"].figure
    assert count("sdpa", "meta") == MICRO["sdpa"].figure
    assert count("rfft2 + irfft2", "meta") == 0


def test_a_process_of_its_own_answers_or_says_why_not() -> None:
    run = subprocess.run([sys.executable, "-c", FORKED], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "8 None ValueError the process died no answer in 2 s"
