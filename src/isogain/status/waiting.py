"""Whether a point that left nothing, or came to nothing, is still to be started by somebody."""

import time
from typing import Any

from isogain.record import processes
from isogain.record.last_step import Record, json_lines, seconds
from isogain.status.found import Sweep
from isogain.status.states import MISSING

YOUNG = 120  # seconds in which a sweep that was just begun may not have started anything yet


def expect(sweep: Sweep, queue: dict[str, str] | None) -> None:
    """Tell points that will still be started, or started again, from those that nobody will start."""
    reruns = list(json_lines(sweep.path / "reruns.jsonl", sweep.problems))
    for run in sweep.runs:
        if run.state not in MISSING | {"diverged"}:
            continue
        ordered = [
            r for r in reruns if run.name in r.get("folders", ()) and _is_later(r, run.record)
        ]
        if run.state == "unstarted" or ordered:
            by = ordered[-1] if ordered else sweep.plan or {}
            coming = _is_coming(by, sweep, queue)
            if coming:
                run.state, run.reason = "pending", "to be run again" if ordered else ""
            elif coming is None:
                run.state, run.reason = (
                    "unknown",
                    "SLURM, or the host that started it, cannot be asked",
                )


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
        and (by is not sweep.plan or not begun)
    )
    if by.get("cluster") == "slurm":
        return young or _is_queued(sweep, queue)
    if isinstance(by.get("pid"), int) and by.get("host"):
        here = processes.this_host(by["host"])
        return processes.process_alive(by["pid"], began or 0) if here else None
    return young or any(run.state == "running" for run in sweep.runs)


def _is_queued(sweep: Sweep, queue: dict[str, str] | None) -> bool | None:
    """Whether SLURM knows of a job of this sweep that no run has begun in; which point is its, no one says."""
    if queue is None:
        return None
    begun = {start.get("slurm_job") for run in sweep.runs for start in run.record.starts}
    arrays = {job.split("_")[0] for job in sweep.jobs()}
    return any(job.split("_")[0] in arrays and job not in begun for job in queue)
