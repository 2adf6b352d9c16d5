"""How a run stands by its own record."""

import time
from typing import Any

from isogain.config.terminal import first_line
from isogain.record import processes
from isogain.record.attempts_jsonl import seconds
from isogain.record.run_progress import Record
from isogain.record.run_status import Status

WORDS = {  # in the order in which one wants to know of it
    Status.FAILED: "failed",
    Status.LOST: "lost",
    Status.INTERRUPTED: "interrupted",
    Status.UNSTARTED: "never started",
    Status.UNKNOWN: "unknown",
    Status.DIVERGED: "diverged",
    Status.PREEMPTED: "preempted",
    Status.RUNNING: "running",
    Status.PENDING: "pending",
    Status.FINISHED: "done",
}


def state_of(record: Record, queue: dict[str, str] | None) -> tuple[Status, str]:
    """Status and reason of a run by its own record."""
    last, summary = record.last, record.summary or {}
    ended = summary or (last if last["event"] == "end" else {})
    if last["event"] in ("start", "preempted"):
        fate = _fate(record.starts[-1] if record.starts else {}, queue)
        if fate in ("running", "queued"):
            return _going_on(last, fate)
        if not summary:
            unknown = fate == "unknown"
            return (Status.UNKNOWN, _silence(record)) if unknown else (Status.LOST, _loss(last))
    if not ended:
        if not record.begun:
            return Status.UNSTARTED, ""
        return Status.UNKNOWN, _silence(record)
    if ended.get("status") == Status.FINISHED and not summary:
        return Status.LOST, "it finished, but its summary.json is gone or cannot be read"
    status = Status.written(ended.get("status")) or Status.UNKNOWN
    return status, first_line(ended.get("error", ""))


def _going_on(last: dict[str, Any], fate: processes.State) -> tuple[Status, str]:
    if last["event"] == "preempted":
        return Status.PREEMPTED, f"{last.get('signal', 'signal')}: saved at step {last.get('step')}"
    if fate == "queued":
        return Status.PREEMPTED, "its job waits in the queue again"
    return Status.RUNNING, ""


def _fate(start: dict[str, Any], queue: dict[str, str] | None) -> processes.State:
    job, lives = start.get("slurm_job"), processes.is_alive(start, seconds(start.get("time")))
    if processes.is_job(job):
        return "running" if queue is None and lives else processes.job_state(job, queue)
    return "unknown" if lives is None else "running" if lives else "gone"


def _loss(last: dict[str, Any]) -> str:
    if last["event"] == "preempted":
        return f"stopped by {last.get('signal')} at step {last.get('step')}, and nothing will start it again"
    return "its process or job is gone, and it recorded no end"


def _silence(record: Record) -> str:
    start = record.starts[-1] if record.starts else {}
    if processes.is_job(start.get("slurm_job")):
        place = f"SLURM cannot be asked of job {start['slurm_job']}"
    elif start:
        place = f"on {start.get('host')}, which cannot be looked at from here"
    else:
        place = "it keeps no attempts.jsonl"
    return f"{place}; last sign of life {_ago(record.sign_of_life)}"


def _ago(then: float | None) -> str:
    if then is None:
        return "never"
    minutes = max(0, time.time() - then) / 60
    for unit, size in (("days", 1440), ("h", 60)):
        if minutes >= 2 * size:
            return f"{minutes / size:.0f} {unit} ago"
    return f"{minutes:.0f} min ago"
