"""Where runs and sweeps are: the one walk through folders, which every reader of runs uses."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isogain.record import sweep_points
from isogain.record.bounded import Damaged
from isogain.record.sweep_points import Plan, read_plan

MARKS = {"config.yaml", "summary.json", "attempts.jsonl"}  # a run folder has one of them
TRACES = {"metrics.csv", "overrides.yaml", "spectra.npz", "checkpoints"}
NOT_RUNS = {"checkpoints", "wandb", "__pycache__", "node_modules"}
DEPTH = 24  # folders in each other
FOLDERS = 200_000
UNCOUNTED = "missing runs cannot be counted: "


@dataclass
class Listing:
    """The runs and sweeps at or below the roots, in the order of their names; numbers are ordered by value.

    folders: the run folders, each once. plans: a sweep's folder -> what its sweep.json lists, None where that cannot
    be read. again: further paths of run folders -> their path in `folders`. skipped: a path -> the reason why nothing
    is read from it. empty: folders that hold no run, and nothing that is skipped.
    """

    folders: list[Path] = field(default_factory=list)
    plans: dict[Path, Plan | None] = field(default_factory=dict)
    again: dict[Path, Path] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    empty: list[Path] = field(default_factory=list)

    @property
    def ordered(self) -> dict[Path, list[str]]:
        """Folder -> overrides of all points that sweeps list, whether or not a run has begun there."""
        return {
            sweep / name: overrides
            for sweep, plan in self.plans.items()
            if plan is not None
            for name, overrides in plan.points.items()
            if sweep / name not in self.again
        }


def find(roots: Sequence[Path]) -> Listing:
    """Every run folder at or below `roots`; what lies inside a run folder is not searched.

    A folder is visited once, however many links lead there, under its own path if it has one below the roots. A
    link to a folder above a root is not followed. Raises FileNotFoundError or NotADirectoryError for a root.
    """
    walk = _Walk(roots)
    for root in roots:
        if not os.path.lexists(root):
            raise FileNotFoundError(f"{root}: no such folder")
        if not os.path.isdir(root):
            raise NotADirectoryError(f"{root}: not a folder")
        walk.visit(root, 0)
    walk.follow_links()
    return walk.listing


class _Walk:
    def __init__(self, roots: Sequence[Path]) -> None:
        self.listing = Listing()
        self.seen: dict[tuple[int, int], Path] = {}
        self.runs: set[Path] = set()
        self.links: deque[tuple[Path, int]] = deque()
        tops = {os.path.realpath(root) for root in roots}
        self.above = {str(parent) for top in tops for parent in Path(top).parents}

    def visit(self, folder: Path, depth: int) -> bool:
        """Visit a folder and all below it; returns whether the listing mentions any of them."""
        try:
            stat = os.stat(folder)
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: _natural(entry.name))
        except OSError as error:
            self.listing.skipped[str(folder)] = f"cannot be read ({error.strerror})"
            return True
        if (place := (stat.st_dev, stat.st_ino)) in self.seen:
            if (first := self.seen[place]) in self.runs and first != folder:
                self.listing.again[folder] = first
            return True
        self.seen[place] = folder
        return self._is_run(folder, {entry.name for entry in entries}) or self._visit_below(
            folder, entries, depth + 1
        )

    def follow_links(self) -> None:
        """Visit the targets of links, last of all: a target may have a path of its own."""
        while self.links:
            path, depth = self.links.popleft()
            if os.path.realpath(path) in self.above:
                self.listing.skipped[str(path)] = "a link to a folder above; not followed"
            elif not self.visit(path, depth):
                self.listing.empty.append(path)

    def _is_run(self, folder: Path, names: set[str]) -> bool:
        """Whether the folder is a run's, or what is left of one; the plan of a sweep is listed."""
        if names & MARKS:
            self.listing.folders.append(folder)
            self.runs.add(folder)
            return True
        if names & TRACES:
            there = ", ".join(sorted(names & TRACES))
            reason = f"no config.yaml, only {there}: half a run, or none"
            self.listing.skipped[str(folder)] = reason
            return True
        if sweep_points.NAME in names:
            self.listing.plans[folder] = self._plan(folder)
        return False

    def _plan(self, folder: Path) -> Plan | None:
        try:
            plan = read_plan(folder)
        except (Damaged, FileNotFoundError) as error:
            reason = getattr(error, "reason", "not there any more")
            self._skip_plan(folder, f"{UNCOUNTED}{reason}")
            return None
        if plan.problems:
            self._skip_plan(folder, "; ".join(p.partition(": ")[2] for p in plan.problems))
        return plan

    def _skip_plan(self, folder: Path, why: str) -> None:
        self.listing.skipped[str(folder / sweep_points.NAME)] = why

    def _visit_below(self, folder: Path, entries: Sequence[os.DirEntry], depth: int) -> bool:
        """Visit the folders in a folder, links later; returns whether it holds a run, a sweep, or what is skipped."""
        known, empty, any_link = folder in self.listing.plans, [], False
        for entry in entries:
            if entry.name.startswith(".") or entry.name in NOT_RUNS or not _is_dir(entry):
                continue
            path = folder / entry.name
            if depth > DEPTH or len(self.seen) > FOLDERS:
                self.listing.skipped[str(folder)] = "too many folders, or too deep; not looked into"
                return True
            if entry.is_symlink():
                self.links.append((path, depth))
                any_link = True
            elif self.visit(path, depth):
                known = True
            else:
                empty.append(path)
        if known or any_link or depth == 1:
            self.listing.empty += empty
        return known or any_link


def _natural(name: str) -> tuple[int, str]:
    """A key that sorts 2 before 10."""
    return (int(name), "") if name.isdecimal() else (-1, name)


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere, or round in a circle
        return False
