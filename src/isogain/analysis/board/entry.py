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
Mark = tuple[int, int, int]  # of a file: another one where its content is another


class Entry:
    """What a run is (`run`; `options` as a page may show them), what it has measured so far, and which of its files
    cannot be read (`problems`).
    """

    def __init__(self, number: int, path: Path) -> None:
        self.number, self.path = number, path
        self.run: Run
        self.options: dict[str, Any] = {}
        self.fate = ("unknown", "")  # state and reason, of a run that has not said how it ended
        self.metrics = Curves(path / "metrics.csv")
        self._reasons: dict[tuple[str, str], str] = {}  # file, and what was looked for in it -> why
        self._described: tuple[Mark | None, ...] | None = None
        self._thinned: dict[tuple[str, int], Curve] = {}
        self._profiles: dict[tuple[Mark | None, int], Any] = {}

    def describe(self, ordered: list[str] | None, secrets: Sequence[str] | None = None) -> None:
        """Read config and summary, unless the run is over and they are what they were; raises Foreign."""
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
        """Read what metrics.csv has got since."""
        before = self.metrics.state
        self._attempt("metrics.csv", self.metrics.refresh)
        if self.metrics.state != before:
            self._thinned.clear()

    def curve(self, name: str, points: int) -> Curve:
        """One column of metrics.csv, thinned, as JSON holds it."""
        if (name, points) not in self._thinned:
            self._thinned[name, points] = plain(thinned(self.metrics[name], points))
        return self._thinned[name, points]

    def latest(self) -> dict[str, Any]:
        """The summary, or of a run that has none yet the last value of every metric."""
        if self.run.summary:
            return self.run.summary
        self.measure()
        return self.metrics.latest

    def profile(self, most: int = spectra.EVENTS) -> dict[str, Any] | None:
        """`spectra.profile`, None where there is none."""
        mark = (_mark(self.path / "spectra.npz"), most)
        if mark not in self._profiles:
            self._profiles = {k: v for k, v in self._profiles.items() if k[0] == mark[0]}
            found = self._attempt("spectra.npz", lambda: spectra.profile(self.path, most))
            self._profiles[mark] = found
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

    def _attempt(self, name: str, look: Callable[[], Any], what: str = "") -> Any:
        """What `look` finds in a file; None where there is none, or where it cannot be read: a problem."""
        self._reasons.pop((name, what), None)
        try:
            return look()
        except FileNotFoundError:
            return None
        except Damaged as error:
            self._reasons[name, what] = f"cannot be read: {error.reason}"
            return None


def _mark(path: Path) -> Mark | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
