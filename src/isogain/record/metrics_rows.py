"""The reader of `metrics.csv`: its rows as numbers, piece by piece however large the file is, or as text, one by one.

A line that a kill cut short is no row. A line that cannot be read is passed over, and counted.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from isogain.record.bounded import MIB, Damaged, opened
from isogain.record.metrics_format import Row, cells_of, columns_of
from isogain.record.metrics_numbers import Rows, one_unreadable, parsed

NAME = "metrics.csv"
LINE = MIB  # bytes of a line, at most
PIECE = 4 * MIB  # bytes that are read and parsed at once
COLUMNS = 20_000
OWN_LINE = (
    4 * MIB
)  # bytes of a line when a run continues its own file: it may have logged long texts
STEP = re.compile(r"-?\d{1,18}", re.ASCII)


def header(file: BinaryIO, path: Path) -> list[str]:
    """The columns; the file is left at the first row, or at its beginning where it has no whole line yet: []."""
    file.seek(0)
    line = file.readline(LINE)
    if not line.endswith(b"\n"):
        if len(line) == LINE:
            raise Damaged(path, f"its first line is longer than {LINE:,} bytes")
        file.seek(0)
        return []
    try:
        columns = columns_of(line)
    except ValueError as error:
        raise Damaged(path, str(error)) from None
    if len(columns) > COLUMNS:
        raise Damaged(path, f"has more than {COLUMNS:,} columns")
    return columns


def pieces(file: BinaryIO, columns: Sequence[str], end: int) -> Iterator[Rows]:
    """The rows from where the file is up to the byte `end`, at which a line ends."""
    rest, too_long = b"", False
    while (at := file.tell()) < end:
        data = rest + file.read(min(PIECE, end - at))
        whole, newline, rest = data.rpartition(b"\n")
        if too_long and newline:  # the end of that line
            _, _, whole = whole.partition(b"\n")
            too_long = False
        if whole:
            yield parsed(whole + newline, columns)
        if len(rest) > LINE:
            if not too_long:
                yield one_unreadable(columns)
            rest, too_long = b"", True


def last_line(file: BinaryIO, start: int) -> tuple[int, int, bytes]:
    """Where the last whole line at or after the byte `start` begins and ends, and its bytes, b"" for none."""
    size = file.seek(0, os.SEEK_END)
    low = max(start, size - 2 * LINE)
    file.seek(low)
    data = file.read(size - low)
    end = data.rfind(b"\n") + 1
    begin = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
    return low + begin, low + end, data[begin:end]


def last_row(path: Path) -> dict[str, float] | None:
    """Column -> value of the last whole row, None where there is none; raises FileNotFoundError and Damaged."""
    with opened(path) as file:
        if not (columns := header(file, path)):
            return None
        _, _, line = last_line(file, file.tell())
    if not line:
        return None
    rows = parsed(line, columns)
    if rows.unreadable or not len(rows.steps):
        raise Damaged(path, "its last row cannot be read")
    return named(columns, rows.values[0], rows.logged[0])


def all_rows(path: Path) -> Iterator[dict[str, float]]:
    """Column -> value of every row that can be read; none where there is no file, or no table."""
    with contextlib.suppress(FileNotFoundError, Damaged), opened(path) as file:
        columns, begin = header(file, path), file.tell()
        _, end, _ = last_line(file, begin)
        file.seek(begin)
        for rows in pieces(file, columns, end):
            for values, logged in zip(rows.values, rows.logged, strict=True):
                yield named(columns, values, logged)


def named(columns: Sequence[str], values: np.ndarray, logged: np.ndarray) -> dict[str, float]:
    """The values that a row holds, by column."""
    return {columns[i]: float(values[i]) for i in np.flatnonzero(logged)}


class TextRows:
    """The rows of a run's own file as text, in rising order of step: no logged value is lost.

    `columns` are those of its header, [] where it has none. Once the rows are read, `unreadable` holds (line number,
    step before it) of each line that is not a row, `strays` the rows that a higher step precedes, and `torn` says
    whether the file ends within a line, as a kill leaves it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable: list[tuple[int, int | None]] = []
        self.strays: dict[int, dict[str, str]] = {}
        self.torn = False
        self.columns: list[str] = []
        with path.open("rb") as file, contextlib.suppress(ValueError):
            columns = columns_of(file.readline(OWN_LINE))
            self.columns = columns if columns[0] == "step" else []

    def __iter__(self) -> Iterator[Row]:
        before: int | None = None
        for number, raw in enumerate(self._lines(), 2):
            cells = cells_of(raw)
            if cells is None or len(cells) != len(self.columns) or not STEP.fullmatch(cells[0]):
                self.torn = not raw.endswith(b"\n")
                self.unreadable.append((number, before))
                continue
            step = int(cells[0])
            row = {name: value for name, value in zip(self.columns, cells, strict=True) if value}
            if before is not None and step <= before:
                self.strays.setdefault(step, {}).update(row)
                continue
            before = step
            yield step, row
        if self.torn:
            self.unreadable.pop()  # the last one: no more was written of it

    def _lines(self) -> Iterator[bytes]:
        if not self.columns:
            return
        with self.path.open("rb") as file:
            file.readline(OWN_LINE)
            yield from iter(lambda: file.readline(OWN_LINE), b"")
