"""What every benchmark shares: alternated timing, peak memory, machine facts and tables."""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib
import importlib.metadata
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, NamedTuple

Thunk = Callable[[], object]

COLUMNS = ("ours", "peer", "peer / ours (range)", "of CPU time")
"""Headings of what `row` returns after its label, for one peer."""
MIN_SECONDS = 0.002
"""A sample shorter than this is repeated until it is not, so that the clock and the loop do not show."""


class Sample(NamedTuple):
    """Seconds per call: by the clock, and of the processor (all threads), which other programs hardly change."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Times:
    """What one candidate took, round by round."""

    samples: tuple[Sample, ...]

    @property
    def median(self) -> float:
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def least_cpu(self) -> float:
        return min(sample.cpu for sample in self.samples)


def options(description: str) -> argparse.Namespace:
    """Read the command line of every benchmark, and set torch's threads as it says."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller cases")
    help_text = "threads of torch (default: torch's); 1 is far steadier on a machine that does other work"
    parser.add_argument("--threads", type=int, help=help_text)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        importlib.import_module("torch").set_num_threads(arguments.threads)
    return arguments


def alternate(
    candidates: Mapping[str, Thunk], rounds: int, *, prepare: Thunk | None = None, wait: Thunk | None = None
) -> dict[str, Times]:
    """Time candidates in turn, A B A B ..., after one untimed call of each.

    Args:
        candidates: What to call, by name.
        rounds: Samples per candidate.
        prepare: Called, untimed, before every single call; samples are then of one call each.
        wait: Called, timed, after every sample: waits for a device.
    """
    repeats = {}
    for name, call in candidates.items():
        _sample(call, 1, prepare, wait)
        once = _sample(call, 1, prepare, wait).wall if prepare is None else MIN_SECONDS
        repeats[name] = max(1, round(MIN_SECONDS / max(once, 1e-9)))
    samples: dict[str, list[Sample]] = {name: [] for name in candidates}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in candidates.items():
                samples[name].append(_sample(call, repeats[name], prepare, wait))
    finally:
        gc.enable()
    return {name: Times(tuple(values)) for name, values in samples.items()}


def _sample(call: Thunk, repeats: int, prepare: Thunk | None, wait: Thunk | None) -> Sample:
    if prepare is not None:
        prepare()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        call()
    if wait is not None:
        wait()
    return Sample((time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats)


def ratios(peer: Times, ours: Times) -> list[str]:
    """How many times as long the peer takes: median of the ratios round by round and their range; same of the CPU."""
    pairs = list(zip(peer.samples, ours.samples, strict=True))
    wall = sorted(p.wall / o.wall for p, o in pairs)
    cpu = statistics.median(p.cpu / max(o.cpu, 1e-9) for p, o in pairs)
    return [f"{_short(statistics.median(wall))}x ({_short(wall[0])} to {_short(wall[-1])})", f"{_short(cpu)}x"]


def duration(seconds: float) -> str:
    """Seconds in a unit that suits them."""
    if seconds >= 1000:
        return f"{seconds:,.0f} s"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def row(label: str, times: Mapping[str, Times], ours: str = "ours") -> list[str]:
    """Label, our median, and for every peer its median and the `ratios` to ours."""
    cells = [label, duration(times[ours].median)]
    for name, peer in times.items():
        if name != ours:
            cells += [duration(peer.median), *ratios(peer, times[ours])]
    return cells


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    lines = [list(header), *(list(line) for line in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    print(f"\n{title}\n")
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |", flush=True)


def machine(*packages: str) -> None:
    """Print what the figures depend on: day, processor, threads, versions, device."""
    facts = [
        datetime.date.today().isoformat(),
        _processor(),
        f"{os.cpu_count()} cores",
        f"Python {platform.python_version()}",
    ]
    facts += [f"{name} {importlib.metadata.version(name)}" for name in packages if _installed(name)]
    torch = sys.modules.get("torch")
    if torch is not None:
        facts += [f"torch {torch.__version__}", f"{torch.get_num_threads()} threads"]
        facts.append(torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device")
    print("; ".join(facts), flush=True)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            found = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        found = []
    return found[0] if found else platform.processor() or platform.machine()


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def peer(module: str, how: str) -> ModuleType | None:
    """Import a peer, or say in one sentence how to get it and return None."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a peer may fail on import in any way: it is skipped all the same
        print(f"Skipping {module.partition('.')[0]}, which does not import ({error!r:.80}): {how}.", flush=True)
        return None


# ---- processes ------------------------------------------------------------------------------------------------------


def forked(function: Callable[..., Any], *args: Any, seconds: float = 600) -> Any:
    """What a function returns in a child process, whose output is dropped.

    For what leaves traces in its process. The child has all that is imported here; run no torch operation before.

    Raises:
        RuntimeError: the child raised, died or took longer than `seconds`; says which.
    """
    context = multiprocessing.get_context("fork")
    ours, its = context.Pipe()
    child = context.Process(target=_answer, args=(its, function, args))
    child.start()
    its.close()
    try:
        done, answer = ours.recv() if ours.poll(seconds) else (False, f"no answer in {seconds:g} s")
    except EOFError:
        done, answer = False, "the process died"
    finally:
        child.kill()
        child.join()
    if not done:
        raise RuntimeError(answer)
    return answer


def _answer(pipe: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    try:
        pipe.send((True, function(*args)))
    except Exception as error:  # a peer may fail in any way
        pipe.send((False, f"{type(error).__name__}: {error}"))


# ---- memory ---------------------------------------------------------------------------------------------------------


def peak_memory(function: Callable[..., Thunk], *args: Any) -> float:
    """MiB that the calls of a thunk add at their peak to what a fresh process holds before them.

    Args:
        function: A function of a module, (*args) -> thunk. It runs in a process of its own, and the thunk is measured.
        args: Its arguments.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_measure, (function, *args))


def _measure(function: Callable[..., Thunk], *args: Any) -> float:
    call = function(*args)
    gc.collect()
    before = _reset_peak()
    call()
    return (_peak() - before) / 2**20


def _reset_peak() -> float:
    """Forget the peak, where the system lets us, and return what it now is, in bytes."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
    return _peak()


def _peak() -> float:
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024.0
    except (OSError, StopIteration):
        unit = 1.0 if sys.platform == "darwin" else 1024.0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
