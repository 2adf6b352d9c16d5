"""One run's folder, read again only where it has changed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isogain.analysis.board import spectra
from isogain.analysis.board.as_json import plain
from isogain.analysis.board.live_curves import Curve, Curves, thinned
from isogain.analysis.board.secrets import masked
from isogain.record.bounded import Damaged, tail
from isogain.record.run_contents import Run, read_run, unstarted_run

DESCRIBE = ("summary.json", "config.yaml", "overrides.yaml", "choices.yaml")
LOG_BYTES, LOG_LINES = 20_000, 40
Mark = tuple[int, int, int]  # of a file: it differs if the content has changed


class Entry:
    """A run folder: `run`, its `options` with secrets masked, its `metrics` so far, and `problems` of its files."""

    def __init__(self, number: int, path: Path) -> None:
        self.number, self.path = number, path
        self.run: Run
        self.options: dict[str, Any] = {}
        self.label = ("unknown", "")  # state and reason, if the run's own files do not hold them
        self.metrics = Curves(path / "metrics.csv")
        self._reasons: dict[tuple[str, str], str] = {}  # file and its part -> why it is unreadable
        self._described: tuple[Mark | None, ...] | None = None
        self._thinned: dict[tuple[str, int], Curve] = {}
        self._profiles: dict[tuple[Mark | None, int], Any] = {}

    def describe(self, ordered: list[str] | None, secrets: Sequence[str] | None = None) -> None:
        """Read config and summary, unless the run is over and its files have not changed; raises Foreign."""
        marks = tuple(_mark(self.path / name) for name in DESCRIBE)
        if marks[0] is None or marks != self._described:
            self.run = (
                read_run(self.path, ordered)
                if os.path.isdir(self.path)
                else unstarted_run(ordered or [])
            )
            self.options = masked(self.run.choices | self.run.config | self.run.choices, secrets)
        self._described = marks

    def measure(self) -> None:
        """Read the rows that were added to metrics.csv since the last call."""
        before = self.metrics.state
        self._attempt("metrics.csv", self.metrics.refresh)
        if self.metrics.state != before:
            self._thinned.clear()

    def curve(self, name: str, points: int) -> Curve:
        """One column of metrics.csv, thinned to `points`, in numbers that JSON can hold."""
        if (name, points) not in self._thinned:
            self._thinned[name, points] = plain(thinned(self.metrics[name], points))
        return self._thinned[name, points]

    def latest(self) -> dict[str, Any]:
        """The summary, or the last value of every metric for a run that has no summary yet."""
        if self.run.summary:
            return self.run.summary
        self.measure()
        return self.metrics.latest

    def profile(self, most: int = spectra.EVENTS) -> dict[str, Any] | None:
        """`spectra.profile`, None where there is none."""
        mark = (_mark(self.path / "spectra.npz"), most)
        if mark not in self._profiles:
            self._profiles = {k: v for k, v in self._profiles.items() if k[0] == mark[0]}
            profile = self._attempt("spectra.npz", lambda: spectra.profile(self.path, most))
            self._profiles[mark] = profile
        return self._profiles[mark]

    def heat_maps(self) -> dict[str, Any]:
        """`spectra.heat_maps`, {} where there are none."""
        return self._attempt("spectra.npz", lambda: spectra.heat_maps(self.path), "maps") or {}

    def log_tail(self) -> str:
        """The last lines of log.txt."""
        text = self._attempt("log.txt", lambda: tail(self.path / "log.txt", LOG_BYTES)) or b""
        return "\n".join(text.decode(errors="replace").splitlines()[-LOG_LINES:])

    @property
    def problems(self) -> dict[str, str]:
        """File -> why it cannot be read, or not all of it."""
        return {name: why for (name, _), why in self._reasons.items()}

    def _attempt(self, name: str, read: Callable[[], Any], part: str = "") -> Any:
        """The value of `read()`, of the file `name`; None where there is no file, or it is damaged: then a problem."""
        self._reasons.pop((name, part), None)
        try:
            return read()
        except FileNotFoundError:
            return None
        except Damaged as error:
            self._reasons[name, part] = f"cannot be read: {error.reason}"
            return None


def _mark(path: Path) -> Mark | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
