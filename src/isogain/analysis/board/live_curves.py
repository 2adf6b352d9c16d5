"""The curves in a metrics.csv that may still grow, thinned for a screen."""

import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isogain.record.bounded import Damaged, opened
from isogain.record.metrics_rows import Rows, header, last_line, named, parsed, pieces

KEPT = 4096  # points of a curve in memory: more than a screen has pixels
Curve = tuple[list[float], list[float]]  # steps and values


class Curves:
    """Every column of a metrics.csv as a curve; `refresh` reads what was added since.

    A run rewrites only the last row of its file in place, so that this row is read anew each time; a file that was
    replaced (another inode, or shorter) is read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._clear()

    def refresh(self) -> bool:
        """Read what was added, and return whether the file had changed.

        Raises FileNotFoundError where there is no file, and Damaged where it is no table or, after all readable lines
        have been read, where some cannot be.
        """
        with opened(self.path) as file:
            stat = os.fstat(file.fileno())
            seen = stat.st_ino, stat.st_size, stat.st_mtime_ns
            if is_new := seen != self._seen:
                if stat.st_ino != self._seen[0] or stat.st_size < self._seen[1]:
                    self._clear()
                self._read(file)
                self._seen = seen
        if self._unreadable + self._last_unreadable:
            number = self._unreadable + self._last_unreadable
            raise Damaged(self.path, f"{number:,} of its lines cannot be read, and are left out")
        return is_new

    @property
    def state(self) -> tuple[int, int, int]:
        """Inode, size and time of change of what was read: it differs if the curves have changed."""
        return self._seen

    def __getitem__(self, name: str) -> Curve:
        """Steps and values of a column, including the last row, which may still change; empty for an unknown column."""
        steps, values = (list(part) for part in self._points_of(name))
        if name in self._last:
            return [*steps, self.step], [*values, self._last[name]]
        return steps, values

    @property
    def latest(self) -> dict[str, float]:
        """The last value of every column that has one."""
        return self._known | self._last

    def _clear(self) -> None:
        self._seen = (0, 0, 0)
        self._offset = 0
        self._points: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}  # neighbouring parts
        self._known: dict[str, float] = {}
        self._last: dict[str, float] = {}  # the last row
        self._unreadable = self._last_unreadable = 0
        self.columns: list[str] = []
        self.step = 0.0

    def _read(self, file: BinaryIO) -> None:
        columns = header(file, self.path)
        begin = max(self._offset, file.tell())
        if not columns:
            return
        self.columns = columns
        start, _, line = last_line(file, begin)
        if not line:
            return
        file.seek(begin)
        for rows in pieces(file, columns, start):
            self._add(rows)
        last = parsed(line, columns)
        self._last_unreadable = last.unreadable
        if len(last.steps):
            self._last = named(columns, last.values[0], last.logged[0])
            self.step = self._last.pop("step")
        self._offset = start

    def _add(self, rows: Rows) -> None:
        self._unreadable += rows.unreadable
        for i in np.flatnonzero(rows.logged.any(axis=0)):
            if (name := self.columns[i]) == "step":
                continue
            at = rows.logged[:, i]
            steps, values = rows.steps[at], rows.values[at, i]
            self._known[name] = float(values[-1])
            self._points.setdefault(name, []).append((steps, values))
            if sum(len(part) for part, _ in self._points[name]) > 2 * KEPT:
                steps, values = self._points_of(name)
                kept = _kept_indices(values, KEPT)
                self._points[name] = [(steps[kept], values[kept])]

    def _points_of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        parts = self._points.get(name, [])
        if len(parts) > 1:
            steps, values = (np.concatenate(part) for part in zip(*parts, strict=True))
            self._points[name] = parts = [(steps, values)]
        return parts[0] if parts else (np.empty(0), np.empty(0))


def thinned(curve: Curve, points: int) -> Curve:
    """At most `points` of a curve: the first, the last, and the extremes of equal pieces in between, so that no
    spike is lost.
    """
    steps, values = curve
    if len(values) <= points:
        return curve
    kept = _kept_indices(np.asarray(values, dtype=float), points).tolist()
    return [steps[k] for k in kept], [values[k] for k in kept]


def _kept_indices(values: np.ndarray, points: int) -> np.ndarray:
    """Indices of the points that `thinned` keeps; a NaN is kept only if its piece holds nothing else."""
    middle = values[1:-1]
    pieces = max((points - 2) // 2, 1)
    width = math.ceil(len(middle) / pieces)
    padded = np.full(width * math.ceil(len(middle) / width), np.nan)
    padded[: len(middle)] = middle
    rows = padded.reshape(-1, width)
    missing = np.isnan(rows)
    first = 1 + width * np.arange(len(rows))
    lows = first + np.where(missing, np.inf, rows).argmin(axis=1)
    highs = first + np.where(missing, -np.inf, rows).argmax(axis=1)
    return np.unique(np.concatenate([[0], lows, highs, [len(values) - 1]]))
