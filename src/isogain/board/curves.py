"""The curves in a metrics.csv that may still grow, thinned for a screen."""

import csv
import math
from array import array
from collections.abc import Sequence
from pathlib import Path

KEPT = 4096  # points of a curve in memory: more than a screen has pixels
Curve = tuple[list[float], list[float]]  # steps and values


class Curves:
    """Every column of a metrics.csv as a curve; `refresh` reads what was added since.

    Only the last row of the file is ever written again in place, so that it is read anew each time; a file
    that was replaced (another inode, or shorter) is read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        self._forget()

    def refresh(self) -> bool:
        """Whether there was anything new; raises OSError where there is no file, ValueError where it is no table."""
        stat = self.path.stat()
        seen = stat.st_ino, stat.st_size, stat.st_mtime_ns
        if seen == self._seen:
            return False
        if stat.st_ino != self._seen[0] or stat.st_size < self._seen[1]:
            self._forget()
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        self._take(text)
        self._seen = seen
        return True

    def __getitem__(self, name: str) -> Curve:
        """Steps and values of a column, the row that may still be filled included; empty where there is none."""
        steps, values = map(list, self._points.get(name, ((), ())))
        if name in self._last:
            return [*steps, self.step], [*values, self._last[name]]
        return steps, values

    @property
    def latest(self) -> dict[str, float]:
        """The last value of every column that has one."""
        return {name: values[-1] for name, (_, values) in self._points.items()} | self._last

    def _forget(self) -> None:
        self._seen = (0, 0, 0)
        self._offset = 0
        self._points: dict[str, tuple[array, array]] = {}
        self._last: dict[str, float] = {}  # the last row
        self.step = 0.0

    def _take(self, text: bytes) -> None:
        """The whole lines of `text`; a line that a kill cut short is none."""
        whole, _, _ = text.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        if lines and self._offset == 0:
            head = lines.pop(0)
            self.columns = next(csv.reader([head.decode()]))
            if "step" not in self.columns:
                raise ValueError("no column `step`")
            self._offset = len(head) + 1
        if not lines:
            return
        rows = list(csv.reader(line.decode() for line in lines))
        last, step = self._numbers(rows[-1])
        for name, (steps, values) in self._columns(
            rows[:-1]
        ).items():  # nothing is kept of a broken table
            known = self._points.setdefault(name, (array("d"), array("d")))
            known[0].extend(steps)
            known[1].extend(values)
            if len(values := known[1]) > 2 * KEPT:
                fewer = thinned((list(known[0]), list(values)), KEPT)
                self._points[name] = array("d", fewer[0]), array("d", fewer[1])
        self._last, self.step = last, step
        self._offset += sum(len(line) + 1 for line in lines[:-1])

    def _columns(self, rows: Sequence[Sequence[str]]) -> dict[str, Curve]:
        """Column by column, which is faster than row by row: thousands of files are read at once."""
        at = self.columns.index("step")
        steps = [float(row[at]) for row in rows]
        found = {}
        for i, name in enumerate(self.columns):
            known = [k for k, row in enumerate(rows) if i < len(row) and row[i]]
            if known and i != at:
                found[name] = [steps[k] for k in known], [float(rows[k][i]) for k in known]
        return found

    def _numbers(self, row: Sequence[str]) -> tuple[dict[str, float], float]:
        found = {n: float(text) for n, text in zip(self.columns, row, strict=False) if text}
        return found, found.pop("step")


def thinned(curve: Curve, points: int) -> Curve:
    """At most `points` of a curve: the first, the last, and the extremes of equal pieces in between, so that no
    spike is lost.
    """
    steps, values = curve
    if len(values) <= points:
        return curve
    pieces, last = max((points - 2) // 2, 1), len(values) - 1
    kept = [0]
    for i in range(pieces):
        piece = range(1 + i * (last - 1) // pieces, 1 + (i + 1) * (last - 1) // pieces)
        known = [k for k in piece if not math.isnan(values[k])] or list(piece)
        kept += sorted({min(known, key=values.__getitem__), max(known, key=values.__getitem__)})
    kept.append(last)
    return [steps[k] for k in kept], [values[k] for k in kept]
