"""Which sweeps and runs there are under a folder."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from isogain.record import folder_walk, processes, sweep_points
from isogain.record.run_progress import Record, read
from isogain.record.run_status import Status
from isogain.record.sweep_points import Plan

DONE = "done"  # what this tool calls a run that finished


@dataclass
class Run:
    """A point of a sweep or a run of its own, and how it stands."""

    name: str  # its folder, relative to the sweep's
    record: Record
    overrides: list[str] | None = None  # as sweep.json has them
    status: Status = Status.UNKNOWN
    reason: str = ""

    @property
    def state(self) -> str:
        """The status in this tool's words."""
        return DONE if self.status is Status.FINISHED else str(self.status)

    @property
    def where(self) -> str:
        """The machine and process, or the job, of the last attempt."""
        start = self.record.starts[-1] if self.record.starts else {}
        job, host, pid = start.get("slurm_job"), start.get("host"), start.get("pid")
        parts = (job and f"job {job}", host, not job and pid and f"pid {pid}")
        return " ".join(part for part in parts if part)


@dataclass
class Sweep:
    """A folder with sweep.json, or any folder with runs below it, as if they were its points."""

    path: Path
    plan: Plan | None = None  # sweep.json
    runs: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def jobs(self) -> set[str]:
        """Ids of all SLURM jobs that its runs were or will be."""
        starts = (start for run in self.runs for start in run.record.starts)
        of_runs = {start.get("slurm_job") for start in starts}
        return {job for job in of_runs | self._submitted() if processes.is_job(job)}

    def _submitted(self) -> set[str]:
        if self.plan is None or self.plan.by.get("cluster") != "slurm":
            return set()  # elsewhere submitit names folders after processes
        try:
            with os.scandir(self.path / ".submitit") as entries:
                return {entry.name for entry in entries}
        except OSError:
            return set()


def find(folder: Path) -> list[Sweep]:
    """The sweeps at or below `folder`; runs outside of any are one sweep without a plan, at `folder`.

    Folders that hold no run at all are among the problems of the last.
    """
    listing = folder_walk.find([folder])
    begun = {*listing.folders, *listing.again}
    sweeps = {path: _planned(path, plan, listing, begun) for path, plan in listing.plans.items()}
    loose = sweeps.get(folder) or Sweep(folder)
    listed = {sweep.path / run.name for sweep in sweeps.values() for run in sweep.runs}
    for path in listing.folders:
        if path not in listed:
            sweep = _owner(path, folder, sweeps) or loose
            name = os.path.relpath(path, sweep.path)
            sweep.runs.append(Run(name, read(path)))
            if sweep.plan is not None:
                sweep.problems.append(f"{name}: a run that {sweep_points.NAME} does not list")
    reasons = listing.skipped | {str(path): "holds no run" for path in listing.empty}
    for path, why in reasons.items():
        if os.path.basename(path) != sweep_points.NAME and Path(path) not in listed:
            sweep = _owner(Path(path), folder, sweeps) or loose
            sweep.problems.append(f"{os.path.relpath(path, sweep.path)}: {why}")
    if folder not in sweeps and (loose.runs or loose.problems):
        sweeps[folder] = loose
    return list(sweeps.values())


def _planned(
    path: Path, plan: Plan | None, listing: folder_walk.Listing, begun: set[Path]
) -> Sweep:
    """The sweep in a folder with sweep.json; of one that cannot be read, the runs that are there come later."""
    sweep = Sweep(path, plan)
    if plan is None:
        why = listing.skipped.get(str(path / sweep_points.NAME), "")
        reason = why.removeprefix(folder_walk.UNCOUNTED)
        sweep.problems.append(f"{sweep_points.NAME}: {reason}; listed are those that left a folder")
        return sweep
    sweep.problems += plan.problems
    for name, overrides in plan.points.items():
        folder = path / name
        record = read(folder) if folder in begun else Record(folder)
        sweep.runs.append(Run(name, record, overrides))
    return sweep


def _owner(path: Path, top: Path, sweeps: dict[Path, Sweep]) -> Sweep | None:
    """The nearest sweep that a folder lies in."""
    for parent in path.parents:
        if parent in sweeps:
            return sweeps[parent]
        if parent == top:
            return None
    return None
