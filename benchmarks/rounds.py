"""Measuring alternatives against one another: in turn, round after round, so that a drifting machine hits all alike."""

import os
import statistics
import time
from collections.abc import Callable

import torch

from isogain.training.allocator import keep_freed_memory

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # these two as train.py does
keep_freed_memory()


def seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Wall time of one call, or what another clock says of it."""
    start = clock()
    call()
    return clock() - start


def clock_for(busy: bool) -> Callable[[], float]:
    """Wall time; on a busy machine one thread and its own seconds, which waiting does not count towards."""
    if busy:
        torch.set_num_threads(1)
    return time.process_time if busy else time.perf_counter


def interleaved(
    calls: dict[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every call in every round, after one that is not counted; odd rounds go backwards."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(rounds):
        for name in list(calls)[:: 1 if i % 2 == 0 else -1]:
            times[name].append(seconds(calls[name], clock))
    return times


def ratio(times: dict[str, list[float]], name: str, base: str) -> float:
    """Median over rounds of the time of `name` in units of that of `base` in the same round."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def table(times: dict[str, list[float]], base: str, unit: float, unit_name: str) -> str:
    """Markdown: median and least time of each, and its ratio to `base`."""
    head = f"| | median {unit_name} | least {unit_name} | ratio to {base} |\n|---|---|---|---|"
    rows = (
        f"| {name} | {statistics.median(t) / unit:.2f} | {min(t) / unit:.2f} | {ratio(times, name, base):.2f} |"
        for name, t in times.items()
    )
    return "\n".join([head, *rows])
