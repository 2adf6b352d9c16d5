"""Sweeps and runs under a folder: which there are, and what has become of each."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogain.status import alive
from isogain.status.record import Record, is_run, json_lines, read, seconds, whole_json

YOUNG = 120  # seconds in which a sweep that was just begun may not have started anything yet
STATES = {  # what a run can be: in words, in the order in which one wants to know of it
    "failed": "failed",
    "lost": "lost",
    "interrupted": "interrupted",
    "unstarted": "never started",
    "unknown": "unknown",
    "diverged": "diverged",
    "preempted": "preempted",
    "running": "running",
    "pending": "pending",
    "done": "done",
}
MISSING = {"failed", "lost", "interrupted", "unstarted"}  # what is to be run again
GOES_ON = {"preempted", "running", "pending", "unknown"}
OF_STATUS = {
    "finished": "done",
    "diverged": "diverged",
    "interrupted": "interrupted",
    "failed": "failed",
}


@dataclass
class Run:
    """A point of a sweep or a run of its own, and the state it is in."""

    name: str  # its folder, relative to the sweep's
    record: Record
    overrides: list[str] | None = None  # as sweep.json has them
    state: str = "unknown"
    reason: str = ""

    @property
    def where(self) -> str:
        """The machine and process, or the job, of the last attempt."""
        start = self.record.starts[-1] if self.record.starts else {}
        job, host, pid = start.get("slurm_job"), start.get("host"), start.get("pid")
        parts = (job and f"job {job}", host and f"{host}", not job and pid and f"pid {pid}")
        return " ".join(part for part in parts if part)


@dataclass
class Sweep:
    """A folder with sweep.json, or any folder with runs below it, as if they were its points."""

    path: Path
    plan: dict[str, Any] | None = None  # sweep.json
    runs: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def jobs(self) -> set[str]:
        """Ids of all SLURM jobs that its runs were or will be."""
        starts = (start for run in self.runs for start in run.record.starts)
        of_runs = {start.get("slurm_job") for start in starts}
        return {job for job in of_runs | self._submitted() if alive.is_job(job)}

    def _submitted(self) -> set[str]:
        if self.plan is None or self.plan.get("cluster") != "slurm":
            return set()  # elsewhere submitit names folders after processes
        submitit = self.path / ".submitit"
        return {entry.name for entry in submitit.iterdir()} if submitit.is_dir() else set()


def find(folder: Path) -> list[Sweep]:
    """The sweeps at or below `folder`; runs outside of any are one sweep without a plan, at `folder`.

    Folders that hold no run at all are among the problems of the last.
    """
    loose, sweeps = Sweep(folder), []
    if is_run(folder):
        loose.runs.append(Run(".", read(folder)))
    else:
        _look(folder, loose, sweeps)
    if loose.runs or loose.problems:
        sweeps.append(loose)
    return sweeps


def judge(sweeps: list[Sweep], lost_after: float | None = None) -> None:
    """Set state and reason of every run; SLURM is asked once for all.

    A run of which nothing can be known counts as lost when it has been silent for `lost_after` minutes.
    """
    queue = alive.queue(job for sweep in sweeps for job in sweep.jobs())
    for sweep in sweeps:
        for run in sweep.runs:
            run.state, run.reason = _state(run.record, queue)
            silent = time.time() - (run.record.sign_of_life or 0)
            if run.state == "unknown" and lost_after is not None and silent > 60 * lost_after:
                run.state = "lost"
        _await(sweep, queue)


def _look(folder: Path, loose: Sweep, sweeps: list[Sweep]) -> bool:
    """Sort what lies in `folder` into `sweeps` and `loose`; whether there is any run."""
    if (folder / "sweep.json").exists():
        sweeps.append(_planned(folder))
        return True
    found = False
    for child in _folders(folder, loose):
        if is_run(child):
            loose.runs.append(Run(os.path.relpath(child, loose.path), read(child)))
        elif not _look(child, loose, sweeps):
            loose.problems.append(f"{os.path.relpath(child, loose.path)}: holds no run")
            continue
        found = True
    return found


def _planned(path: Path) -> Sweep:
    """The sweep in a folder with sweep.json; of one that cannot be read, the runs that are there."""
    sweep = Sweep(path)
    points = _points(path / "sweep.json", sweep)
    for name, overrides in points.items():
        sweep.runs.append(Run(name, read(path / name), overrides))
    inside = Sweep(path)
    for child in _folders(path, sweep):
        name = os.path.relpath(child, path)
        if name in points or any(point.startswith(name + os.sep) for point in points):
            continue
        if is_run(child):
            sweep.runs.append(Run(name, read(child)))
            if sweep.plan:
                sweep.problems.append(f"{name}: a run that sweep.json does not list")
        elif not _look(child, inside, []):
            sweep.problems.append(f"{name}: holds no run")
    return sweep


def _points(path: Path, sweep: Sweep) -> dict[str, list[str]]:
    """Folder -> overrides, as sweep.json has them."""
    plan = whole_json(path, sweep.problems)
    try:
        points = {str(p["folder"]): [str(o) for o in p["overrides"]] for p in plan["points"]}
    except (KeyError, TypeError):
        sweep.problems.append("sweep.json: does not list points; told are those that left a folder")
        return {}
    inside = {name: overrides for name, overrides in points.items() if _is_below(name)}
    if len(inside) < len(points):
        sweep.problems.append("sweep.json: names folders outside of the sweep; they are left out")
    sweep.plan = plan
    return inside


def _is_below(name: str) -> bool:
    return not os.path.isabs(name) and ".." not in Path(name).parts


def _folders(folder: Path, sweep: Sweep) -> list[Path]:
    """The folders in `folder` that a run may lie in, by number where they are numbers."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError as error:
        sweep.problems.append(f"{folder}: cannot be read ({error.strerror})")
        return []
    return [
        folder / name for name in sorted(names, key=lambda n: (len(n) if n.isdigit() else 99, n))
    ]


