"""A CSV file with a row a step, whose columns may grow and whose last row may still be filled."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from isogain.record.atomic import replaced, sync


class Table:
    """Rows in order of `step`; what is added to the same step goes to the same row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = ["step", "epoch"]
        self.row: dict[str, float | str] = {}  # the last one
        self._written = True
        self._start: int | None = None  # where the last row starts in the file, once it is there

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Fill in the row of `step`; the row before it is written out."""
        if self.row and int(self.row["step"]) != step:
            self.flush()
            self.row, self._start = {}, None
        self.row |= {"step": step, **values}
        self._written = False

    def flush(self) -> None:
        """Write the last row, over what the file has of it; with new columns, the whole file."""
        if self._written:
            return
        new = [name for name in self.row if name not in self.columns]
        if new or not self.path.exists():
            before = [row for row in self._rows() if int(row["step"]) != self.row["step"]]
            self.columns += new
            self._rewrite([*before, self.row])
        else:
            with self.path.open("r+b") as file:
                self._start = file.seek(0, 2) if self._start is None else file.seek(self._start)
                file.write(self._lines([self.row]))  # never shorter than what it had of the row
                file.truncate()
        self._written = True

    def sync(self) -> None:
        """Flush, down to the disk itself."""
        self.flush()
        if self.path.exists():
            sync(self.path)

    def rewind(self, step: int) -> None:
        """Take up the file, if there is one, without the rows after `step` and any that a kill cut short."""
        if not self.path.exists():
            return
        rows = self._rows()
        if rows:
            self.columns = list(rows[0])
            rows = [row for row in rows if int(row["step"]) <= step]
            self._rewrite(rows)
            self.row = {k: v for k, v in rows[-1].items() if v != ""} if rows else {}

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")  # a kill can cut the last line short
        return list(csv.DictReader(io.StringIO(whole.decode(), newline="")))

    def _rewrite(self, rows: list[dict]) -> None:
        with replaced(self.path) as part, part.open("wb") as file:
            file.write((",".join(self.columns) + "\r\n").encode())
            file.write(self._lines(rows[:-1]))
            self._start = file.tell()
            file.write(self._lines(rows[-1:]))

    def _lines(self, rows: list[dict]) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.columns).writerows(rows)
        return text.getvalue().encode()
