"""Which sweeps and runs there are under a folder."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isogain.record import processes
from isogain.record.last_step import Record, is_run, read, whole_json


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
        return {job for job in of_runs | self._submitted() if processes.is_job(job)}

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