def _state(record: Record, queue: dict[str, str] | None) -> tuple[str, str]:
    """State and reason of a run by its own record."""
    last, summary = record.last, record.summary or {}
    ended = summary or (last if last["event"] == "end" else {})
    if last["event"] in ("start", "preempted"):
        fate = _fate(record.starts[-1] if record.starts else {}, queue)
        if fate in ("running", "queued"):
            return _going_on(last, fate)
        if not summary:
            return ("unknown", _silence(record)) if fate == "unknown" else ("lost", _loss(last))
    if not ended:
        if not record.begun:
            return "unstarted", ""
        return "unknown", _silence(record)
    if ended.get("status") == "finished" and not summary:
        return "lost", "it finished, but its summary.json is gone or cannot be read"
    return OF_STATUS.get(ended.get("status"), "unknown"), _line(ended.get("error", ""))


def _going_on(last: dict[str, Any], fate: alive.Fate) -> tuple[str, str]:
    if last["event"] == "preempted":
        return "preempted", f"{last.get('signal', 'signal')}: saved at step {last.get('step')}"
    if fate == "queued":
        return "preempted", "its job waits in the queue again"
    return "running", ""


def _fate(start: dict[str, Any], queue: dict[str, str] | None) -> alive.Fate:
    job, host, pid, began = (start.get(k) for k in ("slurm_job", "host", "pid", "time"))
    here = alive.this_host(host) and isinstance(pid, int) and seconds(began) is not None
    lives = here and alive.process_alive(pid, seconds(began))
    if alive.is_job(job):
        return "running" if queue is None and lives else alive.job_fate(job, queue)
    return "unknown" if not here else "running" if lives else "gone"


def _loss(last: dict[str, Any]) -> str:
    if last["event"] == "preempted":
        return f"stopped by {last.get('signal')} at step {last.get('step')}, and nothing will start it again"
    return "its process or job is gone, and it never said that it ended"


def _silence(record: Record) -> str:
    start = record.starts[-1] if record.starts else {}
    if alive.is_job(start.get("slurm_job")):
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


def _await(sweep: Sweep, queue: dict[str, str] | None) -> None:
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
    young = began is not None and 0 <= time.time() - began < YOUNG
    if by.get("cluster") == "slurm":
        return young or _is_queued(sweep, queue)
    if isinstance(by.get("pid"), int) and by.get("host"):
        here = alive.this_host(by["host"])
        return alive.process_alive(by["pid"], began or 0) if here else None
    return young or any(run.state == "running" for run in sweep.runs)


def _is_queued(sweep: Sweep, queue: dict[str, str] | None) -> bool | None:
    """Whether SLURM knows of a job of this sweep that no run has begun in; which point is its, no one says."""
    if queue is None:
        return None
    begun = {start.get("slurm_job") for run in sweep.runs for start in run.record.starts}
    arrays = {job.split("_")[0] for job in sweep.jobs()}
    return any(job.split("_")[0] in arrays and job not in begun for job in queue)


def _line(text: Any) -> str:
    """The first line of an error, whatever it holds, without anything that a terminal would obey."""
    first = (str(text).strip().splitlines() or [""])[0]
    return "".join(c if c.isprintable() else "�" for c in first)
