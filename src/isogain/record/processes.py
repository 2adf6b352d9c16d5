"""Whether the process or the SLURM job of an attempt is still there."""

import os
import re
import socket
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

Fate = Literal["running", "queued", "gone", "unknown"]
SLACK = 2.0  # seconds by which the boot time that /proc gives is rounded
QUEUED = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
PATIENCE = 30  # seconds for squeue


def process_alive(pid: int, time: float) -> bool:
    """Whether the process that had `pid` at `time` (seconds since 1970) still runs on this machine.

    One that began later is another with the same number. Where there is no /proc the number alone decides.
    """
    try:
        state, began = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self/stat").exists() and _has_pid(pid)
    return state not in "ZX" and began <= time + SLACK


def this_host(host: object) -> bool:
    """Whether `host` names this machine."""
    return isinstance(host, str) and host.split(".")[0] == socket.gethostname().split(".")[0]


def queue(jobs: Iterable[str]) -> dict[str, str] | None:
    """State by id, "1234_5", of those of the jobs (and of the tasks of arrays) that SLURM still knows of.

    None where squeue is missing or fails: then nothing is known of any.
    """
    bases = sorted({job.split("_")[0] for job in jobs})
    if not bases:
        return {}
    command = ["squeue", "-h", "-r", "-o", "%i|%T", "-j", ",".join(bases)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if found.returncode and "Invalid job id" not in found.stderr:  # it has forgotten them all
        return None
    return dict(line.split("|", 1) for line in found.stdout.split() if "|" in line)


def job_fate(job: str, queued: dict[str, str] | None) -> Fate:
    """What SLURM says of a job."""
    if queued is None:
        return "unknown"
    state = queued.get(job)
    return "gone" if state is None else "queued" if state in QUEUED else "running"


def is_job(name: object) -> bool:
    """Whether `name` reads as the id of a SLURM job or of a task of an array."""
    return isinstance(name, str) and bool(re.fullmatch(r"\d+(_\d+)?", name))


def _stat(pid: int) -> tuple[str, float]:
    """State letter, and start in seconds since 1970; the command's name, in brackets, may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], _boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK")


@cache
def _boot_time() -> float:
    (line,) = re.findall(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    return float(line)


def _has_pid(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
