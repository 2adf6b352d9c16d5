"""`attempts.jsonl`: when each attempt at a run began, was warned, and ended, whatever killed it."""

import json
import logging
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isogain.record.atomic import append, is_regular, set_aside, sync
from isogain.record.bounded import Damaged
from isogain.record.bounded_json import json_lines
from isogain.record.processes import is_alive, this_process
from isogain.record.rank import rank

log = logging.getLogger(__name__)
NAME = "attempts.jsonl"
EVENTS = ("start", "preempted", "end")
TEXTS = ("time", "host", "boot", "namespace", "slurm_job", "signal", "status", "error")
NUMBERS = ("pid", "ticks", "step", "restart")


class Attempts:
    """One JSON object a line, on the disk when a method returns; only rank zero writes.

    `event` is start, preempted (saved, and to be requeued) or end. A line that a kill cut short is passed over. One
    that could not be written is written with the next.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._unwritten: list[bytes] = []

    def start(self, step: int) -> None:
        """This process begins, or continues, the run after `step` steps."""
        earlier = sum(event["event"] == "start" for event in self.events())
        self._append("start", step, **this_process(), slurm_job=slurm_job(), restart=earlier)

    def preempted(self, signum: int, step: int) -> None:
        """A signal came that lets SLURM requeue the run; what can be saved is saved."""
        self._append("preempted", step, signal=signal.Signals(signum).name)

    def end(self, status: str, step: int, error: str | None = None) -> None:
        """This attempt ended by itself; of `error` the first line is written."""
        reason = {"error": error.strip().splitlines()[0]} if error and error.strip() else {}
        self._append("end", step, status=status, **reason)

    def events(self) -> list[dict[str, Any]]:
        """All that is readable, oldest first."""
        return read_events(self.path.parent)[0]

    def at_work(self) -> int | None:
        """The number of another process of this machine that has begun the last attempt and still lives.

        None where there is no such process, or where it belongs to the SLURM job of this one.
        """
        last = next((e for e in reversed(self.events()) if e["event"] in ("start", "end")), {})
        if last.get("event") != "start" or self._is_ours(last):
            return None
        return last["pid"] if is_alive(last, seconds(last.get("time"))) else None

    def set_aside_damage(self, step: int) -> None:
        """Set aside what is not a file, and log what else cannot be read of a run that has done `step` steps."""
        if os.path.lexists(self.path) and not is_regular(self.path):
            log.warning("%s: not a file; set aside as %s", self.path, set_aside(self.path).name)
        elif not os.path.lexists(self.path) and step > 0:
            log.warning("%s: missing; when the earlier attempts began and ended is lost", self.path)
        for problem in read_events(self.path.parent)[1]:
            log.warning("%s: %s", self.path.parent, problem)

    @staticmethod
    def _is_ours(start: dict[str, Any]) -> bool:
        """Whether the attempt belongs to this process or to its SLURM job."""
        us = this_process()
        same = all(start.get(key, us.get(key)) == us.get(key) for key in ("pid", "namespace"))
        return same or bool(slurm_job() and start.get("slurm_job") == slurm_job())

    def of_this_job(self) -> bool:
        """Whether the SLURM job of this process made the last attempt: it has been requeued."""
        job = slurm_job()
        starts = [event for event in self.events() if event["event"] == "start"]
        if starts or job is None:
            return bool(starts) and job is not None and starts[-1].get("slurm_job") == job
        # killed between claiming the folder and writing its start
        return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0

    def _append(self, event: str, step: int, **others: Any) -> None:
        if rank() != 0:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"event": event, "time": now, "step": step, **others})
        lines = [*self._unwritten, line.encode() + b"\n"]
        self._unwritten = lines if event != "start" else self._unwritten
        append(self.path, b"".join(lines))
        self._unwritten = []
        if event == "start":
            sync(self.path.parent)


def read_events(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The events, oldest first, and a line for every problem.

    A value of another type than a run writes is left out of its event.
    """
    try:
        objects, problems = json_lines(folder / NAME)
    except Damaged as error:
        return [], [str(error)]
    events = [event for event in objects if event.get("event") in EVENTS]
    wrong = sorted({key for event in events for key, value in event.items() if _is_odd(key, value)})
    if wrong:
        problems.append(f"{NAME}: {', '.join(wrong)} of a type that no run writes; left out")
    return [{k: v for k, v in event.items() if not _is_odd(k, v)} for event in events], problems


def seconds(time: Any) -> float | None:
    """An ISO-8601 time as seconds since 1970; None where it is not one."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def slurm_job() -> str | None:
    """The SLURM job that this process belongs to, `<array>_<task>` in an array; None outside SLURM."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID") or None


def _is_odd(key: str, value: Any) -> bool:
    """Whether a value is of another type than a run writes under this key."""
    if value is None:
        return False
    if key in TEXTS:
        return not isinstance(value, str)
    return key in NUMBERS and (not isinstance(value, int) or isinstance(value, bool) or value < 0)
