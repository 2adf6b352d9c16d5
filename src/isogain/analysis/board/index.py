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
from isogain.analysis.board.state_labels import Fates
from isogain.record import panels
from isogain.record.config_yaml import GROUPS, Foreign
from isogain.record.folder_walk import find
from isogain.record.run_contents import Run
from isogain.record.run_status import Status

FRESH = 1.0  # seconds that a look at the folder is good for
POINTS, ALL_POINTS = 300, 60_000  # of a curve, and of one metric's curves together
DETAILS = 1_000  # curves of one run's page
CIRCUMSTANCES = ("out", "resume", "logger.", "hydra.", "callbacks.")  # how a run is kept


class Index:
    """Keeps what it has read: an answer reads only what has changed since the last one, one answer at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}  # by number
        self.skipped: dict[str, str] = {}  # folder -> why it is no run
        self.fates = Fates(folder)
        self._by_path: dict[Path, Entry] = {}
        self._looked = -math.inf
        self._lock = threading.Lock()

    def answer(self, name: str, argument: str = "") -> dict[str, Any] | None:
        """`runs`, `profiles`, `curves` of a metric, or the `run` of a number; None where there is no such thing."""
        with self._lock:
            self._look()
            if name == "runs":
                return self._runs()
            if name == "curves":
                return self._curves(argument)
            if name == "profiles":
                return self._profiles()
            return self._run(argument) if name == "run" else None

    def shown(self, path: Path) -> str:
        """A path as text, below the folder, whatever bytes it is made of."""
        below = os.path.relpath(path, self.folder)
        below = os.path.basename(os.path.abspath(self.folder)) if below == "." else below
        return os.fsencode(below).decode(errors="replace")

    def _title(self) -> str:
        """The folder as it was said: a page that is mailed need not tell where on a machine it lies."""
        nameless = self.folder.name in ("", "..")
        said = os.path.abspath(self.folder) if nameless else self.folder
        return os.fsencode(said).decode(errors="replace")

    def _look(self) -> None:
        """Find new runs and describe those that have changed, unless that was done within FRESH seconds."""
        if time.monotonic() - self._looked < FRESH:
            return
        try:
            found = find([self.folder])
        except OSError as error:  # the folder is gone: say so, and come back when it does
            self.entries, self.skipped = {}, {self.shown(self.folder): str(error)}
            return
        self.skipped = {self.shown(Path(path)): why for path, why in found.skipped.items()}
        self.entries = {}
        ordered, secrets = found.ordered, environment()
        for path in dict.fromkeys([*found.folders, *ordered]):
            entry = self._by_path.setdefault(path, Entry(len(self._by_path), path))
            try:
                entry.describe(ordered.get(path), secrets)
            except Foreign as error:
                self.skipped[self.shown(path)] = str(error)
            else:
                self.entries[str(entry.number)] = entry
        if not all(_says_itself(entry.run) for entry in self.entries.values()):
            known = self.fates.latest()
            for entry in self.entries.values():
                entry.fate = known.get(Path(os.path.normpath(entry.path)), entry.fate)
        self._looked = time.monotonic()

    def _runs(self) -> dict[str, Any]:
        """A row a run: its values in the order of `options` (configured) and `results` (measured).

        `said` are the options that command lines vary.
        """
        entries = self.entries.values()
        said, options = _options([entry.run for entry in entries])
        latest = {entry.number: entry.latest() for entry in entries}
        results = [
            k for k in dict.fromkeys(k for r in latest.values() for k in r) if k not in options
        ]
        metrics = {name for entry in entries for name in entry.metrics.columns} - {"step", "epoch"}
        return plain(
            {
                "folder": self._title(),
                "said": said,
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
        status, reason = (run.status, run.error) if _says_itself(run) else entry.fate
        return {
            "id": entry.number,
            "name": self.shown(entry.path),
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
        found = {number: entry.curve(metric, points) for number, entry in self.entries.items()}
        return {number: curve for number, curve in found.items() if curve[0]}

    def _profiles(self) -> dict[str, Any]:
        """The signal's gradient by layer or time step: first and last event of each run that has measured it."""
        found = {number: entry.profile(2) for number, entry in self.entries.items()}
        return {
            number: p | {key: [p[key][0], p[key][-1]] for key in ("steps", "values")}
            for number, p in found.items()
            if p
        }

    def _run(self, number: str) -> dict[str, Any] | None:
        entry = self.entries.get(number)
        if entry is None:
            return None
        entry.measure()
        names = [name for name in entry.metrics.columns if name != "step"][:DETAILS]
        found = {
            "curves": {name: entry.curve(name, POINTS) for name in names},
            "heat_maps": entry.heat_maps(),
            "profile": entry.profile(),
            "config": entry.options,
            "summary": masked(entry.latest()),
            "log": masked_text(entry.log_tail()),
        }
        row = self._row(entry, [], [], entry.latest())
        return plain(row | found | {"problems": entry.problems})


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def _says_itself(run: Run) -> bool:
    """Whether how a run stands is in its own files."""
    return run.status.is_over or run.status is Status.BROKEN


def _options(found: list[Run]) -> tuple[list[str], list[str]]:
    """Which of the groups' choices and of what command lines say differ between runs; these and all that differs."""
    values: dict[str, set[Any]] = {}
    for run in found:
        for key, value in (run.choices | run.config).items():
            values.setdefault(key, set()).add(value if value == value else "nan")
    differ = [key for key, v in values.items() if len(v) > 1 and not key.startswith(CIRCUMSTANCES)]
    named = dict.fromkeys([*GROUPS, *(key for run in found for key in run.overridden)])
    said = [key for key in named if key in differ]
    usual = [key for key in ("reg", *panels.AXES) if key in values]
    return said, list(dict.fromkeys([*said, *usual, *differ]))
