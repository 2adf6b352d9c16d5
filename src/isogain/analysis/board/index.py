"""All runs below a folder, and the answers that a page asks for; a number stands for a run, never a path."""

import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from isogain.analysis.board.as_json import plain
from isogain.analysis.board.entry import Entry
from isogain.analysis.board.secrets import environment, masked, masked_text
from isogain.analysis.board.state_labels import StateLabels
from isogain.record import panels
from isogain.record.config_yaml import GROUPS, Foreign
from isogain.record.folder_walk import find
from isogain.record.run_contents import Run
from isogain.record.run_status import Status

FRESH = 1.0  # seconds for which the folder is not read again
POINTS, ALL_POINTS = 300, 60_000  # of a curve, and of one metric's curves together
DETAILS = 1_000  # curves of one run's page
# options that concern how a run is recorded, not what it computes
CIRCUMSTANCES = ("out", "resume", "logger.", "hydra.", "callbacks.")


class Index:
    """The runs of a folder, kept in memory: an answer reads only files that have changed since the last one.

    Safe to call from several threads, which are answered one at a time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}  # by number
        self.skipped: dict[str, str] = {}  # folder -> why it is no run
        self.state_labels = StateLabels(folder)
        self._by_path: dict[Path, Entry] = {}
        self._refreshed = -math.inf
        self._lock = threading.Lock()

    def answer(self, name: str, argument: str = "") -> dict[str, Any] | None:
        """`runs`, `profiles`, `curves` of a metric, or the `run` of a number; None where there is no such thing."""
        with self._lock:
            self._refresh()
            if name == "runs":
                return self._runs()
            if name == "curves":
                return self._curves(argument)
            if name == "profiles":
                return self._profiles()
            return self._run(argument) if name == "run" else None

    def relative(self, path: Path) -> str:
        """A path relative to the folder as text; bytes that are no UTF-8 are replaced."""
        below = os.path.relpath(path, self.folder)
        below = os.path.basename(os.path.abspath(self.folder)) if below == "." else below
        return os.fsencode(below).decode(errors="replace")

    def _title(self) -> str:
        """The folder as the user named it: a page that is passed on need not reveal its absolute path."""
        nameless = self.folder.name in ("", "..")
        title = os.path.abspath(self.folder) if nameless else self.folder
        return os.fsencode(title).decode(errors="replace")

    def _refresh(self) -> None:
        """Add new runs and read those that have changed, unless that was done within the last FRESH seconds."""
        if time.monotonic() - self._refreshed < FRESH:
            return
        try:
            walk = find([self.folder])
        except OSError as error:  # the folder is gone: report it, and try again at the next answer
            self.entries, self.skipped = {}, {self.relative(self.folder): str(error)}
            return
        self.skipped = {self.relative(Path(path)): why for path, why in walk.skipped.items()}
        self.entries = {}
        ordered, secrets = walk.ordered, environment()
        for path in dict.fromkeys([*walk.folders, *ordered]):
            entry = self._by_path.setdefault(path, Entry(len(self._by_path), path))
            try:
                entry.describe(ordered.get(path), secrets)
            except Foreign as error:
                self.skipped[self.relative(path)] = str(error)
            else:
                self.entries[str(entry.number)] = entry
        if not all(_has_own_status(entry.run) for entry in self.entries.values()):
            labels = self.state_labels.latest()
            for entry in self.entries.values():
                entry.label = labels.get(Path(os.path.normpath(entry.path)), entry.label)
        self._refreshed = time.monotonic()

    def _runs(self) -> dict[str, Any]:
        """A row for each run, with its values in the order of `options` (configured) and `results` (measured).

        `varied` are the options that command lines set and in which runs differ.
        """
        entries = self.entries.values()
        varied, options = _options([entry.run for entry in entries])
        latest = {entry.number: entry.latest() for entry in entries}
        results = [
            k for k in dict.fromkeys(k for r in latest.values() for k in r) if k not in options
        ]
        metrics = {name for entry in entries for name in entry.metrics.columns} - {"step", "epoch"}
        return plain(
            {
                "folder": self._title(),
                "varied": varied,
                "options": options,
                "results": results,
                "metrics": sorted(metrics | {panel.name for panel in panels.PANELS}),
                "runs": [self._row(e, options, results, latest[e.number]) for e in entries],
                "skipped": {name: masked_text(why) for name, why in self.skipped.items()},
            }
        )

    def _row(
        self, entry: Entry, options: list[str], results: list[str], latest: dict[str, Any]
    ) -> dict[str, Any]:
        run = entry.run
        status, reason = (run.status, run.error) if _has_own_status(run) else entry.label
        return {
            "id": entry.number,
            "name": self.relative(entry.path),
            "status": status,
            "error": masked_text(reason or run.error),
            "problems": entry.problems,
            "step": _number(latest.get("steps")) or entry.metrics.step or None,
            "values": [entry.options.get(k) for k in options] + [latest.get(k) for k in results],
        }

    def _curves(self, metric: str) -> dict[str, Any]:
        points = max(20, min(POINTS, ALL_POINTS // max(len(self.entries), 1)))
        for entry in self.entries.values():
            entry.measure()
        curves = {number: entry.curve(metric, points) for number, entry in self.entries.items()}
        return {number: curve for number, curve in curves.items() if curve[0]}

    def _profiles(self) -> dict[str, Any]:
        """The signal's gradient by layer or time step: first and last event of each run that has measured it."""
        profiles = {number: entry.profile(2) for number, entry in self.entries.items()}
        return {
            number: p | {key: [p[key][0], p[key][-1]] for key in ("steps", "values")}
            for number, p in profiles.items()
            if p
        }

    def _run(self, number: str) -> dict[str, Any] | None:
        entry = self.entries.get(number)
        if entry is None:
            return None
        entry.measure()
        names = [name for name in entry.metrics.columns if name != "step"][:DETAILS]
        details = {
            "curves": {name: entry.curve(name, POINTS) for name in names},
            "heat_maps": entry.heat_maps(),
            "profile": entry.profile(),
            "config": entry.options,
            "summary": masked(entry.latest()),
            "log": masked_text(entry.log_tail()),
        }
        row = self._row(entry, [], [], entry.latest())
        return plain(row | details | {"problems": entry.problems})


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def _has_own_status(run: Run) -> bool:
    """Whether the run's own files are enough to know its status."""
    return run.status.is_over or run.status is Status.BROKEN


def _options(runs: list[Run]) -> tuple[list[str], list[str]]:
    """The choices and overrides in which runs differ, and these with the usual axes and all others that differ."""
    values: dict[str, set[Any]] = {}
    for run in runs:
        for key, value in (run.choices | run.config).items():
            values.setdefault(key, set()).add(value if value == value else "nan")
    differ = [key for key, v in values.items() if len(v) > 1 and not key.startswith(CIRCUMSTANCES)]
    named = dict.fromkeys([*GROUPS, *(key for run in runs for key in run.overridden)])
    varied = [key for key in named if key in differ]
    usual = [key for key in ("reg", *panels.AXES) if key in values]
    return varied, list(dict.fromkeys([*varied, *usual, *differ]))
