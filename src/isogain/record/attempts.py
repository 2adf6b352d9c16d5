"""`attempts.jsonl`: when each attempt at a run began, was warned, and ended, whatever killed it."""

import json
import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isogain.record.atomic import sync
from isogain.record.last_step import seconds
from isogain.record.processes import process_alive, this_host
from isogain.record.rank import rank


def slurm_job() -> str | None:
    """The SLURM job that this process belongs to, `<array>_<task>` in an array; None outside SLURM."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID") or None


class Attempts:
    """One JSON object a line, on the disk when a method returns; only rank zero writes.

    `event` is start, preempted (saved, and to be requeued) or end. A line that a kill cut short is passed over.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "attempts.jsonl"

    def start(self, step: int) -> None:
        """This process takes up the run after `step` steps."""
        earlier = sum(event["event"] == "start" for event in self.events())
        who = {"host": socket.gethostname(), "pid": os.getpid(), "slurm_job": slurm_job()}
        self._append("start", step, **who, restart=earlier)

    def preempted(self, signum: int, step: int) -> None:
        """A signal came that lets SLURM requeue the run; what can be saved is saved."""
        self._append("preempted", step, signal=signal.Signals(signum).name)

    def end(self, status: str, step: int, error: str | None = None) -> None:
        """This attempt ended by itself; `error` is told in one line."""
        told = {"error": error.strip().splitlines()[0]} if error and error.strip() else {}
        self._append("end", step, status=status, **told)

    def events(self) -> list[dict[str, Any]]:
        """All that is readable, oldest first."""
        if not self.path.exists():
            return []
        found = (_parsed(line) for line in self.path.read_bytes().splitlines())
        return [event for event in found if event is not None]

    def at_work(self) -> int | None:
        """The other process of this machine that has begun an attempt and lives, unless it is of this SLURM job."""
        last = next((e for e in reversed(self.events()) if e["event"] in ("start", "end")), {})
        pid, began = last.get("pid"), seconds(last.get("time"))
        if last.get("event") != "start" or not this_host(last.get("host")) or began is None:
            return None
        ours = pid == os.getpid() or (slurm_job() and last.get("slurm_job") == slurm_job())
        return pid if isinstance(pid, int) and not ours and process_alive(pid, began) else None

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
        with self.path.open("a+b") as file:
            if file.tell() and _last_byte(file) != b"\n":
                file.write(b"\n")  # after a line that a kill cut short
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if event == "start":
            sync(self.path.parent)


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
