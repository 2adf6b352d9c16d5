"""`attempts.jsonl`: when each attempt at a run began, was warned, and ended, whatever killed it."""

import json
import logging
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isogain.record.atomic import append, is_regular, set_aside, sync
from isogain.record.attempts_jsonl import read_events, seconds
from isogain.record.processes import is_alive, this_process
from isogain.record.rank import rank

log = logging.getLogger(__name__)


def slurm_job() -> str | None:
    """The SLURM job that this process belongs to, `<array>_<task>` in an array; None outside SLURM."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID") or None


class Attempts:
    """One JSON object a line, on the disk when a method returns; only rank zero writes.

    `event` is start, preempted (saved, and to be requeued) or end. A line that a kill cut short is passed over. One
    that could not be written is written with the next.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "attempts.jsonl"
        self._unwritten: list[bytes] = []

    def start(self, step: int) -> None:
        """This process takes up the run after `step` steps."""
        earlier = sum(event["event"] == "start" for event in self.events())
        self._append("start", step, **this_process(), slurm_job=slurm_job(), restart=earlier)

    def preempted(self, signum: int, step: int) -> None:
        """A signal came that lets SLURM requeue the run; what can be saved is saved."""
        self._append("preempted", step, signal=signal.Signals(signum).name)

    def end(self, status: str, step: int, error: str | None = None) -> None:
        """This attempt ended by itself; `error` is told in one line."""
        told = {"error": error.strip().splitlines()[0]} if error and error.strip() else {}
        self._append("end", step, status=status, **told)

    def events(self) -> list[dict[str, Any]]:
        """All that is readable, oldest first."""
        return read_events(self.path.parent)[0]

    def at_work(self) -> int | None:
        """The other process of this machine that has begun an attempt and lives, unless it is of this SLURM job."""
        last = next((e for e in reversed(self.events()) if e["event"] in ("start", "end")), {})
        if last.get("event") != "start" or self._is_ours(last):
            return None
        return last["pid"] if is_alive(last, seconds(last.get("time"))) else None

    def put_right(self, step: int) -> None:
        """Set aside what is no file, and log what else cannot be read of a run that has done `step` steps."""
        if os.path.lexists(self.path) and not is_regular(self.path):
            log.warning("%s: not a file; set aside as %s", self.path, set_aside(self.path).name)
        elif not os.path.lexists(self.path) and step > 0:
            log.warning("%s: missing; when the earlier attempts began and ended is lost", self.path)
        for problem in read_events(self.path.parent)[1]:
            log.warning("%s: %s", self.path.parent, problem)

    @staticmethod
    def _is_ours(start: dict[str, Any]) -> bool:
        """Whether it is of this process or of this SLURM job."""
        us = this_process()
        same = all(start.get(key, us.get(key)) == us.get(key) for key in ("pid", "namespace"))
        return same or bool(slurm_job() and start.get("slurm_job") == slurm_job())

    def of_this_job(self) -> bool:
        """Whether the SLURM job of this process made the last attempt: it has been requeued."""
        job = slurm_job()
        starts = [event for event in self.events() if event["event"] == "start"]
        if starts or job is None:
            return bool(starts) and job is not None and starts[-1].get("slurm_job") == job
        # killed between claiming the folder and saying so
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
