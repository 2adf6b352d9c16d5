"""Whether the process or the SLURM job of an attempt is still there."""

import os
import re
import socket
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

State = Literal["running", "queued", "gone", "unknown"]
SLACK = 2.0  # seconds by which the boot time that /proc gives is rounded
QUEUED = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
PATIENCE = 30  # seconds for squeue


def this_process() -> dict[str, Any]:
    """What identifies this process among all, at any time on any machine, for `is_alive`.

    The number of a process is used again, and the time of day is adjusted; the id of the boot and the start in clock
    ticks since then never change. In a container, numbers are those of its own namespace. A key whose value the system
    hides is absent.
    """
    pid = os.getpid()
    known = {"boot": _boot(), "ticks": _ticks(pid), "namespace": _namespace("self")}
    return {"host": socket.gethostname(), "pid": pid} | {k: v for k, v in known.items() if v}


def is_alive(process: Mapping[str, Any], time: float | None) -> bool | None:
    """Whether the process that `this_process` described, at `time` (seconds since 1970), still runs.

    None where it cannot be seen from here: on another machine, or in another container.
    """
    pid = process.get("pid")
    if not this_host(process.get("host")) or type(pid) is not int or not 0 < pid < 2**31:
        return None
    boot, ticks, namespace = (process.get(key) for key in ("boot", "ticks", "namespace"))
    if not (boot and ticks and _boot() and _ticks(os.getpid())):  # of an older version, or no /proc
        return None if time is None else process_alive(pid, time)
    if boot != _boot():
        return False
    if namespace and namespace != _namespace("self"):
        pid = _number_here(pid, namespace)
    return None if pid is None else _ticks(pid) == ticks


def process_alive(pid: int, time: float) -> bool:
    """Whether the process that had `pid` at `time` (seconds since 1970) still runs on this machine.

    One that began later is another with the same number. Where there is no /proc the number alone decides.
    """
    try:
        state, ticks = _stat(pid)
        began = _boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
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
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode and "Invalid job id" not in done.stderr:  # SLURM has forgotten them all
        return None
    return dict(line.split("|", 1) for line in done.stdout.split() if "|" in line)


def job_state(job: str, queued: dict[str, str] | None) -> State:
    """The state of a job by `queued`, the states of all jobs that SLURM still knows."""
    if queued is None:
        return "unknown"
    state = queued.get(job)
    return "gone" if state is None else "queued" if state in QUEUED else "running"


def is_job(name: object) -> bool:
    """Whether `name` reads as the id of a SLURM job or of a task of an array."""
    return isinstance(name, str) and bool(re.fullmatch(r"\d+(_\d+)?", name))


def _stat(pid: int | str) -> tuple[str, int]:
    """State letter, and start in clock ticks since boot; the command's name, in brackets, may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _ticks(pid: int | str) -> int | None:
    """When a process that runs began, in clock ticks since boot; None where there is none."""
    try:
        state, ticks = _stat(pid)
    except (OSError, ValueError, IndexError):
        return None
    return None if state in "ZX" else ticks


@cache
def _boot() -> str | None:
    """The id of this boot of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() or None
    except OSError:
        return None


def _namespace(pid: int | str) -> str | None:
    """The namespace of a process's number, `pid:[...]`; None where the system hides it."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def _number_here(pid: int, namespace: Any) -> int | None:
    """The number that the process `pid` of another namespace has in this one; None where it is not seen from here."""
    for other in (path.name for path in Path("/proc").iterdir() if path.name.isdecimal()):
        if _namespace(other) != namespace:
            continue
        with suppress(OSError):
            status = Path(f"/proc/{other}/status").read_text(errors="replace")
            if re.search(rf"^NSpid:.*\t{pid}$", status, re.MULTILINE):
                return int(other)
    return None


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
