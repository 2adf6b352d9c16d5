"""`metrics.csv` as whoever looks at a run reads it: row by row, piece by piece, however large the file is.

A line that a kill cut short is none. A line that cannot be read is passed over, and the reader says which.
"""

import contextlib
import csv
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from isogain.record.bounded import MIB, Damaged, opened

NAME = "metrics.csv"
LINE = MIB  # bytes of a line, at most
PIECE = 4 * MIB  # bytes that are read and parsed at once
COLUMNS = 20_000
WORTH = (
    MIB // 4
)  # bytes of a piece, from which on pandas is: to import it takes 0.4 s, then it is ten times as fast


class Rows(NamedTuple):
    """Neighbouring rows: steps (rows,), values (rows, columns) with NaN for an empty cell, `logged` the other cells.

    unreadable: how many lines among them were passed over.
    """

    steps: np.ndarray
    values: np.ndarray
    logged: np.ndarray
    unreadable: int = 0


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
        (columns,) = csv.reader([line.decode().rstrip("\r\n")], strict=True)
    except (ValueError, csv.Error) as error:
        raise Damaged(path, f"its first line is none of a table ({error})") from None
    if "step" not in columns:
        raise Damaged(path, "has no column step")
    if len(set(columns)) < len(columns) or len(columns) > COLUMNS:
        raise Damaged(path, f"has a column twice, or more than {COLUMNS:,}")
    return columns


def pieces(file: BinaryIO, columns: Sequence[str], end: int) -> Iterator[Rows]:
    """The rows from where the file is up to the byte `end`, which a line ends at."""
    rest, lost = b"", False
    while (at := file.tell()) < end:
        data = rest + file.read(min(PIECE, end - at))
        whole, newline, rest = data.rpartition(b"\n")
        if lost and newline:  # the end of a line that was too long
            _, _, whole = whole.partition(b"\n")
            lost = False
        if whole:
            yield parsed(whole + newline, columns)
        if len(rest) > LINE:
            if not lost:
                yield _nothing(columns)
            rest, lost = b"", True


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
    """What a row holds, by column."""
    return {columns[i]: float(values[i]) for i in np.flatnonzero(logged)}


def parsed(data: bytes, columns: Sequence[str]) -> Rows:
    """Whole lines of numbers."""
    if len(data) >= WORTH and _is_regular(data, len(columns)):
        try:
            return _by_pandas(data, columns)
        except (ImportError, ValueError):
            pass  # line by line it is known which one is at fault
    return _line_by_line(data, columns)


def _is_regular(data: bytes, columns: int) -> bool:
    """Whether every line has so many cells, and none what pandas would read otherwise than float does."""
    if data.count(b"\r") != data.count(b"\r\n") or any(odd in data for odd in b'"nN_'):
        return False
    characters = np.frombuffer(data, np.uint8)
    ends, commas = np.flatnonzero(characters == 10), np.flatnonzero(characters == 44)
    return bool((np.diff(np.searchsorted(commas, ends), prepend=0) == columns - 1).all())


def _by_pandas(data: bytes, columns: Sequence[str]) -> Rows:
    import io

    import pandas as pd

    table = pd.read_csv(
        io.BytesIO(data), header=None, dtype=float, na_values=[""], keep_default_na=False
    )
    values = table.to_numpy()
    steps = values[:, list(columns).index("step")]
    whole = (steps >= 0) & (steps < 2**53) & (steps == np.floor(steps))
    if len(values) != data.count(b"\n") or not whole.all():
        raise ValueError("a step that is none")
    return Rows(steps, values, ~np.isnan(values))


def _line_by_line(data: bytes, columns: Sequence[str]) -> Rows:
    at, rows, logged, unreadable = list(columns).index("step"), [], [], 0
    for line in data.split(b"\n")[:-1]:
        cells = _cells(line.removesuffix(b"\r"))
        try:
            row = [float(cell) if cell else math.nan for cell in cells]
            if len(row) != len(columns) or not _is_step(row[at]):
                raise ValueError("no row of this table")
        except ValueError:
            unreadable += 1
        else:
            rows.append(row)
            logged.append([bool(cell) for cell in cells])
    values = np.array(rows, dtype=float).reshape(-1, len(columns))
    return Rows(
        values[:, at], values, np.array(logged, dtype=bool).reshape(values.shape), unreadable
    )


def _cells(line: bytes) -> list[bytes] | list[str]:
    if b'"' not in line:
        return line.split(b",")
    try:
        (cells,) = csv.reader([line.decode()], strict=True)
    except (ValueError, csv.Error):
        return [b"no number"]
    return cells


def _is_step(step: float) -> bool:
    """Whether it is a whole number that a float has exactly."""
    return 0 <= step < 2**53 and step == int(step)


def _nothing(columns: Sequence[str]) -> Rows:
    empty = np.empty((0, len(columns)))
    return Rows(empty[:, 0], empty, empty.astype(bool), unreadable=1)
