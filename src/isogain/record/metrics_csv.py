"""The writer of `metrics.csv`: a row a step, whose columns may grow and whose cells may be logged in any order."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isogain.record.atomic import is_regular, overwrite_end, replaced, set_aside, sync
from isogain.record.metrics_damage import damage, lost
from isogain.record.metrics_format import Row, Written, cell, encoded, merged, write
from isogain.record.metrics_rows import TextRows

log = logging.getLogger(__name__)
FIRST = ["step", "epoch"]  # columns that every file begins with
WAITING = 64  # rows; more wait in memory only beside a file of more than eight times as many


class Table:
    """Rows in rising order of `step`; where a cell is logged twice the later value stays.

    Cells that are not yet in the file stay in memory, whatever error comes while they are written, and the next
    `flush` writes them. To add a row at the end costs the writing of its line. A cell of an earlier row, or of a new
    column, costs the writing of the whole file; so cells of earlier rows wait in memory until there are as many such
    rows as an eighth of the file's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = FIRST  # of the file
        self._file = Written(0, None, 0, 0)
        self._known: tuple[int, ...] | None = None  # device, inode and size, as the file was left
        self._top: int | None = None  # the highest step of all
        self._late: dict[int, dict[str, Any]] = {}  # cells for rows before the file's last one
        self._pending: dict[int, dict[str, Any]] = {}  # and for that one and those after it

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Fill in cells of the row of `step`; a row after all others completes those, which are written."""
        try:
            if (self._top is not None and step > self._top) or self._too_many(self._pending):
                self._write_complete()
        finally:
            last = self._file.last
            rows = self._pending if last is None or step >= last[0] else self._late
            named = ((cell(name), cell(value)) for name, value in values.items())
            rows.setdefault(step, {}).update(pair for pair in named if pair[0] != "step")
            self._top = step if self._top is None else max(step, self._top)

    def newest(self, step: int) -> dict[str, Any]:
        """The cells of the row of `step`, {} unless it is the last one of all or comes after it."""
        last = dict([self._file.last] if self._file.last else [])
        return last.get(step, {}) | self._pending.get(step, {})

    def flush(self) -> None:
        """Write what the file lacks."""
        if self._late:
            self._rewrite()
        elif self._pending and not self._extended():
            self._rewrite()

    def sync(self) -> None:
        """Flush, down to the disk itself."""
        self.flush()
        if self._known is not None:
            sync(self.path)

    def unwritten(self) -> list[int]:
        """The steps whose rows lack something in the file, in order."""
        return sorted(self._late | self._pending)

    def extent(self) -> dict[str, int]:
        """How many rows the file has and the step of the last one, which a checkpoint of this moment counts on."""
        last = self._file.last
        return {} if last is None else {"rows": self._file.rows, "last": last[0]}

    def rewind(self, step: int, extent: Mapping[str, int] | None = None) -> None:
        """Continue the file, if there is one, without the rows after `step` and any that a kill cut short.

        A file that is damaged, or lacks rows of the `extent` it had, is set aside under another name; a line in the
        log says what is lost, and the rows that can be read are kept.
        """
        self._late = {s: row for s, row in (self._late | self._pending).items() if s <= step}
        self._pending, self._top, self._file = {}, None, Written(0, None, 0, 0)
        if is_regular(self.path):
            self._rewrite(step, extent or {})
            return
        had = [lost(None, extent["last"])] if extent else []
        if os.path.lexists(self.path):
            words = ["not a file", *had, f"set aside as {set_aside(self.path).name}"]
            log.warning("%s: %s", self.path, "; ".join(words))
        elif extent or (extent is None and step > 0):  # a checkpoint of an older version has none
            log.warning("%s: missing; %s", self.path, *(had or [lost(None, step)]))

    def _write_complete(self) -> None:
        """Write the pending rows; late ones wait, unless they are too many or the file is written anew for others."""
        if self._too_many(self._late) or not self._extended():
            self._rewrite()

    def _too_many(self, rows: Mapping) -> bool:
        return len(rows) > max(WAITING, self._file.rows // 8)

    def _extended(self) -> bool:
        """Write the pending rows at the end of the file, the first over its last one where both are of one step.

        False, with nothing done, where the file has to be written anew.
        """
        file, rows = self._file, sorted(self._pending.items(), key=lambda row: row[0])
        if not rows:
            return True
        new = any(name not in self.columns for _, row in rows for name in row)
        if new or self._known is None or self._known != _identity(self.path):
            return False
        over = file.last is not None and rows[0][0] == file.last[0]
        start = file.start if over else file.size
        if over:
            rows[0] = (rows[0][0], file.last[1] | rows[0][1])
        lines = [encoded(self.columns, row) for row in rows]
        if sum(map(len, lines)) < file.size - start:
            return False
        overwrite_end(self.path, start, b"".join(lines))
        size = start + sum(map(len, lines))
        written = Written(file.rows + len(rows) - over, rows[-1], size - len(lines[-1]), size)
        self._remember(self.columns, written)
        return True

    def _rewrite(self, until: int | None = None, extent: Mapping[str, int] | None = None) -> None:
        """Write the whole file anew: the rows that can be read, up to step `until`, and all that it lacks."""
        old = TextRows(self.path) if is_regular(self.path) else None
        others = self._lacking()
        columns = [*((old and old.columns) or FIRST)]
        columns += dict.fromkeys(n for _, row in others for n in row if n not in columns)
        rows = (row for row in old or () if until is None or row[0] <= until)
        with replaced(self.path) as part:
            written = write(part, columns, merged(rows, dict(others)))
            if old and (words := damage(old, written, extent or {})):
                log.warning("%s: %s; set aside as %s", self.path, words, set_aside(self.path).name)
        if not old and self._file.rows:
            log.warning("%s: gone, with %d rows", self.path, self._file.rows)
        self._remember(columns, written)
        self._late = {}
        if old and old.strays:
            newer = dict(others)
            strays = ((s, row) for s, row in old.strays.items() if until is None or s <= until)
            self._late = {s: row | newer.get(s, {}) for s, row in strays}
            self.flush()

    def _lacking(self) -> list[Row]:
        """All that is not known to be in the file, in order of step, its last row among it."""
        last = dict([self._file.last] if self._file.last else [])
        rows = merged(sorted(self._late.items(), key=lambda row: row[0]), last)
        return list(merged(rows, self._pending))

    def _remember(self, columns: list[str], written: Written) -> None:
        """Note that the file has these columns and the rows `written`, the pending ones among them."""
        self.columns, self._file, self._known = columns, written, _identity(self.path)
        self._pending = {}
        steps = [s for s in (self._top, written.last and written.last[0]) if s is not None]
        self._top = max(steps, default=None)


def _identity(path: Path) -> tuple[int, ...] | None:
    """Device, inode and size; None where there is none."""
    try:
        stat = os.lstat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size
