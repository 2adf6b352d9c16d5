"""Whether a point that left nothing, or came to nothing, is still to be started by somebody."""

import time
from functools import cache
from typing import Any

from isogain.analysis.status.sweeps import Sweep
from isogain.record import processes, sweep_points
from isogain.record.attempts_jsonl import seconds
from isogain.record.bounded import Damaged
from isogain.record.bounded_json import json_lines
from isogain.record.run_progress import Record
from isogain.record.run_status import Status

UNASKED = "SLURM, or the host that started it, cannot be asked"
YOUNG = 120  # seconds in which a sweep that was just begun may not have started anything yet


def expect(sweep: Sweep, queue: dict[str, str] | None) -> None:
    """Tell points that will still be started, or started again, from those that nobody will start."""
    reruns = _reruns(sweep)
    coming = cache(lambda by: _is_coming(reruns[by] if by >= 0 else _starter(sweep), sweep, queue))
    of_run: dict[str, list[int]] = {}
    for number, order in enumerate(reruns):
        for name in order["folders"]:
            of_run.setdefault(name, []).append(number)
    for run in sweep.runs:
        if not (run.status.is_missing or run.status is Status.DIVERGED):
            continue
        ordered = [n for n in of_run.get(run.name, ()) if _is_later(reruns[n], run.record)]
        if run.status is Status.UNSTARTED or ordered:
            will = coming(ordered[-1] if ordered else -1)
            if will:
                run.status, run.reason = Status.PENDING, "to be run again" if ordered else ""
            elif will is None:
                run.status, run.reason = Status.UNKNOWN, UNASKED


def _reruns(sweep: Sweep) -> list[dict[str, Any]]:
    """What was ordered to be run again, oldest first: reruns.jsonl."""
    try:
        orders, problems = json_lines(sweep.path / "reruns.jsonl")
    except Damaged as error:
        orders, problems = [], [str(error)]
    whole = [o for o in orders if sweep_points.is_texts(o.get("folders"))]
    sweep.problems += problems
    if len(whole) < len(orders):
        sweep.problems.append("reruns.jsonl: holds what is no order of runs")
    return [{"folders": o["folders"]} | sweep_points.who(o) for o in whole]


def _starter(sweep: Sweep) -> dict[str, Any]:
    return sweep.plan.by if sweep.plan is not None else {}


def _is_later(order: dict[str, Any], record: Record) -> bool:
    last = seconds(record.last.get("time")) or 0
    return (seconds(order.get("time")) or 0) > last


def _is_coming(by: dict[str, Any], sweep: Sweep, queue: dict[str, str] | None) -> bool | None:
    """Whether what was ordered `by` a sweep or a rerun will still happen; None where nobody can tell."""
    began = seconds(by.get("time"))
    begun = any(run.record.begun for run in sweep.runs)
    young = (
        began is not None
        and 0 <= time.time() - began < YOUNG
        and (by is not _starter(sweep) or not begun)
    )
    if by.get("cluster") == "slurm":
        return young or _is_queued(sweep, queue)
    if isinstance(by.get("pid"), int) and by.get("host"):
        return processes.is_alive(by, began or 0)
    return young or any(run.status is Status.RUNNING for run in sweep.runs)


def _is_queued(sweep: Sweep, queue: dict[str, str] | None) -> bool | None:
    """Whether SLURM knows of a job of this sweep that no run has begun in; which point is its, no one says."""
    if queue is None:
        return None
    begun = {start.get("slurm_job") for run in sweep.runs for start in run.record.starts}
    arrays = {job.split("_")[0] for job in sweep.jobs()}
    return any(job.split("_")[0] in arrays and job not in begun for job in queue)
